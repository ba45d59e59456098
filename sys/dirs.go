package sys

// Dirs are the calls that change or read names.
type Dirs interface {
	// Stat is stat(2) into *st: symlinks are followed.
	Stat(path string, st *Stat) error
	// Lstat is lstat(2): a symlink itself.
	Lstat(path string, st *Stat) error
	// Mkdir is mkdir(2).
	Mkdir(path string, mode uint32) error
	// Rmdir is rmdir(2). ENOTEMPTY, EBUSY for a mount point or a root.
	Rmdir(path string) error
	// Unlink is unlink(2). EISDIR: a directory (POSIX says EPERM, Linux EISDIR).
	Unlink(path string) error
	// Rename is rename(2): atomic, replaces newpath.
	Rename(oldpath, newpath string) error
	// Renameat2 is renameat2(2) with AT_FDCWD twice; flags are RENAME_*. EEXIST:
	// RENAME_NOREPLACE, and newpath exists; ENOENT: RENAME_EXCHANGE, and it does
	// not. EINVAL: RENAME_EXCHANGE with another flag, or what a filesystem does
	// not support.
	Renameat2(oldpath, newpath string, flags uint) error
	// Link is link(2): oldpath is not followed when it is a symlink.
	Link(oldpath, newpath string) error
	// Linkat is linkat(2). flags may be AT_SYMLINK_FOLLOW and, with which an empty
	// oldpath is olddirfd itself, AT_EMPTY_PATH: so a file of O_TMPFILE gets its
	// name. ENOENT: that file has lost its last name, was opened with O_EXCL, or,
	// with AT_EMPTY_PATH and without CAP_DAC_READ_SEARCH, olddirfd was not opened
	// with the very credentials that the caller has. Those are a thread's on Linux:
	// after Setresuid and its like, /proc/self/fd/N with AT_SYMLINK_FOLLOW is safer.
	Linkat(olddirfd int, oldpath string, newdirfd int, newpath string, flags int) error
	// Symlink is symlink(2).
	Symlink(target, linkpath string) error
	// Readlink is readlink(2), never truncated. EINVAL: not a symlink.
	Readlink(path string) (string, error)
	// Mknod is mknod(2): a regular file, fifo, device or socket inode.
	Mknod(path string, mode uint32, dev uint64) error
}

// Flags of renameat2(2).
const (
	RENAME_NOREPLACE = 1
	RENAME_EXCHANGE  = 2
	RENAME_WHITEOUT  = 4 // leave a character device 0:0 at oldpath
)

// Attrs are the calls that read or change an inode's attributes.
type Attrs interface {
	// Fstatat is newfstatat(2) into *st: path is resolved from dirfd or AT_FDCWD.
	// flags may be AT_SYMLINK_NOFOLLOW and, with which an empty path is dirfd
	// itself, AT_EMPTY_PATH. EBADF, ENOTDIR: dirfd, of a relative path.
	Fstatat(dirfd int, path string, st *Stat, flags int) error
	// Statx is statx(2) into *st; flags are Fstatat's and AT_STATX_*, mask are the
	// STATX_* that are wanted. More or less may come back, see st.Mask.
	Statx(dirfd int, path string, flags int, mask uint32, st *Statx) error
	// Chmod is chmod(2).
	Chmod(path string, mode uint32) error
	// Fchmod is fchmod(2).
	Fchmod(fd int, mode uint32) error
	// Chown is chown(2): symlinks are followed; -1 leaves an id as it is.
	Chown(path string, uid, gid int) error
	// Lchown is lchown(2).
	Lchown(path string, uid, gid int) error
	// Fchown is fchown(2).
	Fchown(fd, uid, gid int) error
	// Utimensat is utimensat(2) with AT_FDCWD; flags may be AT_SYMLINK_NOFOLLOW.
	Utimensat(path string, atime, mtime Timespec, flags int) error
	// Futimens is utimensat(2) of a descriptor: futimens(3). EBADF: also of O_PATH.
	Futimens(fd int, atime, mtime Timespec) error
	// Faccessat is faccessat2(2) with AT_FDCWD; mode is R_OK|W_OK|X_OK or F_OK,
	// checked with the real ids, or the effective ones with AT_EACCESS.
	Faccessat(path string, mode uint32, flags int) error
	// Umask is umask(2): it sets the process's mask and returns the former one.
	Umask(mask int) (old int)
}

// Special values of Timespec.Nsec, see utimensat(2).
const (
	UTIME_NOW  = 0x3fffffff
	UTIME_OMIT = 0x3ffffffe
)

// Modes and flags of faccessat2(2).
const (
	F_OK       = 0
	X_OK       = 1
	W_OK       = 2
	R_OK       = 4
	AT_EACCESS = 0x200
)
