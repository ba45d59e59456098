package net

import (
	"net/netip"
	"slices"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// The range of net.ipv4.ip_local_port_range. Linux takes ports from it at
// random, here they go upwards.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// unprivileged is net.ipv4.ip_unprivileged_port_start.
const unprivileged = 1024

// timeWaitLen is TCP_TIMEWAIT_LEN.
const timeWaitLen = 60 * time.Second

var (
	anyPort4 = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	anyPort6 = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
)

// portUse is a socket's, or a TIME_WAIT's, claim on a port: struct
// inet_bind2_bucket and what it needs to know of the socket. Net.mu guards it.
type portUse struct {
	addr      netip.Addr
	port      uint16
	v6only    bool
	reuseAddr bool
	reusePort bool
	uid       uint32
	udp       bool
	sock      *socket        // of UDP
	remote    netip.AddrPort // of UDP: to whom it is connected, IPv4 as such
	listen    bool
	expires   time.Duration // of a TIME_WAIT; 0: there is a socket
}

// families are the address families that a use takes: 4, 6 or both.
func (u *portUse) families() int {
	switch {
	case u.addr.Is4() || u.addr.Is4In6():
		return 4
	case u.addr.IsUnspecified() && !u.v6only:
		return 4 | 2
	}
	return 2
}

func (u *portUse) overlaps(v *portUse) bool {
	if u.families()&v.families() == 0 {
		return false
	}
	return u.addr.Unmap().IsUnspecified() || v.addr.Unmap().IsUnspecified() || u.addr.Unmap() == v.addr.Unmap()
}

// conflicts is inet_bind_conflict: whether u, which wants the port, cannot have
// it beside v.
func (u *portUse) conflicts(v *portUse) bool {
	switch {
	case u == v || u.udp != v.udp || !u.overlaps(v):
		return false
	case u.reuseAddr && v.reuseAddr && !v.listen:
		return false
	case u.reusePort && v.reusePort && u.uid == v.uid:
		return false
	}
	return true
}

// free reports whether u can have its port. n.mu is held.
func (n *Net) free(u *portUse, now time.Duration) bool {
	for v := range n.ports[u.port] {
		if v.expires != 0 && v.expires <= now {
			n.drop(v)
		} else if u.conflicts(v) {
			return false
		}
	}
	return true
}

// claim enters u. n.mu is held.
func (n *Net) claim(u *portUse) {
	if n.ports[u.port] == nil {
		n.ports[u.port] = map[*portUse]struct{}{}
	}
	n.ports[u.port][u] = struct{}{}
	if u.udp {
		n.rehash(u)
	}
}

// drop removes u. n.mu is held.
func (n *Net) drop(u *portUse) {
	if u.udp {
		n.unhash(u)
	}
	delete(n.ports[u.port], u)
	if len(n.ports[u.port]) == 0 {
		delete(n.ports, u.port)
	}
}

// release gives the socket's port back.
func (n *Net) release(s *socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.use != nil {
		n.drop(s.use)
		s.use = nil
	}
}

// timeWait keeps the socket's port for the time of a TIME_WAIT, and ends those
// that are over: a busy server's would pile up.
func (n *Net) timeWait(s *socket, now time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.use != nil {
		s.use.expires = now + timeWaitLen
		n.timeWaits = append(n.timeWaits, s.use)
	}
	for len(n.timeWaits) > 0 && n.timeWaits[0].expires <= now {
		n.drop(n.timeWaits[0])
		n.timeWaits = n.timeWaits[1:]
	}
}

// ephemeral finds a port for u: one that is free by bind's rules or, for
// connect, one that no socket uses at all. n.mu is held.
func (n *Net) ephemeral(u *portUse, now time.Duration, connect bool) bool {
	for range lastEphemeral - firstEphemeral + 1 {
		u.port = n.nextPort
		if n.nextPort++; n.nextPort > lastEphemeral {
			n.nextPort = firstEphemeral
		}
		if connect {
			used := false
			for v := range n.ports[u.port] {
				if v.udp != u.udp {
					continue
				}
				if v.expires == 0 {
					used = true
				} else {
					n.drop(v) // net.ipv4.tcp_tw_reuse: loopback
				}
			}
			if !used {
				return true
			}
		} else if n.free(u, now) {
			return true
		}
	}
	return false
}

// isLocal reports whether the machine has the address.
func (n *Net) isLocal(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || slices.Contains(n.addrs, a)
}

// inetAddr checks an address given to a socket of a family, as inet_bind,
// inet6_bind, tcp_v4_connect and tcp_v6_connect do: a struct sockaddr_in is too
// short for an IPv6 socket, and a struct sockaddr_un with a short path for both.
func (s *socket) inetAddr(a sys.SockAddr) error {
	least := 16 // sizeof(struct sockaddr_in)
	if s.domain == sys.AF_INET6 {
		least = 24 // SIN6_LEN_RFC2133
	}
	switch {
	case a.Family == s.domain:
		return nil
	case s.domain == sys.AF_INET6 && a.Family == sys.AF_INET, a.Family == sys.AF_UNIX && unixLen(a) < least:
		return sys.EINVAL
	}
	return sys.EAFNOSUPPORT
}

// newUse is the claim of s on an address and port. s.mu is held.
func (s *socket) newUse(ap netip.AddrPort) *portUse {
	return &portUse{
		udp:       s.dg != nil,
		sock:      s,
		addr:      ap.Addr(),
		port:      ap.Port(),
		v6only:    s.opts.v6only,
		reuseAddr: s.opts.reuseAddr,
		reusePort: s.opts.reusePort,
		uid:       s.uid,
	}
}

// bindInet is __inet_bind. s.mu is held.
func (s *socket) bindInet(t *vfs.Task, a sys.SockAddr) error {
	n := s.net
	if err := s.inetAddr(a); err != nil {
		return err
	}
	addr, port := a.Addr.Addr(), a.Addr.Port()
	if !addr.Unmap().IsUnspecified() && !n.isLocal(addr) {
		return sys.EADDRNOTAVAIL
	}
	if addr.Is4In6() && s.opts.v6only {
		return sys.EINVAL
	}
	if port != 0 && port < unprivileged && !t.Cred.Has(sys.CAP_NET_BIND_SERVICE) {
		return sys.EACCES
	}
	u := s.newUse(a.Addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.state != unconnected || s.use != nil {
		return sys.EINVAL
	}
	now := t.Thread.Now()
	if port == 0 && !n.ephemeral(u, now, false) || port != 0 && !n.free(u, now) {
		return sys.EADDRINUSE
	}
	n.claim(u)
	s.use = u
	s.autobound = port == 0
	s.boundAddr = addr != anyPort4.Addr() && addr != anyPort6.Addr()
	s.local.Addr = netip.AddrPortFrom(addr, u.port)
	return nil
}

// startListeningInet is inet_csk_listen_start: the port is checked again, now
// that it is to be listened on. l.mu is held.
func (l *socket) startListeningInet(t *vfs.Task) error {
	n := l.net
	n.mu.Lock()
	bound := l.use != nil
	n.mu.Unlock()
	if !bound {
		if err := l.bindInet(t, sys.SockAddr{Family: l.domain, Addr: netip.AddrPortFrom(l.local.Addr.Addr(), 0)}); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l.use.listen = true
	if !n.free(l.use, t.Thread.Now()) {
		l.use.listen = false
		return sys.EADDRINUSE
	}
	port := l.use.port
	n.listeners[port] = append(n.listeners[port], l)
	return nil
}

// lookup is __inet_lookup_listener: the listener for a connection to dst. An
// exact address goes before a wildcard, IPv4's before IPv6's; among equals,
// which share the port by SO_REUSEPORT, the client's port decides.
func (n *Net) lookup(dst netip.AddrPort, client uint16) *socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := portUse{addr: dst.Addr()}
	var best []*socket
	score := 0
	for _, l := range n.listeners[dst.Port()] {
		if !l.use.overlaps(&want) {
			continue
		}
		sc := 1
		switch {
		case !l.use.addr.Unmap().IsUnspecified():
			sc = 3
		case l.use.addr.Unmap().Is4() == dst.Addr().Unmap().Is4():
			sc = 2
		}
		if sc > score {
			best, score = best[:0], sc
		}
		if sc == score {
			best = append(best, l)
		}
	}
	if len(best) == 0 {
		return nil
	}
	return best[spread(client, len(best))]
}

// spread is which of n sockets that share a port by SO_REUSEPORT is for a client's
// port.
func spread(client uint16, n int) uint32 {
	return uint32(client) * 2654435761 >> 16 % uint32(n)
}

// route is the address that a connection to a goes to, the one it comes from,
// and ENETUNREACH when the machine has no such address: there is no other
// network.
func (n *Net) route(a netip.Addr) (dst, src netip.Addr, err error) {
	switch {
	case a.Is4In6() && a.Unmap().IsUnspecified():
		a = netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1})
	case a == netip.IPv4Unspecified():
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a == netip.IPv6Unspecified():
		a = netip.IPv6Loopback()
	}
	if !n.isLocal(a) {
		return a, a, sys.ENETUNREACH
	}
	switch {
	case a.Is4() && a.IsLoopback():
		return a, netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	case a.Is4In6() && a.Unmap().IsLoopback():
		return a, netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}), nil
	}
	return a, a, nil
}

