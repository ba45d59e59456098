// Package threadpool is the MPM in which a child is one process with one
// listener thread, its first, and threads_per_child worker threads, the idle
// ones on a stack. The listener takes the worker on top, accepts a connection,
// and hands it to that worker: there is no queue.
package threadpool

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is threadpool's.
var Topology = mpm.Topology{Name: "threadpool", Run: run}

type child struct {
	*mpm.Child
	idle thread.Stack[mpm.Conn]
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc}
	crew := mpm.NewCrew(mc, c.work)
	if crew.Start(c.Sys, c.Config().ThreadsPerChild) {
		c.listen()
	}
	c.idle.Close(c.Sys)
	return crew.Join(c.Sys)
}

// listen accepts until the child is to end.
func (c *child) listen() {
	for more := true; more; {
		worker, err := c.idle.Reserve(c.Sys)
		if err != nil { // thread.ErrClosed
			return
		}
		var conn mpm.Conn
		conn, more = c.Next(c.Sys)
		c.idle.Give(c.Sys, worker, conn)
	}
}

func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	var seat thread.Seat[mpm.Conn]
	for {
		w.Set(mpm.Ready)
		conn, err := c.idle.Get(s, &seat)
		if err != nil || conn.Fd < 0 { // thread.ErrClosed
			return false
		}
		w.Connected()
		c.Serve(s, conn.Fd, conn.Peer, w)
	}
}
