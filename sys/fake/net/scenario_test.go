package net

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/httpjail/httpjail/sys"
)

// script runs calls on a kernel and writes down what they return. Descriptors
// and ports have names, as their numbers differ between kernels.
type script struct {
	k     kernel
	log   strings.Builder
	names map[int]string
	ports map[uint16]string
	tag   string // makes abstract names the test's own
}

func newScript(k kernel) *script {
	return &script{k: k, names: map[int]string{}, ports: map[uint16]string{0: "0"}, tag: fmt.Sprintf("httpjail-test-%d-%d", os.Getpid(), time.Now().UnixNano())}
}

func errName(err error) string {
	if e, ok := err.(sys.Errno); ok {
		return sys.ErrnoName(e)
	}
	return fmt.Sprint(err)
}

func (s *script) note(format string, args ...any) {
	fmt.Fprintf(&s.log, format+"\n", args...)
}

func (s *script) result(what string, err error) {
	if err != nil {
		s.note("%s: %s", what, errName(err))
	} else {
		s.note("%s: ok", what)
	}
}

func (s *script) addr(a sys.SockAddr) string {
	if a.Family == sys.AF_UNIX {
		path := strings.ReplaceAll(a.Path, s.tag, "TAG")
		if strings.HasPrefix(path, "/") {
			path = strings.TrimPrefix(path, s.k.Dir())
		}
		return "unix:" + path
	}
	if !a.Addr.IsValid() {
		return "none"
	}
	p, ok := s.ports[a.Addr.Port()]
	if !ok {
		p = fmt.Sprintf("port%d", len(s.ports))
		s.ports[a.Addr.Port()] = p
	}
	return a.Addr.Addr().String() + " " + p
}

// socket makes a non-blocking socket called name.
func (s *script) socket(name string, domain, typ int) int {
	fd, err := s.k.Socket(domain, typ|sys.SOCK_NONBLOCK, 0)
	if err != nil {
		s.result("socket "+name, err)
		return -1
	}
	s.names[fd] = name
	return fd
}

// blocking makes a socket whose connect waits for its result.
func (s *script) blocking(name string, domain, typ int) int {
	fd, err := s.k.Socket(domain, typ, 0)
	if err != nil {
		s.result("socket "+name, err)
		return -1
	}
	s.names[fd] = name
	return fd
}

func (s *script) bind(fd int, a sys.SockAddr) {
	s.result(fmt.Sprintf("bind %s", s.names[fd]), s.k.Bind(fd, a))
}
func (s *script) listen(fd, backlog int) {
	s.result(fmt.Sprintf("listen %s %d", s.names[fd], backlog), s.k.Listen(fd, backlog))
}
func (s *script) connect(fd int, a sys.SockAddr) {
	s.result("connect "+s.names[fd], s.k.Connect(fd, a))
}
func (s *script) accept(fd int, name string) int {
	nfd, peer, err := s.k.Accept(fd)
	if err != nil {
		s.result("accept "+s.names[fd], err)
		return -1
	}
	s.names[nfd] = name
	s.note("accept %s: %s from %s", s.names[fd], name, s.addr(peer))
	return nfd
}
func (s *script) name(fd int) sys.SockAddr {
	a, err := s.k.Getsockname(fd)
	if err != nil {
		s.result("getsockname "+s.names[fd], err)
		return a
	}
	s.note("getsockname %s: %s", s.names[fd], s.addr(a))
	return a
}
func (s *script) peer(fd int) {
	a, err := s.k.Getpeername(fd)
	if err != nil {
		s.result("getpeername "+s.names[fd], err)
		return
	}
	s.note("getpeername %s: %s", s.names[fd], s.addr(a))
}
func (s *script) send(fd int, text string) {
	n, err := s.k.Send(fd, []byte(text), 0)
	if err != nil {
		s.result("send "+s.names[fd], err)
		return
	}
	s.note("send %s: %d", s.names[fd], n)
}
func (s *script) recv(fd, size int) { s.recvFlags(fd, size, sys.MSG_DONTWAIT) }
func (s *script) peek(fd, size int) { s.recvFlags(fd, size, sys.MSG_DONTWAIT|sys.MSG_PEEK) }
func (s *script) recvFlags(fd, size, flags int) {
	p := make([]byte, size)
	n, err := s.k.Recv(fd, p, flags)
	if err != nil {
		s.result("recv "+s.names[fd], err)
		return
	}
	s.note("recv %s: %q", s.names[fd], p[:n])
}
func (s *script) sendmsg(fd int, text string, fds ...int) {
	n, err := s.k.Sendmsg(fd, []byte(text), fds, 0)
	if err != nil {
		s.result("sendmsg "+s.names[fd], err)
		return
	}
	s.note("sendmsg %s: %d", s.names[fd], n)
}
func (s *script) recvmsg(fd, size, nfds, flags int) []int {
	p := make([]byte, size)
	n, fds, msgflags, err := s.k.Recvmsg(fd, p, nfds, flags|sys.MSG_DONTWAIT|sys.MSG_CMSG_CLOEXEC)
	if err != nil {
		s.result("recvmsg "+s.names[fd], err)
		return nil
	}
	s.note("recvmsg %s: %q %d descriptors flags %#x", s.names[fd], p[:n], len(fds), msgflags)
	return fds
}
func (s *script) shutdown(fd, how int) {
	s.result(fmt.Sprintf("shutdown %s %d", s.names[fd], how), s.k.Shutdown(fd, how))
}
func (s *script) close(fd int) {
	s.result("close "+s.names[fd], s.k.Close(fd))
}
func (s *script) poll(fd int) {
	ev := s.k.Poll(fd, sys.POLLIN|sys.POLLOUT|sys.POLLRDHUP)
	s.note("poll %s:%s", s.names[fd], events(uint32(uint16(ev))))
}
func (s *script) set(fd int, what string, level, opt, v int) {
	s.result(fmt.Sprintf("setsockopt %s %s %d", s.names[fd], what, v), s.k.Setsockopt(fd, level, opt, v))
}
func (s *script) get(fd int, what string, level, opt int) {
	v, err := s.k.Getsockopt(fd, level, opt)
	if err != nil {
		s.result("getsockopt "+s.names[fd]+" "+what, err)
	} else {
		s.note("getsockopt %s %s: %d", s.names[fd], what, v)
	}
}
func (s *script) soError(fd int) {
	v, err := s.k.Getsockopt(fd, sys.SOL_SOCKET, sys.SO_ERROR)
	switch {
	case err != nil:
		s.result("SO_ERROR "+s.names[fd], err)
	case v == 0:
		s.note("SO_ERROR %s: none", s.names[fd])
	default:
		s.note("SO_ERROR %s: %s", s.names[fd], sys.ErrnoName(sys.Errno(v)))
	}
}

