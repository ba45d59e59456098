package fake_test

import (
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

func TestDefaultActions(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/ignores", 0o755, func(s sys.Sys, argv, env []string) int {
			for _, sig := range []sys.Signal{sys.SIGCHLD, sys.SIGURG, sys.SIGWINCH, sys.SIGCONT,
				sys.SIGUSR1, sys.SIGUSR2, sys.SIGPIPE, sys.SIGALRM, sys.SIGXFSZ, 33, 35, 64} {
				s.Kill(s.Getpid(), sig)
			}
			return 4
		})
		sleeper(m)
		exits(t, m, func(s sys.Sys) int {
			pid := spawn(t, s, "/bin/ignores", "ignores")
			if _, status, err := s.Wait4(pid, 0); status.ExitStatus() != 4 || err != nil {
				t.Errorf("ignored signals: %x, %v", status, err)
			}
			for _, sig := range []sys.Signal{sys.SIGHUP, sys.SIGINT, sys.SIGTERM, sys.SIGKILL, 32, 34} {
				pid := spawn(t, s, "/bin/sleep", "sleep")
				ok(t, "kill", s.Kill(pid, sig))
				if _, status, err := s.Wait4(pid, 0); status.Signal() != sig || err != nil {
					t.Errorf("%v: %x, %v", sig, status, err)
				}
			}
			for _, sig := range []sys.Signal{sys.SIGQUIT, sys.SIGABRT, sys.SIGSEGV, sys.SIGSYS, 16} {
				pid := spawn(t, s, "/bin/sleep", "sleep")
				ok(t, "kill", s.Kill(pid, sig))
				if _, status, err := s.Wait4(pid, 0); status.ExitStatus() != 2 || err != nil {
					t.Errorf("%v: %x, %v", sig, status, err)
				}
			}
			want(t, "signal 65", s.Kill(s.Getpid(), 65), sys.EINVAL)
			want(t, "signal -1", s.Kill(s.Getpid(), -1), sys.EINVAL)
			want(t, "kill of nobody", s.Kill(9999, 0), sys.ESRCH)
			ok(t, "kill of init", s.Kill(1, sys.SIGKILL))
			return 0
		})
	})
}

