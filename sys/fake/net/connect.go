package net

import (
	"net/netip"
	"slices"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// synTimeout is how long a blocking connect waits for room in a backlog: the sum
// of the intervals of net.ipv4.tcp_syn_retries, 6.
const synTimeout = 127 * time.Second

// listener is what a listening socket has more than others: its accept queue.
// The listening socket's mu guards it.
type listener struct {
	sched    *sched.Sched
	backlog  int
	queue    []*socket // established, to be accepted
	deferred []*socket // established, and waiting for data: TCP_DEFER_ACCEPT
	waiting  []*socket // clients for whom there was no room, in order of arrival
}

// full is sk_acceptq_is_full: there is room for one more than the backlog.
func (l *listener) full() bool { return len(l.queue) > l.backlog }

// Bind is bind(2).
func (n *Net) Bind(t *vfs.Task, d *vfs.Description, a sys.SockAddr) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	if !s.inet() {
		return s.bindUnix(t, a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bindInet(t, a)
}

// Listen is listen(2). A second call sets the backlog.
func (n *Net) Listen(t *vfs.Task, d *vfs.Description, backlog int) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	if s.dg != nil {
		return sys.EOPNOTSUPP
	}
	if backlog < 0 || backlog > sys.SOMAXCONN {
		backlog = sys.SOMAXCONN
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == listening:
		s.listen.backlog = backlog
		s.admit()
		return nil
	case s.state != unconnected || s.connecting:
		return sys.EINVAL
	case s.tcp():
		if err := s.startListeningInet(t); err != nil {
			return err
		}
		s.shut = 0
	case s.local.Path == "":
		return sys.EINVAL
	}
	s.state = listening
	s.listen = &listener{sched: t.Thread.Sched(), backlog: backlog}
	n.mu.Lock()
	n.listening = append(n.listening, s)
	n.mu.Unlock()
	return nil
}

// Accept is accept4(2). flags may hold SOCK_NONBLOCK.
func (n *Net) Accept(t *vfs.Task, d *vfs.Description, flags int) (*vfs.Description, sys.SockAddr, error) {
	s, err := socketOf(d)
	if err != nil {
		return nil, sys.SockAddr{}, err
	}
	if flags&^typeFlags != 0 {
		return nil, sys.SockAddr{}, sys.EINVAL
	}
	if s.dg != nil {
		return nil, sys.SockAddr{}, sys.EOPNOTSUPP
	}
	w := wait{exclusive: true}
	defer w.leave()
	s.mu.Lock()
	timeout := s.opts.rcvtimeo
	s.mu.Unlock()
	until := deadline(t, timeout)
	for {
		c, err := s.tryAccept()
		if err == nil {
			return c.open(t, flags), c.remote, nil
		}
		if err == sys.EAGAIN && !d.Nonblock() {
			if s.readShut() {
				err = sys.EINVAL // unix_accept: this means receive shutdown
			} else {
				err = w.sleep(t, &s.q, until)
			}
		}
		if err != nil {
			return nil, sys.SockAddr{}, err
		}
	}
}

func (s *socket) readShut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shut&rcvShut != 0
}

// tryAccept takes the oldest connection. EAGAIN: there is none.
func (s *socket) tryAccept() (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listen
	switch {
	case l == nil:
		return nil, sys.EINVAL
	case len(l.queue) == 0:
		return nil, sys.EAGAIN
	}
	c := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	s.admit()
	return c, nil
}

// admit lets in who waited for room. s.mu is held, s listens.
func (s *socket) admit() {
	l := s.listen
	for len(l.waiting) > 0 && !l.full() {
		client := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		s.establish(client)
	}
}

// offer gives a client to the listener s: it is established when there is room,
// else it waits. ECONNREFUSED: s does not listen any more.
func (s *socket) offer(client *socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listen
	switch {
	case l == nil || s.shut&rcvShut != 0:
		return sys.ECONNREFUSED
	case l.full():
		l.waiting = append(l.waiting, client)
	default:
		s.establish(client)
	}
	return nil
}

