package vfs

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Tree is a machine's mounts and all that is under them.
type Tree struct {
	// The sysctls of /proc/sys/fs that guard sticky directories, see proc(5). New
	// turns on the first two, as distributions do. They are set before the machine
	// runs.
	ProtectedSymlinks  bool
	ProtectedHardlinks bool
	ProtectedFifos     int // 0, 1 or 2
	ProtectedRegular   int
	// Random fills p for /dev/urandom.
	Random func(p []byte)

	start int64 // the real time when the machine's clock was 0
	root  Path

	mu      sync.RWMutex
	mounts  map[Path]*Mount // by where they are mounted
	ns      *Namespace      // the first
	nextDev atomic.Uint64

	lastMount int // the id given last

	filesystems map[string]*filesystem

	devices  map[device]Driver
	programs map[string]sys.Program
	anon     *Mount // of pipes and memory files
	sock     *Mount // of sockets
	// anonInodes is of what else has no name, as far as it can be seen: inodes are
	// made for it when they are asked for their attributes.
	anonInodes *Mount
	anonLocks  fileLocks
	locks      lockTable
}

// Mount is a filesystem at a place in the tree, struct mount of Linux. What is not
// atomic is guarded by Tree.mu.
type Mount struct {
	fs     *FS
	root   *Dentry
	id     int    // as statx(2) and /proc/PID/mountinfo say
	source string // as in /proc/mounts

	ns       *Namespace // nil: it was unmounted
	parent   *Mount     // nil for the root of a namespace, and when unmounted
	at       *Dentry    // in parent
	children []*Mount   // in the order in which they came

	unbindable bool // see MS_UNBINDABLE; other mounts are private

	flags    atomic.Int32
	users    atomic.Int32 // what keeps it from being unmounted, see Path.Hold
	writers  atomic.Int32 // descriptions that can write: mnt_get_writers
	expiring atomic.Bool  // MNT_EXPIRE marked it, and nobody used it since
	gone     atomic.Bool  // it was unmounted
	unpinned atomic.Bool  // it no longer keeps the inode of its root
}

// unpin lets go of the root, once: cleanup_mnt.
func (m *Mount) unpin() {
	if !m.unpinned.Swap(true) {
		m.root.inode.put()
	}
}

// FS is the mounted filesystem.
func (m *Mount) FS() *FS { return m.fs }

// MountFlags are the per-mount flags of mount(2).
type MountFlags int

// Flags of mount(2). Access times follow the rules of relatime unless
// MountNoatime or MountStrictatime is set.
const (
	MountReadonly    MountFlags = sys.MS_RDONLY
	MountNosuid      MountFlags = sys.MS_NOSUID
	MountNodev       MountFlags = sys.MS_NODEV
	MountNoexec      MountFlags = sys.MS_NOEXEC
	MountNosymfollow MountFlags = sys.MS_NOSYMFOLLOW
	MountNoatime     MountFlags = sys.MS_NOATIME
	MountNodiratime  MountFlags = sys.MS_NODIRATIME
	MountStrictatime MountFlags = sys.MS_STRICTATIME
)

// Flags are the mount's flags.
func (m *Mount) Flags() MountFlags { return MountFlags(m.flags.Load()) }

// SetFlags is mount(2) with MS_REMOUNT: MountReadonly makes the filesystem
// read-only too. Files that are open to write stay so.
func (m *Mount) SetFlags(flags MountFlags) {
	m.flags.Store(int32(flags))
	m.fs.readonly.Store(flags&MountReadonly != 0)
}

// readonly is __mnt_is_readonly.
func (m *Mount) readonly() bool {
	return m.Flags()&MountReadonly != 0 || m.fs.readonly.Load()
}

// Namespace is a mount namespace, see mount_namespaces(7).
type Namespace struct {
	tree   *Tree
	root   *Mount
	mounts []*Mount     // in the order in which they were made
	users  atomic.Int32 // who is in it
}

// Hold says that a process or thread is in ns.
func (ns *Namespace) Hold() { ns.users.Add(1) }

// Drop ends a Hold. The last one takes the mounts apart: free_mnt_ns.
func (ns *Namespace) Drop() {
	if ns.users.Add(-1) == 0 {
		ns.tree.mu.Lock()
		defer ns.tree.mu.Unlock()
		ns.tree.umountTree(ns.root)
	}
}

// Hold says that a process uses p: as its root or working directory, or runs it.
// The mount is busy and the inode stays until Drop was called as often.
func (p Path) Hold() {
	p.Mount.users.Add(1)
	p.Dentry.inode.get()
}

// Drop ends a Hold.
func (p Path) Drop() {
	if p.Mount.users.Add(-1) == 0 && p.Mount.gone.Load() {
		p.Mount.unpin()
	}
	p.Dentry.inode.put()
}

