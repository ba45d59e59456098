package real

import (
	"syscall"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// Linux keeps credentials per thread, and a Go program has many threads. Package
// syscall sets ids in all of them, through the C library in a cgo program (the
// race detector makes one) and through AllThreadsSyscall else. What has no
// wrapper there, capset and prctl, goes through AllThreadsSyscall, which a cgo
// program does not have: ENOTSUP. Better no change than one in one thread.

func (*thread) Getresuid() (ruid, euid, suid int) { return unix.Getresuid() }

func (*thread) Getresgid() (rgid, egid, sgid int) { return unix.Getresgid() }

func (*thread) Getgroups() ([]int, error) { return unix.Getgroups() }

func (*thread) Setgroups(gids []int) error { return syscall.Setgroups(gids) }

func (*thread) Setresuid(ruid, euid, suid int) error { return syscall.Setresuid(ruid, euid, suid) }

func (*thread) Setresgid(rgid, egid, sgid int) error { return syscall.Setresgid(rgid, egid, sgid) }

func (*thread) Capget() (sys.CapSets, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	_, _, e := unix.RawSyscall(unix.SYS_CAPGET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&d)), 0)
	if e != 0 {
		return sys.CapSets{}, e
	}
	return sys.CapSets{
		Effective:   uint64(d[1].Effective)<<32 | uint64(d[0].Effective),
		Permitted:   uint64(d[1].Permitted)<<32 | uint64(d[0].Permitted),
		Inheritable: uint64(d[1].Inheritable)<<32 | uint64(d[0].Inheritable),
	}, nil
}

func (*thread) Capset(c sys.CapSets) error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	d := &[2]unix.CapUserData{
		{Effective: uint32(c.Effective), Permitted: uint32(c.Permitted), Inheritable: uint32(c.Inheritable)},
		{Effective: uint32(c.Effective >> 32), Permitted: uint32(c.Permitted >> 32), Inheritable: uint32(c.Inheritable >> 32)},
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(hdr)), uintptr(unsafe.Pointer(d)), 0)
	return errOf(e)
}

// Prctl applies the options that are attributes of a thread to all threads; those
// of the dumpable flag belong to the memory and concern all anyway.
func (*thread) Prctl(option int, arg2, arg3, arg4, arg5 uintptr) (int, error) {
	switch option {
	case sys.PR_SET_PDEATHSIG, sys.PR_CAPBSET_DROP, sys.PR_SET_NO_NEW_PRIVS, sys.PR_CAP_AMBIENT:
		return result(syscall.AllThreadsSyscall6(unix.SYS_PRCTL, uintptr(option), arg2, arg3, arg4, arg5, 0))
	case sys.PR_GET_DUMPABLE, sys.PR_SET_DUMPABLE, sys.PR_CAPBSET_READ, sys.PR_GET_NO_NEW_PRIVS:
		return result(unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg2, arg3, arg4, arg5, 0))
	}
	return -1, sys.EINVAL
}
