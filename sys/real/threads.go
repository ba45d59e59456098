package real

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
)

// Go starts a goroutine. It never fails: goroutines are not limited.
func (*thread) Go(_ string, fn func(sys.Sys)) error {
	t := &thread{tid: int(lastTid.Add(1))}
	go fn(t)
	return nil
}

// Gettid is a number of ours, not gettid(2): the Go scheduler moves a goroutine
// between OS threads. It is the process id for the first thread, and counts up
// from there in the order of Go.
func (t *thread) Gettid() int { return t.tid }

// The private futex is a parking lot and not futex(2), so that a waiting thread
// is a parked goroutine and not a blocked OS thread. The bucket's lock makes
// the look at the word and the entry into the queue one step against wakers.

type waiter struct {
	addr  *uint32
	woken chan struct{} // holds 1: the waker never blocks
	timer *time.Timer
}

type bucket struct {
	mu      sync.Mutex
	waiters []*waiter // in the order of their arrival
}

var parkingLot [64]bucket

var waiters = sync.Pool{New: func() any {
	w := &waiter{woken: make(chan struct{}, 1), timer: time.NewTimer(0)}
	w.timer.Stop()
	return w
}}

// bucketOf hashes addr. Heap objects do not move, and every word that is passed
// through an interface is on the heap.
func bucketOf(addr *uint32) *bucket {
	h := uint64(uintptr(unsafe.Pointer(addr))) * 0x9e3779b97f4a7c15
	return &parkingLot[h>>58]
}

func (*thread) FutexWaitPrivate(addr *uint32, val uint32, timeout time.Duration) error {
	b := bucketOf(addr)
	b.mu.Lock()
	if atomic.LoadUint32(addr) != val {
		b.mu.Unlock()
		return sys.EAGAIN
	}
	w := waiters.Get().(*waiter)
	w.addr = addr
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()

	if timeout < 0 {
		<-w.woken
		w.release()
		return nil
	}
	w.timer.Reset(timeout)
	defer w.release()
	select {
	case <-w.woken:
		return nil
	case <-w.timer.C:
	}
	b.mu.Lock()
	queued := b.remove(w)
	b.mu.Unlock()
	if !queued { // a waker came first, and counted us
		<-w.woken
		return nil
	}
	return sys.ETIMEDOUT
}

func (w *waiter) release() {
	w.timer.Stop()
	w.addr = nil
	waiters.Put(w)
}

// remove takes w out of the queue and says whether it was there.
func (b *bucket) remove(w *waiter) bool {
	i := slices.Index(b.waiters, w)
	if i < 0 {
		return false
	}
	b.waiters = slices.Delete(b.waiters, i, i+1)
	return true
}

func (*thread) FutexWakePrivate(addr *uint32, n int) int {
	b := bucketOf(addr)
	b.mu.Lock()
	defer b.mu.Unlock()
	kept, woken := b.waiters[:0], 0
	for _, w := range b.waiters {
		if w.addr == addr && woken < n {
			w.woken <- struct{}{}
			woken++
			continue
		}
		kept = append(kept, w)
	}
	clear(b.waiters[len(kept):])
	b.waiters = kept
	return woken
}
