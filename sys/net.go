package sys

import (
	"net/netip"
	"strconv"
	"time"
)

// Net are the calls that set sockets up. Data flows through [Files] (Read,
// Write, Writev) and [Messages]; sys/conn makes a net.Conn of a descriptor.
type Net interface {
	// Socket is socket(2); typ may hold SOCK_CLOEXEC and SOCK_NONBLOCK.
	Socket(domain, typ, proto int) (fd int, err error)
	// Bind is bind(2). EADDRINUSE, EADDRNOTAVAIL; EACCES: a port below 1024
	// without CAP_NET_BIND_SERVICE.
	Bind(fd int, addr SockAddr) error
	// Listen is listen(2).
	Listen(fd, backlog int) error
	// Accept4 is accept4(2); flags are SOCK_CLOEXEC and SOCK_NONBLOCK. EAGAIN:
	// none pending on a non-blocking socket. ECONNABORTED, EMFILE, ENFILE and
	// EINTR leave the listener usable.
	Accept4(fd, flags int) (nfd int, peer SockAddr, err error)
	// Connect is connect(2).
	Connect(fd int, addr SockAddr) error
	// Getsockname is getsockname(2).
	Getsockname(fd int) (SockAddr, error)
	// Getpeername is getpeername(2). ENOTCONN.
	Getpeername(fd int) (SockAddr, error)
	// SetsockoptInt is setsockopt(2) with an int.
	SetsockoptInt(fd, level, opt, value int) error
	// GetsockoptInt is getsockopt(2) with an int.
	GetsockoptInt(fd, level, opt int) (int, error)
	// SetsockoptTimeval is setsockopt(2) with a struct timeval: SO_RCVTIMEO and
	// SO_SNDTIMEO; 0 is no timeout. A call that times out returns EAGAIN.
	SetsockoptTimeval(fd, level, opt int, d time.Duration) error
	// Shutdown is shutdown(2). It wakes threads blocked on the socket.
	Shutdown(fd, how int) error
	// Socketpair is socketpair(2).
	Socketpair(domain, typ, proto int) (a, b int, err error)
}

// Messages are the calls that move data between descriptors, and descriptors
// between processes.
type Messages interface {
	// Sendfile is sendfile(2): at most count bytes of the file in, from off
	// (its own offset then stays) or, when off is negative, from and advancing
	// in's offset.
	Sendfile(out, in int, off int64, count int) (n int, err error)
	// Send is sendto(2) without an address: Write with flags (MSG_MORE,
	// MSG_NOSIGNAL, MSG_DONTWAIT).
	Send(fd int, p []byte, flags int) (n int, err error)
	// Recv is recvfrom(2) without an address: Read with flags (MSG_PEEK,
	// MSG_DONTWAIT).
	Recv(fd int, p []byte, flags int) (n int, err error)
	// RecvTimeout is Recv that waits at most timeout for the first byte, for
	// ever when negative, whether the socket is non-blocking or not; SO_RCVTIMEO
	// does not count. EAGAIN: the time is over. As with Recv, n == 0 is the end,
	// EINTR is possible, shutdown(2) by another thread ends the wait, and what
	// happens when another thread closes fd meanwhile is undefined.
	//
	// It is poll(2) and recv(2) in one, for servers in which a thread serves a
	// connection: no call sets a timeout, and a thread that waits holds no OS
	// thread on the real backend.
	RecvTimeout(fd int, p []byte, timeout time.Duration) (n int, err error)
	// Sendmsg is sendmsg(2) with one buffer and the descriptors fds as
	// SCM_RIGHTS, see unix(7).
	Sendmsg(fd int, p []byte, fds []int, flags int) (n int, err error)
	// Recvmsg is recvmsg(2): at most len(fds) descriptors are received;
	// msgflags tells MSG_TRUNC and MSG_CTRUNC.
	Recvmsg(fd int, p []byte, fds []int, flags int) (n, nfds, msgflags int, err error)
}

// SockAddr is a socket address: of AF_INET and AF_INET6 with Addr, of AF_UNIX
// with Path, where a leading "@" means an abstract name and an empty Path an
// unnamed socket. The zero SockAddr is no address.
type SockAddr struct {
	Family int
	Addr   netip.AddrPort
	Path   string
}

// InetAddr is the SockAddr of an address and port.
func InetAddr(ap netip.AddrPort) SockAddr {
	if ap.Addr().Is4() {
		return SockAddr{Family: AF_INET, Addr: ap}
	}
	return SockAddr{Family: AF_INET6, Addr: ap}
}

// UnixAddr is the SockAddr of a path, or of an abstract name with a leading "@".
func UnixAddr(path string) SockAddr { return SockAddr{Family: AF_UNIX, Path: path} }

// String is "127.0.0.1:80", "[::1]:80", "/run/a.sock", "@name", or "".
func (a SockAddr) String() string {
	switch a.Family {
	case AF_INET, AF_INET6:
		return a.Addr.String()
	case AF_UNIX:
		return a.Path
	case 0:
		return ""
	}
	return "family " + strconv.Itoa(a.Family)
}

// Network is "tcp" or "unix": with String it makes SockAddr a net.Addr.
func (a SockAddr) Network() string {
	if a.Family == AF_UNIX {
		return "unix"
	}
	return "tcp"
}

// Domains, types and flags of socket(2), options of setsockopt(2).
const (
	AF_UNSPEC        = 0
	AF_UNIX          = 1
	AF_INET          = 2
	AF_INET6         = 10
	SOCK_STREAM      = 1
	SOCK_DGRAM       = 2
	SOCK_SEQPACKET   = 5
	SOCK_NONBLOCK    = O_NONBLOCK
	SOCK_CLOEXEC     = O_CLOEXEC
	SOL_SOCKET       = 1
	SO_REUSEADDR     = 2
	SO_TYPE          = 3
	SO_ERROR         = 4
	SO_SNDBUF        = 7
	SO_RCVBUF        = 8
	SO_KEEPALIVE     = 9
	SO_LINGER        = 13
	SO_REUSEPORT     = 15
	SO_RCVTIMEO      = 20
	SO_SNDTIMEO      = 21
	SO_ACCEPTCONN    = 30
	IPPROTO_IP       = 0
	IPPROTO_TCP      = 6
	IPPROTO_IPV6     = 41
	IPV6_V6ONLY      = 26
	TCP_NODELAY      = 1
	TCP_CORK         = 3
	TCP_DEFER_ACCEPT = 9
	SHUT_RD          = 0
	SHUT_WR          = 1
	SHUT_RDWR        = 2
	SOMAXCONN        = 4096
)

// Flags of send(2) and recv(2).
const (
	MSG_PEEK         = 0x2
	MSG_CTRUNC       = 0x8
	MSG_TRUNC        = 0x20
	MSG_DONTWAIT     = 0x40
	MSG_NOSIGNAL     = 0x4000
	MSG_MORE         = 0x8000
	MSG_CMSG_CLOEXEC = 0x40000000
)
