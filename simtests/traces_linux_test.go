package simtests

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/httpjail/httpjail/server"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/real"
	"github.com/httpjail/httpjail/sys/trace"
)

// traced is the server with every call written to w.
func traced(w io.Writer) sys.Program {
	return intercept.Program(server.Program, trace.New(w, trace.Options{}))
}

// oneChild is a scenario in which no process has a choice: one child, one
// client, so that the calls of each process are the same in every run.
func oneChild(conf string) scenario {
	return scenario{"one child", func(o *operator) {
		o.site()
		// A page that has just changed has a weak ETag, one that has not a
		// strong one: on a slow machine it could be either.
		old := sys.Timespec{Sec: 1_000_000_000}
		o.must("utimensat", o.s.Utimensat(o.jail()+"/index.html", old, old, 0))
		o.configure(conf)
		before := o.list(o.jail() + "/var/run")
		srv := o.start().ready()
		o.mustGet("/", 200)
		o.mustGet("/index.html", 200)
		o.mustGet("/nothing", 404)
		// A trace has a call when it returns: let the child do so.
		o.must("sleep", o.s.Nanosleep(300*time.Millisecond))
		o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
		o.stopped(srv, before)
		sys.WriteAll(o.s, 1, []byte(srv.output("")))
	}}
}

// traceScenarios are run with traces on both kernels.
func traceScenarios() []scenario {
	var all []scenario
	for _, mutex := range []string{"flock", "fcntl", "sysvsem", "none"} {
		rest := "start_servers = 1\n min_spare_servers = 1\n max_spare_servers = 2\n max_clients = 1\n"
		if mutex != "sysvsem" && mutex != "none" {
			rest += seedFiles
		}
		sc := oneChild(fmt.Sprintf(seed, "prefork", mutex, rest))
		sc.name += " " + mutex
		all = append(all, sc)
	}
	return all
}

// TestTracesAgree holds what the server asks of the simulated kernel, and what
// it is answered, against the real one, call by call.
func TestTracesAgree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: chroot(2) and another user")
	}
	for _, sc := range traceScenarios() {
		t.Run(sc.name, func(t *testing.T) {
			// The same directory, port and capabilities on both.
			w := world{dir: t.TempDir(), port: freePort(t)}
			onReal := perProcess(string(runReal(t, sc, w, "www-data",
				&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWIPC}, envTrace+"=1")))

			var out syncBuffer
			caps, err := real.New().Capget()
			if err != nil {
				t.Fatal(err)
			}
			w.program, w.bounding = asOnGo(traced(&out)), caps.Permitted
			w.files, w.env = []string{"/etc/passwd", "/etc/group"}, []string{envTrace + "=1"}
			runFakeWorld(t, sc, w, fake.Deterministic, 1)
			onFake := perProcess(out.String())

			if len(onReal) != 2 || len(onFake) != 2 {
				t.Fatalf("traces of %d and %d processes, want a parent and a child each", len(onReal), len(onFake))
			}
			for proc, real := range onReal {
				if diff := cmp.Diff(real, onFake[proc]); diff != "" {
					t.Errorf("%s: the real kernel's trace (-) and the simulated one's (+) differ:\n%s", proc, diff)
				}
			}
		})
	}
}

// asOnGo gives a simulated parent the descriptors that the Go runtime has in a
// real one, or all numbers would differ: two of its poller, and the other end of
// the pipe that stands in for signalfd(2).
func asOnGo(program sys.Program) sys.Program {
	return func(s sys.Sys, argv, env []string) int {
		if !server.IsChild(argv) {
			s = goProcess{s}
			s.(goProcess).take(2)
		}
		return program(s, argv, env)
	}
}

type goProcess struct{ sys.Sys }

func (p goProcess) take(n int) {
	for range n {
		if _, err := p.Fcntl(0, sys.F_DUPFD_CLOEXEC, 0); err != nil {
			panic(err)
		}
	}
}

func (p goProcess) Signalfd(sigs []sys.Signal, flags int) (int, error) {
	fd, err := p.Sys.Signalfd(sigs, flags)
	p.take(1)
	return fd, err
}

func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// moment matches what a line has of the time and of how many digits a pid has.
var moments = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(poll\(.*\], )[0-9.]+m?s\)`), "${1}...)"},     // how long it may wait
	{regexp.MustCompile(`(write\(\d+, "\[)[A-Z].*`), "${1}..."},        // a line of the error log
	{regexp.MustCompile(`"P1\\n", \d+\) = \d+`), `"P1\n", ...) = ...`}, // the PidFile's content
	{regexp.MustCompile(`st_size=\d}`), "st_size=...}"},                // its size
	{regexp.MustCompile(`(read\(\d+, "", )\d+\) = 0`), "${1}...) = 0"}, // what is left of a buffer at its end
}

// waiting matches calls that are made or not as a connection is there already
// when a child looks for one, or a second has gone by.
var waiting = regexp.MustCompile(`accept4\(.* = -1 EAGAIN|prefork child.* poll\(| poll\(.* = 0$`)

// perProcess makes the traces of two runs comparable.
func perProcess(text string) map[string][]string {
	all := trace.ByProcess(strings.Split(text, "\n"))
	for proc, lines := range all {
		lines = slices.DeleteFunc(lines, func(l string) bool {
			// A signal may come to any thread at any time, and what it
			// interrupts is called again.
			return strings.Contains(l, "= -1 EINTR") || waiting.MatchString(l)
		})
		lines = trace.Normalise(lines)
		for i := range lines {
			for _, m := range moments {
				lines[i] = m.re.ReplaceAllString(lines[i], m.with)
			}
		}
		all[proc] = lines
	}
	return all
}

// syncBuffer is written by several simulated processes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
