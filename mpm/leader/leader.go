// Package leader is the MPM in which a child is one process whose threads take
// turns: there is no listener thread. Idle threads form a stack. The leader
// accepts a connection, makes the thread on top of the stack the next leader,
// serves its connection itself and goes back on the stack, so that a
// connection never changes threads.
package leader

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is leader's.
var Topology = mpm.Topology{Name: "leader", Run: run}

// leadership is what the leader has.
type leadership struct{}

type child struct {
	*mpm.Child
	idle thread.Stack[leadership]
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc}
	crew := mpm.NewCrew(mc, c.work)
	if crew.Start(c.Sys, c.Config().ThreadsPerChild) {
		c.idle.Put(c.Sys, leadership{})
	} else {
		c.idle.Close(c.Sys)
	}
	return crew.Join(c.Sys)
}

func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	var seat thread.Seat[leadership]
	for {
		w.Set(mpm.Ready)
		leads, err := c.idle.Get(s, &seat)
		if err != nil { // thread.ErrClosed
			return false
		}
		conn, more := c.Next(s)
		if more {
			c.idle.Put(s, leads)
		} else {
			c.idle.Close(s)
		}
		if conn.Fd < 0 {
			return false
		}
		w.Connected()
		c.Serve(s, conn.Fd, conn.Peer, w)
	}
}
