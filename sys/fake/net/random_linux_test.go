package net

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
)

// step is one call of a random script; which of its numbers mean what is the
// call's.
type step struct {
	Op      string
	A, B, N int
}

func (st step) String() string { return fmt.Sprintf("%s %d %d %d", st.Op, st.A, st.B, st.N) }

var ops = []string{
	"conn", "conn", "unix", "seqpacket", "listener", "pipe", "read", "read", "nest",
	"send", "send", "send", "recv", "recv", "peek", "shutdown", "close", "poll", "poll", "error", "linger",
	"connect", "connect", "accept", "accept", "names", "sendfd", "recvfd",
	"add", "add", "mod", "del", "wait", "wait", "wait",
}

func stepsOf(ops []string) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Op: rapid.SampledFrom(ops).Draw(t, "op"),
			A:  rapid.IntRange(0, 7).Draw(t, "a"),
			B:  rapid.IntRange(0, 7).Draw(t, "b"),
			N:  rapid.IntRange(0, 7).Draw(t, "n"),
		}
	}), 10, 80)
}

// play runs random steps on a kernel: on two epolls and whatever sockets the
// steps make.
func play(s *script, list []step) {
	var fds []int
	pick := func(n int) (int, bool) {
		if len(fds) == 0 {
			return 0, false
		}
		return fds[n%len(fds)], true
	}
	made := 0
	add := func(new ...int) {
		for _, fd := range new {
			if fd < 0 {
				continue
			}
			s.names[fd] = fmt.Sprint("s", made)
			made++
			fds = append(fds, fd)
		}
	}
	eps := [2]int{s.k.EpollCreate(), s.k.EpollCreate()}
	s.names[eps[0]], s.names[eps[1]] = "ep0", "ep1"
	var to []sys.SockAddr
	text := 0

	for _, st := range list {
		switch st.Op {
		case "conn":
			c, a := s.conn()
			add(c, a)
			continue
		case "unix":
			a, b := s.pair(sys.SOCK_STREAM)
			add(a, b)
			continue
		case "pipe":
			r, w := s.k.Pipe()
			add(r, w)
			continue
		case "nest": // the second epoll may watch the first
			s.ctl(eps[1], 1+st.B%3, eps[0], []uint32{sys.EPOLLIN, sys.EPOLLIN | sys.EPOLLET}[st.A%2])
			continue
		case "seqpacket":
			a, b := s.pair(sys.SOCK_SEQPACKET)
			add(a, b)
			continue
		case "listener":
			var l int
			var a sys.SockAddr
			if st.B%2 == 0 {
				l, a = s.server("l", 8)
			} else {
				a = sys.UnixAddr(fmt.Sprintf("@%s-%d", s.tag, made))
				l = s.socket("l", sys.AF_UNIX, sys.SOCK_STREAM)
				s.bind(l, a)
				s.listen(l, 8)
			}
			add(l)
			to = append(to, a)
			continue
		case "connect":
			if len(to) > 0 {
				a := to[st.A%len(to)]
				fd := s.blocking("new", a.Family, sys.SOCK_STREAM)
				add(fd)
				s.noDelay(fd)
				s.connect(fd, a)
			}
			continue
		case "wait":
			s.wait(eps[st.A%2], 1+st.N)
			continue
		}
		fd, ok := pick(st.A)
		if !ok {
			continue
		}
		switch st.Op {
		case "send":
			text++
			s.send(fd, strings.Repeat(fmt.Sprintf("<%d>", text), st.N))
		case "recv":
			s.recv(fd, 1+3*st.N)
		case "read":
			if s.k.Poll(fd, sys.POLLIN) == 0 {
				continue // some would wait
			}
			p := make([]byte, 1+3*st.N)
			n, err := s.k.Read(fd, p)
			if err != nil {
				s.result("read "+s.names[fd], err)
			} else {
				s.note("read %s: %q", s.names[fd], p[:n])
			}
		case "peek":
			s.peek(fd, 1+3*st.N)
		case "shutdown":
			s.shutdown(fd, st.N%3)
		case "close":
			s.close(fd)
			for i := range fds {
				if fds[i] == fd {
					fds = append(fds[:i:i], fds[i+1:]...)
					break
				}
			}
		case "poll":
			s.poll(fd)
		case "error":
			s.soError(fd)
		case "linger":
			s.result("linger", s.k.SetLinger(fd, st.N%2 == 0, 0))
		case "accept":
			new := s.accept(fd, "new")
			if add(new); new >= 0 {
				s.noDelay(new)
			}
		case "names":
			s.name(fd)
			s.peer(fd)
		case "sendfd":
			if other, ok := pick(st.B); ok && other != fd { // a socket in its own queue would never be released
				s.sendmsg(fd, "fd", eps[0])
			}
		case "recvfd":
			for _, got := range s.recvmsg(fd, 1+3*st.N, st.B%3, 0) {
				s.k.Close(got)
			}
		case "add", "mod", "del":
			op := map[string]int{"add": sys.EPOLL_CTL_ADD, "mod": sys.EPOLL_CTL_MOD, "del": sys.EPOLL_CTL_DEL}[st.Op]
			ev := []uint32{sys.EPOLLIN, sys.EPOLLOUT, sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP, sys.EPOLLIN | sys.EPOLLET,
				sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET, sys.EPOLLIN | sys.EPOLLONESHOT, 0, sys.EPOLLRDHUP}[st.N]
			s.ctl(eps[st.B%2], op, fd, ev)
		}
	}
}

