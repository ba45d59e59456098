package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

func (t *thread) tree() *vfs.Tree { return t.p.m.tree }

func (t *thread) Stat(path string, st *sys.Stat) (err error) {
	t.enter("stat", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Stat(&t.task, path, st)
}

func (t *thread) Lstat(path string, st *sys.Stat) (err error) {
	t.enter("lstat", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Lstat(&t.task, path, st)
}

func (t *thread) Fstatat(dirfd int, path string, st *sys.Stat, flags int) (err error) {
	t.enter("newfstatat", dirfd, uint64(flags))
	defer t.leave(nil, &err)
	t.note(path)
	if path == "" && flags&sys.AT_EMPTY_PATH != 0 && dirfd >= 0 { // whatever the other flags
		return t.with(dirfd, func(d *vfs.Description) error { return d.Stat(&t.task, st) })
	}
	if err := vfs.CheckStatFlags(flags); err != nil {
		return err
	}
	dir, err := t.atOrEmpty(dirfd, path, flags)
	if err != nil {
		return err
	}
	return t.tree().Fstatat(&t.task, dir, path, st, flags)
}

func (t *thread) Statx(dirfd int, path string, flags int, mask uint32, st *sys.Statx) (err error) {
	t.enter("statx", dirfd, uint64(flags), uint64(mask))
	defer t.leave(nil, &err)
	t.note(path)
	if err := vfs.CheckStatx(flags, mask); err != nil {
		return err
	}
	if path == "" && flags&sys.AT_EMPTY_PATH != 0 && dirfd >= 0 { // whatever the other flags
		return t.with(dirfd, func(d *vfs.Description) error { return d.Statx(&t.task, mask, st) })
	}
	if err := vfs.CheckStatFlags(flags); err != nil {
		return err
	}
	dir, err := t.atOrEmpty(dirfd, path, flags)
	if err != nil {
		return err
	}
	return t.tree().Statx(&t.task, dir, path, flags, mask, st)
}

// atOrEmpty is at of a path that may be empty: then a negative dirfd that is not
// AT_FDCWD matters too.
func (t *thread) atOrEmpty(dirfd int, path string, flags int) (vfs.Path, error) {
	if path == "" && flags&sys.AT_EMPTY_PATH != 0 && dirfd != sys.AT_FDCWD {
		return vfs.Path{}, sys.EBADF
	}
	return t.at(dirfd, path)
}

func (t *thread) Mkdir(path string, mode uint32) (err error) {
	t.enter("mkdir", -1, uint64(mode))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Mkdir(&t.task, path, mode)
}

func (t *thread) Rmdir(path string) (err error) {
	t.enter("rmdir", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Rmdir(&t.task, path)
}

func (t *thread) Unlink(path string) (err error) {
	t.enter("unlink", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Unlink(&t.task, path)
}

func (t *thread) Rename(oldpath, newpath string) (err error) {
	t.enter("rename", -1)
	defer t.leave(nil, &err)
	t.note(oldpath)
	t.note(newpath)
	return t.tree().Rename(&t.task, oldpath, newpath, 0)
}

func (t *thread) Renameat2(oldpath, newpath string, flags uint) (err error) {
	t.enter("renameat2", -1, uint64(flags))
	defer t.leave(nil, &err)
	t.note(oldpath)
	t.note(newpath)
	return t.tree().Rename(&t.task, oldpath, newpath, flags)
}

func (t *thread) Link(oldpath, newpath string) (err error) {
	t.enter("link", -1)
	defer t.leave(nil, &err)
	t.note(oldpath)
	t.note(newpath)
	return t.tree().Link(&t.task, oldpath, newpath)
}

func (t *thread) Linkat(olddirfd int, oldpath string, newdirfd int, newpath string, flags int) (err error) {
	t.enter("linkat", olddirfd, uint64(newdirfd), uint64(flags))
	defer t.leave(nil, &err)
	t.note(oldpath)
	t.note(newpath)
	if err := vfs.CheckLinkat(flags); err != nil {
		return err
	}
	olddir, err := t.linkFrom(olddirfd, oldpath, flags)
	if err != nil {
		return err
	}
	newdir, newErr := t.at(newdirfd, newpath)
	return t.tree().Linkat(&t.task, olddir, oldpath, newdir, newErr, newpath, flags)
}

// linkFrom is where linkat(2) starts to look for what it links.
func (t *thread) linkFrom(dirfd int, path string, flags int) (place vfs.Path, err error) {
	if flags&sys.AT_EMPTY_PATH == 0 || dirfd == sys.AT_FDCWD || len(path) >= sys.PATH_MAX || path != "" && path[0] == '/' {
		return t.at(dirfd, path)
	}
	err = t.with(dirfd, func(d *vfs.Description) error {
		place = d.Path
		if err := d.CheckEmpty(&t.task); err != nil {
			return err
		}
		if place.Dentry == nil {
			if place = t.tree().Nowhere(); path != "" {
				return sys.ENOTDIR
			}
		}
		return nil
	})
	return place, err
}

func (t *thread) Symlink(target, linkpath string) (err error) {
	t.enter("symlink", -1)
	defer t.leave(nil, &err)
	t.note(target)
	t.note(linkpath)
	return t.tree().Symlink(&t.task, target, linkpath)
}

func (t *thread) Readlink(path string) (target string, err error) {
	t.enter("readlink", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Readlink(&t.task, path)
}

func (t *thread) Mknod(path string, mode uint32, dev uint64) (err error) {
	t.enter("mknod", -1, uint64(mode), dev)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Mknod(&t.task, path, mode, dev)
}

func (t *thread) Chmod(path string, mode uint32) (err error) {
	t.enter("chmod", -1, uint64(mode))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Chmod(&t.task, path, mode)
}

func (t *thread) Fchmod(fd int, mode uint32) (err error) {
	t.enter("fchmod", fd, uint64(mode))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return t.tree().Fchmod(&t.task, d, mode) })
}

func (t *thread) Chown(path string, uid, gid int) (err error) {
	t.enter("chown", -1, uint64(uid), uint64(gid))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Chown(&t.task, path, uid, gid)
}

func (t *thread) Lchown(path string, uid, gid int) (err error) {
	t.enter("lchown", -1, uint64(uid), uint64(gid))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Lchown(&t.task, path, uid, gid)
}

func (t *thread) Fchown(fd, uid, gid int) (err error) {
	t.enter("fchown", fd, uint64(uid), uint64(gid))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return t.tree().Fchown(&t.task, d, uid, gid) })
}

func (t *thread) Utimensat(path string, atime, mtime sys.Timespec, flags int) (err error) {
	t.enter("utimensat", -1, uint64(atime.Sec), uint64(atime.Nsec), uint64(mtime.Sec), uint64(mtime.Nsec), uint64(flags))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Utimensat(&t.task, path, atime, mtime, flags)
}

func (t *thread) Futimens(fd int, atime, mtime sys.Timespec) (err error) {
	t.enter("utimensat", fd, uint64(atime.Sec), uint64(atime.Nsec), uint64(mtime.Sec), uint64(mtime.Nsec))
	defer t.leave(nil, &err)
	if atime.Nsec == sys.UTIME_OMIT && mtime.Nsec == sys.UTIME_OMIT {
		return nil // whatever fd is
	}
	if fd == sys.AT_FDCWD {
		return sys.EFAULT // a path is wanted then
	}
	return t.with(fd, func(d *vfs.Description) error { return t.tree().Futimens(&t.task, d, atime, mtime) })
}

func (t *thread) Faccessat(path string, mode uint32, flags int) (err error) {
	t.enter("faccessat2", -1, uint64(mode), uint64(flags))
	defer t.leave(nil, &err)
	t.note(path)
	task := t.task
	if flags&sys.AT_EACCESS == 0 {
		task.Cred = t.attrs.cred.forAccess()
	}
	return t.tree().Faccessat(&task, path, mode, flags)
}

func (t *thread) Umask(mask int) (old int) {
	var err error
	t.enter("umask", -1, uint64(mask))
	defer t.leave(&old, &err)
	t.move(func(f *place) {
		old = int(f.umask)
		f.umask = uint32(mask) & 0o777
	})
	return old
}

func (t *thread) Chroot(path string) (err error) {
	t.enter("chroot", -1)
	defer t.leave(nil, &err)
	t.note(path)
	root, err := t.tree().Chroot(&t.task, path)
	if err == nil {
		t.move(func(f *place) { f.root, root = root, f.root })
		root.Drop()
	}
	return err
}

func (t *thread) Chdir(path string) (err error) {
	t.enter("chdir", -1)
	defer t.leave(nil, &err)
	t.note(path)
	cwd, err := t.tree().Chdir(&t.task, path)
	if err == nil {
		t.chdir(cwd)
	}
	return err
}

func (t *thread) Fchdir(fd int) (err error) {
	t.enter("fchdir", fd)
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error {
		cwd, err := t.tree().Fchdir(&t.task, d)
		if err == nil {
			t.chdir(cwd)
		}
		return err
	})
}

// chdir makes cwd, which is held, the working directory.
func (t *thread) chdir(cwd vfs.Path) {
	t.move(func(f *place) { f.cwd, cwd = cwd, f.cwd })
	cwd.Drop()
}

// move changes the place of t, which is the process's unless t has its own.
func (t *thread) move(f func(*place)) {
	t.p.m.mu.Lock()
	defer t.p.m.mu.Unlock()
	own := t.own.Load()
	if own == nil {
		t.p.change(func(a *attrs) { f(&a.place) })
		return
	}
	changed := *own
	f(&changed)
	t.own.Store(&changed)
}

func (t *thread) Getcwd() (path string, err error) {
	t.enter("getcwd", -1)
	defer t.leave(nil, &err)
	return t.tree().Getcwd(t.task.Root, t.task.Cwd)
}
