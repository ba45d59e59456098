package real

import (
	"fmt"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

// readSignals reads n signals from fd.
func readSignals(s sys.Sys, fd, n int) (got []sys.Signal) {
	p := make([]byte, 1)
	for len(got) < n {
		switch m, err := s.Read(fd, p); {
		case err == sys.EINTR:
		case m != 1 || err != nil:
			return got
		default:
			got = append(got, sys.Signal(p[0]))
		}
	}
	return got
}

func TestSignalfd(t *testing.T) {
	s := New()
	sigs := []sys.Signal{sys.SIGUSR1, sys.SIGHUP, sys.SIGTERM, sys.SIGKILL}
	fd, err := s.Signalfd(sigs, sys.SFD_CLOEXEC)
	ok(t, err)
	closing(t, s, fd)
	defer signal.Reset(syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR2)
	for _, sig := range sigs[:3] { // at once: none may be lost
		ok(t, s.Kill(s.Getpid(), sig))
	}
	got := readSignals(s, fd, 3)
	slices.Sort(got)
	if want := []sys.Signal{sys.SIGHUP, sys.SIGUSR1, sys.SIGTERM}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if fl, err := s.Fcntl(fd, sys.F_GETFD, 0); fl != sys.FD_CLOEXEC || err != nil {
		t.Error(fl, err)
	}

	fd, err = s.Signalfd([]sys.Signal{sys.SIGUSR2}, sys.SFD_NONBLOCK)
	ok(t, err)
	closing(t, s, fd)
	if fl, err := s.Fcntl(fd, sys.F_GETFD, 0); fl != 0 || err != nil {
		t.Error(fl, err)
	}
	_, err = s.Read(fd, make([]byte, 1))
	fails(t, err, sys.EAGAIN)

	_, err = s.Signalfd([]sys.Signal{0}, 0)
	fails(t, err, sys.EINVAL)
	_, err = s.Signalfd([]sys.Signal{65}, 0)
	fails(t, err, sys.EINVAL)
	_, err = s.Signalfd(nil, 1)
	fails(t, err, sys.EINVAL)
}

func init() {
	// A flood of one signal that nobody reads must not displace another.
	children["flood"] = func(s sys.Sys) int {
		fd, err := s.Signalfd([]sys.Signal{sys.SIGUSR1, sys.SIGTERM}, sys.SFD_CLOEXEC)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		// Make the pipe small: 4096 signals fill it.
		if _, err := s.Fcntl(fd, syscall.F_SETPIPE_SZ, 4096); err != nil {
			fmt.Println(err)
			return 1
		}
		for range 6000 {
			s.Kill(s.Getpid(), sys.SIGUSR1)
		}
		s.Kill(s.Getpid(), sys.SIGTERM)
		for {
			if got := readSignals(s, fd, 1); got[0] == sys.SIGTERM {
				return 0
			}
		}
	}
	children["default"] = func(s sys.Sys) int {
		fd, err := s.Signalfd([]sys.Signal{sys.SIGTERM}, sys.SFD_CLOEXEC)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		s.Kill(s.Getpid(), sys.SIGTERM)
		fmt.Println(readSignals(s, fd, 1))
		s.Sigaction(sys.SIGTERM, sys.SIG_IGN)
		s.Kill(s.Getpid(), sys.SIGTERM)
		s.Sigaction(sys.SIGTERM, sys.SIG_DFL)
		fmt.Println("alive")
		s.Kill(s.Getpid(), sys.SIGTERM)
		select {}
	}
	// write(2) to a broken pipe fails and does not kill, whatever its number: it
	// is os.File that kills the process for 1 and 2.
	children["sigpipe"] = func(s sys.Sys) int {
		r, w, _ := s.Pipe2(sys.O_CLOEXEC)
		s.Close(r)
		out, _ := s.Fcntl(1, sys.F_DUPFD_CLOEXEC, 10)
		s.Dup3(w, 1, 0)
		_, err := s.Write(1, []byte("x"))
		s.Dup3(out, 1, 0)
		fmt.Println(err == sys.EPIPE)
		return 0
	}
	// With SIGCHLD ignored nobody becomes a zombie, see wait(2).
	children["nozombies"] = func(s sys.Sys) int {
		exe, _ := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
		s.Sigaction(sys.SIGCHLD, sys.SIG_IGN)
		_, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Env: childEnviron("exit0"), Files: []int{0, 1, 2}})
		fmt.Println(err)
		_, _, err = s.Wait4(-1, 0)
		fmt.Println(err == sys.ECHILD)
		return 0
	}
}

func TestBrokenPipe(t *testing.T) {
	if got := runChild(t, "sigpipe"); got != "true" {
		t.Errorf("child says %q", got)
	}
}

func TestSignalFlood(t *testing.T) { runChild(t, "flood") }

func TestSigaction(t *testing.T) {
	s := New()
	exe := self(t, s)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r)
	pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Env: childEnviron("default"), Files: []int{0, w, w}})
	ok(t, err)
	ok(t, s.Close(w))
	if got, want := readAll(s, r), "[SIGTERM]\nalive\n"; got != want {
		t.Errorf("child says %q, want %q", got, want)
	}
	if st := exitStatus(t, s, pid); !st.Signaled() || st.Signal() != sys.SIGTERM {
		t.Errorf("status %#x, want death by SIGTERM", st)
	}
	if got, want := runChild(t, "nozombies"), "<nil>\ntrue"; got != want {
		t.Errorf("child says %q, want %q", got, want)
	}
	fails(t, s.Sigaction(sys.SIGKILL, sys.SIG_IGN), sys.EINVAL)
	fails(t, s.Sigaction(sys.SIGTERM, 2), sys.EINVAL)
	fails(t, s.Sigaction(65, sys.SIG_DFL), sys.EINVAL)
}

func TestKill(t *testing.T) {
	s := New()
	ok(t, s.Kill(s.Getpid(), 0))
	fails(t, s.Kill(1<<30, 0), sys.ESRCH)
	fails(t, s.Kill(s.Getpid(), 99), sys.EINVAL)
}
