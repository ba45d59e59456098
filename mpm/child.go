package mpm

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Exit statuses of a child, httpd's APEXIT_*.
const (
	ExitOK    = 0
	ExitInit  = 2   // the child could not start; another may
	ExitSick  = 7   // out of resources: the parent slows down
	ExitFatal = 0xf // no child can work: the server stops
)

// ChildState is what a child gets from its parent, over an exec. Descriptors
// are the child's numbers.
type ChildState struct {
	Config     Config
	Slot       int
	Generation uint32
	Listeners  []int
	Scoreboard int
	Mutex      MutexState
	Pod        int // read end of the pipe of death
	Death      int // read end of the death pipe

	Group   int   // whose child it is, an index of Config.Groups
	Pass    []int // by group: where to pass a connection to; -1 for its own
	Receive int   // where connections are passed to it; -1: nowhere
}

// Topology is what one MPM adds to the shared parts.
type Topology struct {
	Name string
	// Run accepts and serves in a child until the child is to end, and returns
	// the child's exit status.
	Run func(c *Child) int
	// Fixed: the parent keeps exactly Config.StartServers children, whatever
	// they do; spare threads are each child's own matter. It needs twice as
	// many slots, see Parent.fill.
	Fixed bool
	// Mutex is the method of the accept mutex, where it is not the
	// configuration that chooses it.
	Mutex string
}

// Conn is a connection that a child has got.
type Conn struct {
	Fd   int // -1: there is none
	Peer sys.SockAddr
	Read []byte // what another child has read from it, see Child.Receive
}

// NoConn is what a thread gets that is to end.
var NoConn = Conn{Fd: -1}

// ServeFunc serves one connection to its end, in the thread of s, and closes
// fd. w is that thread's slot.
type ServeFunc func(s sys.Sys, fd int, peer sys.SockAddr, w Worker)

// ResumeFunc is a ServeFunc for a connection of which something was read.
type ResumeFunc func(s sys.Sys, conn Conn, w Worker)

// Child is one child at work.
type Child struct {
	Sys   sys.Sys // of the child's first thread
	Score *Scoreboard
	Serve ServeFunc
	// Resume is Serve of a connection that was passed by another child.
	Resume ResumeFunc
	Async  Async // of the MPM event, in place of Serve
	Logf   func(format string, args ...any)

	state    ChildState
	mutex    Mutex
	poll     []sys.PollFd // listeners, pod, death
	last     int          // index of the listener that had the last connection
	quitting atomic.Bool
	status   atomic.Int32 // the exit status
	accepted int          // connections; belongs to who accepts
	received []byte       // belongs to who receives

	// PollMutex: the accept mutex is held around poll(2) only, and not at all
	// with one listener, as mpmt_os2 does.
	PollMutex bool
	// Relief: at MaxRequestsPerChild the child goes on until the parent has
	// started its replacement, and does not end before.
	Relief bool
}

// NewChild opens what the parent made: the scoreboard and the accept mutex.
// It is called before the child gives up its privileges; the error's exit
// status is ExitInit.
func NewChild(s sys.Sys, st ChildState, logf func(string, ...any)) (*Child, error) {
	score, err := OpenScoreboard(s, st.Scoreboard)
	if err != nil {
		return nil, err
	}
	score.mem.Store32(score.process(st.Slot)+processPid, uint32(s.Getpid()))
	mutex, err := AttachMutex(s, st.Mutex, score.LockState(st.Slot))
	if err != nil {
		return nil, err
	}
	c := &Child{Sys: s, Score: score, Logf: logf, state: st, mutex: mutex, last: len(st.Listeners) - 1}
	for _, fd := range st.Listeners {
		c.poll = append(c.poll, sys.PollFd{Fd: int32(fd), Events: sys.POLLIN})
	}
	c.poll = append(c.poll,
		sys.PollFd{Fd: int32(st.Pod), Events: sys.POLLIN},
		sys.PollFd{Fd: int32(st.Death), Events: sys.POLLIN})
	return c, nil
}

// Config is the server's.
func (c *Child) Config() *Config { return &c.state.Config }

// Worker is the slot of one of the child's threads.
func (c *Child) Worker(thread int) Worker { return c.Score.Worker(c.state.Slot, thread) }

// Quitting reports that the child is to end: what is being answered is
// finished, but connections are not kept alive. Any thread may ask.
func (c *Child) Quitting() bool { return c.quitting.Load() }

