package ipc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// kernel is what the scripts are run on: the simulated and the real one. semop
// has a timeout that is over at once.
type kernel interface {
	as(uid, gid int, groups ...int)
	semget(key, n, flags int) (int, error)
	semop(id int, ops ...sys.Sembuf) error
	setval(id, num, val int) error
	getval(id, num int) (int, error)
	semstat(id int) (sys.SemidDs, error)
	semset(id int, p sys.IpcPerm) error
	semrm(id int) error
	shmget(key, size, flags int) (int, error)
	shmat(id, flags int) ([]byte, error)
	shmdt(m []byte) error
	shmstat(id int) (sys.ShmidDs, error)
	shmset(id int, p sys.IpcPerm) error
	shmrm(id int) error
}

type fakeKernel struct {
	x *IPC
	t *vfs.Task
}

func newTask(th *sched.Thread, pid int) *vfs.Task {
	return &vfs.Task{Thread: th, Cred: &vfs.Cred{Caps: ^uint64(0)}, Pid: pid, Owner: pid}
}

func (k *fakeKernel) as(uid, gid int, groups ...int) {
	c := &vfs.Cred{Uid: uint32(uid), Gid: uint32(gid)}
	if uid == 0 {
		c.Caps = ^uint64(0)
	}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	k.t.Cred = c
}
func (k *fakeKernel) semget(key, n, flags int) (int, error) { return k.x.Semget(k.t, key, n, flags) }
func (k *fakeKernel) semop(id int, ops ...sys.Sembuf) error {
	return k.x.Semtimedop(k.t, id, ops, k.t.Thread.Now())
}
func (k *fakeKernel) setval(id, num, val int) error       { return k.x.SemSetval(k.t, id, num, val) }
func (k *fakeKernel) getval(id, num int) (int, error)     { return k.x.SemGetval(k.t, id, num) }
func (k *fakeKernel) semstat(id int) (sys.SemidDs, error) { return k.x.SemStat(k.t, id) }
func (k *fakeKernel) semset(id int, p sys.IpcPerm) error  { return k.x.SemSet(k.t, id, p) }
func (k *fakeKernel) semrm(id int) error                  { return k.x.SemRmid(k.t, id) }
func (k *fakeKernel) shmget(key, size, flags int) (int, error) {
	return k.x.Shmget(k.t, key, size, flags)
}
func (k *fakeKernel) shmat(id, flags int) ([]byte, error) { return k.x.Shmat(k.t, id, flags) }
func (k *fakeKernel) shmdt(m []byte) error                { return k.x.Shmdt(k.t, m) }
func (k *fakeKernel) shmstat(id int) (sys.ShmidDs, error) { return k.x.ShmStat(k.t, id) }
func (k *fakeKernel) shmset(id int, p sys.IpcPerm) error  { return k.x.ShmSet(k.t, id, p) }
func (k *fakeKernel) shmrm(id int) error                  { return k.x.ShmRmid(k.t, id) }

// onFake runs fn in one thread.
func onFake(t *testing.T, fn func(*fakeKernel)) {
	t.Helper()
	s := sched.New(sched.Deterministic, 1)
	x := New(time.Unix(1000, 0))
	s.Go(1, "test", nil, func(th *sched.Thread) { fn(&fakeKernel{x, newTask(th, 1)}) })
	if err := s.Run(nil); err != nil {
		t.Fatal(err)
	}
}

// script writes down what calls return.
type script struct {
	k   kernel
	log strings.Builder
}

func (s *script) note(what string, err error, result ...any) {
	if e, ok := err.(sys.Errno); ok {
		fmt.Fprintf(&s.log, "%s: %s\n", what, sys.ErrnoName(e))
	} else if err != nil {
		fmt.Fprintf(&s.log, "%s: %v\n", what, err)
	} else {
		fmt.Fprintln(&s.log, append([]any{what + ":"}, append(result, "ok")...)...)
	}
}
func (s *script) as(uid, gid int, groups ...int) {
	fmt.Fprintln(&s.log, "as", uid, gid, groups)
	s.k.as(uid, gid, groups...)
}
func (s *script) semget(key, n, flags int) int {
	id, err := s.k.semget(key, n, flags)
	s.note(fmt.Sprintf("semget %#x %d %#o", key, n, flags), err, id)
	return id
}
func (s *script) op(id int, ops ...sys.Sembuf) {
	what := fmt.Sprint("semop ", ops)
	if len(ops) > 4 {
		what = fmt.Sprint("semop of ", len(ops))
	}
	s.note(what, s.k.semop(id, ops...))
}
func (s *script) setval(id, num, val int) {
	s.note(fmt.Sprintf("setval %d %d", num, val), s.k.setval(id, num, val))
}
func (s *script) vals(id, n int) {
	for i := range n {
		v, err := s.k.getval(id, i)
		s.note(fmt.Sprintf("getval %d", i), err, v)
	}
}
func (s *script) semstat(id int) {
	d, err := s.k.semstat(id)
	s.note("semstat", err, d.Perm, d.Nsems, d.Otime != 0, d.Ctime != 0)
}
func (s *script) semset(id int, p sys.IpcPerm) { s.note(fmt.Sprint("semset ", p), s.k.semset(id, p)) }
func (s *script) semrm(id int)                 { s.note("semrm", s.k.semrm(id)) }
func (s *script) shmget(key, size, flags int) int {
	id, err := s.k.shmget(key, size, flags)
	s.note(fmt.Sprintf("shmget %#x %d %#o", key, size, flags), err, id)
	return id
}
func (s *script) shmat(id, flags int) []byte {
	m, err := s.k.shmat(id, flags)
	s.note(fmt.Sprintf("shmat %#o", flags), err, len(m))
	return m
}
func (s *script) shmdt(m []byte) { s.note("shmdt", s.k.shmdt(m)) }
func (s *script) shmstat(id int) {
	d, err := s.k.shmstat(id)
	s.note("shmstat", err, d.Perm, d.Segsz, d.Nattch, d.Atime != 0, d.Dtime != 0, d.Ctime != 0)
}
func (s *script) shmset(id int, p sys.IpcPerm) { s.note(fmt.Sprint("shmset ", p), s.k.shmset(id, p)) }
func (s *script) shmrm(id int)                 { s.note("shmrm", s.k.shmrm(id)) }