// TestRandomScripts plays random scripts on both kernels.
func TestRandomScripts(t *testing.T) {
	if newHostKernel(t) == nil {
		t.Skip("there is no kernel to compare with")
	}
	rapid.Check(t, func(rt *rapid.T) {
		list := stepsOf(ops).Draw(rt, "steps")
		var simulated string
		onFake(t, func(k *fakeKernel) {
			s := newScript(k)
			play(s, list)
			simulated = s.log.String()
		})
		real := onReal(t, simulated, func(s *script) { play(s, list) })
		if d := cmp.Diff(strings.Split(real, "\n"), strings.Split(simulated, "\n")); d != "" {
			rt.Errorf("-real +simulated:\n%s\n%v", d, list)
		}
	})
}

// bindStep is one call of a random script about ports.
type bindStep struct {
	Op              string
	A, Addr, Domain int
	Reuse, Port, V6 bool
}

// playBinds binds, listens, connects and closes on one port. All sockets have
// SO_REUSEPORT or none: Linux's shortcut (fastreuseport in inet_csk_get_port) lets
// mixtures pass that its own rule forbids, which is not simulated.
func playBinds(s *script, list []bindStep) {
	l, a := s.server("first", 1)
	s.k.Close(l)
	port := a.Addr.Port()
	addrs := []netip.Addr{
		loopback, netip.AddrFrom4([4]byte{127, 0, 0, 2}), netip.IPv4Unspecified(),
		netip.IPv6Unspecified(), netip.IPv6Loopback(), netip.AddrFrom16(loopback.As16()),
	}
	var fds []int
	for i, st := range list {
		if st.Op == "new" {
			domain := []int{sys.AF_INET, sys.AF_INET6}[st.Domain]
			fd := s.socket(fmt.Sprint("s", i), domain, sys.SOCK_STREAM)
			for _, o := range []struct {
				on         bool
				what       string
				level, opt int
			}{
				{st.Reuse, "REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR},
				{list[0].Port, "REUSEPORT", sys.SOL_SOCKET, sys.SO_REUSEPORT},
				{st.V6 && domain == sys.AF_INET6, "V6ONLY", sys.IPPROTO_IPV6, sys.IPV6_V6ONLY},
			} {
				if o.on {
					s.set(fd, o.what, o.level, o.opt, 1)
				}
			}
			s.bind(fd, sys.SockAddr{Family: domain, Addr: netip.AddrPortFrom(addrs[st.Domain*3+st.Addr%3], port)})
			s.name(fd)
			fds = append(fds, fd)
			continue
		}
		if st.Op == "connect" {
			dst := addrs[st.Addr]
			c := s.blocking("c", sys.InetAddr(netip.AddrPortFrom(dst, 1)).Family, sys.SOCK_STREAM)
			s.result("connect "+dst.String(), s.k.Connect(c, sys.InetAddr(netip.AddrPortFrom(dst, port))))
			fds = append(fds, c)
			s.names[c] = fmt.Sprint("c", i)
			continue
		}
		if len(fds) == 0 {
			continue
		}
		k := st.A % len(fds)
		switch st.Op {
		case "listen":
			if s.names[fds[k]][0] == 's' { // the others would block in accept
				s.listen(fds[k], 5)
			}
		case "accept":
			if list[0].Port {
				continue // who of those who share a port gets a connection differs
			}
			if fd := s.accept(fds[k], fmt.Sprint("a", i)); fd >= 0 {
				s.name(fd)
				fds = append(fds, fd)
			}
		case "close":
			s.result("linger", s.k.SetLinger(fds[k], st.Reuse, 0))
			s.close(fds[k])
			fds = append(fds[:k:k], fds[k+1:]...)
		}
	}
}

// TestRandomBinds plays random scripts about ports on both kernels.
func TestRandomBinds(t *testing.T) {
	if newHostKernel(t) == nil {
		t.Skip("there is no kernel to compare with")
	}
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bindStep {
			return bindStep{
				Op:     rapid.SampledFrom([]string{"new", "new", "new", "listen", "listen", "connect", "accept", "close"}).Draw(t, "op"),
				A:      rapid.IntRange(0, 7).Draw(t, "a"),
				Addr:   rapid.IntRange(0, 5).Draw(t, "addr"),
				Domain: rapid.IntRange(0, 1).Draw(t, "domain"),
				Reuse:  rapid.Bool().Draw(t, "reuse"),
				Port:   rapid.Bool().Draw(t, "port"),
				V6:     rapid.Bool().Draw(t, "v6"),
			}
		}), 3, 30).Draw(rt, "steps")
		var simulated string
		onFake(t, func(k *fakeKernel) {
			s := newScript(k)
			playBinds(s, list)
			simulated = s.log.String()
		})
		real := onReal(t, simulated, func(s *script) { playBinds(s, list) })
		if d := cmp.Diff(strings.Split(real, "\n"), strings.Split(simulated, "\n")); d != "" {
			rt.Errorf("-real +simulated:\n%s\n%+v", d, list)
		}
	})
}