// Idle is how many of the child's threads wait for a connection, or are about
// to.
func (c *Child) Idle() int { return c.Score.idle(c.state.Slot) }

// Status is the child's exit status, as far as Next and Crew know.
func (c *Child) Status() int { return int(c.status.Load()) }

// Quit makes the child end, and the parent not count its threads as idle.
func (c *Child) Quit() {
	c.Score.mem.Store32(c.Score.process(c.state.Slot)+processQuiescing, isEnding)
	c.quitting.Store(true)
}

// Errors of Accept that are no errors. errTurn does not leave it.
var (
	errQuit   = errors.New("the child is to end")
	errOrphan = errors.New("the parent is gone")
	errTurn   = errors.New("another child is to have the accept mutex")
)

// Ended reports whether an error of Accept is one of the orderly ends.
func Ended(err error) bool { return err == errQuit || err == errOrphan }

// Accept waits for the accept mutex and then for a connection. It returns an
// Ended error when this child is to end; another error is fatal for the
// child. One thread of a child accepts.
func (c *Child) Accept(s sys.Sys) (fd int, peer sys.SockAddr, err error) {
	if c.PollMutex {
		fd, peer, err = c.acceptPolled(s)
	} else {
		fd, peer, err = c.acceptMutual(s)
	}
	if Ended(err) {
		c.Quit()
	}
	return fd, peer, err
}

// Next is Accept, which counts the connection. With more false the child is to
// accept no other: it is to end. NoConn comes with more false only.
func (c *Child) Next(s sys.Sys) (conn Conn, more bool) {
	conn = NoConn
	fd, peer, err := c.Accept(s)
	if err == nil {
		conn = Conn{Fd: fd, Peer: peer}
		if c.accepted++; c.accepted == c.Config().MaxRequestsPerChild {
			c.retire()
		}
		more = !c.Surplus(s)
	} else if !Ended(err) {
		c.Logf("cannot accept connections: %v", err)
		c.status.Store(ExitFatal)
		c.Quit()
	}
	if m, ok := c.mutex.(interface{ Leave(sys.Sys) error }); ok && !more {
		if err := m.Leave(s); err != nil {
			c.Logf("cannot leave the accept mutex: %v", err)
		}
	}
	return conn, more
}

// retire is what a child does that has had MaxRequestsPerChild connections.
func (c *Child) retire() {
	if c.Relief && !c.Quitting() {
		c.Score.mem.Store32(c.Score.process(c.state.Slot)+processQuiescing, wantsRelief)
		return
	}
	c.Quit()
}

func (c *Child) acceptMutual(s sys.Sys) (fd int, peer sys.SockAddr, err error) {
	for {
		if err := c.lock(s); err != nil {
			return -1, peer, err
		}
		fd, peer, err = c.acceptLocked(s)
		if uerr := c.mutex.Unlock(s); uerr != nil && err == nil {
			s.Close(fd)
			err = uerr
		}
		if err != errTurn {
			return fd, peer, err
		}
		_ = s.Nanosleep(pause)
	}
}

// lock takes the accept mutex, as long as there is a parent.
func (c *Child) lock(s sys.Sys) error {
	for {
		switch err := c.mutex.Lock(s); err {
		case sys.ETIMEDOUT:
			death := [1]sys.PollFd{{Fd: int32(c.state.Death), Events: sys.POLLIN}}
			if _, err := s.Poll(death[:], 0); err != nil && err != sys.EINTR {
				return err
			}
			if !parentGone(death[0]) {
				continue
			}
			c.orphan(s)
			return errOrphan
		case sys.EAGAIN: // the start mutex
			if err := c.waitStart(s); err != nil {
				return err
			}
		case sys.EIDRM: // another orphan was first to remove it
			c.Quit()
			return errOrphan
		default:
			return err
		}
	}
}

// orphan does what the parent cannot any more.
func (c *Child) orphan(s sys.Sys) {
	c.Quit()
	if m, ok := c.mutex.(orphaned); ok {
		m.Orphan(s)
	}
}

func (c *Child) acceptLocked(s sys.Sys) (int, sys.SockAddr, error) {
	for {
		// Under load a connection is there and poll(2) is not needed.
		if fd, peer, err := c.acceptAny(s); fd >= 0 || err != nil {
			return fd, peer, err
		}
		if err := c.wait(s); err != nil {
			return -1, sys.SockAddr{}, err
		}
	}
}

