package sys

// Statx is struct statx of statx(2), without what only some filesystems fill.
type Statx struct {
	Mask           uint32 // STATX_*: the fields that are filled
	Blksize        uint32
	Attributes     uint64 // STATX_ATTR_*
	AttributesMask uint64 // those that the filesystem knows
	Nlink          uint32
	Uid            uint32
	Gid            uint32
	Mode           uint32 // S_IFMT bits and permissions
	Ino            uint64
	Size           int64
	Blocks         int64 // in units of 512 bytes
	Atime          Timespec
	Btime          Timespec // of birth
	Ctime          Timespec
	Mtime          Timespec
	Rdev           uint64
	Dev            uint64
	MntId          uint64 // with STATX_MNT_ID_UNIQUE of a mount that never comes back
}

// Fields of statx(2), in its mask.
const (
	STATX_TYPE          = 0x1
	STATX_MODE          = 0x2
	STATX_NLINK         = 0x4
	STATX_UID           = 0x8
	STATX_GID           = 0x10
	STATX_ATIME         = 0x20
	STATX_MTIME         = 0x40
	STATX_CTIME         = 0x80
	STATX_INO           = 0x100
	STATX_SIZE          = 0x200
	STATX_BLOCKS        = 0x400
	STATX_BASIC_STATS   = 0x7ff // those of stat(2)
	STATX_BTIME         = 0x800
	STATX_MNT_ID        = 0x1000
	STATX_MNT_ID_UNIQUE = 0x4000
)

// Attributes of a file, see statx(2).
const (
	STATX_ATTR_IMMUTABLE  = 0x10
	STATX_ATTR_APPEND     = 0x20
	STATX_ATTR_NODUMP     = 0x40
	STATX_ATTR_AUTOMOUNT  = 0x1000
	STATX_ATTR_MOUNT_ROOT = 0x2000
	STATX_ATTR_DAX        = 0x200000
)

// Flags of statx(2) and fstatat(2) beside AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH.
const (
	AT_NO_AUTOMOUNT     = 0x800
	AT_STATX_FORCE_SYNC = 0x2000
	AT_STATX_DONT_SYNC  = 0x4000
)
