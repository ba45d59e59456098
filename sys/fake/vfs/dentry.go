package vfs

import (
	"slices"

	"github.com/httpjail/httpjail/sys"
)

// Dentry is a name in a directory, struct dentry of Linux. All dentries live in
// memory; a removed one keeps its name and parent for those that still use it.
// name and parent change by rename, under Tree.mu.
type Dentry struct {
	name    string
	parent  *Dentry // itself for the root of a filesystem
	inode   *Inode
	removed bool
	mounted bool // something is mounted here, through whatever mount
	mounts  int  // how often

	index  int   // in the parent's list
	cookie int64 // the getdents offset of the entry behind this one
}

// Inode is the inode that the name stands for.
func (d *Dentry) Inode() *Inode { return d.inode }

func newRoot(ino *Inode) *Dentry {
	d := &Dentry{name: "/", inode: ino}
	d.parent = d
	ino.fs.root = d
	return d
}

// directory are the names in a directory, in the order in which they came. A
// removed name leaves a hole in list, so that offsets of getdents stay valid;
// holes are closed when they are the half.
type directory struct {
	names map[string]*Dentry
	list  []*Dentry // nil: a hole
	next  int64     // the last cookie given out, less firstCookie
	dead  bool      // removed: nothing can be made in it
}

// firstCookie is the offset behind "." and "..".
const firstCookie = 2

func (dir *directory) add(parent, d *Dentry) {
	if dir.names == nil {
		dir.names = make(map[string]*Dentry)
	}
	dir.next++
	d.parent, d.index, d.cookie = parent, len(dir.list), dir.next+firstCookie
	d.removed = false
	dir.names[d.name] = d
	dir.list = append(dir.list, d)
	parent.inode.grow(len(dir.names))
}

func (dir *directory) remove(d *Dentry) {
	delete(dir.names, d.name)
	dir.list[d.index] = nil
	d.removed = true
	if len(dir.list) >= 32 && len(dir.names)*2 < len(dir.list) {
		dir.list = slices.DeleteFunc(dir.list, func(d *Dentry) bool { return d == nil })
		for i, d := range dir.list {
			d.index = i
		}
	}
}

// grow keeps the size of a directory as plausible as ext4's: whole blocks.
func (ino *Inode) grow(entries int) {
	if want := int64(entries/64+1) * PageSize; want > ino.size.Load() {
		ino.size.Store(want)
	}
}

// after is the index of the first entry with a cookie beyond pos.
func (dir *directory) after(pos int64) int {
	lo, hi := 0, len(dir.list)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		i := mid
		for i < hi && dir.list[i] == nil {
			i++
		}
		if i < hi && dir.list[i].cookie <= pos {
			lo = i + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// dirFile is the File of an open directory.
type dirFile struct {
	anonymous
	mount  *Mount
	dentry *Dentry
}

func (f *dirFile) Read(*Task, *Description, []byte) (int, error) { return 0, sys.EISDIR }
func (f *dirFile) Ready() int16                                  { return sys.POLLIN | sys.POLLOUT }
func (f *dirFile) Fsync(*Task) error                             { return nil }

// Pread and Pwrite fail as on Linux, where a directory is seekable.
func (f *dirFile) Pread(*Task, *Description, []byte, int64) (int, error) { return 0, sys.EISDIR }
func (f *dirFile) Pwrite(*Task, *Description, []byte, int64) (int, error) {
	return 0, sys.EBADF
}

// Seek is dcache_dir_lseek: any offset will do.
func (f *dirFile) Seek(_ *Task, pos, off int64, whence int) (int64, error) {
	switch whence {
	case sys.SEEK_SET:
	case sys.SEEK_CUR:
		off += pos
	default:
		return 0, sys.EINVAL
	}
	if off < 0 {
		return 0, sys.EINVAL
	}
	return off, nil
}

// direntBatch is how many bytes of struct linux_dirent64 one getdents returns:
// the buffer that glibc uses.
const direntBatch = 32 << 10

func (f *dirFile) Getdents(t *Task, pos int64) ([]sys.Dirent, int64, error) {
	ino := f.ino
	k := ino.fs.tree
	if ino.magic != nil {
		return f.magicDents(t, pos)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	dir := ino.dir
	if dir.dead {
		return nil, 0, sys.ENOENT
	}
	ino.touchAtime(t, f.mount)
	var ents []sys.Dirent
	if pos == 0 {
		ents = make([]sys.Dirent, 0, min(len(dir.names)+2, 1024))
	}
	size := 0
	emit := func(ino uint64, mode uint32, name string) {
		ents = append(ents, sys.Dirent{Ino: ino, Type: uint8(mode & sys.S_IFMT >> 12), Name: name})
		size += (19 + len(name) + 1 + 7) &^ 7 // the record's length
	}
	if pos == 0 {
		emit(ino.ino, sys.S_IFDIR, ".")
		pos++
	}
	if pos == 1 {
		emit(f.dentry.parent.inode.ino, sys.S_IFDIR, "..")
		pos++
	}
	for _, d := range dir.list[dir.after(pos):] {
		if d == nil {
			continue
		}
		if size >= direntBatch {
			break
		}
		emit(d.inode.ino, d.inode.mode.Load(), d.name)
		pos = d.cookie
	}
	return ents, pos, nil
}
