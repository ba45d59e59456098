package vfs

import "github.com/httpjail/httpjail/sys"

// Allocator is a file that fallocate(2) makes room for. Others: EOPNOTSUPP, or
// what their type says.
type Allocator interface {
	Fallocate(t *Task, mode uint32, off, n int64) error
}

// Fallocate is fallocate(2): vfs_fallocate, with what tmpfs does.
func (d *Description) Fallocate(t *Task, mode uint32, off, n int64) error {
	const known = sys.FALLOC_FL_KEEP_SIZE | sys.FALLOC_FL_PUNCH_HOLE | sys.FALLOC_FL_COLLAPSE_RANGE |
		sys.FALLOC_FL_ZERO_RANGE | sys.FALLOC_FL_INSERT_RANGE | sys.FALLOC_FL_UNSHARE_RANGE | fallocWriteZeroes
	if d.IsPath() {
		return sys.EBADF
	}
	if off < 0 || n <= 0 {
		return sys.EINVAL
	}
	if mode&^known != 0 {
		return sys.EOPNOTSUPP
	}
	keep := mode&sys.FALLOC_FL_KEEP_SIZE != 0
	switch mode &^ sys.FALLOC_FL_KEEP_SIZE { // one of them alone
	case 0, sys.FALLOC_FL_UNSHARE_RANGE, sys.FALLOC_FL_ZERO_RANGE:
	case sys.FALLOC_FL_PUNCH_HOLE:
		if !keep {
			return sys.EOPNOTSUPP
		}
	case sys.FALLOC_FL_COLLAPSE_RANGE, sys.FALLOC_FL_INSERT_RANGE, fallocWriteZeroes:
		if keep {
			return sys.EOPNOTSUPP
		}
	default:
		return sys.EOPNOTSUPP
	}
	if !d.writable() {
		return sys.EBADF
	}
	var st sys.Stat
	if err := d.Stat(t, &st); err != nil {
		return err
	}
	switch st.Mode & sys.S_IFMT {
	case sys.S_IFIFO:
		return sys.ESPIPE
	case sys.S_IFREG, sys.S_IFBLK:
	default: // a directory is never open to write
		return sys.ENODEV
	}
	if off > maxBytes-n {
		return sys.EFBIG
	}
	f, ok := d.File.(Allocator)
	if !ok {
		return sys.EOPNOTSUPP
	}
	return f.Fallocate(t, mode, off, n)
}

// fallocWriteZeroes is FALLOC_FL_WRITE_ZEROES, which golang.org/x/sys does not
// have and tmpfs does not do.
const fallocWriteZeroes = 0x80

// Fallocate is shmem_fallocate.
func (f *regular) Fallocate(t *Task, mode uint32, off, n int64) error {
	const supported = sys.FALLOC_FL_KEEP_SIZE | sys.FALLOC_FL_PUNCH_HOLE
	if mode&^supported != 0 {
		return sys.EOPNOTSUPP
	}
	ino := (*Inode)(f)
	ino.mu.Lock()
	defer ino.mu.Unlock()
	end := off + n
	if mode&sys.FALLOC_FL_PUNCH_HOLE != 0 {
		if ino.seals&sys.F_SEAL_WRITE != 0 {
			return sys.EPERM
		}
		ino.punch(off, end)
	} else {
		// inode_newsize_ok, though the size may be kept.
		if end > ino.size.Load() && uint64(end) > t.Fsize {
			t.Xfsz = true
			return sys.EFBIG
		}
		if ino.seals&sys.F_SEAL_GROW != 0 && end > ino.size.Load() {
			return sys.EPERM
		}
		if err := ino.allocate(t, off/PageSize, (end+PageSize-1)/PageSize); err != nil {
			return err
		}
		if mode&sys.FALLOC_FL_KEEP_SIZE == 0 && end > ino.size.Load() {
			ino.size.Store(end)
		}
	}
	ino.removePrivs(t.Cred)
	ino.touchMC(ino.fs.tree.now(t))
	return nil
}

// mostPages is how many pages one fallocate(2) makes in a filesystem without a
// limit: more than this the machine's memory is said not to hold. ENOSPC, as
// shmem_inode_acct_blocks returns it.
const mostPages = 1 << 20

// allocate makes room for the pages from first to end, or for none. A page that
// was made so is a hole to lseek(2) until it is written to, or until it is
// allocated once more, which has tmpfs clear it.
func (ino *Inode) allocate(t *Task, first, end int64) error {
	d, limit := &ino.data, ino.fs.limits.pages.Load()
	if n := end - first; n > mostPages || limit > 0 && n > limit {
		return sys.ENOSPC
	}
	var made []int64
	for i := first; i < end; i++ {
		pg := d.allocated(i)
		switch {
		case pg == nil:
			if err := ino.reservePages(t, 1); err != nil {
				for _, i := range made {
					d.setPage(i, nil)
				}
				d.pages.Add(-int64(len(made)))
				ino.reservePages(nil, -int64(len(made)))
				return err
			}
			d.pages.Add(1)
			made = append(made, i)
			if pg = d.regionPage(i); pg == nil && len(d.regions) > 0 {
				pg = alignedBytes(PageSize)
			} else if pg == nil {
				pg = page{}
			}
			d.setPage(i, pg)
		case len(pg) == 0:
			d.setPage(i, alignedBytes(64))
		}
	}
	return nil
}

