package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// maxSymlinks is MAXSYMLINKS: the links that one path resolution follows.
const maxSymlinks = 40

// Flags of a walk, LOOKUP_* of Linux.
const (
	lookupFollow    = 1 << iota // a symlink as the last component
	lookupDirectory             // the result must be a directory
	lookupEmpty                 // an empty path is where it starts
	lookupUmount                // for umount2: the mount does not count as used
)

// walker resolves one path: struct nameidata of Linux. It holds Tree.mu, for
// writing if write is set, and lets go of it only for the hooks of a synthetic
// filesystem.
type walker struct {
	k       *Tree
	t       *Task
	write   bool
	flags   int
	resolve int // RESOLVE_*
	root    Path
	rooted  bool // root was needed, see jumpRoot
	path    Path
	links   int

	// The last component, which linkPath leaves to the caller.
	last     string
	kind     lastKind
	trailing bool // a slash follows it
	parent   *Inode
}

type lastKind int

const (
	lastNorm lastKind = iota
	lastRoot          // the path was only slashes
	lastDot
	lastDotdot
)

func kindOf(name string) lastKind {
	switch name {
	case ".":
		return lastDot
	case "..":
		return lastDotdot
	}
	return lastNorm
}

// unlocked runs a hook without Tree.mu.
func (w *walker) unlocked(hook func()) {
	if w.write {
		w.k.mu.Unlock()
		defer w.k.mu.Lock()
	} else {
		w.k.mu.RUnlock()
		defer w.k.mu.RLock()
	}
	hook()
}

// checkName is getname: what is wrong with a path before it is looked at.
func checkName(name string) error {
	switch {
	case name == "":
		return sys.ENOENT
	case len(name) >= sys.PATH_MAX:
		return sys.ENAMETOOLONG
	case strings.IndexByte(name, 0) >= 0:
		return sys.EINVAL // cannot be passed to the kernel at all
	}
	return nil
}

// start is path_init. base is where a relative path starts; the zero Path is
// AT_FDCWD.
func (w *walker) start(base Path, name string) error {
	w.root = w.t.Root
	if name == "" && w.flags&lookupEmpty != 0 {
		if w.path = base; base.Dentry == nil {
			w.path = w.t.Cwd
		}
		return nil
	}
	if err := checkName(name); err != nil {
		return err
	}
	if name[0] == '/' && w.resolve&sys.RESOLVE_IN_ROOT == 0 {
		if err := w.jumpRoot(); err != nil {
			return err
		}
	} else if base.Dentry == nil {
		w.path = w.t.Cwd
	} else if w.path = base; !base.Dentry.inode.isDir() {
		return sys.ENOTDIR
	}
	if w.resolve&(sys.RESOLVE_IN_ROOT|sys.RESOLVE_BENEATH) != 0 {
		w.root, w.rooted = w.path, true
	}
	return nil
}

// jumpRoot is nd_jump_root. Linux sets nd->root only when it is first needed, and
// the check for RESOLVE_NO_XDEV comes before that: an absolute symlink met by a
// relative path is refused though it stays on the mount.
func (w *walker) jumpRoot() error {
	if w.resolve&sys.RESOLVE_BENEATH != 0 {
		return sys.EXDEV
	}
	if w.resolve&sys.RESOLVE_NO_XDEV != 0 && w.path.Mount != nil && (!w.rooted || w.path.Mount != w.root.Mount) {
		return sys.EXDEV
	}
	w.path, w.rooted = w.root, true
	return nil
}

// lookup is path_lookupat.
func (w *walker) lookup(base Path, name string) (Path, error) {
	if err := w.start(base, name); err != nil {
		return Path{}, err
	}
	for name != "" {
		if err := w.linkPath(name); err != nil {
			return Path{}, err
		}
		var err error
		if name, err = w.lastStep(); err != nil {
			return Path{}, err
		}
	}
	if w.flags&lookupDirectory != 0 && !w.path.Dentry.inode.isDir() {
		return Path{}, sys.ENOTDIR
	}
	w.used()
	return w.path, nil
}

// used ends MNT_EXPIRE's mark on the mount where the walk ended: mntput.
func (w *walker) used() {
	if w.path.Mount.expiring.Load() && w.flags&lookupUmount == 0 {
		w.path.Mount.expiring.Store(false)
	}
}

// lookupParent is filename_parentat: w.path becomes the directory of the last
// component, which is not looked up.
func (w *walker) lookupParent(name string) error {
	if err := w.start(Path{}, name); err != nil {
		return err
	}
	return w.linkPath(name)
}

