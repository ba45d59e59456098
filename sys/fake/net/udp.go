package net

import (
	"net/netip"
	"slices"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// ipprotoUDP is IPPROTO_UDP.
const ipprotoUDP = 17

// Greatest sizes of a datagram: what is left of 65535 bytes, with IPv4's header
// or without IPv6's.
const (
	udpHeader  = 8
	ip4Header  = 20
	ip6Header  = 40
	maxUDP4    = 65535 - udpHeader - ip4Header
	maxUDP6    = 65535 - udpHeader
	maxUDPSend = 65535
)

// connectUDP is inet_dgram_connect. s.mu is held.
func (s *socket) connectUDP(t *vfs.Task, a sys.SockAddr) error {
	n := s.net
	if a.Family == sys.AF_UNSPEC {
		s.disconnectUDP()
		return nil
	}
	if err := s.autobind(t); err != nil {
		return err
	}
	to := a.Addr.Addr()
	if s.domain == sys.AF_INET6 && a.Family == sys.AF_INET { // __ip6_datagram_connect
		if s.opts.v6only {
			return sys.EAFNOSUPPORT
		}
		to = netip.AddrFrom16(to.As16())
	} else if err := s.inetAddr(a); err != nil {
		return err
	}
	if to == netip.IPv6Unspecified() && s.local.Addr.Addr().Is4In6() { // BSD'ism of __ip6_datagram_connect
		to = netip.AddrFrom16(netip.IPv4Unspecified().As16())
	}
	dst, src, err := n.route(to)
	if err != nil {
		return err
	}
	if s.opts.v6only && dst.Is4In6() {
		return sys.ENETUNREACH
	}
	own := s.local.Addr.Addr()
	if own.Is4In6() && !dst.Is4In6() {
		return sys.EAFNOSUPPORT // ip6_dst_lookup_tail
	}
	if !own.Unmap().IsUnspecified() {
		src = own
	}
	s.local.Addr = netip.AddrPortFrom(src, s.local.Addr.Port())
	s.remote = sys.SockAddr{Family: s.domain, Addr: netip.AddrPortFrom(dst, a.Addr.Port())}
	s.state = established
	n.mu.Lock()
	defer n.mu.Unlock()
	s.use.remote = unmap(s.remote.Addr)
	if s.use.addr != src {
		s.use.addr = src
		n.rehash(s.use)
	}
	return nil
}

// autobind is inet_autobind: a port for who has none. s.mu is held.
func (s *socket) autobind(t *vfs.Task) error {
	s.net.mu.Lock()
	bound := s.use != nil
	s.net.mu.Unlock()
	if bound {
		return nil
	}
	boundAddr := s.boundAddr
	err := s.bindInet(t, sys.SockAddr{Family: s.domain, Addr: netip.AddrPortFrom(s.local.Addr.Addr(), 0)})
	s.boundAddr = boundAddr
	if err != nil {
		return sys.EAGAIN
	}
	return nil
}

// disconnectUDP is __udp_disconnect: a port that the kernel chose is given back.
// s.mu is held.
func (s *socket) disconnectUDP() {
	s.state = unconnected
	s.remote = sys.SockAddr{}
	port := s.local.Addr.Port()
	if s.autobound {
		port = 0
		s.unbindPort()
	}
	addr := s.local.Addr.Addr()
	if !s.boundAddr {
		if addr = anyPort4.Addr(); s.domain == sys.AF_INET6 {
			addr = anyPort6.Addr()
		}
	}
	s.local.Addr = netip.AddrPortFrom(addr, port)
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.use != nil {
		s.use.remote = netip.AddrPort{}
		s.use.addr = addr
	}
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// rehash puts u in front of those that datagrams are delivered to, as hlists are
// filled. n.mu is held.
func (n *Net) rehash(u *portUse) {
	n.unhash(u)
	n.udp = slices.Insert(n.udp, 0, u)
}

// unhash takes u away. n.mu is held.
func (n *Net) unhash(u *portUse) {
	n.udp = slices.DeleteFunc(n.udp, func(x *portUse) bool { return x == u })
}

// lookupUDP is __udp4_lib_lookup: the socket that gets a datagram. One that is
// connected to its sender goes before one with its exact address, and that before
// a wildcard; among equals the youngest, or where they share the port by
// SO_REUSEPORT the one that the sender's port decides.
func (n *Net) lookupUDP(dst, src netip.AddrPort) *socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := portUse{addr: dst.Addr()}
	var best []*portUse
	score := 0
	for _, u := range n.udp {
		if u.port != dst.Port() || !u.overlaps(&want) || u.remote.IsValid() && u.remote != src {
			continue
		}
		sc := 1
		switch {
		case u.remote.IsValid():
			sc = 4
		case !u.addr.Unmap().IsUnspecified():
			sc = 3
		case u.addr.Unmap().Is4() == dst.Addr().Is4():
			sc = 2
		}
		if sc > score {
			best, score = best[:0], sc
		}
		if sc == score {
			best = append(best, u)
		}
	}
	if len(best) == 0 {
		return nil
	}
	if best[0].reusePort && !best[0].remote.IsValid() {
		return best[spread(src.Port(), len(best))].sock
	}
	return best[0].sock
}

// sendUDP is udp_sendmsg of a connected socket. It never waits: over loopback a
// datagram leaves the sender's buffer at once, and one for which the receiver has
// no room is lost.
func (s *socket) sendUDP(t *vfs.Task, p []byte, more bool) (int, error) {
	s.mu.Lock()
	if err := s.autobind(t); err != nil {
		s.mu.Unlock()
		return 0, err
	}
	if s.domain == sys.AF_INET && len(p) > maxUDPSend {
		s.mu.Unlock()
		return 0, sys.EMSGSIZE
	}
	if s.state != established {
		s.mu.Unlock()
		return 0, sys.EDESTADDRREQ
	}
	if to := s.remote.Addr; to.Addr().Is4In6() && to.Port() == 0 { // udpv6_sendmsg gives it to udp_sendmsg
		s.mu.Unlock()
		return 0, sys.EINVAL
	}
	dst, src := unmap(s.remote.Addr), unmap(s.local.Addr)
	limit, headers := maxUDP4, udpHeader+ip4Header
	if dst.Addr().Is6() {
		limit, headers = maxUDP6, udpHeader+ip6Header
	}
	err := func() error {
		if len(s.dg.corked)+len(p) > limit {
			return sys.EMSGSIZE
		}
		if err := s.takeErr(); err != nil {
			return err
		}
		if s.shut&sendShut != 0 {
			return sys.EPIPE
		}
		return nil
	}()
	if err != nil {
		s.dg.corked = nil // udp_flush_pending_frames
		s.mu.Unlock()
		return 0, err
	}
	data := append(s.dg.corked, p...)
	if s.dg.corked = nil; more {
		s.dg.corked = data
		s.mu.Unlock()
		return len(p), nil
	}
	s.mu.Unlock()

	s.wake(sys.POLLOUT) // loopback_xmit orphans it: sock_wfree
	to := s.net.lookupUDP(dst, src)
	if to == nil {
		s.unreachable()
		return len(p), nil
	}
	d := datagram{data: data, truesize: udpTruesize(len(data), headers)}
	to.mu.Lock()
	defer to.mu.Unlock()
	// __udp_enqueue_schedule_skb: an empty queue takes whatever comes.
	if q := to.dg; q.rmem == 0 || q.rmem+d.truesize <= to.opts.rcvbuf {
		q.queue = append(q.queue, d)
		q.rmem += d.truesize
		to.wake(sys.POLLIN)
	}
	return len(p), nil
}

// unreachable is the answer to a datagram that nobody receives, ICMP's port
// unreachable, which udp_err turns into an error of the sender's.
func (s *socket) unreachable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = sys.ECONNREFUSED
	s.wake(sys.POLLERR)
}
