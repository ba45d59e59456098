package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// simulation runs functions as threads of processes of their own.
type simulation struct {
	t *testing.T
	k *Tree
	s *sched.Sched
	n int
}

func newSimulation(t *testing.T, mode sched.Mode, seed uint64) *simulation {
	m := &simulation{t: t, k: New(time.Unix(1_767_225_600, 0)), s: sched.New(mode, seed)}
	t.Cleanup(m.s.Stop)
	return m
}

func (m *simulation) start(name string, fn func(*Task)) *sched.Thread {
	m.n++
	task := m.k.imageTask()
	task.image = false
	task.Pid = m.n
	task.Owner = task
	return m.s.Go(m.n, name, nil, func(th *sched.Thread) {
		task.Thread = th
		fn(task)
	})
}

func (m *simulation) run() {
	m.t.Helper()
	if err := m.s.Run(nil); err != nil {
		m.t.Fatal(err)
	}
}

// open is Tree.Open for tests: it must not fail.
func (m *simulation) open(task *Task, path string, flags int) *Description {
	d, err := m.k.Open(task, Path{}, path, BuildOpenHow(flags, 0o666))
	if err != nil {
		m.t.Errorf("open %s: %v", path, err)
	}
	return d
}

func seeds(t *testing.T, n uint64, f func(t *testing.T, seed uint64)) {
	for seed := range n {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { f(t, seed) })
	}
}

func TestFlockMutualExclusion(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		m := newSimulation(t, sched.Deterministic, seed)
		writers, readers, served := 0, 0, 0
		for i := range 6 {
			how := sys.LOCK_EX
			if i%3 == 0 {
				how = sys.LOCK_SH
			}
			m.start(fmt.Sprint("p", i), func(task *Task) {
				d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
				defer d.Decref(task)
				for range 5 {
					task.Thread.Switch()
					if err := m.k.Flock(task, d, how); err != nil {
						t.Error(err)
					}
					if how == sys.LOCK_EX {
						writers++
					} else {
						readers++
					}
					if writers > 1 || writers == 1 && readers > 0 {
						t.Errorf("%d writers and %d readers hold the lock", writers, readers)
					}
					task.Thread.Switch()
					if how == sys.LOCK_EX {
						writers--
					} else {
						readers--
					}
					served++
					if err := m.k.Flock(task, d, sys.LOCK_UN); err != nil {
						t.Error(err)
					}
				}
			})
		}
		m.run()
		if served != 30 {
			t.Errorf("%d locks were had, want 30", served)
		}
	})
}

func TestFlockDiesWithItsOwner(t *testing.T) {
	m := newSimulation(t, sched.Deterministic, 1)
	var order []string
	var held *Description
	holder := m.start("holder", func(task *Task) {
		held = m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
		m.k.Flock(task, held, sys.LOCK_EX)
		task.Thread.Sleep(task.Thread.NewWaiter(), sched.Forever)
	})
	var waiter *sched.Thread
	wait := func(name string) *sched.Thread {
		return m.start(name, func(task *Task) {
			d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
			defer d.Decref(task)
			if m.k.Flock(task, d, sys.LOCK_EX) == nil {
				order = append(order, name)
			}
		})
	}
	m.s.Run(func() bool { return held != nil && len(held.Inode().locks.flocks) == 1 })
	waiter = wait("first")
	m.s.Run(func() bool { return len(held.Inode().locks.flockWaiters) == 1 })
	wait("second")
	m.s.Run(func() bool { return len(held.Inode().locks.flockWaiters) == 2 })
	// The holder dies; the first waiter, woken, dies before it runs.
	holder.Kill()
	held.Decref(nil)
	waiter.Kill()
	m.run()
	if got := strings.Join(order, " "); got != "second" {
		t.Errorf("got the lock: %q, want second", got)
	}
	if l := &held.Inode().locks; len(l.flocks)+len(l.flockWaiters) > 0 {
		t.Errorf("left behind: %d locks, %d waiters", len(l.flocks), len(l.flockWaiters))
	}
}