func events(ev uint32) string {
	var b strings.Builder
	for _, e := range []struct {
		bit  uint32
		name string
	}{
		{sys.POLLIN, "IN"}, {sys.POLLOUT, "OUT"}, {sys.POLLERR, "ERR"}, {sys.POLLHUP, "HUP"}, {sys.POLLRDHUP, "RDHUP"}, {sys.POLLNVAL, "NVAL"},
	} {
		if ev&e.bit != 0 {
			b.WriteString(" " + e.name)
		}
	}
	if b.Len() == 0 {
		return " none"
	}
	return b.String()
}

// server makes a listening TCP socket on a port of its own.
func (s *script) server(name string, backlog int) (int, sys.SockAddr) {
	fd := s.socket(name, sys.AF_INET, sys.SOCK_STREAM)
	if err := s.k.Bind(fd, at(0)); err != nil {
		s.result("bind", err)
	}
	a, _ := s.k.Getsockname(fd)
	s.addr(a)
	if err := s.k.Listen(fd, backlog); err != nil {
		s.result("listen", err)
	}
	return fd, a
}

// conn makes a TCP connection: client, server end.
func (s *script) conn() (c, a int) {
	l, to := s.server("l", 8)
	c = s.blocking("c", sys.AF_INET, sys.SOCK_STREAM)
	if err := s.k.Connect(c, to); err != nil {
		s.result("connect", err)
	}
	a, _, err := s.k.Accept(l)
	if err != nil {
		s.result("accept", err)
	}
	s.names[a] = "a"
	s.k.Close(l)
	s.noDelay(c)
	s.noDelay(a)
	return c, a
}

// noDelay makes the real kernel send at once what is written.
func (s *script) noDelay(fd int) { s.k.Setsockopt(fd, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1) }

func (s *script) pair(typ int) (a, b int) {
	a, b, err := s.k.Socketpair(sys.AF_UNIX, typ|sys.SOCK_NONBLOCK, 0)
	if err != nil {
		s.result("socketpair", err)
	}
	s.names[a], s.names[b] = "a", "b"
	return a, b
}

func (s *script) ctl(ep, op, fd int, ev uint32) {
	what := map[int]string{sys.EPOLL_CTL_ADD: "add", sys.EPOLL_CTL_MOD: "mod", sys.EPOLL_CTL_DEL: "del"}[op]
	s.result("epoll "+what+" "+s.names[fd], s.k.EpollCtl(ep, op, fd, ev))
}
func (s *script) wait(ep, max int) {
	evs, err := s.k.EpollWait(ep, max)
	if err != nil {
		s.result("epoll_wait", err)
		return
	}
	var b strings.Builder
	for _, e := range evs {
		fmt.Fprintf(&b, " [%s%s]", s.names[int(e.Fd)], events(e.Events))
	}
	s.note("epoll_wait:%s", b.String())
}

const stream = sys.SOCK_STREAM

type scenario struct {
	name string
	run  func(s *script)
}

