package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// maxLinks is ext4's limit on the names of a file, EXT4_LINK_MAX.
const maxLinks = 65000

// Link is link(2). A symlink as oldpath is itself linked.
func (k *Tree) Link(t *Task, oldpath, newpath string) error {
	return k.Linkat(t, Path{}, oldpath, Path{}, nil, newpath, 0)
}

// CheckLinkat is what do_linkat refuses before it looks at the paths.
func CheckLinkat(flags int) error {
	if flags&^(sys.AT_SYMLINK_FOLLOW|sys.AT_EMPTY_PATH) != 0 {
		return sys.EINVAL
	}
	return nil
}

// Linkat is linkat(2) with flags that were checked: do_linkat and vfs_link.
// olddir and newdir are where relative paths start, and with AT_EMPTY_PATH olddir
// is what is linked itself. newErr is what is wrong with newdir, if anything: what
// is wrong with oldpath comes first.
func (k *Tree) Linkat(t *Task, olddir Path, oldpath string, newdir Path, newErr error, newpath string, flags int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	ow := walker{k: k, t: t, write: true}
	if flags&sys.AT_SYMLINK_FOLLOW != 0 {
		ow.flags |= lookupFollow
	}
	if flags&sys.AT_EMPTY_PATH != 0 {
		ow.flags |= lookupEmpty
	}
	old, err := ow.lookup(olddir, oldpath)
	if err != nil {
		return err
	}
	ino := old.Dentry.inode
	ino.mu.Lock() // evict
	ino.get()
	ino.mu.Unlock()
	defer ino.put()
	if newErr != nil {
		return newErr
	}
	w := walker{k: k, t: t, write: true}
	if err := w.lookupCreateAt(newdir, newpath, false); err != nil {
		return err
	}
	if old.Mount != w.path.Mount {
		return sys.EXDEV
	}
	if k.ProtectedHardlinks && !mayLinkat(t, old, ino) {
		return sys.EPERM
	}
	if err := w.mayCreate(w.path); err != nil {
		return err
	}
	switch n := ino.nlink.Load(); {
	case ino.isDir():
		return sys.EPERM
	case n == 0 && !ino.linkable, ino.gone.Load(): // gone: closed while a magic link led to it
		return sys.ENOENT
	case n >= maxLinks:
		return sys.EMLINK
	case n > 0: // shmem_link: a further name takes room
		if err := ino.fs.limits.reserveInode(bogoInode); err != nil {
			return err
		}
	default: // a file of O_TMPFILE
		ino.fs.removed.Add(-1)
	}
	now := k.now(t)
	ino.linkable = false
	ino.nlink.Add(1)
	ino.touchC(now)
	dir := w.path.Dentry
	dir.inode.dir.add(dir, &Dentry{name: strings.Clone(w.last), inode: ino})
	dir.inode.touchMC(now)
	return nil
}

// CheckEmpty is what path_init says of a descriptor with AT_EMPTY_PATH of
// linkat(2), LOOKUP_LINKAT_EMPTY: only who has opened it may give the file a name.
func (d *Description) CheckEmpty(t *Task) error {
	if d.opener != t.Cred && !t.Cred.Has(sys.CAP_DAC_READ_SEARCH) {
		return sys.ENOENT
	}
	return nil
}

// Nowhere is the place of a file without a name: it is on none of the tree's
// mounts.
func (k *Tree) Nowhere() Path { return k.anon.Path() }

// mayLinkat is may_linkat: the sysctl protected_hardlinks.
func mayLinkat(t *Task, p Path, ino *Inode) bool {
	if ino.ownerOrCapable(t.Cred) {
		return true
	}
	// safe_hardlink_source
	mode := ino.mode.Load()
	const sgidExec = sys.S_ISGID | 0o010
	return mode&sys.S_IFMT == sys.S_IFREG && mode&sys.S_ISUID == 0 && mode&sgidExec != sgidExec &&
		ino.permission(t, p.Mount, mayRead|mayWrite) == nil
}
