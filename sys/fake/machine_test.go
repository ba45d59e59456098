package fake_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/thread"
)

// both runs a test on a machine in each mode. run waits until all processes have
// exited.
func both(t *testing.T, test func(t *testing.T, m *fake.Machine)) {
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		t.Run(mode.String(), func(t *testing.T) {
			m := boot(t, fake.Config{Mode: mode, Seed: 1})
			test(t, m)
		})
	}
}

func boot(t *testing.T, cfg fake.Config) *fake.Machine {
	t.Helper()
	m := fake.Boot(cfg)
	t.Cleanup(m.Close)
	return m
}

// exits runs fn as a process of root and wants it to return 0.
func exits(t *testing.T, m *fake.Machine, fn func(s sys.Sys) int) {
	t.Helper()
	status, err := m.Wait(m.StartFunc("test", fn))
	if err != nil {
		t.Fatal(err)
	}
	if status != 0 {
		t.Fatalf("exit status %d, signal %v", status.ExitStatus(), status.Signal())
	}
}

// want compares an error.
func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestHello(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/hello", 0o755, func(s sys.Sys, argv, env []string) int {
			sys.WriteAll(s, 1, []byte("hello "+strings.Join(argv[1:], " ")+" "+env[0]))
			return 3
		})
		var out bytes.Buffer
		pid, err := m.Start(fake.ProcSpec{Path: "/bin/hello", Argv: []string{"hello", "world"}, Env: []string{"A=1"}, Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		status, err := m.Wait(pid)
		if err != nil || status.ExitStatus() != 3 {
			t.Errorf("Wait: %v, %v", status.ExitStatus(), err)
		}
		if out.String() != "hello world A=1" {
			t.Errorf("wrote %q", out.String())
		}
		if ps := m.Processes(); len(ps) != 0 {
			t.Errorf("left: %v", ps)
		}
		if _, err := m.Start(fake.ProcSpec{Path: "/bin/nothing"}); err != sys.ENOENT {
			t.Errorf("Start of nothing: %v", err)
		}
	})
}

func TestSpawnAndWait(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/child", 0o755, func(s sys.Sys, argv, env []string) int {
			n, err := s.Write(0, []byte(argv[1]))
			if err != nil || n == 0 {
				return 9
			}
			return 7
		})
		m.WriteFile("/etc/passwd", []byte("x"), 0o644, 0, 0)
		exits(t, m, func(s sys.Sys) int {
			exe, err := s.Open("/bin/child", sys.O_PATH|sys.O_CLOEXEC, 0)
			ok(t, "open", err)
			r, w, err := s.Pipe2(sys.O_CLOEXEC)
			ok(t, "pipe2", err)
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"child", "data"}, Files: []int{w}})
			ok(t, "spawn", err)
			s.Close(w)
			buf := make([]byte, 10)
			n, err := s.Read(r, buf)
			if string(buf[:n]) != "data" || err != nil {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			n, err = s.Read(r, buf)
			if n != 0 || err != nil {
				t.Errorf("read at the end: %d, %v", n, err)
			}
			_, _, err = s.Wait4(pid+1, 0)
			want(t, "wait4 of a stranger", err, sys.ECHILD)
			wpid, status, err := s.Wait4(-1, 0)
			if wpid != pid || status.ExitStatus() != 7 || err != nil {
				t.Errorf("wait4: %d, %v, %v; want %d", wpid, status.ExitStatus(), err, pid)
			}
			_, _, err = s.Wait4(-1, sys.WNOHANG)
			want(t, "wait4 without children", err, sys.ECHILD)

			plain, err := s.Open("/etc/passwd", sys.O_PATH, 0)
			ok(t, "open", err)
			_, err = s.Spawn(&sys.SpawnAttr{Exe: plain, Argv: []string{"x"}})
			want(t, "spawn of a file without x", err, sys.EACCES)
			_, err = s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Files: []int{99}})
			want(t, "spawn with a bad fd", err, sys.EBADF)
			_, err = s.Spawn(&sys.SpawnAttr{Exe: 99, Argv: []string{"x"}})
			want(t, "spawn of a bad fd", err, sys.EBADF)
			return 0
		})
	})
}

