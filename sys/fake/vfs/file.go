package vfs

import (
	"sync"
	"sync/atomic"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// Cred is what permission checks look at. It is immutable once published.
type Cred struct {
	Uid, Gid uint32 // the filesystem ids, see setfsuid(2)
	Groups   []uint32
	Caps     uint64 // the effective set; bit n is capability n
}

// Has reports whether the capability is in the effective set.
func (c *Cred) Has(cap int) bool { return c.Caps&(1<<cap) != 0 }

// inGroup is in_group_p of Linux.
func (c *Cred) inGroup(gid uint32) bool {
	if c.Gid == gid {
		return true
	}
	for _, g := range c.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// Task is the caller of a method, as far as the filesystem is concerned.
type Task struct {
	Thread *sched.Thread
	Cred   *Cred
	Root   Path
	Cwd    Path
	Umask  uint32
	Pid    int
	NS     *Namespace // nil is the first
	Owner  any        // whom POSIX locks belong to: the process; comparable
	Fsize  uint64     // RLIMIT_FSIZE, sys.RLIM_INFINITY for none
	Xfsz   bool       // set with an EFBIG that RLIMIT_FSIZE is the reason of

	image bool // the machine's owner: read-only mounts do not stop it
}

// Path is a place in the tree, struct path of Linux. It stays valid when what
// it names is renamed or removed. Paths are comparable.
type Path struct {
	Mount  *Mount
	Dentry *Dentry
}

// File is what is behind a Description: struct file_operations of Linux.
// Further methods are optional, see [Positioned], [Seeker], [Truncater],
// [Lister], [Mapper], [Syncer].
type File interface {
	// Read and Write move the description's offset, if the file has one. They
	// may rely on the access mode having been checked by Description.
	Read(t *Task, d *Description, p []byte) (int, error)
	Write(t *Task, d *Description, p []byte) (int, error)
	// Stat is asked of files without an inode in Path; the inode knows it itself.
	Stat(t *Task, st *sys.Stat) error
	// Ready are the poll(2) events that are true now.
	Ready() int16
	// Queue is woken when Ready may have changed. nil: always ready.
	Queue() *sched.Queue
	// Release is called when the last reference is gone. t may be nil.
	Release(t *Task)
}

// Positioned files can be read and written at an offset. Others: ESPIPE.
type Positioned interface {
	Pread(t *Task, d *Description, p []byte, off int64) (int, error)
	Pwrite(t *Task, d *Description, p []byte, off int64) (int, error)
}

// Seeker is a file whose offset lseek(2) moves. Others: ESPIPE. pos is the
// present offset, the result the new one.
type Seeker interface {
	Seek(t *Task, pos, off int64, whence int) (int64, error)
}

// Truncater is a file with a size that ftruncate(2) sets. Others: EINVAL.
type Truncater interface {
	Truncate(t *Task, size int64) error
}

// Lister is a directory. pos is the description's offset, next the new one.
type Lister interface {
	Getdents(t *Task, pos int64) (ents []sys.Dirent, next int64, err error)
}

// Mapper is a file that can be mapped. The memory is shared by all mappers, and
// its first byte is 8-byte aligned. Others: ENODEV.
type Mapper interface {
	Mmap(t *Task, off int64, length int, write bool) ([]byte, error)
}

// Syncer is a file that fsync(2) accepts. Others: EINVAL.
type Syncer interface {
	Fsync(t *Task) error
}

// Description is an open file description, struct file of Linux. Descriptors
// made by dup(2) and by inheritance share it.
type Description struct {
	File File
	Path Path // zero for files without a name: sockets, epoll

	flags  atomic.Int32 // of open(2), without those that only matter to open itself
	refs   atomic.Int32
	locks  *fileLocks // for a Description without an inode
	count  atomic.Pointer[atomic.Int64]
	opener *Cred // f_cred of Linux; see Opened

	mu  sync.Mutex
	pos int64
}

// NewDescription makes a description with one reference for a file without a
// name. flags are those of open(2): the access mode and O_NONBLOCK.
func NewDescription(f File, flags int) *Description {
	d := &Description{File: f, locks: &fileLocks{}}
	d.flags.Store(int32(flags &^ openOnly))
	d.refs.Store(1)
	return d
}

// Opened says, once, who has made the description, and adds it to a number of open
// files until its last reference is gone.
func (d *Description) Opened(by *Cred, n *atomic.Int64) {
	if d.count.CompareAndSwap(nil, n) {
		d.opener = by
		n.Add(1)
	}
}

// NewAnon is NewDescription for a file that on Linux has the one inode of
// anon_inodefs: epoll(7), signalfd(2). Locks on one meet those on another.
func (k *Tree) NewAnon(f File, flags int) *Description {
	d := NewDescription(f, flags)
	d.locks = &k.anonLocks
	return d
}

// openOnly are the flags that a description does not keep, see do_dentry_open.
const openOnly = sys.O_CREAT | sys.O_EXCL | sys.O_NOCTTY | sys.O_TRUNC | sys.O_CLOEXEC

// Incref takes another reference.
func (d *Description) Incref() { d.refs.Add(1) }

// Decref drops a reference. The last one drops the flock and OFD locks and
// releases the file. t may be nil.
func (d *Description) Decref(t *Task) {
	switch n := d.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("vfs: Description released twice")
	}
	if n := d.count.Load(); n != nil {
		n.Add(-1)
	}
	d.dropOwnLocks()
	if q := d.File.Queue(); q != nil {
		for _, w := range q.Watchers() {
			if w, ok := w.(ReleaseWatcher); ok {
				w.Released(d)
			}
		}
	}
	d.File.Release(t)
	if d.Inode() != nil {
		if d.holdsWrite() {
			d.Path.addWriter(-1)
		}
		d.Path.Drop()
	}
}

// addWriter counts the descriptions that can write the file: get_write_access and
// mnt_get_write_access.
func (p Path) addWriter(n int32) {
	p.Dentry.inode.writers.Add(n)
	p.Mount.writers.Add(n)
	p.Mount.fs.writers.Add(n)
}

// holdsWrite reports whether the description keeps others from executing the
// file: get_write_access.
func (d *Description) holdsWrite() bool {
	return d.writable() && d.Path.Dentry.inode.isRegular()
}

// ReleaseWatcher is a watcher of a file's queue that is told when the last
// reference to a description has gone, before the file is: eventpoll_release.
type ReleaseWatcher interface {
	sched.Watcher
	Released(d *Description)
}

// Refs is the number of references, for leak checks.
func (d *Description) Refs() int { return int(d.refs.Load()) }

// Inode is the inode behind the description, nil for a file without a name.
func (d *Description) Inode() *Inode {
	if d.Path.Dentry == nil {
		return nil
	}
	return d.Path.Dentry.inode
}

// Flags are what F_GETFL of fcntl(2) returns: the access mode, the status flags
// and, as on Linux, O_DIRECTORY, O_NOFOLLOW and O_PATH.
func (d *Description) Flags() int { return int(d.flags.Load()) }

// Nonblock reports O_NONBLOCK.
func (d *Description) Nonblock() bool { return d.flags.Load()&sys.O_NONBLOCK != 0 }

// IsPath reports O_PATH: the description names a file but cannot use it.
func (d *Description) IsPath() bool { return d.flags.Load()&sys.O_PATH != 0 }

func (d *Description) readable() bool {
	f := d.flags.Load()
	return f&sys.O_PATH == 0 && f&sys.O_ACCMODE != sys.O_WRONLY && f&sys.O_ACCMODE != sys.O_ACCMODE
}

func (d *Description) writable() bool {
	f := d.flags.Load()
	return f&sys.O_PATH == 0 && (f&sys.O_ACCMODE == sys.O_WRONLY || f&sys.O_ACCMODE == sys.O_RDWR)
}

// setfl are the flags that F_SETFL changes, SETFL_MASK of Linux less O_DIRECT.
const setfl = sys.O_APPEND | sys.O_NONBLOCK | sys.O_NOATIME

// SetFlags is F_SETFL of fcntl(2). EPERM: O_NOATIME on somebody else's file.
func (d *Description) SetFlags(t *Task, flags int) error {
	if d.IsPath() {
		return sys.EBADF
	}
	old := d.flags.Load()
	if flags&^int(old)&sys.O_NOATIME != 0 {
		p, err := d.place(t)
		if err != nil {
			return err
		}
		if !p.Dentry.inode.ownerOrCapable(t.Cred) {
			return sys.EPERM
		}
	}
	for !d.flags.CompareAndSwap(old, old&^setfl|int32(flags&setfl)) {
		old = d.flags.Load()
	}
	return nil
}

// Read is read(2).
func (d *Description) Read(t *Task, p []byte) (int, error) {
	if !d.readable() {
		return 0, sys.EBADF
	}
	return d.File.Read(t, d, p)
}

// Write is write(2). EPIPE comes without SIGPIPE and EFBIG without SIGXFSZ:
// signals are the caller's, see Task.Xfsz.
func (d *Description) Write(t *Task, p []byte) (int, error) {
	if !d.writable() {
		return 0, sys.EBADF
	}
	return d.File.Write(t, d, p)
}

// Writev is writev(2) of what its buffers hold together: the file is not asked to
// write nothing. An anonymous inode's cannot write at all.
func (d *Description) Writev(t *Task, p []byte) (int, error) {
	if len(p) == 0 && d.writable() {
		if at, err := d.place(t); err == nil && !at.Dentry.inode.private() {
			return 0, nil
		}
	}
	return d.Write(t, p)
}

// Pread is pread(2).
func (d *Description) Pread(t *Task, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, sys.EINVAL
	}
	if d.IsPath() {
		return 0, sys.EBADF
	}
	f, ok := d.File.(Positioned)
	if !ok {
		return 0, sys.ESPIPE
	}
	if !d.readable() {
		return 0, sys.EBADF
	}
	return f.Pread(t, d, p, off)
}

