// Package worker is the MPM in which a child is one process with one listener
// thread, its first, and threads_per_child worker threads. The listener
// reserves an idle worker before it accepts, so that no connection waits in a
// busy child while another child is idle.
package worker

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is worker's.
var Topology = mpm.Topology{Name: "worker", Run: run}

// child is what the threads share.
type child struct {
	*mpm.Child
	queue *thread.Queue[mpm.Conn]

	mu     thread.Mutex
	freed  thread.Cond
	idlers int // workers that are idle and not reserved; guarded by mu
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc, queue: thread.NewQueue[mpm.Conn](mc.Config().ThreadsPerChild)}
	crew := mpm.NewCrew(mc, c.work)
	if crew.Start(c.Sys, c.Config().ThreadsPerChild) {
		c.listen()
	}
	c.queue.Close(c.Sys)
	return crew.Join(c.Sys)
}

// listen accepts until the child is to end.
func (c *child) listen() {
	for more := true; more; {
		c.reserve(c.Sys)
		var conn mpm.Conn
		conn, more = c.Next(c.Sys)
		if conn.Fd >= 0 {
			// Each queued connection has its reserved worker: Put never waits.
			_ = c.queue.Put(c.Sys, conn, -1)
		}
	}
}

// reserve takes one idle worker out of the count, and waits for one.
func (c *child) reserve(s sys.Sys) {
	c.mu.Lock(s)
	for c.idlers == 0 {
		c.freed.Wait(s, &c.mu)
	}
	c.idlers--
	c.mu.Unlock(s)
}

// work serves connections until the queue is closed and empty.
func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	for {
		w.Set(mpm.Ready)
		c.mu.Lock(s)
		c.idlers++
		c.mu.Unlock(s)
		c.freed.Signal(s)
		conn, err := c.queue.Get(s, -1)
		if err != nil { // thread.ErrClosed
			return false
		}
		w.Connected()
		c.Serve(s, conn.Fd, conn.Peer, w)
	}
}
