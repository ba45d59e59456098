package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// prepareMode is vfs_prepare_mode: the mode of a new file in dir. keep are the
// permission bits that the call allows.
func prepareMode(t *Task, dir *Inode, mode, keep uint32) uint32 {
	typ := mode & sys.S_IFMT
	const sgidExec = sys.S_ISGID | 0o010
	if mode&sgidExec == sgidExec && typ != sys.S_IFDIR && dir.mode.Load()&sys.S_ISGID != 0 &&
		!groupOrFsetid(t.Cred, dir.gid.Load()) {
		mode &^= sys.S_ISGID
	}
	return typ | mode&keep&^t.Umask
}

// create makes an inode and its name in the directory w.path. Tree.mu is held
// for writing and every check was made. ENOSPC, EDQUOT.
func (w *walker) create(name string, mode, keep uint32) (*Dentry, error) {
	dir := w.path.Dentry.inode
	ino, err := w.newInode(dir, mode, keep)
	if err != nil {
		return nil, err
	}
	d := &Dentry{name: strings.Clone(name), inode: ino}
	dir.dir.add(w.path.Dentry, d)
	if ino.isDir() {
		dir.nlink.Add(1)
	}
	dir.touchMC(ino.mtime.Load())
	return d, nil
}

// newInode makes an inode for the directory dir: __shmem_get_inode and
// inode_init_owner. ENOSPC, EDQUOT.
func (w *walker) newInode(dir *Inode, mode, keep uint32) (*Inode, error) {
	if mode&sys.S_IFMT == sys.S_IFLNK {
		mode = sys.S_IFLNK | 0o777
	} else {
		mode = prepareMode(w.t, dir, mode, keep)
	}
	gid := w.t.Cred.Gid
	if dir.mode.Load()&sys.S_ISGID != 0 {
		gid = dir.gid.Load()
		if mode&sys.S_IFMT == sys.S_IFDIR {
			mode |= sys.S_ISGID
		}
	}
	l := &dir.fs.limits
	if err := l.reserveInode(bogoInode); err != nil {
		return nil, err
	}
	if err := l.charge(w.t, w.t.Cred.Uid, 0, 1); err != nil {
		l.reserveInode(-bogoInode)
		return nil, err
	}
	return dir.fs.newInode(mode, w.t.Cred.Uid, gid, w.k.now(w.t)), nil
}

// mayCreate is may_create for a name that does not exist.
func (w *walker) mayCreate(dir Path) error {
	ino := dir.Dentry.inode
	if ino.dir.dead {
		return sys.ENOENT
	}
	return ino.permission(w.t, dir.Mount, mayWrite|mayExec)
}

// mayDelete is may_delete. isdir: the caller wants to remove a directory.
func (w *walker) mayDelete(dir Path, victim *Dentry, isdir bool) error {
	ino := dir.Dentry.inode
	if err := ino.permission(w.t, dir.Mount, mayWrite|mayExec); err != nil {
		return err
	}
	if ino.magic != nil {
		return sys.EPERM // procfs has no unlink, rmdir and rename
	}
	// check_sticky
	c := w.t.Cred
	if ino.mode.Load()&sys.S_ISVTX != 0 && victim.inode.uid.Load() != c.Uid && ino.uid.Load() != c.Uid &&
		!c.Has(sys.CAP_FOWNER) {
		return sys.EPERM
	}
	if isdir != victim.inode.isDir() {
		if isdir {
			return sys.ENOTDIR
		}
		return sys.EISDIR
	}
	if ino.dir.dead {
		return sys.ENOENT
	}
	return nil
}

// lookupCreate is filename_create: it finds the directory of a name that is to
// be made. isdir: the new file is a directory, which may be named with a slash.
func (w *walker) lookupCreate(path string, isdir bool) error {
	return w.lookupCreateAt(Path{}, path, isdir)
}

// lookupCreateAt is lookupCreate from base; the zero Path is AT_FDCWD.
func (w *walker) lookupCreateAt(base Path, path string, isdir bool) error {
	if err := w.start(base, path); err != nil {
		return err
	}
	if err := w.linkPath(path); err != nil {
		return err
	}
	if w.kind != lastNorm {
		return sys.EEXIST
	}
	d, err := w.child(w.last)
	if err != nil {
		return err
	}
	if d != nil {
		return sys.EEXIST
	}
	if dir := w.path.Dentry.inode.dir; dir.dead || w.trailing && !isdir { // lookup_one_qstr_excl
		return sys.ENOENT
	}
	return w.path.Mount.wantWrite(w.t)
}

// Mkdir is mkdir(2).
func (k *Tree) Mkdir(t *Task, path string, mode uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true}
	if err := w.lookupCreate(path, true); err != nil {
		return err
	}
	if err := w.mayCreate(w.path); err != nil {
		return err
	}
	_, err := w.create(w.last, mode&0o7777|sys.S_IFDIR, 0o1777)
	return err
}

