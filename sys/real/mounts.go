package real

import (
	"runtime"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Mount(source, target, fstype string, flags int, data string) error {
	var bufs [4]pathBuf
	var args [4]*byte
	for i, s := range []string{source, target, fstype, data} {
		p, err := cpath(&bufs[i], s)
		if err != nil {
			return err
		}
		args[i] = p
	}
	if data == "" { // some filesystems have it that no options are NULL
		args[3] = nil
	}
	_, _, e := unix.Syscall6(unix.SYS_MOUNT, uintptr(unsafe.Pointer(args[0])), uintptr(unsafe.Pointer(args[1])),
		uintptr(unsafe.Pointer(args[2])), uintptr(flags), uintptr(unsafe.Pointer(args[3])), 0)
	return errOf(e)
}

func (*thread) Umount2(target string, flags int) error {
	var buf pathBuf
	p, err := cpath(&buf, target)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_UMOUNT2, uintptr(unsafe.Pointer(p)), uintptr(flags), 0)
	return errOf(e)
}

func (*thread) PivotRoot(newRoot, putOld string) error {
	var buf, buf2 pathBuf
	p, err := cpath(&buf, newRoot)
	if err != nil {
		return err
	}
	q, err := cpath(&buf2, putOld)
	if err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_PIVOT_ROOT, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(q)), 0)
	return errOf(e)
}

// Unshare ties the goroutine to its OS thread for good: that alone has the
// namespaces, and Go ends it with the goroutine. The runtime makes no thread from
// one that is tied, so others do not inherit them.
//
// A table of descriptors of its own cannot be had: the runtime's poller, which
// serves all threads, has its descriptors in the common one.
func (*thread) Unshare(flags int) error {
	if flags&sys.CLONE_FILES != 0 {
		return sys.ENOSYS
	}
	runtime.LockOSThread()
	_, _, e := unix.RawSyscall(unix.SYS_UNSHARE, uintptr(flags), 0, 0)
	if e != 0 {
		runtime.UnlockOSThread()
	}
	return errOf(e)
}
