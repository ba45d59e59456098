package real

import (
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// sigsetSize is the kernel's sizeof(sigset_t), in bytes.
const sigsetSize = 8

// Poll passes fds as they are: sys.PollFd is struct pollfd.
func (*thread) Poll(fds []sys.PollFd, timeout time.Duration) (int, error) {
	var ts unix.Timespec
	var tsp *unix.Timespec // NULL waits for ever
	if timeout >= 0 {
		ts = timespec(timeout)
		tsp = &ts
	}
	return result(unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)),
		uintptr(unsafe.Pointer(tsp)), 0, sigsetSize, 0))
}

func (*thread) EpollCreate1(flags int) (int, error) {
	return result(unix.RawSyscall(unix.SYS_EPOLL_CREATE1, uintptr(flags), 0, 0))
}

func (*thread) EpollCtl(epfd, op, fd int, ev sys.EpollEvent) error {
	u := unix.EpollEvent{Events: ev.Events, Fd: ev.Fd, Pad: ev.Pad}
	_, _, e := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&u)), 0, 0)
	return errOf(e)
}

// sameEpollEvent says that struct epoll_event is laid out like sys.EpollEvent:
// on amd64, where the kernel packs it. Elsewhere there is padding before data.
const sameEpollEvent = unsafe.Sizeof(unix.EpollEvent{}) == unsafe.Sizeof(sys.EpollEvent{})

func (*thread) EpollWait(epfd int, events []sys.EpollEvent, timeout time.Duration) (int, error) {
	if sameEpollEvent {
		return epollPwait2(epfd, unsafe.Pointer(unsafe.SliceData(events)), len(events), timeout)
	}
	var buf [64]unix.EpollEvent // fewer than asked for is no error: the rest stays ready
	n, err := epollPwait2(epfd, unsafe.Pointer(&buf), min(len(events), len(buf)), timeout)
	for i, ev := range buf[:max(n, 0)] {
		events[i] = sys.EpollEvent{Events: ev.Events, Fd: ev.Fd, Pad: ev.Pad}
	}
	return n, err
}

// unnoticed is how long epollPwait2 waits before the scheduler hears of it. A
// server's loop waits often and not for long, and never passes through the
// scheduler: after 10 ms the runtime's monitor takes such a goroutine for a
// long-running one, takes its P away in the middle of a wait, and then looks
// every 20 us whether to do so again. That took up to a third of the CPU time
// of a busy loop. A collection's stop interrupts the wait with a signal: EINTR.
const unnoticed = time.Millisecond

func epollPwait2(epfd int, events unsafe.Pointer, n int, timeout time.Duration) (int, error) {
	first := unnoticed
	if timeout >= 0 {
		first = min(first, timeout)
	}
	r, err := epollPwait(unix.RawSyscall6, epfd, events, n, first)
	if r != 0 || first == timeout {
		return r, err
	}
	if timeout > 0 {
		timeout -= first
	}
	return epollPwait(unix.Syscall6, epfd, events, n, timeout)
}

func epollPwait(call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err unix.Errno),
	epfd int, events unsafe.Pointer, n int, timeout time.Duration) (int, error) {
	var ts unix.Timespec
	var tsp *unix.Timespec
	if timeout >= 0 {
		ts = timespec(timeout)
		tsp = &ts
	}
	r, _, e := call(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(events), uintptr(n), uintptr(unsafe.Pointer(tsp)), 0, sigsetSize)
	if e == unix.ENOSYS { // before Linux 5.11
		r, _, e = call(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(events), uintptr(n), uintptr(milliseconds(timeout)), 0, sigsetSize)
	}
	return result(r, 0, e)
}

// milliseconds is d for epoll_wait(2), rounded up: a wait that ends too early
// would be a busy loop.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	const ms = time.Millisecond
	return int(min(d/ms+min(d%ms, 1), 1<<31-1))
}
