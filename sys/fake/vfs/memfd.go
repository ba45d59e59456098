package vfs

import (
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// anonName is the name of an inode without a place in the tree, as
// /proc/PID/fd shows it.
func anonName(kind string, ino uint64) string {
	return kind + ":[" + strconv.FormatUint(ino, 10) + "]"
}

// memfdNameMax is MFD_NAME_MAX_LEN.
const memfdNameMax = sys.NAME_MAX - len("memfd:")

// CheckMemfd is what memfd_create(2) refuses before it reserves a descriptor.
func CheckMemfd(name string, flags int) error {
	if flags&^(sys.MFD_CLOEXEC|sys.MFD_ALLOW_SEALING) != 0 || len(name) > memfdNameMax ||
		strings.IndexByte(name, 0) >= 0 {
		return sys.EINVAL
	}
	return nil
}

// NewMemfd is memfd_create(2). EINVAL: unknown flags, a name that is too long.
func (k *Tree) NewMemfd(t *Task, name string, flags int) (*Description, error) {
	if err := CheckMemfd(name, flags); err != nil {
		return nil, err
	}
	ino := k.anon.fs.newInode(sys.S_IFREG|0o777, t.Cred.Uid, t.Cred.Gid, k.now(t))
	ino.unlinked()
	if flags&sys.MFD_ALLOW_SEALING != 0 {
		ino.seals = 0
	}
	d := &Description{
		File: (*regular)(ino),
		Path: Path{k.anon, &Dentry{name: "/memfd:" + name + " (deleted)", inode: ino}},
	}
	d.Path.Hold()
	d.Path.addWriter(1)
	d.flags.Store(sys.O_RDWR | oLargefile)
	d.refs.Store(1)
	return d, nil
}

// Seals that sys does not name, see fcntl(2).
const (
	fSealFutureWrite = 0x10
	fSealExec        = 0x20
	allSeals         = sys.F_SEAL_SEAL | sys.F_SEAL_SHRINK | sys.F_SEAL_GROW | sys.F_SEAL_WRITE |
		fSealFutureWrite | fSealExec
)

// sealable is memfd_file_seals_ptr: only memory files have seals.
func (d *Description) sealable() *Inode {
	ino := d.Inode()
	if d.IsPath() || ino == nil || !ino.isRegular() || d.Path.Mount != ino.fs.tree.anon {
		return nil
	}
	return ino
}

// AddSeals is F_ADD_SEALS of fcntl(2), memfd_add_seals. EBUSY: F_SEAL_WRITE on
// a file that is mapped shared by a descriptor that can write, even to be read.
func (d *Description) AddSeals(seals int) error {
	if d.IsPath() {
		return sys.EBADF
	}
	if !d.writable() {
		return sys.EPERM
	}
	ino := d.sealable()
	if seals&^allSeals != 0 || ino == nil {
		return sys.EINVAL
	}
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if ino.seals&sys.F_SEAL_SEAL != 0 {
		return sys.EPERM
	}
	if seals&sys.F_SEAL_WRITE != 0 && ino.writableMaps > 0 {
		return sys.EBUSY
	}
	ino.seals |= seals
	return nil
}

// Seals is F_GET_SEALS.
func (d *Description) Seals() (int, error) {
	if d.IsPath() {
		return 0, sys.EBADF
	}
	ino := d.sealable()
	if ino == nil {
		return 0, sys.EINVAL
	}
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	return ino.seals, nil
}
