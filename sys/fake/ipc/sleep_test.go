package ipc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// machine is some threads, each of a process of its own, that log what they do.
type machine struct {
	*sched.Sched
	t   *testing.T
	x   *IPC
	f   *Futexes
	log []string // deterministic mode
}

func newMachine(t *testing.T, mode sched.Mode) *machine {
	return &machine{Sched: sched.New(mode, 1), t: t, x: New(time.Unix(0, 0)), f: NewFutexes()}
}

func (m *machine) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *machine) start(pid int, fn func(*vfs.Task)) *sched.Thread {
	return m.Go(pid, fmt.Sprint("process ", pid), nil, func(th *sched.Thread) {
		th.Switch()
		fn(newTask(th, pid))
	})
}

// die is what the kernel does when a process is killed.
func (m *machine) die(th *sched.Thread) {
	th.Kill()
	m.x.UndoAll(th.ID, m.Now())
	m.x.DetachAll(th.ID, th.ID, m.Now())
}

func (m *machine) run() {
	m.t.Helper()
	if err := m.Run(nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) expect(want ...string) {
	m.t.Helper()
	if !slices.Equal(m.log, want) {
		m.t.Errorf("log:\n\t%s\nwant:\n\t%s", strings.Join(m.log, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// set makes a semaphore set before the machine runs.
func (m *machine) set(vals ...int) (id int) {
	m.start(1, func(t *vfs.Task) {
		id, _ = m.x.Semget(t, sys.IPC_PRIVATE, len(vals), 0o600)
		for i, v := range vals {
			m.x.SemSetval(t, id, i, v)
		}
	})
	m.run()
	return id
}

// after runs fn in process pid at a time.
func (m *machine) after(pid int, at time.Duration, fn func(*vfs.Task)) *sched.Thread {
	return m.start(pid, func(t *vfs.Task) {
		t.Thread.Sleep(t.Thread.NewWaiter(), at)
		fn(t)
	})
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// down is a task that waits for ops and logs the outcome.
func (m *machine) down(pid, at, id int, until time.Duration, ops ...sys.Sembuf) *sched.Thread {
	return m.after(pid, ms(at), func(t *vfs.Task) {
		err := m.x.Semtimedop(t, id, ops, until)
		m.note("%d: %v at %v", pid, err, t.Thread.Now().Truncate(time.Millisecond))
	})
}

func TestWaitersAreServedInOrder(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(0)
	for i := range 4 {
		m.down(10+i, 10*(i+1), id, sched.Forever, op(0, -1, 0))
	}
	m.after(20, ms(100), func(t *vfs.Task) { m.x.Semtimedop(t, id, []sys.Sembuf{op(0, 2, 0)}, sched.Forever) })
	m.after(21, ms(200), func(t *vfs.Task) {
		m.x.Semtimedop(t, id, []sys.Sembuf{op(0, 2, 0)}, sched.Forever)
		// They were given to those who waited: nothing is left to overtake with.
		err := m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, nowait)}, sched.Forever)
		m.note("21: %v", err)
	})
	m.run()
	if len(m.log) != 5 || m.log[2] != "21: resource temporarily unavailable" {
		t.Fatal(m.log)
	}
	for i, batch := range [][]string{m.log[0:2], m.log[3:5]} {
		slices.Sort(batch) // who of the woken runs first is the scheduler's
		for j, line := range batch {
			if want := fmt.Sprintf("%d: <nil> at %dms", 10+2*i+j, 100*(i+1)); line != want {
				t.Errorf("%q, want %q", line, want)
			}
		}
	}
}

func TestSeveralOpsAreAllOrNothing(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(1, 0)
	m.down(10, 10, id, sched.Forever, op(0, -1, 0), op(1, -1, 0))
	m.down(11, 20, id, sched.Forever, op(0, -1, 0)) // takes what 10 cannot have yet
	m.after(12, ms(30), func(t *vfs.Task) { m.x.SemSetval(t, id, 1, 1) })
	m.after(13, ms(40), func(t *vfs.Task) { m.x.SemSetval(t, id, 0, 1) })
	m.run()
	m.expect("11: <nil> at 20ms", "10: <nil> at 40ms")
}

func TestWaitForZeroComesFirst(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(1)
	m.down(10, 10, id, sched.Forever, op(0, 0, 0), op(0, 5, 0))
	m.down(11, 20, id, sched.Forever, op(0, 0, 0))
	m.down(12, 30, id, sched.Forever, op(0, -1, 0))
	m.run()
	var got int
	m.start(1, func(t *vfs.Task) { got, _ = m.x.SemGetval(t, id, 0) })
	m.run()
	if got != 5 || len(m.log) != 3 {
		t.Error(got, m.log)
	}
}

func TestTimeoutSignalAndRemoval(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(0)
	m.down(10, 1, id, ms(50), op(0, -1, 0))
	th := m.down(11, 2, id, sched.Forever, op(0, -1, 0))
	m.down(12, 3, id, sched.Forever, op(0, -1, 0))
	m.after(20, ms(60), func(*vfs.Task) { th.Interrupt() })
	m.after(21, ms(70), func(t *vfs.Task) { m.x.SemRmid(t, id) })
	m.run()
	m.expect(
		"10: resource temporarily unavailable at 50ms",
		"11: interrupted system call at 60ms",
		"12: identifier removed at 70ms",
	)
	if ids := m.x.SemIDs(); len(ids) != 0 {
		t.Error("sets left:", ids)
	}
}

func TestUndoAtDeath(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(1, 3)
	owner := m.after(10, ms(1), func(t *vfs.Task) {
		m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, undo)}, sched.Forever)
		m.x.Semtimedop(t, id, []sys.Sembuf{op(1, 4, undo)}, sched.Forever)
		m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, undo)}, sched.Forever) // for ever
	})
	m.after(11, ms(2), func(t *vfs.Task) {
		m.x.Semtimedop(t, id, []sys.Sembuf{op(1, -5, 0)}, sched.Forever)
	})
	m.down(12, 3, id, sched.Forever, op(0, -1, undo))
	m.after(20, ms(10), func(*vfs.Task) { m.die(owner) })
	m.after(21, ms(20), func(t *vfs.Task) {
		v, _ := m.x.SemGetval(t, id, 1)
		m.note("clamped to %d", v) // 2 - 4
	})
	m.run()
	m.expect("12: <nil> at 10ms", "clamped to 0")
}

