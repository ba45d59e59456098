package real

import (
	"strings"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// pathXattr calls nr, or with AT_SYMLINK_NOFOLLOW lnr, with (path, name, value,
// its length, flags).
func pathXattr(nr, lnr uintptr, path, name string, value []byte, flags, atflags int) (int, error) {
	switch atflags {
	case 0:
	case unix.AT_SYMLINK_NOFOLLOW:
		nr = lnr
	default:
		return -1, sys.EINVAL
	}
	var pbuf, nbuf pathBuf
	p, err := cpath(&pbuf, path)
	if err != nil {
		return -1, err
	}
	n, err := cpath(&nbuf, name)
	if err != nil {
		return -1, err
	}
	return result(unix.Syscall6(nr, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(n)), uintptr(data(value)), uintptr(len(value)), uintptr(flags), 0))
}

// fdXattr calls nr with (fd, name, value, its length, flags).
func fdXattr(nr uintptr, fd int, name string, value []byte, flags int) (int, error) {
	var buf pathBuf
	n, err := cpath(&buf, name)
	if err != nil {
		return -1, err
	}
	return result(unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(n)), uintptr(data(value)), uintptr(len(value)), uintptr(flags), 0))
}

func (*thread) Setxattr(path, name string, value []byte, flags, atflags int) error {
	_, err := pathXattr(unix.SYS_SETXATTR, unix.SYS_LSETXATTR, path, name, value, flags, atflags)
	return err
}

func (*thread) Fsetxattr(fd int, name string, value []byte, flags int) error {
	_, err := fdXattr(unix.SYS_FSETXATTR, fd, name, value, flags)
	return err
}

func (*thread) Getxattr(path, name string, value []byte, atflags int) (int, error) {
	return pathXattr(unix.SYS_GETXATTR, unix.SYS_LGETXATTR, path, name, value, 0, atflags)
}

func (*thread) Fgetxattr(fd int, name string, value []byte) (int, error) {
	return fdXattr(unix.SYS_FGETXATTR, fd, name, value, 0)
}

func (*thread) Removexattr(path, name string, atflags int) error {
	_, err := pathXattr(unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, path, name, nil, 0, atflags)
	return err
}

func (*thread) Fremovexattr(fd int, name string) error {
	_, err := fdXattr(unix.SYS_FREMOVEXATTR, fd, name, nil, 0)
	return err
}

func (*thread) Listxattr(path string, atflags int) ([]string, error) {
	nr := uintptr(unix.SYS_LISTXATTR)
	switch atflags {
	case 0:
	case unix.AT_SYMLINK_NOFOLLOW:
		nr = unix.SYS_LLISTXATTR
	default:
		return nil, sys.EINVAL
	}
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return nil, err
	}
	return xattrNames(func(list []byte) (int, error) {
		return result(unix.Syscall(nr, uintptr(unsafe.Pointer(p)), uintptr(data(list)), uintptr(len(list))))
	})
}

func (*thread) Flistxattr(fd int) ([]string, error) {
	return xattrNames(func(list []byte) (int, error) {
		return result(unix.Syscall(unix.SYS_FLISTXATTR, uintptr(fd), uintptr(data(list)), uintptr(len(list))))
	})
}

// xattrNames are the names in a list, each of which ends with a NUL. No list is
// longer than XATTR_LIST_MAX.
func xattrNames(call func(list []byte) (int, error)) ([]string, error) {
	list := make([]byte, 256)
	n, err := call(list)
	if err == sys.ERANGE {
		list = make([]byte, sys.XATTR_LIST_MAX)
		n, err = call(list)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for rest := string(list[:n]); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "\x00")
		names = append(names, name)
	}
	return names, nil
}