// linkPath is link_path_walk: it goes through all components of name but the
// last, symlinks included.
func (w *walker) linkPath(name string) error {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		w.last, w.kind, w.trailing = "", lastRoot, false
		return nil
	}
	var stack []string // what is left behind each symlink on the way
	for {
		dir := w.path.Dentry.inode
		if err := dir.permission(w.t, w.path.Mount, mayExec); err != nil {
			return err
		}
		comp, rest := name, ""
		slash := strings.IndexByte(name, '/')
		if slash >= 0 {
			comp = name[:slash]
			rest = strings.TrimLeft(name[slash:], "/")
		}
		if rest == "" {
			if len(stack) == 0 {
				w.last, w.kind, w.trailing = comp, kindOf(comp), slash >= 0
				w.parent = dir
				w.used()
				return nil
			}
			rest = stack[len(stack)-1]
			stack = stack[:len(stack)-1]
		}
		name = rest
		link, err := w.component(comp, kindOf(comp))
		if err != nil {
			return err
		}
		if link != "" {
			stack = append(stack, name)
			name = link
			continue
		}
		if !w.path.Dentry.inode.isDir() {
			return sys.ENOTDIR
		}
	}
}

// component is walk_component for one that is not the last.
func (w *walker) component(name string, kind lastKind) (link string, err error) {
	switch kind {
	case lastDot:
		return "", nil
	case lastDotdot:
		return "", w.dotdot()
	}
	d, err := w.child(name)
	if err != nil {
		return "", err
	}
	if d == nil {
		return "", sys.ENOENT
	}
	return w.into(d, false)
}

// lastStep is lookup_last: it takes the last component. link is what remains to
// be walked when that was a symlink.
func (w *walker) lastStep() (link string, err error) {
	switch w.kind {
	case lastRoot, lastDot:
		return "", nil
	case lastDotdot:
		return "", w.dotdot()
	}
	if w.trailing {
		w.flags |= lookupFollow | lookupDirectory
	}
	d, err := w.child(w.last)
	if err != nil {
		return "", err
	}
	if d == nil {
		return "", sys.ENOENT
	}
	return w.into(d, true)
}

// child looks a name up in the directory w.path; nil: there is none.
func (w *walker) child(name string) (*Dentry, error) {
	if len(name) > sys.NAME_MAX {
		return nil, sys.ENAMETOOLONG
	}
	ino := w.path.Dentry.inode
	if ino.magic != nil {
		return w.magicChild(w.path.Dentry, name)
	}
	return ino.dir.names[name], nil
}

// into is step_into: to the dentry, to what is mounted on it, or to a symlink's
// target. last: it is the last component of the path.
func (w *walker) into(d *Dentry, last bool) (link string, err error) {
	p := Path{w.path.Mount, d}
	if d.mounted {
		if p = w.k.down(p); p.Mount != w.path.Mount && w.resolve&sys.RESOLVE_NO_XDEV != 0 {
			return "", sys.EXDEV
		}
	}
	if !p.Dentry.inode.isSymlink() || last && w.flags&lookupFollow == 0 {
		w.path = p
		return "", nil
	}
	return w.follow(p, last)
}

// follow is pick_link.
func (w *walker) follow(p Path, last bool) (link string, err error) {
	if w.links++; w.links > maxSymlinks {
		return "", sys.ELOOP
	}
	ino := p.Dentry.inode
	if last && !w.mayFollow(ino) {
		return "", sys.EACCES
	}
	if w.resolve&sys.RESOLVE_NO_SYMLINKS != 0 || p.Mount.Flags()&MountNosymfollow != 0 {
		return "", sys.ELOOP
	}
	ino.touchAtime(w.t, p.Mount)
	if ino.magic != nil && ino.magic.Jump != nil {
		return "", w.jump(ino.magic)
	}
	link = ino.link
	if ino.magic != nil {
		w.unlocked(func() { link, err = ino.magic.Text(w.t) })
		if err != nil {
			return "", err
		}
	}
	if link[0] == '/' {
		if err := w.jumpRoot(); err != nil {
			return "", err
		}
		link = strings.TrimLeft(link, "/")
	}
	return link, nil
}

// mayFollow is may_follow_link: the sysctl protected_symlinks.
func (w *walker) mayFollow(ino *Inode) bool {
	const worldWritable = sys.S_ISVTX | 0o002
	uid := ino.uid.Load()
	return !w.k.ProtectedSymlinks || w.t.Cred.Uid == uid ||
		w.parent.mode.Load()&worldWritable != worldWritable || w.parent.uid.Load() == uid
}

