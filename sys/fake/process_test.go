package fake_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// sleeper installs a program that sleeps for an hour.
func sleeper(m *fake.Machine) {
	m.Install("/bin/sleep", 0o755, func(s sys.Sys, argv, env []string) int {
		s.Nanosleep(time.Hour)
		return 0
	})
}

// spawn starts path with argv0 and the three standard descriptors.
func spawn(t *testing.T, s sys.Sys, path string, argv ...string) int {
	t.Helper()
	exe, err := s.Open(path, sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		t.Errorf("open %s: %v", path, err)
		return -1
	}
	defer s.Close(exe)
	pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: argv, Files: []int{0, 1, 2}})
	if err != nil {
		t.Errorf("spawn %s: %v", path, err)
	}
	return pid
}

func TestKillIsSeenByTheParent(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		sleeper(m)
		exits(t, m, func(s sys.Sys) int {
			pid := spawn(t, s, "/bin/sleep", "sleep")
			wpid, _, err := s.Wait4(pid, sys.WNOHANG)
			if wpid != 0 || err != nil {
				t.Errorf("WNOHANG: %d, %v", wpid, err)
			}
			ok(t, "kill", s.Kill(pid, sys.SIGKILL))
			wpid, status, err := s.Wait4(pid, 0)
			if wpid != pid || !status.Signaled() || status.Signal() != sys.SIGKILL || status.Exited() || err != nil {
				t.Errorf("wait4: %d, %x, %v", wpid, status, err)
			}
			want(t, "kill of the reaped", s.Kill(pid, 0), sys.ESRCH)
			return 0
		})
	})
}

func TestKillToAZombieSucceeds(t *testing.T) {
	m := boot(t, fake.Config{})
	m.Install("/bin/true", 0o755, func(s sys.Sys, argv, env []string) int { return 0 })
	exits(t, m, func(s sys.Sys) int {
		pid := spawn(t, s, "/bin/true", "true")
		s.Nanosleep(time.Second)
		if ps := m.Processes(); !slices.ContainsFunc(ps, func(p fake.ProcInfo) bool { return p.Pid == pid && p.Zombie }) {
			t.Errorf("no zombie %d: %v", pid, ps)
		}
		ok(t, "kill", s.Kill(pid, sys.SIGTERM))
		_, status, err := s.Wait4(pid, 0)
		if status != 0 || err != nil {
			t.Errorf("wait4: %x, %v", status, err)
		}
		return 0
	})
}

func TestOrphansGoToInit(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		result := make(chan [2]int, 1)
		m.Install("/bin/grandchild", 0o755, func(s sys.Sys, argv, env []string) int {
			before := s.Getppid()
			for s.Getppid() == before {
				s.Nanosleep(time.Millisecond)
			}
			result <- [2]int{before, s.Getppid()}
			return 0
		})
		m.Install("/bin/child", 0o755, func(s sys.Sys, argv, env []string) int {
			spawn(t, s, "/bin/grandchild", "grandchild")
			s.Nanosleep(20 * time.Millisecond)
			return 0
		})
		var child int
		exits(t, m, func(s sys.Sys) int {
			child = spawn(t, s, "/bin/child", "child")
			s.Wait4(child, 0)
			for len(result) == 0 {
				s.Nanosleep(time.Millisecond)
			}
			return 0
		})
		if got := <-result; got != [2]int{child, 1} {
			t.Errorf("parents %v, want %d then 1", got, child)
		}
	})
}

func TestProcessGroupsAndSessions(t *testing.T) {
	m := boot(t, fake.Config{})
	sleeper(m)
	exits(t, m, func(s sys.Sys) int {
		self := s.Getpid()
		exe, _ := s.Open("/bin/sleep", sys.O_PATH, 0)
		a, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"a"}, Setpgid: true})
		ok(t, "spawn", err)
		b, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"b"}})
		ok(t, "spawn", err)
		pgid := func(pid int) int {
			g, err := s.Getpgid(pid)
			ok(t, "getpgid", err)
			return g
		}
		if pgid(a) != a || pgid(b) != self || pgid(0) != self {
			t.Errorf("groups %d %d %d", pgid(a), pgid(b), pgid(0))
		}
		_, err = s.Getpgid(9999)
		want(t, "getpgid of nobody", err, sys.ESRCH)
		want(t, "setpgid of a child after exec", s.Setpgid(b, b), sys.EACCES)
		want(t, "setpgid of a session leader", s.Setpgid(0, 0), sys.EPERM)
		want(t, "setpgid of a stranger", s.Setpgid(1, 0), sys.ESRCH)
		want(t, "setpgid to < 0", s.Setpgid(0, -1), sys.EINVAL)
		_, err = s.Setsid()
		want(t, "setsid of a group leader", err, sys.EPERM)

		_, _, err = s.Wait4(-9999, 0)
		want(t, "wait4 of no group", err, sys.ECHILD)
		ok(t, "kill the group", s.Kill(-a, sys.SIGTERM))
		wpid, status, err := s.Wait4(-a, 0)
		if wpid != a || status.Signal() != sys.SIGTERM || err != nil {
			t.Errorf("wait4 of group a: %d %v %v", wpid, status.Signal(), err)
		}
		want(t, "kill of the group that is gone", s.Kill(-a, 0), sys.ESRCH)
		s.Kill(b, sys.SIGINT)
		wpid, status, err = s.Wait4(0, 0)
		if wpid != b || status.Signal() != sys.SIGINT || err != nil {
			t.Errorf("wait4 of the own group: %d %v %v", wpid, status.Signal(), err)
		}
		return 0
	})
}

