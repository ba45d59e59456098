package real

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Now goes through the runtime's vDSO call; Round strips the monotonic reading.
func (*thread) Now() time.Time { return time.Now().Round(0).UTC() }

// nanotime is CLOCK_MONOTONIC in nanoseconds through the vDSO, without a system
// call. The runtime keeps the name for those who link to it.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

func (*thread) Monotonic() time.Duration { return time.Duration(nanotime()) }

func (*thread) Nanosleep(d time.Duration) error {
	ts := timespec(max(d, 0))
	_, _, e := unix.Syscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return errOf(e)
}

func (*thread) Getrandom(p []byte) (int, error) {
	return result(unix.Syscall(unix.SYS_GETRANDOM, uintptr(data(p)), uintptr(len(p)), 0))
}

func timespec(d time.Duration) unix.Timespec { return unix.NsecToTimespec(int64(d)) }
