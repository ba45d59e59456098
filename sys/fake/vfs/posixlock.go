package vfs

import (
	"math"
	"slices"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// posixLock is a lock of fcntl(2). owner is the process, or the description for
// an OFD lock. It reaches from start to end, both included.
type posixLock struct {
	owner      any
	typ        int16
	start, end int64
	pid        int32
}

// toEOF is OFFSET_MAX: to the end of the file, however it grows.
const toEOF = math.MaxInt64

func (a posixLock) overlaps(b posixLock) bool { return a.start <= b.end && b.start <= a.end }

func (a posixLock) conflicts(b posixLock) bool {
	return a.owner != b.owner && a.overlaps(b) && (a.typ == sys.F_WRLCK || b.typ == sys.F_WRLCK)
}

type posixWaiter struct {
	posixLock
	queue   sched.Queue
	woken   bool
	table   *lockTable
	blocker any // who owns what it waits for; guarded by lockTable.mu
}

// lockTable knows which process waits for which, to find deadlocks.
type lockTable struct {
	mu      sync.Mutex
	waiters []*posixWaiter // of POSIX locks, in all files
}

// maxDeadlockSteps is MAX_DEADLK_ITERATIONS: longer chains are not followed.
const maxDeadlockSteps = 10

// deadlock is posix_locks_deadlock: does whoever owns the blocking lock wait, at
// the end of a chain, for owner?
func (lt *lockTable) deadlock(owner, blocker any) bool {
	for range maxDeadlockSteps {
		i := slices.IndexFunc(lt.waiters, func(w *posixWaiter) bool { return w.owner == blocker })
		if i < 0 {
			return false
		}
		if blocker = lt.waiters[i].blocker; blocker == owner {
			return true
		}
	}
	return false
}

// FcntlFlock is fcntl(2) with F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ kin.
// For the first *lk is overwritten.
func (k *Tree) FcntlFlock(t *Task, d *Description, cmd int, lk *sys.Flock) error {
	if d.IsPath() {
		return sys.EBADF
	}
	req := posixLock{owner: t.Owner, typ: lk.Type, pid: int32(t.Pid)}
	ofd := cmd >= sys.F_OFD_GETLK
	if ofd {
		req.owner, req.pid = d, -1
	}
	get := cmd == sys.F_GETLK || cmd == sys.F_OFD_GETLK
	if get && lk.Type != sys.F_RDLCK && lk.Type != sys.F_WRLCK && !(ofd && lk.Type == sys.F_UNLCK) {
		return sys.EINVAL
	}
	if err := req.setRange(d, lk); err != nil {
		return err
	}
	if lk.Type < sys.F_RDLCK || lk.Type > sys.F_UNLCK {
		return sys.EINVAL
	}
	if ofd && lk.Pid != 0 {
		return sys.EINVAL
	}
	l := d.lockContext()
	if get {
		l.getPosix(req, lk)
		return nil
	}
	if lk.Type == sys.F_RDLCK && !d.readable() || lk.Type == sys.F_WRLCK && !d.writable() {
		return sys.EBADF
	}
	return k.setPosix(t, l, req, ofd, cmd == sys.F_SETLKW || cmd == sys.F_OFD_SETLKW)
}

// setRange is flock64_to_posix_lock. EINVAL, EOVERFLOW.
func (req *posixLock) setRange(d *Description, lk *sys.Flock) error {
	var base int64
	switch lk.Whence {
	case sys.SEEK_SET:
	case sys.SEEK_CUR:
		d.mu.Lock()
		base = d.pos
		d.mu.Unlock()
	case sys.SEEK_END:
		if ino := d.Inode(); ino != nil {
			base = ino.size.Load()
		}
	default:
		return sys.EINVAL
	}
	if lk.Start > math.MaxInt64-base {
		return sys.EOVERFLOW
	}
	start := base + lk.Start
	if start < 0 {
		return sys.EINVAL
	}
	req.start, req.end = start, toEOF
	switch {
	case lk.Len > 0:
		if lk.Len-1 > math.MaxInt64-start {
			return sys.EOVERFLOW
		}
		req.end = start + lk.Len - 1
	case lk.Len < 0:
		if start+lk.Len < 0 {
			return sys.EINVAL
		}
		req.start, req.end = start+lk.Len, start-1
	}
	return nil
}

// getPosix is posix_test_lock: the first lock that req would wait for. With
// F_UNLCK it is the first of the description's own, see F_OFD_GETLK.
func (l *fileLocks) getPosix(req posixLock, lk *sys.Flock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, held := range l.posix {
		found := held.conflicts(req)
		if req.typ == sys.F_UNLCK {
			found = held.owner == req.owner && held.overlaps(req)
		}
		if found {
			*lk = sys.Flock{Type: held.typ, Whence: sys.SEEK_SET, Start: held.start, Pid: held.pid}
			if held.end != toEOF {
				lk.Len = held.end - held.start + 1
			}
			return
		}
	}
	lk.Type = sys.F_UNLCK
	lk.Pid = 0
}

// setPosix is fcntl_setlk.
func (k *Tree) setPosix(t *Task, l *fileLocks, req posixLock, ofd, wait bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tryPosix(req) {
		return nil
	}
	if !wait {
		return sys.EAGAIN
	}
	w := &posixWaiter{posixLock: req, table: &k.locks}
	w.queue.Name = "fcntl lock"
	if err := k.locks.enter(l, w, ofd); err != nil {
		return err
	}
	l.posixWaiters = append(l.posixWaiters, w)
	defer func() { // also when the thread dies while it waits
		k.locks.leave(w)
		i := slices.Index(l.posixWaiters, w)
		l.posixWaiters = slices.Delete(l.posixWaiters, i, i+1)
		l.wakePosix()
	}()
	for {
		if err := w.queue.Wait(t.Thread, &l.mu, sched.Forever); err != nil {
			return err
		}
		w.woken = false
		if l.tryPosix(req) {
			return nil
		}
		// Somebody else came first: look again for a deadlock, as Linux does.
		k.locks.leave(w)
		if err := k.locks.enter(l, w, ofd); err != nil {
			return err
		}
	}
}

// enter says what w waits for. EDEADLK.
func (lt *lockTable) enter(l *fileLocks, w *posixWaiter, ofd bool) error {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	w.blocker = l.posix[slices.IndexFunc(l.posix, w.conflicts)].owner
	if ofd {
		return nil
	}
	if lt.deadlock(w.owner, w.blocker) {
		return sys.EDEADLK
	}
	lt.waiters = append(lt.waiters, w)
	return nil
}

func (lt *lockTable) leave(w *posixWaiter) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if i := slices.Index(lt.waiters, w); i >= 0 {
		lt.waiters = slices.Delete(lt.waiters, i, i+1)
	}
}

