package vfs

import (
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
	list    []*Mount        // in the order of mounting
	nextDev atomic.Uint64

	devices  map[device]Driver
	programs map[string]sys.Program
	anon     *Mount // of pipes and memory files
	locks    lockTable
}

// Mount is a filesystem at a place in the tree, struct mount of Linux.
type Mount struct {
	fs     *FS
	id     int // as statx(2) says
	root   *Dentry
	parent *Mount  // nil for the first
	at     *Dentry // in parent
	flags  atomic.Int32
}

// FS is the mounted filesystem.
func (m *Mount) FS() *FS { return m.fs }

// MountFlags are the per-mount flags of mount(2).
type MountFlags int

// Flags of mount(2).
const (
	MountReadonly MountFlags = 1 // MS_RDONLY
	MountNosuid   MountFlags = 2 // MS_NOSUID
	MountNodev    MountFlags = 4 // MS_NODEV
	MountNoexec   MountFlags = 8 // MS_NOEXEC
)

// Flags are the mount's flags.
func (m *Mount) Flags() MountFlags { return MountFlags(m.flags.Load()) }

// SetFlags is mount(2) with MS_REMOUNT. Files that are open to write stay so.
func (m *Mount) SetFlags(flags MountFlags) { m.flags.Store(int32(flags)) }

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
	}
	fs := k.newFS("tmpfs")
	m := &Mount{fs: fs, id: firstMount, root: newRoot(fs.newInode(sys.S_IFDIR|0o755, 0, 0, k.start))}
	k.list = []*Mount{m}
	k.root = Path{m, m.root}
	anon := k.newFS("anon")
	k.anon = &Mount{fs: anon, id: pipefsMount, root: newRoot(anon.newInode(sys.S_IFDIR|0o755, 0, 0, k.start))}
	k.standardDevices()
	return k
}

func (k *Tree) newFS(typ string) *FS {
	return &FS{tree: k, dev: makedev(0, k.nextDev.Add(1)+0x20), typ: typ}
}

// Root is the root directory of the first mount.
func (k *Tree) Root() Path { return k.root }

// RootFS is the first filesystem.
func (k *Tree) RootFS() *FS { return k.root.Mount.fs }

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
	m := &Mount{fs: root.inode.fs, id: firstMount + len(k.list), root: root, parent: p.Mount, at: p.Dentry}
	m.SetFlags(flags)
	k.mounts[p] = m
	p.Dentry.mounted = true
	k.list = append(k.list, m)
	return m, nil
}

// Mounts are all mounts in the order of mounting: type, place as seen from the
// first root, and flags.
func (k *Tree) Mounts() []*Mount {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return append([]*Mount(nil), k.list...)
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
	if m.Flags()&MountReadonly != 0 && !t.image {
		return sys.EROFS
	}
	return nil
}

// makedev is makedev(3): dev_t as stat(2) reports it.
func makedev(major, minor uint64) uint64 {
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12 | major&^0xfff<<32
}
