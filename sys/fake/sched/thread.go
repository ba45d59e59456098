package sched

import (
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Thread is a simulated thread.
type Thread struct {
	ID   int    // the tid, unique among the living
	Name string // for deadlock reports
	Data any    // the kernel's
	// Call is the system call that the thread is in, for deadlock reports. Only
	// the thread itself sets it.
	Call string

	sched       *Sched
	killed      atomic.Bool
	interrupted atomic.Bool
	halted      atomic.Bool
	halt        atomic.Bool // Halt came during this call
	wasHalted   bool        // see WasHalted

	// Free-running mode.
	park  chan struct{} // holds a token when the thread must look again
	timer *time.Timer

	// Deterministic mode.
	next     func() (struct{}, bool)
	yield    func(struct{}) bool
	sleeping bool
	ended    bool
	deadline time.Duration // when sleeping; Forever: not in timers
	queue    string        // the queue's name, when sleeping in Queue.Wait
}

// Go starts a thread that runs fn. In deterministic mode it first runs when it
// is picked. fn runs even if t is killed before that, so that it can clean up:
// it asks t.Killed first.
func (s *Sched) Go(id int, name string, data any, fn func(*Thread)) *Thread {
	t := &Thread{ID: id, Name: name, Data: data, sched: s}
	if s.mode == FreeRunning {
		t.park = make(chan struct{}, 1)
		s.mu.Lock()
		s.threads[t] = struct{}{}
		s.idle.Add(1)
		if s.stopped {
			t.killed.Store(true)
		}
		s.mu.Unlock()
		go func() {
			defer func() {
				s.mu.Lock()
				delete(s.threads, t)
				s.mu.Unlock()
				s.idle.Done()
			}()
			fn(t)
		}()
		return t
	}
	t.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer t.end()
		fn(t)
	})
	s.live = insert(s.live, t, byID)
	s.runnable = insert(s.runnable, t, byID)
	return t
}

func (t *Thread) end() {
	t.ended = true
	t.sched.live = remove(t.sched.live, t)
}

// Sched is the scheduler that runs t.
func (t *Thread) Sched() *Sched { return t.sched }

// Now is the monotonic time.
func (t *Thread) Now() time.Duration { return t.sched.Now() }

// Running reports whether the caller can be t: in deterministic mode only the
// thread that was picked runs. In free-running mode it is always true.
func (t *Thread) Running() bool {
	return t.sched.mode == FreeRunning || t.sched.current.Load() == t
}

// Switch is the switch point at the start of a system call. In deterministic
// mode time moves and another thread may run. It does not return when t was
// killed. A signal that arrived before the call does not interrupt it.
func (t *Thread) Switch() {
	if t.killed.Load() {
		runtime.Goexit()
	}
	if s := t.sched; s.mode == Deterministic {
		s.now += CallTime
		s.runnable = insert(s.runnable, t, byID)
		t.pause()
		if t.killed.Load() {
			runtime.Goexit()
		}
	}
	t.interrupted.Store(false)
	t.halt.Store(false)
}

// pause gives way to whatever is chosen to run next, and returns when it is t.
// When that is at once no coroutine is switched.
func (t *Thread) pause() {
	s := t.sched
	if c := s.choose(); c.thread != t {
		s.chosen = c
		t.yield(struct{}{})
	}
}

// ready makes a sleeping thread runnable, in deterministic mode.
func (t *Thread) ready() {
	s := t.sched
	t.sleeping = false
	if t.deadline != Forever {
		s.timers = remove(s.timers, t)
	}
	s.runnable = insert(s.runnable, t, byID)
}

// unpark makes t look again at what it sleeps for.
func (t *Thread) unpark() {
	if t.sched.mode == FreeRunning {
		select {
		case t.park <- struct{}{}:
		default: // a token is there already
		}
	} else if t.sleeping {
		t.ready()
	}
}

// Kill ends t, see the package's comment. It may be called by t itself, which
// then goes on until its next switch point.
func (t *Thread) Kill() {
	if t.killed.Swap(true) {
		return
	}
	t.unpark()
	if s := t.sched; s.mode == Deterministic && !t.ended && s.current.Load() != t {
		s.runnable = remove(s.runnable, t)
		s.dying = insert(s.dying, t, byID)
	}
}

// Killed reports whether Kill was called.
func (t *Thread) Killed() bool { return t.killed.Load() }

// Interrupt ends the sleep that t is in, or that the system call it is in is
// about to begin, with EINTR: a signal arrived that has a handler.
func (t *Thread) Interrupt() {
	t.interrupted.Store(true)
	t.unpark()
}

// Halt ends the sleep that t is in, and those that it begins until Resume, with
// EINTR: a signal stops its process. Whoever sleeps leaves the queues meanwhile, so
// that no wake-up is spent on it.
func (t *Thread) Halt() {
	t.halted.Store(true)
	t.halt.Store(true)
	t.unpark()
}

// Resume ends a Halt. The sleep that Halt ended stays ended.
func (t *Thread) Resume() { t.halted.Store(false) }

// WasHalted tells t whether its last EINTR came from Halt, and not from Interrupt.
func (t *Thread) WasHalted() bool { return t.wasHalted }

// Park sleeps until w is woken, whatever signals arrive. name is for deadlock
// reports. It does not return when t was killed.
func (t *Thread) Park(w *Waiter, name string) {
	t.queue = name
	for {
		if t.killed.Load() {
			runtime.Goexit()
		}
		if w.woken.Swap(false) {
			t.queue = ""
			return
		}
		t.block(Forever)
	}
}

// Waiter is one wait of one thread, possibly in several queues at once.
type Waiter struct {
	t     *Thread
	woken atomic.Bool
}

// NewWaiter makes a waiter for t that is in no queue.
func (t *Thread) NewWaiter() *Waiter { return &Waiter{t: t} }

// Wake wakes the waiter, and says whether it was not woken already.
func (w *Waiter) Wake() bool {
	if w.t.killed.Load() || w.woken.Swap(true) {
		return false
	}
	w.t.unpark()
	return true
}

// Sleep waits until w is woken (nil), the deadline is reached (ETIMEDOUT) or the
// thread is interrupted (EINTR). It returns nil at once when w was woken since
// NewWaiter or the Sleep before. It does not return when t was killed.
func (t *Thread) Sleep(w *Waiter, deadline time.Duration) error {
	for {
		// Killed comes first: a wake-up that a dead thread takes with it is
		// handed on by Queue.Remove.
		if t.killed.Load() {
			runtime.Goexit()
		}
		if w.woken.Swap(false) {
			return nil
		}
		if t.interrupted.Swap(false) {
			t.wasHalted = false
			return sys.EINTR
		}
		if t.halt.Swap(false) || t.halted.Load() {
			t.wasHalted = true
			return sys.EINTR
		}
		if t.Now() >= deadline {
			return sys.ETIMEDOUT
		}
		t.block(deadline)
	}
}

// block returns when t was unparked or the deadline is reached, or earlier.
func (t *Thread) block(deadline time.Duration) {
	s := t.sched
	if s.mode == Deterministic {
		t.sleeping = true
		if t.deadline = deadline; deadline != Forever {
			s.timers = insert(s.timers, t, byDeadline)
		}
		t.pause()
		return
	}
	if deadline == Forever {
		<-t.park
		return
	}
	if t.timer == nil {
		t.timer = time.NewTimer(deadline - t.Now())
	} else {
		t.timer.Reset(deadline - t.Now())
	}
	select {
	case <-t.park:
		t.timer.Stop()
	case <-t.timer.C:
	}
}
