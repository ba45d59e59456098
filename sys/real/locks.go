package real

import (
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Flock(fd, how int) error {
	_, _, e := unix.Syscall(unix.SYS_FLOCK, uintptr(fd), uintptr(how), 0)
	return errOf(e)
}

// FcntlFlock passes lk as it is: sys.Flock is struct flock.
func (*thread) FcntlFlock(fd, cmd int, lk *sys.Flock) error {
	_, _, e := unix.Syscall(unix.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(unsafe.Pointer(lk)))
	return errOf(e)
}
