package vfs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// PageSize is the unit in which files take space and are mapped.
const PageSize = 4096

// procBlock is the block size that procfs says it has.
const procBlock = 1024

// maxBytes is the largest size of a file, s_maxbytes of Linux (ext4's with 4 KiB
// blocks). Beyond it: EFBIG.
const maxBytes = 1<<44 - PageSize

// FS is a filesystem: struct super_block of Linux.
type FS struct {
	tree *Tree
	dev  uint64
	typ  string // as in /proc/mounts

	root    *Dentry
	nextIno atomic.Uint64
	limits  limits

	readonly atomic.Bool  // SB_RDONLY: all mounts of it are read-only
	writers  atomic.Int32 // of all mounts of it
	removed  atomic.Int32 // inodes without a name that are still in use: s_remove_count

	options fsOptions // as it was mounted; guarded by Tree.mu
}

// Inode is struct inode of Linux. What depends on the type of the file is in
// the fields below mu.
type Inode struct {
	fs   *FS
	ino  uint64
	rdev uint64

	mode  atomic.Uint32
	uid   atomic.Uint32
	gid   atomic.Uint32
	nlink atomic.Int32
	size  atomic.Int64
	opens atomic.Int32 // descriptions and processes that keep the inode alive
	gone  atomic.Bool  // its space was given back

	linkable bool // I_LINKABLE, guarded by Tree.mu: without a name it may get one

	execs   atomic.Int32 // processes that run it
	writers atomic.Int32 // descriptions that can write it

	atime, mtime, ctime atomic.Int64 // nanoseconds since the epoch
	btime               int64

	locks fileLocks

	mu           sync.RWMutex
	data         data       // regular file
	seals        int        // memfd; F_SEAL_SEAL for files that cannot be sealed
	writableMaps int        // regular file: shared mappings that could write it
	dir          *directory // directory
	link         string     // symlink: the target
	proto        string     // of sockfs: the protocol's name
	pipe         *pipe      // fifo: made at the first open
	socket       any        // socket: who is bound to it
	magic        *MagicNode // of a synthetic filesystem
	xattrs       []xattr
}

func (fs *FS) newInode(mode, uid, gid uint32, now int64) *Inode {
	ino := &Inode{fs: fs, ino: fs.nextIno.Add(1), btime: now}
	ino.mode.Store(mode)
	ino.uid.Store(uid)
	ino.gid.Store(gid)
	ino.nlink.Store(1)
	ino.atime.Store(now)
	ino.mtime.Store(now)
	ino.ctime.Store(now)
	switch mode & sys.S_IFMT {
	case sys.S_IFDIR:
		ino.nlink.Store(2)
		ino.dir = &directory{}
		ino.size.Store(PageSize)
	case sys.S_IFREG:
		ino.seals = sys.F_SEAL_SEAL
	}
	return ino
}

// Mode are the type and permission bits.
func (ino *Inode) Mode() uint32 { return ino.mode.Load() }

// Ino is the inode number.
func (ino *Inode) Ino() uint64 { return ino.ino }

func (ino *Inode) typ() uint32     { return ino.mode.Load() & sys.S_IFMT }
func (ino *Inode) isDir() bool     { return ino.typ() == sys.S_IFDIR }
func (ino *Inode) isSymlink() bool { return ino.typ() == sys.S_IFLNK }
func (ino *Inode) isRegular() bool { return ino.typ() == sys.S_IFREG }

// get keeps the inode's content though its last name may go.
func (ino *Inode) get() { ino.opens.Add(1) }

func (ino *Inode) put() {
	if ino.opens.Add(-1) == 0 {
		ino.evict()
	}
}

// unlinked takes the last name away. Tree.mu is held for writing.
func (ino *Inode) unlinked() {
	ino.fs.removed.Add(1)
	ino.nlink.Store(0)
}

// evict gives the space back once no name and no description is left.
func (ino *Inode) evict() {
	if ino.nlink.Load() > 0 || ino.opens.Load() > 0 {
		return
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if ino.nlink.Load() > 0 || ino.opens.Load() > 0 || ino.gone.Swap(true) {
		return
	}
	l := &ino.fs.limits
	ino.reservePages(nil, -ino.data.pages.Load())
	ino.data.free()
	l.charge(nil, ino.uid.Load(), 0, -1)
	space := int64(bogoInode)
	for _, x := range ino.xattrs {
		space += xattrSpace(x.name, x.value)
	}
	l.reserveInode(-space)
	ino.fs.removed.Add(-1)
}

func (ino *Inode) stat(st *sys.Stat) {
	*st = sys.Stat{
		Dev:     ino.fs.dev,
		Ino:     ino.ino,
		Nlink:   uint64(ino.nlink.Load()),
		Mode:    ino.mode.Load(),
		Uid:     ino.uid.Load(),
		Gid:     ino.gid.Load(),
		Rdev:    ino.rdev,
		Size:    ino.size.Load(),
		Blksize: PageSize,
		Atim:    timespec(ino.atime.Load()),
		Mtim:    timespec(ino.mtime.Load()),
		Ctim:    timespec(ino.ctime.Load()),
	}
	if ino.magic != nil {
		st.Blksize = procBlock
		return
	}
	switch st.Mode & sys.S_IFMT {
	case sys.S_IFREG:
		st.Blocks = ino.data.pages.Load() * (PageSize / 512)
	case sys.S_IFDIR:
		st.Blocks = PageSize / 512
	}
}

func timespec(ns int64) sys.Timespec {
	sec, nsec := ns/1e9, ns%1e9
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	}
	return sys.Timespec{Sec: sec, Nsec: nsec}
}

