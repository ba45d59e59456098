package fake_test

import (
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// stopped stops a child and waits until it has.
func stopped(t *testing.T, s sys.Sys, pid int) {
	t.Helper()
	ok(t, "stop", s.Kill(pid, sys.SIGSTOP))
	_, status, err := s.Wait4(pid, sys.WUNTRACED)
	if err != nil || status.StopSignal() != sys.SIGSTOP || status.Exited() || status.Signaled() || status.Continued() {
		t.Errorf("waiting for a stop: %x, %v", status, err)
	}
}

// A stopped process has no thread that goes on, not even in shared memory.
func TestStopThreads(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/count", 0o755, func(s sys.Sys, argv, env []string) int {
			mem, err := s.Mmap(3, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			ok(t, "mmap", err)
			for i := range 3 {
				ok(t, "go", s.Go("counter", func(s sys.Sys) {
					for {
						mem.Add32(4*i, 1) // spins, but for the first
						if i == 0 {
							s.Nanosleep(time.Microsecond)
						}
					}
				}))
			}
			for {
				mem.Add32(12, 1)
				s.Getpid()
			}
		})
		exits(t, m, func(s sys.Sys) int {
			exe, err := s.Open("/bin/count", sys.O_PATH, 0)
			ok(t, "open", err)
			fd, err := s.MemfdCreate("counters", 0)
			ok(t, "memfd_create", err)
			ok(t, "ftruncate", s.Ftruncate(fd, 4096))
			mem, err := s.Mmap(fd, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			ok(t, "mmap", err)
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"count"}, Files: []int{fd, fd, fd, fd}})
			ok(t, "spawn", err)
			read := func() (n [4]uint32) {
				for i := range n {
					n[i] = mem.Load32(4 * i)
				}
				return n
			}
			moved := func(before [4]uint32) bool {
				now := read()
				for i := range now {
					if now[i] == before[i] {
						return false
					}
				}
				return true
			}
			for range 3 {
				for before := read(); !moved(before); {
					s.Nanosleep(10 * time.Microsecond)
				}
				stopped(t, s, pid)
				// In free-running mode a thread may still be at its last addition.
				still := false
				for i := 0; i < 200 && !still; i++ {
					before := read()
					s.Nanosleep(time.Millisecond)
					still = read() == before
				}
				if !still {
					t.Error("a stopped process goes on counting")
				}
				ok(t, "continue", s.Kill(pid, sys.SIGCONT))
			}
			stopped(t, s, pid)
			ok(t, "kill", s.Kill(pid, sys.SIGKILL))
			if _, status, err := s.Wait4(pid, 0); status.Signal() != sys.SIGKILL || err != nil {
				t.Errorf("killed: %x, %v", status, err)
			}
			return 0
		})
	})
}

// The calls that signal(7) names fail after a stop though no handler ran.
func TestStopInterrupts(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		calls := []struct {
			name string
			call func(s sys.Sys) error
			want error
		}{
			{"epoll_wait", func(s sys.Sys) error {
				ep, _ := s.EpollCreate1(0)
				_, err := s.EpollWait(ep, make([]sys.EpollEvent, 1), -1)
				return err
			}, sys.EINTR},
			{"semop", func(s sys.Sys) error {
				id, _ := s.Semget(sys.IPC_PRIVATE, 1, 0o600)
				return s.Semtimedop(id, []sys.Sembuf{{Op: -1}}, -1)
			}, sys.EINTR},
			{"recv with a timeout", func(s sys.Sys) error {
				a, _, _ := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM, 0)
				ok(t, "setsockopt", s.SetsockoptTimeval(a, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Hour))
				_, err := s.Recv(a, make([]byte, 1), 0)
				return err
			}, sys.EINTR},
			{"futex_wait with a timeout", func(s sys.Sys) error {
				return s.FutexWaitPrivate(new(uint32), 0, 20*time.Millisecond)
			}, sys.ETIMEDOUT},
			{"nanosleep", func(s sys.Sys) error { return s.Nanosleep(20 * time.Millisecond) }, nil},
		}
		m.Install("/bin/call", 0o755, func(s sys.Sys, argv, env []string) int {
			c := calls[len(argv)-1]
			want(t, c.name, c.call(s), c.want)
			return 0
		})
		exits(t, m, func(s sys.Sys) int {
			exe, err := s.Open("/bin/call", sys.O_PATH, 0)
			ok(t, "open", err)
			for i := range calls {
				pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: make([]string, i+1)})
				ok(t, "spawn", err)
				for got := 0; got == 0; { // until it was in the call
					var status sys.WaitStatus
					s.Nanosleep(5 * time.Millisecond)
					ok(t, "stop", s.Kill(pid, sys.SIGSTOP))
					ok(t, "continue", s.Kill(pid, sys.SIGCONT))
					s.Nanosleep(time.Millisecond)
					if got, status, err = s.Wait4(pid, sys.WNOHANG); status != 0 || err != nil {
						t.Errorf("%s: %x, %v", calls[i].name, status, err)
					}
				}
			}
			return 0
		})
	})
}

// A machine where all are stopped says so, and can be switched off.
func TestAllStopped(t *testing.T) {
	m := boot(t, fake.Config{})
	pid := m.StartFunc("stops", func(s sys.Sys) int {
		ok(t, "stop", s.Kill(s.Getpid(), sys.SIGSTOP))
		return 7
	})
	if err := m.Run(); err == nil || !strings.Contains(err.Error(), "on SIGCONT") {
		t.Errorf("Run: %v", err)
	}
	ok(t, "continue", m.Kill(pid, sys.SIGCONT))
	if status, err := m.Wait(pid); status.ExitStatus() != 7 || err != nil {
		t.Errorf("%x, %v", status, err)
	}
	m.StartFunc("stops", func(s sys.Sys) int { s.Kill(0, sys.SIGSTOP); return 0 })
	m.Run()
}
