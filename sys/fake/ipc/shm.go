package ipc

import (
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// segment is struct shmid_kernel.
type segment struct {
	id       int
	p        sys.IpcPerm
	mem      []byte
	atime    int64
	dtime    int64
	ctime    int64
	cpid     int
	lpid     int
	attached []any // the owner of each attachment
}

func (s *segment) perm() *sys.IpcPerm { return &s.p }

func segID(s *segment) int { return s.id }

// shmmax is SHMMAX: all but 16 MiB of the address space.
const shmmax = math.MaxInt64 - 1<<24

// shmall is how much memory all segments may have together. Linux has no limit
// by default; here the host's memory is one.
const shmall = 1 << 30

// Shmget is shmget(2).
func (x *IPC) Shmget(t *vfs.Task, key, size, flags int) (id int, err error) {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	if key == sys.IPC_PRIVATE {
		return x.newSegment(t, key, size, flags)
	}
	s, ok := x.shms.find(key)
	switch {
	case !ok && flags&sys.IPC_CREAT == 0:
		return 0, sys.ENOENT
	case !ok:
		return x.newSegment(t, key, size, flags)
	case flags&sys.IPC_CREAT != 0 && flags&sys.IPC_EXCL != 0:
		return 0, sys.EEXIST
	case size < 0 || size > len(s.mem):
		return 0, sys.EINVAL
	case !permitted(t.Cred, &s.p, uint32(flags)):
		return 0, sys.EACCES
	}
	return s.id, nil
}

func (x *IPC) newSegment(t *vfs.Task, key, size, flags int) (int, error) {
	if size < 1 || size > shmmax {
		return 0, sys.EINVAL
	}
	total := size
	for _, s := range x.shms.all() {
		total += len(s.mem)
	}
	if total > shmall {
		return 0, sys.ENOSPC
	}
	words := make([]uint64, (size+7)/8) // aligned for sys.Mem
	s := &segment{
		p:     newPerm(t, key, flags),
		mem:   unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size),
		ctime: x.seconds(t),
		cpid:  t.Pid,
	}
	id, err := x.shms.add(s)
	if err != nil {
		return 0, err
	}
	s.id = id
	return id, nil
}

// Shmat is shmat(2): the segment's memory, which all who attach it share.
// SHM_RDONLY is checked and not enforced.
func (x *IPC) Shmat(t *vfs.Task, id, flags int) ([]byte, error) {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	if t.Thread.Killed() {
		return nil, sys.EINTR // DetachAll may be over
	}
	s, err := x.shms.get(id, segID)
	if err != nil {
		return nil, err
	}
	want := uint32(readable | writeable)
	if flags&sys.SHM_RDONLY != 0 {
		want = readable
	}
	if !permitted(t.Cred, &s.p, want) {
		return nil, sys.EACCES
	}
	s.attached = append(s.attached, t.Owner)
	s.atime = x.seconds(t)
	s.lpid = t.Pid
	return s.mem, nil
}

// Shmdt is shmdt(2) of one attachment of the memory that Shmat returned.
// EINVAL: the process has none. The attachments of one process are alike: the
// caller tells them apart.
func (x *IPC) Shmdt(t *vfs.Task, mem []byte) error {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	for _, s := range x.shms.all() {
		if unsafe.SliceData(s.mem) != unsafe.SliceData(mem) {
			continue
		}
		i := slices.Index(s.attached, t.Owner)
		if i < 0 {
			return sys.EINVAL
		}
		s.attached = slices.Delete(s.attached, i, i+1)
		x.detached(s, t.Pid, x.seconds(t))
		return nil
	}
	return sys.EINVAL
}

// detached is shm_close: it destroys a segment that waited for its last detach.
func (x *IPC) detached(s *segment, pid int, now int64) {
	s.lpid = pid
	s.dtime = now
	if len(s.attached) == 0 && s.p.Mode&sys.SHM_DEST != 0 {
		x.shms.remove(s.id)
	}
}

// ShmStat is shmctl(2) with IPC_STAT.
func (x *IPC) ShmStat(t *vfs.Task, id int) (sys.ShmidDs, error) {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	s, err := x.shms.get(id, segID)
	if err != nil {
		return sys.ShmidDs{}, err
	}
	if !permitted(t.Cred, &s.p, readable) {
		return sys.ShmidDs{}, sys.EACCES
	}
	return sys.ShmidDs{
		Perm:   s.p,
		Segsz:  len(s.mem),
		Atime:  s.atime,
		Dtime:  s.dtime,
		Ctime:  s.ctime,
		Cpid:   s.cpid,
		Lpid:   s.lpid,
		Nattch: len(s.attached),
	}, nil
}

// ShmSet is shmctl(2) with IPC_SET.
func (x *IPC) ShmSet(t *vfs.Task, id int, perm sys.IpcPerm) error {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	s, err := x.shms.get(id, segID)
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

// ShmRmid is shmctl(2) with IPC_RMID. While the segment is attached it stays,
// marked SHM_DEST and without its key, and can still be attached by its id.
func (x *IPC) ShmRmid(t *vfs.Task, id int) error {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	s, err := x.shms.get(id, segID)
	if err != nil {
		return err
	}
	if !controllable(t.Cred, &s.p) {
		return sys.EPERM
	}
	if len(s.attached) == 0 {
		x.shms.remove(id)
		return nil
	}
	s.p.Mode |= sys.SHM_DEST
	s.p.Key = sys.IPC_PRIVATE
	return nil
}

// ShmIDs are the identifiers of all segments, sorted: for leak checks.
func (x *IPC) ShmIDs() []int {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	var ids []int
	for _, s := range x.shms.all() {
		ids = append(ids, s.id)
	}
	slices.Sort(ids)
	return ids
}

// DetachAll detaches what the process owner, of that pid, had attached: it died.
// now is the monotonic time. Its threads must be killed already.
func (x *IPC) DetachAll(owner any, pid int, now time.Duration) {
	x.shmMu.Lock()
	defer x.shmMu.Unlock()
	secs := x.boot.Add(now).Unix()
	for _, s := range x.shms.all() {
		n := len(s.attached)
		s.attached = slices.DeleteFunc(s.attached, func(o any) bool { return o == owner })
		if len(s.attached) < n {
			x.detached(s, pid, secs)
		}
	}
}
