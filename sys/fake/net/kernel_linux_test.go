package net

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/httpjail/httpjail/sys"
)

// hostKernel makes the calls of the scenarios on the kernel that runs the test.
type hostKernel struct {
	t   *testing.T
	fds []int
	dir string
}

func (k *hostKernel) Dir() string {
	if k.dir == "" {
		k.dir = k.t.TempDir()
	}
	return k.dir
}

// newHostKernel is nil, with a reason, where the kernel is older than the one
// that the testdata come from: details changed.
func newHostKernel(t *testing.T) kernel {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	release := unix.ByteSliceToString(u.Release[:])
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major < 6 || major == 6 && minor < 18 {
		t.Logf("not compared with this kernel: it is %s, testdata are from 6.18", release)
		return nil
	}
	k := &hostKernel{t: t}
	t.Cleanup(k.closeAll)
	return k
}

func (k *hostKernel) closeAll() {
	for _, fd := range k.fds {
		unix.Close(fd)
	}
	k.fds = nil
}

func (k *hostKernel) own(fd int, err error) (int, error) {
	if err == nil {
		k.fds = append(k.fds, fd)
	}
	return fd, err
}

func toUnix(a sys.SockAddr) unix.Sockaddr {
	switch a.Family {
	case sys.AF_INET:
		return &unix.SockaddrInet4{Port: int(a.Addr.Port()), Addr: a.Addr.Addr().As4()}
	case sys.AF_INET6:
		return &unix.SockaddrInet6{Port: int(a.Addr.Port()), Addr: a.Addr.Addr().As16()}
	}
	return &unix.SockaddrUnix{Name: a.Path}
}

func fromUnix(sa unix.Sockaddr) sys.SockAddr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sys.InetAddr(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return sys.SockAddr{Family: sys.AF_INET6, Addr: netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))}
	case *unix.SockaddrUnix:
		if sa.Name == "@" { // x/sys: an unnamed socket
			return sys.SockAddr{Family: sys.AF_UNIX}
		}
		return sys.SockAddr{Family: sys.AF_UNIX, Path: sa.Name}
	}
	return sys.SockAddr{}
}

func (k *hostKernel) Socket(domain, typ, proto int) (int, error) {
	return k.own(unix.Socket(domain, typ|unix.SOCK_CLOEXEC, proto))
}
func (k *hostKernel) Bind(fd int, a sys.SockAddr) error { return unix.Bind(fd, toUnix(a)) }
func (k *hostKernel) Listen(fd, backlog int) error      { return unix.Listen(fd, backlog) }
func (k *hostKernel) Accept(fd int) (int, sys.SockAddr, error) {
	nfd, sa, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	k.own(nfd, err)
	if err != nil {
		return -1, sys.SockAddr{}, err
	}
	return nfd, fromUnix(sa), nil
}
func (k *hostKernel) Connect(fd int, a sys.SockAddr) error {
	if a.Family == sys.AF_UNSPEC { // x/sys has no address for it
		var family [2]byte
		if _, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&family)), 2); e != 0 {
			return e
		}
		return nil
	}
	return unix.Connect(fd, toUnix(a))
}
func (k *hostKernel) Getsockname(fd int) (sys.SockAddr, error) {
	sa, err := unix.Getsockname(fd)
	return fromUnix(sa), err
}
func (k *hostKernel) Getpeername(fd int) (sys.SockAddr, error) {
	sa, err := unix.Getpeername(fd)
	return fromUnix(sa), err
}
func (k *hostKernel) Setsockopt(fd, level, opt, v int) error {
	return unix.SetsockoptInt(fd, level, opt, v)
}
func (k *hostKernel) Getsockopt(fd, level, opt int) (int, error) {
	return unix.GetsockoptInt(fd, level, opt)
}
func (k *hostKernel) SetTimeout(fd, opt int, d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &tv)
}
func (k *hostKernel) SetLinger(fd int, on bool, secs int) error {
	l := unix.Linger{Linger: int32(secs)}
	if on {
		l.Onoff = 1
	}
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
}
func (k *hostKernel) Shutdown(fd, how int) error { return unix.Shutdown(fd, how) }
func (k *hostKernel) Socketpair(domain, typ, proto int) (int, int, error) {
	p, err := unix.Socketpair(domain, typ|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		k.fds = append(k.fds, p[0], p[1])
	}
	return p[0], p[1], err
}
func (k *hostKernel) Pipe() (int, int) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		panic(err)
	}
	k.fds = append(k.fds, p[0], p[1])
	return p[0], p[1]
}
func (k *hostKernel) Send(fd int, p []byte, flags int) (int, error) {
	n, err := unix.SendmsgN(fd, p, nil, nil, flags|unix.MSG_NOSIGNAL)
	if err == unix.ENOTSOCK {
		return unix.Write(fd, p)
	}
	return n, err
}
func (k *hostKernel) Recv(fd int, p []byte, flags int) (int, error) {
	n, _, err := unix.Recvfrom(fd, p, flags)
	return n, err
}
func (k *hostKernel) Read(fd int, p []byte) (int, error) { return unix.Read(fd, p) }
func (k *hostKernel) Sendmsg(fd int, p []byte, fds []int, flags int) (int, error) {
	return unix.SendmsgN(fd, p, unix.UnixRights(fds...), nil, flags|unix.MSG_NOSIGNAL)
}
func (k *hostKernel) Recvmsg(fd int, p []byte, nfds, flags int) (int, []int, int, error) {
	var oob []byte
	if nfds > 0 {
		oob = make([]byte, unix.CmsgLen(4*nfds))
	}
	n, oobn, got, _, err := unix.Recvmsg(fd, p, oob, flags)
	if err != nil {
		return n, nil, 0, err
	}
	var fds []int
	msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range msgs {
		r, _ := unix.ParseUnixRights(&m)
		fds = append(fds, r...)
	}
	k.fds = append(k.fds, fds...)
	return n, fds, got &^ (unix.MSG_CMSG_CLOEXEC | unix.MSG_EOR), nil
}
func (k *hostKernel) Close(fd int) error {
	for i, have := range k.fds {
		if have == fd {
			k.fds = append(k.fds[:i], k.fds[i+1:]...)
			break
		}
	}
	return unix.Close(fd)
}
func (k *hostKernel) Dup(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	k.fds = append(k.fds, n)
	return n
}
func (k *hostKernel) Poll(fd int, events int16) int16 {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		if _, err := unix.Poll(p, 0); !errors.Is(err, unix.EINTR) {
			return p[0].Revents
		}
	}
}
func (k *hostKernel) EpollCreate() int {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		panic(err)
	}
	k.fds = append(k.fds, fd)
	return fd
}
func (k *hostKernel) EpollCtl(ep, op, fd int, events uint32) error {
	return unix.EpollCtl(ep, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}
func (k *hostKernel) EpollWait(ep, max int) ([]sys.EpollEvent, error) {
	evs := make([]unix.EpollEvent, max)
	n, err := unix.EpollWait(ep, evs, 0)
	if err != nil {
		return nil, err
	}
	var out []sys.EpollEvent
	for _, e := range evs[:n] {
		out = append(out, sys.EpollEvent{Events: e.Events, Fd: e.Fd})
	}
	return out, nil
}