var datagramOps = []string{
	"pair", "pair", "bound", "bound", "path", "udp", "udp", "udp6",
	"send", "send", "send", "send", "recv", "recv", "recv", "peek", "length", "fill", "drain",
	"connect", "connect", "connect", "disconnect", "shutdown", "close", "poll", "poll", "error", "names", "sendfd", "recvfd",
	"add", "add", "mod", "del", "wait", "wait", "wait",
}

// playDatagrams runs random steps on two epolls and whatever datagram sockets the
// steps make.
func playDatagrams(s *script, list []step) {
	type one struct {
		fd   int
		to   sys.SockAddr
		inet bool
	}
	var all []one
	made := 0
	add := func(fd int, to sys.SockAddr, inet bool) {
		s.names[fd] = fmt.Sprint("s", made)
		made++
		all = append(all, one{fd, to, inet})
	}
	eps := [2]int{s.k.EpollCreate(), s.k.EpollCreate()}
	s.names[eps[0]], s.names[eps[1]] = "ep0", "ep1"
	text := 0
	for _, st := range list {
		switch st.Op {
		case "pair":
			a, b := s.pair(dgram)
			add(a, sys.SockAddr{}, false)
			add(b, sys.SockAddr{}, false)
			continue
		case "bound":
			fd, a := s.bound(fmt.Sprint("b", made))
			add(fd, a, false)
			continue
		case "path":
			fd, a := s.socket("p", sys.AF_UNIX, dgram), sys.UnixAddr(fmt.Sprintf("%s/%s-%d", s.k.Dir(), s.tag, made))
			s.bind(fd, a)
			add(fd, a, false)
			continue
		case "udp":
			fd, a := s.udp("u")
			add(fd, a, true)
			continue
		case "udp6":
			fd := s.socket("u", sys.AF_INET6, dgram)
			s.bind(fd, sys.SockAddr{Family: sys.AF_INET6, Addr: anyPort6})
			a := s.name(fd)
			a.Addr = netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), a.Addr.Port())
			if st.A%2 == 0 {
				a.Addr = netip.AddrPortFrom(netip.IPv6Loopback(), a.Addr.Port())
			}
			add(fd, a, true)
			continue
		case "wait":
			s.wait(eps[st.A%2], 1+st.N)
			continue
		}
		if len(all) == 0 {
			continue
		}
		i := st.A % len(all)
		fd := all[i].fd
		switch st.Op {
		case "send":
			text++
			s.send(fd, strings.Repeat(fmt.Sprintf("<%d>", text), st.N))
		case "recv":
			s.recv(fd, 1+3*st.N)
		case "peek":
			s.peek(fd, 1+3*st.N)
		case "length":
			s.length(fd, 1, 0)
		case "fill":
			if !all[i].inet {
				s.fill(fd, 40*st.N, 6*st.B)
			}
		case "drain":
			s.drain(fd)
		case "connect":
			to := all[st.B%len(all)]
			if to.to.Family != 0 && (to.inet == all[i].inet) {
				s.connect(fd, to.to)
			}
		case "disconnect":
			s.disconnect(fd)
		case "shutdown":
			s.shutdown(fd, st.N%3)
		case "close":
			s.close(fd)
			all = append(all[:i:i], all[i+1:]...)
		case "poll":
			s.poll(fd)
		case "error":
			s.soError(fd)
		case "names":
			s.name(fd)
			s.peer(fd)
		case "sendfd":
			s.sendmsg(fd, "fd", eps[0])
		case "recvfd":
			for _, got := range s.recvmsg(fd, 1+3*st.N, st.B%3, 0) {
				s.k.Close(got)
			}
		case "add", "mod", "del":
			op := map[string]int{"add": sys.EPOLL_CTL_ADD, "mod": sys.EPOLL_CTL_MOD, "del": sys.EPOLL_CTL_DEL}[st.Op]
			ev := []uint32{sys.EPOLLIN, sys.EPOLLOUT, sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP, sys.EPOLLIN | sys.EPOLLET,
				sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET, sys.EPOLLIN | sys.EPOLLONESHOT, 0, sys.EPOLLOUT | sys.EPOLLET}[st.N]
			s.ctl(eps[st.B%2], op, fd, ev)
		}
	}
}

// TestRandomDatagrams plays random scripts with datagram sockets on both kernels.
func TestRandomDatagrams(t *testing.T) {
	if newHostKernel(t) == nil {
		t.Skip("there is no kernel to compare with")
	}
	rapid.Check(t, func(rt *rapid.T) {
		list := stepsOf(datagramOps).Draw(rt, "steps")
		var simulated string
		onFake(t, func(k *fakeKernel) {
			s := newScript(k)
			playDatagrams(s, list)
			simulated = s.log.String()
		})
		real := onReal(t, simulated, func(s *script) { playDatagrams(s, list) })
		if d := cmp.Diff(strings.Split(real, "\n"), strings.Split(simulated, "\n")); d != "" {
			rt.Errorf("-real +simulated:\n%s\n%v", d, list)
		}
	})
}
