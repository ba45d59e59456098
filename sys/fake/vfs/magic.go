package vfs

import (
	"hash/fnv"
	"io"

	"github.com/httpjail/httpjail/sys"
)

// MagicNode is a file of a synthetic filesystem, as procfs is. Its functions are
// called without any lock of this package, for each look-up anew. Which of them
// are set depends on the type in Mode.
type MagicNode struct {
	Mode     uint32 // S_IFDIR, S_IFLNK or S_IFREG, and permissions
	Uid, Gid uint32
	Ino      uint64 // 0: one is made from the path

	// Lookup is a directory's entry of that name. ENOENT.
	Lookup func(t *Task, name string) (*MagicNode, error)
	// List are a directory's entries in order, without "." and "..". Type may be
	// DT_UNKNOWN and Ino 0.
	List func(t *Task) []sys.Dirent
	// Text is the content of a regular file, or what readlink shows of a symlink.
	Text func(t *Task) (string, error)
	// Jump makes a symlink a magic one: it leads to that place, whatever Text
	// says. A zero Path stands for a file without a name (a socket): ENXIO.
	Jump func(t *Task) (Path, error)
	// Write is what writing to a regular file does; nil: EIO.
	Write func(t *Task, p []byte) (int, error)
}

// MountMagic mounts a synthetic filesystem at path. No permission is needed.
func (k *Tree) MountMagic(path, typ string, root *MagicNode, flags MountFlags) (*Mount, error) {
	fs := k.newFS(typ)
	return k.mount(path, newRoot(fs.magicInode(root, 1, k.start)), flags)
}

func (fs *FS) magicInode(n *MagicNode, number uint64, now int64) *Inode {
	ino := fs.newInode(n.Mode, n.Uid, n.Gid, now)
	ino.ino = number
	ino.magic = n
	ino.size.Store(0)
	return ino
}

// magicNumber is the inode number of a name in a directory: the same each time.
func magicNumber(n *MagicNode, dir *Inode, name string) uint64 {
	if n != nil && n.Ino != 0 {
		return n.Ino
	}
	h := fnv.New64a()
	var b [8]byte
	for i := range b {
		b[i] = byte(dir.ino >> (8 * i))
	}
	h.Write(b[:])
	io.WriteString(h, name)
	return h.Sum64()>>16 | 1<<32
}

// magicChild is child in a synthetic directory. Each look-up makes a new dentry.
// A name that is missing is an error and not a place for a new file, as in
// procfs: so that creat, mkdir and their like get ENOENT.
func (w *walker) magicChild(dir *Dentry, name string) (d *Dentry, err error) {
	var n *MagicNode
	w.unlocked(func() { n, err = dir.inode.magic.Lookup(w.t, name) })
	if err != nil {
		return nil, err
	}
	ino := dir.inode.fs.magicInode(n, magicNumber(n, dir.inode, name), w.k.now(w.t))
	return &Dentry{name: name, parent: dir, inode: ino}, nil
}

func (f *dirFile) magicDents(t *Task, pos int64) ([]sys.Dirent, int64, error) {
	ents := []sys.Dirent{
		{Ino: f.ino.ino, Type: sys.DT_DIR, Name: "."},
		{Ino: f.dentry.parent.inode.ino, Type: sys.DT_DIR, Name: ".."},
	}
	for _, e := range f.ino.magic.List(t) {
		if e.Ino == 0 {
			e.Ino = magicNumber(nil, f.ino, e.Name)
		}
		ents = append(ents, e)
	}
	return ents[min(pos, int64(len(ents))):], max(pos, int64(len(ents))), nil
}

// magicFile is the File of an open synthetic file. Its text is made when it is
// read from the start, and read on from what was made, as a seq_file is.
type magicFile struct {
	anonymous
	text string
}

func openMagic(_ *Task, ino *Inode) (File, error) {
	return &magicFile{anonymous: anonymous{ino}}, nil
}

func (f *magicFile) Ready() int16 { return sys.POLLIN | sys.POLLOUT }

func (f *magicFile) Read(t *Task, d *Description, p []byte) (int, error) {
	d.mu.Lock()
	pos := d.pos
	d.mu.Unlock()
	n, err := f.Pread(t, d, p, pos)
	d.mu.Lock()
	d.pos = pos + int64(n)
	d.mu.Unlock()
	return n, err
}

func (f *magicFile) Pread(t *Task, d *Description, p []byte, off int64) (int, error) {
	if f.ino.magic.Text == nil {
		return 0, sys.EIO
	}
	var text string
	if off == 0 {
		var err error
		if text, err = f.ino.magic.Text(t); err != nil {
			return 0, err
		}
		f.ino.mu.Lock()
		f.text = text
		f.ino.mu.Unlock()
	} else {
		f.ino.mu.RLock()
		text = f.text
		f.ino.mu.RUnlock()
	}
	if off >= int64(len(text)) {
		return 0, nil
	}
	return copy(p, text[off:]), nil
}

func (f *magicFile) Write(t *Task, d *Description, p []byte) (int, error) {
	if f.ino.magic.Write == nil {
		return 0, sys.EIO
	}
	return f.ino.magic.Write(t, p)
}

func (f *magicFile) Pwrite(t *Task, d *Description, p []byte, _ int64) (int, error) {
	return f.Write(t, d, p)
}

func (f *magicFile) Seek(_ *Task, pos, off int64, whence int) (int64, error) {
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