func TestLockInterrupted(t *testing.T) {
	for _, kind := range []string{"flock", "posix", "ofd"} {
		t.Run(kind, func(t *testing.T) {
			m := newSimulation(t, sched.Deterministic, 1)
			lock := func(task *Task, d *Description) error {
				switch kind {
				case "flock":
					return m.k.Flock(task, d, sys.LOCK_EX)
				case "posix":
					return m.k.FcntlFlock(task, d, sys.F_SETLKW, &sys.Flock{Type: sys.F_WRLCK})
				}
				return m.k.FcntlFlock(task, d, sys.F_OFD_SETLKW, &sys.Flock{Type: sys.F_WRLCK})
			}
			var held *Description
			m.start("holder", func(task *Task) {
				held = m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
				lock(task, held)
				task.Thread.Sleep(task.Thread.NewWaiter(), task.Thread.Now()+time.Second)
				held.Decref(task)
				m.k.DropPosixLocks(task.Owner, held)
			})
			m.s.Run(func() bool { return held != nil })
			var got error
			waiter := m.start("waiter", func(task *Task) {
				d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
				defer d.Decref(task)
				got = lock(task, d)
			})
			l := &held.Inode().locks
			m.s.Run(func() bool { return len(l.flockWaiters)+len(l.posixWaiters) == 1 })
			waiter.Interrupt()
			m.run()
			if got != sys.EINTR {
				t.Errorf("got %v, want EINTR", got)
			}
			if len(l.flocks)+len(l.posix)+len(l.flockWaiters)+len(l.posixWaiters)+len(m.k.locks.waiters) > 0 {
				t.Error("locks or waiters are left behind")
			}
		})
	}
}

func TestPosixDeadlock(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		for n := 2; n <= 4; n++ {
			m := newSimulation(t, sched.Deterministic, seed)
			deadlocks, got := 0, 0
			ready := 0
			for i := range n {
				m.start(fmt.Sprint("p", i), func(task *Task) {
					d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
					set := func(cmd int, typ int16, at int) error {
						return m.k.FcntlFlock(task, d, cmd, &sys.Flock{Type: typ, Start: int64(at), Len: 1})
					}
					if err := set(sys.F_SETLK, sys.F_WRLCK, i); err != nil {
						t.Error(err)
					}
					for ready++; ready < n; {
						task.Thread.Switch()
					}
					task.Thread.Switch()
					switch err := set(sys.F_SETLKW, sys.F_WRLCK, (i+1)%n); err {
					case sys.EDEADLK:
						deadlocks++
					case nil:
						got++
					default:
						t.Error(err)
					}
					m.k.DropPosixLocks(task.Owner, d)
					d.Decref(task)
				})
			}
			m.run()
			if deadlocks != 1 || got != n-1 {
				t.Errorf("ring of %d: %d got EDEADLK and %d the lock, want 1 and %d", n, deadlocks, got, n-1)
			}
		}
	})
}

func TestOFDLocksHaveNoDeadlockDetection(t *testing.T) {
	m := newSimulation(t, sched.Deterministic, 1)
	ready := 0
	for i := range 2 {
		m.start(fmt.Sprint("p", i), func(task *Task) {
			d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
			m.k.FcntlFlock(task, d, sys.F_OFD_SETLK, &sys.Flock{Type: sys.F_WRLCK, Start: int64(i), Len: 1})
			for ready++; ready < 2; {
				task.Thread.Switch()
			}
			m.k.FcntlFlock(task, d, sys.F_OFD_SETLKW, &sys.Flock{Type: sys.F_WRLCK, Start: int64(1 - i), Len: 1})
		})
	}
	var dead *sched.Deadlock
	if err := m.s.Run(nil); !errors.As(err, &dead) || !strings.Contains(err.Error(), "fcntl lock") {
		t.Errorf("got %v, want a deadlock of two in fcntl", err)
	}
}

func TestPosixLockWaits(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		m := newSimulation(t, sched.Deterministic, seed)
		owner := [8]int{}
		for i := range 5 {
			m.start(fmt.Sprint("p", i), func(task *Task) {
				d := m.open(task, "/lock", sys.O_RDWR|sys.O_CREAT)
				defer d.Decref(task)
				for n := range 6 {
					at := (i + n*3) % 6
					lk := sys.Flock{Type: sys.F_WRLCK, Start: int64(at), Len: 2}
					if err := m.k.FcntlFlock(task, d, sys.F_SETLKW, &lk); err != nil {
						t.Error(err)
					}
					for b := at; b < at+2; b++ {
						if owner[b] != 0 {
							t.Errorf("byte %d is locked twice", b)
						}
						owner[b] = i + 1
					}
					task.Thread.Switch()
					owner[at], owner[at+1] = 0, 0
					lk.Type = sys.F_UNLCK
					m.k.FcntlFlock(task, d, sys.F_SETLK, &lk)
				}
			})
		}
		m.run()
	})
}

