// Package worker is the MPM in which a child is one process with one listener
// thread, its first, and threads_per_child worker threads. The listener
// reserves an idle worker before it accepts, so that no connection waits in a
// busy child while another child is idle.
package worker

import (
	"fmt"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is worker's.
var Topology = mpm.Topology{Name: "worker", Run: run}

// connection waits for a worker.
type connection struct {
	fd   int
	peer sys.SockAddr
}

// child is what the threads share.
type child struct {
	*mpm.Child
	queue *thread.Queue[connection]

	mu     thread.Mutex
	freed  thread.Cond
	idlers int // workers that are idle and not reserved; guarded by mu
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc, queue: thread.NewQueue[connection](mc.Config().ThreadsPerChild)}
	var workers thread.WaitGroup
	status := mpm.ExitOK
	for n := range mc.Config().ThreadsPerChild {
		workers.Add(1)
		err := c.Sys.Go(fmt.Sprintf("worker %d", n), func(s sys.Sys) {
			c.work(s, c.Worker(n))
			workers.Done(s)
		})
		if err != nil {
			workers.Done(c.Sys)
			c.Logf("cannot start a worker thread: %v", err)
			c.Quit()
			status = mpm.ExitSick
			break
		}
	}
	if status == mpm.ExitOK {
		status = c.listen()
	}
	c.queue.Close(c.Sys)
	workers.Wait(c.Sys)
	return status
}

// listen accepts until the child is to end.
func (c *child) listen() int {
	s := c.Sys
	limit := c.Config().MaxRequestsPerChild
	for accepted := 1; ; accepted++ {
		c.reserve(s)
		fd, peer, err := c.Accept(s)
		if mpm.Ended(err) {
			return mpm.ExitOK
		}
		if err != nil {
			c.Logf("cannot accept connections: %v", err)
			c.Quit()
			return mpm.ExitFatal
		}
		// Each queued connection has its reserved worker: Put never waits.
		c.queue.Put(s, connection{fd, peer}, -1)
		if accepted == limit {
			c.Quit()
		}
		if c.Surplus(s) {
			return mpm.ExitOK
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
func (c *child) work(s sys.Sys, w mpm.Worker) {
	for {
		w.Set(mpm.Ready)
		c.mu.Lock(s)
		c.idlers++
		c.mu.Unlock(s)
		c.freed.Signal(s)
		conn, err := c.queue.Get(s, -1)
		if err != nil { // thread.ErrClosed
			w.Set(mpm.Dead)
			return
		}
		w.Connected()
		c.Serve(s, conn.fd, conn.peer, w)
	}
}
