package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/thread"
	"github.com/httpjail/httpjail/sys/trace"
)

// Where things are on the simulated machine. Port 13 is the real one: here
// nobody minds.
const (
	exe  = "/usr/sbin/daytimed"
	jail = "/srv/daytime"
	user = 33
)

var addr = netip.MustParseAddrPort("127.0.0.1:13")

// boot boots a machine on which the daemon is installed.
func boot(t *testing.T, mode sched.Mode, seed uint64, around ...intercept.Interceptor) *fake.Machine {
	m := fake.Boot(fake.Config{Mode: mode, Seed: seed, StepLimit: 1_000_000, Image: func(m *fake.Machine) {
		m.Install(exe, 0o755, intercept.Program(Program, around...))
		m.MkdirAll(jail, 0o755, 0, 0)
		m.MkdirAll(jail+runDir, 0o755, user, user)
	}})
	t.Cleanup(m.Close)
	return m
}

func onFake(s sys.Sys) world { return world{s: s, exe: exe, jail: jail, addr: addr, user: user} }

// run runs a scenario as a process of m.
func run(m *fake.Machine, scenario func(w world) error) error {
	var failed error
	pid := m.StartFunc("operator", func(s sys.Sys) int {
		failed = scenario(onFake(s))
		return 0
	})
	_, err := m.Wait(pid)
	return errors.Join(err, failed)
}

// leaks names what is left on a machine where nobody should run any more.
func leaks(m *fake.Machine) string {
	var b bytes.Buffer
	for _, p := range m.Processes() {
		fmt.Fprintf(&b, "process %d %q; ", p.Pid, p.Argv)
	}
	for _, a := range m.OpenListeners() {
		fmt.Fprintf(&b, "listener %v; ", a)
	}
	if _, err := m.ReadFile(jail + pidFile); err == nil {
		b.WriteString("a PidFile; ")
	}
	return b.String()
}

func TestLiveAndDie(t *testing.T) {
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		t.Run(mode.String(), func(t *testing.T) {
			m := boot(t, mode, 1)
			if err := run(m, liveAndDie); err != nil {
				t.Error(err)
			}
			if left := leaks(m); left != "" {
				t.Error("left behind:", left)
			}
		})
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	hash := func(seed uint64) uint64 {
		m := boot(t, fake.Deterministic, seed)
		if err := run(m, liveAndDie); err != nil {
			t.Fatal(err)
		}
		return m.TraceHash()
	}
	want := hash(1)
	for range 10 {
		if got := hash(1); got != want {
			t.Fatalf("the trace hash is %#x, and was %#x", got, want)
		}
	}
	if hash(2) == want {
		t.Error("another seed has the same trace hash: chance decides nothing")
	}
}

// startUp are the calls of the daemon from its first to the poll with which it
// begins to serve.
func startUp(t *testing.T) []sys.Call {
	var r trace.Recorder
	m := boot(t, fake.Deterministic, 1, &r)
	if err := run(m, liveAndDie); err != nil {
		t.Fatal(err)
	}
	calls := r.Calls()
	for i, c := range calls {
		if c.Op == "poll" {
			return calls[:i]
		}
	}
	t.Fatal("the daemon never serves")
	return nil
}

// outcome is how a daemon ended that was made to fail.
type outcome struct {
	status int
	said   string // on standard error
	hits   int    // calls that failed; -1: not known
	left   string // behind
}

// everyStartUpError has each call of the start-up fail, one a run. Each failure
// must surface, and leave nothing behind.
func everyStartUpError(t *testing.T, run func(t *testing.T, rule fault.Rule) outcome) {
	nth := map[string]int{}
	for _, c := range startUp(t) {
		nth[c.Op]++
		if op, _ := intercept.LookupOp(c.Op); !op.Fails {
			continue
		}
		rule, err := fault.Parse(fmt.Sprintf("daytimed: %s #%d = EIO", c.Op, nth[c.Op]))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(rule.String(), func(t *testing.T) {
			o := run(t, rule)
			if o.hits == 0 {
				t.Error("the call was not made")
			}
			if o.status != 1 || !strings.Contains(o.said, "input/output error") {
				t.Errorf("it ended with %d and said %q", o.status, o.said)
			}
			if o.left != "" {
				t.Error("left behind:", o.left)
			}
		})
	}
}

