package real

import (
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// at calls a system call whose first arguments are AT_FDCWD and path.
func at(nr uintptr, path string, a3, a4, a5 uintptr) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall6(nr, uintptr(cwd), uintptr(unsafe.Pointer(p)), a3, a4, a5, 0)
	return errOf(e)
}

func (*thread) Fstatat(dirfd int, path string, st *sys.Stat, flags int) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	var u unix.Stat_t
	_, _, e := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&u)), uintptr(flags), 0, 0)
	if e != 0 {
		return e
	}
	fillStat(st, &u)
	return nil
}

func (t *thread) Stat(path string, st *sys.Stat) error { return t.Fstatat(cwd, path, st, 0) }

func (t *thread) Lstat(path string, st *sys.Stat) error {
	return t.Fstatat(cwd, path, st, unix.AT_SYMLINK_NOFOLLOW)
}

func (*thread) Statx(dirfd int, path string, flags int, mask uint32, st *sys.Statx) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	var u unix.Statx_t
	_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(flags), uintptr(mask), uintptr(unsafe.Pointer(&u)), 0)
	if e != 0 {
		return e
	}
	ts := func(t unix.StatxTimestamp) sys.Timespec { return sys.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)} }
	*st = sys.Statx{
		Mask: u.Mask, Blksize: u.Blksize, Attributes: u.Attributes, AttributesMask: u.Attributes_mask,
		Nlink: u.Nlink, Uid: u.Uid, Gid: u.Gid, Mode: uint32(u.Mode), Ino: u.Ino, Size: int64(u.Size), Blocks: int64(u.Blocks),
		Atime: ts(u.Atime), Btime: ts(u.Btime), Ctime: ts(u.Ctime), Mtime: ts(u.Mtime),
		Rdev: unix.Mkdev(u.Rdev_major, u.Rdev_minor), Dev: unix.Mkdev(u.Dev_major, u.Dev_minor), MntId: u.Mnt_id,
	}
	return nil
}

func (*thread) Mkdir(path string, mode uint32) error {
	return at(unix.SYS_MKDIRAT, path, uintptr(mode), 0, 0)
}

func (*thread) Rmdir(path string) error {
	return at(unix.SYS_UNLINKAT, path, unix.AT_REMOVEDIR, 0, 0)
}

func (*thread) Unlink(path string) error { return at(unix.SYS_UNLINKAT, path, 0, 0, 0) }

func (*thread) Rename(oldpath, newpath string) error {
	return twoPaths(unix.SYS_RENAMEAT2, cwd, oldpath, cwd, newpath, 0)
}

func (*thread) Renameat2(oldpath, newpath string, flags uint) error {
	return twoPaths(unix.SYS_RENAMEAT2, cwd, oldpath, cwd, newpath, uintptr(flags))
}

func (*thread) Link(oldpath, newpath string) error {
	return twoPaths(unix.SYS_LINKAT, cwd, oldpath, cwd, newpath, 0)
}

func (*thread) Linkat(olddirfd int, oldpath string, newdirfd int, newpath string, flags int) error {
	return twoPaths(unix.SYS_LINKAT, olddirfd, oldpath, newdirfd, newpath, uintptr(flags))
}

// twoPaths calls a system call (adir, a, bdir, b, flags).
func twoPaths(nr uintptr, adir int, a string, bdir int, b string, flags uintptr) error {
	var abuf, bbuf pathBuf
	ap, err := cpath(&abuf, a)
	if err != nil {
		return err
	}
	bp, err := cpath(&bbuf, b)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall6(nr, uintptr(adir), uintptr(unsafe.Pointer(ap)), uintptr(bdir), uintptr(unsafe.Pointer(bp)), flags, 0)
	return errOf(e)
}

func (*thread) Symlink(target, linkpath string) error {
	var tbuf, lbuf pathBuf
	t, err := cpath(&tbuf, target)
	if err != nil {
		return err
	}
	l, err := cpath(&lbuf, linkpath)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SYMLINKAT, uintptr(unsafe.Pointer(t)), uintptr(cwd), uintptr(unsafe.Pointer(l)))
	return errOf(e)
}

// Readlink needs one call: no target is longer than PATH_MAX with its NUL, which
// readlink does not write.
func (*thread) Readlink(path string) (string, error) {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return "", err
	}
	var target [sys.PATH_MAX]byte
	n, _, e := unix.Syscall6(unix.SYS_READLINKAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&target)), uintptr(len(target)), 0, 0)
	if e != 0 {
		return "", e
	}
	return string(target[:n]), nil
}

func (*thread) Mknod(path string, mode uint32, dev uint64) error {
	return at(unix.SYS_MKNODAT, path, uintptr(mode), uintptr(dev), 0)
}

func (*thread) Chmod(path string, mode uint32) error {
	return at(unix.SYS_FCHMODAT, path, uintptr(mode), 0, 0)
}

func (*thread) Fchmod(fd int, mode uint32) error {
	_, _, e := unix.Syscall(unix.SYS_FCHMOD, uintptr(fd), uintptr(mode), 0)
	return errOf(e)
}

func (*thread) Chown(path string, uid, gid int) error {
	return at(unix.SYS_FCHOWNAT, path, uintptr(uid), uintptr(gid), 0)
}

func (*thread) Lchown(path string, uid, gid int) error {
	return at(unix.SYS_FCHOWNAT, path, uintptr(uid), uintptr(gid), unix.AT_SYMLINK_NOFOLLOW)
}

func (*thread) Fchown(fd, uid, gid int) error {
	_, _, e := unix.Syscall(unix.SYS_FCHOWN, uintptr(fd), uintptr(uid), uintptr(gid))
	return errOf(e)
}

func (*thread) Utimensat(path string, atime, mtime sys.Timespec, flags int) error {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return err
	}
	ts := [2]sys.Timespec{atime, mtime}
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&ts)), uintptr(flags), 0, 0)
	return errOf(e)
}

func (*thread) Futimens(fd int, atime, mtime sys.Timespec) error {
	ts := [2]sys.Timespec{atime, mtime}
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return errOf(e)
}

func (*thread) Faccessat(path string, mode uint32, flags int) error {
	return at(unix.SYS_FACCESSAT2, path, uintptr(mode), uintptr(flags), 0)
}

func (*thread) Umask(mask int) int {
	old, _, _ := unix.RawSyscall(unix.SYS_UMASK, uintptr(mask), 0, 0)
	return int(old)
}