// Pwrite is pwrite(2).
func (d *Description) Pwrite(t *Task, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, sys.EINVAL
	}
	if d.IsPath() {
		return 0, sys.EBADF
	}
	f, ok := d.File.(Positioned)
	if !ok {
		return 0, sys.ESPIPE
	}
	if !d.writable() {
		return 0, sys.EBADF
	}
	return f.Pwrite(t, d, p, off)
}

// Lseek is lseek(2).
func (d *Description) Lseek(t *Task, off int64, whence int) (int64, error) {
	if d.IsPath() {
		return 0, sys.EBADF
	}
	if whence < sys.SEEK_SET || whence > sys.SEEK_HOLE {
		return 0, sys.EINVAL
	}
	f, ok := d.File.(Seeker)
	if !ok {
		return 0, sys.ESPIPE
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	pos, err := f.Seek(t, d.pos, off, whence)
	if err != nil {
		return 0, err
	}
	d.pos = pos
	return pos, nil
}

// Truncate is ftruncate(2).
func (d *Description) Truncate(t *Task, size int64) error {
	if size < 0 {
		return sys.EINVAL
	}
	if d.IsPath() {
		return sys.EBADF
	}
	f, ok := d.File.(Truncater)
	if !ok || !d.writable() {
		return sys.EINVAL
	}
	return f.Truncate(t, size)
}

// Fsync is fsync(2).
func (d *Description) Fsync(t *Task) error {
	if d.IsPath() {
		return sys.EBADF
	}
	f, ok := d.File.(Syncer)
	if !ok {
		return sys.EINVAL
	}
	return f.Fsync(t)
}

// Stat is fstat(2). It works on O_PATH descriptions.
func (d *Description) Stat(t *Task, st *sys.Stat) error {
	if ino := d.Inode(); ino != nil {
		ino.stat(st)
		return nil
	}
	return d.File.Stat(t, st)
}

// Getdents is getdents64(2): the next entries.
func (d *Description) Getdents(t *Task) ([]sys.Dirent, error) {
	if d.IsPath() {
		return nil, sys.EBADF
	}
	f, ok := d.File.(Lister)
	if !ok {
		return nil, sys.ENOTDIR
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ents, next, err := f.Getdents(t, d.pos)
	if err != nil {
		return nil, err
	}
	d.pos = next
	return ents, nil
}

// Mmap is mmap(2): the memory of a shared mapping is the file's own, that of a
// private one a copy. EACCES: the access mode does not allow it.
func (d *Description) Mmap(t *Task, off int64, length, prot, flags int) ([]byte, error) {
	if off%PageSize != 0 {
		return nil, sys.EINVAL
	}
	if d.IsPath() {
		return nil, sys.EBADF
	}
	if length <= 0 {
		return nil, sys.EINVAL
	}
	if off < 0 { // file_mmap_ok
		return nil, sys.EOVERFLOW
	}
	shared := flags&sys.MAP_SHARED != 0
	if shared == (flags&sys.MAP_PRIVATE != 0) {
		return nil, sys.EINVAL
	}
	if !d.readable() || shared && prot&sys.PROT_WRITE != 0 && !d.writable() {
		return nil, sys.EACCES
	}
	f, ok := d.File.(Mapper)
	if !ok {
		return nil, sys.ENODEV
	}
	if shared {
		p, err := f.Mmap(t, off, length, prot&sys.PROT_WRITE != 0)
		if err == nil {
			d.countMap(1)
		}
		return p, err
	}
	p := alignedBytes(length)
	if f, ok := d.File.(Positioned); ok {
		if _, err := f.Pread(t, d, p, off); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Munmap ends a mapping of Mmap.
func (d *Description) Munmap(shared bool) {
	if shared {
		d.countMap(-1)
	}
}

// countMap counts the shared mappings that could be made to write: VM_MAYWRITE,
// mapping_map_writable.
func (d *Description) countMap(n int) {
	if ino := d.Inode(); ino != nil && d.writable() {
		ino.mu.Lock()
		ino.writableMaps += n
		ino.mu.Unlock()
	}
}

// Ready are the poll(2) events that are true now.
func (d *Description) Ready() int16 { return d.File.Ready() }
