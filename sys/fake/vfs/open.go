package vfs

import (
	"strconv"

	"github.com/httpjail/httpjail/sys"
)

// oLargefile is what open(2) adds on 64-bit machines, and F_GETFL shows.
const oLargefile = 0x8000

const (
	validOpenFlags = sys.O_ACCMODE | sys.O_CREAT | sys.O_EXCL | sys.O_NOCTTY | sys.O_TRUNC |
		sys.O_APPEND | sys.O_NONBLOCK | sys.O_SYNC | oFasync | sys.O_DIRECT | oLargefile |
		sys.O_DIRECTORY | sys.O_NOFOLLOW | sys.O_NOATIME | sys.O_CLOEXEC | sys.O_PATH | oTmpfile
	pathOpenFlags = sys.O_DIRECTORY | sys.O_NOFOLLOW | sys.O_PATH | sys.O_CLOEXEC
	validResolve  = sys.RESOLVE_NO_XDEV | sys.RESOLVE_NO_MAGICLINKS | sys.RESOLVE_NO_SYMLINKS |
		sys.RESOLVE_BENEATH | sys.RESOLVE_IN_ROOT

	oFasync  = 0x2000
	oTmpfile = sys.O_TMPFILE &^ sys.O_DIRECTORY
	allModes = 0o7777 // S_IALLUGO
)

// BuildOpenHow is build_open_how: open(2) ignores what openat2(2) refuses.
func BuildOpenHow(flags int, mode uint32) sys.OpenHow {
	how := sys.OpenHow{Flags: flags&validOpenFlags | oLargefile, Mode: mode & allModes}
	if how.Flags&sys.O_PATH != 0 {
		how.Flags &= pathOpenFlags
	}
	if how.Flags&(sys.O_CREAT|oTmpfile) == 0 {
		how.Mode = 0
	}
	return how
}

// opening is struct open_flags: what build_open_flags makes of an open_how.
type opening struct {
	how     sys.OpenHow
	acc     uint32 // may* that the file must allow
	created bool
}

// buildOpenFlags is build_open_flags.
func buildOpenFlags(how sys.OpenHow) (op opening, lookup int, err error) {
	flags := how.Flags
	willCreate := flags&(sys.O_CREAT|oTmpfile) != 0
	const scoped = sys.RESOLVE_BENEATH | sys.RESOLVE_IN_ROOT
	switch {
	case flags&^validOpenFlags != 0,
		how.Resolve&^validResolve != 0,
		how.Resolve&scoped == scoped,
		willCreate && how.Mode&^allModes != 0,
		!willCreate && how.Mode != 0,
		flags&(sys.O_DIRECTORY|sys.O_CREAT) == sys.O_DIRECTORY|sys.O_CREAT:
		return op, 0, sys.EINVAL
	}
	acc := uint32(mayRead)
	switch flags & sys.O_ACCMODE {
	case sys.O_WRONLY:
		acc = mayWrite
	case sys.O_RDWR, sys.O_ACCMODE:
		acc = mayRead | mayWrite
	}
	if flags&oTmpfile != 0 {
		if flags&sys.O_DIRECTORY == 0 || acc&mayWrite == 0 {
			return op, 0, sys.EINVAL
		}
	}
	if flags&sys.O_PATH != 0 {
		if flags&^pathOpenFlags != 0 {
			return op, 0, sys.EINVAL
		}
		acc = 0
	}
	if flags&sys.O_TRUNC != 0 {
		acc |= mayWrite
	}
	if flags&sys.O_DIRECTORY != 0 {
		lookup |= lookupDirectory
	}
	const exclusive = sys.O_CREAT | sys.O_EXCL
	if flags&sys.O_NOFOLLOW == 0 && flags&exclusive != exclusive {
		lookup |= lookupFollow
	}
	return opening{how: how, acc: acc}, lookup, nil
}

// CheckOpen is what do_sys_openat2 refuses before it reserves a descriptor.
func CheckOpen(path string, how sys.OpenHow) error {
	if _, _, err := buildOpenFlags(how); err != nil {
		return err
	}
	return checkName(path)
}

