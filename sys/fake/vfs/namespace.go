package vfs

import (
	"slices"

	"github.com/httpjail/httpjail/sys"
)

// The calls of fs/namespace.c, in its order of checks. A mount is private or
// unbindable here: nothing propagates.

// Flags of mount(2) that are not simulated: how a filesystem writes, and what only
// the kernel uses.
const unsupportedMountFlags = ^(sys.MS_RDONLY | sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC | sys.MS_REMOUNT |
	sys.MS_NOSYMFOLLOW | sys.MS_NOATIME | sys.MS_NODIRATIME | sys.MS_BIND | sys.MS_MOVE | sys.MS_REC | sys.MS_SILENT |
	propagationFlags | sys.MS_RELATIME | sys.MS_STRICTATIME)

const (
	propagationFlags = sys.MS_UNBINDABLE | sys.MS_PRIVATE | sys.MS_SLAVE | sys.MS_SHARED
	atimeFlags       = MountNoatime | MountNodiratime | MountStrictatime

	// mountMax is /proc/sys/fs/mount-max: the mounts of a namespace.
	mountMax = 100000
)

// ns is the namespace that t is in.
func (k *Tree) nsOf(t *Task) *Namespace {
	if t.NS == nil {
		return k.ns
	}
	return t.NS
}

// mounter makes one call of this file. It holds Tree.mu for writing.
type mounter struct {
	k  *Tree
	t  *Task
	ns *Namespace
}

// lookup resolves a path of the call.
func (c *mounter) lookup(path string, flags int) (Path, error) {
	w := walker{k: c.k, t: c.t, write: true, flags: flags}
	return w.lookup(Path{}, path)
}

// mayMount is may_mount.
func (c *mounter) mayMount() error {
	if !c.t.Cred.Has(sys.CAP_SYS_ADMIN) {
		return sys.EPERM
	}
	return nil
}

// mounted is path_mounted: p is where a mount begins.
func (p Path) mounted() bool { return p.Dentry == p.Mount.root }

// DoMount is mount(2): do_mount and path_mount.
func (k *Tree) DoMount(t *Task, source, target, fstype string, flags int, data string) error {
	if len(source) >= sys.PATH_MAX || len(fstype) >= sys.PATH_MAX { // copy_mount_string
		return sys.EINVAL
	}
	data = data[:min(len(data), PageSize-1)] // copy_mount_options
	k.mu.Lock()
	defer k.mu.Unlock()
	c := mounter{k, t, k.nsOf(t)}
	p, err := c.lookup(target, lookupFollow)
	if err != nil {
		return err
	}
	const magicMask, magic = 0xffff0000, 0xc0ed0000 // of before Linux 2.4
	if uint32(flags)&magicMask == magic {
		flags &= 0xffff
	}
	if err := c.mayMount(); err != nil {
		return err
	}
	if flags&unsupportedMountFlags != 0 {
		return sys.ENOSYS
	}
	const mine = MountReadonly | MountNosuid | MountNodev | MountNoexec | MountNosymfollow | atimeFlags
	own := MountFlags(flags) & mine
	switch {
	case flags&sys.MS_STRICTATIME != 0:
		own &^= MountNoatime
	case flags&sys.MS_REMOUNT != 0 && flags&(sys.MS_NOATIME|sys.MS_NODIRATIME|sys.MS_RELATIME) == 0:
		own |= p.Mount.Flags() & atimeFlags // the default is that it stays as it is
	}
	switch {
	case flags&(sys.MS_REMOUNT|sys.MS_BIND) == sys.MS_REMOUNT|sys.MS_BIND:
		return c.reconfigure(p, own)
	case flags&sys.MS_REMOUNT != 0:
		return c.remount(p, own, data)
	case flags&sys.MS_BIND != 0:
		return c.bind(source, p, flags&sys.MS_REC != 0)
	case flags&propagationFlags != 0:
		return c.changeType(p, flags)
	case flags&sys.MS_MOVE != 0:
		return c.move(source, p)
	}
	return c.newMount(source, p, fstype, own, data)
}

