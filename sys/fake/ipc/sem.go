package ipc

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// Limits of semaphores, the defaults of /proc/sys/kernel/sem.
const (
	SEMMSL = 32000 // semaphores a set
	SEMOPM = 500   // operations a call
	SEMVMX = 32767 // a semaphore's greatest value
	SEMMNI = 32000 // sets
)

// semSet is struct sem_array.
type semSet struct {
	id      int
	name    string // for deadlock reports
	p       sys.IpcPerm
	vals    []int
	otime   int64
	ctime   int64
	removed bool
	pending []*semWait // operations that wait, in order of arrival
	undos   []*semUndo // one for each process that used SEM_UNDO on the set
}

func (s *semSet) perm() *sys.IpcPerm { return &s.p }

func semID(s *semSet) int { return s.id }

// semUndo is struct sem_undo: what to add to the set when the process dies.
type semUndo struct {
	owner any
	adj   []int
}

// semWait is struct sem_queue: one call that waits. Whoever changes the set
// performs the operations for the sleeper and then wakes it, so nobody
// overtakes it.
type semWait struct {
	ops   []sys.Sembuf
	undo  *semUndo // nil without SEM_UNDO
	owner any
	alter bool
	q     sched.Queue
	done  bool
	err   error
}

// Semget is semget(2).
func (x *IPC) Semget(t *vfs.Task, key, nsems, flags int) (id int, err error) {
	if nsems < 0 || nsems > SEMMSL {
		return 0, sys.EINVAL
	}
	x.semMu.Lock()
	defer x.semMu.Unlock()
	if key == sys.IPC_PRIVATE {
		return x.newSet(t, key, nsems, flags)
	}
	s, ok := x.sems.find(key)
	switch {
	case !ok && flags&sys.IPC_CREAT == 0:
		return 0, sys.ENOENT
	case !ok:
		return x.newSet(t, key, nsems, flags)
	case flags&sys.IPC_CREAT != 0 && flags&sys.IPC_EXCL != 0:
		return 0, sys.EEXIST
	case nsems > len(s.vals):
		return 0, sys.EINVAL
	case !permitted(t.Cred, &s.p, uint32(flags)):
		return 0, sys.EACCES
	}
	return s.id, nil
}

func (x *IPC) newSet(t *vfs.Task, key, nsems, flags int) (int, error) {
	if nsems == 0 {
		return 0, sys.EINVAL
	}
	if x.sems.n >= SEMMNI {
		return 0, sys.ENOSPC
	}
	s := &semSet{p: newPerm(t, key, flags), vals: make([]int, nsems), ctime: x.seconds(t)}
	id, err := x.sems.add(s)
	if err != nil {
		return 0, err
	}
	s.id = id
	s.name = "semaphore set " + strconv.Itoa(id)
	return id, nil
}

// Semtimedop is semtimedop(2). deadline is absolute on the thread's clock,
// sched.Forever without a timeout.
func (x *IPC) Semtimedop(t *vfs.Task, id int, ops []sys.Sembuf, deadline time.Duration) error {
	if len(ops) < 1 || id < 0 {
		return sys.EINVAL
	}
	if len(ops) > SEMOPM {
		return sys.E2BIG
	}
	w := &semWait{owner: t.Owner}
	highest, undo := 0, false
	for _, op := range ops {
		highest = max(highest, int(op.Num))
		undo = undo || op.Flg&sys.SEM_UNDO != 0
		w.alter = w.alter || op.Op != 0
	}

	x.semMu.Lock()
	defer x.semMu.Unlock()
	if t.Thread.Killed() {
		return sys.EINTR // UndoAll may be over: nothing must be acquired any more
	}
	s, err := x.sems.get(id, semID)
	if err != nil {
		return err
	}
	if highest >= len(s.vals) {
		return sys.EFBIG
	}
	want := uint32(readable)
	if w.alter {
		want = writeable
	}
	if !permitted(t.Cred, &s.p, want) {
		return sys.EACCES
	}
	if undo {
		w.undo = s.undoOf(t.Owner)
	}
	w.ops = ops
	blocked, err := s.try(w)
	if err != nil {
		return err
	}
	if !blocked {
		s.otime = x.seconds(t)
		if w.alter {
			s.wake(s.otime)
		}
		return nil
	}

	w.ops = slices.Clone(ops)
	w.q.Name = s.name
	s.pending = append(s.pending, w)
	defer s.drop(w) // a killed thread unwinds through here
	for !w.done {
		if err := w.q.Wait(t.Thread, &x.semMu, deadline); err != nil && !w.done {
			if errors.Is(err, sys.ETIMEDOUT) {
				return sys.EAGAIN
			}
			return err
		}
	}
	return w.err
}