// Open is openat2(2). dirfd is where a relative path starts; the zero Path is
// AT_FDCWD. For open(2) make how with [BuildOpenHow]. Opening a fifo may block:
// EINTR.
func (k *Tree) Open(t *Task, dirfd Path, path string, how sys.OpenHow) (*Description, error) {
	op, lookup, err := buildOpenFlags(how)
	if err != nil {
		return nil, err
	}
	p, err := k.openPath(t, dirfd, path, &op, lookup)
	if err != nil {
		return nil, err
	}
	// The path is held from here on.
	return k.openFile(t, p, op.how.Flags)
}

// openPath is path_openat up to the point where the file itself is opened.
func (k *Tree) openPath(t *Task, dirfd Path, path string, op *opening, lookup int) (Path, error) {
	w := walker{k: k, t: t, write: op.how.Flags&(sys.O_CREAT|oTmpfile) != 0, flags: lookup, resolve: op.how.Resolve}
	if w.write {
		k.mu.Lock()
		defer k.mu.Unlock()
	} else {
		k.mu.RLock()
		defer k.mu.RUnlock()
	}
	var err error
	switch {
	case op.how.Flags&sys.O_PATH != 0:
		_, err = w.lookup(dirfd, path)
	case op.how.Flags&oTmpfile != 0:
		err = w.tmpfile(dirfd, path, op.how.Mode, op.how.Flags&sys.O_EXCL != 0)
	default:
		err = w.open(dirfd, path, op)
	}
	if err != nil {
		return Path{}, err
	}
	w.path.Hold()
	return w.path, nil
}

// tmpfile is do_tmpfile: a file without a name, in the directory at path.
// exclusive: linkat(2) will not give it one.
func (w *walker) tmpfile(dirfd Path, path string, mode uint32, exclusive bool) error {
	w.flags |= lookupDirectory
	p, err := w.lookup(dirfd, path)
	if err != nil {
		return err
	}
	if err := p.Mount.wantWrite(w.t); err != nil {
		return err
	}
	if err := p.Dentry.inode.permission(w.t, p.Mount, mayWrite|mayExec); err != nil {
		return err
	}
	dir := p.Dentry.inode
	if dir.magic != nil {
		return sys.EOPNOTSUPP
	}
	ino, err := w.newInode(dir, sys.S_IFREG|mode&allModes, allModes)
	if err != nil {
		return err
	}
	ino.unlinked()
	ino.linkable = !exclusive
	name := "#" + strconv.FormatUint(ino.ino, 10)
	w.path = Path{p.Mount, &Dentry{name: name, parent: p.Dentry, inode: ino, removed: true}}
	return nil
}

// open is path_openat for a plain open: the walk, open_last_lookups and do_open.
func (w *walker) open(dirfd Path, path string, op *opening) error {
	if err := w.start(dirfd, path); err != nil {
		return err
	}
	for path != "" {
		if err := w.linkPath(path); err != nil {
			return err
		}
		var err error
		if path, err = w.openLast(op); err != nil {
			return err
		}
	}
	w.used()
	return w.doOpen(op)
}

// openLast is open_last_lookups.
func (w *walker) openLast(op *opening) (link string, err error) {
	create := op.how.Flags&sys.O_CREAT != 0
	if w.kind != lastNorm || !create {
		return w.lastStep()
	}
	if w.trailing {
		return "", sys.EISDIR
	}
	// lookup_open
	dir := w.path.Dentry.inode
	if dir.dir.dead {
		return "", sys.ENOENT
	}
	d, err := w.child(w.last)
	if err != nil {
		return "", err
	}
	if d == nil {
		if err := w.path.Mount.wantWrite(w.t); err != nil {
			return "", err
		}
		if err := dir.permission(w.t, w.path.Mount, mayWrite|mayExec); err != nil {
			return "", err
		}
		if d, err = w.create(w.last, op.how.Mode&allModes|sys.S_IFREG, allModes); err != nil {
			return "", err
		}
		op.created = true
	}
	return w.into(d, true)
}