// jump is nd_jump_link: a magic link leads straight to a place.
func (w *walker) jump(n *MagicNode) (err error) {
	if w.resolve&sys.RESOLVE_NO_MAGICLINKS != 0 {
		return sys.ELOOP
	}
	var to Path
	w.unlocked(func() { to, err = n.Jump(w.t) })
	if err != nil {
		return err
	}
	if to.Dentry == nil {
		return sys.ENXIO
	}
	if w.resolve&sys.RESOLVE_NO_XDEV != 0 && to.Mount != w.path.Mount ||
		w.resolve&(sys.RESOLVE_BENEATH|sys.RESOLVE_IN_ROOT) != 0 {
		return sys.EXDEV
	}
	w.path = to
	return nil
}

// dotdot is follow_dotdot: it stops at the root of the process and at the root
// of the tree, and nowhere else. A process whose working directory is outside
// its root never meets the former: the escape from chroot(2).
func (w *walker) dotdot() error {
	p := w.path
	w.rooted = true
	up := p != w.root
	for up && p.Dentry == p.Mount.root {
		// choose_mountpoint
		if p.Mount.parent == nil {
			up = false
			break
		}
		p = Path{p.Mount.parent, p.Mount.at}
		if p == w.root {
			up = false
		}
	}
	from := w.path.Mount
	switch {
	case up:
		if p.Mount != from && w.resolve&sys.RESOLVE_NO_XDEV != 0 {
			return sys.EXDEV
		}
		p.Dentry = p.Dentry.parent
		if !connected(p) {
			return sys.ENOENT
		}
	case w.resolve&sys.RESOLVE_BENEATH != 0:
		return sys.EXDEV
	default:
		p = w.path
	}
	// Something may be mounted there: step_into.
	w.path = w.k.down(p)
	if w.path.Mount != from && w.resolve&sys.RESOLVE_NO_XDEV != 0 {
		return sys.EXDEV
	}
	return nil
}

// connected is path_connected: a directory that was moved out of a bind mount has
// nothing above it that can be seen through the mount.
func connected(p Path) bool {
	root := p.Mount.root
	return root.parent == root || isAncestor(root, p.Dentry)
}

// lookup resolves a path and returns with Tree.mu released.
func (k *Tree) lookup(t *Task, path string, flags int) (Path, error) {
	return k.lookupAt(t, Path{}, path, flags)
}

// lookupAt is lookup from dir; the zero Path is AT_FDCWD.
func (k *Tree) lookupAt(t *Task, dir Path, path string, flags int) (Path, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	w := walker{k: k, t: t, flags: flags}
	return w.lookup(dir, path)
}

// Lookup resolves a path: for exec, mounts and the like. No permission on the
// file itself is needed.
func (k *Tree) Lookup(t *Task, path string, follow bool) (Path, error) {
	if follow {
		return k.lookup(t, path, lookupFollow)
	}
	return k.lookup(t, path, 0)
}

// Chdir resolves the path of chdir(2): a directory that may be searched. The
// result is held.
func (k *Tree) Chdir(t *Task, path string) (Path, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	w := walker{k: k, t: t, flags: lookupFollow | lookupDirectory}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return Path{}, err
	}
	return p.enter(t)
}

// enter holds a directory that t may search.
func (p Path) enter(t *Task) (Path, error) {
	if err := p.Dentry.inode.permission(t, p.Mount, mayExec); err != nil {
		return Path{}, err
	}
	p.Hold()
	return p, nil
}

// Chroot resolves the path of chroot(2). EPERM without CAP_SYS_CHROOT. The result
// is held.
func (k *Tree) Chroot(t *Task, path string) (Path, error) {
	p, err := k.Chdir(t, path)
	if err != nil {
		return Path{}, err
	}
	if !t.Cred.Has(sys.CAP_SYS_CHROOT) {
		p.Drop()
		return Path{}, sys.EPERM
	}
	return p, nil
}

// Fchdir is the directory of fchdir(2), which is then held. ENOTDIR, EACCES.
func (k *Tree) Fchdir(t *Task, d *Description) (Path, error) {
	p := d.Path
	if p.Dentry == nil || !p.Dentry.inode.isDir() {
		return Path{}, sys.ENOTDIR
	}
	return p.enter(t)
}
