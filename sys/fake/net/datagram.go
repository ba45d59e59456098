package net

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// datagrams is what a SOCK_DGRAM socket has more than others. The socket's mu
// guards what is not atomic or a queue.
type datagrams struct {
	queue []datagram
	rmem  int // truesize of the queue: sk_rmem_alloc

	// Unix. A sender meets two limits: its own buffer, which everything counts
	// against that it sent and nobody has received, and the receiver's queue.
	wmem    atomic.Int64 // truesize of what it sent: sk_wmem_alloc
	room    sched.Queue  // senders that wait for room in the queue: peer_wait
	pollers []*socket    // senders to be told of room, the last first: peer_wake

	// UDP.
	corked []byte // MSG_MORE: the first part of the next datagram
}

// datagram is struct sk_buff.
type datagram struct {
	data     []byte
	fds      []*vfs.Description
	truesize int
	from     *socket // in whose buffer it counts; nil: UDP, loopback_xmit orphans it
}

// maxDgramQlen is net.unix.max_dgram_qlen. A queue takes one more.
const maxDgramQlen = 10

// Sizes of a struct sk_buff, of the struct skb_shared_info behind its data, and
// of what one block of data and the pages behind it hold: SKB_MAX_ALLOC and
// MAX_SKB_FRAGS.
const (
	skbStruct = 256
	skbShared = 320
	skbAlign  = 64
	skbHead   = 16384 - skbShared
	skbPage   = 4096
	skbFrags  = 17 * skbPage
	skbSmall  = 576 // SKB_SMALL_HEAD_CACHE_SIZE
)

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// kmalloc is how much memory kmalloc takes for a block of data and its struct
// skb_shared_info.
func kmalloc(data int) int {
	return 1 << bits.Len(uint(roundUp(data, skbAlign)+skbShared-1))
}

// unixTruesize is skb->truesize of a Unix datagram of n bytes: see
// unix_dgram_sendmsg and sock_alloc_send_pskb.
func unixTruesize(n int) int {
	pages := 0
	if n > skbHead {
		pages = roundUp(min(n-skbHead, skbFrags), skbPage)
	}
	return skbStruct + kmalloc(n-pages) + pages
}

// udpTruesize is the same for UDP over loopback: see __ip_append_data. Its memory
// has a cache for small blocks, and what does not fit in one block goes into page
// fragments, of which only the bytes count.
func udpTruesize(n, headers int) int {
	const linkLayer = 16 + 15
	block := n + headers + linkLayer
	paged := 0
	if block >= skbHead {
		block, paged = headers+linkLayer, n
	}
	if roundUp(block, skbAlign)+skbShared <= skbSmall {
		return skbStruct + skbSmall + paged
	}
	return skbStruct + kmalloc(block) + paged
}

// sendUnixDatagram is unix_dgram_sendmsg without an address. The references to
// fds are the caller's until the datagram was sent.
func (s *socket) sendUnixDatagram(t *vfs.Task, p []byte, fds []*vfs.Description, nonblock bool) (int, error) {
	s.mu.Lock()
	until := deadline(t, s.opts.sndtimeo)
	s.mu.Unlock()
	if err := s.charge(t, len(p), nonblock, until); err != nil {
		return 0, err
	}
	d := datagram{data: slices.Clone(p), fds: fds, truesize: unixTruesize(len(p)), from: s}
	sent := false
	defer func() { // also when the thread is killed while it waits
		if !sent {
			d.uncharge()
		}
	}()
	for {
		peer, err := s.deliver(t, &d, nonblock)
		if err == sys.EAGAIN && !nonblock {
			if err = s.awaitRoom(t, peer, until); err == nil {
				continue
			}
		}
		if err != nil {
			return 0, err
		}
		sent = true
		return len(p), nil
	}
}

// charge is sock_alloc_send_pskb: it waits for room in the sender's buffer, and
// takes it.
func (s *socket) charge(t *vfs.Task, n int, nonblock bool, until time.Duration) error {
	var w wait
	defer w.leave()
	for {
		err := func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if int64(n) > s.sndbuf.Load()-32 {
				return sys.EMSGSIZE
			}
			if err := s.takeErr(); err != nil {
				return err
			}
			switch {
			case s.shut&sendShut != 0:
				return sys.EPIPE
			case s.dg.wmem.Load() >= s.sndbuf.Load():
				return sys.EAGAIN
			}
			s.dg.wmem.Add(int64(unixTruesize(n)))
			return nil
		}()
		if err != sys.EAGAIN || nonblock {
			return err
		}
		if err := w.sleep(t, &s.q, until); err != nil {
			return err
		}
	}
}

