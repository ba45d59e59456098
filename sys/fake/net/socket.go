package net

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// state is sk_state, as far as it can be told apart here: FIN_WAIT and CLOSE_WAIT
// are established with a FIN sent or received.
type state int

const (
	unconnected state = iota // TCP_CLOSE
	listening
	synSent
	established
)

// Bits of socket.shut, RCV_SHUTDOWN and SEND_SHUTDOWN of include/net/sock.h.
const (
	rcvShut  = 1
	sendShut = 2
	bothShut = rcvShut | sendShut
)

// socket is struct sock. It implements vfs.File.
type socket struct {
	net    *Net
	domain int
	typ    int
	ino    uint64
	inode  *vfs.Inode // made by open
	uid    uint32     // who made it, for SO_REUSEPORT

	q sched.Queue // all that wait on it: readers, writers, accepters, pollers, epolls

	sndbuf  atomic.Int64
	nospace atomic.Bool // somebody wants to know when there is room to write

	mu         sync.Mutex
	state      state
	connecting bool // a connect began and its result has not been returned: SS_CONNECTING
	inProgress bool // connect returned EINPROGRESS
	dead       bool // released: SOCK_DEAD
	aborted    bool // released before it was accepted
	shut       int
	finSent    bool
	finRcvd    bool // reads past the data return 0: SOCK_DONE
	wasReset   bool
	activeFin  bool // the FIN was sent before one was received
	err        sys.Errno
	local      sys.SockAddr
	place      vfs.Path // what bind made of a path
	remote     sys.SockAddr
	peer       *socket
	rcv        buffer
	listen     *listener
	from       *socket // the listener that it connects to (synSent), or that waits for data (TCP_DEFER_ACCEPT)
	use        *portUse
	boundAddr  bool // SOCK_BINDADDR_LOCK: bind gave the address
	autobound  bool // not SOCK_BINDPORT_LOCK: the kernel chose the port
	opts       options
	dg         *datagrams // of SOCK_DGRAM
}

// options are what setsockopt(2) sets.
type options struct {
	reuseAddr   bool
	reusePort   bool
	keepAlive   bool
	noDelay     bool
	cork        bool
	v6only      bool
	linger      bool
	lingerSecs  int
	deferAccept int // retransmissions, as Linux keeps it
	rcvbuf      int
	rcvtimeo    time.Duration
	sndtimeo    time.Duration
}

func (n *Net) newSocket(domain, typ int) *socket {
	if domain == sys.AF_UNIX && typ == sockRaw {
		typ = sys.SOCK_DGRAM
	}
	n.mu.Lock()
	n.inode++
	ino := n.inode
	n.mu.Unlock()
	s := &socket{net: n, domain: domain, typ: typ, ino: ino}
	s.sndbuf.Store(defaultBuffer)
	s.opts.rcvbuf = defaultBuffer
	if typ == sys.SOCK_DGRAM {
		s.dg = &datagrams{}
	}
	switch domain {
	case sys.AF_INET:
		s.local = sys.SockAddr{Family: domain, Addr: anyPort4}
	case sys.AF_INET6:
		s.local = sys.SockAddr{Family: domain, Addr: anyPort6}
	default:
		s.local = sys.SockAddr{Family: domain}
	}
	return s
}

// open makes the socket's description; typ may hold SOCK_NONBLOCK.
// The inode belongs to who makes it: sock_alloc.
func (s *socket) open(t *vfs.Task, typ int) *vfs.Description {
	s.inode = s.net.tree.NewSocketInode(t, s.ino, s.protocol())
	return vfs.NewDescription(s, sys.O_RDWR|typ&sys.SOCK_NONBLOCK)
}

// socketOf is the socket behind a description. EBADF: O_PATH. ENOTSOCK.
func socketOf(d *vfs.Description) (*socket, error) {
	if d.IsPath() {
		return nil, sys.EBADF
	}
	s, ok := d.File.(*socket)
	if !ok {
		return nil, sys.ENOTSOCK
	}
	return s, nil
}

func (s *socket) inet() bool { return s.domain != sys.AF_UNIX }
func (s *socket) tcp() bool  { return s.inet() && s.typ == sys.SOCK_STREAM }

