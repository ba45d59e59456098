// Package ipc is the simulated kernel's System V IPC and its futexes: what
// ipc/sem.c, ipc/shm.c and kernel/futex do in Linux.
//
// There is one [IPC] and one [Futexes] a machine. Calls take the task that
// makes them; processes are told apart by Task.Owner, as SEM_UNDO and attach
// counts belong to a process and not to a thread.
//
// # Locks
//
//	IPC.semMu      all semaphore sets
//	IPC.shmMu      all segments
//	Futexes bucket one part of the futexes
//
// None is held while another is taken. A thread sleeps with none held.
package ipc

import (
	"sync"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// IPC is a machine's System V IPC namespace.
type IPC struct {
	boot time.Time // the realtime clock when the monotonic one was 0

	semMu sync.Mutex
	sems  table[*semSet]

	shmMu sync.Mutex
	shms  table[*segment]
}

// New makes an empty namespace. boot is the machine's realtime clock at
// monotonic time 0; the times in struct semid_ds and shmid_ds count from it.
func New(boot time.Time) *IPC {
	return &IPC{boot: boot, sems: newTable[*semSet](), shms: newTable[*segment]()}
}

// seconds is time(2).
func (x *IPC) seconds(t *vfs.Task) int64 { return x.boot.Add(t.Thread.Now()).Unix() }

// object is what a table holds.
type object interface{ perm() *sys.IpcPerm }

// ipcmni is IPCMNI: how many objects of a kind there may be; an identifier is an index
// below it plus a sequence number times it, see ipc/util.h.
const ipcmni = 32768

// minCycle keeps a freed index from being used again at once, as in ipc/util.h.
const minCycle = 64

// table is struct ipc_ids: objects by identifier.
type table[T object] struct {
	slots []T // by index; those in used are taken
	used  []bool
	n     int // how many are taken
	last  int // the index given out last
	seq   int
}

func newTable[T object]() table[T] { return table[T]{last: -1} }

// add stores v and returns its identifier. ENOSPC: the table is full.
// It is ipc_idr_alloc.
func (tb *table[T]) add(v T) (id int, err error) {
	if tb.n >= ipcmni {
		return 0, sys.ENOSPC
	}
	limit := min(max(tb.n*3/2, minCycle), ipcmni)
	if limit <= tb.n {
		limit = tb.n + 1
	}
	idx := -1
	for i := range limit {
		if c := (tb.last + 1 + i) % limit; c >= len(tb.used) || !tb.used[c] {
			idx = c
			break
		}
	}
	for idx >= len(tb.used) {
		var none T
		tb.slots = append(tb.slots, none)
		tb.used = append(tb.used, false)
	}
	if idx <= tb.last {
		tb.seq = (tb.seq + 1) % (1 << 16)
	}
	tb.last = idx
	tb.slots[idx], tb.used[idx] = v, true
	tb.n++
	return tb.seq*ipcmni + idx, nil
}

// get is the object of an identifier. EINVAL: there is none, or its index was
// given to another since, which idOf tells.
func (tb *table[T]) get(id int, idOf func(T) int) (v T, err error) {
	idx := id % ipcmni
	if id < 0 || idx >= len(tb.used) || !tb.used[idx] || idOf(tb.slots[idx]) != id {
		return v, sys.EINVAL
	}
	return tb.slots[idx], nil
}

func (tb *table[T]) remove(id int) {
	var none T
	idx := id % ipcmni
	tb.slots[idx], tb.used[idx] = none, false
	tb.n--
}

// find is the object of a key.
func (tb *table[T]) find(key int) (v T, ok bool) {
	for i, used := range tb.used {
		if used && tb.slots[i].perm().Key == key {
			return tb.slots[i], true
		}
	}
	return v, false
}

// all are the objects by index.
func (tb *table[T]) all() []T {
	var vs []T
	for i, used := range tb.used {
		if used {
			vs = append(vs, tb.slots[i])
		}
	}
	return vs
}

// Permission bits that calls ask for, in the place of the owner's.
const (
	readable  = 0o444
	writeable = 0o222
)

// permitted is ipcperms: whether c may do what flag's low nine bits ask for.
func permitted(c *vfs.Cred, p *sys.IpcPerm, flag uint32) bool {
	want := flag>>6 | flag>>3 | flag
	granted := p.Mode
	switch {
	case c.Uid == p.Cuid || c.Uid == p.Uid:
		granted >>= 6
	case inGroup(c, p.Cgid) || inGroup(c, p.Gid):
		granted >>= 3
	}
	return want&^granted&7 == 0 || c.Has(sys.CAP_IPC_OWNER)
}

func inGroup(c *vfs.Cred, gid uint32) bool {
	if c.Gid == gid {
		return true
	}
	for _, g := range c.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// controllable is the check of IPC_SET and IPC_RMID, ipcctl_obtain_check.
func controllable(c *vfs.Cred, p *sys.IpcPerm) bool {
	return c.Uid == p.Cuid || c.Uid == p.Uid || c.Has(sys.CAP_SYS_ADMIN)
}

// update is ipc_update_perm.
func update(p *sys.IpcPerm, to sys.IpcPerm) error {
	const noID = ^uint32(0)
	if to.Uid == noID || to.Gid == noID {
		return sys.EINVAL
	}
	p.Uid, p.Gid = to.Uid, to.Gid
	p.Mode = p.Mode&^0o777 | to.Mode&0o777
	return nil
}

// newPerm is the permissions of a new object.
func newPerm(t *vfs.Task, key, flags int) sys.IpcPerm {
	return sys.IpcPerm{
		Key:  key,
		Uid:  t.Cred.Uid,
		Gid:  t.Cred.Gid,
		Cuid: t.Cred.Uid,
		Cgid: t.Cred.Gid,
		Mode: uint32(flags) & 0o777,
	}
}
