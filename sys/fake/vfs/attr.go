package vfs

import "github.com/httpjail/httpjail/sys"

// Faccessat is faccessat2(2). t.Cred is what the check is made with: the caller
// puts the real ids there, or with AT_EACCESS the effective ones.
func (k *Tree) Faccessat(t *Task, path string, mode uint32, flags int) error {
	if mode&^7 != 0 || flags&^(sys.AT_EACCESS|sys.AT_SYMLINK_NOFOLLOW) != 0 {
		return sys.EINVAL
	}
	follow := lookupFollow
	if flags&sys.AT_SYMLINK_NOFOLLOW != 0 {
		follow = 0
	}
	p, err := k.lookup(t, path, follow)
	if err != nil {
		return err
	}
	ino := p.Dentry.inode
	if mode&mayExec != 0 && ino.isRegular() && p.Mount.Flags()&MountNoexec != 0 {
		return sys.EACCES
	}
	if err := ino.permission(t, p.Mount, mode); err != nil || mode&mayWrite == 0 {
		return err
	}
	switch ino.typ() {
	case sys.S_IFREG, sys.S_IFDIR, sys.S_IFLNK:
		return p.Mount.wantWrite(t)
	}
	return nil
}

// Chmod is chmod(2).
func (k *Tree) Chmod(t *Task, path string, mode uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true, flags: lookupFollow}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return err
	}
	return k.chmod(t, p, mode)
}

// Fchmod is fchmod(2).
func (k *Tree) Fchmod(t *Task, d *Description, mode uint32) error {
	p, err := d.openPlace(t)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.chmod(t, p, mode)
}

// chmod is chmod_common.
func (k *Tree) chmod(t *Task, p Path, mode uint32) error {
	if err := p.Mount.wantWrite(t); err != nil {
		return err
	}
	ino := p.Dentry.inode
	if ino.private() {
		return sys.EOPNOTSUPP
	}
	if !ino.ownerOrCapable(t.Cred) || ino.magic != nil {
		return sys.EPERM
	}
	mode &= allModes
	if !groupOrFsetid(t.Cred, ino.gid.Load()) {
		mode &^= sys.S_ISGID
	}
	ino.mode.Store(ino.mode.Load()&^allModes | mode)
	ino.touchC(k.now(t))
	return nil
}

// Chown is chown(2): symlinks are followed; -1 leaves an id as it is.
func (k *Tree) Chown(t *Task, path string, uid, gid int) error {
	return k.chownPath(t, path, uid, gid, lookupFollow)
}

// Lchown is lchown(2).
func (k *Tree) Lchown(t *Task, path string, uid, gid int) error {
	return k.chownPath(t, path, uid, gid, 0)
}

func (k *Tree) chownPath(t *Task, path string, uid, gid, flags int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true, flags: flags}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return err
	}
	return k.chown(t, p, uid, gid)
}

// Fchown is fchown(2).
func (k *Tree) Fchown(t *Task, d *Description, uid, gid int) error {
	p, err := d.openPlace(t)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.chown(t, p, uid, gid)
}

// chown is chown_common with notify_change and setattr_prepare.
func (k *Tree) chown(t *Task, p Path, uid, gid int) error {
	if err := p.Mount.wantWrite(t); err != nil {
		return err
	}
	if uint32(uid) == 1<<32-1 { // (uid_t)-1
		uid = -1
	}
	if uint32(gid) == 1<<32-1 {
		gid = -1
	}
	ino := p.Dentry.inode
	if ino.private() {
		return sys.EOPNOTSUPP
	}
	c := t.Cred
	owner, capable := c.Uid == ino.uid.Load(), c.Has(sys.CAP_CHOWN)
	if uid != -1 && !capable && !(owner && uint32(uid) == ino.uid.Load()) { // chown_ok
		return sys.EPERM
	}
	if gid != -1 && !capable && !(owner && (uint32(gid) == ino.gid.Load() || c.inGroup(uint32(gid)))) { // chgrp_ok
		return sys.EPERM
	}
	if ino.magic != nil {
		return sys.EPERM
	}
	mode := ino.mode.Load()
	var drop uint32
	if !ino.isDir() {
		drop = mode&sys.S_ISUID | ino.sgidToDrop(c)
	}
	if drop != 0 && !ino.ownerOrCapable(c) {
		// notify_change turns the clearing into a chmod.
		return sys.EPERM
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if uid != -1 {
		if err := ino.transfer(t, uint32(uid)); err != nil {
			return err
		}
	}
	ino.mode.Store(mode &^ drop)
	if uid != -1 {
		ino.uid.Store(uint32(uid))
	}
	if gid != -1 {
		ino.gid.Store(uint32(gid))
	}
	ino.touchC(k.now(t))
	return nil
}

// Utimensat is utimensat(2) with AT_FDCWD.
func (k *Tree) Utimensat(t *Task, path string, atime, mtime sys.Timespec, flags int) error {
	if atime.Nsec == sys.UTIME_OMIT && mtime.Nsec == sys.UTIME_OMIT {
		return nil // "we must not even check the path"
	}
	if flags&^sys.AT_SYMLINK_NOFOLLOW != 0 {
		return sys.EINVAL
	}
	follow := lookupFollow
	if flags != 0 {
		follow = 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true, flags: follow}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return err
	}
	return k.utimes(t, p, atime, mtime)
}

// Futimens is utimensat(2) of a descriptor: do_utimes_fd.
func (k *Tree) Futimens(t *Task, d *Description, atime, mtime sys.Timespec) error {
	p, err := d.openPlace(t)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.utimes(t, p, atime, mtime)
}

// utimes is vfs_utimes.
func (k *Tree) utimes(t *Task, p Path, atime, mtime sys.Timespec) error {
	for _, ts := range [2]sys.Timespec{atime, mtime} {
		if ts.Nsec != sys.UTIME_NOW && ts.Nsec != sys.UTIME_OMIT && (ts.Nsec < 0 || ts.Nsec > 999_999_999) {
			return sys.EINVAL
		}
	}
	if err := p.Mount.wantWrite(t); err != nil {
		return err
	}
	ino := p.Dentry.inode
	owner, touch := ino.ownerOrCapable(t.Cred), atime.Nsec == sys.UTIME_NOW && mtime.Nsec == sys.UTIME_NOW
	if touch && !owner { // notify_change
		if err := ino.permission(t, p.Mount, mayWrite); err != nil {
			return err
		}
	}
	if ino.private() {
		return sys.EOPNOTSUPP
	}
	if !touch && !owner { // setattr_prepare
		return sys.EPERM
	}
	now := k.now(t)
	set := func(to interface{ Store(int64) }, ts sys.Timespec) {
		switch ts.Nsec {
		case sys.UTIME_OMIT:
		case sys.UTIME_NOW:
			to.Store(now)
		default:
			to.Store(nanos(ts))
		}
	}
	set(&ino.atime, atime)
	set(&ino.mtime, mtime)
	ino.touchC(now)
	return nil
}
