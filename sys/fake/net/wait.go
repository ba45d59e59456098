package net

import (
	"errors"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// wait is a blocking call's place in a wait queue. The call tries, and when it
// finds EAGAIN it sleeps and tries again:
//
//	var w wait
//	defer w.leave()
//	for {
//		if err := try(); err != sys.EAGAIN { return err }
//		if err := w.sleep(t, &s.q, deadline); err != nil { return err }
//	}
//
// The first sleep only enters the queue, so that a wake-up between the try
// before it and the sleep cannot be lost.
type wait struct {
	exclusive bool // as accept: one wake-up for one of several sleepers
	q         *sched.Queue
	w         *sched.Waiter
}

// sleep returns when the caller should try again (nil), EAGAIN at the deadline,
// or EINTR.
func (w *wait) sleep(t *vfs.Task, q *sched.Queue, deadline time.Duration) error {
	if w.w == nil {
		w.q, w.w = q, t.Thread.NewWaiter()
		w.enter()
		return nil
	}
	if err := t.Thread.Sleep(w.w, deadline); err != nil {
		if errors.Is(err, sys.ETIMEDOUT) {
			return sys.EAGAIN
		}
		return err
	}
	if w.exclusive { // the wake-up took it off the queue
		w.q.Remove(w.w)
		w.enter()
	}
	return nil
}

func (w *wait) enter() {
	if w.exclusive {
		w.q.AddExclusive(w.w)
	} else {
		w.q.Add(w.w)
	}
}

func (w *wait) leave() {
	if w.w != nil {
		w.q.Remove(w.w)
	}
}

// deadline is when a call with a timeout of d has to return; 0 is no timeout.
func deadline(t *vfs.Task, d time.Duration) time.Duration {
	if d == 0 {
		return sched.Forever
	}
	return t.Thread.Now() + d
}