// New makes a tree with one filesystem, whose root directory is owned by root
// and has mode 0755. start is the real time when the machine's clock is 0.
func New(start time.Time) *Tree {
	k := &Tree{
		ProtectedSymlinks:  true,
		ProtectedHardlinks: true,
		start:              start.UnixNano(),
		mounts:             make(map[Path]*Mount),
		devices:            make(map[device]Driver),
		programs:           make(map[string]sys.Program),
		filesystems:        make(map[string]*filesystem),
		lastMount:          firstMount - 1,
	}
	k.registerTmpfs()
	// As on Linux the first filesystem is mounted over one that nobody sees, so that
	// it can be exchanged for another: init_mount_tree.
	ns := &Namespace{tree: k}
	ns.root = k.newMount(ns, newRoot(k.newFS("rootfs").newInode(sys.S_IFDIR|0o755, 0, 0, k.start)), "rootfs", 0)
	m := k.newMount(ns, newRoot(k.newFS("tmpfs").newInode(sys.S_IFDIR|0o755, 0, 0, k.start)), "tmpfs", 0)
	k.attach(m, Path{ns.root, ns.root.root})
	k.ns = ns
	k.root = Path{m, m.root}
	anon := k.newFS("anon")
	k.anon = &Mount{fs: anon, id: pipefsMount, root: newRoot(anon.newInode(sys.S_IFDIR|0o755, 0, 0, k.start))}
	k.sock = &Mount{fs: &FS{tree: k, dev: sockfsDev, typ: "sockfs"}, id: sockfsMount}
	k.anonInodes = &Mount{fs: &FS{tree: k, typ: "anon_inodefs"}, id: anonInodesMount}
	k.standardDevices()
	return k
}

func (k *Tree) newFS(typ string) *FS {
	fs := &FS{tree: k, dev: makedev(0, k.nextDev.Add(1)+0x20), typ: typ}
	fs.limits.inodeUsed.Store(bogoInode) // the root directory
	return fs
}

// Root is the root directory of the first mount.
func (k *Tree) Root() Path { return k.root }

// RootFS is the first filesystem.
func (k *Tree) RootFS() *FS { return k.root.Mount.fs }

// Namespace is the first mount namespace.
func (k *Tree) Namespace() *Namespace { return k.ns }

// Mount mounts a new, empty filesystem at path, whose root directory is owned by
// root and has mode 0755. No permission is needed.
func (k *Tree) Mount(path string, flags MountFlags) (*Mount, error) {
	fs := k.newFS("tmpfs")
	return k.mount(path, newRoot(fs.newInode(sys.S_IFDIR|0o755, 0, 0, k.start)), flags)
}

func (k *Tree) mount(path string, root *Dentry, flags MountFlags) (*Mount, error) {
	t := k.imageTask()
	k.mu.Lock()
	defer k.mu.Unlock()
	w := walker{k: k, t: t, write: true, flags: lookupFollow | lookupDirectory}
	p, err := w.lookup(Path{}, path)
	if err != nil {
		return nil, err
	}
	m := k.newMount(k.ns, root, root.inode.fs.typ, 0)
	m.SetFlags(flags)
	k.attach(m, k.down(p))
	return m, nil
}

// newMount makes a mount that is not attached yet. Tree.mu is held for writing,
// or the tree is new.
func (k *Tree) newMount(ns *Namespace, root *Dentry, source string, flags MountFlags) *Mount {
	k.lastMount++
	m := &Mount{fs: root.inode.fs, root: root, id: k.lastMount, source: source, ns: ns}
	m.flags.Store(int32(flags))
	root.inode.get()
	ns.mounts = append(ns.mounts, m)
	return m
}

// attach puts m at a place where nothing is mounted: attach_mnt.
func (k *Tree) attach(m *Mount, at Path) {
	m.parent, m.at = at.Mount, at.Dentry
	m.parent.children = append(m.parent.children, m)
	k.mounts[at] = m
	at.Dentry.mounts++
	at.Dentry.mounted = true
}

// detach takes m away from its place: umount_mnt.
func (k *Tree) detach(m *Mount) {
	delete(k.mounts, Path{m.parent, m.at})
	m.parent.children = slices.DeleteFunc(m.parent.children, func(c *Mount) bool { return c == m })
	m.at.mounts--
	m.at.mounted = m.at.mounts > 0
	m.parent, m.at = nil, nil
}

// Mounts are the mounts of the first namespace in the order of mounting, without
// the one that nobody sees.
func (k *Tree) Mounts() []*Mount {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return append([]*Mount(nil), k.ns.mounts[1:]...)
}

// Type is the filesystem's type, as in /proc/mounts.
func (m *Mount) Type() string { return m.fs.typ }

// Path is the mount's root.
func (m *Mount) Path() Path { return Path{m, m.root} }

// down goes to what is mounted on p, if anything: traverse_mounts.
func (k *Tree) down(p Path) Path {
	for p.Dentry.mounted {
		m := k.mounts[p]
		if m == nil {
			break
		}
		p = Path{m, m.root}
	}
	return p
}

// wantWrite is mnt_want_write. EROFS.
func (m *Mount) wantWrite(t *Task) error {
	if m.readonly() && !t.image {
		return sys.EROFS
	}
	return nil
}

// makedev is makedev(3): dev_t as stat(2) reports it.
func makedev(major, minor uint64) uint64 {
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12 | major&^0xfff<<32
}
