package vfs

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// regular is the File of an open regular file: the inode itself.
type regular Inode

func (f *regular) Ready() int16        { return sys.POLLIN | sys.POLLOUT }
func (f *regular) Queue() *sched.Queue { return nil }
func (f *regular) Release(*Task)       {}
func (f *regular) Fsync(*Task) error   { return nil }

func (f *regular) Stat(_ *Task, st *sys.Stat) error {
	(*Inode)(f).stat(st)
	return nil
}

func (f *regular) Read(t *Task, d *Description, p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := f.Pread(t, d, p, d.pos)
	d.pos += int64(n)
	return n, err
}

func (f *regular) Pread(t *Task, d *Description, p []byte, off int64) (int, error) {
	ino := (*Inode)(f)
	ino.mu.RLock()
	left := ino.size.Load() - off
	n := len(p)
	if left < int64(n) {
		n = int(max(left, 0))
	}
	ino.data.readAt(p[:n], off)
	ino.mu.RUnlock()
	if d.flags.Load()&sys.O_NOATIME == 0 {
		ino.touchAtime(t, d.Path.Mount)
	}
	return n, nil
}

func (f *regular) Write(t *Task, d *Description, p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, end, err := f.write(t, d, p, d.pos)
	if n > 0 {
		d.pos = end
	}
	return n, err
}

// Pwrite appends when the description has O_APPEND, as Linux does against POSIX.
func (f *regular) Pwrite(t *Task, d *Description, p []byte, off int64) (int, error) {
	n, _, err := f.write(t, d, p, off)
	return n, err
}

func (f *regular) write(t *Task, d *Description, p []byte, off int64) (n int, end int64, err error) {
	if len(p) == 0 {
		return 0, off, nil
	}
	ino := (*Inode)(f)
	ino.mu.Lock()
	defer ino.mu.Unlock()
	size := ino.size.Load()
	if d.flags.Load()&sys.O_APPEND != 0 {
		off = size
	}
	// generic_write_checks
	limit := uint64(maxBytes)
	if t.Fsize < limit {
		limit = t.Fsize
	}
	if uint64(off) >= limit {
		t.Xfsz = t.Fsize <= maxBytes
		return 0, off, sys.EFBIG
	}
	if left := limit - uint64(off); uint64(len(p)) > left {
		p = p[:left]
	}
	if ino.seals&sys.F_SEAL_WRITE != 0 {
		return 0, off, sys.EPERM
	}
	if ino.seals&sys.F_SEAL_GROW != 0 && off+int64(len(p)) > size {
		// shmem_write_begin refuses each page that would grow the file.
		if off/PageSize == (off+int64(len(p))-1)/PageSize || off >= size {
			return 0, off, sys.EPERM
		}
		if p = p[:max(0, size/PageSize*PageSize-off)]; len(p) == 0 {
			return 0, off, sys.EPERM
		}
	}
	ino.removePrivs(t.Cred)
	n, err = ino.writeAt(t, p, off)
	end = off + int64(n)
	if n > 0 {
		err = nil // a short write: the next one gets the error
	}
	if end > size && n > 0 {
		ino.size.Store(end)
	}
	ino.touchMC(ino.fs.tree.now(t))
	return n, end, err
}

// Seek is generic_file_llseek with SEEK_DATA and SEEK_HOLE.
func (f *regular) Seek(_ *Task, pos, off int64, whence int) (int64, error) {
	ino := (*Inode)(f)
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	size := ino.size.Load()
	switch whence {
	case sys.SEEK_CUR:
		off += pos
	case sys.SEEK_END:
		off += size
	case sys.SEEK_DATA, sys.SEEK_HOLE:
		if off < 0 || off >= size {
			return 0, sys.ENXIO
		}
		hole := whence == sys.SEEK_HOLE
		for i := off / PageSize; i*PageSize < size; i++ {
			if ino.data.written(i) != hole {
				return max(off, i*PageSize), nil
			}
		}
		if hole {
			return size, nil
		}
		return 0, sys.ENXIO
	}
	if off < 0 || off > maxBytes {
		return 0, sys.EINVAL
	}
	return off, nil
}

func (f *regular) Truncate(t *Task, size int64) error { return (*Inode)(f).truncate(t, size) }

// truncate is do_truncate.
func (ino *Inode) truncate(t *Task, size int64) error {
	ino.mu.Lock()
	defer ino.mu.Unlock()
	old := ino.size.Load()
	// inode_newsize_ok
	if size > old && (uint64(size) > t.Fsize || size > maxBytes) {
		t.Xfsz = uint64(size) > t.Fsize
		return sys.EFBIG
	}
	if size < old && ino.seals&sys.F_SEAL_SHRINK != 0 || size > old && ino.seals&sys.F_SEAL_GROW != 0 {
		return sys.EPERM
	}
	ino.removePrivs(t.Cred)
	if size <= old { // what fallocate(2) made behind the end goes too
		ino.dropBehind(size)
	}
	ino.size.Store(size)
	ino.touchMC(ino.fs.tree.now(t))
	return nil
}

func (f *regular) Mmap(t *Task, off int64, length int, write bool) ([]byte, error) {
	ino := (*Inode)(f)
	ino.mu.Lock()
	defer ino.mu.Unlock()
	if write && ino.seals&sys.F_SEAL_WRITE != 0 {
		return nil, sys.EPERM
	}
	return ino.data.mmap(off, length)
}