func TestPanicIsReported(t *testing.T) {
	var console bytes.Buffer
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		m := boot(t, fake.Config{Mode: mode, Console: &console})
		pid := m.StartFunc("clumsy", func(s sys.Sys) int { panic("ouch") })
		if mode == fake.FreeRunning {
			status, err := m.Wait(pid)
			if status.Signal() != sys.SIGABRT || err != nil {
				t.Errorf("Wait: %v, %v", status.Signal(), err)
			}
			if out := console.String(); !strings.Contains(out, "clumsy") || !strings.Contains(out, "ouch") {
				t.Errorf("console: %s", out)
			}
			continue
		}
		err := m.Run()
		var e *fake.PanicError
		if !errors.As(err, &e) || !strings.Contains(e.Error(), "clumsy") || !strings.Contains(e.Stack, "machine_test.go") {
			t.Errorf("Run: %v", err)
		}
		if status, _ := m.Wait(pid); status.Signal() != sys.SIGABRT {
			t.Errorf("it died of %v", status.Signal())
		}
		ok(t, "Run afterwards", m.Run())
	}
}

func TestDeadlockIsReported(t *testing.T) {
	m := boot(t, fake.Config{})
	m.Install("/bin/second", 0o755, func(s sys.Sys, argv, env []string) int {
		fd, _ := s.Open("/lock", sys.O_RDWR, 0)
		s.Flock(fd, sys.LOCK_EX)
		return 0
	})
	m.StartFunc("first", func(s sys.Sys) int {
		fd, _ := s.Open("/lock", sys.O_RDWR|sys.O_CREAT, 0o600)
		s.Flock(fd, sys.LOCK_EX)
		s.Go("reader", func(s sys.Sys) {
			r, _, _ := s.Pipe2(0)
			s.Read(r, make([]byte, 1))
		})
		s.Go("sem", func(s sys.Sys) {
			id, _ := s.Semget(sys.IPC_PRIVATE, 1, 0o600)
			s.Semtimedop(id, []sys.Sembuf{{Op: -1}}, -1)
		})
		spawn(t, s, "/bin/second", "second")
		s.Wait4(-1, 0)
		return 0
	})
	err := m.Run()
	var d *sched.Deadlock
	if !errors.As(err, &d) {
		t.Fatalf("Run: %v", err)
	}
	for _, line := range []string{"first[2] in wait4", "second[5] in flock(3 /lock)", "first[2] reader in read(", "pipe:[", "first[2] sem in semtimedop(0)"} {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("report without %q:\n%v", line, err)
		}
	}
}

func TestStrayGoroutineIsCaught(t *testing.T) {
	m := boot(t, fake.Config{})
	var stray sys.Sys
	m.StartFunc("victim", func(s sys.Sys) int {
		stray = s
		s.Nanosleep(time.Second)
		return 0
	})
	m.RunUntil(func() bool { return m.Monotonic() > 0 })
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "victim") {
			t.Errorf("panic %q", v)
		}
	}()
	stray.Getpid()
}

func TestStrayGoroutineIsCaughtInFreeRunningMode(t *testing.T) {
	var console bytes.Buffer
	m := boot(t, fake.Config{Mode: fake.FreeRunning, Console: &console})
	handle := make(chan sys.Sys, 1)
	pid := m.StartFunc("victim", func(s sys.Sys) int {
		handle <- s
		for {
			s.Getpid()
		}
	})
	stray := <-handle
	caught := make(chan any)
	go func() {
		defer func() { caught <- recover() }()
		for {
			stray.Getpid()
		}
	}()
	// Whichever of the two comes second is caught. If it is the thread itself, its
	// process dies, and the stray goroutine unwinds.
	v := <-caught
	if v == nil {
		m.Wait(pid)
		v = console.String()
	}
	if s, _ := v.(string); !strings.Contains(s, "victim") || !strings.Contains(s, "belongs to one thread") {
		t.Errorf("panic %q", v)
	}
}