// place is where something mounted at p goes: lock_mount with check_mnt. What is
// mounted there already is below it.
func (c *mounter) place(p Path) (Path, error) {
	p = c.k.down(p)
	switch {
	case p.Dentry.removed, p.Mount.ns == nil:
		return p, sys.ENOENT
	case p.Mount.ns != c.ns:
		return p, sys.EINVAL
	}
	return p, nil
}

// graft mounts a tree that is in no place yet: graft_tree. ENOTDIR: one of it and
// p is a directory.
func (c *mounter) graft(m *Mount, p Path) error {
	if m.root.inode.isDir() != p.Dentry.inode.isDir() {
		return sys.ENOTDIR
	}
	if len(c.ns.mounts) > mountMax {
		return sys.ENOSPC
	}
	c.k.attach(m, p)
	return nil
}

// newMount is do_new_mount.
func (c *mounter) newMount(source string, p Path, fstype string, flags MountFlags, data string) error {
	typ := c.k.filesystems[fstype]
	if typ == nil {
		return sys.ENODEV
	}
	options, err := typ.parse(data)
	if err != nil {
		return err
	}
	root := typ.make(c.t, options)
	if p, err = c.place(p); err != nil {
		return err
	}
	root.inode.fs.readonly.Store(flags&MountReadonly != 0 || options.readonly)
	m := c.k.newMount(c.ns, root, source, flags)
	if err := c.graft(m, p); err != nil {
		c.k.forget(m)
		return err
	}
	return nil
}

// reconfigure is do_reconfigure_mnt: MS_REMOUNT|MS_BIND.
func (c *mounter) reconfigure(p Path, flags MountFlags) error {
	m := p.Mount
	if m.ns != c.ns || !p.mounted() {
		return sys.EINVAL
	}
	if flags&MountReadonly != 0 && !m.readonly() && m.writers.Load() > 0 { // mnt_make_readonly
		return sys.EBUSY
	}
	m.flags.Store(int32(flags))
	return nil
}

// remount is do_remount with reconfigure_super.
func (c *mounter) remount(p Path, flags MountFlags, data string) error {
	m := p.Mount
	if m.ns != c.ns || !p.mounted() {
		return sys.EINVAL
	}
	typ := c.k.filesystems[m.fs.typ]
	if typ == nil {
		return sys.ENOSYS
	}
	change, err := typ.parse(data)
	if err != nil {
		return err
	}
	readonly := flags&MountReadonly != 0 || change.readonly
	if readonly {
		if err := m.fs.mayBeReadonly(); err != nil {
			return err
		}
	}
	if err := m.fs.change(change); err != nil {
		return err
	}
	m.fs.readonly.Store(readonly)
	m.flags.Store(int32(flags))
	return nil
}

// mayBeReadonly is sb_prepare_remount_readonly. EBUSY: a file is open for writing,
// or has no name and will have to be deleted.
func (fs *FS) mayBeReadonly() error {
	if !fs.readonly.Load() && (fs.writers.Load() > 0 || fs.removed.Load() > 0) {
		return sys.EBUSY
	}
	return nil
}

// bind is do_loopback.
func (c *mounter) bind(source string, p Path, recurse bool) error {
	if source == "" {
		return sys.EINVAL
	}
	from, err := c.lookup(source, lookupFollow)
	if err != nil {
		return err
	}
	if p, err = c.place(p); err != nil {
		return err
	}
	if from.Mount.unbindable || from.Mount.ns != c.ns {
		return sys.EINVAL
	}
	below := from.Mount.children // not what will be mounted
	m := c.k.clone(c.ns, from.Mount, from.Dentry)
	if err := c.graft(m, p); err != nil {
		c.k.forget(m)
		return err
	}
	if recurse {
		c.k.copyBelow(c.ns, below, from.Dentry, m, m, false, nil)
	}
	return nil
}

// clone is clone_mnt: another mount of m's filesystem, from root down. It is
// private even if m is unbindable.
func (k *Tree) clone(ns *Namespace, m *Mount, root *Dentry) *Mount {
	return k.newMount(ns, root, m.source, m.Flags())
}

