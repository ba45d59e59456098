package sys

// Space are the calls on the room that files take, and that a filesystem has.
type Space interface {
	// Fallocate is fallocate(2); mode is 0 or of FALLOC_FL_*, off and len are in
	// bytes. EOPNOTSUPP: what the filesystem does not do; tmpfs only
	// FALLOC_FL_KEEP_SIZE and, together with it, FALLOC_FL_PUNCH_HOLE. EBADF:
	// fd is not open to write; ENODEV: neither a file nor a device; ESPIPE: a
	// pipe; EFBIG, which raises SIGXFSZ where the limit is RLIMIT_FSIZE; ENOSPC.
	Fallocate(fd int, mode uint32, off, len int64) error
	// Statfs is statfs(2) into *st, of the filesystem that path is on.
	Statfs(path string, st *Statfs) error
	// Fstatfs is fstatfs(2) into *st.
	Fstatfs(fd int, st *Statfs) error
}

// Statfs is struct statfs. A tmpfs without a limit says 0 of what it does not
// limit.
type Statfs struct {
	Type    int64  // a number of *_MAGIC
	Bsize   int64  // the unit of the next three, in bytes
	Blocks  uint64 // in all
	Bfree   uint64
	Bavail  uint64 // that are free to users without privileges
	Files   uint64 // inodes in all
	Ffree   uint64
	Fsid    [2]int32
	Namelen int64 // the longest name, in bytes
	Frsize  int64
	Flags   int64 // ST_*
}

// Modes of fallocate(2).
const (
	FALLOC_FL_KEEP_SIZE      = 0x1
	FALLOC_FL_PUNCH_HOLE     = 0x2
	FALLOC_FL_COLLAPSE_RANGE = 0x8
	FALLOC_FL_ZERO_RANGE     = 0x10
	FALLOC_FL_INSERT_RANGE   = 0x20
	FALLOC_FL_UNSHARE_RANGE  = 0x40
)

// Types of filesystems, see statfs(2).
const (
	TMPFS_MAGIC         = 0x1021994
	EXT4_SUPER_MAGIC    = 0xef53
	PROC_SUPER_MAGIC    = 0x9fa0
	PIPEFS_MAGIC        = 0x50495045
	SOCKFS_MAGIC        = 0x534f434b
	ANON_INODE_FS_MAGIC = 0x9041934
)

// Flags of a mount, as statfs(2) reports them.
const (
	ST_RDONLY      = 0x1
	ST_NOSUID      = 0x2
	ST_NODEV       = 0x4
	ST_NOEXEC      = 0x8
	ST_VALID       = 0x20 // of Linux: the flags are there
	ST_NOATIME     = 0x400
	ST_NODIRATIME  = 0x800
	ST_RELATIME    = 0x1000
	ST_NOSYMFOLLOW = 0x2000 // since 5.10
)