// Mknod is mknod(2). EPERM: a directory, or a device without CAP_MKNOD.
func (k *Tree) Mknod(t *Task, path string, mode uint32, dev uint64) error {
	_, err := k.mknod(t, path, mode, dev)
	return err
}

func (k *Tree) mknod(t *Task, path string, mode uint32, dev uint64) (Path, error) {
	switch mode & sys.S_IFMT {
	case 0:
		mode |= sys.S_IFREG
	case sys.S_IFREG, sys.S_IFCHR, sys.S_IFBLK, sys.S_IFIFO, sys.S_IFSOCK:
	case sys.S_IFDIR:
		return Path{}, sys.EPERM
	default:
		return Path{}, sys.EINVAL
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true}
	if err := w.lookupCreate(path, false); err != nil {
		return Path{}, err
	}
	if err := w.mayCreate(w.path); err != nil {
		return Path{}, err
	}
	isdev := mode&sys.S_IFMT == sys.S_IFCHR || mode&sys.S_IFMT == sys.S_IFBLK
	whiteout := mode&sys.S_IFMT == sys.S_IFCHR && dev == 0 // what anybody may leave by renameat2(2)
	if isdev && !whiteout && !t.Cred.Has(sys.CAP_MKNOD) {
		return Path{}, sys.EPERM
	}
	d, err := w.create(w.last, mode, allModes)
	if err != nil {
		return Path{}, err
	}
	if isdev {
		d.inode.rdev = dev
	}
	return Path{w.path.Mount, d}, nil
}

// Symlink is symlink(2).
func (k *Tree) Symlink(t *Task, target, path string) error {
	if err := checkName(target); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true}
	if err := w.lookupCreate(path, false); err != nil {
		return err
	}
	if err := w.mayCreate(w.path); err != nil {
		return err
	}
	d, err := w.create(w.last, sys.S_IFLNK, 0)
	if err != nil {
		return err
	}
	d.inode.link = strings.Clone(target)
	d.inode.size.Store(int64(len(target)))
	return nil
}

// Readlink is readlink(2), never truncated.
func (k *Tree) Readlink(t *Task, path string) (link string, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	w := walker{k: k, t: t}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return "", err
	}
	ino := p.Dentry.inode
	if !ino.isSymlink() {
		return "", sys.EINVAL
	}
	ino.touchAtime(t, p.Mount)
	if ino.magic == nil {
		return ino.link, nil
	}
	w.unlocked(func() { link, err = ino.magic.Text(t) })
	return link, err
}

// Unlink is unlink(2).
func (k *Tree) Unlink(t *Task, path string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true}
	if err := w.lookupParent(path); err != nil {
		return err
	}
	if w.kind != lastNorm {
		return sys.EISDIR
	}
	if err := w.path.Mount.wantWrite(t); err != nil {
		return err
	}
	d, err := w.child(w.last)
	if err != nil {
		return err
	}
	if d == nil {
		return sys.ENOENT
	}
	if w.trailing {
		if d.inode.isDir() {
			return sys.EISDIR
		}
		return sys.ENOTDIR
	}
	if err := w.mayDelete(w.path, d, false); err != nil {
		return err
	}
	if k.mountPoint(t, d) {
		return sys.EBUSY
	}
	w.drop(d)
	return nil
}

// drop removes the name d of the directory w.path and what it stood for, if that
// was the last name.
func (w *walker) drop(d *Dentry) {
	dir := w.path.Dentry.inode
	now := w.k.now(w.t)
	dir.dir.remove(d)
	dir.touchMC(now)
	w.k.detachMounts(d)
	ino := d.inode
	ino.touchC(now)
	switch {
	case ino.isDir():
		ino.dir.dead = true
		dir.nlink.Add(-1)
		ino.unlinked()
	case ino.nlink.Load() == 1:
		ino.unlinked()
	default:
		ino.nlink.Add(-1)
		ino.fs.limits.reserveInode(-bogoInode)
	}
	ino.evict()
}

// Rmdir is rmdir(2).
func (k *Tree) Rmdir(t *Task, path string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true}
	if err := w.lookupParent(path); err != nil {
		return err
	}
	switch w.kind {
	case lastDotdot:
		return sys.ENOTEMPTY
	case lastDot:
		return sys.EINVAL
	case lastRoot:
		return sys.EBUSY
	}
	if err := w.path.Mount.wantWrite(t); err != nil {
		return err
	}
	d, err := w.child(w.last)
	if err != nil {
		return err
	}
	if d == nil {
		return sys.ENOENT
	}
	if err := w.mayDelete(w.path, d, true); err != nil {
		return err
	}
	if k.mountPoint(t, d) {
		return sys.EBUSY
	}
	if len(d.inode.dir.names) > 0 {
		return sys.ENOTEMPTY
	}
	w.drop(d)
	return nil
}