func TestStepLimit(t *testing.T) {
	m := boot(t, fake.Config{StepLimit: 100})
	m.StartFunc("spins", func(s sys.Sys) int {
		for {
			s.Getpid()
		}
	})
	want(t, "Run", m.Run(), sched.ErrSteps)
	ok(t, "RunUntil", m.RunUntil(func() bool { return m.Monotonic() > 150*time.Microsecond }))
}

func TestThreadsWithUserSpaceLocks(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		exits(t, m, func(s sys.Sys) int {
			var mu thread.Mutex
			var wg thread.WaitGroup
			n := 0
			for range 4 {
				wg.Add(1)
				ok(t, "go", s.Go("adder", func(s sys.Sys) {
					for range 50 {
						mu.Lock(s)
						v := n
						s.Gettid() // a switch point inside the lock
						n = v + 1
						mu.Unlock(s)
					}
					wg.Done(s)
				}))
			}
			wg.Wait(s)
			if n != 200 {
				t.Errorf("%d additions, want 200", n)
			}
			return 0
		})
	})
}

func TestBridge(t *testing.T) {
	m := boot(t, fake.Config{Mode: fake.FreeRunning})
	addr := netip.MustParseAddrPort("127.0.0.1:8080")
	listening := make(chan bool, 1)
	m.StartFunc("echo", func(s sys.Sys) int {
		l, _ := s.Socket(sys.AF_INET, sys.SOCK_STREAM, 0)
		ok(t, "bind", s.Bind(l, sys.InetAddr(addr)))
		ok(t, "listen", s.Listen(l, 5))
		listening <- true
		for {
			c, _, err := s.Accept4(l, 0)
			if err != nil {
				return 1
			}
			in, err := sys.ReadAll(s, c, 1<<20)
			ok(t, "read", err)
			ok(t, "write", sys.WriteAll(s, c, in))
			s.Close(c)
		}
	})
	<-listening
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, "bridge", m.Bridge(addr, l))
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte("0123456789"), 20000)
		go func() {
			c.Write(data)
			c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if !bytes.Equal(got, data) || err != nil {
			t.Errorf("echoed %d bytes of %d, %v", len(got), len(data), err)
		}
		c.Close()
	}
	if err := fake.Boot(fake.Config{}).Bridge(addr, l); err == nil {
		t.Error("a bridge in deterministic mode")
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		before := runtime.NumGoroutine()
		m := fake.Boot(fake.Config{Mode: mode})
		m.Install("/bin/sleep", 0o755, func(s sys.Sys, argv, env []string) int {
			s.Go("second", func(s sys.Sys) { s.Nanosleep(time.Hour) })
			s.Nanosleep(time.Hour)
			return 0
		})
		started := make(chan bool, 10)
		for range 5 {
			m.StartFunc("parent", func(s sys.Sys) int {
				exe, _ := s.Open("/bin/sleep", sys.O_PATH, 0)
				s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"sleep"}})
				started <- true
				s.Wait4(-1, 0)
				return 0
			})
		}
		if mode == fake.Deterministic {
			m.RunUntil(func() bool { return len(started) == 5 })
		} else {
			for range 5 {
				<-started
			}
		}
		m.Close()
		if ps := m.Processes(); len(ps) != 0 {
			t.Errorf("%v: left %v", mode, ps)
		}
		for i := 0; runtime.NumGoroutine() > before; i++ {
			if i == 1000 {
				t.Fatalf("%v: %d goroutines, %d before", mode, runtime.NumGoroutine(), before)
			}
			time.Sleep(time.Millisecond) // the last may be about to return
		}
	}
}
