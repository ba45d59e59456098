// Package thread has what sync has, for code that runs under [sys.Sys]: a
// Mutex, a Cond, a WaitGroup and a Queue built on the futex calls of
// [sys.Threads], so that a wait is a call that the simulated kernel sees and
// can order, and not a goroutine parked behind its back.
//
// Each method takes the calling thread's own handle. Where nobody has to wait
// and nobody waits, no call is made. The algorithms are those of Ulrich
// Drepper's "Futexes Are Tricky" and of glibc's old condition variables.
//
// EINTR and spurious wake-ups end here: a wait goes on until what it waits for
// is true or its time is over.
package thread

import (
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// forever is the timeout of a futex wait that has none.
const forever = -1

// wait is FutexWaitPrivate without the results that mean "look again". It
// reports sys.ETIMEDOUT alone; another error can only be a bug of the backend
// or of this package, and glibc too ends the program on it.
func wait(s sys.Threads, addr *uint32, val uint32, timeout time.Duration) error {
	switch err := s.FutexWaitPrivate(addr, val, timeout); err {
	case nil, sys.EAGAIN, sys.EINTR:
		return nil
	case sys.ETIMEDOUT:
		return err
	default:
		panic("thread: futex wait: " + err.Error())
	}
}

// States of a Mutex.
const (
	unlocked  = 0
	locked    = 1
	contended = 2 // locked, and somebody may sleep
)

// A Mutex is a mutual exclusion lock between the threads of a process. The
// zero Mutex is unlocked. It must not be copied, is not recursive and, like
// sync.Mutex, belongs to no thread: another may unlock it.
type Mutex struct{ state uint32 }

// Lock locks m, and sleeps while it is locked.
func (m *Mutex) Lock(s sys.Threads) {
	if atomic.CompareAndSwapUint32(&m.state, unlocked, locked) {
		return
	}
	// Whoever slept cannot know whether it was the only one, so it leaves
	// contended behind: at worst one wake too many.
	for atomic.SwapUint32(&m.state, contended) != unlocked {
		_ = wait(s, &m.state, contended, forever) // never ETIMEDOUT: it has no timeout
	}
}

// TryLock locks m if it is unlocked, and says whether it did. It makes no call.
func (m *Mutex) TryLock() bool {
	return atomic.CompareAndSwapUint32(&m.state, unlocked, locked)
}

// Unlock unlocks m. It panics when m is not locked.
func (m *Mutex) Unlock(s sys.Threads) {
	switch atomic.SwapUint32(&m.state, unlocked) {
	case unlocked:
		panic("thread: unlock of an unlocked Mutex")
	case contended:
		s.FutexWakePrivate(&m.state, 1)
	}
}
