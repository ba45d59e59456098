package module

import (
	"sync/atomic"
	"time"
)

// Seldom keeps a fault that every request meets from filling the error log: it
// lets one event a minute through and counts the others. It may be used by all
// threads at once.
type Seldom struct {
	last   atomic.Int64 // nanoseconds since the epoch
	missed atomic.Int64
}

// Allow reports whether the event of now is to be logged, and how many were
// not since the last that was.
func (l *Seldom) Allow(now time.Time) (ok bool, missed int64) {
	at, last := now.UnixNano(), l.last.Load()
	// A clock that was set back does not silence the log.
	if last != 0 && at >= last && at-last < int64(time.Minute) || !l.last.CompareAndSwap(last, at) {
		l.missed.Add(1)
		return false, 0
	}
	return true, l.missed.Swap(0)
}