// unbindPort gives back a port that the kernel chose, when a connect failed or a
// listener stopped: tcp_set_state, inet_put_port. getsockname goes on to show
// it. s.mu is held.
func (s *socket) unbindPort() {
	if s.autobound {
		s.autobound = false
		s.net.release(s)
	}
}

// startConnectInet gives the socket its addresses and returns the listener, nil
// when nobody listens. s.mu is held.
func (s *socket) startConnectInet(t *vfs.Task, a sys.SockAddr) (*socket, error) {
	n := s.net
	if err := s.inetAddr(a); err != nil {
		return nil, err
	}
	dst, src, err := n.route(a.Addr.Addr())
	if err != nil {
		return nil, err
	}
	if s.opts.v6only && dst.Is4In6() {
		return nil, sys.ENETUNREACH
	}
	if bound := s.local.Addr.Addr(); !bound.Unmap().IsUnspecified() {
		src = bound
	}
	n.mu.Lock()
	if s.use == nil {
		u := s.newUse(netip.AddrPortFrom(src, 0))
		if !n.ephemeral(u, t.Thread.Now(), true) {
			n.mu.Unlock()
			return nil, sys.EADDRNOTAVAIL
		}
		n.claim(u)
		s.use = u
		s.autobound = true
	}
	port := s.use.port
	n.mu.Unlock()
	s.local.Addr = netip.AddrPortFrom(src, port)
	s.remote = sys.SockAddr{Family: s.domain, Addr: netip.AddrPortFrom(dst, a.Addr.Port())}
	return n.lookup(s.remote.Addr, port), nil
}

// inFamily is the address as a socket of the family shows it: IPv4 as mapped
// addresses on an IPv6 socket.
func inFamily(domain int, ap netip.AddrPort) netip.AddrPort {
	a := ap.Addr().Unmap()
	if domain == sys.AF_INET6 {
		a = netip.AddrFrom16(a.As16())
	}
	return netip.AddrPortFrom(a, ap.Port())
}
