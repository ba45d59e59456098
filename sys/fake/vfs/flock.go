package vfs

import (
	"slices"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// fileLocks are the advisory locks on one file: struct file_lock_context. The
// two kinds do not know each other, see flock(2).
type fileLocks struct {
	mu           sync.Mutex
	flocks       []flock
	flockWaiters []*flockWaiter // FIFO
	posix        []posixLock    // those of one owner together, by start
	posixWaiters []*posixWaiter // FIFO
}

// flock is a lock of flock(2). A description has at most one.
type flock struct {
	d         *Description
	exclusive bool
}

func (a flock) conflicts(b flock) bool { return a.d != b.d && (a.exclusive || b.exclusive) }

type flockWaiter struct {
	flock
	queue sched.Queue
	woken bool // to try again
}

// lockContext are the locks of the file behind d.
func (d *Description) lockContext() *fileLocks {
	if ino := d.Inode(); ino != nil {
		return &ino.locks
	}
	if f, ok := d.File.(Socketed); ok {
		return &f.Inode().locks
	}
	return d.locks
}

// CheckFlock is what flock(2) checks before the descriptor,
// flock_translate_cmd. EINVAL.
func CheckFlock(how int) error {
	switch how &^ sys.LOCK_NB {
	case sys.LOCK_SH, sys.LOCK_EX, sys.LOCK_UN:
		return nil
	}
	return sys.EINVAL
}

// Flock is flock(2). EWOULDBLOCK, EINTR. A conversion is not atomic: the former
// lock is gone even when the new one cannot be had.
func (k *Tree) Flock(t *Task, d *Description, how int) error {
	if err := CheckFlock(how); err != nil {
		return err
	}
	if d.IsPath() {
		return sys.EBADF
	}
	op := how &^ sys.LOCK_NB
	if op != sys.LOCK_UN && !d.readable() && !d.writable() {
		return sys.EBADF
	}
	l := d.lockContext()
	l.mu.Lock()
	defer l.mu.Unlock()
	if op == sys.LOCK_UN {
		l.unflock(d)
		return nil
	}
	req := flock{d, op == sys.LOCK_EX}
	if l.tryFlock(req) {
		return nil
	}
	if how&sys.LOCK_NB != 0 {
		return sys.EWOULDBLOCK
	}
	w := &flockWaiter{flock: req}
	w.queue.Name = "flock"
	l.flockWaiters = append(l.flockWaiters, w)
	defer func() { // also when the thread dies while it waits
		i := slices.Index(l.flockWaiters, w)
		l.flockWaiters = slices.Delete(l.flockWaiters, i, i+1)
		l.wakeFlocks() // who was behind w may be free to go
	}()
	for {
		if err := w.queue.Wait(t.Thread, &l.mu, sched.Forever); err != nil {
			return err
		}
		w.woken = false
		if l.tryFlock(req) {
			return nil
		}
	}
}

// tryFlock is flock_lock_inode.
func (l *fileLocks) tryFlock(req flock) bool {
	for _, held := range l.flocks {
		if held.d == req.d {
			if held.exclusive == req.exclusive {
				return true
			}
			l.unflock(req.d)
			break
		}
	}
	if slices.ContainsFunc(l.flocks, req.conflicts) {
		return false
	}
	l.flocks = append(l.flocks, req)
	return true
}

// unflock drops the lock of d, if it has one.
func (l *fileLocks) unflock(d *Description) {
	i := slices.IndexFunc(l.flocks, func(held flock) bool { return held.d == d })
	if i >= 0 {
		l.flocks = slices.Delete(l.flocks, i, i+1)
		l.wakeFlocks()
	}
}

// wakeFlocks wakes, the longest waiting first, those who conflict with no lock
// and with nobody who was woken before them. They are not given the lock: who
// comes first gets it, as on Linux.
func (l *fileLocks) wakeFlocks() {
	for i, w := range l.flockWaiters {
		if w.woken || slices.ContainsFunc(l.flocks, w.conflicts) ||
			slices.ContainsFunc(l.flockWaiters[:i], func(o *flockWaiter) bool { return o.woken && w.conflicts(o.flock) }) {
			continue
		}
		w.woken = true
		w.queue.Wake(1)
	}
}

// dropOwnLocks is locks_remove_file: the description is gone, and with it the
// locks that belong to it.
func (d *Description) dropOwnLocks() {
	l := d.lockContext()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unflock(d)
	l.unposix(d)
}