var scenarios = []scenario{
	{"tcp-connection", func(s *script) {
		l := s.socket("l", sys.AF_INET, stream)
		s.poll(l)
		s.name(l)
		s.bind(l, at(0))
		to := s.name(l)
		s.bind(l, at(0))
		s.accept(l, "x")
		s.listen(l, 5)
		s.listen(l, 3)
		s.poll(l)
		s.accept(l, "x")
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.name(c)
		s.peer(c)
		s.poll(l)
		s.poll(c)
		a := s.accept(l, "a")
		s.poll(l)
		s.name(a)
		s.peer(a)
		s.connect(c, to)
		s.connect(l, to)
		s.listen(c, 1)
		s.recv(a, 10)
		s.send(c, "hello")
		s.poll(a)
		s.peek(a, 3)
		s.recv(a, 3)
		s.recv(a, 10)
		s.recv(a, 10)
		s.send(c, "")
		s.send(a, "answer")
		s.shutdown(a, sys.SHUT_WR)
		s.poll(a)
		s.poll(c)
		s.send(a, "more")
		s.recv(c, 100)
		s.recv(c, 100)
		s.send(c, "still")
		s.recv(a, 100)
		s.close(c)
		s.poll(a)
		s.recv(a, 100)
		s.peer(a)
		s.send(a, "x")
		s.close(a)
		s.close(l)
	}},
	{"tcp-unconnected", func(s *script) {
		c := s.socket("c", sys.AF_INET, stream)
		s.poll(c)
		s.recv(c, 10)
		s.send(c, "x")
		s.peer(c)
		s.accept(c, "x")
		s.shutdown(c, sys.SHUT_RDWR)
		s.shutdown(c, 3)
		l, _ := s.server("l", 1)
		s.recv(l, 10)
		s.send(l, "x")
		s.peer(l)
		auto := s.socket("auto", sys.AF_INET, stream)
		s.listen(auto, 1)
		s.name(auto)
	}},
	{"tcp-close-with-unread-data", func(s *script) {
		c, a := s.conn()
		s.send(c, "unread")
		s.send(a, "kept")
		s.close(a)
		s.poll(c)
		s.peer(c)
		s.recv(c, 2)
		s.recv(c, 20)
		s.recv(c, 20)
		s.recv(c, 20)
		s.send(c, "x")
		s.soError(c)
		s.shutdown(c, sys.SHUT_WR)
	}},
	{"tcp-write-after-reset", func(s *script) {
		c, a := s.conn()
		s.send(c, "unread")
		s.close(a)
		s.send(c, "x")
		s.send(c, "x")
		s.recv(c, 10)
	}},
	{"tcp-write-to-closed", func(s *script) {
		c, a := s.conn()
		s.close(a)
		s.poll(c)
		s.send(c, "into the void")
		s.poll(c)
		s.send(c, "x")
		s.send(c, "x")
		s.recv(c, 10)
		s.soError(c)
	}},
	{"tcp-write-to-closed-so-error", func(s *script) {
		c, a := s.conn()
		s.send(a, "tail")
		s.close(a)
		s.send(c, "into the void")
		s.soError(c)
		s.soError(c)
		s.send(c, "x")
		s.recv(c, 10)
		s.recv(c, 10)
	}},
	{"tcp-linger-0", func(s *script) {
		c, a := s.conn()
		s.result("linger", s.k.SetLinger(a, true, 0))
		s.close(a)
		s.poll(c)
		s.soError(c)
		s.recv(c, 10)
		s.send(c, "x")
	}},
	{"tcp-reset-after-half-close", func(s *script) {
		c, a := s.conn()
		s.shutdown(c, sys.SHUT_WR)
		s.result("linger", s.k.SetLinger(a, true, 0))
		s.close(a)
		s.poll(c)
		s.recv(c, 10)
		s.recv(c, 10)
		s.send(c, "x")
	}},
	{"tcp-reset-after-fin", func(s *script) {
		c, a := s.conn()
		s.shutdown(a, sys.SHUT_WR)
		s.result("linger", s.k.SetLinger(a, true, 0))
		s.close(a)
		s.poll(c)
		s.recv(c, 10)
		s.soError(c)
		s.send(c, "x")
	}},
	{"tcp-reset-before-accept", func(s *script) {
		l, to := s.server("l", 5)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.send(c, "data")
		s.result("linger", s.k.SetLinger(c, true, 0))
		s.close(c)
		s.poll(l)
		a := s.accept(l, "a")
		s.poll(a)
		s.recv(a, 10)
		s.recv(a, 10)
		s.recv(a, 10)
	}},
	{"tcp-listener-closed", func(s *script) {
		l, to := s.server("l", 5)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.send(c, "data")
		s.close(l)
		s.poll(c)
		s.recv(c, 10)
		s.recv(c, 10)
		d := s.blocking("d", sys.AF_INET, stream)
		s.connect(d, to)
	}},
	{"tcp-refused", func(s *script) {
		l, to := s.server("l", 5)
		s.close(l)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.note("addresses after a refused connect")
		s.name(c)
		s.peer(c)
		b := s.blocking("b", sys.AF_INET, stream)
		s.bind(b, sys.InetAddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), 0)))
		s.name(b)
		s.connect(b, to)
		s.name(b)
		s.poll(c)
		s.soError(c)
		s.connect(c, to)
		d := s.socket("d", sys.AF_INET, stream)
		s.connect(d, to)
		s.poll(d)
		s.soError(d)
		s.poll(d)
		e := s.socket("e", sys.AF_INET, stream)
		s.connect(e, to)
		s.connect(e, to)
		s.poll(e)
		f := s.socket("f", sys.AF_INET, stream)
		s.connect(f, to)
		s.recv(f, 10)
		s.recv(f, 10)
		s.send(f, "x")
	}},
	{"tcp-nonblocking-connect", func(s *script) {
		l, to := s.server("l", 5)
		c := s.socket("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.poll(c)
		s.soError(c)
		s.connect(c, to)
		s.connect(c, to)
		s.accept(l, "a")
		d := s.socket("d", sys.AF_INET, stream)
		s.connect(d, to)
		s.send(d, "early")
		b := s.accept(l, "b")
		s.recv(b, 10)
	}},
	{"tcp-full-backlog", func(s *script) {
		_, to := s.server("l", 1)
		for _, name := range []string{"c1", "c2"} {
			s.connect(s.blocking(name, sys.AF_INET, stream), to)
		}
		c := s.socket("c3", sys.AF_INET, stream)
		s.connect(c, to)
		s.poll(c)
		s.connect(c, to)
		s.send(c, "x")
		s.recv(c, 10)
		s.peer(c)
	}},
	{"tcp-shutdown", func(s *script) {
		c, a := s.conn()
		s.send(a, "before")
		s.shutdown(c, sys.SHUT_RD)
		s.poll(c)
		s.poll(a)
		s.recv(c, 10)
		s.recv(c, 10)
		s.send(a, "after")
		s.recv(c, 10)
		s.shutdown(c, sys.SHUT_WR)
		s.poll(c)
		s.poll(a)
		s.recv(a, 10)
		s.shutdown(a, sys.SHUT_WR)
		s.poll(c)
		s.poll(a)
		s.peer(c)
		s.shutdown(c, sys.SHUT_RDWR)
		s.send(c, "x")
	}},
	{"tcp-shutdown-listener", func(s *script) {
		l, to := s.server("l", 5)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.shutdown(l, sys.SHUT_WR)
		s.poll(l)
		s.shutdown(l, sys.SHUT_RD)
		s.poll(l)
		s.accept(l, "a")
		s.poll(c)
		s.recv(c, 1)
		d := s.blocking("d", sys.AF_INET, stream)
		s.connect(d, to)
		s.name(l)
		s.listen(l, 5)
		s.connect(d, to)
		s.connect(d, s.name(l))
	}},
	{"tcp-bind", func(s *script) {
		foreign := netip.MustParseAddr("192.0.2.1")
		a := s.socket("a", sys.AF_INET, stream)
		s.bind(a, sys.InetAddr(netip.AddrPortFrom(foreign, 0)))
		s.bind(a, sys.InetAddr(netip.AddrPortFrom(netip.IPv6Loopback(), 0)))
		s.bind(a, at(0))
		ap, _ := s.k.Getsockname(a)
		same := ap
		other := sys.InetAddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), ap.Addr.Port()))
		any := sys.InetAddr(netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Addr.Port()))
		any6 := sys.InetAddr(netip.AddrPortFrom(netip.IPv6Unspecified(), ap.Addr.Port()))
		try := func(name string, domain int, to sys.SockAddr, opts ...int) int {
			fd := s.socket(name, domain, stream)
			for _, o := range opts {
				s.k.Setsockopt(fd, sys.SOL_SOCKET, o, 1)
			}
			s.bind(fd, to)
			return fd
		}
		s.close(try("same", sys.AF_INET, same))
		s.close(try("same reuse", sys.AF_INET, same, sys.SO_REUSEADDR))
		s.close(try("other", sys.AF_INET, other))
		s.close(try("any", sys.AF_INET, any))
		s.close(try("any6", sys.AF_INET6, any6))
		only := s.socket("v6only", sys.AF_INET6, stream)
		s.set(only, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1)
		s.bind(only, any6)
		s.set(only, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 0)
		s.close(only)
		s.set(a, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		r := try("same reuse, both", sys.AF_INET, same, sys.SO_REUSEADDR)
		s.listen(r, 1)
		s.listen(a, 1)
		s.close(try("same reuse, listening", sys.AF_INET, same, sys.SO_REUSEADDR))
		s.close(r)
		s.listen(a, 1)
		s.close(a)

		p := try("p", sys.AF_INET, at(0), sys.SO_REUSEPORT)
		pp, _ := s.k.Getsockname(p)
		s.listen(p, 1)
		q := try("q", sys.AF_INET, pp, sys.SO_REUSEPORT)
		s.listen(q, 1)
		s.close(try("r", sys.AF_INET, pp))
		s.close(try("r reuse", sys.AF_INET, pp, sys.SO_REUSEADDR))
	}},
	{"tcp-bind-after-close", func(s *script) {
		l, to := s.server("l", 5)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		a := s.accept(l, "a")
		s.close(l)
		plain := s.socket("plain", sys.AF_INET, stream)
		s.bind(plain, to)
		reuse := s.socket("reuse", sys.AF_INET, stream)
		s.set(reuse, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		s.bind(reuse, to)
		s.close(c)
		s.close(a) // the passive end: no TIME_WAIT here
		s.bind(plain, to)
	}},
	{"tcp-bind-after-active-close", func(s *script) {
		l := s.socket("l", sys.AF_INET, stream)
		s.set(l, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		s.bind(l, at(0))
		to := s.name(l)
		s.listen(l, 1)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		a := s.accept(l, "a")
		s.close(l)
		s.close(a)
		s.close(c)
		plain := s.socket("plain", sys.AF_INET, stream)
		s.bind(plain, to)
		reuse := s.socket("reuse", sys.AF_INET, stream)
		s.set(reuse, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		s.bind(reuse, to)
		s.listen(reuse, 1)
	}},
	{"tcp6", func(s *script) {
		l := s.socket("l", sys.AF_INET6, stream)
		s.name(l)
		s.bind(l, at(0))
		s.bind(l, sys.InetAddr(netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
		a6 := s.name(l)
		port := a6.Addr.Port()
		s.listen(l, 5)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, at(int(port)))
		s.peer(c)
		a := s.accept(l, "a")
		s.name(a)
		s.peer(a)
		d := s.blocking("d", sys.AF_INET6, stream)
		s.connect(d, at(int(port)))
		s.connect(d, sys.InetAddr(netip.AddrPortFrom(netip.IPv6Loopback(), port)))
		s.name(d)
		s.accept(l, "b")
		e := s.blocking("e", sys.AF_INET6, stream)
		s.connect(e, sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), port)})
		s.name(e)
		s.peer(e)
		s.accept(l, "f")
		g := s.blocking("g", sys.AF_INET, stream)
		s.connect(g, sys.InetAddr(netip.AddrPortFrom(netip.IPv4Unspecified(), port)))
		s.peer(g)
		h := s.blocking("h", sys.AF_INET, stream)
		s.connect(h, sys.InetAddr(netip.AddrPortFrom(netip.IPv6Loopback(), port)))
	}},
	{"tcp-defer-accept", func(s *script) {
		l, to := s.server("l", 5)
		s.set(l, "DEFER_ACCEPT", sys.IPPROTO_TCP, sys.TCP_DEFER_ACCEPT, 10)
		c := s.blocking("c", sys.AF_INET, stream)
		s.connect(c, to)
		s.poll(l)
		s.accept(l, "a")
		s.send(c, "data")
		s.poll(l)
		a := s.accept(l, "a")
		s.recv(a, 10)
		d := s.blocking("d", sys.AF_INET, stream)
		s.connect(d, to)
		s.close(d)
		s.poll(l)
		e := s.accept(l, "e")
		s.recv(e, 10)
		f := s.blocking("f", sys.AF_INET, stream)
		s.connect(f, to)
		s.result("linger", s.k.SetLinger(f, true, 0))
		s.close(f)
		s.poll(l)
	}},
	{"options", func(s *script) {
		c := s.socket("tcp", sys.AF_INET, stream)
		u := s.socket("unix", sys.AF_UNIX, stream)
		v := s.socket("tcp6", sys.AF_INET6, stream)
		for _, fd := range []int{c, u, v} {
			for _, o := range []struct {
				what       string
				level, opt int
				values     []int
			}{
				{"REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, []int{1, 7, 0}},
				{"REUSEPORT", sys.SOL_SOCKET, sys.SO_REUSEPORT, []int{1, 0}},
				{"KEEPALIVE", sys.SOL_SOCKET, sys.SO_KEEPALIVE, []int{1}},
				{"SNDBUF", sys.SOL_SOCKET, sys.SO_SNDBUF, []int{0, 1000, 65536}},
				{"RCVBUF", sys.SOL_SOCKET, sys.SO_RCVBUF, []int{0, 65536}},
				{"LINGER", sys.SOL_SOCKET, sys.SO_LINGER, []int{1}},
				{"RCVTIMEO", sys.SOL_SOCKET, sys.SO_RCVTIMEO, []int{1}},
				{"TYPE", sys.SOL_SOCKET, sys.SO_TYPE, []int{1}},
				{"ERROR", sys.SOL_SOCKET, sys.SO_ERROR, []int{1}},
				{"ACCEPTCONN", sys.SOL_SOCKET, sys.SO_ACCEPTCONN, []int{1}},
				{"bad", sys.SOL_SOCKET, 9999, []int{1}},
				{"NODELAY", sys.IPPROTO_TCP, sys.TCP_NODELAY, []int{1, 0}},
				{"CORK", sys.IPPROTO_TCP, sys.TCP_CORK, []int{1, 0}},
				{"DEFER_ACCEPT", sys.IPPROTO_TCP, sys.TCP_DEFER_ACCEPT, []int{0, 1, 2, 3, 5, 30, 200, -1}},
				{"bad tcp", sys.IPPROTO_TCP, 9999, []int{1}},
				{"V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, []int{1, 0}},
				{"bad level", 9999, 1, []int{1}},
			} {
				for _, val := range o.values {
					s.set(fd, o.what, o.level, o.opt, val)
					s.get(fd, o.what, o.level, o.opt)
				}
			}
		}
		s.result("timeout", s.k.SetTimeout(c, sys.SO_RCVTIMEO, 1500*time.Millisecond))
		s.get(c, "RCVTIMEO", sys.SOL_SOCKET, sys.SO_RCVTIMEO)
		s.result("timeout", s.k.SetTimeout(c, sys.SO_TYPE, time.Second))
		l, _ := s.server("l", 1)
		s.get(l, "ACCEPTCONN", sys.SOL_SOCKET, sys.SO_ACCEPTCONN)
	}},
	{"socket-types", func(s *script) {
		for _, x := range [][3]int{
			{sys.AF_INET, sys.SOCK_STREAM, sys.IPPROTO_TCP},
			{sys.AF_INET, sys.SOCK_STREAM, 17},
			{sys.AF_INET, sys.SOCK_SEQPACKET, 0},
			{sys.AF_INET, 99, 0},
			{sys.AF_INET, -1, 0},
			{9999, sys.SOCK_STREAM, 0},
			{-1, sys.SOCK_STREAM, 0},
			{0, sys.SOCK_STREAM, 0},
			{sys.AF_UNIX, sys.SOCK_STREAM, 0},
			{sys.AF_UNIX, sys.SOCK_SEQPACKET, 0},
			{sys.AF_UNIX, sys.SOCK_STREAM, 1},
			{sys.AF_UNIX, sys.SOCK_STREAM, 6},
			{sys.AF_UNIX, 4, 0},
		} {
			_, err := s.k.Socket(x[0], x[1], x[2])
			s.result(fmt.Sprint("socket ", x), err)
			_, _, err = s.k.Socketpair(x[0], x[1], x[2])
			s.result(fmt.Sprint("socketpair ", x), err)
		}
		r, _ := s.k.Pipe()
		s.names[r] = "pipe"
		s.bind(r, at(0))
		s.listen(r, 1)
		s.peer(r)
		s.recv(r, 1)
		s.soError(r)
		s.shutdown(r, 0)
	}},
	{"unix-pair", func(s *script) {
		a, b := s.pair(stream)
		s.name(a)
		s.peer(a)
		s.poll(a)
		s.recv(a, 10)
		s.send(a, "one")
		s.send(a, "two")
		s.poll(b)
		s.peek(b, 4)
		s.recv(b, 4)
		s.recv(b, 10)
		s.shutdown(a, sys.SHUT_WR)
		s.poll(a)
		s.poll(b)
		s.recv(b, 10)
		s.send(a, "x")
		s.send(b, "back")
		s.close(b)
		s.poll(a)
		s.recv(a, 10)
		s.recv(a, 10)
		s.send(a, "x")
		s.peer(a)
	}},
	{"unix-close-with-unread-data", func(s *script) {
		a, b := s.pair(stream)
		s.send(a, "unread")
		s.send(b, "kept")
		s.close(b)
		s.poll(a)
		s.send(a, "x")
		s.recv(a, 10)
		s.recv(a, 10)
		s.recv(a, 10)
		s.poll(a)
	}},
	{"unix-shutdown-read", func(s *script) {
		a, b := s.pair(stream)
		s.send(b, "before")
		s.shutdown(a, sys.SHUT_RD)
		s.poll(a)
		s.poll(b)
		s.send(b, "x")
		s.recv(a, 10)
		s.recv(a, 10)
		s.shutdown(a, sys.SHUT_RDWR)
		s.poll(a)
		s.poll(b)
	}},
	{"unix-unconnected", func(s *script) {
		for _, typ := range []int{stream, sys.SOCK_SEQPACKET} {
			u := s.socket("u", sys.AF_UNIX, typ)
			s.poll(u)
			s.name(u)
			s.peer(u)
			s.recv(u, 10)
			s.send(u, "x")
			s.listen(u, 1)
			s.accept(u, "x")
			s.shutdown(u, sys.SHUT_WR)
			s.connect(u, sys.UnixAddr("@"+s.tag+"nobody"))
			s.connect(u, sys.UnixAddr("/nonexistent/socket"))
			s.bind(u, at(0))
			s.connect(u, at(1))
			s.bind(u, sys.UnixAddr("@"+strings.Repeat("x", 108)))
		}
	}},
	{"unix-abstract", func(s *script) {
		name := sys.UnixAddr("@" + s.tag)
		l := s.socket("l", sys.AF_UNIX, stream)
		s.bind(l, name)
		s.bind(l, name)
		s.name(l)
		m := s.socket("m", sys.AF_UNIX, stream)
		s.bind(m, name)
		c := s.socket("c", sys.AF_UNIX, stream)
		s.connect(c, name)
		s.listen(l, 1)
		s.poll(l)
		s.connect(c, name)
		s.connect(c, name)
		s.connect(l, name)
		s.name(c)
		s.peer(c)
		s.poll(l)
		q := s.socket("q", sys.AF_UNIX, sys.SOCK_SEQPACKET)
		s.connect(q, name)
		d := s.socket("d", sys.AF_UNIX, stream)
		s.connect(d, name)
		e := s.socket("e", sys.AF_UNIX, stream)
		s.connect(e, name)
		s.poll(e)
		a := s.accept(l, "a")
		s.name(a)
		s.peer(a)
		s.connect(e, name)
		s.send(d, "early")
		s.close(l)
		s.poll(d)
		s.recv(d, 10)
		s.recv(d, 10)
		s.send(c, "still there")
		s.recv(a, 100)
		s.connect(m, name)
		s.bind(m, name)
	}},
	{"unix-path", func(s *script) {
		name := sys.UnixAddr(s.k.Dir() + "/sock")
		l := s.socket("l", sys.AF_UNIX, stream)
		s.bind(l, name)
		s.name(l)
		m := s.socket("m", sys.AF_UNIX, stream)
		s.bind(m, name)
		s.connect(m, name)
		s.connect(m, sys.UnixAddr(s.k.Dir()+"/none"))
		s.connect(m, sys.UnixAddr(s.k.Dir()+"/sock/x"))
		s.connect(m, sys.UnixAddr(s.k.Dir()+"/"))
		s.listen(l, 2)
		q := s.socket("q", sys.AF_UNIX, sys.SOCK_SEQPACKET)
		s.connect(q, name)
		s.connect(m, name)
		s.peer(m)
		s.accept(l, "a")
		s.close(l)
		c := s.socket("c", sys.AF_UNIX, stream)
		s.connect(c, name)
		s.bind(c, name)
		s.bind(c, sys.UnixAddr(s.k.Dir()+"/"+strings.Repeat("x", 110)))
	}},
	{"unix-shutdown-listener", func(s *script) {
		name := sys.UnixAddr("@" + s.tag)
		l := s.socket("l", sys.AF_UNIX, stream)
		s.bind(l, name)
		s.listen(l, 3)
		c := s.socket("c", sys.AF_UNIX, stream)
		s.connect(c, name)
		s.shutdown(l, sys.SHUT_RDWR)
		s.poll(l)
		d := s.socket("d", sys.AF_UNIX, stream)
		s.connect(d, name)
		s.accept(l, "a")
		s.accept(l, "a")
	}},
	{"unix-seqpacket", func(s *script) {
		a, b := s.pair(sys.SOCK_SEQPACKET)
		s.send(a, "first")
		s.send(a, "second")
		s.send(a, "")
		s.send(a, "last")
		s.peek(b, 3)
		s.recv(b, 3)
		s.recvmsg(b, 3, 0, 0)
		s.recv(b, 10)
		s.recv(b, 10)
		s.recv(b, 10)
		s.send(b, "unread")
		s.close(a)
		s.poll(b)
		s.recv(b, 10)
		s.recv(b, 10)
		s.send(b, "x")
	}},
	{"unix-rights", func(s *script) {
		a, b := s.pair(stream)
		r, w := s.k.Pipe()
		s.names[r], s.names[w] = "r", "w"
		s.send(a, "one ")
		s.sendmsg(a, "two ", w)
		s.send(a, "three")
		for _, fd := range s.recvmsg(b, 100, 4, sys.MSG_PEEK) {
			s.k.Close(fd)
		}
		got := s.recvmsg(b, 100, 4, 0)
		s.recvmsg(b, 100, 4, 0)
		s.close(w)
		s.poll(r)
		if len(got) == 1 {
			n, err := s.k.Send(got[0], []byte("through"), 0)
			s.note("write through the received descriptor: %d %v", n, err)
			s.poll(r)
			s.k.Close(got[0])
		}
		s.poll(r)

		r2, w2 := s.k.Pipe()
		s.names[r2], s.names[w2] = "r2", "w2"
		s.sendmsg(a, "x", w2, w2, w2)
		s.close(w2)
		for _, fd := range s.recvmsg(b, 10, 1, 0) {
			s.k.Close(fd)
		}
		s.poll(r2)

		r3, w3 := s.k.Pipe()
		s.names[r3], s.names[w3] = "r3", "w3"
		s.sendmsg(a, "y", w3)
		s.close(w3)
		s.poll(r3)
		s.recv(b, 10)
		s.poll(r3)

		r4, w4 := s.k.Pipe()
		s.names[r4], s.names[w4] = "r4", "w4"
		s.sendmsg(a, "split", w4)
		s.close(w4)
		got = s.recvmsg(b, 2, 1, 0)
		s.recvmsg(b, 100, 1, 0)
		for _, fd := range got {
			s.k.Close(fd)
		}
		s.poll(r4)

		r5, w5 := s.k.Pipe()
		s.names[r5], s.names[w5] = "r5", "w5"
		s.sendmsg(a, "in flight", w5)
		s.close(w5)
		s.poll(r5)
		s.close(b)
		s.poll(r5)
		s.sendmsg(a, "x", r5)
	}},
	{"epoll", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		a, b := s.pair(stream)
		s.ctl(ep, sys.EPOLL_CTL_ADD, a, sys.EPOLLIN)
		s.ctl(ep, sys.EPOLL_CTL_ADD, a, sys.EPOLLIN)
		s.ctl(ep, sys.EPOLL_CTL_MOD, b, sys.EPOLLIN)
		s.ctl(ep, sys.EPOLL_CTL_DEL, b, 0)
		s.ctl(ep, sys.EPOLL_CTL_ADD, ep, sys.EPOLLIN)
		s.ctl(ep, 9, a, 0)
		_, err := s.k.EpollWait(a, 1)
		s.result("epoll_wait on a socket", err)
		s.result("epoll_ctl on a socket", s.k.EpollCtl(a, sys.EPOLL_CTL_ADD, b, sys.EPOLLIN))
		s.wait(ep, 8)
		s.poll(ep)
		s.send(b, "x")
		s.poll(ep)
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.recv(a, 10)
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_MOD, a, sys.EPOLLIN|sys.EPOLLOUT)
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_MOD, a, 0)
		s.wait(ep, 8)
		s.close(b)
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_DEL, a, 0)
		s.wait(ep, 8)
	}},
	{"epoll-edge", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		c, a := s.conn()
		s.ctl(ep, sys.EPOLL_CTL_ADD, a, sys.EPOLLIN|sys.EPOLLOUT|sys.EPOLLRDHUP|sys.EPOLLET)
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.send(c, "one")
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.send(c, "two")
		s.wait(ep, 8)
		s.recv(a, 1)
		s.wait(ep, 8)
		s.send(a, "x")
		s.recv(c, 1)
		s.wait(ep, 8)
		s.shutdown(c, sys.SHUT_WR)
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_MOD, a, sys.EPOLLIN|sys.EPOLLET)
		s.wait(ep, 8)
		s.wait(ep, 8)
	}},
	{"epoll-oneshot", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		a, b := s.pair(stream)
		s.ctl(ep, sys.EPOLL_CTL_ADD, a, sys.EPOLLIN|sys.EPOLLONESHOT)
		s.send(b, "x")
		s.wait(ep, 8)
		s.send(b, "x")
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_MOD, a, sys.EPOLLIN|sys.EPOLLONESHOT)
		s.wait(ep, 8)
		s.close(b)
		s.wait(ep, 8)
	}},
	{"epoll-order", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		var left, right [4]int
		for i := range left {
			left[i], right[i] = s.pair(stream)
			s.names[left[i]] = fmt.Sprint(i)
			s.k.EpollCtl(ep, sys.EPOLL_CTL_ADD, left[i], sys.EPOLLIN)
		}
		for _, i := range []int{2, 0, 3, 1} {
			s.send(right[i], "x")
		}
		s.wait(ep, 2)
		s.wait(ep, 2)
		s.wait(ep, 3)
		s.wait(ep, 8)
		s.recv(left[0], 1)
		s.wait(ep, 8)
		s.send(right[0], "y")
		s.wait(ep, 8)
	}},
	{"epoll-closed-descriptions", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		a, b := s.pair(stream)
		s.send(b, "x")
		s.ctl(ep, sys.EPOLL_CTL_ADD, a, sys.EPOLLIN)
		d := s.k.Dup(a)
		s.names[d] = "dup of a"
		s.ctl(ep, sys.EPOLL_CTL_ADD, d, sys.EPOLLIN)
		s.close(a)
		s.wait(ep, 8)
		s.close(d)
		s.wait(ep, 8)
		r, w := s.k.Pipe()
		s.names[r], s.names[w] = "r", "w"
		s.ctl(ep, sys.EPOLL_CTL_ADD, r, sys.EPOLLIN)
		s.wait(ep, 8)
		s.send(w, "x")
		s.wait(ep, 8)
		s.close(r)
		s.wait(ep, 8)
		s.ctl(ep, sys.EPOLL_CTL_ADD, w, sys.EPOLLOUT|sys.EPOLLET)
		s.wait(ep, 8)
		s.wait(ep, 8)
	}},
	{"epoll-nested", func(s *script) {
		var eps [7]int
		for i := range eps {
			eps[i] = s.k.EpollCreate()
			s.names[eps[i]] = fmt.Sprint("ep", i)
		}
		a, b := s.pair(stream)
		s.ctl(eps[1], sys.EPOLL_CTL_ADD, a, sys.EPOLLIN)
		s.ctl(eps[0], sys.EPOLL_CTL_ADD, eps[1], sys.EPOLLIN)
		s.ctl(eps[1], sys.EPOLL_CTL_ADD, eps[0], sys.EPOLLIN)
		s.ctl(eps[0], sys.EPOLL_CTL_ADD, b, sys.EPOLLIN|sys.EPOLLEXCLUSIVE)
		s.ctl(eps[0], sys.EPOLL_CTL_MOD, b, sys.EPOLLIN)
		s.ctl(eps[2], sys.EPOLL_CTL_ADD, b, sys.EPOLLIN|sys.EPOLLEXCLUSIVE|sys.EPOLLONESHOT)
		s.ctl(eps[2], sys.EPOLL_CTL_ADD, eps[0], sys.EPOLLIN|sys.EPOLLEXCLUSIVE)
		s.wait(eps[0], 8)
		s.send(b, "x")
		s.wait(eps[0], 8)
		s.recv(a, 10)
		s.wait(eps[0], 8)
		for i := 1; i+1 < len(eps); i++ {
			s.ctl(eps[i], sys.EPOLL_CTL_ADD, eps[i+1], sys.EPOLLIN)
		}
	}},
	{"epoll-listener", func(s *script) {
		ep := s.k.EpollCreate()
		s.names[ep] = "ep"
		l, to := s.server("l", 5)
		s.ctl(ep, sys.EPOLL_CTL_ADD, l, sys.EPOLLIN|sys.EPOLLET)
		s.wait(ep, 8)
		c := s.socket("c", sys.AF_INET, stream)
		s.ctl(ep, sys.EPOLL_CTL_ADD, c, sys.EPOLLIN|sys.EPOLLOUT|sys.EPOLLRDHUP|sys.EPOLLET)
		s.wait(ep, 8)
		s.connect(c, to)
		s.wait(ep, 8)
		a := s.accept(l, "a")
		s.close(a)
		s.wait(ep, 8)
		s.send(c, "x")
		s.wait(ep, 8)
	}},
	{"epoll-pipe", func(s *script) {
		r, w := s.k.Pipe()
		s.names[r], s.names[w] = "r", "w"
		ep, outer := s.k.EpollCreate(), s.k.EpollCreate()
		s.names[ep], s.names[outer] = "ep", "outer"
		s.ctl(ep, sys.EPOLL_CTL_ADD, r, sys.EPOLLIN|sys.EPOLLET)
		s.ctl(ep, sys.EPOLL_CTL_ADD, w, sys.EPOLLOUT|sys.EPOLLET)
		s.ctl(outer, sys.EPOLL_CTL_ADD, ep, sys.EPOLLIN|sys.EPOLLET)
		look := func() {
			s.poll(ep)
			s.wait(outer, 8)
			s.wait(ep, 8)
			s.wait(ep, 8)
		}
		look()
		s.send(w, "one")
		look()
		s.send(w, "two") // told of again
		look()
		s.k.Read(r, make([]byte, 2))
		look()
		s.k.Read(r, make([]byte, 100)) // no news for who writes: there was room
		look()
		for {
			if _, err := s.k.Send(w, make([]byte, 4096), 0); err != nil {
				s.result("write", err)
				break
			}
		}
		look()
		s.k.Read(r, make([]byte, 100))
		look()
		s.k.Read(r, make([]byte, 4096))
		look()
		s.k.Read(r, make([]byte, 4096))
		look()
		s.ctl(ep, sys.EPOLL_CTL_MOD, r, sys.EPOLLIN)
		look()
		s.ctl(ep, sys.EPOLL_CTL_MOD, r, sys.EPOLLIN|sys.EPOLLET|sys.EPOLLONESHOT)
		look()
		s.send(w, "x")
		look()
		s.ctl(ep, sys.EPOLL_CTL_MOD, r, sys.EPOLLET)
		s.send(w, "x")
		look()
		copied := s.k.Dup(r)
		s.close(r)
		look()
		s.send(w, "x")
		s.k.Close(copied)
		look() // the item is gone with the description, and the pipe is broken
		s.ctl(ep, sys.EPOLL_CTL_DEL, w, 0)
		look()
		r, w = s.k.Pipe()
		s.names[r], s.names[w] = "r", "w"
		s.ctl(ep, sys.EPOLL_CTL_ADD, r, sys.EPOLLIN|sys.EPOLLET)
		s.ctl(ep, sys.EPOLL_CTL_ADD, w, 0)
		s.send(w, "x")
		s.close(w)
		look()
		s.k.Read(r, make([]byte, 100))
		look()
		s.close(r)
		look()
	}},
	{"backpressure", func(s *script) {
		a, b := s.pair(stream)
		c, d := s.conn()
		p := make([]byte, 4096)
		for _, x := range [][2]int{{a, b}, {c, d}} {
			total := 0
			for {
				n, err := s.k.Send(x[0], p, sys.MSG_DONTWAIT)
				if err != nil {
					s.result("send", err)
					break
				}
				total += n
			}
			s.note("more than 64 KiB: %v", total > 64<<10)
			s.poll(x[0])
			for {
				n, err := s.k.Recv(x[1], p, sys.MSG_DONTWAIT)
				if err != nil {
					s.result("recv", err)
					break
				}
				total -= n
			}
			s.note("left: %d", total)
			s.poll(x[0])
		}
	}},
}

