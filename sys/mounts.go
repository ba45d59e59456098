package sys

// Mounts are the calls that change what is mounted where, and who sees it. They
// need CAP_SYS_ADMIN, else EPERM: but a path that does not resolve is found first.
//
// A new namespace belongs to the thread that made it, as on Linux, and to what
// that thread spawns. A process that all threads of see it is therefore made in
// two steps: a thread calls Unshare, and mounts, and spawns the process.
type Mounts interface {
	// Mount is mount(2). flags say what it does, the first of these that is set:
	//
	//   - MS_REMOUNT|MS_BIND: the flags of the mount at target become flags;
	//     EBUSY: MS_RDONLY, and a file is open for writing through it.
	//   - MS_REMOUNT: the filesystem's options become data, and its and the mount's
	//     flags become flags. EBUSY as above, for all mounts of the filesystem, and
	//     for files that were removed and are still open.
	//   - MS_BIND: source, a file or directory, is seen at target as well; with
	//     MS_REC what is mounted below it too. Other flags are ignored: source's hold.
	//   - MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE: how mounts below target
	//     propagate, with MS_REC also below them. EINVAL: several of them.
	//   - MS_MOVE: the mount at source moves to target. ELOOP: target is below it.
	//   - none: a new filesystem of the type fstype. ENODEV: there is no such type.
	//
	// EINVAL: target is not a mount point where it must be one; an option in data
	// that the filesystem does not know; an empty source of MS_BIND or MS_MOVE.
	// ENOTDIR: one of source and target is a directory, and the other not. EBUSY:
	// the same filesystem is mounted at target already.
	//
	// tmpfs(5) has the options size and nr_inodes, with a suffix k, m or g, where 0
	// is no limit, and mode, uid and gid of its root directory.
	Mount(source, target, fstype string, flags int, data string) error
	// Umount2 is umount2(2). flags are of MNT_FORCE, MNT_DETACH, MNT_EXPIRE and
	// UMOUNT_NOFOLLOW. EINVAL: not a mount point. EBUSY: a file is open on it, a
	// process has its working directory or executable there, or something is
	// mounted below; MNT_DETACH takes it out of sight, and away when the last has
	// left. EAGAIN: MNT_EXPIRE has marked it: it goes the next time, if nobody used
	// it meanwhile.
	Umount2(target string, flags int) error
	// PivotRoot is pivot_root(2): the mount at newRoot becomes the root of the
	// namespace and of each process that has the present one as its root or working
	// directory; that is then mounted at putOld. EBUSY: newRoot or putOld is on the
	// present root's mount. EINVAL: newRoot or the root is not a mount point, or
	// putOld is not at or below newRoot. ENOTDIR.
	//
	// With "." for both, the old root is mounted over the new one, and
	// Umount2(".", MNT_DETACH) removes it.
	PivotRoot(newRoot, putOld string) error
	// Unshare is unshare(2) for the calling thread: from now on it has a mount
	// namespace (CLONE_NEWNS, which implies CLONE_FS), a root, working directory and
	// umask (CLONE_FS), System V objects (CLONE_NEWIPC) or a host name (CLONE_NEWUTS)
	// of its own. What it spawns inherits them; threads that it starts share those of
	// the process's other threads. EPERM: CLONE_NEW* without CAP_SYS_ADMIN. EINVAL:
	// an unknown flag, or one of those that a process with several threads cannot
	// have, which every Go program is: CLONE_NEWUSER, CLONE_THREAD, CLONE_SIGHAND,
	// CLONE_VM.
	//
	// The descriptors of a process belong to all its threads here: CLONE_FILES is
	// ENOSYS on every backend.
	Unshare(flags int) error
}

// Flags of mount(2).
const (
	MS_RDONLY      = 1 << 0
	MS_NOSUID      = 1 << 1
	MS_NODEV       = 1 << 2
	MS_NOEXEC      = 1 << 3
	MS_REMOUNT     = 1 << 5
	MS_NOSYMFOLLOW = 1 << 8
	MS_NOATIME     = 1 << 10
	MS_NODIRATIME  = 1 << 11
	MS_BIND        = 1 << 12
	MS_MOVE        = 1 << 13
	MS_REC         = 1 << 14
	MS_SILENT      = 1 << 15
	MS_UNBINDABLE  = 1 << 17
	MS_PRIVATE     = 1 << 18
	MS_SLAVE       = 1 << 19
	MS_SHARED      = 1 << 20
	MS_RELATIME    = 1 << 21
	MS_STRICTATIME = 1 << 24
)

// Flags of umount2(2).
const (
	MNT_FORCE       = 1
	MNT_DETACH      = 2
	MNT_EXPIRE      = 4
	UMOUNT_NOFOLLOW = 8
)

// Flags of unshare(2), see clone(2).
const (
	CLONE_VM        = 0x100
	CLONE_FS        = 0x200
	CLONE_FILES     = 0x400
	CLONE_SIGHAND   = 0x800
	CLONE_THREAD    = 0x10000
	CLONE_NEWNS     = 0x20000
	CLONE_SYSVSEM   = 0x40000
	CLONE_NEWCGROUP = 0x2000000
	CLONE_NEWUTS    = 0x4000000
	CLONE_NEWIPC    = 0x8000000
	CLONE_NEWUSER   = 0x10000000
	CLONE_NEWPID    = 0x20000000
	CLONE_NEWNET    = 0x40000000
	CLONE_NEWTIME   = 0x80
)