func TestExitEndsAllThreads(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		unwound := make(chan string, 3)
		pid := m.StartFunc("test", func(s sys.Sys) int {
			defer func() { unwound <- "main" }()
			for range 2 {
				ok(t, "go", s.Go("second", func(s sys.Sys) {
					defer func() {
						unwound <- "second"
						s.Write(1, []byte("never")) // a call of the dead
						unwound <- "never"
					}()
					s.Nanosleep(time.Hour)
				}))
			}
			s.Nanosleep(10 * time.Millisecond)
			s.Exit(5)
			return 6
		})
		status, err := m.Wait(pid)
		if status.ExitStatus() != 5 || err != nil {
			t.Errorf("Wait: %v, %v", status.ExitStatus(), err)
		}
		m.Close()
		var got []string
		for len(unwound) > 0 {
			got = append(got, <-unwound)
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"main", "second", "second"}) {
			t.Errorf("unwound: %v", got)
		}
	})
}

func TestReturnOfMainEndsThreads(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		exits(t, m, func(s sys.Sys) int {
			tid := s.Gettid()
			if tid != s.Getpid() {
				t.Errorf("tid %d of the first thread of %d", tid, s.Getpid())
			}
			s.Go("second", func(s sys.Sys) { s.Nanosleep(time.Hour) })
			return 0
		})
	})
}

func TestGoexitOfMainIsStatus1(t *testing.T) {
	m := boot(t, fake.Config{})
	status, err := m.Wait(m.StartFunc("test", func(s sys.Sys) int {
		runtime.Goexit() // what Fatal of package testing does
		return 0
	}))
	if status.ExitStatus() != 1 || err != nil {
		t.Errorf("Wait: %v, %v", status.ExitStatus(), err)
	}
}

// A killed process leaves nothing behind, and its parent sees the death only
// after all is released.
func TestDeathReleasesEverything(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/holder", 0o755, func(s sys.Sys, argv, env []string) int {
			fd, _ := s.Open("/lock", sys.O_RDWR|sys.O_CREAT, 0o600)
			s.Flock(fd, sys.LOCK_EX)
			fd, _ = s.Open("/posix", sys.O_RDWR|sys.O_CREAT, 0o600)
			s.FcntlFlock(fd, sys.F_SETLK, &sys.Flock{Type: sys.F_WRLCK})
			sem, _ := s.Semget(77, 1, 0)
			s.Semtimedop(sem, []sys.Sembuf{{Op: -1, Flg: sys.SEM_UNDO}}, -1)
			shm, _ := s.Shmget(sys.IPC_PRIVATE, 100, 0o600)
			s.Shmat(shm, 0)
			s.ShmRmid(shm)
			l, _ := s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
			s.Bind(l, sys.UnixAddr("@holder"))
			s.Listen(l, 5)
			s.Go("sleeps on a file", func(s sys.Sys) {
				r, _, _ := s.Pipe2(0)
				s.Read(r, make([]byte, 1))
			})
			s.Write(0, []byte("ready"))
			s.Nanosleep(time.Hour)
			return 0
		})
		exits(t, m, func(s sys.Sys) int {
			sem, err := s.Semget(77, 1, sys.IPC_CREAT|0o600)
			ok(t, "semget", err)
			ok(t, "semctl", s.SemSetval(sem, 0, 1))
			r, w, _ := s.Pipe2(0)
			exe, _ := s.Open("/bin/holder", sys.O_PATH, 0)
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"holder"}, Files: []int{w}})
			ok(t, "spawn", err)
			s.Close(w)
			s.Read(r, make([]byte, 10))
			if v, _ := s.SemGetval(sem, 0); v != 0 {
				t.Errorf("semaphore is %d while it is held", v)
			}
			ok(t, "kill", s.Kill(pid, sys.SIGKILL))
			n, err := s.Read(r, make([]byte, 10)) // the end, when the holder is gone
			if n != 0 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			_, _, err = s.Wait4(pid, 0)
			ok(t, "wait4", err)

			if v, _ := s.SemGetval(sem, 0); v != 1 {
				t.Errorf("semaphore is %d after SEM_UNDO", v)
			}
			fd, _ := s.Open("/lock", sys.O_RDWR, 0)
			ok(t, "flock", s.Flock(fd, sys.LOCK_EX|sys.LOCK_NB))
			fd, _ = s.Open("/posix", sys.O_RDWR, 0)
			ok(t, "fcntl", s.FcntlFlock(fd, sys.F_SETLK, &sys.Flock{Type: sys.F_WRLCK}))
			ok(t, "semctl", s.SemRmid(sem))
			return 0
		})
		if len(m.ShmIDs()) != 0 || len(m.SemIDs()) != 0 || len(m.OpenListeners()) != 0 {
			t.Errorf("left: shm %v, sem %v, listeners %v", m.ShmIDs(), m.SemIDs(), m.OpenListeners())
		}
	})
}

