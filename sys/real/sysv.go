package real

import (
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// Commands of semctl(2) and shmctl(2), from linux/ipc.h and linux/sem.h.
const (
	ipcRmid = 0
	ipcSet  = 1
	ipcStat = 2
	getval  = 12
	setval  = 16
)

func (*thread) Semget(key, nsems, flags int) (int, error) {
	return result(unix.Syscall(unix.SYS_SEMGET, uintptr(key), uintptr(nsems), uintptr(flags)))
}

// Semtimedop passes ops as they are: sys.Sembuf is struct sembuf.
func (*thread) Semtimedop(id int, ops []sys.Sembuf, timeout time.Duration) error {
	var ts unix.Timespec
	var tsp *unix.Timespec
	if timeout >= 0 {
		ts = timespec(timeout)
		tsp = &ts
	}
	_, _, e := unix.Syscall6(unix.SYS_SEMTIMEDOP, uintptr(id), uintptr(unsafe.Pointer(unsafe.SliceData(ops))), uintptr(len(ops)),
		uintptr(unsafe.Pointer(tsp)), 0, 0)
	return errOf(e)
}

func (*thread) SemSetval(id, num, val int) error {
	_, _, e := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), uintptr(num), setval, uintptr(val), 0, 0)
	return errOf(e)
}

func (*thread) SemGetval(id, num int) (int, error) {
	return result(unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), uintptr(num), getval, 0, 0, 0))
}

func (*thread) SemStat(id int) (sys.SemidDs, error) {
	var ds semidDs
	_, _, e := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, ipcStat, uintptr(unsafe.Pointer(&ds)), 0, 0)
	if e != 0 {
		return sys.SemidDs{}, e
	}
	return sys.SemidDs{Perm: fromPerm(&ds.Perm), Otime: ds.Otime, Ctime: ds.Ctime, Nsems: int(ds.Nsems)}, nil
}

func (*thread) SemSet(id int, perm sys.IpcPerm) error {
	ds := semidDs{Perm: toPerm(perm)}
	_, _, e := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, ipcSet, uintptr(unsafe.Pointer(&ds)), 0, 0)
	return errOf(e)
}

func (*thread) SemRmid(id int) error {
	_, _, e := unix.Syscall6(unix.SYS_SEMCTL, uintptr(id), 0, ipcRmid, 0, 0, 0)
	return errOf(e)
}

func (*thread) Shmget(key, size, flags int) (int, error) {
	return result(unix.Syscall(unix.SYS_SHMGET, uintptr(key), uintptr(size), uintptr(flags)))
}

// Shmat asks for the size with IPC_STAT after attaching: the kernel does not say
// it, and the segment cannot go while it is attached.
func (t *thread) Shmat(id, flags int) (sys.Mem, error) {
	addr, _, e := unix.Syscall(unix.SYS_SHMAT, uintptr(id), 0, uintptr(flags))
	if e != 0 {
		return sys.Mem{}, e
	}
	ds, err := t.ShmStat(id)
	if err != nil {
		unix.Syscall(unix.SYS_SHMDT, addr, 0, 0)
		return sys.Mem{}, err
	}
	return memAt(addr, ds.Segsz), nil
}

func (*thread) Shmdt(m sys.Mem) error {
	_, _, e := unix.Syscall(unix.SYS_SHMDT, uintptr(data(m.Bytes())), 0, 0)
	return errOf(e)
}

func (*thread) ShmStat(id int) (sys.ShmidDs, error) {
	var ds unix.SysvShmDesc
	_, _, e := unix.Syscall(unix.SYS_SHMCTL, uintptr(id), ipcStat, uintptr(unsafe.Pointer(&ds)))
	if e != 0 {
		return sys.ShmidDs{}, e
	}
	return sys.ShmidDs{
		Perm: fromPerm(&ds.Perm), Segsz: int(ds.Segsz), Atime: ds.Atime, Dtime: ds.Dtime, Ctime: ds.Ctime,
		Cpid: int(ds.Cpid), Lpid: int(ds.Lpid), Nattch: int(ds.Nattch),
	}, nil
}

func (*thread) ShmSet(id int, perm sys.IpcPerm) error {
	ds := unix.SysvShmDesc{Perm: toPerm(perm)}
	_, _, e := unix.Syscall(unix.SYS_SHMCTL, uintptr(id), ipcSet, uintptr(unsafe.Pointer(&ds)))
	return errOf(e)
}

func (*thread) ShmRmid(id int) error {
	_, _, e := unix.Syscall(unix.SYS_SHMCTL, uintptr(id), ipcRmid, 0)
	return errOf(e)
}

func fromPerm(p *unix.SysvIpcPerm) sys.IpcPerm {
	return sys.IpcPerm{Key: int(p.Key), Uid: p.Uid, Gid: p.Gid, Cuid: p.Cuid, Cgid: p.Cgid, Mode: p.Mode}
}

// toPerm fills what IPC_SET reads.
func toPerm(p sys.IpcPerm) unix.SysvIpcPerm {
	return unix.SysvIpcPerm{Uid: p.Uid, Gid: p.Gid, Mode: p.Mode}
}