// A process that is killed while it waits takes nothing with it.
func TestDeadWaiterGetsNothing(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(0)
	dead := m.down(10, 1, id, sched.Forever, op(0, -1, 0))
	m.down(11, 2, id, sched.Forever, op(0, -1, 0))
	m.after(20, ms(10), func(t *vfs.Task) {
		m.die(dead)
		m.x.Semtimedop(t, id, []sys.Sembuf{op(0, 1, 0)}, sched.Forever)
	})
	m.run()
	m.expect("11: <nil> at 10ms")
}

func TestSetvalForgetsUndo(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(1)
	a := m.after(10, ms(1), func(t *vfs.Task) {
		m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, undo)}, sched.Forever)
	})
	m.after(11, ms(2), func(t *vfs.Task) {
		m.x.SemSetval(t, id, 0, 7)
		m.die(a)
		v, _ := m.x.SemGetval(t, id, 0)
		m.note("%d", v)
	})
	m.run()
	m.expect("7")
}

func TestSegmentGoesWithItsLastProcess(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a := m.after(10, ms(1), func(t *vfs.Task) {
		id, _ := m.x.Shmget(t, sys.IPC_PRIVATE, 64, 0o600)
		m.x.Shmat(t, id, 0)
		m.x.Shmat(t, id, 0)
		m.x.ShmRmid(t, id)
		m.note("attached: %v", m.x.ShmIDs())
	})
	m.after(11, ms(2), func(*vfs.Task) {
		m.die(a)
		m.note("dead: %v", m.x.ShmIDs())
	})
	m.run()
	m.expect("attached: [0]", "dead: []")
}

func TestDeadlockNamesTheSet(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	id := m.set(0)
	m.down(10, 1, id, sched.Forever, op(0, -1, 0))
	err := m.Run(nil)
	m.Stop()
	var dead *sched.Deadlock
	if !errors.As(err, &dead) || !strings.Contains(err.Error(), "process 10 on semaphore set 0") {
		t.Error(err)
	}
}