func TestDeadProcessCannotTouchSharedMemory(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.Install("/bin/writer", 0o755, func(s sys.Sys, argv, env []string) int {
			mem, err := s.Mmap(0, 0, 8, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			if err != nil {
				return 1
			}
			defer mem.Store32(4, 99)
			mem.Store32(0, 1)
			s.Nanosleep(time.Hour)
			return 0
		})
		exits(t, m, func(s sys.Sys) int {
			fd, err := s.MemfdCreate("scoreboard", sys.MFD_CLOEXEC)
			ok(t, "memfd_create", err)
			ok(t, "ftruncate", s.Ftruncate(fd, 4096))
			mem, err := s.Mmap(fd, 0, 8, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			ok(t, "mmap", err)
			exe, _ := s.Open("/bin/writer", sys.O_PATH, 0)
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"writer"}, Files: []int{fd}})
			ok(t, "spawn", err)
			for mem.Load32(0) == 0 {
				s.Nanosleep(time.Millisecond)
			}
			s.Kill(pid, sys.SIGKILL)
			s.Wait4(pid, 0)
			s.Nanosleep(time.Millisecond)
			if v := mem.Load32(4); v != 0 {
				t.Errorf("the dead wrote %d", v)
			}
			buf := make([]byte, 4)
			if n, err := s.Pread(fd, buf, 0); n != 4 || buf[0] != 1 || err != nil {
				t.Errorf("pread of what was a hole: %d %v %v", n, buf, err)
			}
			ok(t, "munmap", s.Munmap(mem))
			ok(t, "munmap of nothing", s.Munmap(mem))
			want(t, "munmap without a length", s.Munmap(sys.Mem{}), sys.EINVAL)
			return 0
		})
	})
}

func TestParentDeathSignal(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		sleeper(m)
		m.Install("/bin/parent", 0o755, func(s sys.Sys, argv, env []string) int {
			exe, _ := s.Open("/bin/sleep", sys.O_PATH|sys.O_CLOEXEC, 0)
			s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"with"}, Files: []int{1}, Pdeathsig: sys.SIGTERM})
			s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"without"}})
			s.Nanosleep(time.Hour)
			return 0
		})
		exits(t, m, func(s sys.Sys) int {
			r, w, _ := s.Pipe2(0)
			exe, _ := s.Open("/bin/parent", sys.O_PATH, 0)
			pid, _ := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"parent"}, Files: []int{0, w}})
			s.Close(w)
			s.Nanosleep(20 * time.Millisecond)
			s.Kill(pid, sys.SIGKILL)
			// The end of the pipe comes when both the parent and "with" are dead.
			if n, err := s.Read(r, make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			s.Wait4(pid, 0)
			return 0
		})
		var names []string
		for _, p := range m.Processes() {
			names = append(names, p.Argv[0])
		}
		if !slices.Equal(names, []string{"without"}) {
			t.Errorf("left: %v", names)
		}
	})
}