// tryPosix is posix_lock_inode without waiting.
func (l *fileLocks) tryPosix(req posixLock) bool {
	if req.typ != sys.F_UNLCK && slices.ContainsFunc(l.posix, req.conflicts) {
		return false
	}
	l.applyPosix(req)
	return true
}

// applyPosix replaces what the owner has in the range of req: locks are split at
// its ends, and locks of the same type that touch become one.
func (l *fileLocks) applyPosix(req posixLock) {
	first := slices.IndexFunc(l.posix, func(held posixLock) bool { return held.owner == req.owner })
	if first < 0 {
		if req.typ != sys.F_UNLCK {
			l.posix = append(l.posix, req)
		}
		return
	}
	last := first
	for last < len(l.posix) && l.posix[last].owner == req.owner {
		last++
	}
	var own []posixLock
	for _, held := range l.posix[first:last] {
		touches := held.overlaps(req) || held.end != toEOF && held.end+1 == req.start ||
			req.end != toEOF && req.end+1 == held.start
		switch {
		case held.typ == req.typ && touches:
			req.start, req.end = min(req.start, held.start), max(req.end, held.end)
		case held.overlaps(req):
			if left := held; held.start < req.start {
				left.end = req.start - 1
				own = append(own, left)
			}
			if right := held; held.end > req.end {
				right.start = req.end + 1
				own = append(own, right)
			}
		default:
			own = append(own, held)
		}
	}
	if req.typ != sys.F_UNLCK {
		i := slices.IndexFunc(own, func(held posixLock) bool { return held.start > req.start })
		if i < 0 {
			i = len(own)
		}
		own = slices.Insert(own, i, req)
	}
	l.posix = slices.Replace(l.posix, first, last, own...)
	l.wakePosix()
}

// wakePosix is wakeFlocks for POSIX and OFD locks. Those who wait on may wait for
// somebody else now.
func (l *fileLocks) wakePosix() {
	for i, w := range l.posixWaiters {
		if w.woken {
			continue
		}
		if blocker := l.blockerOf(i); blocker != nil {
			w.table.mu.Lock()
			w.blocker = blocker
			w.table.mu.Unlock()
			continue
		}
		w.woken = true
		w.queue.Wake(1)
	}
}

// blockerOf is whom waiter i waits for: the owner of a lock, or somebody who was
// woken to take one; nil: nobody.
func (l *fileLocks) blockerOf(i int) any {
	w := l.posixWaiters[i]
	if j := slices.IndexFunc(l.posix, w.conflicts); j >= 0 {
		return l.posix[j].owner
	}
	for _, earlier := range l.posixWaiters[:i] {
		if earlier.woken && w.conflicts(earlier.posixLock) {
			return earlier.owner
		}
	}
	return nil
}

// unposix drops all locks of an owner on the file.
func (l *fileLocks) unposix(owner any) {
	if len(l.posix) > 0 {
		l.applyPosix(posixLock{owner: owner, typ: sys.F_UNLCK, end: toEOF})
	}
}

// DropPosixLocks drops what a process has locked in the file behind d. It is
// called when the process closes any descriptor of the file, and at its death,
// for each descriptor: see fcntl(2).
func (k *Tree) DropPosixLocks(owner any, d *Description) {
	if d.IsPath() { // filp_flush: such a descriptor locks nothing
		return
	}
	l := d.lockContext()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unposix(owner)
}