// deliver puts d into the peer's queue. EAGAIN: there is no room in it.
func (s *socket) deliver(t *vfs.Task, d *datagram, nonblock bool) (*socket, error) {
	s.mu.Lock()
	peer := s.peer
	s.mu.Unlock()
	if peer == nil {
		return nil, sys.ENOTCONN
	}
	peer.mu.Lock()
	defer peer.mu.Unlock()
	switch {
	case peer.dead:
		peer.mu.Unlock()
		defer peer.mu.Lock()
		return peer, s.peerDied(t, peer)
	case !peer.admits(s):
		return peer, sys.EPERM
	case peer.shut&rcvShut != 0:
		return peer, sys.EPIPE
	case peer.crowded(s):
		if nonblock {
			peer.addPoller(s)
		}
		return peer, sys.EAGAIN
	}
	peer.dg.queue = append(peer.dg.queue, *d)
	peer.wake(sys.POLLIN)
	return peer, nil
}

// awaitRoom is unix_wait_for_peer. One place in the queue wakes one sender.
func (s *socket) awaitRoom(t *vfs.Task, peer *socket, until time.Duration) error {
	w := wait{exclusive: true}
	defer w.leave()
	if err := w.sleep(t, &peer.dg.room, until); err != nil {
		return err
	}
	peer.mu.Lock()
	full := !peer.dead && peer.shut&rcvShut == 0 && peer.crowded(s)
	peer.mu.Unlock()
	if !full {
		return nil
	}
	return w.sleep(t, &peer.dg.room, until)
}

// admits is unix_may_send: a socket that is connected takes datagrams from its
// peer only. s.mu is held.
func (s *socket) admits(from *socket) bool { return s.peer == nil || s.peer == from }

// crowded reports whether the queue is so long that from has to wait. A peer
// that is connected back is never kept waiting. s.mu is held.
func (s *socket) crowded(from *socket) bool {
	return s != from && s.peer != from && len(s.dg.queue) > maxDgramQlen
}

// addPoller is unix_dgram_peer_wake_connect. s.mu is held.
func (s *socket) addPoller(from *socket) {
	if !slices.Contains(s.dg.pollers, from) {
		s.dg.pollers = slices.Insert(s.dg.pollers, 0, from)
	}
}

// removePoller is unix_dgram_peer_wake_disconnect.
func (s *socket) removePoller(from *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dg.pollers = slices.DeleteFunc(s.dg.pollers, func(x *socket) bool { return x == from })
}

// peerDied ends the connection to a socket that was found dead.
func (s *socket) peerDied(t *vfs.Task, peer *socket) error {
	s.mu.Lock()
	if s.peer != peer {
		s.mu.Unlock()
		return sys.ECONNRESET
	}
	s.peer = nil
	s.wake(sys.POLLOUT)
	s.mu.Unlock()
	s.turnedAway(t, peer)
	return sys.ECONNREFUSED
}

// turnedAway is unix_dgram_disconnected: s is not connected to old any more. What
// it has not received is lost, and when old still sends here it is told.
func (s *socket) turnedAway(t *vfs.Task, old *socket) {
	s.mu.Lock()
	lost := s.takeDatagrams()
	s.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	free(t, lost)
	old.mu.Lock()
	if !old.dead && old.peer == s {
		old.err = sys.ECONNRESET
		old.wake(sys.POLLERR)
	}
	old.mu.Unlock()
}

// takeDatagrams empties the queue and wakes who waited for room in it. s.mu is
// held.
func (s *socket) takeDatagrams() []datagram {
	list, pollers := s.dg.queue, s.dg.pollers
	s.dg.queue, s.dg.rmem, s.dg.pollers = nil, 0, nil
	for _, x := range pollers {
		x.wake(0)
	}
	s.dg.room.WakeAll()
	return list
}

// free releases datagrams that nobody will receive. t may be nil.
func free(t *vfs.Task, list []datagram) {
	for _, d := range list {
		release(t, d.fds)
		d.uncharge()
	}
}

// uncharge gives the sender its room back: sock_wfree and unix_write_space.
func (d *datagram) uncharge() {
	if s := d.from; s != nil && s.dg.wmem.Add(int64(-d.truesize))*4 <= s.sndbuf.Load() {
		s.wake(sys.POLLOUT)
	}
}

