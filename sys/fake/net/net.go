// Package net is the simulated kernel's network namespace: TCP and UDP over
// loopback, Unix domain sockets, poll, epoll, and a bridge from real TCP
// connections. It does what tcp.c and udp.c in net/ipv4, net/unix/af_unix.c and
// fs/eventpoll.c of Linux do, as seen through the system calls; the tests run one
// table of scenarios against this package and against the real kernel.
//
// Segments travel at once: what one end sends is in the other's receive buffer
// when the call returns, and so is a FIN or RST.
//
// # Locks
//
// From the outside in. None is held across a sleep or a call of another package,
// except into a sched.Queue.
//
//	Net.nest           the shape of epolls inside epolls
//	epoll.mu           one epoll's items; each item's socket.mu is taken inside
//	  socket.mu        a listening socket
//	    socket.mu      any other; never two at once
//	      Net.mu       ports, listeners, abstract names
//	      a sched.Queue
//	        epoll.lock one epoll's list of ready items
//	          a sched.Queue of the epoll's
//
// # Where it differs from Linux
//
//   - There is one buffer a direction, of the sender's SO_SNDBUF bytes, instead of
//     one at each end; SO_RCVBUF is only remembered, and TCP does not tune sizes.
//   - A connect that meets a full backlog waits in order of arrival until an
//     accept makes room, where Linux sends SYN again after a second and longer.
//     A blocking one gives up with ETIMEDOUT after [synTimeout], a non-blocking
//     one never.
//   - Where some sockets on a port have SO_REUSEPORT and others SO_REUSEADDR, the
//     rule of inet_bind_conflict holds; Linux's shortcut around it (fastreuseport)
//     sometimes lets more pass.
//   - UDP's receive buffer has room again as soon as a datagram is received, where
//     Linux waits until a quarter of it was. Where sockets share a UDP port, those
//     with SO_REUSEPORT let each other in only if they conflict with no other.
//   - No out-of-band data, no credentials messages, no broadcast, no multicast.
//   - Descriptors in flight over sockets that nobody holds any more are not
//     collected when they hold each other.
package net

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// Net is a machine's network namespace.
type Net struct {
	tree  *vfs.Tree
	addrs []netip.Addr // the machine's own, besides loopback

	nest sync.Mutex

	mu        sync.Mutex
	inode     uint64
	nextPort  uint16
	autobind  int // of Unix sockets
	ports     map[uint16]map[*portUse]struct{}
	timeWaits []*portUse           // by when they expire
	listeners map[uint16][]*socket // of TCP, in order of listen
	udp       []*portUse           // of UDP, the youngest first
	abstract  map[abstractName]*socket
	listening []*socket // all, in order of listen
}

// New makes a network namespace with a loopback interface. Unix sockets are
// bound in tree. addrs are further addresses that the machine has.
func New(tree *vfs.Tree, addrs ...netip.Addr) *Net {
	return &Net{
		tree:      tree,
		addrs:     addrs,
		nextPort:  firstEphemeral,
		ports:     map[uint16]map[*portUse]struct{}{},
		listeners: map[uint16][]*socket{},
		abstract:  map[abstractName]*socket{},
	}
}

// Listeners are the addresses of all listening sockets, sorted: for leak checks.
func (n *Net) Listeners() []sys.SockAddr {
	n.mu.Lock()
	ls := slices.Clone(n.listening)
	n.mu.Unlock()
	var addrs []sys.SockAddr
	for _, l := range ls {
		l.mu.Lock()
		addrs = append(addrs, l.local)
		l.mu.Unlock()
	}
	slices.SortFunc(addrs, func(a, b sys.SockAddr) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), a.Addr.Compare(b.Addr), cmp.Compare(a.Path, b.Path))
	})
	return addrs
}

// typeFlags are the flags in the type argument of socket(2).
const typeFlags = sys.SOCK_CLOEXEC | sys.SOCK_NONBLOCK

// checkType is the checks of __sock_create.
func checkType(domain, typ, proto int) error {
	typ &^= typeFlags
	switch {
	case domain < 0 || domain > maxFamily:
		return sys.EAFNOSUPPORT
	case typ < 0 || typ > maxType:
		return sys.EINVAL
	}
	switch domain {
	case sys.AF_INET, sys.AF_INET6:
		want := sys.IPPROTO_TCP
		switch typ {
		case sys.SOCK_STREAM:
		case sys.SOCK_DGRAM:
			want = ipprotoUDP
		default:
			return sys.ESOCKTNOSUPPORT
		}
		if proto != sys.IPPROTO_IP && proto != want {
			return sys.EPROTONOSUPPORT
		}
	case sys.AF_UNIX:
		switch {
		case proto != 0 && proto != sys.AF_UNIX:
			return sys.EPROTONOSUPPORT
		case typ != sys.SOCK_STREAM && typ != sys.SOCK_DGRAM && typ != sys.SOCK_SEQPACKET && typ != sockRaw:
			return sys.ESOCKTNOSUPPORT
		}
	default:
		return sys.EAFNOSUPPORT
	}
	return nil
}

// sockRaw is SOCK_RAW, which unix_create takes for SOCK_DGRAM.
const sockRaw = 3

// Limits of __sock_create: AF_MAX and SOCK_MAX, less one.
const (
	maxFamily = 45
	maxType   = 10
)

// Socket is socket(2). SOCK_CLOEXEC is the descriptor table's.
func (n *Net) Socket(t *vfs.Task, domain, typ, proto int) (*vfs.Description, error) {
	if err := checkType(domain, typ, proto); err != nil {
		return nil, err
	}
	s := n.newSocket(domain, typ&^typeFlags)
	s.uid = t.Cred.Uid
	return s.open(t, typ), nil
}

// Socketpair is socketpair(2): AF_UNIX only, EOPNOTSUPP for others.
func (n *Net) Socketpair(t *vfs.Task, domain, typ, proto int) (a, b *vfs.Description, err error) {
	if err := checkType(domain, typ, proto); err != nil {
		return nil, nil, err
	}
	if domain != sys.AF_UNIX {
		return nil, nil, sys.EOPNOTSUPP
	}
	x, y := n.newSocket(domain, typ&^typeFlags), n.newSocket(domain, typ&^typeFlags)
	for _, s := range []*socket{x, y} {
		if s.dg == nil {
			s.state = established
		}
		s.remote = sys.SockAddr{Family: sys.AF_UNIX}
	}
	x.peer, y.peer = y, x
	return x.open(t, typ), y.open(t, typ), nil
}
