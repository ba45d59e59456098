package net

import (
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// defaultBuffer is net.core.wmem_default and rmem_default.
const defaultBuffer = 212992

// takeErr is sock_error. s.mu is held.
func (s *socket) takeErr() error {
	if e := s.err; e != 0 {
		s.err = 0
		return e
	}
	return nil
}

// trySend puts what it can of p, with fds in front, into the peer's buffer.
// EAGAIN: there is no room.
func (s *socket) trySend(p []byte, fds []*vfs.Description) (int, error) {
	s.mu.Lock()
	peer, err := s.sendTo()
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}

	peer.mu.Lock()
	if s.tcp() && (peer.dead || peer.finSent && peer.shut&rcvShut != 0) {
		// Nobody will read this: the end that sent its FIN resets the connection
		// (TCPABORTONDATA in tcp_rcv_state_process).
		peer.mu.Unlock()
		peer.reset(sys.ECONNRESET)
		s.net.release(peer)
		s.reset(sys.ECONNRESET)
		return len(p), nil
	}
	if !s.tcp() && (peer.dead || peer.shut&rcvShut != 0) {
		peer.mu.Unlock()
		return 0, sys.EPIPE
	}
	records := s.typ == sys.SOCK_SEQPACKET
	limit := int(s.sndbuf.Load())
	n := min(limit-peer.rcv.len(), len(p))
	if records && len(p) > limit {
		peer.mu.Unlock()
		return 0, sys.EMSGSIZE
	}
	if n <= 0 && len(p) > 0 || records && n < len(p) {
		s.nospace.Store(true) // under peer.mu: whoever makes room sees it
		peer.mu.Unlock()
		return 0, sys.EAGAIN
	}
	if !s.tcp() {
		peer.rcv.mark(n, fds)
	}
	peer.rcv.write(p[:n])
	l := peer.from
	peer.from = nil
	peer.wake(sys.POLLIN)
	peer.mu.Unlock()
	if l != nil {
		l.undefer(peer)
	}
	return n, nil
}

// sendTo is the checks at the start of tcp_sendmsg_locked and of
// unix_stream_sendmsg. s.mu is held.
func (s *socket) sendTo() (*socket, error) {
	if !s.tcp() {
		if s.typ == sys.SOCK_SEQPACKET { // unix_seqpacket_sendmsg
			if err := s.takeErr(); err != nil {
				return nil, err
			}
		}
		switch {
		case s.peer == nil:
			return nil, sys.ENOTCONN
		case s.shut&sendShut != 0:
			return nil, sys.EPIPE
		}
		if err := s.takeErr(); err != nil {
			return nil, err
		}
		return s.peer, nil
	}
	if err := s.takeErr(); err != nil {
		return nil, err
	}
	switch {
	case s.state == synSent:
		return nil, sys.EAGAIN
	case s.state != established || s.shut&sendShut != 0:
		return nil, sys.EPIPE
	}
	return s.peer, nil
}

// send is sendmsg: in blocking mode it sends all of p. An error after some bytes
// were sent is left for the next call. The references to fds are the caller's
// until a byte was sent.
func (s *socket) send(t *vfs.Task, p []byte, fds []*vfs.Description, nonblock, more bool) (sent int, err error) {
	switch {
	case s.dg != nil && s.inet():
		return s.sendUDP(t, p, more)
	case s.dg != nil:
		return s.sendUnixDatagram(t, p, fds, nonblock)
	}
	if len(p) == 0 && s.typ == sys.SOCK_STREAM {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, err := s.sendTo()
		if err == sys.EAGAIN { // still connecting
			err = nil
		}
		return 0, err
	}
	var w wait
	defer w.leave()
	s.mu.Lock()
	timeout := s.opts.sndtimeo
	s.mu.Unlock()
	until := deadline(t, timeout)
	for {
		n, err := s.trySend(p[sent:], fds)
		if err == nil {
			fds = nil
			if sent += n; sent == len(p) {
				return sent, nil
			}
			continue
		}
		if err == sys.EAGAIN && !nonblock {
			if err = w.sleep(t, &s.q, until); err == nil {
				continue
			}
		}
		if sent > 0 {
			return sent, nil
		}
		return 0, err
	}
}

