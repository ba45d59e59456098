package real

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func (*thread) Close(fd int) error {
	unregister(fd)
	_, _, e := unix.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errOf(e)
}

func (*thread) Dup3(oldfd, newfd, flags int) error {
	unregister(newfd)
	_, _, e := unix.Syscall(unix.SYS_DUP3, uintptr(oldfd), uintptr(newfd), uintptr(flags))
	return errOf(e)
}

func (*thread) Fcntl(fd, cmd, arg int) (int, error) {
	return result(unix.Syscall(unix.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(arg)))
}

func (*thread) Pipe2(flags int) (r, w int, err error) {
	var p [2]int32
	_, _, e := unix.RawSyscall(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&p)), uintptr(flags), 0)
	if e != 0 {
		return -1, -1, e
	}
	return int(p[0]), int(p[1]), nil
}

// CloseRange does not spare what the Go runtime and Signalfd hold open: call it
// before Signalfd.
func (*thread) CloseRange(first, last uint, flags int) error {
	if flags&unix.CLOSE_RANGE_CLOEXEC == 0 {
		unregisterRange(first, last)
	}
	_, _, e := unix.Syscall(unix.SYS_CLOSE_RANGE, uintptr(first), uintptr(min(last, 1<<32-1)), uintptr(flags))
	return errOf(e)
}
