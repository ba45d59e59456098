// Package beos is the MPM in which one process serves all connections. Its
// threads take turns at accepting, and their number follows the load.
//
// On BeOS that process was the server itself. Here it is the one child of a
// parent that has kept its privileges: it takes a restart and a crash, and the
// one that talks to clients has none to lose.
package beos

import (
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is beos's. Only one process accepts, so that the mutex is between
// its threads.
var Topology = mpm.Topology{Name: "beos", Run: run, Fixed: true, Mutex: "none"}

// maintenance is the period of the look at the number of idle threads.
const maintenance = time.Second

// turn is what an idle thread waits for.
type turn int

const (
	accept turn = iota
	end         // the thread is surplus
)

type child struct {
	*mpm.Child
	crew *mpm.Crew
	idle thread.Stack[turn]
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc}
	c.crew = mpm.NewCrew(mc, c.work)
	s := c.Sys
	if c.crew.Start(s, c.Config().ThreadsPerChild) {
		c.idle.Put(s, accept)
	} else {
		c.end(s)
	}
	for c.crew.Sleep(s, maintenance) {
		if c.crew.Balance(s) {
			c.idle.PutWaiting(s, end)
		}
	}
	return c.crew.Join(s)
}

// end ends all threads that do not serve.
func (c *child) end(s sys.Sys) {
	c.idle.Close(s)
	c.crew.End(s)
}

func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	var seat thread.Seat[turn]
	limit := c.Config().MaxRequestsPerThread
	for served := 1; ; served++ {
		w.Set(mpm.Ready)
		t, err := c.idle.Get(s, &seat)
		if err != nil || t == end { // thread.ErrClosed
			return false
		}
		conn, more := c.Next(s)
		if more {
			c.idle.Put(s, t)
		} else {
			c.end(s)
		}
		if conn.Fd < 0 {
			return false
		}
		w.Connected()
		c.Serve(s, conn.Fd, conn.Peer, w)
		if served == limit {
			return true
		}
	}
}