func TestRlimits(t *testing.T) {
	m := boot(t, fake.Config{})
	sleeper(m)
	exits(t, m, func(s sys.Sys) int {
		ok(t, "setrlimit", s.Setrlimit(sys.RLIMIT_NOFILE, sys.Rlimit{Cur: 5, Max: 10}))
		lim, err := s.Getrlimit(sys.RLIMIT_NOFILE)
		if err != nil || lim != (sys.Rlimit{Cur: 5, Max: 10}) {
			t.Errorf("getrlimit: %v, %v", lim, err)
		}
		want(t, "soft above hard", s.Setrlimit(sys.RLIMIT_NOFILE, sys.Rlimit{Cur: 11, Max: 10}), sys.EINVAL)
		want(t, "resource 99", s.Setrlimit(99, sys.Rlimit{}), sys.EINVAL)
		want(t, "above nr_open", s.Setrlimit(sys.RLIMIT_NOFILE, sys.Rlimit{Max: 1 << 30}), sys.EPERM)

		for want := 3; want < 5; want++ {
			fd, err := s.Open("/", sys.O_RDONLY, 0)
			if fd != want || err != nil {
				t.Errorf("open: %d, %v", fd, err)
			}
		}
		_, err = s.Open("/new", sys.O_WRONLY|sys.O_CREAT, 0o600)
		want(t, "open above the limit", err, sys.EMFILE)
		var st sys.Stat
		want(t, "stat of what was not made", s.Stat("/new", &st), sys.ENOENT)
		_, _, err = s.Pipe2(0)
		want(t, "pipe2", err, sys.EMFILE)
		want(t, "dup3", s.Dup3(0, 5, 0), sys.EBADF)
		_, err = s.Fcntl(0, sys.F_DUPFD, 5)
		want(t, "F_DUPFD from the limit", err, sys.EINVAL)
		_, err = s.Fcntl(0, sys.F_DUPFD, 0)
		want(t, "F_DUPFD", err, sys.EMFILE)
		s.Close(4)

		ok(t, "setrlimit", s.Setrlimit(sys.RLIMIT_NPROC, sys.Rlimit{Cur: 1, Max: 1}))
		spawn(t, s, "/bin/sleep", "root is exempt")
		ok(t, "setresuid", s.Setresuid(99, 99, 99))
		exe, _ := s.Open("/bin/sleep", sys.O_PATH, 0)
		_, err = s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}})
		want(t, "spawn above RLIMIT_NPROC", err, sys.EAGAIN)
		want(t, "raise the hard limit", s.Setrlimit(sys.RLIMIT_NOFILE, sys.Rlimit{Max: 11}), sys.EPERM)
		return 0
	})
}

func TestFileSizeLimit(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		sig, _ := s.Signalfd([]sys.Signal{sys.SIGXFSZ}, sys.SFD_NONBLOCK)
		s.Setrlimit(sys.RLIMIT_FSIZE, sys.Rlimit{Cur: 3, Max: 3})
		fd, _ := s.Open("/f", sys.O_WRONLY|sys.O_CREAT, 0o600)
		if n, err := s.Write(fd, []byte("12345")); n != 3 || err != nil {
			t.Errorf("write up to the limit: %d, %v", n, err)
		}
		_, err := s.Read(sig, make([]byte, 1))
		want(t, "read of no signal", err, sys.EAGAIN)
		_, err = s.Write(fd, []byte("12345"))
		want(t, "write", err, sys.EFBIG)
		_, err = s.Read(sig, make([]byte, 1))
		ok(t, "read of SIGXFSZ", err)
		_, err = s.Pwrite(fd, []byte("1"), 3)
		want(t, "pwrite", err, sys.EFBIG)
		_, err = s.Read(sig, make([]byte, 1))
		ok(t, "read of SIGXFSZ", err)
		want(t, "ftruncate", s.Ftruncate(fd, 4), sys.EFBIG)
		_, err = s.Read(sig, make([]byte, 1))
		ok(t, "read of SIGXFSZ", err)
		want(t, "fallocate", s.Fallocate(fd, sys.FALLOC_FL_KEEP_SIZE, 0, 4), sys.EFBIG)
		_, err = s.Read(sig, make([]byte, 1))
		ok(t, "read of SIGXFSZ", err)
		want(t, "fallocate beyond all files", s.Fallocate(fd, 0, 1<<62, 4), sys.EFBIG)
		_, err = s.Read(sig, make([]byte, 1))
		want(t, "read of no signal", err, sys.EAGAIN)
		return 0
	})
}

func TestIntercept(t *testing.T) {
	var calls int
	m := boot(t, fake.Config{Intercept: func(s sys.Sys) sys.Sys { return countOpens{s, &calls} }})
	exits(t, m, func(s sys.Sys) int {
		s.Open("/nothing", 0, 0)
		return 0
	})
	if calls != 1 {
		t.Errorf("%d opens seen", calls)
	}
}

type countOpens struct {
	sys.Sys
	n *int
}

func (c countOpens) Open(path string, flags int, mode uint32) (int, error) {
	*c.n++
	return c.Sys.Open(path, flags, mode)
}