func TestFutex(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var word uint32 = 5
	for i := range 3 {
		m.after(10+i, ms(i+1), func(t *vfs.Task) {
			err := m.f.Wait(t.Thread, &word, 5, ms(100))
			m.note("%d: %v at %v", t.Pid, err, t.Thread.Now().Truncate(time.Millisecond))
		})
	}
	m.after(20, ms(10), func(t *vfs.Task) {
		m.note("%v", m.f.Wait(t.Thread, &word, 4, sched.Forever))
		m.note("woke %d", m.f.Wake(&word, 1))
	})
	m.after(21, ms(20), func(*vfs.Task) { m.note("woke %d", m.f.Wake(&word, 1)) })
	m.after(22, ms(200), func(*vfs.Task) { m.note("woke %d", m.f.Wake(&word, 5)) })
	m.run()
	m.expect(
		"resource temporarily unavailable",
		"woke 1", "10: <nil> at 10ms",
		"woke 1", "11: <nil> at 20ms",
		"12: "+sys.ETIMEDOUT.Error()+" at 100ms",
		"woke 0",
	)
	for i := range m.f.buckets {
		if n := len(m.f.buckets[i].queues); n != 0 {
			t.Error("queues left:", n)
		}
	}
}

// A wake-up for a futex waiter that is killed goes to the next.
func TestFutexWakeSkipsTheDead(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var word uint32
	wait := func(t *vfs.Task) {
		m.f.Wait(t.Thread, &word, 0, sched.Forever)
		m.note("%d woke", t.Pid)
	}
	dead := m.after(10, ms(1), wait)
	m.after(11, ms(2), wait)
	m.after(20, ms(10), func(*vfs.Task) {
		m.f.Wake(&word, 1)
		dead.Kill()
	})
	m.run()
	m.expect("11 woke")
}

func TestFreeRunningMutualExclusion(t *testing.T) {
	m := newMachine(t, sched.FreeRunning)
	ready := make(chan int)
	m.start(1, func(t *vfs.Task) {
		id, _ := m.x.Semget(t, sys.IPC_PRIVATE, 1, 0o600)
		m.x.SemSetval(t, id, 0, 1)
		ready <- id
	})
	id := <-ready
	const processes, rounds = 8, 200
	shared := 0 // under the semaphore
	var lock, inside uint32
	done := make(chan error)
	for i := range processes {
		m.start(10+i, func(t *vfs.Task) {
			for range rounds {
				if err := m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, undo)}, sched.Forever); err != nil {
					done <- err
					return
				}
				shared++
				if err := m.x.Semtimedop(t, id, []sys.Sembuf{op(0, 1, undo)}, sched.Forever); err != nil {
					done <- err
					return
				}
				// A mutex over the futex: 0 free, 1 held.
				for !atomic.CompareAndSwapUint32(&lock, 0, 1) {
					m.f.Wait(t.Thread, &lock, 1, sched.Forever)
				}
				inside++
				atomic.StoreUint32(&lock, 0)
				m.f.Wake(&lock, 1)
			}
			done <- nil
		})
	}
	for range processes {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	m.Stop()
	if shared != processes*rounds || inside != processes*rounds {
		t.Error(shared, inside)
	}
}

// Killed at any moment, the owners of a SEM_UNDO mutex leave it free.
func TestFreeRunningKill(t *testing.T) {
	m := newMachine(t, sched.FreeRunning)
	ready := make(chan int)
	m.start(1, func(t *vfs.Task) {
		id, _ := m.x.Semget(t, sys.IPC_PRIVATE, 1, 0o600)
		m.x.SemSetval(t, id, 0, 1)
		ready <- id
	})
	id := <-ready
	for round := range 50 {
		var victims []*sched.Thread
		var turns atomic.Int32
		for i := range 4 {
			victims = append(victims, m.start(100+10*round+i, func(t *vfs.Task) {
				for {
					t.Thread.Switch()
					m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, undo)}, sched.Forever)
					turns.Add(1)
					m.x.Semtimedop(t, id, []sys.Sembuf{op(0, 1, undo)}, sched.Forever)
				}
			}))
		}
		for turns.Load() < 20 {
			time.Sleep(time.Microsecond)
		}
		for _, v := range victims {
			m.die(v)
		}
	}
	got := make(chan error)
	m.start(2, func(t *vfs.Task) {
		got <- m.x.Semtimedop(t, id, []sys.Sembuf{op(0, -1, nowait)}, sched.Forever)
	})
	if err := <-got; err != nil {
		t.Error("the mutex is held by a dead process:", err)
	}
	m.Stop()
}