// onReal is what run writes down on the real kernel. When that is not what was
// expected, it tries again: under load, a segment may arrive only after the call
// that sent it has returned.
func onReal(t *testing.T, want string, run func(*script)) string {
	var got string
	for range 5 {
		k := newHostKernel(t)
		s := newScript(k)
		run(s)
		k.closeAll()
		if got = s.log.String(); got == want {
			break
		}
	}
	return got
}

// TestScenarios runs each scenario on the simulated kernel and on the real one
// and compares both with testdata. Set UPDATE_SCENARIOS to write what the real
// kernel does.
func TestScenarios(t *testing.T) {
	for _, sc := range slices.Concat(scenarios, datagramScenarios) {
		t.Run(sc.name, func(t *testing.T) {
			golden := filepath.Join("testdata", sc.name+".txt")
			want, err := os.ReadFile(golden)
			if update := os.Getenv("UPDATE_SCENARIOS") != ""; update {
				want = []byte(onReal(t, string(want), sc.run))
				err = os.WriteFile(golden, want, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if newHostKernel(t) != nil {
				real := onReal(t, string(want), sc.run)
				if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(real, "\n")); d != "" {
					t.Errorf("the real kernel (-testdata +real):\n%s", d)
				}
			}
			onFake(t, func(k *fakeKernel) {
				s := newScript(k)
				sc.run(s)
				if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(s.log.String(), "\n")); d != "" {
					t.Errorf("the simulated kernel (-testdata +simulated):\n%s", d)
				}
			})
		})
	}
}
