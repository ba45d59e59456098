package vfs

import "github.com/httpjail/httpjail/sys"

// Socketed is a File that has an inode of sockfs: a socket. Other files without a
// name are anonymous inodes, whose attributes nobody changes.
type Socketed interface {
	Inode() *Inode
}

// sockfsDev is the device number of sockfs.
const sockfsDev = 8

// NewSocketInode is sock_alloc: the inode of a socket, number ino, which belongs
// to t. proto is the name of its protocol.
func (k *Tree) NewSocketInode(t *Task, ino uint64, proto string) *Inode {
	i := k.sock.fs.newInode(sys.S_IFSOCK|0o777, t.Cred.Uid, t.Cred.Gid, k.now(t))
	i.ino, i.proto = ino, proto
	return i
}

// Stat is what fstat(2) says of a file that has the inode and no name.
func (ino *Inode) Stat(st *sys.Stat) { ino.stat(st) }

// place is where the inode is that calls on the description's attributes are
// about.
func (d *Description) place(t *Task) (Path, error) {
	if d.Path.Dentry != nil {
		return d.Path, nil
	}
	if f, ok := d.File.(Socketed); ok {
		ino := f.Inode()
		return Path{ino.fs.tree.sock, &Dentry{inode: ino}}, nil
	}
	var st sys.Stat
	if err := d.Stat(t, &st); err != nil {
		return Path{}, err
	}
	m := t.Root.Mount.fs.tree.anonInodes
	ino := &Inode{fs: m.fs, ino: st.Ino}
	ino.mode.Store(st.Mode)
	ino.uid.Store(st.Uid)
	ino.gid.Store(st.Gid)
	return Path{m, &Dentry{inode: ino}}, nil
}

// openPlace is place for the calls that a description of O_PATH is not open enough
// for. EBADF.
func (d *Description) openPlace(t *Task) (Path, error) {
	if d.IsPath() {
		return Path{}, sys.EBADF
	}
	return d.place(t)
}

// private is IS_PRIVATE, of anonymous inodes: they have no setattr, and security
// modules, that of the capabilities too, no say.
func (ino *Inode) private() bool { return ino.fs == ino.fs.tree.anonInodes.fs }

// socketed reports whether the inode is one of sockfs.
func (ino *Inode) socketed() bool { return ino.fs == ino.fs.tree.sock.fs }

// shmem reports whether the inode is one of tmpfs. Memory files are.
func (ino *Inode) shmem() bool {
	k := ino.fs.tree
	return ino.magic == nil && !ino.socketed() && !ino.private() && (ino.fs != k.anon.fs || ino.isRegular())
}

// sockXattr is what sockfs says of a name, in its three calls.
func (ino *Inode) sockXattr(name string) (value string, get, set, remove error) {
	switch {
	case name == sockProtoName:
		return ino.proto + "\x00", nil, sys.EOPNOTSUPP, sys.EOPNOTSUPP
	case namespace(name) == "security.": // a security module's affair, and there is none
		return "", sys.EOPNOTSUPP, sys.EOPNOTSUPP, sys.EAGAIN
	}
	return "", sys.EOPNOTSUPP, sys.EOPNOTSUPP, sys.EOPNOTSUPP
}

// sockProtoName is XATTR_NAME_SOCKPROTONAME.
const sockProtoName = "system.sockprotoname"