func TestKillPermissions(t *testing.T) {
	m := boot(t, fake.Config{})
	idle := func(s sys.Sys, argv, env []string) int { s.Nanosleep(time.Hour); return 0 }
	start := func(uid int) int {
		pid, err := m.Start(fake.ProcSpec{Argv: []string{"idle"}, Program: idle, Uid: uid, Gid: uid})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	root, alice, bob := start(0), start(1), start(2)
	pid, err := m.Start(fake.ProcSpec{Uid: 1, Gid: 1, Argv: []string{"test"}, Program: func(s sys.Sys, argv, env []string) int {
		want(t, "kill root's", s.Kill(root, 0), sys.EPERM)
		want(t, "kill bob's", s.Kill(bob, sys.SIGKILL), sys.EPERM)
		want(t, "SIGCONT to another session", s.Kill(bob, sys.SIGCONT), sys.EPERM)
		want(t, "kill bob's group", s.Kill(-bob, sys.SIGKILL), sys.EPERM)
		ok(t, "kill all", s.Kill(-1, sys.SIGKILL)) // reaches alice's, and not itself
		want(t, "kill of alice's", s.Kill(alice, 0), sys.ESRCH)
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := m.Wait(pid); status != 0 || err != nil {
		t.Errorf("Wait: %x, %v", status, err)
	}
	if n := len(m.Processes()); n != 2 {
		t.Errorf("%d processes left, want root's and bob's", n)
	}
	ok(t, "Kill from outside", m.Kill(bob, sys.SIGTERM))
	if n := len(m.Processes()); n != 1 {
		t.Errorf("%d processes left after Kill", n)
	}
	want(t, "Kill of nobody", m.Kill(bob, 0), sys.ESRCH)
}

func TestSignalfd(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		exits(t, m, func(s sys.Sys) int {
			pid := s.Getpid()
			fd, err := s.Signalfd([]sys.Signal{sys.SIGTERM, sys.SIGHUP, sys.SIGKILL}, sys.SFD_CLOEXEC|sys.SFD_NONBLOCK)
			ok(t, "signalfd", err)
			_, err = s.Signalfd([]sys.Signal{0}, 0)
			want(t, "signalfd of 0", err, sys.EINVAL)
			_, err = s.Signalfd(nil, 1)
			want(t, "signalfd with flag 1", err, sys.EINVAL)
			if f, _ := s.Fcntl(fd, sys.F_GETFD, 0); f != sys.FD_CLOEXEC {
				t.Errorf("F_GETFD: %d", f)
			}
			buf := make([]byte, 8)
			_, err = s.Read(fd, buf)
			want(t, "read of nothing", err, sys.EAGAIN)
			fds := []sys.PollFd{{Fd: int32(fd), Events: sys.POLLIN}}
			if n, err := s.Poll(fds, 0); n != 0 || err != nil {
				t.Errorf("poll: %d, %v", n, err)
			}
			s.Kill(pid, sys.SIGTERM)
			s.Kill(pid, sys.SIGTERM) // pending already: they are one
			s.Kill(pid, sys.SIGHUP)
			if n, err := s.Poll(fds, 0); n != 1 || fds[0].Revents != sys.POLLIN || err != nil {
				t.Errorf("poll: %d, %x, %v", n, fds[0].Revents, err)
			}
			n, err := s.Read(fd, buf)
			if string(buf[:n]) != "\x01\x0f" || err != nil {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			// A blocking read is woken by a signal from another thread.
			s.Fcntl(fd, sys.F_SETFL, 0)
			s.Go("sender", func(s sys.Sys) {
				s.Nanosleep(10 * time.Millisecond)
				s.Kill(pid, sys.SIGHUP)
			})
			n, err = s.Read(fd, buf)
			if string(buf[:n]) != "\x01" || err != nil {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			return 0
		})
	})
}

func TestSigaction(t *testing.T) {
	m := boot(t, fake.Config{})
	m.Install("/bin/child", 0o755, func(s sys.Sys, argv, env []string) int {
		s.Kill(s.Getpid(), sys.SIGHUP) // ignored by inheritance, as SIGTERM is not
		s.Kill(s.Getpid(), sys.SIGTERM)
		return 0
	})
	exits(t, m, func(s sys.Sys) int {
		want(t, "SIGKILL", s.Sigaction(sys.SIGKILL, sys.SIG_IGN), sys.EINVAL)
		want(t, "signal 0", s.Sigaction(0, sys.SIG_IGN), sys.EINVAL)
		want(t, "disposition 7", s.Sigaction(sys.SIGHUP, 7), sys.EINVAL)
		ok(t, "SIGHUP", s.Sigaction(sys.SIGHUP, sys.SIG_IGN))
		fd, _ := s.Signalfd([]sys.Signal{sys.SIGTERM}, sys.SFD_NONBLOCK)
		s.Kill(s.Getpid(), sys.SIGTERM)
		ok(t, "SIGTERM", s.Sigaction(sys.SIGTERM, sys.SIG_IGN))
		_, err := s.Read(fd, make([]byte, 1))
		want(t, "read of an ignored signal", err, sys.EAGAIN)
		s.Kill(s.Getpid(), sys.SIGTERM)
		pid := spawn(t, s, "/bin/child", "child")
		if _, status, _ := s.Wait4(pid, 0); status.Signal() != sys.SIGTERM {
			t.Errorf("child: %x", status)
		}
		return 0
	})
}

func TestSigchld(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/true", 0o755, func(s sys.Sys, argv, env []string) int { return 0 })
		exits(t, m, func(s sys.Sys) int {
			fd, _ := s.Signalfd([]sys.Signal{sys.SIGCHLD}, 0)
			pid := spawn(t, s, "/bin/true", "true")
			buf := make([]byte, 1)
			if n, err := s.Read(fd, buf); n != 1 || buf[0] != byte(sys.SIGCHLD) || err != nil {
				t.Errorf("read: %d %v %v", n, buf, err)
			}
			if wpid, _, err := s.Wait4(-1, sys.WNOHANG); wpid != pid || err != nil {
				t.Errorf("wait4 after SIGCHLD: %d, %v", wpid, err)
			}
			// Who ignores it has no zombies; wait4 waits for all, for ECHILD.
			s.Sigaction(sys.SIGCHLD, sys.SIG_IGN)
			spawn(t, s, "/bin/true", "true")
			_, _, err := s.Wait4(-1, 0)
			want(t, "wait4", err, sys.ECHILD)
			return 0
		})
	})
}

// What a handled signal does to a blocked call, see signal(7).
func TestInterruptedCalls(t *testing.T) {
	const timeout = time.Hour
	for _, tc := range []struct {
		name string
		call func(s sys.Sys) error
		err  error // nil: restarted, so that the end of the file comes
	}{
		{"nanosleep", func(s sys.Sys) error { return s.Nanosleep(timeout) }, sys.EINTR},
		{"poll", func(s sys.Sys) error {
			_, err := s.Poll([]sys.PollFd{{Fd: 5, Events: sys.POLLIN}}, timeout)
			return err
		}, sys.EINTR},
		{"epoll_wait", func(s sys.Sys) error {
			ep, _ := s.EpollCreate1(0)
			s.EpollCtl(ep, sys.EPOLL_CTL_ADD, 5, sys.EpollEvent{Events: sys.EPOLLIN})
			_, err := s.EpollWait(ep, make([]sys.EpollEvent, 1), timeout)
			return err
		}, sys.EINTR},
		{"semtimedop", func(s sys.Sys) error {
			id, _ := s.Semget(sys.IPC_PRIVATE, 1, 0o600)
			return s.Semtimedop(id, []sys.Sembuf{{Op: -1}}, -1)
		}, sys.EINTR},
		{"futex with a timeout", func(s sys.Sys) error { return s.FutexWaitPrivate(new(uint32), 0, timeout) }, sys.EINTR},
		{"recv with SO_RCVTIMEO", func(s sys.Sys) error {
			a, _, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM, 0)
			ok(t, "socketpair", err)
			ok(t, "setsockopt", s.SetsockoptTimeval(a, sys.SOL_SOCKET, sys.SO_RCVTIMEO, timeout))
			_, err = s.Recv(a, make([]byte, 1), 0)
			return err
		}, sys.EINTR},
		{"read", func(s sys.Sys) error {
			_, err := s.Read(5, make([]byte, 1))
			return err
		}, nil},
		{"wait4", func(s sys.Sys) error {
			pid := spawn(t, s, "/bin/sleep", "sleep")
			s.Go("killer", func(s sys.Sys) {
				s.Nanosleep(time.Second)
				s.Kill(pid, sys.SIGKILL)
			})
			_, _, err := s.Wait4(pid, 0)
			return err
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := boot(t, fake.Config{})
			m.Install("/bin/sleep", 0o755, func(s sys.Sys, argv, env []string) int { s.Nanosleep(timeout); return 0 })
			exits(t, m, func(s sys.Sys) int {
				s.Signalfd([]sys.Signal{sys.SIGUSR1}, 0) // 3
				s.Open("/", 0, 0)                        // 4
				_, w, err := s.Pipe2(0)                  // 5 and 6
				ok(t, "pipe2", err)
				done := false
				pid := s.Getpid()
				s.Go("signals", func(s sys.Sys) {
					// One of the threads is interrupted: send until it was the other.
					for range 20 {
						s.Nanosleep(10 * time.Millisecond)
						s.Kill(pid, sys.SIGUSR1)
					}
					if tc.err != nil && !done {
						t.Error("20 signals did not interrupt it")
					}
					s.Close(w)
				})
				err = tc.call(s)
				done = true
				want(t, tc.name, err, tc.err)
				return 0
			})
		})
	}
}

// A write to a broken pipe does not kill; SIGPIPE can be asked for.
func TestSigpipe(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		r, w, _ := s.Pipe2(0)
		s.Close(r)
		s.Dup3(w, 1, 0)
		_, err := s.Write(1, []byte("x"))
		want(t, "write", err, sys.EPIPE)
		fd, _ := s.Signalfd([]sys.Signal{sys.SIGPIPE}, sys.SFD_NONBLOCK)
		_, err = s.Read(fd, make([]byte, 1))
		want(t, "read of a signal from before", err, sys.EAGAIN)
		a, b, _ := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		s.Close(b)
		_, err = s.Send(a, []byte("x"), sys.MSG_NOSIGNAL)
		want(t, "send", err, sys.EPIPE)
		_, err = s.Read(fd, make([]byte, 1))
		want(t, "read after MSG_NOSIGNAL", err, sys.EAGAIN)
		_, err = s.Send(a, []byte("x"), 0)
		want(t, "send", err, sys.EPIPE)
		buf := make([]byte, 1)
		if n, err := s.Read(fd, buf); n != 1 || buf[0] != byte(sys.SIGPIPE) || err != nil {
			t.Errorf("read: %d %v %v", n, buf, err)
		}
		// Of sockets only streams send it (seen on Linux).
		a, b, _ = s.Socketpair(sys.AF_UNIX, sys.SOCK_DGRAM, 0)
		want(t, "shutdown", s.Shutdown(b, sys.SHUT_RD), nil)
		_, err = s.Send(a, []byte("x"), 0)
		want(t, "send", err, sys.EPIPE)
		_, err = s.Read(fd, buf)
		want(t, "read after a datagram", err, sys.EAGAIN)
		return 0
	})
}

