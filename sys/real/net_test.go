package real

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

func socket(t testing.TB, s sys.Sys, domain, typ int) int {
	t.Helper()
	fd, err := s.Socket(domain, typ|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, fd)
	return fd
}

// listen binds addr, listens, and returns where.
func listen(t testing.TB, s sys.Sys, addr sys.SockAddr) (fd int, at sys.SockAddr) {
	t.Helper()
	fd = socket(t, s, addr.Family, sys.SOCK_STREAM)
	ok(t, s.Bind(fd, addr))
	ok(t, s.Listen(fd, 8))
	at, err := s.Getsockname(fd)
	ok(t, err)
	return fd, at
}

func TestSockets(t *testing.T) {
	s := New()
	path := filepath.Join(t.TempDir(), "sock")
	longest := filepath.Join(t.TempDir(), "s")
	longest += strings.Repeat("s", 108-len(longest))
	for name, tt := range map[string]struct {
		addr     sys.SockAddr
		same     bool // Getsockname tells the same
		sameFrom bool // peers have a name
	}{
		"inet":      {sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:0")), false, true},
		"inet6":     {sys.InetAddr(netip.MustParseAddrPort("[::1]:0")), false, true},
		"dual":      {sys.SockAddr{Family: sys.AF_INET6, Addr: netip.MustParseAddrPort("127.0.0.1:0")}, false, true},
		"unix":      {sys.UnixAddr(path), true, false},
		"full path": {sys.UnixAddr(longest), true, false},
		"abstract":  {sys.UnixAddr("@httpjail\x00test" + path), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, at := listen(t, s, tt.addr)
			if tt.same && at != tt.addr {
				t.Errorf("Getsockname %q, want %q", at, tt.addr)
			}
			if at.Family != tt.addr.Family || tt.sameFrom && at.Addr.Port() == 0 {
				t.Errorf("Getsockname %+v", at)
			}
			c := socket(t, s, tt.addr.Family, sys.SOCK_STREAM)
			ok(t, s.Connect(c, at))
			fd, peer, err := s.Accept4(l, sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK)
			ok(t, err)
			closing(t, s, fd)
			from, err := s.Getsockname(c)
			ok(t, err)
			if peer != from || peer.Family != tt.addr.Family {
				t.Errorf("Accept4 says %+v, Getsockname %+v", peer, from)
			}
			if to, err := s.Getpeername(c); to != at || err != nil {
				t.Errorf("Getpeername %+v, %v", to, err)
			}
			p := make([]byte, 8)
			_, err = s.Read(fd, p)
			fails(t, err, sys.EAGAIN)
			n, err := s.Write(c, []byte("hi"))
			if n != 2 || err != nil {
				t.Fatal(n, err)
			}
			if n, err := s.Recv(fd, p, sys.MSG_PEEK); string(p[:n]) != "hi" || err != nil {
				t.Errorf("peek %q, %v", p[:n], err)
			}
			if n, err := s.Recv(fd, p, 0); string(p[:n]) != "hi" || err != nil {
				t.Errorf("recv %q, %v", p[:n], err)
			}
			ok(t, s.Shutdown(c, sys.SHUT_WR))
			if n, err := s.Recv(fd, p, 0); n != 0 || err != nil {
				t.Errorf("after shutdown: %d, %v", n, err)
			}
			ok(t, s.Close(c))
			n, err = s.Send(fd, []byte("x"), sys.MSG_NOSIGNAL)
			if tt.addr.Family == sys.AF_UNIX {
				fails(t, err, sys.EPIPE)
			} else if n != 1 || err != nil { // answered by a RST later
				t.Errorf("send: %d, %v", n, err)
			}
		})
	}
}

func TestSocketErrors(t *testing.T) {
	s := New()
	v4 := func(a string) sys.SockAddr { return sys.InetAddr(netip.MustParseAddrPort(a)) }
	l, at := listen(t, s, v4("127.0.0.1:0"))
	other := socket(t, s, sys.AF_INET, sys.SOCK_STREAM)
	fails(t, s.Bind(other, at), sys.EADDRINUSE)
	fails(t, s.Bind(other, v4("192.0.2.1:0")), sys.EADDRNOTAVAIL)
	fails(t, s.Bind(other, v4("[::1]:0")), sys.EAFNOSUPPORT)
	fails(t, s.Bind(other, sys.SockAddr{Family: sys.AF_INET}), sys.EINVAL)
	fails(t, s.Bind(socket(t, s, sys.AF_UNIX, sys.SOCK_STREAM), sys.UnixAddr(strings.Repeat("x", 109))), sys.EINVAL)
	fails(t, s.Bind(socket(t, s, sys.AF_INET6, sys.SOCK_STREAM), v4("[fe80::1%nosuch]:0")), sys.EINVAL)
	_, err := s.Getpeername(l)
	fails(t, err, sys.ENOTCONN)
	fl, err := s.Fcntl(l, sys.F_GETFL, 0)
	ok(t, err)
	_, err = s.Fcntl(l, sys.F_SETFL, fl|sys.O_NONBLOCK)
	ok(t, err)
	_, peer, err := s.Accept4(l, 0)
	fails(t, err, sys.EAGAIN)
	if peer != (sys.SockAddr{}) {
		t.Errorf("peer %+v of nothing", peer)
	}
	ok(t, s.Close(l))
	fails(t, s.Connect(other, at), sys.ECONNREFUSED)
	_, err = s.Socket(99, sys.SOCK_STREAM, 0)
	fails(t, err, sys.EAFNOSUPPORT)
	_, _, err = s.Accept4(999, 0)
	fails(t, err, sys.EBADF)
}

