package real

import (
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// Root and working directory belong to all threads: the Go runtime starts each
// of them with CLONE_FS.

func (*thread) Chroot(path string) error { return onPath(unix.SYS_CHROOT, path) }

func (*thread) Chdir(path string) error { return onPath(unix.SYS_CHDIR, path) }

// onPath calls a system call whose only argument is path.
func onPath(nr uintptr, path string) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(nr, uintptr(unsafe.Pointer(p)), 0, 0)
	return errOf(e)
}

func (*thread) Fchdir(fd int) error {
	_, _, e := unix.Syscall(unix.SYS_FCHDIR, uintptr(fd), 0, 0)
	return errOf(e)
}

func (*thread) Getcwd() (string, error) {
	var buf [sys.PATH_MAX]byte
	n, _, e := unix.Syscall(unix.SYS_GETCWD, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)), 0)
	if e != 0 {
		return "", e
	}
	return string(buf[:n-1]), nil // n counts the NUL
}