func TestFifoOpenWaitsForItsPartner(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		m := newSimulation(t, sched.Deterministic, seed)
		m.k.Image().Mknod("/fifo", sys.S_IFIFO|0o666, 0, 0)
		var got []byte
		m.start("reader", func(task *Task) {
			d := m.open(task, "/fifo", sys.O_RDONLY)
			defer d.Decref(task)
			buf := make([]byte, 1000)
			for {
				task.Thread.Switch()
				n, err := d.Read(task, buf)
				if err != nil {
					t.Error(err)
				}
				if n == 0 {
					return
				}
				got = append(got, buf[:n]...)
			}
		})
		m.start("writer", func(task *Task) {
			task.Thread.Switch()
			d := m.open(task, "/fifo", sys.O_WRONLY)
			defer d.Decref(task)
			// More than the pipe holds: the write waits for the reader.
			n, err := d.Write(task, bytes.Repeat([]byte("x"), 200_000))
			if n != 200_000 || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		})
		m.run()
		if len(got) != 200_000 {
			t.Errorf("read %d bytes", len(got))
		}
		if p, _ := m.k.Lookup(m.k.imageTask(), "/fifo", true); p.Dentry.inode.opens.Load() != 0 {
			t.Error("the inode is still held")
		}
	})
}

func TestFifoOpenInterruptedAndKilled(t *testing.T) {
	m := newSimulation(t, sched.Deterministic, 1)
	m.k.Image().Mknod("/fifo", sys.S_IFIFO|0o666, 0, 0)
	p, _ := m.k.Lookup(m.k.imageTask(), "/fifo", true)
	ino := p.Dentry.inode
	var got error
	opener := func(flags int) *sched.Thread {
		return m.start("opener", func(task *Task) {
			_, got = m.k.Open(task, Path{}, "/fifo", BuildOpenHow(flags, 0))
		})
	}
	waits := func(n int) func() bool {
		return func() bool { return ino.pipe != nil && ino.pipe.partners.Len() == n }
	}
	th := opener(sys.O_RDONLY)
	m.s.Run(waits(1))
	th.Interrupt()
	m.run()
	if got != sys.EINTR {
		t.Errorf("got %v, want EINTR", got)
	}
	th = opener(sys.O_WRONLY)
	m.s.Run(waits(1))
	th.Kill()
	m.run()
	if ino.opens.Load() != 0 || ino.pipe.readers != 0 || ino.pipe.writers != 0 {
		t.Errorf("left behind: %d references, %d readers, %d writers", ino.opens.Load(), ino.pipe.readers, ino.pipe.writers)
	}
}

func TestPipeWakesOneReaderForOneByte(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		m := newSimulation(t, sched.Deterministic, seed)
		r, w, err := m.k.NewPipe(m.k.imageTask(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		for i := range 4 {
			m.start(fmt.Sprint("child", i), func(task *Task) {
				var b [1]byte
				task.Thread.Switch()
				if n, err := r.Read(task, b[:]); n != 1 || err != nil {
					t.Errorf("read: %d, %v", n, err)
				}
				ended++
			})
		}
		m.start("parent", func(task *Task) {
			for i := range 4 {
				task.Thread.Switch()
				w.Write(task, []byte{'!'})
				for ended <= i {
					task.Thread.Switch()
				}
				if ended != i+1 {
					t.Errorf("%d ended after %d bytes", ended, i+1)
				}
			}
		})
		m.run()
	})
}

