package thread

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// futexes is a futex in the sense of futex(7) with the means of package sync,
// enough to run this package without a backend. It counts calls.
type futexes struct {
	mu      sync.Mutex
	waiting map[*uint32][]chan struct{}
	calls   atomic.Int64
	asleep  atomic.Int64
	threads sync.WaitGroup
}

func newFutexes() *futexes { return &futexes{waiting: map[*uint32][]chan struct{}{}} }

// handle is a thread's Sys.
type handle struct {
	sys.Clock
	f *futexes
}

func (h handle) Gettid() int                            { return 1 }
func (h handle) Monotonic() time.Duration               { return time.Since(start) }
func (h handle) Go(name string, fn func(sys.Sys)) error { panic("not used") }

var start = time.Now()

func (f *futexes) run(fn func(s Sys)) {
	f.threads.Go(func() { fn(handle{f: f}) })
}

func (h handle) FutexWaitPrivate(addr *uint32, val uint32, timeout time.Duration) error {
	f := h.f
	f.calls.Add(1)
	f.mu.Lock()
	if atomic.LoadUint32(addr) != val {
		f.mu.Unlock()
		return sys.EAGAIN
	}
	ch := make(chan struct{})
	f.waiting[addr] = append(f.waiting[addr], ch)
	f.mu.Unlock()
	f.asleep.Add(1)
	defer f.asleep.Add(-1)
	var timer <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ch:
		return nil
	case <-timer:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, c := range f.waiting[addr] {
		if c == ch {
			f.waiting[addr] = append(f.waiting[addr][:i:i], f.waiting[addr][i+1:]...)
			return sys.ETIMEDOUT
		}
	}
	return nil // a wake came first
}

func (h handle) FutexWakePrivate(addr *uint32, n int) int {
	f := h.f
	f.calls.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.waiting[addr]
	n = min(n, len(w))
	for _, ch := range w[:n] {
		close(ch)
	}
	f.waiting[addr] = w[n:]
	return n
}

// untilAsleep waits until n threads sleep in a futex.
func (f *futexes) untilAsleep(n int64) {
	for f.asleep.Load() != n {
		time.Sleep(100 * time.Microsecond)
	}
}

func TestMutexExcludes(t *testing.T) {
	f := newFutexes()
	var m Mutex
	n := 0 // guarded by m; the race detector watches
	const threads, rounds = 8, 500
	for range threads {
		f.run(func(s Sys) {
			for range rounds {
				m.Lock(s)
				n++
				m.Unlock(s)
			}
		})
	}
	f.threads.Wait()
	if n != threads*rounds {
		t.Errorf("n = %d, want %d", n, threads*rounds)
	}
}