// message is what one receive found.
type message struct {
	n         int
	size      int                // of the record or datagram
	fds       []*vfs.Description // the receiver has a reference to each
	truncated bool
}

// tryRecv takes what there is. EAGAIN: nothing yet.
func (s *socket) tryRecv(p []byte, peek bool) (m message, err error) {
	if s.dg != nil {
		return s.tryRecvDatagram(p, peek)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records := s.typ == sys.SOCK_SEQPACKET
	if !s.tcp() && s.state != established {
		if records {
			return m, sys.ENOTCONN
		}
		return m, sys.EINVAL // unix_stream_read_generic
	}
	if records { // __skb_try_recv_datagram: an error goes before data
		if err := s.takeErr(); err != nil {
			return m, err
		}
	}
	if s.rcv.len() > 0 || records && len(s.rcv.marks) > 0 {
		writes := len(s.rcv.marks)
		m.n, m.size, m.fds = s.rcv.read(p, records, peek)
		m.truncated = m.n < m.size
		if peek {
			for _, d := range m.fds {
				d.Incref()
			}
		} else if peer := s.peer; peer != nil && peer.roomy(s.rcv.len()) && (peer.nospace.Swap(false) || len(s.rcv.marks) < writes) {
			// unix_write_space: whenever all of a write was read
			peer.wake(sys.POLLOUT)
		}
		return m, nil
	}
	if s.finRcvd {
		return m, nil
	}
	if err := s.takeErr(); err != nil {
		return m, err
	}
	switch {
	case s.shut&rcvShut != 0:
		return m, nil
	case s.state == unconnected || s.state == listening:
		return m, sys.ENOTCONN
	}
	return m, sys.EAGAIN
}

// recvMessage is recvmsg.
func (s *socket) recvMessage(t *vfs.Task, p []byte, nonblock, peek bool) (message, error) {
	s.mu.Lock()
	timeout := s.opts.rcvtimeo
	s.mu.Unlock()
	return s.recvMessageUntil(t, p, nonblock, peek, deadline(t, timeout))
}

func (s *socket) recvMessageUntil(t *vfs.Task, p []byte, nonblock, peek bool, until time.Duration) (message, error) {
	var w wait
	defer w.leave()
	for {
		m, err := s.tryRecv(p, peek)
		if err != sys.EAGAIN || nonblock {
			return m, err
		}
		if s.recvEnds() {
			return m, nil
		}
		if err := w.sleep(t, &s.q, until); err != nil {
			return m, err
		}
	}
}

// recv is recvmsg without room for descriptors: they are closed.
func (s *socket) recv(t *vfs.Task, p []byte, nonblock, peek bool) (int, error) {
	m, err := s.recvMessage(t, p, nonblock, peek)
	release(t, m.fds)
	return m.n, err
}

func release(t *vfs.Task, fds []*vfs.Description) {
	for _, d := range fds {
		d.Decref(t)
	}
}

// reset is tcp_reset: a RST arrived. e is what it means, unless the peer had
// already closed.
func (s *socket) reset(e sys.Errno) {
	s.mu.Lock()
	if s.state == unconnected {
		s.mu.Unlock()
		return
	}
	if s.finRcvd {
		e = sys.EPIPE // CLOSE_WAIT
	}
	s.state = unconnected
	s.err = e
	s.shut = bothShut
	s.wasReset = true
	l := s.from
	s.from = nil
	s.wake(0)
	s.mu.Unlock()
	s.net.release(s)
	if l != nil {
		l.forgetDeferred(s)
	}
}

// fin is tcp_fin: a FIN arrived.
func (s *socket) fin() {
	s.mu.Lock()
	if s.state != established || s.finRcvd {
		s.mu.Unlock()
		return
	}
	l := s.from
	s.from = nil
	s.finRcvd = true
	s.shut |= rcvShut
	if s.finSent {
		s.state = unconnected
		s.shut = bothShut
	}
	s.wake(0)
	s.mu.Unlock()
	if l != nil {
		l.undefer(s)
	}
}

// sendFin sends a FIN, unless one was sent. s.mu is held; the caller calls
// peer.fin when it has released it.
func (s *socket) sendFin() (peer *socket) {
	if s.state != established || s.finSent {
		return nil
	}
	s.finSent = true
	s.shut |= sendShut
	s.activeFin = !s.finRcvd
	if s.finRcvd {
		s.state = unconnected
	}
	return s.peer
}

// Shutdown is shutdown(2).
func (n *Net) Shutdown(t *vfs.Task, d *vfs.Description, how int) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	if how < sys.SHUT_RD || how > sys.SHUT_RDWR {
		return sys.EINVAL
	}
	mask := how + 1 // SHUT_RD, SHUT_WR, SHUT_RDWR to RCV_SHUTDOWN, SEND_SHUTDOWN, both
	if s.dg != nil {
		return s.shutdownDatagram(mask)
	}
	if s.tcp() {
		return s.shutdownTCP(t, mask)
	}
	s.mu.Lock()
	s.shut |= mask
	peer := s.peer
	s.wake(0)
	s.mu.Unlock()
	if peer != nil {
		peer.mu.Lock()
		peer.shut |= mask>>1 | mask<<1&bothShut
		peer.wake(0)
		peer.mu.Unlock()
	}
	return nil
}

