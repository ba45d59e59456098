package net

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

const dgram = sys.SOCK_DGRAM

// bound makes a non-blocking Unix datagram socket with the abstract name.
func (s *script) bound(name string) (int, sys.SockAddr) {
	fd := s.socket(name, sys.AF_UNIX, dgram)
	a := sys.UnixAddr("@" + s.tag + "-" + name)
	s.bind(fd, a)
	return fd, a
}

// udp makes a non-blocking UDP socket bound to a port of its own on 127.0.0.1.
func (s *script) udp(name string) (int, sys.SockAddr) {
	fd := s.socket(name, sys.AF_INET, dgram)
	if err := s.k.Bind(fd, at(0)); err != nil {
		s.result("bind "+name, err)
	}
	a, _ := s.k.Getsockname(fd)
	s.addr(a)
	return fd, a
}

// disconnect is connect to AF_UNSPEC.
func (s *script) disconnect(fd int) {
	s.result("disconnect "+s.names[fd], s.k.Connect(fd, sys.SockAddr{}))
}

// length is a receive with MSG_TRUNC, which returns how long the datagram is.
func (s *script) length(fd, size, flags int) {
	n, err := s.k.Recv(fd, make([]byte, size), flags|sys.MSG_DONTWAIT|sys.MSG_TRUNC)
	if err != nil {
		s.result("length "+s.names[fd], err)
		return
	}
	s.note("length %s: %d", s.names[fd], n)
}

// fill sends datagrams of a size until there is an error, and says how many
// went.
func (s *script) fill(fd, size, limit int) {
	p := make([]byte, size)
	for i := range limit {
		if _, err := s.k.Send(fd, p, sys.MSG_DONTWAIT); err != nil {
			s.note("fill %s with %d: %d, then %s", s.names[fd], size, i, errName(err))
			return
		}
	}
	s.note("fill %s with %d: %d", s.names[fd], size, limit)
}

// drain receives all there is and says how many datagrams it was.
func (s *script) drain(fd int) {
	p := make([]byte, 1)
	for n := 0; ; n++ {
		if _, err := s.k.Recv(fd, p, sys.MSG_DONTWAIT); err != nil {
			s.note("drain %s: %d, then %s", s.names[fd], n, errName(err))
			return
		}
	}
}