func TestMutexFastPathMakesNoCall(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	var m Mutex
	var c Cond
	var w WaitGroup
	m.Lock(s)
	if m.TryLock() {
		t.Error("TryLock of a locked Mutex succeeded")
	}
	m.Unlock(s)
	if !m.TryLock() {
		t.Error("TryLock of an unlocked Mutex failed")
	}
	m.Unlock(s)
	c.Signal(s)
	c.Broadcast(s)
	w.Add(1)
	w.Done(s)
	w.Wait(s)
	q := NewQueue[int](2)
	if err := q.Put(s, 1, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Get(s, -1); err != nil {
		t.Fatal(err)
	}
	if n := f.calls.Load(); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestMutexUnlockOfUnlockedPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var m Mutex
	m.Unlock(handle{f: newFutexes()})
}

func TestMutexSleepsWhileHeld(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	var m Mutex
	m.Lock(s)
	got := false
	f.run(func(s Sys) { m.Lock(s); got = true; m.Unlock(s) })
	f.untilAsleep(1)
	if got {
		t.Error("entered while held")
	}
	m.Unlock(s)
	f.threads.Wait()
	if !got {
		t.Error("never entered")
	}
}

func TestCondSignalWakesOneBroadcastAll(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	var m Mutex
	var c Cond
	tokens, taken := 0, 0
	for range 3 {
		f.run(func(s Sys) {
			m.Lock(s)
			for tokens == 0 {
				c.Wait(s, &m)
			}
			tokens--
			taken++
			m.Unlock(s)
		})
	}
	f.untilAsleep(3)
	m.Lock(s)
	tokens = 1
	m.Unlock(s)
	c.Signal(s)
	f.untilAsleep(2)
	m.Lock(s)
	for taken != 1 {
		m.Unlock(s)
		time.Sleep(100 * time.Microsecond)
		m.Lock(s)
	}
	tokens = 2
	m.Unlock(s)
	c.Broadcast(s)
	f.threads.Wait()
	if taken != 3 || tokens != 0 {
		t.Errorf("taken %d, tokens %d", taken, tokens)
	}
}

func TestCondTimeout(t *testing.T) {
	s := handle{f: newFutexes()}
	var m Mutex
	var c Cond
	m.Lock(s)
	if err := c.WaitTimeout(s, &m, time.Millisecond); err != sys.ETIMEDOUT {
		t.Errorf("WaitTimeout = %v, want ETIMEDOUT", err)
	}
	if m.TryLock() {
		t.Error("the Mutex is not held after WaitTimeout")
	}
	m.Unlock(s)
}

func TestWaitGroup(t *testing.T) {
	f := newFutexes()
	var w WaitGroup
	done := 0
	var m Mutex
	w.Add(4)
	seen := -1
	f.run(func(s Sys) { w.Wait(s); m.Lock(s); seen = done; m.Unlock(s) })
	f.untilAsleep(1)
	for range 4 {
		f.run(func(s Sys) { m.Lock(s); done++; m.Unlock(s); w.Done(s) })
	}
	f.threads.Wait()
	if seen != 4 {
		t.Errorf("Wait returned at %d, want 4", seen)
	}
}

func TestQueueIsFIFOAndDeliversOnce(t *testing.T) {
	f := newFutexes()
	q := NewQueue[int](3)
	const producers, consumers, each = 3, 3, 200
	var live WaitGroup
	live.Add(producers)
	for p := range producers {
		f.run(func(s Sys) {
			for i := range each {
				if err := q.Put(s, p*each+i, -1); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
			live.Done(s)
		})
	}
	f.run(func(s Sys) { live.Wait(s); q.Close(s) })
	var m Mutex
	seen := map[int]int{}
	for range consumers {
		f.run(func(s Sys) {
			last := [producers]int{-1, -1, -1}
			for {
				v, err := q.Get(s, -1)
				if err == ErrClosed {
					return
				}
				if v <= last[v/each] {
					t.Errorf("%d after %d of one producer", v, last[v/each])
				}
				last[v/each] = v
				m.Lock(s)
				seen[v]++
				m.Unlock(s)
			}
		})
	}
	f.threads.Wait()
	if len(seen) != producers*each {
		t.Errorf("%d values, want %d", len(seen), producers*each)
	}
	for v, n := range seen {
		if n != 1 {
			t.Errorf("%d came %d times", v, n)
		}
	}
}

func TestQueueTimeoutsAndClose(t *testing.T) {
	s := handle{f: newFutexes()}
	q := NewQueue[string](1)
	for _, d := range []time.Duration{0, time.Millisecond} {
		if _, err := q.Get(s, d); err != sys.ETIMEDOUT {
			t.Errorf("Get(%v) of an empty queue: %v", d, err)
		}
	}
	if err := q.Put(s, "a", 0); err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{0, time.Millisecond} {
		if err := q.Put(s, "b", d); err != sys.ETIMEDOUT {
			t.Errorf("Put(%v) to a full queue: %v", d, err)
		}
	}
	if n := q.Len(s); n != 1 {
		t.Errorf("Len = %d", n)
	}
	q.Close(s)
	q.Close(s)
	if err := q.Put(s, "c", -1); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	if v, err := q.Get(s, -1); v != "a" || err != nil {
		t.Errorf("Get after Close = %q, %v: what was in must come out", v, err)
	}
	if _, err := q.Get(s, -1); !errors.Is(err, ErrClosed) {
		t.Errorf("Get of a drained queue: %v", err)
	}
}

func TestQueueCloseWakesWaiters(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	q := NewQueue[int](1)
	var errs [2]error
	f.run(func(s Sys) { _, errs[0] = q.Get(s, -1) })
	f.untilAsleep(1)
	q.Close(s)
	f.threads.Wait()
	p := NewQueue[int](1)
	_ = p.Put(s, 1, -1)
	f.run(func(s Sys) { errs[1] = p.Put(s, 2, -1) })
	f.untilAsleep(1)
	p.Close(s)
	f.threads.Wait()
	if errs[0] != ErrClosed || errs[1] != ErrClosed {
		t.Errorf("waiters got %v", errs)
	}
}
