package fake

import (
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// fdTable is a process's descriptors, struct files_struct of Linux.
type fdTable struct {
	mu    sync.Mutex
	fds   []fdEntry
	limit int // RLIMIT_NOFILE
	maybe int // every descriptor below is in use
}

type fdEntry struct {
	desc    *vfs.Description // nil: free
	cloexec bool
}

func (f *fdTable) setLimit(n uint64) {
	f.mu.Lock()
	f.limit = int(min(n, nrOpen))
	f.mu.Unlock()
}

// get is the open file of fd with a reference taken, which the caller drops.
// EBADF.
func (f *fdTable) get(fd int) (*vfs.Description, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd < 0 || fd >= len(f.fds) || f.fds[fd].desc == nil {
		return nil, sys.EBADF
	}
	d := f.fds[fd].desc
	d.Incref()
	return d, nil
}

// install gives d, whose reference it takes over, the lowest free descriptor
// that is not below from. EMFILE: the reference stays the caller's.
func (f *fdTable) install(d *vfs.Description, cloexec bool, from int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fd := max(from, f.maybe)
	for fd < len(f.fds) && f.fds[fd].desc != nil {
		fd++
	}
	if fd >= f.limit {
		return 0, sys.EMFILE
	}
	f.put(fd, fdEntry{d, cloexec})
	if from <= f.maybe {
		f.maybe = fd + 1
	}
	return fd, nil
}

func (f *fdTable) put(fd int, e fdEntry) {
	for fd >= len(f.fds) {
		f.fds = append(f.fds, fdEntry{})
	}
	f.fds[fd] = e
}

// full reports whether no descriptor is free: what a call checks before it has
// an effect that cannot be undone.
func (f *fdTable) full(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for fd := f.maybe; fd < f.limit && n > 0; fd++ {
		if fd >= len(f.fds) || f.fds[fd].desc == nil {
			n--
		}
	}
	return n > 0
}

// size is how many entries the table has room for.
func (f *fdTable) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.fds)
}

// beyond reports whether fd is not below the limit.
func (f *fdTable) beyond(fd int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fd >= f.limit
}

// remove frees fd and returns what it was. EBADF.
func (f *fdTable) remove(fd int) (*vfs.Description, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd < 0 || fd >= len(f.fds) || f.fds[fd].desc == nil {
		return nil, sys.EBADF
	}
	d := f.fds[fd].desc
	f.fds[fd] = fdEntry{}
	f.maybe = min(f.maybe, fd)
	return d, nil
}

// dup3 makes newfd a duplicate of oldfd and returns what newfd was, if anything.
func (f *fdTable) dup3(oldfd, newfd int, cloexec bool) (*vfs.Description, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if newfd < 0 || newfd >= f.limit || oldfd < 0 || oldfd >= len(f.fds) || f.fds[oldfd].desc == nil {
		return nil, sys.EBADF
	}
	d := f.fds[oldfd].desc
	d.Incref()
	var old *vfs.Description
	if newfd < len(f.fds) {
		old = f.fds[newfd].desc
	}
	f.put(newfd, fdEntry{d, cloexec})
	return old, nil
}

// cloexec is the FD_CLOEXEC flag of fd.
func (f *fdTable) cloexec(fd int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd < 0 || fd >= len(f.fds) || f.fds[fd].desc == nil {
		return false, sys.EBADF
	}
	return f.fds[fd].cloexec, nil
}

func (f *fdTable) setCloexec(fd int, on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd < 0 || fd >= len(f.fds) || f.fds[fd].desc == nil {
		return sys.EBADF
	}
	f.fds[fd].cloexec = on
	return nil
}

// open are the descriptors in use from first to last, inclusive.
func (f *fdTable) open(first, last uint) []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fds []int
	for fd := first; fd <= last && fd < uint(len(f.fds)); fd++ {
		if f.fds[fd].desc != nil {
			fds = append(fds, int(fd))
		}
	}
	return fds
}

// inherit fills the table of a new process: its descriptor i is from's files[i].
// EBADF.
func (f *fdTable) inherit(from *fdTable, files []int) error {
	from.mu.Lock()
	defer from.mu.Unlock()
	for i, fd := range files {
		if fd < 0 || fd >= len(from.fds) || from.fds[fd].desc == nil {
			return sys.EBADF
		}
		if i >= f.limit {
			return sys.EBADF // as dup3(2) says
		}
	}
	for _, fd := range files {
		d := from.fds[fd].desc
		d.Incref()
		f.fds = append(f.fds, fdEntry{desc: d})
	}
	f.maybe = len(f.fds)
	return nil
}

// closeAll closes every descriptor of a dead process.
func (f *fdTable) closeAll(task *vfs.Task) {
	f.mu.Lock()
	fds := f.fds
	f.fds, f.maybe, f.limit = nil, 0, 0
	f.mu.Unlock()
	p := task.Owner.(*process)
	for _, e := range fds {
		if e.desc != nil {
			p.drop(task, e.desc)
		}
	}
}
