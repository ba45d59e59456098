package mpm

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

// Connections are passed between children of different users over a socket
// pair for each user: the children of that user share the receiving end, and
// all others have the sending end. A message is the connection's descriptor
// and what has been read from it. SOCK_SEQPACKET keeps messages apart, so that
// one receiver gets all of one.
type passage struct{ send, receive int }

// PassMax is how much can have been read of a connection that is passed, in
// bytes.
const PassMax = 64 << 10

// newPassages makes what Config.Groups needs and is not there yet. What an
// older generation has stays: its children may still pass connections.
func (p *Parent) newPassages() error {
	for len(p.cfg.Groups) > 1 && len(p.passages) < len(p.cfg.Groups) {
		send, receive, err := p.sys.Socketpair(sys.AF_UNIX, sys.SOCK_SEQPACKET|sys.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("cannot make the sockets to pass connections over: %w", err)
		}
		p.passages = append(p.passages, passage{send, receive})
	}
	return nil
}

func (p *Parent) closePassages() {
	for _, pass := range p.passages {
		p.sys.Close(pass.send)
		p.sys.Close(pass.receive)
	}
	p.passages = nil
}

// passing gives a child its ends.
func (p *Parent) passing(st *ChildState, place int) {
	st.Group, st.Receive = p.cfg.group(place), -1
	if len(p.cfg.Groups) < 2 {
		return
	}
	st.Receive = p.passages[st.Group].receive
	for g := range p.cfg.Groups {
		fd := p.passages[g].send
		if g == st.Group {
			fd = -1
		}
		st.Pass = append(st.Pass, fd)
	}
}

// Group is the child's own, an index of Config.Groups.
func (c *Child) Group() int { return c.state.Group }

// Passes reports that there are children of several groups.
func (c *Child) Passes() bool { return c.state.Receive >= 0 }

// Pass gives a connection, of which read was read already, to a child of
// another group. The caller still closes its own descriptor. It does not wait:
// two groups that wait for each other would do so for ever. EAGAIN: too many
// connections wait to be received there; EPIPE: nobody receives.
func (c *Child) Pass(s sys.Sys, group, fd int, read []byte) error {
	return sys.Retry(func() error {
		_, err := s.Sendmsg(c.state.Pass[group], read, []int{fd}, sys.MSG_DONTWAIT|sys.MSG_NOSIGNAL)
		return err
	})
}

// Receive waits for a connection that another child passes to this one, or
// until stop is readable or at its end. One thread of a child receives.
func (c *Child) Receive(s sys.Sys, stop int) (Conn, error) {
	if c.received == nil {
		c.received = make([]byte, PassMax)
	}
	pfd := []sys.PollFd{{Fd: int32(c.state.Receive), Events: sys.POLLIN}, {Fd: int32(stop), Events: sys.POLLIN}}
	for {
		if _, err := s.Poll(pfd, -1); err == sys.EINTR {
			continue
		} else if err != nil {
			return Conn{}, fmt.Errorf("poll: %w", err)
		}
		if pfd[1].Revents != 0 {
			return Conn{}, errQuit
		}
		fds := [1]int{-1}
		n, nfds, flags, err := s.Recvmsg(c.state.Receive, c.received, fds[:], sys.MSG_DONTWAIT|sys.MSG_CMSG_CLOEXEC)
		switch {
		case err == sys.EAGAIN, err == sys.EINTR:
			continue // another child of the group was quicker
		case err == sys.EMFILE, err == sys.ENOMEM:
			c.Logf("recvmsg: %v", err)
			s.Nanosleep(pause)
			continue
		case err != nil:
			return Conn{}, fmt.Errorf("recvmsg: %w", err)
		case n == 0 && nfds == 0:
			return Conn{}, errOrphan
		case nfds == 0:
			c.Logf("a connection was passed without its descriptor: out of descriptors?")
			continue
		}
		conn := Conn{Fd: fds[0], Read: append([]byte(nil), c.received[:n]...)}
		conn.Peer, err = s.Getpeername(conn.Fd)
		if err != nil || flags&sys.MSG_TRUNC != 0 {
			s.Close(conn.Fd) // the client has gone, or the sender is not one of ours
			continue
		}
		return conn, nil
	}
}