// punch makes a hole from off to end, in bytes: whole pages are given back, of
// others a part is cleared.
func (ino *Inode) punch(off, end int64) {
	d := &ino.data
	first, last := (off+PageSize-1)/PageSize, end/PageSize // the whole pages
	part := func(from, to int64) {
		if pg := d.page(from / PageSize); pg != nil {
			at, n := int(from%PageSize), int(to-from)
			if at < len(pg) {
				d.clear(pg[at:min(at+n, len(pg))])
			}
		}
	}
	if first > last { // inside one page
		part(off, end)
		return
	}
	if off < first*PageSize {
		part(off, first*PageSize)
	}
	if last*PageSize < end {
		part(last*PageSize, end)
	}
	dropped := int64(0)
	for i := first; i < min(last, int64(len(d.near))); i++ {
		if d.near[i] != nil {
			d.near[i] = nil
			dropped++
		}
	}
	for i := range d.far {
		if i >= first && i < last {
			delete(d.far, i)
			dropped++
		}
	}
	for j := range d.regions {
		r := &d.regions[j]
		for i := max(first, r.first); i < min(last, r.first+r.pages()); i++ {
			d.clear(r.mem[(i-r.first)*PageSize : (i-r.first+1)*PageSize])
		}
	}
	d.pages.Add(-dropped)
	ino.reservePages(nil, -dropped)
}

// written reports whether page i is data to lseek(2).
func (d *data) written(i int64) bool { return len(d.page(i)) > 0 }

// Statfs is statfs(2).
func (k *Tree) Statfs(t *Task, path string, st *sys.Statfs) error {
	p, err := k.lookup(t, path, lookupFollow)
	if err != nil {
		return err
	}
	p.Mount.statfs(st, p.Dentry.inode)
	return nil
}

// Statfs is fstatfs(2), also of an O_PATH description.
func (d *Description) Statfs(t *Task, st *sys.Statfs) error {
	p, err := d.place(t)
	if err == nil {
		p.Mount.statfs(st, p.Dentry.inode)
	}
	return err
}

// simpleStatfs is simple_statfs: a filesystem that takes no space.
func simpleStatfs(st *sys.Statfs, typ int64) {
	*st = sys.Statfs{Type: typ, Bsize: PageSize, Frsize: PageSize, Namelen: sys.NAME_MAX, Flags: sys.ST_VALID}
}

// statfs is vfs_statfs, and shmem_statfs of a filesystem that holds files.
func (m *Mount) statfs(st *sys.Statfs, ino *Inode) {
	fs := m.fs
	switch {
	case m == fs.tree.sock:
		simpleStatfs(st, sys.SOCKFS_MAGIC)
		return
	case m == fs.tree.anonInodes:
		simpleStatfs(st, sys.ANON_INODE_FS_MAGIC)
		return
	case m == fs.tree.anon && !ino.isRegular():
		simpleStatfs(st, sys.PIPEFS_MAGIC)
		return
	case m == fs.tree.anon: // a memory file's own tmpfs
		simpleStatfs(st, sys.TMPFS_MAGIC)
		return
	case fs.typ == "proc":
		simpleStatfs(st, sys.PROC_SUPER_MAGIC)
	case fs.typ == "tmpfs":
		simpleStatfs(st, sys.TMPFS_MAGIC)
		l := &fs.limits
		if pages := l.pages.Load(); pages > 0 {
			st.Blocks = uint64(pages)
			st.Bfree = uint64(max(pages-l.used.Load(), 0))
			st.Bavail = st.Bfree
		}
		if inodes := l.inodes.Load(); inodes > 0 {
			st.Files = uint64(inodes / bogoInode)
			st.Ffree = uint64(max(inodes-l.inodeUsed.Load(), 0) / bogoInode)
		}
	default:
		panic("vfs: statfs of a filesystem of type " + fs.typ)
	}
	st.Fsid = [2]int32{int32(fs.dev), int32(fs.dev >> 32)}
	if m.Flags()&(MountNoatime|MountStrictatime) == 0 {
		st.Flags |= sys.ST_RELATIME
	}
	for _, f := range [...]struct {
		mount MountFlags
		st    int64
	}{{MountReadonly, sys.ST_RDONLY}, {MountNosuid, sys.ST_NOSUID}, {MountNodev, sys.ST_NODEV}, {MountNoexec, sys.ST_NOEXEC},
		{MountNoatime, sys.ST_NOATIME}, {MountNodiratime, sys.ST_NODIRATIME}, {MountNosymfollow, sys.ST_NOSYMFOLLOW}} {
		if m.Flags()&f.mount != 0 {
			st.Flags |= f.st
		}
	}
}