// shutdownTCP is inet_shutdown.
func (s *socket) shutdownTCP(t *vfs.Task, mask int) error {
	s.mu.Lock()
	switch s.state {
	case listening, synSent:
		toClose := s.state == synSent || mask&rcvShut != 0
		s.mu.Unlock()
		if toClose {
			s.stopListening(t)
			s.abandonConnect()
		}
		return nil
	case unconnected:
		s.shut |= mask
		s.wake(0)
		s.mu.Unlock()
		return sys.ENOTCONN
	}
	s.shut |= mask
	var peer *socket
	if mask&sendShut != 0 {
		peer = s.sendFin()
	}
	s.mu.Unlock()
	if peer != nil {
		peer.fin()
	}
	s.wake(0) // after the peer: the FIN has arrived by then
	return nil
}

// close is the end of the socket, tcp_close and unix_release_sock. t may be nil.
func (s *socket) close(t *vfs.Task) {
	if s.dg != nil {
		s.closeDatagram(t)
		return
	}
	s.stopListening(t)
	s.abandonConnect()

	s.mu.Lock()
	s.dead = true
	unread := s.rcv.len() > 0 || len(s.rcv.marks) > 0 || s.aborted
	fds := s.rcv.drop()
	peer := s.peer
	st, wasReset := s.state, s.wasReset
	rst := unread || s.opts.linger && s.opts.lingerSecs == 0
	var finTo *socket
	if s.tcp() && !rst {
		finTo = s.sendFin()
	}
	timeWait := s.activeFin && !wasReset && !rst
	s.shut = bothShut
	s.state = unconnected
	s.wake(0)
	s.mu.Unlock()

	release(t, fds)
	switch {
	case s.tcp() && finTo != nil:
		finTo.fin()
	case s.tcp() && rst && st == established && peer != nil:
		peer.reset(sys.ECONNRESET)
	case !s.tcp() && peer != nil:
		peer.mu.Lock()
		peer.shut = bothShut
		if unread {
			peer.err = sys.ECONNRESET
		}
		peer.wake(0)
		peer.mu.Unlock()
	}
	if timeWait && t != nil {
		s.net.timeWait(s, t.Thread.Now())
	} else {
		s.net.release(s)
	}
}
