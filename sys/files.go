package sys

// Files are the calls on files by path and descriptor: open(2), read(2) and
// their kin.
type Files interface {
	// Open is openat(2) with AT_FDCWD. mode is used with O_CREAT and O_TMPFILE
	// and is masked by umask.
	Open(path string, flags int, mode uint32) (fd int, err error)
	// Openat2 is openat2(2): path is resolved from dirfd (or AT_FDCWD) under
	// the restrictions of how.Resolve. ELOOP: a symlink that RESOLVE_NO_SYMLINKS
	// forbids; EXDEV: an escape that RESOLVE_BENEATH forbids.
	Openat2(dirfd int, path string, how OpenHow) (fd int, err error)
	// Read is read(2); n == 0 with a nil error is the end of the file.
	Read(fd int, p []byte) (n int, err error)
	// Write is write(2); n may be less than len(p).
	Write(fd int, p []byte) (n int, err error)
	// Writev is writev(2): the buffers in order, as one write.
	Writev(fd int, bufs [][]byte) (n int, err error)
	// Pread is pread(2): the descriptor's offset stays. ESPIPE: not seekable.
	Pread(fd int, p []byte, off int64) (n int, err error)
	// Pwrite is pwrite(2). With O_APPEND Linux appends whatever off says.
	Pwrite(fd int, p []byte, off int64) (n int, err error)
	// Lseek is lseek(2); whence is SEEK_SET, SEEK_CUR, SEEK_END, or of a file that
	// may have holes SEEK_DATA or SEEK_HOLE: ENXIO beyond its end, or where no data
	// follow.
	Lseek(fd int, off int64, whence int) (int64, error)
	// Ftruncate is ftruncate(2).
	Ftruncate(fd int, size int64) error
	// Fsync is fsync(2). An EIO means that dirty pages were lost: a retry that
	// succeeds proves nothing.
	Fsync(fd int) error
	// Fstat is fstat(2) into *st.
	Fstat(fd int, st *Stat) error
	// Getdents is getdents64(2): the next entries of the directory, "." and
	// ".." included, in no order that may be relied on; none at the end.
	Getdents(fd int) ([]Dirent, error)
}

// Descriptors are the calls on the descriptor table itself.
type Descriptors interface {
	// Close is close(2). The descriptor is gone even when an error (EIO,
	// ENOSPC, EINTR) is returned; never retry it. Closing any descriptor of a
	// file drops the process's POSIX locks on it, see fcntl(2).
	Close(fd int) error
	// Dup3 is dup3(2): newfd becomes a duplicate of oldfd. EINVAL: they are equal.
	Dup3(oldfd, newfd, flags int) error
	// Fcntl is fcntl(2) for the commands with an int argument: F_DUPFD,
	// F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS.
	Fcntl(fd, cmd, arg int) (int, error)
	// Pipe2 is pipe2(2): r is the read end, w the write end.
	Pipe2(flags int) (r, w int, err error)
	// CloseRange is close_range(2): every descriptor from first to last,
	// inclusive. flags may be CLOSE_RANGE_CLOEXEC.
	CloseRange(first, last uint, flags int) error
}

// OpenHow is struct open_how of openat2(2).
type OpenHow struct {
	Flags   int
	Mode    uint32
	Resolve int
}

// Stat is struct stat, as Linux fills it on 64-bit machines.
type Stat struct {
	Dev     uint64
	Ino     uint64
	Nlink   uint64
	Mode    uint32 // S_IFMT bits and permissions
	Uid     uint32
	Gid     uint32
	Rdev    uint64
	Size    int64
	Blksize int64
	Blocks  int64 // in units of 512 bytes
	Atim    Timespec
	Mtim    Timespec
	Ctim    Timespec
}

// IsDir reports whether the file is a directory.
func (st *Stat) IsDir() bool { return st.Mode&S_IFMT == S_IFDIR }

// IsRegular reports whether the file is a regular file.
func (st *Stat) IsRegular() bool { return st.Mode&S_IFMT == S_IFREG }

// Timespec is struct timespec: seconds since the epoch and nanoseconds, or one
// of UTIME_NOW and UTIME_OMIT in Nsec for [Attrs.Utimensat].
type Timespec struct {
	Sec  int64
	Nsec int64
}

// Dirent is one entry of a directory, see getdents64(2).
type Dirent struct {
	Ino  uint64
	Type uint8 // DT_REG, DT_DIR, ...; DT_UNKNOWN where the filesystem does not say
	Name string
}

// Flags of open(2).
const (
	O_RDONLY    = 0x0
	O_WRONLY    = 0x1
	O_RDWR      = 0x2
	O_ACCMODE   = 0x3
	O_CREAT     = 0x40
	O_EXCL      = 0x80
	O_NOCTTY    = 0x100
	O_TRUNC     = 0x200
	O_APPEND    = 0x400
	O_NONBLOCK  = 0x800
	O_DSYNC     = 0x1000
	O_DIRECT    = 0x4000
	O_DIRECTORY = 0x10000
	O_NOFOLLOW  = 0x20000
	O_NOATIME   = 0x40000
	O_CLOEXEC   = 0x80000
	O_SYNC      = 0x101000
	O_PATH      = 0x200000
	O_TMPFILE   = 0x410000
)

// Restrictions of openat2(2).
const (
	RESOLVE_NO_XDEV       = 0x1
	RESOLVE_NO_MAGICLINKS = 0x2
	RESOLVE_NO_SYMLINKS   = 0x4
	RESOLVE_BENEATH       = 0x8
	RESOLVE_IN_ROOT       = 0x10
)

// Special directory descriptors and flags of the *at calls.
const (
	AT_FDCWD            = -0x64
	AT_SYMLINK_NOFOLLOW = 0x100
	AT_REMOVEDIR        = 0x200
	AT_SYMLINK_FOLLOW   = 0x400 // of linkat(2), which does not otherwise
	AT_EMPTY_PATH       = 0x1000
)

// File types and modes, see inode(7).
const (
	S_IFMT   = 0xf000
	S_IFSOCK = 0xc000
	S_IFLNK  = 0xa000
	S_IFREG  = 0x8000
	S_IFBLK  = 0x6000
	S_IFDIR  = 0x4000
	S_IFCHR  = 0x2000
	S_IFIFO  = 0x1000
	S_ISUID  = 0x800
	S_ISGID  = 0x400
	S_ISVTX  = 0x200
)

// Types of a Dirent.
const (
	DT_UNKNOWN = 0
	DT_FIFO    = 1
	DT_CHR     = 2
	DT_DIR     = 4
	DT_BLK     = 6
	DT_REG     = 8
	DT_LNK     = 10
	DT_SOCK    = 12
)

// Whence of lseek(2).
const (
	SEEK_SET  = 0
	SEEK_CUR  = 1
	SEEK_END  = 2
	SEEK_DATA = 3
	SEEK_HOLE = 4
)

// Commands and flags of fcntl(2) with an int argument.
const (
	F_DUPFD             = 0
	F_GETFD             = 1
	F_SETFD             = 2
	F_GETFL             = 3
	F_SETFL             = 4
	F_DUPFD_CLOEXEC     = 1030
	F_ADD_SEALS         = 1033
	FD_CLOEXEC          = 1
	F_SEAL_SEAL         = 1
	F_SEAL_SHRINK       = 2
	F_SEAL_GROW         = 4
	F_SEAL_WRITE        = 8
	CLOSE_RANGE_CLOEXEC = 4
)

// Limits of a path, see path_resolution(7).
const (
	NAME_MAX = 255  // bytes of one component
	PATH_MAX = 4096 // bytes of a path, the terminating NUL included
)
