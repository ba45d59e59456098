package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// isAncestor reports whether a is b or a directory above it.
func isAncestor(a, b *Dentry) bool {
	for b != a && b.parent != b {
		b = b.parent
	}
	return a == b
}

// Rename is renameat2(2), and with flags 0 rename(2): do_renameat2 and
// vfs_rename.
func (k *Tree) Rename(t *Task, oldpath, newpath string, flags uint) error {
	const valid = sys.RENAME_NOREPLACE | sys.RENAME_EXCHANGE | sys.RENAME_WHITEOUT
	exchange := flags&sys.RENAME_EXCHANGE != 0
	if flags&^valid != 0 || exchange && flags != sys.RENAME_EXCHANGE {
		return sys.EINVAL
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r := renaming{
		from: walker{k: k, t: t, write: true},
		to:   walker{k: k, t: t, write: true},
	}
	err := r.lookup(oldpath, newpath, flags)
	if err != nil {
		return err
	}
	if r.target != nil && r.target.inode == r.old.inode {
		return nil
	}
	if err := r.allowed(exchange); err != nil {
		return err
	}
	if exchange {
		r.exchange()
		return nil
	}
	var whiteout *Inode
	if flags&sys.RENAME_WHITEOUT != 0 { // shmem_whiteout: before anything changes
		if whiteout, err = r.from.newInode(r.from.path.Dentry.inode, sys.S_IFCHR, 0); err != nil {
			return err
		}
	}
	r.move()
	if whiteout != nil {
		from := r.from.path.Dentry
		from.inode.dir.add(from, &Dentry{name: strings.Clone(r.from.last), inode: whiteout})
	}
	return nil
}

// renaming is one renameat2(2). The walkers stand in the two directories.
type renaming struct {
	from, to walker
	old      *Dentry
	target   *Dentry // what newpath is now, nil: nothing
}

// lookup finds the names and refuses what is wrong with the paths: do_renameat2.
func (r *renaming) lookup(oldpath, newpath string, flags uint) (err error) {
	if err := r.from.lookupParent(oldpath); err != nil {
		return err
	}
	if err := r.to.lookupParent(newpath); err != nil {
		return err
	}
	exchange := flags&sys.RENAME_EXCHANGE != 0
	switch {
	case r.from.path.Mount != r.to.path.Mount:
		return sys.EXDEV
	case r.from.kind != lastNorm:
		return sys.EBUSY
	case r.to.kind != lastNorm && flags&sys.RENAME_NOREPLACE != 0:
		return sys.EEXIST
	case r.to.kind != lastNorm:
		return sys.EBUSY
	}
	if err := r.to.path.Mount.wantWrite(r.to.t); err != nil {
		return err
	}
	if r.old, err = r.from.child(r.from.last); err != nil {
		return err
	}
	if r.old == nil {
		return sys.ENOENT
	}
	if r.target, err = r.to.child(r.to.last); err != nil {
		return err
	}
	if r.to.path.Dentry.inode.dir.dead { // lookup_one_qstr_excl
		return sys.ENOENT
	}
	switch {
	case r.target != nil && flags&sys.RENAME_NOREPLACE != 0:
		return sys.EEXIST
	case r.target == nil && exchange:
		return sys.ENOENT
	case exchange && r.to.trailing && !r.target.inode.isDir():
		return sys.ENOTDIR
	case !r.old.inode.isDir() && (r.from.trailing || r.to.trailing && !exchange):
		return sys.ENOTDIR
	}
	from, to := r.from.path.Dentry, r.to.path.Dentry
	if from != to {
		// lock_rename: neither may contain the other.
		if isAncestor(r.old, to) {
			return sys.EINVAL
		}
		if r.target != nil && isAncestor(r.target, from) {
			if exchange {
				return sys.EINVAL
			}
			return sys.ENOTEMPTY
		}
	}
	return nil
}

// allowed are the checks of vfs_rename.
func (r *renaming) allowed(exchange bool) (err error) {
	isdir, targetDir := r.old.inode.isDir(), r.target != nil && r.target.inode.isDir()
	if err := r.from.mayDelete(r.from.path, r.old, isdir); err != nil {
		return err
	}
	switch {
	case r.target == nil:
		err = r.to.mayCreate(r.to.path)
	case exchange:
		err = r.to.mayDelete(r.to.path, r.target, targetDir)
	default:
		err = r.to.mayDelete(r.to.path, r.target, isdir)
	}
	if err != nil {
		return err
	}
	if r.from.path.Dentry != r.to.path.Dentry {
		// ".." changes.
		if isdir {
			if err := r.old.inode.permission(r.from.t, r.from.path.Mount, mayWrite); err != nil {
				return err
			}
		}
		if exchange && targetDir {
			if err := r.target.inode.permission(r.to.t, r.to.path.Mount, mayWrite); err != nil {
				return err
			}
		}
	}
	if r.to.k.mountPoint(r.to.t, r.old) || r.target != nil && r.to.k.mountPoint(r.to.t, r.target) {
		return sys.EBUSY
	}
	if targetDir && !exchange && len(r.target.inode.dir.names) > 0 {
		return sys.ENOTEMPTY
	}
	return nil
}

// move gives the file its new name and drops what had it.
func (r *renaming) move() {
	from, to := r.from.path.Dentry, r.to.path.Dentry
	now := r.to.k.now(r.to.t)
	if r.target != nil {
		r.to.drop(r.target)
	}
	from.inode.dir.remove(r.old)
	r.old.name = strings.Clone(r.to.last)
	to.inode.dir.add(to, r.old)
	if r.old.inode.isDir() {
		from.inode.nlink.Add(-1)
		to.inode.nlink.Add(1)
	}
	from.inode.touchMC(now)
	to.inode.touchMC(now)
	r.old.inode.touchC(now)
}

// exchange gives each file the name of the other.
func (r *renaming) exchange() {
	from, to := r.from.path.Dentry, r.to.path.Dentry
	now := r.to.k.now(r.to.t)
	from.inode.dir.remove(r.old)
	to.inode.dir.remove(r.target)
	r.old.name, r.target.name = r.target.name, r.old.name
	to.inode.dir.add(to, r.old)
	from.inode.dir.add(from, r.target)
	for _, d := range []struct {
		file     *Dentry
		out, now *Dentry
	}{{r.old, from, to}, {r.target, to, from}} {
		if d.file.inode.isDir() {
			d.out.inode.nlink.Add(-1)
			d.now.inode.nlink.Add(1)
		}
		d.file.inode.touchC(now)
	}
	from.inode.touchMC(now)
	to.inode.touchMC(now)
}