// wake tells everybody who waits for events; 0 is any, a change of state.
func (s *socket) wake(events int16) {
	if events == 0 {
		s.q.WakeAll()
	} else {
		s.q.WakeEvents(1, events)
	}
}

// Read implements vfs.File.
func (s *socket) Read(t *vfs.Task, d *vfs.Description, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // sock_read_iter
	}
	return s.recv(t, p, d.Nonblock(), false)
}

// Write implements vfs.File.
func (s *socket) Write(t *vfs.Task, d *vfs.Description, p []byte) (int, error) {
	return s.send(t, p, nil, d.Nonblock(), false)
}

// Stat implements vfs.File: an inode of sockfs.
func (s *socket) Stat(t *vfs.Task, st *sys.Stat) error {
	s.inode.Stat(st)
	return nil
}

// Inode implements vfs.Socketed.
func (s *socket) Inode() *vfs.Inode { return s.inode }

// protocol is the name of struct proto.
func (s *socket) protocol() string {
	switch {
	case s.domain == sys.AF_UNIX && s.typ == sys.SOCK_STREAM:
		return "UNIX-STREAM"
	case s.domain == sys.AF_UNIX:
		return "UNIX"
	}
	name := "TCP"
	if s.typ == sys.SOCK_DGRAM {
		name = "UDP"
	}
	if s.domain == sys.AF_INET6 {
		name += "v6"
	}
	return name
}

// Queue implements vfs.File.
func (s *socket) Queue() *sched.Queue { return &s.q }

// Ready implements vfs.File: tcp_poll and unix_poll.
func (s *socket) Ready() int16 {
	if s.dg != nil {
		return s.readyDatagram()
	}
	s.mu.Lock()
	var ev int16
	if s.listen != nil {
		defer s.mu.Unlock()
		if len(s.listen.queue) > 0 {
			ev |= sys.POLLIN
		}
		if s.shut&rcvShut != 0 {
			ev |= sys.POLLIN | sys.POLLRDHUP
		}
		if s.shut == bothShut {
			ev |= sys.POLLHUP
		}
		return ev
	}
	if s.err != 0 {
		ev |= sys.POLLERR
	}
	if s.shut == bothShut || s.state == unconnected {
		ev |= sys.POLLHUP
	}
	if s.shut&rcvShut != 0 {
		ev |= sys.POLLIN | sys.POLLRDHUP
	}
	if s.rcv.len() > 0 || len(s.rcv.marks) > 0 {
		ev |= sys.POLLIN
	}
	if s.state == synSent {
		ev &^= sys.POLLIN
	}
	shutdown, peer, st := s.shut&sendShut != 0, s.peer, s.state
	s.mu.Unlock()

	switch {
	case s.tcp() && st == synSent:
	case s.tcp() && shutdown, peer == nil:
		ev |= sys.POLLOUT
	default:
		if s.writable(peer) {
			ev |= sys.POLLOUT
		}
	}
	return ev
}

// writable reports whether there is so much room that poll says POLLOUT:
// __sk_stream_is_writeable and unix_writable.
func (s *socket) writable(peer *socket) bool {
	peer.mu.Lock()
	defer peer.mu.Unlock()
	if s.roomy(peer.rcv.len()) {
		return true
	}
	s.nospace.Store(true)
	return false
}

func (s *socket) roomy(queued int) bool {
	if s.tcp() {
		return int64(queued)*3 <= s.sndbuf.Load()*2
	}
	return int64(queued)*4 <= s.sndbuf.Load()
}

// Release implements vfs.File.
func (s *socket) Release(t *vfs.Task) {
	s.close(t)
}

// Getsockname is getsockname(2).
func (n *Net) Getsockname(t *vfs.Task, d *vfs.Description) (sys.SockAddr, error) {
	s, err := socketOf(d)
	if err != nil {
		return sys.SockAddr{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.local, nil
}

// Getpeername is getpeername(2).
func (n *Net) Getpeername(t *vfs.Task, d *vfs.Description) (sys.SockAddr, error) {
	s, err := socketOf(d)
	if err != nil {
		return sys.SockAddr{}, err
	}
	if s.dg != nil {
		return s.peerName()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != established {
		return sys.SockAddr{}, sys.ENOTCONN
	}
	return s.remote, nil
}
