package thread

import (
	"math"
	"sync/atomic"

	"github.com/httpjail/httpjail/sys"
)

// A WaitGroup waits for a number of threads to be done. The zero WaitGroup
// waits for none. It must not be copied.
type WaitGroup struct {
	count   uint32
	waiters uint32
}

// Add adds n threads to wait for. It is called before Go starts them, and not
// while a Wait for an earlier set is still returning.
func (w *WaitGroup) Add(n int) {
	if n < 0 {
		panic("thread: WaitGroup.Add of a negative number")
	}
	atomic.AddUint32(&w.count, uint32(n))
}

// Done says that one of them is done; the last wakes those in Wait.
func (w *WaitGroup) Done(s sys.Threads) {
	switch atomic.AddUint32(&w.count, ^uint32(0)) {
	case 0:
		if atomic.LoadUint32(&w.waiters) != 0 {
			s.FutexWakePrivate(&w.count, math.MaxInt32)
		}
	case math.MaxUint32:
		panic("thread: more WaitGroup.Done than Add")
	}
}

// Wait sleeps until the count is 0.
func (w *WaitGroup) Wait(s sys.Threads) {
	// waiters is raised before count is read and Done reads them in the other
	// order: one of the two sees the other.
	atomic.AddUint32(&w.waiters, 1)
	for {
		n := atomic.LoadUint32(&w.count)
		if n == 0 {
			break
		}
		_ = wait(s, &w.count, n, forever)
	}
	atomic.AddUint32(&w.waiters, ^uint32(0))
}
