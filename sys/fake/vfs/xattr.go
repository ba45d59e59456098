package vfs

import (
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// xattr is an extended attribute. An inode has them in the order of their names,
// as tmpfs has.
type xattr struct {
	name  string
	value []byte
}

// xattrSpace is simple_xattr_space: what an attribute takes of the room for
// inodes.
func xattrSpace(name string, value []byte) int64 { return int64(40 + len(value) + len(name)) }

func (ino *Inode) findXattr(name string) (int, bool) {
	return slices.BinarySearchFunc(ino.xattrs, name, func(x xattr, name string) int { return strings.Compare(x.name, name) })
}

// CheckXattr is setxattr_copy, and for other calls import_xattr_name: what is
// refused before the file is looked for.
func CheckXattr(name string, value []byte, flags int) error {
	switch {
	case flags&^(sys.XATTR_CREATE|sys.XATTR_REPLACE) != 0, strings.IndexByte(name, 0) >= 0:
		return sys.EINVAL
	case name == "", len(name) > sys.XATTR_NAME_MAX:
		return sys.ERANGE
	case len(value) > sys.XATTR_SIZE_MAX:
		return sys.E2BIG
	}
	return nil
}

// xattrPath is the file that a call on a path is about.
func (k *Tree) xattrPath(t *Task, path string, atflags int) (Path, error) {
	if atflags&^sys.AT_SYMLINK_NOFOLLOW != 0 {
		return Path{}, sys.EINVAL
	}
	return k.lookup(t, path, lookupFlags(atflags))
}

// Setxattr is setxattr(2), or with AT_SYMLINK_NOFOLLOW lsetxattr(2).
func (k *Tree) Setxattr(t *Task, path, name string, value []byte, flags, atflags int) error {
	if err := CheckXattr(name, value, flags); err != nil {
		return err
	}
	p, err := k.xattrPath(t, path, atflags)
	if err != nil {
		return err
	}
	return p.setxattr(t, name, value, flags)
}

// Getxattr is getxattr(2), or with AT_SYMLINK_NOFOLLOW lgetxattr(2).
func (k *Tree) Getxattr(t *Task, path, name string, value []byte, atflags int) (int, error) {
	if err := CheckXattr(name, nil, 0); err != nil {
		return 0, err
	}
	p, err := k.xattrPath(t, path, atflags)
	if err != nil {
		return 0, err
	}
	return p.getxattr(t, name, value)
}

// Listxattr is listxattr(2), or with AT_SYMLINK_NOFOLLOW llistxattr(2).
func (k *Tree) Listxattr(t *Task, path string, atflags int) ([]string, error) {
	p, err := k.xattrPath(t, path, atflags)
	if err != nil {
		return nil, err
	}
	return p.listxattr(t)
}

// Removexattr is removexattr(2), or with AT_SYMLINK_NOFOLLOW lremovexattr(2).
func (k *Tree) Removexattr(t *Task, path, name string, atflags int) error {
	if err := CheckXattr(name, nil, 0); err != nil {
		return err
	}
	p, err := k.xattrPath(t, path, atflags)
	if err != nil {
		return err
	}
	return p.removexattr(t, name)
}

// Setxattr is fsetxattr(2) with what CheckXattr has let through.
func (d *Description) Setxattr(t *Task, name string, value []byte, flags int) error {
	p, err := d.openPlace(t)
	if err != nil {
		return err
	}
	return p.setxattr(t, name, value, flags)
}

// Getxattr is fgetxattr(2) with a name that CheckXattr has let through.
func (d *Description) Getxattr(t *Task, name string, value []byte) (int, error) {
	p, err := d.openPlace(t)
	if err != nil {
		return 0, err
	}
	return p.getxattr(t, name, value)
}

// Listxattr is flistxattr(2).
func (d *Description) Listxattr(t *Task) ([]string, error) {
	p, err := d.openPlace(t)
	if err != nil {
		return nil, err
	}
	return p.listxattr(t)
}

// Removexattr is fremovexattr(2) with a name that CheckXattr has let through.
func (d *Description) Removexattr(t *Task, name string) error {
	p, err := d.openPlace(t)
	if err != nil {
		return err
	}
	return p.removexattr(t, name)
}

// xattrPermission is xattr_permission; write: the attribute is to be changed.
func (p Path) xattrPermission(t *Task, name string, write bool) error {
	ino := p.Dentry.inode
	refused, mask := sys.ENODATA, uint32(mayRead)
	if write {
		refused, mask = sys.EPERM, mayWrite
	}
	switch namespace(name) {
	case "security.", "system.":
		return nil
	case "trusted.":
		if !t.Cred.Has(sys.CAP_SYS_ADMIN) {
			return refused
		}
		return nil
	case "user.":
		switch mode := ino.mode.Load(); mode & sys.S_IFMT {
		case sys.S_IFREG:
		case sys.S_IFDIR:
			if write && mode&sys.S_ISVTX != 0 && !ino.ownerOrCapable(t.Cred) {
				return sys.EPERM
			}
		default:
			return refused
		}
	}
	return ino.permission(t, p.Mount, mask)
}

// namespace is what a name begins with, its first dot included.
func namespace(name string) string { return name[:strings.IndexByte(name, '.')+1] }

// xattrHandler is xattr_resolve_name with the handlers of tmpfs. There are no
// ACLs, as if it were mounted with noacl.
func (ino *Inode) xattrHandler(name string) error {
	if !ino.shmem() { // procfs, pipefs, anonymous inodes
		return sys.EOPNOTSUPP
	}
	switch ns := namespace(name); ns {
	case "security.", "trusted.", "user.":
		if name == ns {
			return sys.EINVAL
		}
		return nil
	}
	return sys.EOPNOTSUPP
}

// capXattr is XATTR_NAME_CAPS. No executable of the simulated kernel has
// capabilities of its own, so it must not seem to get some.
const capXattr = "security.capability"

// changeXattr are the checks before an attribute is set or removed.
func (p Path) changeXattr(t *Task, name string) error {
	if err := p.Mount.wantWrite(t); err != nil {
		return err
	}
	if err := p.xattrPermission(t, name, true); err != nil {
		return err
	}
	// cap_inode_setxattr, cap_inode_removexattr
	if namespace(name) == "security." && name != capXattr && !t.Cred.Has(sys.CAP_SYS_ADMIN) && !p.Dentry.inode.private() {
		return sys.EPERM
	}
	return nil
}

// setxattr is do_setxattr with shmem_xattr_handler_set.
func (p Path) setxattr(t *Task, name string, value []byte, flags int) error {
	if err := p.changeXattr(t, name); err != nil {
		return err
	}
	ino := p.Dentry.inode
	if ino.socketed() {
		_, _, err, _ := ino.sockXattr(name)
		return err
	}
	if err := ino.xattrHandler(name); err != nil {
		return err
	}
	if name == capXattr {
		return sys.ENOSYS
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	l := &ino.fs.limits
	space := xattrSpace(name, value)
	if err := l.reserveInode(space); err != nil { // also when it replaces another
		return err
	}
	i, found := ino.findXattr(name)
	switch {
	case found && flags&sys.XATTR_CREATE != 0:
		l.reserveInode(-space)
		return sys.EEXIST
	case !found && flags&sys.XATTR_REPLACE != 0:
		l.reserveInode(-space)
		return sys.ENODATA
	case found:
		l.reserveInode(-xattrSpace(name, ino.xattrs[i].value))
		ino.xattrs[i].value = slices.Clone(value)
	default:
		ino.xattrs = slices.Insert(ino.xattrs, i, xattr{strings.Clone(name), slices.Clone(value)})
	}
	ino.touchC(ino.fs.tree.now(t))
	return nil
}

// xattr is the value of an attribute.
func (ino *Inode) xattr(name string) ([]byte, error) {
	if ino.socketed() {
		value, err, _, _ := ino.sockXattr(name)
		return []byte(value), err
	}
	if err := ino.xattrHandler(name); err != nil {
		return nil, err
	}
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	i, found := ino.findXattr(name)
	if !found {
		return nil, sys.ENODATA
	}
	return ino.xattrs[i].value, nil // never changed, only replaced
}

func (p Path) getxattr(t *Task, name string, value []byte) (int, error) {
	if err := p.xattrPermission(t, name, false); err != nil {
		return 0, err
	}
	ino := p.Dentry.inode
	v, err := ino.xattr(name)
	if err != nil {
		return 0, err
	}
	if len(value) > 0 && len(value) < len(v) {
		return 0, sys.ERANGE
	}
	copy(value, v)
	return len(v), nil
}

func (p Path) listxattr(t *Task) ([]string, error) {
	ino := p.Dentry.inode
	if ino.socketed() {
		return []string{sockProtoName}, nil
	}
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	var names []string
	for _, x := range ino.xattrs {
		if namespace(x.name) != "trusted." || t.Cred.Has(sys.CAP_SYS_ADMIN) { // simple_xattr_list
			names = append(names, x.name)
		}
	}
	return names, nil
}

func (p Path) removexattr(t *Task, name string) error {
	if err := p.changeXattr(t, name); err != nil {
		return err
	}
	ino := p.Dentry.inode
	if ino.socketed() {
		_, _, _, err := ino.sockXattr(name)
		return err
	}
	if err := ino.xattrHandler(name); err != nil {
		return err
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	i, found := ino.findXattr(name)
	if !found {
		return sys.ENODATA
	}
	ino.fs.limits.reserveInode(-xattrSpace(name, ino.xattrs[i].value))
	ino.xattrs = slices.Delete(ino.xattrs, i, i+1)
	ino.touchC(ino.fs.tree.now(t))
	return nil
}
