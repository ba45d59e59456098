package real

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// cwd is AT_FDCWD as an argument; a constant cannot be converted.
var cwd = unix.AT_FDCWD

func (*thread) Open(path string, flags int, mode uint32) (int, error) {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return -1, err
	}
	return result(unix.Syscall6(unix.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(flags), uintptr(mode), 0, 0))
}

func (*thread) Openat2(dirfd int, path string, how sys.OpenHow) (int, error) {
	var buf pathBuf
	p, err := cpath(&buf, path)
	if err != nil {
		return -1, err
	}
	h := unix.OpenHow{Flags: uint64(how.Flags), Mode: uint64(how.Mode), Resolve: uint64(how.Resolve)}
	return result(unix.Syscall6(unix.SYS_OPENAT2, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&h)), unsafe.Sizeof(h), 0, 0))
}

// result is the result of a call that returns a number: -1 with an error.
func result(n, _ uintptr, e unix.Errno) (int, error) {
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// data is the address of p's first byte.
func data(p []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(p)) }

// Read and Write are x/sys's because those tell the race detector that data
// which passes through a descriptor orders the threads.

func (*thread) Read(fd int, p []byte) (int, error) {
	return unix.Read(fd, p)
}

func (*thread) Write(fd int, p []byte) (int, error) {
	return unix.Write(fd, p)
}

func (*thread) Writev(fd int, bufs [][]byte) (int, error) {
	var few [16]unix.Iovec // a response has two or three
	iov := few[:0]
	if len(bufs) > len(few) {
		iov = make([]unix.Iovec, 0, len(bufs))
	}
	for _, b := range bufs {
		iov = append(iov, unix.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))})
	}
	return result(unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov))))
}

func (*thread) Pread(fd int, p []byte, off int64) (int, error) {
	return result(unix.Syscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(off), 0, 0))
}

func (*thread) Pwrite(fd int, p []byte, off int64) (int, error) {
	return result(unix.Syscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(off), 0, 0))
}

func (*thread) Lseek(fd int, off int64, whence int) (int64, error) {
	pos, _, e := unix.Syscall(unix.SYS_LSEEK, uintptr(fd), uintptr(off), uintptr(whence))
	if e != 0 {
		return -1, e
	}
	return int64(pos), nil
}

func (*thread) Ftruncate(fd int, size int64) error {
	_, _, e := unix.Syscall(unix.SYS_FTRUNCATE, uintptr(fd), uintptr(size), 0)
	return errOf(e)
}

func (*thread) Fsync(fd int) error {
	_, _, e := unix.Syscall(unix.SYS_FSYNC, uintptr(fd), 0, 0)
	return errOf(e)
}

func (*thread) Fstat(fd int, st *sys.Stat) error {
	var u unix.Stat_t
	_, _, e := unix.Syscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&u)), 0)
	if e != 0 {
		return e
	}
	fillStat(st, &u)
	return nil
}

// fillStat copies field by field: the order and width of struct stat's fields
// differ between architectures.
func fillStat(st *sys.Stat, u *unix.Stat_t) {
	*st = sys.Stat{
		Dev: u.Dev, Ino: u.Ino, Nlink: uint64(u.Nlink), Mode: u.Mode, Uid: u.Uid, Gid: u.Gid, Rdev: u.Rdev,
		Size: u.Size, Blksize: int64(u.Blksize), Blocks: u.Blocks,
		Atim: sys.Timespec(u.Atim), Mtim: sys.Timespec(u.Mtim), Ctim: sys.Timespec(u.Ctim),
	}
}

func (*thread) Getdents(fd int) ([]sys.Dirent, error) {
	var buf [8192]byte
	n, _, e := unix.Syscall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)))
	if e != 0 {
		return nil, e
	}
	var list []sys.Dirent
	for rest := buf[:n]; len(rest) > 0; {
		// struct linux_dirent64: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, d_name.
		reclen := binary.NativeEndian.Uint16(rest[16:])
		name := rest[19:reclen]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		list = append(list, sys.Dirent{Ino: binary.NativeEndian.Uint64(rest), Type: rest[18], Name: string(name)})
		rest = rest[reclen:]
	}
	return list, nil
}
