// Package perchild is the MPM in which a fixed number of processes run as
// different users. Their threads come and go, and take turns at accepting: the
// mutex between the threads of a process is held before the one between
// processes.
//
// A connection may come to a process of any user. The server above reads the
// request, sees whose it is and passes the connection to a process of that
// user, see mpm.Child.Pass. A second turn of the threads is to receive what
// others pass. httpd received under the accept mutex too, where a passed
// connection waits for as long as another process has the mutex.
package perchild

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is perchild's.
var Topology = mpm.Topology{Name: "perchild", Run: run, Fixed: true}

// turn is what an idle thread waits for.
type turn int

const (
	accept turn = iota
	receive
)

type child struct {
	*mpm.Child
	crew *mpm.Crew
	idle thread.Stack[turn]
	// The end of this pipe ends the wait of the thread that receives.
	stopR, stopW int
}

func run(mc *mpm.Child) int {
	c := &child{Child: mc}
	c.crew = mpm.NewCrew(mc, c.work)
	s := c.Sys
	var err error
	if c.stopR, c.stopW, err = s.Pipe2(sys.O_CLOEXEC); err != nil {
		c.Logf("pipe: %v", err)
		return mpm.ExitSick
	}
	if c.crew.Start(s, c.Config().ThreadsPerChild) {
		c.idle.Put(s, accept)
		if c.Passes() {
			c.idle.Put(s, receive)
		}
	} else {
		c.end(s)
	}
	return c.crew.Join(s)
}

// end ends all threads that do not serve. The thread whose turn it is to accept
// calls it, once.
func (c *child) end(s sys.Sys) {
	c.idle.Close(s)
	c.crew.End(s)
	s.Close(c.stopW)
}

func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	var seat thread.Seat[turn]
	cfg := c.Config()
	for {
		w.Set(mpm.Ready)
		t, err := c.idle.Get(s, &seat)
		if err != nil { // thread.ErrClosed
			return false
		}
		conn := mpm.NoConn
		if t == receive {
			conn = c.receive(s)
		} else {
			conn = c.accept(s)
		}
		if conn.Fd < 0 {
			return false
		}
		w.Set(mpm.Reading)
		if c.Idle() <= cfg.MinSpare {
			c.crew.Add(s, 1)
		}
		w.Connected()
		c.Resume(s, conn, w)
		if c.Idle() >= cfg.MaxSpare {
			return false
		}
	}
}

// accept takes the turn to accept and gives it to the next.
func (c *child) accept(s sys.Sys) mpm.Conn {
	conn, more := c.Next(s)
	if more {
		c.idle.Put(s, accept)
	} else {
		c.end(s)
	}
	return conn
}

// receive takes the turn to receive and gives it to the next.
func (c *child) receive(s sys.Sys) mpm.Conn {
	conn, err := c.Receive(s, c.stopR)
	if err != nil {
		if !mpm.Ended(err) {
			c.Logf("cannot receive connections from other children: %v", err)
		}
		return mpm.NoConn
	}
	c.idle.Put(s, receive)
	return conn
}