func (s *semSet) drop(w *semWait) {
	if i := slices.Index(s.pending, w); i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

// undoOf is the owner's undo structure.
func (s *semSet) undoOf(owner any) *semUndo {
	for _, u := range s.undos {
		if u.owner == owner {
			return u
		}
	}
	u := &semUndo{owner: owner, adj: make([]int, len(s.vals))}
	s.undos = append(s.undos, u)
	return u
}

// try is perform_atomic_semop: it does all operations of w or none. blocked: w
// has to wait. EAGAIN: it would, with IPC_NOWAIT. ERANGE: a value or an
// adjustment out of range.
func (s *semSet) try(w *semWait) (blocked bool, err error) {
	done := 0
	for _, op := range w.ops {
		val := &s.vals[op.Num]
		to := *val + int(op.Op)
		if op.Op == 0 && *val != 0 || to < 0 {
			blocked = true
			if op.Flg&sys.IPC_NOWAIT != 0 {
				err = sys.EAGAIN
			}
			break
		}
		if to > SEMVMX {
			err = sys.ERANGE
			break
		}
		if op.Flg&sys.SEM_UNDO != 0 {
			adj := w.undo.adj[op.Num] - int(op.Op)
			if adj < -SEMVMX-1 || adj > SEMVMX { // SEMAEM is SEMVMX
				err = sys.ERANGE
				break
			}
			w.undo.adj[op.Num] = adj
		}
		*val = to
		done++
	}
	if done == len(w.ops) {
		return false, nil
	}
	for _, op := range w.ops[:done] {
		s.vals[op.Num] -= int(op.Op)
		if op.Flg&sys.SEM_UNDO != 0 {
			w.undo.adj[op.Num] += int(op.Op)
		}
	}
	return blocked && err == nil, err
}

// wake performs what has become possible, do_smart_update: first the calls that
// wait for zero, then those that alter, in order of arrival, and from the start
// again after each that changed the set.
func (s *semSet) wake(now int64) {
	for s.wakeOne(now, false) || s.wakeOne(now, true) {
	}
}

func (s *semSet) wakeOne(now int64, alter bool) bool {
	for _, w := range s.pending {
		if w.alter != alter {
			continue
		}
		blocked, err := s.try(w)
		if blocked {
			continue
		}
		if err == nil {
			s.otime = now
		}
		s.finish(w, err)
		return true
	}
	return false
}

// finish ends a wait with a result.
func (s *semSet) finish(w *semWait, err error) {
	s.drop(w)
	w.done, w.err = true, err
	w.q.WakeAll()
}

// SemSetval is semctl(2) with SETVAL. It forgets what SEM_UNDO of any process
// would do to the semaphore.
func (x *IPC) SemSetval(t *vfs.Task, id, num, val int) error {
	if id < 0 {
		return sys.EINVAL
	}
	if val < 0 || val > SEMVMX {
		return sys.ERANGE
	}
	x.semMu.Lock()
	defer x.semMu.Unlock()
	s, err := x.sems.get(id, semID)
	if err != nil {
		return err
	}
	if num < 0 || num >= len(s.vals) {
		return sys.EINVAL
	}
	if !permitted(t.Cred, &s.p, writeable) {
		return sys.EACCES
	}
	for _, u := range s.undos {
		u.adj[num] = 0
	}
	s.vals[num] = val
	s.ctime = x.seconds(t)
	s.wake(s.ctime)
	return nil
}

// SemGetval is semctl(2) with GETVAL.
func (x *IPC) SemGetval(t *vfs.Task, id, num int) (int, error) {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	s, err := x.sems.get(id, semID)
	if err != nil {
		return 0, err
	}
	if !permitted(t.Cred, &s.p, readable) {
		return 0, sys.EACCES
	}
	if num < 0 || num >= len(s.vals) {
		return 0, sys.EINVAL
	}
	return s.vals[num], nil
}

// SemStat is semctl(2) with IPC_STAT.
func (x *IPC) SemStat(t *vfs.Task, id int) (sys.SemidDs, error) {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	s, err := x.sems.get(id, semID)
	if err != nil {
		return sys.SemidDs{}, err
	}
	if !permitted(t.Cred, &s.p, readable) {
		return sys.SemidDs{}, sys.EACCES
	}
	return sys.SemidDs{Perm: s.p, Otime: s.otime, Ctime: s.ctime, Nsems: len(s.vals)}, nil
}

// SemSet is semctl(2) with IPC_SET.
func (x *IPC) SemSet(t *vfs.Task, id int, perm sys.IpcPerm) error {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	s, err := x.sems.get(id, semID)
	if err != nil {
		return err
	}
	if !controllable(t.Cred, &s.p) {
		return sys.EPERM
	}
	if err := update(&s.p, perm); err != nil {
		return err
	}
	s.ctime = x.seconds(t)
	return nil
}

// SemRmid is semctl(2) with IPC_RMID: waiters get EIDRM.
func (x *IPC) SemRmid(t *vfs.Task, id int) error {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	s, err := x.sems.get(id, semID)
	if err != nil {
		return err
	}
	if !controllable(t.Cred, &s.p) {
		return sys.EPERM
	}
	x.sems.remove(id)
	for len(s.pending) > 0 {
		s.finish(s.pending[0], sys.EIDRM)
	}
	s.undos = nil
	return nil
}

// SemIDs are the identifiers of all sets, sorted: for leak checks.
func (x *IPC) SemIDs() []int {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	var ids []int
	for _, s := range x.sems.all() {
		ids = append(ids, s.id)
	}
	slices.Sort(ids)
	return ids
}

// UndoAll is exit_sem: the process owner died. Its own waits are over, and each
// semaphore that it changed with SEM_UNDO gets the adjustment, clamped to 0 and
// SEMVMX. now is the monotonic time. The process's threads must be killed
// already, so that none of them acquires anything afterwards.
func (x *IPC) UndoAll(owner any, now time.Duration) {
	x.semMu.Lock()
	defer x.semMu.Unlock()
	secs := x.boot.Add(now).Unix()
	for _, s := range x.sems.all() {
		s.pending = slices.DeleteFunc(s.pending, func(w *semWait) bool { return w.owner == owner })
		i := slices.IndexFunc(s.undos, func(u *semUndo) bool { return u.owner == owner })
		if i < 0 {
			continue
		}
		for num, adj := range s.undos[i].adj {
			s.vals[num] = min(max(s.vals[num]+adj, 0), SEMVMX)
		}
		s.undos = slices.Delete(s.undos, i, i+1)
		s.wake(secs)
	}
}