const (
	creat  = sys.IPC_CREAT
	excl   = sys.IPC_EXCL
	nowait = sys.IPC_NOWAIT
	undo   = sys.SEM_UNDO
)

func op(num uint16, delta int16, flags int16) sys.Sembuf {
	return sys.Sembuf{Num: num, Op: delta, Flg: flags}
}

var scripts = []struct {
	name string
	run  func(s *script)
}{
	{"semget", func(s *script) {
		s.semget(0, 0, 0o600)
		s.semget(0, -1, 0o600)
		s.semget(0, 32001, 0o600)
		a := s.semget(0, 3, 0o640)
		s.semstat(a)
		s.semget(5, 1, 0)
		s.semget(5, 0, creat)
		b := s.semget(5, 2, creat|0o600)
		s.semget(5, 2, 0)
		s.semget(5, 0, 0)
		s.semget(5, 3, 0)
		s.semget(5, 3, creat|excl|0o600)
		s.semget(5, 2, excl|0o600)
		s.semrm(a)
		s.semrm(a)
		s.semstat(a)
		s.semget(0, 1, 0o600)
		s.semrm(b)
		for range 70 {
			id, err := s.k.semget(0, 1, 0o600)
			s.note("ids", err, id)
			s.k.semrm(id)
		}
	}},
	{"semop", func(s *script) {
		id := s.semget(0, 3, 0o600)
		s.semstat(id)
		s.op(id)
		s.op(-1, op(0, 1, 0))
		s.op(id+1, op(0, 1, 0))
		s.op(id, op(3, 1, 0))
		s.op(id, make([]sys.Sembuf, 500)...)
		s.op(id, make([]sys.Sembuf, 501)...)
		s.op(id, op(0, -1, nowait))
		s.op(id, op(0, -1, 0))
		s.op(id, op(0, 2, 0), op(1, 3, 0))
		s.semstat(id)
		s.vals(id, 3)
		s.op(id, op(0, -2, 0), op(2, -1, nowait))
		s.op(id, op(0, -2, nowait), op(2, -1, 0))
		s.vals(id, 3)
		s.op(id, op(0, 0, nowait))
		s.op(id, op(2, 0, nowait), op(2, 1, 0), op(2, 0, nowait))
		s.op(id, op(2, 0, 0), op(2, 1, 0))
		s.vals(id, 3)
		s.op(id, op(0, -1, 0), op(0, -1, 0), op(0, 0, 0))
		s.vals(id, 3)
		s.setval(id, 0, 32767)
		s.op(id, op(1, 1, 0), op(0, 1, 0))
		s.vals(id, 3)
		s.setval(id, 0, 32768)
		s.setval(id, 0, -1)
		s.setval(id, 3, 1)
		s.setval(id, -1, 1)
		s.setval(id+1, 0, 1)
		s.vals(id, 4)
		s.op(id, op(1, -2, undo))
		s.setval(id, 1, 32767)
		s.op(id, op(1, -32767, undo), op(1, 0, 0))
		s.setval(id, 1, 32767)
		s.op(id, op(1, -32767, undo))
		s.setval(id, 1, 1)
		s.op(id, op(1, -1, undo|nowait))
		s.vals(id, 3)
	}},
	{"sem-undo-range", func(s *script) {
		id := s.semget(0, 1, 0o600)
		s.setval(id, 0, 32767)
		s.op(id, op(0, -32767, undo)) // adjustment 32767
		s.op(id, op(0, 1, 0))
		s.op(id, op(0, -1, undo|nowait)) // 32768
		s.op(id, op(0, -1, nowait))
		s.op(id, op(0, 32767, undo)) // 0
		s.op(id, op(0, -32767, 0))
		s.op(id, op(0, 32767, undo)) // -32767
		s.op(id, op(0, -32767, 0))
		s.op(id, op(0, 1, undo)) // -32768
		s.op(id, op(0, 1, undo)) // -32769
		s.vals(id, 1)
	}},
	{"sem-permissions", func(s *script) {
		id := s.semget(7, 1, creat|0o640)
		s.semset(id, sys.IpcPerm{Uid: 100, Gid: 200, Mode: 0o7640})
		s.semstat(id)
		s.setval(id, 0, 5)
		s.as(100, 1)
		s.semget(7, 1, 0o600)
		s.semstat(id)
		s.op(id, op(0, 1, 0))
		s.op(id, op(0, 0, nowait))
		s.as(101, 200)
		s.semget(7, 1, 0o600)
		s.semget(7, 1, 0o400)
		s.semget(7, 1, 0)
		s.vals(id, 1)
		s.op(id, op(0, 1, 0))
		s.op(id, op(0, 0, nowait))
		s.setval(id, 0, 1)
		s.setval(id, 9, 1)
		s.semset(id, sys.IpcPerm{Uid: 101})
		s.semrm(id)
		s.as(101, 1, 200)
		s.vals(id, 1)
		s.as(101, 1)
		s.vals(id, 1)
		s.semstat(id)
		s.op(id, op(9, 1, 0))
		s.as(100, 1)
		s.semset(id, sys.IpcPerm{Uid: 101, Gid: 1, Mode: 0o600})
		s.semstat(id)
		s.semrm(id)
		s.as(101, 1)
		s.semstat(id)
		s.semset(id, sys.IpcPerm{Uid: ^uint32(0), Gid: 1, Mode: 0o600})
		s.semrm(id)
		s.as(0, 0)
	}},
	{"shm", func(s *script) {
		s.shmget(0, 0, 0o600)
		s.shmget(9, 100, 0)
		id := s.shmget(9, 100, creat|0o600)
		s.shmget(9, 0, 0)
		s.shmget(9, 101, 0)
		s.shmget(9, 100, creat|excl)
		s.shmstat(id)
		m := s.shmat(id, 0)
		s.shmstat(id)
		n := s.shmat(id, sys.SHM_RDONLY)
		m[3] = 7
		s.note("shared", nil, n[3])
		s.shmstat(id)
		s.shmrm(id)
		s.shmstat(id)
		s.shmget(9, 100, 0)
		o := s.shmat(id, 0)
		s.shmdt(o)
		s.shmdt(m)
		s.shmrm(id)
		s.shmset(id, sys.IpcPerm{Uid: 1, Gid: 2, Mode: 0o644})
		s.shmstat(id)
		s.shmdt(n)
		s.shmstat(id)
		s.shmat(id, 0)
		s.shmat(-1, 0)
		p := s.shmget(0, 4096, 0o600)
		s.shmrm(p)
		s.shmstat(p)
	}},
	{"shm-permissions", func(s *script) {
		id := s.shmget(9, 100, creat|0o640)
		s.shmset(id, sys.IpcPerm{Uid: 100, Gid: 200, Mode: 0o640})
		s.as(101, 200)
		s.shmat(id, 0)
		s.shmdt(s.shmat(id, sys.SHM_RDONLY))
		s.shmstat(id)
		s.shmrm(id)
		s.shmset(id, sys.IpcPerm{Uid: 101})
		s.as(101, 1)
		s.shmat(id, sys.SHM_RDONLY)
		s.shmget(9, 0, 0o400)
		s.shmstat(id)
		s.as(100, 1)
		s.shmdt(s.shmat(id, 0))
		s.shmrm(id)
		s.as(0, 0)
	}},
}

// TestScripts runs each script on the simulated kernel and on the real one and
// compares both with testdata. Set UPDATE_SCRIPTS to write what the real kernel
// does.
func TestScripts(t *testing.T) {
	for _, sc := range scripts {
		t.Run(sc.name, func(t *testing.T) {
			golden := filepath.Join("testdata", sc.name+".txt")
			var real script
			if onHost(t, func(k kernel) { real.k = k; sc.run(&real) }) {
				if os.Getenv("UPDATE_SCRIPTS") != "" {
					if err := os.WriteFile(golden, []byte(real.log.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			b, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(string(b), "\n")
			if real.k != nil {
				if d := cmp.Diff(want, strings.Split(real.log.String(), "\n")); d != "" {
					t.Errorf("the real kernel (-testdata +real):\n%s", d)
				}
			}
			onFake(t, func(k *fakeKernel) {
				s := script{k: k}
				sc.run(&s)
				if d := cmp.Diff(want, strings.Split(s.log.String(), "\n")); d != "" {
					t.Errorf("the simulated kernel (-testdata +simulated):\n%s", d)
				}
			})
		})
	}
}