var datagramScenarios = []scenario{
	{"dgram-types", func(s *script) {
		for _, x := range [][3]int{
			{sys.AF_UNIX, dgram, 0}, {sys.AF_UNIX, dgram, 1}, {sys.AF_UNIX, dgram, 17},
			{sys.AF_UNIX, 3, 0}, // SOCK_RAW
			{sys.AF_INET, dgram, 0}, {sys.AF_INET, dgram, 17}, {sys.AF_INET6, dgram, 0}, {sys.AF_INET, dgram, 6},
		} {
			fd, err := s.k.Socket(x[0], x[1], x[2])
			s.result(fmt.Sprint("socket ", x), err)
			if err == nil {
				s.names[fd] = fmt.Sprint(x)
				s.get(fd, "TYPE", sys.SOL_SOCKET, sys.SO_TYPE)
			}
			a, _, err := s.k.Socketpair(x[0], x[1], x[2])
			s.result(fmt.Sprint("socketpair ", x), err)
			if err == nil {
				s.names[a] = fmt.Sprint(x)
				s.get(a, "TYPE", sys.SOL_SOCKET, sys.SO_TYPE)
			}
		}
	}},
	{"dgram-pair", func(s *script) {
		a, b := s.pair(dgram)
		s.name(a)
		s.peer(a)
		s.poll(a)
		s.recv(a, 10)
		s.send(a, "one")
		s.send(a, "two and more")
		s.send(a, "")
		s.send(a, "four")
		s.poll(b)
		s.peek(b, 10)
		s.peek(b, 2)
		s.length(b, 1, sys.MSG_PEEK)
		s.recv(b, 10)
		s.recvmsg(b, 5, 0, sys.MSG_PEEK)
		s.recvmsg(b, 5, 0, 0)
		s.recv(b, 10)
		s.length(b, 2, 0)
		s.recv(b, 10)
		s.poll(b)
		s.send(b, "left")
		s.send(b, "unread")
		s.listen(a, 1)
		s.accept(a, "x")
		s.get(a, "ACCEPTCONN", sys.SOL_SOCKET, sys.SO_ACCEPTCONN)
		s.close(a)
		s.poll(b)
		s.soError(b)
		s.peer(b)
		s.recv(b, 10)
		s.poll(b)
		s.send(b, "x")
		s.poll(b)
		s.soError(b)
		s.peer(b)
		s.send(b, "x")
	}},
	{"dgram-unread-when-closed", func(s *script) {
		a, b := s.pair(dgram)
		s.send(a, "x")
		s.close(b)
		s.poll(a)
		s.soError(a)
		s.send(a, "x")
		a, b = s.pair(dgram)
		s.send(a, "x")
		s.close(a)
		s.send(b, "y")
		s.recv(b, 10) // what there was is gone: unix_dgram_disconnected
		s.poll(b)
	}},
	{"dgram-names", func(s *script) {
		srv, at := s.bound("srv")
		s.name(srv)
		s.peer(srv)
		s.bind(srv, sys.UnixAddr("@"+s.tag+"-other"))
		twin := s.socket("twin", sys.AF_UNIX, dgram)
		s.bind(twin, at)
		c := s.socket("c", sys.AF_UNIX, dgram)
		s.name(c)
		s.peer(c)
		s.poll(c)
		s.send(c, "x")
		s.send(c, strings.Repeat("x", 300000))
		s.recv(c, 1)
		s.sendmsg(c, "x")
		s.connect(c, sys.UnixAddr("@"+s.tag+"-none"))
		s.connect(c, sys.SockAddr{Family: sys.AF_UNIX})
		s.connect(c, sys.InetAddr(netip.AddrPortFrom(loopback, 1)))
		s.connect(c, at)
		s.peer(c)
		s.name(c)
		s.send(c, "hello")
		s.recv(srv, 10)
		s.send(srv, "x")
		s.connect(c, at)
		second, at2 := s.bound("second")
		s.send(c, "to the first")
		s.connect(c, at2)
		s.peer(c)
		s.send(c, "to the second")
		s.recv(srv, 20)
		s.recv(second, 20)
		s.disconnect(c)
		s.peer(c)
		s.send(c, "x")
		s.disconnect(c)
		s.bind(c, sys.SockAddr{Family: sys.AF_UNIX})
		s.connect(c, at)
		s.close(srv)
		s.peer(c)
		s.poll(c)
		s.send(c, "x")
		s.send(c, "x")
		s.connect(c, at)
		s.peer(c)
	}},
	{"dgram-types-do-not-mix", func(s *script) {
		srv, at := s.bound("srv")
		st := s.socket("stream", sys.AF_UNIX, stream)
		s.connect(st, at) // abstract names of another type are other names
		s.bind(st, at)
		s.listen(st, 1)
		s.close(st)
		s.close(srv)
		place := sys.UnixAddr(s.k.Dir() + "/dgram.sock")
		srv = s.socket("srv", sys.AF_UNIX, dgram)
		s.bind(srv, place)
		st = s.socket("stream", sys.AF_UNIX, stream)
		s.connect(st, place)
		sp := s.socket("seqpacket", sys.AF_UNIX, sys.SOCK_SEQPACKET)
		s.connect(sp, place)
		c := s.socket("c", sys.AF_UNIX, dgram)
		s.connect(c, place)
		s.send(c, "x")
		s.recv(srv, 10)
		s.name(srv)
		s.peer(c)
		s.close(srv)
		s.send(c, "x")
		s.connect(c, place)
		place = sys.UnixAddr(s.k.Dir() + "/stream.sock")
		s.bind(st, place)
		s.connect(c, place)
		s.listen(st, 1)
		s.connect(c, place)
	}},
	{"dgram-eperm", func(s *script) {
		// Only its peer may send to a socket that is connected.
		a, at := s.bound("a")
		b, bt := s.bound("b")
		c, _ := s.bound("c")
		s.connect(c, at)
		s.send(c, "first")
		s.connect(a, bt)
		s.connect(a, bt)
		s.send(c, "x")
		s.peer(c)
		d := s.socket("d", sys.AF_UNIX, dgram)
		s.connect(d, at)
		s.peer(d)
		s.connect(b, at)
		s.send(b, "x")
		s.recv(a, 10)
		s.recv(a, 10)
		s.disconnect(a)
		s.send(c, "again")
		s.send(b, "again")
		s.recv(a, 10)
		s.recv(a, 10)
		s.connect(a, at) // to itself
		s.send(a, "self")
		s.send(c, "x")
		s.recv(a, 10)
		s.peer(a)
		x, y := s.pair(dgram)
		s.names[x], s.names[y] = "x", "y"
		s.bind(x, sys.UnixAddr("@"+s.tag+"-x"))
		s.peer(y)
		s.connect(d, sys.UnixAddr("@"+s.tag+"-x"))
	}},
	{"dgram-reconnect", func(s *script) {
		// A pair of which one end turns away: its messages are lost.
		a, b := s.pair(dgram)
		_, ct := s.bound("c")
		s.send(b, "lost")
		s.send(a, "kept")
		s.connect(a, ct)
		s.recv(a, 10)
		s.poll(b)
		s.soError(b)
		s.soError(b)
		s.recv(b, 10)
		s.send(b, "x")
		s.peer(b)
		s.poll(b)
		a, b = s.pair(dgram)
		s.send(b, "lost")
		s.disconnect(a)
		s.poll(b)
		s.send(b, "refused") // tells of the error
		s.send(b, "sent")
		s.recv(a, 10)
		s.send(a, "x")
		s.disconnect(a)
		s.disconnect(b)
		s.recv(a, 10)
		a, b = s.pair(dgram)
		s.disconnect(a)
		s.poll(b)
		s.send(b, "x")
		s.disconnect(b)
		s.recv(a, 10)
		s.send(b, "x")
	}},
	{"dgram-queue-limit", func(s *script) {
		srv, at := s.bound("srv")
		c := s.socket("c", sys.AF_UNIX, dgram)
		c2 := s.socket("c2", sys.AF_UNIX, dgram)
		s.connect(c, at)
		s.connect(c2, at)
		s.poll(c)
		s.fill(c, 1, 100)
		s.poll(c)
		s.poll(c2)
		s.send(c2, "x")
		ep := s.k.EpollCreate()
		s.ctl(ep, sys.EPOLL_CTL_ADD, c, sys.EPOLLOUT|sys.EPOLLET)
		s.ctl(ep, sys.EPOLL_CTL_ADD, c2, sys.EPOLLOUT)
		s.wait(ep, 8)
		s.recv(srv, 1)
		s.wait(ep, 8)
		s.poll(c)
		s.send(c2, "x")
		s.poll(c)
		s.wait(ep, 8)
		s.close(srv)
		s.wait(ep, 8)
		s.poll(c)
		s.send(c, "x")
		s.send(c, "x")
		// Of a pair only the buffer is the limit.
		a, b := s.pair(dgram)
		s.fill(a, 1, 1000)
		s.poll(a)
		s.poll(b)
		for range 220 {
			s.k.Recv(b, make([]byte, 1), sys.MSG_DONTWAIT)
		}
		s.poll(a)
		s.drain(b)
		s.poll(a)
		// A socket that sends to itself is not kept from it.
		self, at := s.bound("self")
		s.connect(self, at)
		s.fill(self, 1, 1000)
	}},
	{"dgram-buffer", func(s *script) {
		for _, size := range []int{0, 1, 64, 100, 192, 193, 200, 320, 384, 500, 511, 512, 600, 704, 705, 1000, 1500, 1728, 1729, 2000, 3000, 3776, 3777, 4000, 5000, 7872, 7873, 8000, 16000, 16064, 16065, 16384, 20000, 20160, 20161, 40000, 65536, 100000, 150000, 200000, 212960} {
			a, _ := s.pair(dgram)
			s.fill(a, size, 1000)
		}
		a, b := s.pair(dgram)
		s.result("too long", func() error { _, err := s.k.Send(a, make([]byte, 212961), 0); return err }())
		s.poll(a)
		s.set(a, "SNDBUF", sys.SOL_SOCKET, sys.SO_SNDBUF, 2304)
		s.fill(a, 4576, 1000)
		s.fill(a, 4577, 1000)
		s.drain(b)
		s.fill(a, 1, 1000)
		s.fill(b, 1000, 1000)
		// Whether the buffer is full is asked before the message is looked at.
		s.result("too long", func() error { _, err := s.k.Send(a, make([]byte, 5000), sys.MSG_DONTWAIT); return err }())
	}},
	{"dgram-shutdown", func(s *script) {
		a, b := s.pair(dgram)
		s.send(b, "before")
		s.shutdown(a, sys.SHUT_RD)
		s.poll(a)
		s.poll(b)
		s.send(b, "x")
		s.send(a, "other way")
		s.recv(a, 10)
		s.recv(a, 10) // not the end: EAGAIN
		s.recv(b, 10)
		s.shutdown(a, sys.SHUT_WR)
		s.poll(a)
		s.send(a, "x")
		s.poll(b)
		s.shutdown(b, sys.SHUT_WR)
		s.send(b, "x")
		s.poll(b)
		s.shutdown(b, 7)
		c := s.socket("c", sys.AF_UNIX, dgram)
		s.shutdown(c, sys.SHUT_RDWR)
		s.poll(c)
		s.send(c, "x")
		s.send(c, strings.Repeat("x", 300000))
		s.recv(c, 1)
		srv, at := s.bound("srv")
		d := s.socket("d", sys.AF_UNIX, dgram)
		s.shutdown(d, sys.SHUT_WR)
		s.connect(d, at)
		s.send(d, "x")
		s.shutdown(srv, sys.SHUT_RD)
		e := s.socket("e", sys.AF_UNIX, dgram)
		s.connect(e, at)
		s.send(e, "x")
		// A blocking receive is told of the end.
		x, _, _ := s.k.Socketpair(sys.AF_UNIX, dgram, 0)
		s.names[x] = "x"
		s.shutdown(x, sys.SHUT_RD)
		s.recvFlags(x, 1, 0)
		s.recv(x, 1)
	}},
	{"dgram-rights", func(s *script) {
		a, b := s.pair(dgram)
		r, w := s.k.Pipe()
		s.names[w] = "pipe"
		s.sendmsg(a, "with", w)
		s.sendmsg(a, "", w)
		s.send(a, "without")
		s.sendmsg(a, "two", w, r)
		s.sendmsg(a, "dropped by recv", w)
		for _, fd := range s.recvmsg(b, 10, 2, sys.MSG_PEEK) {
			s.k.Close(fd)
		}
		for _, fd := range s.recvmsg(b, 10, 2, 0) {
			s.names[fd] = "copy"
			s.send(fd, "through")
			s.k.Close(fd)
		}
		s.recvmsg(b, 10, 2, 0)
		s.recvmsg(b, 10, 2, 0)
		s.recvmsg(b, 2, 1, 0)
		s.recv(b, 20)
		s.close(b)
		s.sendmsg(a, "x", w)
		c := s.socket("c", sys.AF_UNIX, dgram)
		s.sendmsg(c, "x", w)
	}},
	{"dgram-timeout", func(s *script) {
		a, b, _ := s.k.Socketpair(sys.AF_UNIX, dgram, 0)
		s.names[a], s.names[b] = "a", "b"
		s.result("SO_RCVTIMEO", s.k.SetTimeout(a, sys.SO_RCVTIMEO, time.Millisecond))
		s.result("SO_SNDTIMEO", s.k.SetTimeout(a, sys.SO_SNDTIMEO, time.Millisecond))
		s.recvFlags(a, 1, 0)
		s.fill(a, 1, 1000)
		_, err := s.k.Send(a, []byte("x"), 0)
		s.result("send", err)
		_, at := s.bound("srv")
		c, _ := s.k.Socket(sys.AF_UNIX, dgram, 0)
		s.names[c] = "c"
		s.result("SO_SNDTIMEO", s.k.SetTimeout(c, sys.SO_SNDTIMEO, time.Millisecond))
		s.connect(c, at)
		s.fill(c, 1, 1000)
		_, err = s.k.Send(c, []byte("x"), 0)
		s.result("send", err)
	}},
	{"dgram-options", func(s *script) {
		a, _ := s.pair(dgram)
		u, _ := s.udp("udp")
		u6 := s.socket("udp6", sys.AF_INET6, dgram)
		for _, fd := range []int{a, u, u6} {
			for _, o := range []struct {
				what       string
				level, opt int
			}{
				{"REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR},
				{"REUSEPORT", sys.SOL_SOCKET, sys.SO_REUSEPORT},
				{"KEEPALIVE", sys.SOL_SOCKET, sys.SO_KEEPALIVE},
				{"SNDBUF", sys.SOL_SOCKET, sys.SO_SNDBUF},
				{"RCVBUF", sys.SOL_SOCKET, sys.SO_RCVBUF},
				{"NODELAY", sys.IPPROTO_TCP, sys.TCP_NODELAY},
				{"V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY},
				{"IP", sys.IPPROTO_IP, 9999},
				{"none", 9999, 1},
			} {
				s.get(fd, o.what, o.level, o.opt)
				s.set(fd, o.what, o.level, o.opt, 1)
				s.get(fd, o.what, o.level, o.opt)
			}
			s.result("SO_LINGER", s.k.SetLinger(fd, true, 0))
		}
	}},
	{"dgram-epoll", func(s *script) {
		a, b := s.pair(dgram)
		ep := s.k.EpollCreate()
		s.ctl(ep, sys.EPOLL_CTL_ADD, b, sys.EPOLLIN|sys.EPOLLOUT|sys.EPOLLRDHUP|sys.EPOLLET)
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.send(a, "x")
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.send(a, "y")
		s.wait(ep, 8)
		s.send(b, "z")
		s.wait(ep, 8)
		s.recv(a, 1)
		s.wait(ep, 8)
		s.recv(b, 1)
		s.wait(ep, 8)
		s.shutdown(a, sys.SHUT_RDWR)
		s.wait(ep, 8)
		s.shutdown(b, sys.SHUT_RDWR)
		s.wait(ep, 8)
		s.close(a)
		s.wait(ep, 8)
	}},
	{"udp", func(s *script) {
		u := s.socket("u", sys.AF_INET, dgram)
		s.name(u)
		s.peer(u)
		s.poll(u)
		s.recv(u, 1)
		s.name(u)
		s.send(u, "x")
		s.name(u)
		s.listen(u, 1)
		s.accept(u, "x")
		s.shutdown(u, sys.SHUT_RD)
		s.poll(u)
		srv, to := s.udp("srv")
		s.name(srv)
		s.bind(srv, at(0))
		c := s.socket("c", sys.AF_INET, dgram)
		s.connect(c, to)
		from := s.name(c)
		s.peer(c)
		s.poll(c)
		s.send(c, "one")
		s.send(c, "")
		s.send(c, "three")
		s.poll(srv)
		s.peek(srv, 2)
		s.length(srv, 2, sys.MSG_PEEK)
		s.recvmsg(srv, 2, 0, 0)
		s.recv(srv, 10)
		s.recv(srv, 10)
		s.recv(srv, 10)
		s.send(srv, "x")
		s.connect(srv, from)
		s.send(srv, "answer")
		s.recv(c, 10)
		// From anybody else nothing comes.
		d := s.socket("d", sys.AF_INET, dgram)
		s.connect(d, to)
		s.send(d, "refused")
		s.poll(d)
		s.soError(d)
		s.poll(d)
		s.recv(srv, 10)
		s.close(srv)
		s.poll(c)
		s.send(c, "unheard")
		s.poll(c)
		s.recv(c, 10)
		s.recv(c, 10)
		s.send(c, "unheard")
		s.send(c, "tells of it")
		s.send(c, "unheard")
		s.soError(c)
		s.peer(c)
		s.disconnect(c)
		s.peer(c)
		s.name(c)
		s.send(c, "x")
	}},
	{"udp-errors", func(s *script) {
		srv, to := s.udp("srv")
		c := s.socket("c", sys.AF_INET, dgram)
		s.connect(c, sys.SockAddr{Family: sys.AF_UNIX, Path: "@more-than-a-sockaddr_in"})
		s.connect(c, sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.IPv6Loopback(), 1)})
		s.name(c)
		s.connect(c, to)
		big := func(n, flags int) {
			sent, err := s.k.Send(c, make([]byte, n), flags)
			s.note("send %d: %d %v", n, max(sent, 0), err)
		}
		big(65507, 0)
		big(65508, 0)
		big(65536, 0)
		s.length(srv, 1, 0)
		s.length(srv, 1, 0)
		// MSG_MORE: one datagram of several sends.
		big(3, sys.MSG_MORE)
		s.poll(srv)
		big(4, sys.MSG_MORE)
		big(5, 0)
		s.length(srv, 1, 0)
		big(65000, sys.MSG_MORE)
		big(600, 0)
		big(5, 0)
		s.length(srv, 1, 0)
		s.length(srv, 1, 0)
		s.shutdown(c, sys.SHUT_WR)
		s.poll(c)
		s.send(c, "x")
		s.shutdown(c, sys.SHUT_RD)
		s.poll(c)
		s.recv(c, 1)
		s.bind(c, at(0))
		e := s.socket("e", sys.AF_INET, dgram)
		s.connect(e, at(0))
		s.name(e)
		s.peer(e)
		s.send(e, "x")
		s.soError(e)
		s.bind(s.socket("f", sys.AF_INET, dgram), sys.InetAddr(netip.MustParseAddrPort("192.0.2.1:0")))
		// A blocking receive is told of the end.
		x, _ := s.k.Socket(sys.AF_INET, dgram, 0)
		s.names[x] = "x"
		s.connect(x, to)
		s.shutdown(x, sys.SHUT_RD)
		s.send(srv, "x")
		s.recvFlags(x, 1, 0)
		s.recv(x, 1)
	}},
	{"udp-buffer", func(s *script) {
		for _, size := range []int{0, 1, 100, 500, 1000, 1472, 4000, 9000, 20000, 60000} {
			srv, to := s.udp("srv")
			c := s.socket("c", sys.AF_INET, dgram)
			s.connect(c, to)
			s.fill(c, size, 1000)
			s.poll(c)
			s.drain(srv)
			s.set(srv, "RCVBUF", sys.SOL_SOCKET, sys.SO_RCVBUF, 2304)
			s.fill(c, size, 1000)
			s.drain(srv)
		}
	}},
	{"udp-bind", func(s *script) {
		_, to := s.server("tcp", 1)
		a := s.socket("a", sys.AF_INET, dgram)
		s.bind(a, to) // another protocol's ports
		b := s.socket("b", sys.AF_INET, dgram)
		s.bind(b, to)
		s.set(b, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		s.bind(b, to)
		s.set(a, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		s.bind(b, to)
		c := s.socket("c", sys.AF_INET, dgram)
		s.connect(c, to)
		s.send(c, "to whom") // the youngest
		s.recv(a, 10)
		s.recv(b, 10)
		s.close(b)
		s.send(c, "the other")
		s.recv(a, 10)
		w := s.socket("wild", sys.AF_INET, dgram)
		s.set(w, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
		wild := to
		wild.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), to.Addr.Port())
		s.bind(w, wild)
		s.send(c, "exact")
		s.recv(a, 10)
		s.recv(w, 10)
		s.close(a)
		s.send(c, "wild")
		s.recv(w, 10)
		v6 := s.socket("v6", sys.AF_INET6, dgram)
		any6 := sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), to.Addr.Port())}
		s.bind(v6, any6)
		s.set(v6, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1)
		s.bind(v6, any6)
		s.close(w)
		s.send(c, "refused")
		s.soError(c)
		dual := s.socket("dual", sys.AF_INET6, dgram)
		s.bind(dual, any6)
		s.close(v6)
		s.bind(dual, any6)
		s.send(c, "mapped")
		s.recv(dual, 10)
		from, _ := s.k.Getsockname(c)
		s.connect(dual, sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), from.Addr.Port())})
		s.name(dual)
		s.peer(dual)
		s.send(dual, "back")
		s.recv(c, 10)
		six := s.socket("six", sys.AF_INET6, dgram)
		s.bind(six, sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.IPv6Loopback(), 0)})
		at6 := s.name(six)
		c6 := s.socket("c6", sys.AF_INET6, dgram)
		s.connect(c6, at6)
		s.name(c6)
		s.peer(c6)
		s.send(c6, "six")
		s.recv(six, 10)
		for _, n := range []int{65527, 65528} {
			_, err := s.k.Send(c6, make([]byte, n), 0)
			s.result(fmt.Sprint("send ", n), err)
			s.length(six, 1, 0)
		}
		c6 = s.socket("c6", sys.AF_INET6, dgram)
		s.connect(c6, to) // an address of AF_INET
		s.name(c6)
		s.peer(c6)
		s.set(c6, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1)
		s.disconnect(c6)
		s.name(c6)
		s.set(c6, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1)
		s.connect(c6, to)
		s.connect(c6, sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), 1)})
		s.name(c6)
	}},
	{"udp-epoll", func(s *script) {
		srv, to := s.udp("srv")
		c := s.socket("c", sys.AF_INET, dgram)
		s.connect(c, to)
		ep := s.k.EpollCreate()
		s.ctl(ep, sys.EPOLL_CTL_ADD, srv, sys.EPOLLIN|sys.EPOLLOUT|sys.EPOLLET)
		s.ctl(ep, sys.EPOLL_CTL_ADD, c, sys.EPOLLIN|sys.EPOLLOUT|sys.EPOLLET)
		s.wait(ep, 8)
		s.send(c, "x")
		s.wait(ep, 8)
		s.send(c, "y")
		s.wait(ep, 8)
		s.recv(srv, 1)
		s.wait(ep, 8)
		s.close(srv)
		s.send(c, "x")
		s.wait(ep, 8)
		s.wait(ep, 8)
		s.soError(c)
		s.shutdown(c, sys.SHUT_RDWR)
		s.wait(ep, 8)
	}},
	{"dgram-empty-names", func(s *script) {
		a := s.socket("a", sys.AF_UNIX, dgram)
		s.bind(a, sys.SockAddr{Family: sys.AF_UNIX})
		at, _ := s.k.Getsockname(a)
		s.note("chosen: %v", strings.HasPrefix(at.Path, "@") && len(at.Path) == 6)
		b := s.socket("b", sys.AF_UNIX, dgram)
		s.connect(b, at)
		s.send(b, "x")
		s.recv(a, 1)
	}},
}