// establish makes the server's end of a connection and enters it into the accept
// queue. s.mu is held, s listens.
func (s *socket) establish(client *socket) {
	c := s.net.newSocket(s.domain, s.typ)
	c.uid = s.uid
	c.peer = client
	c.state = established
	c.local = s.local
	if s.tcp() { // tcp_create_openreq_child copies the listener; unix_accept does not
		c.opts = s.opts
		c.sndbuf.Store(s.sndbuf.Load())
	}

	client.mu.Lock()
	if client.dead || client.state != synSent {
		client.mu.Unlock()
		return
	}
	client.state = established
	client.from = nil
	client.peer = c
	if s.tcp() {
		c.local.Addr = inFamily(s.domain, client.remote.Addr)
		c.remote = sys.SockAddr{Family: s.domain, Addr: inFamily(s.domain, client.local.Addr)}
	} else {
		c.remote = client.local
		client.remote = s.local
	}
	client.wake(0)
	client.mu.Unlock()

	if s.tcp() {
		n := s.net
		n.mu.Lock()
		c.use = c.newUse(c.local.Addr)
		n.claim(c.use)
		n.mu.Unlock()
	}
	if s.opts.deferAccept > 0 {
		c.from = s
		l := s.listen
		l.deferred = append(l.deferred, c)
		// The answer to the SYN is sent again at the end of that time, and the
		// client's answer to it is taken without data: tcp_check_req.
		l.sched.At(l.sched.Now()+time.Duration(retransToSecs(s.opts.deferAccept))*time.Second, func() { s.undefer(c) })
		return
	}
	s.listen.queue = append(s.listen.queue, c)
	s.wake(sys.POLLIN)
}

// undefer moves a connection that got data, or its end, or waited for them as long
// as TCP_DEFER_ACCEPT says, to the accept queue.
func (s *socket) undefer(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listen
	if l == nil {
		return
	}
	if i := slices.Index(l.deferred, c); i >= 0 {
		l.deferred = slices.Delete(l.deferred, i, i+1)
		l.queue = append(l.queue, c)
		s.wake(sys.POLLIN)
	}
}

// forgetDeferred drops a connection that was reset before it got data: to the
// server it never was.
func (s *socket) forgetDeferred(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listen; l != nil {
		l.deferred = slices.DeleteFunc(l.deferred, func(x *socket) bool { return x == c })
	}
}

// Connect is connect(2). A non-blocking connect of a TCP socket returns
// EINPROGRESS even though loopback has decided by then, as on Linux.
func (n *Net) Connect(t *vfs.Task, d *vfs.Description, a sys.SockAddr) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	if s.dg != nil {
		return s.connectDatagram(t, a)
	}
	var l *socket
	if !s.tcp() {
		if l, err = s.lookupUnix(t, a); err != nil {
			return err
		}
		if err := l.takesUnix(d.Nonblock()); err != nil {
			return err
		}
	}
	if err := s.startConnect(t, l, a); err != nil {
		return err
	}
	var w wait
	defer w.leave()
	until := t.Thread.Now() + synTimeout
	s.mu.Lock()
	if s.opts.sndtimeo != 0 || !s.tcp() {
		until = deadline(t, s.opts.sndtimeo)
	}
	s.mu.Unlock()
	if d.Nonblock() {
		return s.connectNonblock()
	}
	for {
		if err := s.connectResult(); err != sys.EALREADY {
			return err
		}
		err := w.sleep(t, &s.q, until)
		switch {
		case err == nil:
		case !s.tcp():
			s.abandonConnect()
			return err
		case err != sys.EAGAIN:
			return err // EINTR: it goes on without us
		default:
			return s.connectTimeout()
		}
	}
}

// takesUnix is what unix_stream_connect asks of the other end before it looks at
// its own. ECONNREFUSED; EAGAIN: the backlog is full.
func (s *socket) takesUnix(nonblock bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.listen == nil || s.shut&rcvShut != 0:
		return sys.ECONNREFUSED
	case nonblock && s.listen.full():
		return sys.EAGAIN
	}
	return nil
}

// startConnect sends the SYN, so to speak. It does nothing when one was sent by
// an earlier call whose result was not collected.
func (s *socket) startConnect(t *vfs.Task, l *socket, a sys.SockAddr) error {
	s.mu.Lock()
	if s.connecting && s.tcp() {
		defer s.mu.Unlock()
		return nil
	}
	if err := func() (err error) {
		switch {
		case s.state == established || s.tcp() && s.state == listening:
			return sys.EISCONN
		case s.state != unconnected:
			return sys.EINVAL
		case s.tcp():
			if l, err = s.startConnectInet(t, a); err != nil {
				return err
			}
			s.shut, s.finSent, s.finRcvd, s.wasReset, s.activeFin = 0, false, false, false, false
		}
		return nil
	}(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.connecting = true
	s.state = synSent
	s.from = l
	s.mu.Unlock()
	if l == nil || l.offer(s) != nil {
		s.refused()
	}
	return nil
}

// refused: the answer to the SYN is a RST.
func (s *socket) refused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != synSent {
		return
	}
	s.from = nil
	s.state = unconnected
	s.err = sys.ECONNREFUSED
	if s.tcp() {
		s.shut = bothShut
		s.unbindPort() // tcp_done
	}
	s.wake(0)
}

