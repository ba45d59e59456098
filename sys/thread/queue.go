package thread

import (
	"errors"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// ErrClosed is what Put returns on a closed Queue, and Get once nothing is left
// in it.
var ErrClosed = errors.New("thread: queue closed")

// Sys is what a wait with a time limit needs: after a wake-up for nothing the
// rest of the time has to be known.
type Sys interface {
	sys.Threads
	sys.Clock
}

// A Queue is a bounded first-in first-out queue between threads: what Apache's
// worker MPM hands accepted connections through (server/mpm/worker/fdqueue.c).
type Queue[T any] struct {
	mu       Mutex
	nonempty Cond
	nonfull  Cond
	ring     []T
	head, n  int
	closed   bool
}

// NewQueue makes a Queue for at most capacity values, at least one.
func NewQueue[T any](capacity int) *Queue[T] {
	return &Queue[T]{ring: make([]T, max(capacity, 1))}
}

// limit is the time limit of one Put or Get; the clock is first read when
// there is something to wait for.
type limit struct {
	timeout  time.Duration
	deadline time.Duration
	started  bool
}

// left is what remains of the limit: negative for ever, 0 when it is over.
func (l *limit) left(s Sys) time.Duration {
	if l.timeout < 0 {
		return forever
	}
	if !l.started {
		l.started = true
		if l.timeout == 0 {
			return 0
		}
		l.deadline = s.Monotonic() + l.timeout
		return l.timeout
	}
	return max(l.deadline-s.Monotonic(), 0)
}

// Put appends v. While q is full it waits for at most timeout, for ever when
// negative. Errors: sys.ETIMEDOUT, ErrClosed.
func (q *Queue[T]) Put(s Sys, v T, timeout time.Duration) error {
	l := limit{timeout: timeout}
	q.mu.Lock(s)
	for q.n == len(q.ring) && !q.closed {
		d := l.left(s)
		if d == 0 {
			q.mu.Unlock(s)
			return sys.ETIMEDOUT
		}
		// The condition is checked again even after ETIMEDOUT, for a Signal
		// spent on us must not be lost.
		_ = q.nonfull.WaitTimeout(s, &q.mu, d)
	}
	if q.closed {
		q.mu.Unlock(s)
		return ErrClosed
	}
	q.ring[(q.head+q.n)%len(q.ring)] = v
	q.n++
	q.mu.Unlock(s)
	q.nonempty.Signal(s)
	return nil
}

// Get removes the oldest value. While q is empty it waits for at most timeout,
// for ever when negative. Errors: sys.ETIMEDOUT, ErrClosed.
func (q *Queue[T]) Get(s Sys, timeout time.Duration) (T, error) {
	var zero T
	l := limit{timeout: timeout}
	q.mu.Lock(s)
	for q.n == 0 {
		if q.closed {
			q.mu.Unlock(s)
			return zero, ErrClosed
		}
		d := l.left(s)
		if d == 0 {
			q.mu.Unlock(s)
			return zero, sys.ETIMEDOUT
		}
		_ = q.nonempty.WaitTimeout(s, &q.mu, d)
	}
	v := q.ring[q.head]
	q.ring[q.head] = zero // or the ring would keep what v points to alive
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	q.mu.Unlock(s)
	q.nonfull.Signal(s)
	return v, nil
}

// Len is how many values wait in q.
func (q *Queue[T]) Len(s sys.Threads) int {
	q.mu.Lock(s)
	n := q.n
	q.mu.Unlock(s)
	return n
}

// Close lets no further value in and wakes all who wait. What is in q can
// still be got. Closing twice is allowed.
func (q *Queue[T]) Close(s sys.Threads) {
	q.mu.Lock(s)
	q.closed = true
	q.mu.Unlock(s)
	q.nonempty.Broadcast(s)
	q.nonfull.Broadcast(s)
}