// copyBelow copies those of children that are below dir, and what is below them,
// under to: copy_tree. It leaves skip out, and, unless all is set, what is
// unbindable. copied, if not nil, is told of each copy.
func (k *Tree) copyBelow(ns *Namespace, children []*Mount, dir *Dentry, to, skip *Mount, all bool, copied func(from, to *Mount)) {
	for _, child := range slices.Clone(children) {
		if child == skip || !isAncestor(dir, child.at) || child.unbindable && !all {
			continue
		}
		n := k.clone(ns, child, child.root)
		k.attach(n, Path{to, child.at})
		if copied != nil {
			copied(child, n)
		}
		k.copyBelow(ns, child.children, child.root, n, skip, all, copied)
	}
}

// changeType is do_change_type.
func (c *mounter) changeType(p Path, flags int) error {
	if !p.mounted() {
		return sys.EINVAL
	}
	typ := flags &^ (sys.MS_REC | sys.MS_SILENT)
	switch typ {
	case sys.MS_PRIVATE, sys.MS_SLAVE, sys.MS_UNBINDABLE:
	case sys.MS_SHARED:
		return sys.ENOSYS // mounts do not propagate here
	default: // several, or others
		return sys.EINVAL
	}
	if p.Mount.ns != c.ns {
		return sys.EINVAL
	}
	for m := range p.Mount.tree() {
		// Making a private mount a slave has no effect, see mount_namespaces(7).
		if typ != sys.MS_SLAVE {
			m.unbindable = typ == sys.MS_UNBINDABLE
		}
		if flags&sys.MS_REC == 0 {
			break
		}
	}
	return nil
}

// tree is m and what is mounted below it, parents first: next_mnt.
func (m *Mount) tree() func(yield func(*Mount) bool) {
	return func(yield func(*Mount) bool) { m.walk(yield) }
}

