package vfs

import (
	"sync"
	"sync/atomic"

	"github.com/httpjail/httpjail/sys"
)

// limits are what a filesystem has room for: struct shmem_sb_info of tmpfs.
type limits struct {
	pages     atomic.Int64 // 0: no limit
	used      atomic.Int64
	inodes    atomic.Int64 // in bytes, bogoInode each; 0: no limit
	inodeUsed atomic.Int64

	quotas  map[uint32]*quota // by user; set before the machine runs
	quotaMu sync.Mutex        // guards what they have used
}

// quota is what one user may have, and has: struct dquot.
type quota struct {
	pages, inodes         int64 // 0: no limit
	usedPages, usedInodes int64
}

// bogoInode is BOGO_INODE_SIZE: tmpfs counts inodes, names and extended
// attributes in bytes, and says that an inode has so many.
const bogoInode = 1024

// SetLimit makes the filesystem full at bytes, rounded up to pages; 0: never.
func (fs *FS) SetLimit(bytes int64) { fs.limits.pages.Store(pages(bytes)) }

// pages is how many pages hold so many bytes.
func pages(bytes int64) int64 { return (bytes + PageSize - 1) / PageSize }

// Used is how many bytes, in whole pages, the files take.
func (fs *FS) Used() int64 { return fs.limits.used.Load() * PageSize }

// SetInodeLimit is nr_inodes of tmpfs(5): beyond n inodes nothing can be made,
// ENOSPC. The root directory is one, each further hard link counts as one, and
// extended attributes take a part of one. 0: no limit.
func (fs *FS) SetInodeLimit(n int) { fs.limits.inodes.Store(int64(n) * bogoInode) }

// SetQuota is what the files of a user may take, in bytes, rounded up to pages,
// and how many inodes they may be; 0: no limit. EDQUOT: a call of a process
// without CAP_SYS_RESOURCE would exceed it. It is to be called before the machine
// runs.
func (fs *FS) SetQuota(uid uint32, bytes int64, inodes int) {
	q := &quota{pages: pages(bytes), inodes: int64(inodes)}
	fs.each(func(ino *Inode) {
		if ino.uid.Load() == uid {
			q.usedInodes++
			q.usedPages += ino.data.pages.Load()
		}
	})
	if fs.limits.quotas == nil {
		fs.limits.quotas = map[uint32]*quota{}
	}
	fs.limits.quotas[uid] = q
}

// each calls f with every inode that has a name.
func (fs *FS) each(f func(ino *Inode)) {
	seen := map[*Inode]bool{}
	var visit func(d *Dentry)
	visit = func(d *Dentry) {
		if !seen[d.inode] {
			f(d.inode)
		}
		seen[d.inode] = true
		if d.inode.dir == nil {
			return
		}
		for _, child := range d.inode.dir.list {
			if child != nil {
				visit(child)
			}
		}
	}
	fs.tree.mu.RLock()
	defer fs.tree.mu.RUnlock()
	visit(fs.root)
}

// reservePages takes n pages for a file (or gives back -n): shmem_inode_acct_blocks.
// ENOSPC, EDQUOT.
func (ino *Inode) reservePages(t *Task, n int64) error {
	l := &ino.fs.limits
	if used, limit := l.used.Add(n), l.pages.Load(); n > 0 && limit > 0 && used > limit {
		l.used.Add(-n)
		return sys.ENOSPC
	}
	if err := l.charge(t, ino.uid.Load(), n, 0); err != nil {
		l.used.Add(-n)
		return err
	}
	return nil
}

// reserveInode is shmem_reserve_inode, for n bytes. ENOSPC.
func (l *limits) reserveInode(n int64) error {
	if used, limit := l.inodeUsed.Add(n), l.inodes.Load(); n > 0 && limit > 0 && used > limit {
		l.inodeUsed.Add(-n)
		return sys.ENOSPC
	}
	return nil
}

// charge puts pages and inodes on a user's account: dquot_add_space,
// dquot_add_inodes. EDQUOT. t may be nil where something is given back.
func (l *limits) charge(t *Task, uid uint32, pages, inodes int64) error {
	q := l.quotas[uid]
	if q == nil {
		return nil
	}
	l.quotaMu.Lock()
	defer l.quotaMu.Unlock()
	over := pages > 0 && q.pages > 0 && q.usedPages+pages > q.pages ||
		inodes > 0 && q.inodes > 0 && q.usedInodes+inodes > q.inodes
	if over && !t.Cred.Has(sys.CAP_SYS_RESOURCE) { // ignore_hardlimit
		return sys.EDQUOT
	}
	q.usedPages += pages
	q.usedInodes += inodes
	return nil
}

// transfer puts a file on the account of another user: dquot_transfer. EDQUOT.
// ino.mu is held, so that no page comes meanwhile.
func (ino *Inode) transfer(t *Task, uid uint32) error {
	old := ino.uid.Load()
	if uid == old {
		return nil
	}
	pages := ino.data.pages.Load()
	if err := ino.fs.limits.charge(t, uid, pages, 1); err != nil {
		return err
	}
	return ino.fs.limits.charge(t, old, -pages, -1)
}