// connectNonblock is the result of a non-blocking connect.
func (s *socket) connectNonblock() error {
	s.mu.Lock()
	fresh := !s.inProgress
	s.inProgress = true
	st := s.state
	s.mu.Unlock()
	if s.tcp() && fresh {
		return sys.EINPROGRESS
	}
	if !s.tcp() && st == synSent {
		s.abandonConnect()
		return sys.EAGAIN // the backlog is full
	}
	return s.connectResult()
}

// connectResult collects the result of a connect. EALREADY: there is none yet.
func (s *socket) connectResult() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case synSent:
		return sys.EALREADY
	case established:
		s.connecting, s.inProgress = false, false
		return nil
	}
	err := s.takeErr()
	if err == nil {
		err = sys.ECONNABORTED
	}
	s.disconnect()
	return err
}

// disconnect is tcp_disconnect after a connect that failed: the socket is as
// new, but for the port that bind gave it. s.mu is held.
func (s *socket) disconnect() {
	s.connecting, s.inProgress = false, false
	s.shut = 0
	s.remote = sys.SockAddr{}
	if s.tcp() && !s.boundAddr {
		any := anyPort4.Addr()
		if s.domain == sys.AF_INET6 {
			any = anyPort6.Addr()
		}
		s.local.Addr = netip.AddrPortFrom(any, s.local.Addr.Port())
	}
	s.unbindPort()
}

// connectTimeout is the end of a blocking connect that waited long enough: with
// SO_SNDTIMEO it goes on by itself.
func (s *socket) connectTimeout() error {
	s.mu.Lock()
	goesOn := s.opts.sndtimeo != 0
	s.inProgress = goesOn
	s.mu.Unlock()
	if goesOn {
		return sys.EINPROGRESS
	}
	s.abandonConnect()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect()
	return sys.ETIMEDOUT
}

// abandonConnect takes a client out of the queue of the listener it waits for.
func (s *socket) abandonConnect() {
	s.mu.Lock()
	l := s.from
	waiting := s.state == synSent
	if waiting {
		s.from = nil
		s.state = unconnected
		s.connecting = false
	}
	s.mu.Unlock()
	if waiting && l != nil {
		l.mu.Lock()
		if l.listen != nil {
			l.listen.waiting = slices.DeleteFunc(l.listen.waiting, func(c *socket) bool { return c == s })
		}
		l.mu.Unlock()
	}
}

// stopListening resets what was not accepted. t may be nil.
func (s *socket) stopListening(t *vfs.Task) {
	n := s.net
	s.mu.Lock()
	l := s.listen
	path, place := s.local.Path, s.place
	s.place = vfs.Path{}
	if l != nil {
		s.listen = nil
		s.state = unconnected
		s.wake(0)
		n.mu.Lock()
		n.listening = slices.DeleteFunc(n.listening, func(x *socket) bool { return x == s })
		if s.use != nil {
			s.use.listen = false
			port := s.use.port
			n.listeners[port] = slices.DeleteFunc(n.listeners[port], func(x *socket) bool { return x == s })
			if len(n.listeners[port]) == 0 {
				delete(n.listeners, port)
			}
		}
		n.mu.Unlock()
		s.unbindPort()
	}
	s.mu.Unlock()
	if path != "" {
		n.unbindAbstract(s, path)
	}
	if place != (vfs.Path{}) {
		n.tree.UnbindSocket(place)
	}
	if l == nil {
		return
	}
	for _, c := range slices.Concat(l.queue, l.deferred) {
		c.abort(t)
	}
	for _, client := range l.waiting {
		client.refused()
	}
}

// abort closes the socket as one that nobody accepted: with a RST.
func (s *socket) abort(t *vfs.Task) {
	s.mu.Lock()
	s.aborted = true
	s.mu.Unlock()
	s.close(t)
}
