package fake

import (
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/ipc"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// ipc is the IPC namespace that t is in.
func (t *thread) ipc() *ipc.IPC {
	if t.ownIPC != nil {
		return t.ownIPC
	}
	return t.p.ipcs[0]
}

func (t *thread) Semget(key, nsems, flags int) (id int, err error) {
	t.enter("semget", -1, uint64(key), uint64(nsems), uint64(flags))
	defer t.leave(&id, &err)
	return negative(t.ipc().Semget(&t.task, key, nsems, flags))
}

// Semtimedop is not restarted after a signal, see signal(7).
func (t *thread) Semtimedop(id int, ops []sys.Sembuf, timeout time.Duration) (err error) {
	t.enter("semtimedop", id, uint64(len(ops)), uint64(timeout))
	defer t.leave(nil, &err)
	return t.ipc().Semtimedop(&t.task, id, ops, t.deadline(timeout))
}

func (t *thread) SemSetval(id, num, val int) (err error) {
	t.enter("semctl", id, uint64(num), uint64(val))
	defer t.leave(nil, &err)
	return t.ipc().SemSetval(&t.task, id, num, val)
}

func (t *thread) SemGetval(id, num int) (val int, err error) {
	t.enter("semctl", id, uint64(num))
	defer t.leave(&val, &err)
	return negative(t.ipc().SemGetval(&t.task, id, num))
}

func (t *thread) SemStat(id int) (ds sys.SemidDs, err error) {
	t.enter("semctl", id)
	defer t.leave(nil, &err)
	return t.ipc().SemStat(&t.task, id)
}

func (t *thread) SemSet(id int, perm sys.IpcPerm) (err error) {
	t.enter("semctl", id, uint64(perm.Uid), uint64(perm.Gid), uint64(perm.Mode))
	defer t.leave(nil, &err)
	return t.ipc().SemSet(&t.task, id, perm)
}

func (t *thread) SemRmid(id int) (err error) {
	t.enter("semctl", id)
	defer t.leave(nil, &err)
	return t.ipc().SemRmid(&t.task, id)
}

func (t *thread) Shmget(key, size, flags int) (id int, err error) {
	t.enter("shmget", -1, uint64(key), uint64(size), uint64(flags))
	defer t.leave(&id, &err)
	return negative(t.ipc().Shmget(&t.task, key, size, flags))
}

func (t *thread) Shmat(id, flags int) (mem sys.Mem, err error) {
	t.enter("shmat", id, uint64(flags))
	defer t.leave(nil, &err)
	ns := t.ipc()
	b, err := ns.Shmat(&t.task, id, flags)
	if err != nil {
		return sys.Mem{}, err
	}
	return sys.NewMem(b, &attachment{process: t.p, ns: ns}), nil
}

func (t *thread) Shmdt(mem sys.Mem) (err error) {
	t.enter("shmdt", -1)
	defer t.leave(nil, &err)
	if !t.detach(mem) {
		return sys.EINVAL
	}
	return nil
}

func (t *thread) ShmStat(id int) (ds sys.ShmidDs, err error) {
	t.enter("shmctl", id)
	defer t.leave(nil, &err)
	return t.ipc().ShmStat(&t.task, id)
}

func (t *thread) ShmSet(id int, perm sys.IpcPerm) (err error) {
	t.enter("shmctl", id, uint64(perm.Uid), uint64(perm.Gid), uint64(perm.Mode))
	defer t.leave(nil, &err)
	return t.ipc().ShmSet(&t.task, id, perm)
}

func (t *thread) ShmRmid(id int) (err error) {
	t.enter("shmctl", id)
	defer t.leave(nil, &err)
	return t.ipc().ShmRmid(&t.task, id)
}

func (t *thread) Mmap(fd int, off int64, length, prot, flags int) (mem sys.Mem, err error) {
	t.enter("mmap", fd, uint64(off), uint64(length), uint64(prot), uint64(flags))
	defer t.leave(nil, &err)
	if off%vfs.PageSize != 0 { // before the descriptor
		return sys.Mem{}, sys.EINVAL
	}
	if flags&sys.MAP_ANONYMOUS != 0 {
		if shared := flags&sys.MAP_SHARED != 0; length <= 0 || shared == (flags&sys.MAP_PRIVATE != 0) {
			return sys.Mem{}, sys.EINVAL
		}
		words := make([]uint64, (length+7)/8)
		b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), length)
		return t.p.mapped(b, nil, false), nil
	}
	err = t.with(fd, func(d *vfs.Description) error {
		b, err := d.Mmap(&t.task, off, length, prot, flags)
		if err == nil {
			d.Incref()
			mem = t.p.mapped(b, d, flags&sys.MAP_SHARED != 0)
		}
		return err
	})
	return mem, err
}

func (t *thread) Munmap(mem sys.Mem) (err error) {
	t.enter("munmap", -1, uint64(mem.Len()))
	defer t.leave(nil, &err)
	if mem.Len() == 0 {
		return sys.EINVAL
	}
	// There need be nothing at the address, as munmap(2) says.
	if t.detach(mem) {
		return nil
	}
	if m, ok := mem.Gate().(*mapping); ok {
		t.p.unmapped(&t.task, m)
	}
	return nil
}

func (t *thread) MemfdCreate(name string, flags int) (fd int, err error) {
	t.enter("memfd_create", -1, uint64(flags))
	defer t.leave(&fd, &err)
	t.note(name)
	if err := vfs.CheckMemfd(name, flags); err != nil {
		return -1, err
	}
	if err := t.noRoom(1); err != nil {
		return -1, err
	}
	d, err := t.p.m.tree.NewMemfd(&t.task, name, flags)
	if err != nil {
		return -1, err
	}
	return t.install(d, flags&sys.MFD_CLOEXEC != 0)
}

func (t *thread) FutexWait(mem sys.Mem, off int, val uint32, timeout time.Duration) (err error) {
	t.enter("futex", -1, uint64(off), uint64(val), uint64(timeout))
	defer t.leave(nil, &err)
	word, err := futexWord(mem, off)
	if err != nil {
		return err
	}
	return t.futexWait(word, val, timeout)
}

func (t *thread) FutexWake(mem sys.Mem, off int, n int) (woken int, err error) {
	t.enter("futex", -1, uint64(off), uint64(n))
	defer t.leave(&woken, &err)
	word, err := futexWord(mem, off)
	if err != nil {
		return 0, err
	}
	return t.p.m.futexes.Wake(word, n), nil
}

// futexWord is the word at off of mem. EINVAL: misaligned; EFAULT: outside.
func futexWord(mem sys.Mem, off int) (*uint32, error) {
	if off%4 != 0 {
		return nil, sys.EINVAL
	}
	b := mem.Bytes()
	if off < 0 || off+4 > len(b) {
		return nil, sys.EFAULT
	}
	return (*uint32)(unsafe.Pointer(&b[off])), nil
}
