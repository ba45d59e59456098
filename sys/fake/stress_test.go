package fake_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// Processes that take every kind of lock are killed at random moments while
// others need the locks. Nobody may hang, and nothing may be left.
func TestKillsUnderContention(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		m.MkdirAll("/run", 0o777, 0, 0)
		var turns atomic.Int64
		m.Install("/bin/worker", 0o755, func(s sys.Sys, argv, env []string) int {
			a, _ := s.Open("/run/flock", sys.O_RDWR|sys.O_CREAT, 0o600)
			b, _ := s.Open("/run/posix", sys.O_RDWR|sys.O_CREAT, 0o600)
			c, _ := s.Open("/run/ofd", sys.O_RDWR|sys.O_CREAT, 0o600)
			sem, err := s.Semget(1, 1, 0)
			if err != nil {
				return 1
			}
			s.Go("second", func(s sys.Sys) {
				for {
					s.Flock(a, sys.LOCK_SH)
					s.Flock(a, sys.LOCK_UN)
					s.Nanosleep(50 * time.Microsecond)
				}
			})
			for {
				s.Semtimedop(sem, []sys.Sembuf{{Op: -1, Flg: sys.SEM_UNDO}}, -1)
				s.Flock(a, sys.LOCK_EX)
				s.FcntlFlock(b, sys.F_SETLKW, &sys.Flock{Type: sys.F_WRLCK})
				s.FcntlFlock(c, sys.F_OFD_SETLKW, &sys.Flock{Type: sys.F_WRLCK})
				turns.Add(1)
				sys.WriteAll(s, 0, []byte("."))
				s.FcntlFlock(c, sys.F_OFD_SETLKW, &sys.Flock{Type: sys.F_UNLCK})
				s.FcntlFlock(b, sys.F_SETLKW, &sys.Flock{Type: sys.F_UNLCK})
				s.Flock(a, sys.LOCK_UN)
				s.Semtimedop(sem, []sys.Sembuf{{Op: 1, Flg: sys.SEM_UNDO}}, -1)
			}
		})
		var sem int
		exits(t, m, func(s sys.Sys) int {
			sem, _ = s.Semget(1, 1, sys.IPC_CREAT|0o600)
			s.SemSetval(sem, 0, 1)
			exe, _ := s.Open("/bin/worker", sys.O_PATH|sys.O_CLOEXEC, 0)
			r, w, _ := s.Pipe2(sys.O_CLOEXEC)
			s.Go("reader", func(s sys.Sys) {
				buf := make([]byte, 100)
				for {
					if n, err := s.Read(r, buf); n == 0 || err != nil {
						return
					}
				}
			})
			start := func(i int) int {
				pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{fmt.Sprint("worker", i)}, Files: []int{w}})
				ok(t, "spawn", err)
				return pid
			}
			pids := make([]int, 6)
			for i := range pids {
				pids[i] = start(i)
			}
			var rnd [150]byte
			s.Getrandom(rnd[:])
			for _, b := range rnd {
				s.Nanosleep(time.Duration(b) * time.Microsecond)
				i := int(b) % len(pids)
				ok(t, "kill", s.Kill(pids[i], sys.SIGKILL))
				if wpid, status, err := s.Wait4(pids[i], 0); wpid != pids[i] || status.Signal() != sys.SIGKILL || err != nil {
					t.Errorf("wait4: %d %x %v", wpid, status, err)
				}
				pids[i] = start(i)
			}
			before := turns.Load()
			for turns.Load() < before+10 { // they still get their turns
				s.Nanosleep(time.Millisecond)
			}
			for _, pid := range pids {
				s.Kill(pid, sys.SIGKILL)
				s.Wait4(pid, 0)
			}
			if v, err := s.SemGetval(sem, 0); v != 1 || err != nil {
				t.Errorf("semaphore %d, %v after all were killed", v, err)
			}
			for _, path := range []string{"/run/flock", "/run/posix", "/run/ofd"} {
				fd, _ := s.Open(path, sys.O_RDWR, 0)
				ok(t, "flock "+path, s.Flock(fd, sys.LOCK_EX|sys.LOCK_NB))
				ok(t, "fcntl "+path, s.FcntlFlock(fd, sys.F_OFD_SETLK, &sys.Flock{Type: sys.F_WRLCK}))
			}
			return 0
		})
	})
}
