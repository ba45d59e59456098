package real

import (
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Fallocate(fd int, mode uint32, off, len int64) error {
	_, _, e := unix.Syscall6(unix.SYS_FALLOCATE, uintptr(fd), uintptr(mode), uintptr(off), uintptr(len), 0, 0)
	return errOf(e)
}

func (*thread) Statfs(path string, st *sys.Statfs) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	var u unix.Statfs_t
	_, _, e := unix.Syscall(unix.SYS_STATFS, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&u)), 0)
	if e != 0 {
		return e
	}
	fillStatfs(st, &u)
	return nil
}

func (*thread) Fstatfs(fd int, st *sys.Statfs) error {
	var u unix.Statfs_t
	_, _, e := unix.Syscall(unix.SYS_FSTATFS, uintptr(fd), uintptr(unsafe.Pointer(&u)), 0)
	if e != 0 {
		return e
	}
	fillStatfs(st, &u)
	return nil
}

func fillStatfs(st *sys.Statfs, u *unix.Statfs_t) {
	*st = sys.Statfs{
		Type: int64(u.Type), Bsize: int64(u.Bsize), Blocks: u.Blocks, Bfree: u.Bfree, Bavail: u.Bavail,
		Files: u.Files, Ffree: u.Ffree, Fsid: u.Fsid.Val, Namelen: int64(u.Namelen), Frsize: int64(u.Frsize), Flags: int64(u.Flags),
	}
}
