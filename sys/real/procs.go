package real

import (
	"os"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Getpid() int { return unix.Getpid() }

func (*thread) Getppid() int { return unix.Getppid() }

func (*thread) Wait4(pid, options int) (int, sys.WaitStatus, error) {
	var status uint32
	wpid, _, e := unix.Syscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), uintptr(options), 0, 0, 0)
	if e != 0 {
		return -1, 0, e
	}
	return int(wpid), sys.WaitStatus(status), nil
}

// Exit is os.Exit: no deferred function runs.
func (*thread) Exit(status int) { os.Exit(status) }

func (*thread) Setpgid(pid, pgid int) error {
	_, _, e := unix.RawSyscall(unix.SYS_SETPGID, uintptr(pid), uintptr(pgid), 0)
	return errOf(e)
}

func (*thread) Getpgid(pid int) (int, error) {
	return result(unix.RawSyscall(unix.SYS_GETPGID, uintptr(pid), 0, 0))
}

func (*thread) Setsid() (int, error) {
	return result(unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0))
}

// Getrlimit of RLIMIT_NOFILE shows the soft limit as the Go runtime has raised
// it at the program's start. Spawn passes that on.
func (*thread) Getrlimit(resource int) (lim sys.Rlimit, err error) {
	_, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), 0, uintptr(unsafe.Pointer(&lim)), 0, 0)
	return lim, errOf(e)
}

func (*thread) Setrlimit(resource int, lim sys.Rlimit) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), uintptr(unsafe.Pointer(&lim)), 0, 0, 0)
	return errOf(e)
}