func TestSockopt(t *testing.T) {
	s := New()
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, a, b)
	if typ, err := s.GetsockoptInt(a, sys.SOL_SOCKET, sys.SO_TYPE); typ != sys.SOCK_STREAM || err != nil {
		t.Errorf("SO_TYPE: %d, %v", typ, err)
	}
	tcp := socket(t, s, sys.AF_INET, sys.SOCK_STREAM)
	ok(t, s.SetsockoptInt(tcp, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1))
	if v, err := s.GetsockoptInt(tcp, sys.IPPROTO_TCP, sys.TCP_NODELAY); v == 0 || err != nil {
		t.Errorf("TCP_NODELAY: %d, %v", v, err)
	}
	fails(t, s.SetsockoptInt(tcp, sys.IPPROTO_TCP, 9999, 1), sys.ENOPROTOOPT)
	ok(t, s.SetsockoptTimeval(a, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Nanosecond)) // rounds up: 0 would wait for ever
	_, err = s.Read(a, make([]byte, 1))
	fails(t, err, sys.EAGAIN)
}

func TestRights(t *testing.T) {
	s := New()
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_SEQPACKET|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, a, b)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r, w)
	p := make([]byte, 16)
	fds := make([]int, 5)

	n, err := s.Sendmsg(a, []byte("two"), []int{r, w}, 0)
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	n, nfds, flags, err := s.Recvmsg(b, p, fds, sys.MSG_CMSG_CLOEXEC)
	if string(p[:n]) != "two" || nfds != 2 || flags&^sys.MSG_CMSG_CLOEXEC != 0 || err != nil {
		t.Fatal(n, nfds, flags, err)
	}
	closing(t, s, fds[:2]...)
	var st, st2 sys.Stat
	ok(t, s.Fstat(w, &st))
	ok(t, s.Fstat(fds[1], &st2))
	if st.Ino != st2.Ino {
		t.Error("another pipe arrived")
	}
	if fl, err := s.Fcntl(fds[0], sys.F_GETFD, 0); fl != sys.FD_CLOEXEC || err != nil {
		t.Errorf("MSG_CMSG_CLOEXEC: %d, %v", fl, err)
	}

	// Room for one of two: the other must not slip into the padding.
	_, err = s.Sendmsg(a, []byte("x"), []int{r, w}, 0)
	ok(t, err)
	_, nfds, flags, err = s.Recvmsg(b, p, fds[:1], 0)
	if nfds != 1 || flags&sys.MSG_CTRUNC == 0 || err != nil {
		t.Errorf("truncated: %d fds, flags %#x, %v", nfds, flags, err)
	}
	closing(t, s, fds[0])

	// None wanted, none sent, data truncated.
	_, err = s.Sendmsg(a, []byte("long data"), nil, 0)
	ok(t, err)
	n, nfds, flags, err = s.Recvmsg(b, p[:4], nil, 0)
	if n != 4 || nfds != 0 || flags&sys.MSG_TRUNC == 0 || err != nil {
		t.Error(n, nfds, flags, err)
	}

	many := make([]int, 254)
	_, err = s.Sendmsg(a, []byte("x"), many, 0)
	fails(t, err, sys.EINVAL)
	n, err = s.Sendmsg(a, []byte("x"), many[:253], 0)
	if n != 1 || err != nil {
		t.Error(n, err)
	}
	_, nfds, _, err = s.Recvmsg(b, p, many, sys.MSG_CMSG_CLOEXEC)
	if nfds != 253 || err != nil {
		t.Error(nfds, err)
	}
	closing(t, s, many[:nfds]...)
	_, err = s.Sendmsg(a, []byte("x"), []int{999}, 0)
	fails(t, err, sys.EBADF)
}

func TestSendfile(t *testing.T) {
	s := New()
	in := openRW(t, s, create(t, "0123456789"))
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, a, b)
	p := make([]byte, 16)
	for _, tt := range []struct {
		off   int64
		count int
		want  string
		pos   int64 // of in, after
	}{
		{3, 4, "3456", 0},
		{-1, 2, "01", 2},
		{-1, 100, "23456789", 10},
	} {
		n, err := s.Sendfile(a, in, tt.off, tt.count)
		if n != len(tt.want) || err != nil {
			t.Fatalf("%+v: %d, %v", tt, n, err)
		}
		n, err = s.Read(b, p)
		if string(p[:n]) != tt.want || err != nil {
			t.Errorf("%+v: %q, %v", tt, p[:n], err)
		}
		if pos, err := s.Lseek(in, 0, sys.SEEK_CUR); pos != tt.pos || err != nil {
			t.Errorf("%+v: at %d, %v", tt, pos, err)
		}
	}
	n, err := s.Sendfile(a, in, 10, 1)
	if n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	_, err = s.Sendfile(a, 999, 0, 1)
	fails(t, err, sys.EBADF)
}