func TestEveryStartUpError(t *testing.T) {
	everyStartUpError(t, func(t *testing.T, rule fault.Rule) outcome {
		inject := fault.New(rule)
		m := boot(t, fake.Deterministic, 1, inject)
		var said bytes.Buffer
		pid, err := m.Start(fake.ProcSpec{
			Path: exe, Argv: []string{"daytimed", addr.String(), jail, strconv.Itoa(user)}, Stderr: &said,
		})
		if err != nil {
			t.Fatal(err)
		}
		status, err := m.Wait(pid)
		if err != nil {
			t.Fatal(err) // a deadlock, here, is a daemon that serves
		}
		return outcome{status.ExitStatus(), said.String(), len(inject.Hits()), leaks(m)}
	})
}

// TestShortWrites: whoever reads the PidFile or an answer sees all of it.
func TestShortWrites(t *testing.T) {
	rule, err := fault.Parse("daytimed: write short 1")
	if err != nil {
		t.Fatal(err)
	}
	inject := fault.New(rule)
	m := boot(t, fake.Deterministic, 1, inject)
	if err := run(m, liveAndDie); err != nil {
		t.Error(err)
	}
	if len(inject.Hits()) < 20 {
		t.Errorf("%d writes only were short", len(inject.Hits()))
	}
}

// TestKilledAnywhere kills the daemon after each step of its start. The next
// one must start and serve.
func TestKilledAnywhere(t *testing.T) {
	last := uint64(len(startUp(t))) + 3 // some steps into serving
	for after := range last {
		m := boot(t, fake.Deterministic, after)
		pid, err := m.Start(fake.ProcSpec{Path: exe, Argv: []string{"daytimed", addr.String(), jail, strconv.Itoa(user)}})
		if err != nil {
			t.Fatal(err)
		}
		err = m.RunUntil(func() bool { return m.Steps() >= after })
		var deadlock *sched.Deadlock
		if err != nil && !errors.As(err, &deadlock) { // it waits for us
			t.Fatal(err)
		}
		if err := m.Kill(pid, sys.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := run(m, liveAndDie); err != nil {
			t.Errorf("after a kill at step %d: %v", after, err)
		}
		if left := leaks(m); left != "" {
			t.Errorf("after a kill at step %d: left behind: %s", after, left)
		}
		m.Close()
	}
}

func TestSecondDaemon(t *testing.T) {
	m := boot(t, fake.Deterministic, 1)
	err := run(m, func(w world) error {
		pid, err := w.start()
		if err != nil {
			return err
		}
		if err := w.serves(pid); err != nil {
			return err
		}
		second := w
		second.addr = netip.MustParseAddrPort("127.0.0.1:1013") // the port is free, the jail is not
		other, err := second.start()
		if err != nil {
			return err
		}
		if status, err := w.wait(other); err != nil || status.ExitStatus() != 1 {
			return fmt.Errorf("the second daemon ended with %#x, %v", uint32(status), err)
		}
		return w.serves(pid) // the first is as it was
	})
	if err != nil {
		t.Error(err)
	}
}

// TestManyClients is for the race detector: threads are goroutines here.
func TestManyClients(t *testing.T) {
	m := boot(t, fake.FreeRunning, 0)
	err := run(m, func(w world) error {
		pid, err := w.start()
		if err != nil {
			return err
		}
		if err := w.serves(pid); err != nil {
			return err
		}
		var (
			done     thread.WaitGroup
			answered atomic.Int32
		)
		const clients, each = 8, 25
		done.Add(clients)
		for i := range clients {
			err := w.s.Go(fmt.Sprintf("client %d", i), func(s sys.Sys) {
				defer done.Done(s)
				for range each {
					if answer, err := w.ask(s); err == nil && answer != "" {
						answered.Add(1)
					}
				}
			})
			if err != nil {
				return err
			}
		}
		done.Wait(w.s)
		if n := answered.Load(); n != clients*each {
			return fmt.Errorf("%d of %d were answered", n, clients*each)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTime: the machine's clock is the test's to set, and a day takes no time.
func TestTime(t *testing.T) {
	m := boot(t, fake.Deterministic, 1)
	var first, later string
	err := run(m, func(w world) error {
		pid, err := w.start()
		if err != nil {
			return err
		}
		if err := w.serves(pid); err != nil {
			return err
		}
		first, _ = w.ask(w.s)
		if err := w.s.Nanosleep(24 * time.Hour); err != nil {
			return err
		}
		later, _ = w.ask(w.s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if first != "Thursday, January 1, 2026 00:00:00-UTC\r\n" || later != "Friday, January 2, 2026 00:00:00-UTC\r\n" {
		t.Errorf("it was %q, and a day later %q", first, later)
	}
}
