//go:build linux && amd64

package ipc

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/httpjail/httpjail/sys"
)

// hostKernel makes the calls in an IPC namespace of its own, from one thread
// that changes its effective ids as the script says.
type hostKernel struct{ mems [][]byte }

// onHost runs fn on the real kernel and reports whether it could.
func onHost(t *testing.T, fn func(kernel)) bool {
	if unix.Geteuid() != 0 {
		t.Log("not compared with the real kernel: needs root for an IPC namespace")
		return false
	}
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWIPC | unix.CLONE_SYSVSEM); err != nil {
			return
		}
		k := &hostKernel{}
		defer func() {
			for _, m := range k.mems {
				unix.SysvShmDetach(m)
			}
		}()
		fn(k)
	}()
	<-done
	if err != nil {
		t.Logf("not compared with the real kernel: %v", err)
	}
	return err == nil
}

func call(nr, a, b, c, d uintptr) (int, error) {
	r, _, e := unix.Syscall6(nr, a, b, c, d, 0, 0)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// as is per thread, unlike syscall.Setresuid.
func (k *hostKernel) as(uid, gid int, groups ...int) {
	const same = ^uintptr(0)
	must := func(_, _ uintptr, e syscall.Errno) {
		if e != 0 {
			panic(e)
		}
	}
	must(unix.RawSyscall(unix.SYS_SETRESUID, same, 0, same))
	gids := make([]uint32, len(groups)+1)
	for i, g := range groups {
		gids[i] = uint32(g)
	}
	must(unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&gids[0])), 0))
	must(unix.RawSyscall(unix.SYS_SETRESGID, same, uintptr(gid), same))
	must(unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same))
}

func (k *hostKernel) semget(key, n, flags int) (int, error) {
	return call(unix.SYS_SEMGET, uintptr(key), uintptr(n), uintptr(flags), 0)
}

func (k *hostKernel) semop(id int, ops ...sys.Sembuf) error {
	var first unsafe.Pointer
	if len(ops) > 0 {
		first = unsafe.Pointer(&ops[0])
	}
	ts := unix.Timespec{Nsec: 1000}
	_, err := call(unix.SYS_SEMTIMEDOP, uintptr(id), uintptr(first), uintptr(len(ops)), uintptr(unsafe.Pointer(&ts)))
	return err
}

func (k *hostKernel) setval(id, num, val int) error {
	_, err := call(unix.SYS_SEMCTL, uintptr(id), uintptr(num), 16, uintptr(val))
	return err
}

func (k *hostKernel) getval(id, num int) (int, error) {
	return call(unix.SYS_SEMCTL, uintptr(id), uintptr(num), 12, 0)
}

// semid64_ds of x86_64.
type semid struct {
	perm  unix.SysvIpcPerm
	otime int64
	_     uint64
	ctime int64
	_     uint64
	nsems uint64
	_     [2]uint64
}

func fromPerm(p unix.SysvIpcPerm) sys.IpcPerm {
	return sys.IpcPerm{Key: int(p.Key), Uid: p.Uid, Gid: p.Gid, Cuid: p.Cuid, Cgid: p.Cgid, Mode: p.Mode}
}

func (k *hostKernel) semstat(id int) (sys.SemidDs, error) {
	var s semid
	if _, err := call(unix.SYS_SEMCTL, uintptr(id), 0, 2, uintptr(unsafe.Pointer(&s))); err != nil {
		return sys.SemidDs{}, err
	}
	return sys.SemidDs{Perm: fromPerm(s.perm), Otime: s.otime, Ctime: s.ctime, Nsems: int(s.nsems)}, nil
}

func (k *hostKernel) semset(id int, p sys.IpcPerm) error {
	s := semid{perm: unix.SysvIpcPerm{Uid: p.Uid, Gid: p.Gid, Mode: p.Mode}}
	_, err := call(unix.SYS_SEMCTL, uintptr(id), 0, 1, uintptr(unsafe.Pointer(&s)))
	return err
}

func (k *hostKernel) semrm(id int) error {
	_, err := call(unix.SYS_SEMCTL, uintptr(id), 0, 0, 0)
	return err
}

func (k *hostKernel) shmget(key, size, flags int) (int, error) {
	return unix.SysvShmGet(key, size, flags)
}

func (k *hostKernel) shmat(id, flags int) ([]byte, error) {
	m, err := unix.SysvShmAttach(id, 0, flags)
	if err == nil {
		k.mems = append(k.mems, m)
	}
	return m, err
}

func (k *hostKernel) shmdt(m []byte) error {
	_, err := call(unix.SYS_SHMDT, uintptr(unsafe.Pointer(unsafe.SliceData(m))), 0, 0, 0)
	return err
}

func (k *hostKernel) shmstat(id int) (sys.ShmidDs, error) {
	var d unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &d); err != nil {
		return sys.ShmidDs{}, err
	}
	return sys.ShmidDs{Perm: fromPerm(d.Perm), Segsz: int(d.Segsz), Atime: d.Atime, Dtime: d.Dtime, Ctime: d.Ctime, Nattch: int(d.Nattch)}, nil
}

func (k *hostKernel) shmset(id int, p sys.IpcPerm) error {
	d := unix.SysvShmDesc{Perm: unix.SysvIpcPerm{Uid: p.Uid, Gid: p.Gid, Mode: p.Mode}}
	_, err := unix.SysvShmCtl(id, unix.IPC_SET, &d)
	return err
}

func (k *hostKernel) shmrm(id int) error {
	_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}
