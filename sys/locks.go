package sys

// Locks are advisory file locks.
type Locks interface {
	// Flock is flock(2): how is LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB to
	// get EWOULDBLOCK instead of waiting. The lock belongs to the open file
	// description: dup'ed and inherited descriptors share it, a second open of
	// the same file contends with it. EINTR: a signal came while waiting.
	Flock(fd, how int) error
	// FcntlFlock is fcntl(2) with F_GETLK, F_SETLK, F_SETLKW (POSIX locks: they
	// belong to the process) or F_OFD_* (they belong to the open file
	// description). F_SETLK: EAGAIN when held; F_SETLKW: EDEADLK, EINTR. For
	// F_GETLK and F_OFD_GETLK *lk is overwritten with the first conflicting
	// lock, or its Type with F_UNLCK.
	FcntlFlock(fd, cmd int, lk *Flock) error
}

// Flock is struct flock of fcntl(2).
type Flock struct {
	Type   int16 // F_RDLCK, F_WRLCK, F_UNLCK
	Whence int16 // SEEK_SET, SEEK_CUR, SEEK_END
	Start  int64
	Len    int64 // 0: to the end of the file, however it grows
	Pid    int32 // filled by F_GETLK; -1 for an OFD lock
}

// Operations of flock(2).
const (
	LOCK_SH = 1
	LOCK_EX = 2
	LOCK_NB = 4
	LOCK_UN = 8
)

// Commands and types of fcntl(2) locks.
const (
	F_GETLK      = 5
	F_SETLK      = 6
	F_SETLKW     = 7
	F_OFD_GETLK  = 36
	F_OFD_SETLK  = 37
	F_OFD_SETLKW = 38
	F_RDLCK      = 0
	F_WRLCK      = 1
	F_UNLCK      = 2
)