func (c *Child) acceptPolled(s sys.Sys) (int, sys.SockAddr, error) {
	for {
		if err := c.waitMutual(s); err == errTurn {
			_ = s.Nanosleep(pause)
		} else if err != nil {
			return -1, sys.SockAddr{}, err
		}
		// Another child may have been quicker: then there is none.
		if fd, peer, err := c.acceptAny(s); fd >= 0 || err != nil {
			return fd, peer, err
		}
	}
}

// waitMutual is wait, with the accept mutex held where there are several
// listeners.
func (c *Child) waitMutual(s sys.Sys) error {
	if len(c.state.Listeners) == 1 {
		return c.wait(s)
	}
	if err := c.lock(s); err != nil {
		return err
	}
	err := c.wait(s)
	if uerr := c.mutex.Unlock(s); err == nil {
		err = uerr
	}
	return err
}

// acceptAny accepts from the first listener that has a connection, round robin
// from the one after the last, so that a busy one does not starve the others.
// The sockets do not block; -1 without an error: there is no connection.
func (c *Child) acceptAny(s sys.Sys) (int, sys.SockAddr, error) {
	for i := range c.state.Listeners {
		n := (c.last + 1 + i) % len(c.state.Listeners)
		fd, peer, err := s.Accept4(c.state.Listeners[n], sys.SOCK_CLOEXEC)
		if err == nil {
			c.last = n
			return fd, peer, nil
		}
		if err := c.acceptError(s, err); err != nil {
			return -1, peer, err
		}
	}
	return -1, sys.SockAddr{}, nil
}

// pause is how long a child waits when the system is out of descriptors, or
// another is to have the accept mutex.
const pause = 100 * time.Millisecond

// acceptError says whether the child can go on after an error of accept(2).
func (c *Child) acceptError(s sys.Sys, err error) error {
	switch fatal, out := AcceptError(err); {
	case fatal:
		return err
	case out:
		// The connection stays in the backlog; wait for others to close theirs.
		c.Logf("accept: %v", err)
		s.Nanosleep(pause)
	}
	return nil
}

// AcceptError says what an error of accept(2) means. Linux passes errors
// already pending on the new socket on as errors of accept: they are the
// connection's, not the listener's. fatal: the child cannot go on; out: there
// is no descriptor or memory left.
func AcceptError(err error) (fatal, out bool) {
	switch err {
	case sys.EAGAIN, sys.EINTR, sys.ECONNABORTED, sys.EPROTO, sys.ENETDOWN, sys.ENOPROTOOPT, sys.EHOSTDOWN,
		sys.EHOSTUNREACH, sys.ENETUNREACH, sys.EOPNOTSUPP, sys.ETIMEDOUT, sys.ECONNRESET, sys.EPIPE, sys.EPERM:
		return false, false
	case sys.EMFILE, sys.ENFILE, sys.ENOBUFS, sys.ENOMEM:
		return false, true
	}
	return true, false
}

// wait waits for a connection, the pipe of death or the end of the parent.
func (c *Child) wait(s sys.Sys) error {
	if _, err := s.Poll(c.poll, -1); err == sys.EINTR {
		return nil
	} else if err != nil {
		return err
	}
	n := len(c.state.Listeners)
	if parentGone(c.poll[n+1]) {
		c.orphan(s)
		return errOrphan
	}
	if c.poll[n].Revents != 0 && c.TakePod(s) {
		return errQuit
	}
	for _, listener := range c.poll[:n] {
		if listener.Revents != 0 {
			return nil
		}
	}
	if c.poll[n+1].Revents != 0 {
		return errTurn
	}
	return nil
}

// parentGone reports whether the death pipe has come to its end. A byte in it
// is a turn, see Parent.giveTurns.
func parentGone(death sys.PollFd) bool { return death.Revents&^sys.POLLIN != 0 }

// TakePod takes one byte from the pipe of death: who gets it is to end. The
// pipe does not block: another child may have been quicker. Its end is the
// whole generation's.
func (c *Child) TakePod(s sys.Sys) bool {
	var b [1]byte
	_, err := s.Read(c.state.Pod, b[:])
	return err == nil
}

// Surplus is asked after each connection: it looks at the pipe of death and at
// the generation, and makes the child end.
func (c *Child) Surplus(s sys.Sys) bool {
	if !c.Quitting() && (c.Outdated() || c.TakePod(s)) {
		c.Quit()
	}
	return c.Quitting()
}