// nanos clamps to what 64 bits of nanoseconds hold, as filesystems clamp to the
// range of their own time stamps (timestamp_truncate).
func nanos(ts sys.Timespec) int64 {
	const last = (1<<63 - 1) / 1_000_000_000
	sec := min(max(ts.Sec, -last+1), last-1)
	return sec*1e9 + ts.Nsec
}

// now is the real time, in nanoseconds since the epoch.
func (k *Tree) now(t *Task) int64 {
	if t == nil || t.Thread == nil {
		return k.start
	}
	return k.start + int64(t.Thread.Now())
}

// touchAtime is touch_atime with atime_needs_update and the relatime rule of
// relatime_need_update.
func (ino *Inode) touchAtime(t *Task, m *Mount) {
	if m == nil || m.readonly() || m.Flags()&MountNoatime != 0 || m.Flags()&MountNodiratime != 0 && ino.isDir() {
		return
	}
	now := ino.fs.tree.now(t)
	a := ino.atime.Load()
	if m.Flags()&MountStrictatime == 0 && a > ino.mtime.Load() && a > ino.ctime.Load() && now/1e9-a/1e9 < int64(24*time.Hour/time.Second) {
		return
	}
	ino.atime.Store(now)
}

// touchMC sets the times of a change of content, touchC of attributes.
func (ino *Inode) touchMC(now int64) {
	ino.mtime.Store(now)
	ino.ctime.Store(now)
}

func (ino *Inode) touchC(now int64) { ino.ctime.Store(now) }

// Access modes of permission, MAY_* of Linux.
const (
	mayExec  = sys.X_OK
	mayWrite = sys.W_OK
	mayRead  = sys.R_OK
)

// permission is inode_permission: mask is a set of may*. m is the mount that the
// inode was reached by. Only a filesystem that is read-only is found here, before
// the permissions (sb_permission); a mount that is, later by wantWrite.
func (ino *Inode) permission(t *Task, m *Mount, mask uint32) error {
	mode := ino.mode.Load()
	if mask&mayWrite != 0 && m.fs.readonly.Load() && !t.image {
		switch mode & sys.S_IFMT {
		case sys.S_IFREG, sys.S_IFDIR, sys.S_IFLNK:
			return sys.EROFS
		}
	}
	c := t.Cred
	bits := mode
	if c.Uid == ino.uid.Load() {
		bits >>= 6
	} else if c.inGroup(ino.gid.Load()) {
		bits >>= 3
	}
	if mask&^bits&7 == 0 {
		return nil
	}
	// generic_permission: the capabilities that override.
	if mode&sys.S_IFMT == sys.S_IFDIR {
		if mask&mayWrite == 0 && c.Has(sys.CAP_DAC_READ_SEARCH) || c.Has(sys.CAP_DAC_OVERRIDE) {
			return nil
		}
		return sys.EACCES
	}
	if mask == mayRead && c.Has(sys.CAP_DAC_READ_SEARCH) {
		return nil
	}
	if (mask&mayExec == 0 || mode&0o111 != 0) && c.Has(sys.CAP_DAC_OVERRIDE) {
		return nil
	}
	return sys.EACCES
}

// ownerOrCapable is inode_owner_or_capable.
func (ino *Inode) ownerOrCapable(c *Cred) bool {
	return c.Uid == ino.uid.Load() || c.Has(sys.CAP_FOWNER)
}

// groupOrFsetid is in_group_or_capable with CAP_FSETID.
func groupOrFsetid(c *Cred, gid uint32) bool {
	return c.inGroup(gid) || c.Has(sys.CAP_FSETID)
}

// sgidToDrop is setattr_should_drop_sgid: S_ISGID when a change of content or
// owner clears it, else 0.
func (ino *Inode) sgidToDrop(c *Cred) uint32 {
	mode := ino.mode.Load()
	if mode&sys.S_ISGID == 0 {
		return 0
	}
	if mode&0o010 != 0 || !groupOrFsetid(c, ino.gid.Load()) {
		return sys.S_ISGID
	}
	return 0
}

// removePrivs is file_remove_privs: writing to a file, or truncating it, clears
// its set-id bits unless the writer has CAP_FSETID.
func (ino *Inode) removePrivs(c *Cred) {
	mode := ino.mode.Load()
	if mode&(sys.S_ISUID|sys.S_ISGID) == 0 || c.Has(sys.CAP_FSETID) || mode&sys.S_IFMT != sys.S_IFREG {
		return
	}
	for drop := mode&sys.S_ISUID | ino.sgidToDrop(c); !ino.mode.CompareAndSwap(mode, mode&^drop); {
		mode = ino.mode.Load()
	}
}

// anonymous is the File of an inode that has nothing to read or write: an
// O_PATH description, or a base for others.
type anonymous struct{ ino *Inode }

func (f anonymous) Read(*Task, *Description, []byte) (int, error)  { return 0, sys.EBADF }
func (f anonymous) Write(*Task, *Description, []byte) (int, error) { return 0, sys.EBADF }
func (f anonymous) Ready() int16                                   { return sys.POLLNVAL }
func (f anonymous) Queue() *sched.Queue                            { return nil }
func (f anonymous) Release(*Task)                                  {}
func (f anonymous) Stat(_ *Task, st *sys.Stat) error {
	f.ino.stat(st)
	return nil
}
