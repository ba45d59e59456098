package real

import (
	"runtime"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Socket(domain, typ, proto int) (int, error) {
	return result(unix.RawSyscall(unix.SYS_SOCKET, uintptr(domain), uintptr(typ), uintptr(proto)))
}

func (*thread) Bind(fd int, addr sys.SockAddr) error {
	var raw rawAddr
	size, err := raw.encode(addr)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&raw)), size)
	return errOf(e)
}

func (*thread) Listen(fd, backlog int) error {
	_, _, e := unix.Syscall(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return errOf(e)
}

// turn is how long a goroutine that accepts may go on before it passes through
// the scheduler, for the reason that unnoticed has.
const turn = 5 * time.Millisecond

func (t *thread) yield() {
	if now := t.Monotonic(); now-t.yielded >= turn {
		runtime.Gosched()
		t.yielded = now
	}
}

func (t *thread) Accept4(fd, flags int) (int, sys.SockAddr, error) {
	t.yield()
	var raw rawAddr
	size := uint32(unsafe.Sizeof(raw))
	nfd, _, e := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)), uintptr(flags), 0, 0)
	if e != 0 {
		return -1, sys.SockAddr{}, e
	}
	return int(nfd), raw.decode(size), nil
}

func (*thread) Connect(fd int, addr sys.SockAddr) error {
	var raw rawAddr
	size, err := raw.encode(addr)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), size)
	return errOf(e)
}

func (*thread) Getsockname(fd int) (sys.SockAddr, error) { return name(unix.SYS_GETSOCKNAME, fd) }

func (*thread) Getpeername(fd int) (sys.SockAddr, error) { return name(unix.SYS_GETPEERNAME, fd) }

func name(nr uintptr, fd int) (sys.SockAddr, error) {
	var raw rawAddr
	size := uint32(unsafe.Sizeof(raw))
	_, _, e := unix.RawSyscall(nr, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return sys.SockAddr{}, e
	}
	return raw.decode(size), nil
}

func (*thread) SetsockoptInt(fd, level, opt, value int) error {
	v := int32(value)
	return setsockopt(fd, level, opt, unsafe.Pointer(&v), unsafe.Sizeof(v))
}

func (*thread) GetsockoptInt(fd, level, opt int) (int, error) {
	var v int32
	size := uint32(unsafe.Sizeof(v))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return 0, e
	}
	return int(v), nil
}

// SetsockoptTimeval rounds up to a microsecond: 0 would be no timeout at all.
func (*thread) SetsockoptTimeval(fd, level, opt int, d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return setsockopt(fd, level, opt, unsafe.Pointer(&tv), unsafe.Sizeof(tv))
}

func setsockopt(fd, level, opt int, v unsafe.Pointer, size uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(v), size, 0)
	return errOf(e)
}

func (*thread) Shutdown(fd, how int) error {
	_, _, e := unix.Syscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return errOf(e)
}

func (*thread) Socketpair(domain, typ, proto int) (a, b int, err error) {
	var p [2]int32
	_, _, e := unix.RawSyscall6(unix.SYS_SOCKETPAIR, uintptr(domain), uintptr(typ), uintptr(proto), uintptr(unsafe.Pointer(&p)), 0, 0)
	if e != 0 {
		return -1, -1, e
	}
	return int(p[0]), int(p[1]), nil
}
