package thread

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// A Cond is a condition variable. The zero Cond is ready. It must not be
// copied.
//
// What is waited for is changed with the Mutex held; Signal and Broadcast may
// be called with it or after Unlock, which saves the woken thread from running
// into the Mutex.
type Cond struct {
	seq     uint32 // changes with every Signal: what sleepers compare
	waiters uint32 // threads between their Unlock and their Lock in Wait
}

// Wait unlocks m, sleeps until Signal or Broadcast, and locks m again. It may
// return without either: call it in a loop that checks the condition.
func (c *Cond) Wait(s sys.Threads, m *Mutex) { _ = c.WaitTimeout(s, m, forever) }

// WaitTimeout is Wait for at most d, for ever when d is negative. The error is
// sys.ETIMEDOUT or nil; either way m is locked and the condition may be true.
func (c *Cond) WaitTimeout(s sys.Threads, m *Mutex, d time.Duration) error {
	// Read with m held: a Signal after our Unlock changes seq, and the kernel
	// then refuses to put us to sleep.
	seq := atomic.LoadUint32(&c.seq)
	atomic.AddUint32(&c.waiters, 1)
	m.Unlock(s)
	err := wait(s, &c.seq, seq, d)
	atomic.AddUint32(&c.waiters, ^uint32(0))
	m.Lock(s)
	return err
}

// Signal wakes one waiting thread, if there is one; else it makes no call.
func (c *Cond) Signal(s sys.Threads) { c.wake(s, 1) }

// Broadcast wakes all waiting threads; with none it makes no call.
func (c *Cond) Broadcast(s sys.Threads) { c.wake(s, math.MaxInt32) }

func (c *Cond) wake(s sys.Threads, n int) {
	if atomic.LoadUint32(&c.waiters) == 0 {
		return
	}
	atomic.AddUint32(&c.seq, 1)
	s.FutexWakePrivate(&c.seq, n)
}
