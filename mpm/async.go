package mpm

import (
	"time"

	"github.com/httpjail/httpjail/sys"
)

// AsyncConn is a connection that is served in steps, none of which waits. Its
// descriptor does not block.
type AsyncConn struct {
	Fd       int
	Peer     sys.SockAddr
	Requests int // answered so far
	// State is Async's: what a step has left for the next one. It is nil in a
	// connection that waits for a request, of which there may be many.
	State any
}

// Want is what a connection waits for after a step.
type Want int

// The Wants.
const (
	WantRequest Want = iota // the next request: nothing of it is there
	WantRead                // the rest of a request
	WantWrite               // room for the rest of a response
	WantWorker              // a thread that may wait
	WantClose               // nothing: all is sent and nothing is unread
	WantLinger              // the client to close first, see lingering_close of httpd
)

// Async is the server above an MPM that serves connections in steps.
type Async interface {
	// Step reads what is there, answers what is complete and writes what there
	// is room for, without waiting. now is read once for many steps. One thread
	// of a child calls it.
	Step(c *AsyncConn, now time.Time) Want
	// Block is the step of a connection that wants a worker, whose thread and
	// slot it is called with. It waits where it has to.
	Block(s sys.Sys, c *AsyncConn, w Worker) Want
	// Late is called in place of Step when State is not nil and the rest of a
	// request has not come in time.
	Late(c *AsyncConn, now time.Time) Want
	// Drop gives up what State holds: the connection ends.
	Drop(c *AsyncConn)
}

// Listeners, Pod and Death are the descriptors that a topology with a poller
// of its own waits for instead of Accept: connections, the pipe of death and
// the death pipe.
func (c *Child) Listeners() []int { return c.state.Listeners }

// Pod is the read end of the pipe of death; see Listeners.
func (c *Child) Pod() int { return c.state.Pod }

// Death is the read end of the death pipe; see Listeners.
func (c *Child) Death() int { return c.state.Death }

// Outdated reports that the child belongs to a former generation.
func (c *Child) Outdated() bool { return c.Score.Generation() != c.state.Generation }

// SetFull says that the child takes no more connections for now: the parent
// then counts none of its threads as idle.
func (c *Child) SetFull(full bool) {
	v := uint32(0)
	if full {
		v = 1
	}
	c.Score.mem.Store32(c.Score.process(c.state.Slot)+processFull, v)
}