func TestPipeAtomicity(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		m := newSimulation(t, sched.Deterministic, seed)
		r, w, _ := m.k.NewPipe(m.k.imageTask(), 0)
		const record, writers, each = 3000, 3, 40
		running := writers
		for i := range writers {
			m.start(fmt.Sprint("writer", i), func(task *Task) {
				for range each {
					task.Thread.Switch()
					if n, err := w.Write(task, bytes.Repeat([]byte{byte('a' + i)}, record)); n != record || err != nil {
						t.Errorf("write: %d, %v", n, err)
					}
				}
				if running--; running == 0 {
					w.Decref(task)
				}
			})
		}
		var got []byte
		m.start("reader", func(task *Task) {
			buf := make([]byte, 1777)
			for {
				task.Thread.Switch()
				n, _ := r.Read(task, buf)
				if n == 0 {
					return
				}
				got = append(got, buf[:n]...)
			}
		})
		m.run()
		if len(got) != record*writers*each {
			t.Fatalf("read %d bytes", len(got))
		}
		for ; len(got) > 0; got = got[record:] {
			if strings.Trim(string(got[:record]), string(got[:1])) != "" {
				t.Fatal("two writes of less than PIPE_BUF are mixed")
			}
		}
	})
}

func TestPipeWriteToClosedWakes(t *testing.T) {
	m := newSimulation(t, sched.Deterministic, 1)
	r, w, _ := m.k.NewPipe(m.k.imageTask(), 0)
	var n int
	var err error
	done := false
	m.start("writer", func(task *Task) {
		n, err = w.Write(task, make([]byte, 100_000))
		_, err = w.Write(task, []byte("x"))
		done = true
	})
	m.s.Run(func() bool { return w.File.(*pipeEnd).p.wr.Len() == 1 })
	r.Decref(nil)
	m.run()
	if n != 65536 || err != sys.EPIPE || !done {
		t.Errorf("wrote %d, then %v", n, err)
	}
}

// TestFreeRunning is for the race detector: threads in parallel on one tree.
func TestFreeRunning(t *testing.T) {
	m := newSimulation(t, sched.FreeRunning, 0)
	m.k.Image().MkdirAll("/d/e", 0o777)
	m.k.Image().WriteFile("/d/shared", make([]byte, 8192), 0o666)
	r, w, _ := m.k.NewPipe(m.k.imageTask(), 0)
	const threads = 4
	done := make(chan bool, threads)
	for i := range threads {
		m.start(fmt.Sprint("p", i), func(task *Task) {
			defer func() { done <- true }()
			shared := m.open(task, "/d/shared", sys.O_RDWR)
			defer shared.Decref(task)
			mem, err := shared.Mmap(task, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			if err != nil {
				t.Error(err)
				return
			}
			word := sys.NewMem(mem, nil)
			var st sys.Stat
			for n := range 200 {
				mine := fmt.Sprintf("/d/e/%d", i)
				d := m.open(task, mine, sys.O_RDWR|sys.O_CREAT|sys.O_APPEND)
				d.Write(task, []byte("line\n"))
				d.Decref(task)
				m.k.Stat(task, "/d/shared", &st)
				m.k.Rename(task, mine, "/d/e/last", 0)
				m.k.Stat(task, "/d/e/last", &st)
				m.k.Flock(task, shared, sys.LOCK_EX)
				word.Store64(8, word.Load64(8)+1)
				m.k.Flock(task, shared, sys.LOCK_UN)
				lk := sys.Flock{Type: sys.F_WRLCK, Len: 1}
				m.k.FcntlFlock(task, shared, sys.F_SETLKW, &lk)
				shared.Pwrite(task, []byte("123"), int64(17+n%13))
				lk.Type = sys.F_UNLCK
				m.k.FcntlFlock(task, shared, sys.F_SETLK, &lk)
				var buf [64]byte
				shared.Pread(task, buf[:], 3)
				w.Write(task, buf[:1+n%7])
				if dir, err := m.k.Open(task, Path{}, "/d/e", BuildOpenHow(sys.O_RDONLY, 0)); err == nil {
					dir.Getdents(task)
					dir.Decref(task)
				}
				m.k.Chmod(task, "/d/shared", 0o666)
				r.Read(task, buf[:1+n%5])
			}
		})
	}
	for range threads {
		<-done
	}
	data, err := m.k.Image().ReadFile("/d/shared")
	if err != nil || len(data) != 8192 {
		t.Fatal(len(data), err)
	}
	shared, _ := m.k.Open(m.k.imageTask(), Path{}, "/d/shared", BuildOpenHow(sys.O_RDWR, 0))
	mem, _ := shared.Mmap(m.k.imageTask(), 0, 4096, sys.PROT_READ, sys.MAP_SHARED)
	if n := sys.NewMem(mem, nil).Load64(8); n != threads*200 {
		t.Errorf("the counter under flock is %d, want %d", n, threads*200)
	}
}
