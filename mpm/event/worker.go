package event

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
)

// hand gives a connection to a worker, or lets it wait for one.
func (l *loop) hand(c *conn) {
	l.remove(c)
	if c.watch != 0 {
		if err := l.ctl(sys.EPOLL_CTL_DEL, c.Fd, 0); err != nil {
			l.Logf("cannot hand on a connection: %v", err)
			l.close(c)
			return
		}
		c.watch = 0
	}
	l.working++
	if l.idlers == 0 {
		l.waiting = append(l.waiting, c)
		return
	}
	l.idlers--
	// Each connection in the queue has its idle worker: Put never waits.
	_ = l.work.Put(l.s, c, -1)
}

// worker serves connections until the queue is closed. It runs in a thread of
// its own.
func (l *loop) worker(s sys.Sys, w mpm.Worker) {
	for {
		w.Set(mpm.Ready)
		c, err := l.work.Get(s, -1)
		if err != nil { // thread.ErrClosed
			w.Set(mpm.Dead)
			return
		}
		c.want = l.Async.Block(s, &c.AsyncConn, w)
		l.mu.Lock(s)
		l.done = append(l.done, c)
		first := len(l.done) == 1
		l.mu.Unlock(s)
		if first {
			// EAGAIN: the pipe is full, and the loop will look.
			for _, err := s.Write(l.wakeW, []byte{0}); err == sys.EINTR; _, err = s.Write(l.wakeW, []byte{0}) {
			}
		}
	}
}

// collect takes connections back from the workers.
func (l *loop) collect() {
	var buf [64]byte
	_, _ = l.s.Read(l.wakeR, buf[:]) // what is left comes in the next turn
	l.mu.Lock(l.s)
	done := l.done
	l.done = nil
	l.mu.Unlock(l.s)
	for _, c := range done {
		l.working--
		l.idlers++
		if len(l.waiting) > 0 {
			next := l.waiting[0]
			l.waiting = l.waiting[1:]
			l.working--
			l.hand(next)
		}
		l.settle(c, c.want)
	}
}
