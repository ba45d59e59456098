package vfs

import "github.com/httpjail/httpjail/sys"

// Stat is stat(2).
func (k *Tree) Stat(t *Task, path string, st *sys.Stat) error {
	return k.stat(t, Path{}, path, lookupFollow, st)
}

// Lstat is lstat(2).
func (k *Tree) Lstat(t *Task, path string, st *sys.Stat) error {
	return k.stat(t, Path{}, path, 0, st)
}

func (k *Tree) stat(t *Task, dir Path, path string, flags int, st *sys.Stat) error {
	p, err := k.lookupAt(t, dir, path, flags)
	if err != nil {
		return err
	}
	p.Dentry.inode.stat(st)
	return nil
}

// CheckStatFlags is what vfs_statx refuses before it looks at a path.
func CheckStatFlags(flags int) error {
	const valid = sys.AT_SYMLINK_NOFOLLOW | sys.AT_NO_AUTOMOUNT | sys.AT_EMPTY_PATH | sys.AT_STATX_FORCE_SYNC | sys.AT_STATX_DONT_SYNC
	if flags&^valid != 0 {
		return sys.EINVAL
	}
	return nil
}

// lookupFlags are the AT_* flags as those of a walk.
func lookupFlags(at int) (lookup int) {
	if at&sys.AT_SYMLINK_NOFOLLOW == 0 {
		lookup |= lookupFollow
	}
	if at&sys.AT_EMPTY_PATH != 0 {
		lookup |= lookupEmpty
	}
	return lookup
}

// CheckStatx is what do_statx refuses before it looks at a path or a descriptor.
func CheckStatx(flags int, mask uint32) error {
	const sync = sys.AT_STATX_FORCE_SYNC | sys.AT_STATX_DONT_SYNC
	if mask&statxReserved != 0 || flags&sync == sync {
		return sys.EINVAL
	}
	return nil
}

// statxReserved is STATX__RESERVED.
const statxReserved = 0x80000000

// Fstatat is newfstatat(2) of a path, with flags that were checked. dir is where
// a relative one starts.
func (k *Tree) Fstatat(t *Task, dir Path, path string, st *sys.Stat, flags int) error {
	return k.stat(t, dir, path, lookupFlags(flags), st)
}

// Statx is statx(2) of a path, with flags that were checked. dir is where a
// relative one starts.
func (k *Tree) Statx(t *Task, dir Path, path string, flags int, mask uint32, st *sys.Statx) error {
	p, err := k.lookupAt(t, dir, path, lookupFlags(flags))
	if err != nil {
		return err
	}
	p.statx(mask, st)
	return nil
}

// Ids of the mounts that are nowhere in the tree.
const (
	pipefsMount = 1 + iota
	memfdMount
	sockfsMount
	anonInodesMount
	firstMount
)

// uniqueMount is MNT_UNIQUE_ID_OFFSET less 1.
const uniqueMount = 1 << 31

// Statx is statx(2) of a descriptor, also of an O_PATH description.
func (d *Description) Statx(t *Task, mask uint32, st *sys.Statx) error {
	p, err := d.place(t)
	if err != nil {
		return err
	}
	if p.Dentry.inode.private() {
		var s sys.Stat
		if err := d.Stat(t, &s); err != nil {
			return err
		}
		basicStatx(st, &s)
		mountStatx(st, mask, anonInodesMount)
		return nil
	}
	p.statx(mask, st)
	return nil
}

// basicStatx is what vfs_getattr_nosec says of every file.
func basicStatx(st *sys.Statx, s *sys.Stat) {
	*st = sys.Statx{
		Mask:           sys.STATX_BASIC_STATS,
		AttributesMask: sys.STATX_ATTR_AUTOMOUNT | sys.STATX_ATTR_MOUNT_ROOT | sys.STATX_ATTR_DAX,
		Blksize:        uint32(s.Blksize), Nlink: uint32(s.Nlink), Uid: s.Uid, Gid: s.Gid, Mode: s.Mode,
		Ino: s.Ino, Size: s.Size, Blocks: s.Blocks, Rdev: s.Rdev, Dev: s.Dev,
		Atime: s.Atim, Mtime: s.Mtim, Ctime: s.Ctim,
	}
}

func mountStatx(st *sys.Statx, mask uint32, id uint64) {
	if mask&sys.STATX_MNT_ID_UNIQUE != 0 {
		st.Mask |= sys.STATX_MNT_ID_UNIQUE
		st.MntId = uniqueMount + id
		return
	}
	st.Mask |= sys.STATX_MNT_ID
	st.MntId = id
}

// statx is vfs_statx_path with shmem_getattr.
func (p Path) statx(mask uint32, st *sys.Statx) {
	ino := p.Dentry.inode
	var s sys.Stat
	ino.stat(&s)
	basicStatx(st, &s)
	id := uint64(p.Mount.id)
	if p.Mount == ino.fs.tree.anon && ino.isRegular() {
		id = memfdMount
	}
	if ino.shmem() {
		st.AttributesMask |= sys.STATX_ATTR_APPEND | sys.STATX_ATTR_IMMUTABLE | sys.STATX_ATTR_NODUMP
		if mask&sys.STATX_BTIME != 0 {
			st.Mask |= sys.STATX_BTIME
			st.Btime = timespec(ino.btime)
		}
		// fill_mg_cmtime: to ask makes the next change of the times a visible one.
		if mask&(sys.STATX_MTIME|sys.STATX_CTIME) == 0 {
			st.Mask &^= sys.STATX_MTIME | sys.STATX_CTIME
			st.Mtime, st.Ctime = sys.Timespec{}, sys.Timespec{}
		}
	}
	mountStatx(st, mask, id)
	if p.Dentry == p.Mount.root {
		st.Attributes |= sys.STATX_ATTR_MOUNT_ROOT
	}
}