// doOpen is do_open without the opening of the file itself.
func (w *walker) doOpen(op *opening) error {
	flags := op.how.Flags
	ino := w.path.Dentry.inode
	if flags&sys.O_CREAT != 0 && !op.created {
		if flags&sys.O_EXCL != 0 {
			return sys.EEXIST
		}
		if ino.isDir() {
			return sys.EISDIR
		}
		if !w.mayCreateInSticky(ino) {
			return sys.EACCES
		}
	}
	if w.flags&lookupDirectory != 0 && !ino.isDir() {
		return sys.ENOTDIR
	}
	truncate := flags&sys.O_TRUNC != 0 && ino.isRegular() && !op.created
	if truncate {
		if err := w.path.Mount.wantWrite(w.t); err != nil {
			return err
		}
	}
	if op.created {
		op.acc = 0
	}
	if err := w.mayOpen(op.acc, flags); err != nil {
		return err
	}
	// do_dentry_open
	if (flags&sys.O_ACCMODE != sys.O_RDONLY || truncate) && ino.isRegular() {
		if ino.execs.Load() > 0 {
			return sys.ETXTBSY
		}
		if err := w.path.Mount.wantWrite(w.t); err != nil {
			return err
		}
	}
	if truncate && ino.magic == nil {
		return ino.truncate(w.t, 0)
	}
	return nil
}

// mayCreateInSticky is may_create_in_sticky: O_CREAT in a sticky directory finds
// a file of somebody else, who may have put it there as a trap.
func (w *walker) mayCreateInSticky(ino *Inode) bool {
	dir, uid := w.parent.mode.Load(), ino.uid.Load()
	if dir&sys.S_ISVTX == 0 || uid == w.parent.uid.Load() || uid == w.t.Cred.Uid {
		return true
	}
	level := 1 // devices and sockets
	switch ino.typ() {
	case sys.S_IFREG:
		level = w.k.ProtectedRegular
	case sys.S_IFIFO:
		level = w.k.ProtectedFifos
	}
	return level == 0 || dir&0o002 == 0 && (level == 1 || dir&0o020 == 0)
}

// mayOpen is may_open.
func (w *walker) mayOpen(acc uint32, flags int) error {
	ino := w.path.Dentry.inode
	switch ino.typ() {
	case sys.S_IFLNK:
		return sys.ELOOP
	case sys.S_IFDIR:
		if acc&mayWrite != 0 {
			return sys.EISDIR
		}
	case sys.S_IFBLK, sys.S_IFCHR:
		if w.path.Mount.Flags()&MountNodev != 0 {
			return sys.EACCES
		}
	}
	if err := ino.permission(w.t, w.path.Mount, acc); err != nil {
		return err
	}
	if flags&sys.O_NOATIME != 0 && !ino.ownerOrCapable(w.t.Cred) {
		return sys.EPERM
	}
	return nil
}

// openFile makes the description: the open method of the file's type. The
// caller holds the path, which an error drops.
func (k *Tree) openFile(t *Task, p Path, flags int) (_ *Description, err error) {
	ino := p.Dentry.inode
	opened := false
	defer func() { // also when the thread dies while it waits
		if !opened {
			p.Drop()
		}
	}()
	d := &Description{Path: p}
	d.flags.Store(int32(flags &^ openOnly))
	d.refs.Store(1)
	switch {
	case flags&sys.O_PATH != 0:
		d.File = anonymous{ino}
	case ino.isDir():
		d.File = &dirFile{anonymous{ino}, p.Mount, p.Dentry}
	case ino.magic != nil:
		d.File, err = openMagic(t, ino)
	case ino.isRegular():
		d.File = (*regular)(ino)
	case ino.typ() == sys.S_IFIFO:
		d.File, err = openFifo(t, ino, flags)
	case ino.typ() == sys.S_IFCHR, ino.typ() == sys.S_IFBLK:
		d.File, err = k.openDevice(t, ino, flags)
	default:
		err = sys.ENXIO // sock_no_open
	}
	if err != nil {
		return nil, err
	}
	if d.holdsWrite() {
		p.addWriter(1)
	}
	opened = true
	return d, nil
}