// tryRecvDatagram takes the oldest datagram: __skb_try_recv_datagram. EAGAIN:
// there is none.
func (s *socket) tryRecvDatagram(p []byte, peek bool) (m message, err error) {
	s.mu.Lock()
	if err := s.takeErr(); err != nil { // before data
		s.mu.Unlock()
		return m, err
	}
	if len(s.dg.queue) == 0 {
		s.mu.Unlock()
		return m, sys.EAGAIN
	}
	d := s.dg.queue[0]
	m = message{n: copy(p, d.data), size: len(d.data), fds: d.fds, truncated: len(p) < len(d.data)}
	if peek {
		for _, f := range m.fds {
			f.Incref()
		}
		s.mu.Unlock()
		return m, nil
	}
	s.dg.queue = slices.Delete(s.dg.queue, 0, 1)
	s.dg.rmem -= d.truesize
	pollers := s.dg.pollers
	s.dg.pollers = nil
	s.mu.Unlock()
	for _, x := range pollers {
		x.wake(sys.POLLOUT)
	}
	s.dg.room.Wake(1)
	d.uncharge()
	return m, nil
}

// readyDatagram is unix_dgram_poll and datagram_poll.
func (s *socket) readyDatagram() (ev int16) {
	s.mu.Lock()
	if s.err != 0 {
		ev |= sys.POLLERR
	}
	if s.shut&rcvShut != 0 {
		ev |= sys.POLLIN | sys.POLLRDHUP
	}
	if s.shut == bothShut {
		ev |= sys.POLLHUP
	}
	if len(s.dg.queue) > 0 {
		ev |= sys.POLLIN
	}
	peer := s.peer
	s.mu.Unlock()
	if s.dg.wmem.Load()*4 > s.sndbuf.Load() {
		return ev
	}
	if peer != nil {
		peer.mu.Lock()
		defer peer.mu.Unlock()
		if !peer.dead && peer.crowded(s) {
			peer.addPoller(s)
			return ev
		}
	}
	return ev | sys.POLLOUT
}

// connectDatagram is unix_dgram_connect and inet_dgram_connect: it chooses the
// peer, and with AF_UNSPEC none.
func (s *socket) connectDatagram(t *vfs.Task, a sys.SockAddr) error {
	if s.inet() {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.connectUDP(t, a)
	}
	var peer *socket
	if a.Family != sys.AF_UNSPEC {
		var err error
		if peer, err = s.lookupUnix(t, a); err != nil {
			return err
		}
		peer.mu.Lock()
		ok := peer.admits(s)
		peer.mu.Unlock()
		if !ok {
			return sys.EPERM
		}
	}
	s.mu.Lock()
	old := s.peer
	s.peer = peer
	s.mu.Unlock()
	if old != nil {
		old.removePoller(s)
		s.wake(sys.POLLOUT) // unix_dgram_peer_wake_disconnect_wakeup
		if old != peer {
			s.turnedAway(t, old)
		}
	}
	return nil
}

// shutdownDatagram is unix_shutdown, which does not tell the peer of a datagram
// socket, and inet_shutdown.
func (s *socket) shutdownDatagram(mask int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut |= mask
	s.wake(0)
	if s.inet() && s.state != established {
		return sys.ENOTCONN
	}
	return nil
}

// closeDatagram is unix_release_sock and udp_lib_close. The peer learns of it
// when it sends. t may be nil.
func (s *socket) closeDatagram(t *vfs.Task) {
	s.stopListening(t) // gives up the name
	s.mu.Lock()
	s.dead = true
	s.shut = bothShut
	s.state = unconnected
	old := s.peer
	s.peer = nil
	lost := s.takeDatagrams()
	s.wake(0)
	s.mu.Unlock()
	s.net.release(s)
	if old != nil {
		old.removePoller(s)
	}
	free(t, lost)
}

// recvEnds reports whether a receive that would wait returns 0 instead: the
// blocking ones alone do (__skb_wait_for_more_packets).
func (s *socket) recvEnds() bool { return s.dg != nil && s.readShut() }

// peerName is the name of a connected datagram socket's peer.
func (s *socket) peerName() (sys.SockAddr, error) {
	s.mu.Lock()
	peer, remote, st := s.peer, s.remote, s.state
	s.mu.Unlock()
	switch {
	case s.inet() && (st != established || remote.Addr.Port() == 0), !s.inet() && peer == nil:
		return sys.SockAddr{}, sys.ENOTCONN
	case s.inet():
		return remote, nil
	}
	peer.mu.Lock()
	defer peer.mu.Unlock()
	return peer.local, nil
}