func (m *Mount) walk(yield func(*Mount) bool) bool {
	if !yield(m) {
		return false
	}
	for _, c := range m.children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// move is do_move_mount.
func (c *mounter) move(source string, to Path) error {
	if source == "" {
		return sys.EINVAL
	}
	from, err := c.lookup(source, lookupFollow)
	if err != nil {
		return err
	}
	m := from.Mount
	if !from.mounted() || m.root.inode.isDir() != to.Dentry.inode.isDir() {
		return sys.EINVAL
	}
	if to, err = c.place(to); err != nil {
		return err
	}
	if m.ns != c.ns || m.parent == nil {
		return sys.EINVAL
	}
	for p := to.Mount; p != nil; p = p.parent {
		if p == m {
			return sys.ELOOP
		}
	}
	c.k.detach(m)
	c.k.attach(m, to)
	return nil
}

// DoUmount is umount2(2): can_umount and do_umount.
func (k *Tree) DoUmount(t *Task, target string, flags int) error {
	if flags&^(sys.MNT_FORCE|sys.MNT_DETACH|sys.MNT_EXPIRE|sys.UMOUNT_NOFOLLOW) != 0 {
		return sys.EINVAL
	}
	lookup := lookupUmount
	if flags&sys.UMOUNT_NOFOLLOW == 0 {
		lookup |= lookupFollow
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := mounter{k, t, k.nsOf(t)}
	p, err := c.lookup(target, lookup)
	if err != nil {
		return err
	}
	if err := c.mayMount(); err != nil {
		return err
	}
	p = k.down(p) // LOOKUP_MOUNTPOINT
	m := p.Mount
	if !p.mounted() || m.ns != c.ns {
		return sys.EINVAL
	}
	busy := len(m.children) > 0 || m.users.Load() > 0
	if flags&sys.MNT_EXPIRE != 0 {
		if m == t.Root.Mount || flags&(sys.MNT_FORCE|sys.MNT_DETACH) != 0 {
			return sys.EINVAL
		}
		if busy {
			return sys.EBUSY
		}
		if !m.expiring.Swap(true) {
			return sys.EAGAIN
		}
	}
	if m == t.Root.Mount && flags&sys.MNT_DETACH == 0 {
		err := m.fs.mayBeReadonly() // do_umount_root
		if err == nil {
			m.fs.readonly.Store(true)
		}
		return err
	}
	switch {
	case m.parent == nil: // the absolute root
		return sys.EINVAL
	case flags&sys.MNT_DETACH == 0 && busy:
		return sys.EBUSY
	}
	k.umountTree(m)
	return nil
}

// umountTree takes m and what is mounted below it out of the namespace. They are
// taken apart: who is in one of them no longer sees the others.
func (k *Tree) umountTree(m *Mount) {
	var all []*Mount
	for m := range m.tree() {
		all = append(all, m)
	}
	for _, m := range slices.Backward(all) {
		if m.parent != nil {
			k.detach(m)
		}
		k.forget(m)
	}
}

// forget takes m out of its namespace's list. It ends with its last user.
func (k *Tree) forget(m *Mount) {
	m.ns.mounts = slices.DeleteFunc(m.ns.mounts, func(o *Mount) bool { return o == m })
	m.ns = nil
	m.gone.Store(true)
	if m.users.Load() == 0 {
		m.unpin()
	}
}

// mountPoint is is_local_mountpoint: something is mounted on d in t's namespace.
func (k *Tree) mountPoint(t *Task, d *Dentry) bool {
	if !d.mounted {
		return false
	}
	ns := k.nsOf(t)
	return slices.ContainsFunc(ns.mounts, func(m *Mount) bool { return m.at == d })
}

// detachMounts unmounts what other namespaces have mounted on d, which was removed:
// detach_mounts.
func (k *Tree) detachMounts(d *Dentry) {
	for d.mounted {
		// Which comes first cannot be seen: each is in a namespace of its own, or was
		// reached by another mount.
		for at, m := range k.mounts {
			if at.Dentry == d {
				k.umountTree(m)
				break
			}
		}
	}
}

// Unshare is copy_mnt_ns: a copy of ns, and where root and cwd are in it.
func (k *Tree) Unshare(ns *Namespace, root, cwd Path) (*Namespace, Path, Path) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := &Namespace{tree: k}
	move := func(from, to *Mount) {
		if root.Mount == from {
			root.Mount = to
		}
		if cwd.Mount == from {
			cwd.Mount = to
		}
	}
	n.root = k.clone(n, ns.root, ns.root.root)
	move(ns.root, n.root)
	k.copyBelow(n, ns.root.children, ns.root.root, n.root, nil, true, move)
	return n, root, cwd
}

// PivotRoot is pivot_root(2). Who has from as its root or working directory has to
// be given to: chroot_fs_refs.
func (k *Tree) PivotRoot(t *Task, newRoot, putOld string) (from, to Path, err error) {
	fail := func(err error) (Path, Path, error) { return Path{}, Path{}, err }
	k.mu.Lock()
	defer k.mu.Unlock()
	c := mounter{k, t, k.nsOf(t)}
	if err := c.mayMount(); err != nil {
		return fail(err)
	}
	to, err = c.lookup(newRoot, lookupFollow|lookupDirectory)
	if err != nil {
		return fail(err)
	}
	old, err := c.lookup(putOld, lookupFollow|lookupDirectory)
	if err != nil {
		return fail(err)
	}
	if old = k.down(old); old.Dentry.removed || old.Mount.ns == nil { // lock_mount
		return fail(sys.ENOENT)
	}
	root := t.Root
	rm, nm := root.Mount, to.Mount
	switch {
	case rm.ns != c.ns, nm.ns != c.ns:
		return fail(sys.EINVAL)
	case to.Dentry.removed:
		return fail(sys.ENOENT)
	case nm == rm, old.Mount == rm:
		return fail(sys.EBUSY)
	case !root.mounted(), rm.parent == nil, !to.mounted(), nm.parent == nil,
		!reachable(old, to), !reachable(to, root):
		return fail(sys.EINVAL)
	}
	at := Path{rm.parent, rm.at}
	k.detach(nm)
	k.detach(rm)
	k.attach(rm, old)
	k.attach(nm, at)
	return root, to, nil
}

// reachable is is_path_reachable: p is at or below root.
func reachable(p, root Path) bool {
	for p.Mount != root.Mount {
		if p.Mount.parent == nil {
			return false
		}
		p = Path{p.Mount.parent, p.Mount.at}
	}
	return isAncestor(root.Dentry, p.Dentry)
}