// An edge-triggered epoll tells of each signal that arrives, and of one that is
// pending already not again (seen on Linux).
func TestEpollOfASignalfd(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		fd, err := s.Signalfd([]sys.Signal{sys.SIGUSR1, sys.SIGUSR2}, sys.SFD_NONBLOCK)
		want(t, "signalfd", err, nil)
		ep, _ := s.EpollCreate1(0)
		want(t, "epoll_ctl", s.EpollCtl(ep, sys.EPOLL_CTL_ADD, fd, sys.EpollEvent{Events: sys.EPOLLIN | sys.EPOLLET}), nil)
		expect := func(what string, events int) {
			t.Helper()
			if n, err := s.EpollWait(ep, make([]sys.EpollEvent, 2), 0); n != events || err != nil {
				t.Errorf("%s: %d events, %v, want %d", what, n, err, events)
			}
		}
		read := func() { want(t, "read", func() error { _, err := s.Read(fd, make([]byte, 1)); return err }(), nil) }
		kill := func(sig sys.Signal) { want(t, "kill", s.Kill(s.Getpid(), sig), nil) }
		expect("nothing", 0)
		kill(sys.SIGUSR1)
		expect("SIGUSR1", 1)
		expect("told", 0)
		kill(sys.SIGUSR1)
		expect("SIGUSR1 that is pending", 0)
		kill(sys.SIGUSR2)
		expect("SIGUSR2", 1)
		read()
		expect("read one of two", 0)
		read()
		kill(sys.SIGUSR1)
		expect("SIGUSR1 again", 1)
		return 0
	})
}
