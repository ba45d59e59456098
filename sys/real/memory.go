package real

import (
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// Operations of futex(2), from linux/futex.h.
const (
	futexWait = 0
	futexWake = 1
)

func (*thread) Mmap(fd int, off int64, length, prot, flags int) (sys.Mem, error) {
	addr, _, e := unix.Syscall6(unix.SYS_MMAP, 0, uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(off))
	if e != 0 {
		return sys.Mem{}, e
	}
	return memAt(addr, length), nil
}

// memAt is the mapping that the kernel made at addr, outside of Go's heap.
func memAt(addr uintptr, length int) sys.Mem {
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	return sys.NewMem(unsafe.Slice((*byte)(p), length), nil)
}

func (*thread) Munmap(m sys.Mem) error {
	_, _, e := unix.Syscall(unix.SYS_MUNMAP, uintptr(data(m.Bytes())), uintptr(m.Len()), 0)
	return errOf(e)
}

func (*thread) MemfdCreate(name string, flags int) (int, error) {
	var buf pathBuf
	p, err := cpath(&buf, name)
	if err != nil {
		return -1, err
	}
	return result(unix.Syscall(unix.SYS_MEMFD_CREATE, uintptr(unsafe.Pointer(p)), uintptr(flags), 0))
}

// word is the 32-bit word at off. EINVAL: not aligned; EFAULT: not in m, both as
// futex(2) says.
func word(m sys.Mem, off int) (unsafe.Pointer, error) {
	if off&3 != 0 {
		return nil, sys.EINVAL
	}
	if off < 0 || off > m.Len()-4 {
		return nil, sys.EFAULT
	}
	return unsafe.Pointer(&m.Bytes()[off]), nil
}

func (*thread) FutexWait(m sys.Mem, off int, val uint32, timeout time.Duration) error {
	addr, err := word(m, off)
	if err != nil {
		return err
	}
	var ts unix.Timespec
	var tsp *unix.Timespec
	if timeout >= 0 {
		ts = timespec(timeout)
		tsp = &ts
	}
	_, _, e := unix.Syscall6(unix.SYS_FUTEX, uintptr(addr), futexWait, uintptr(val), uintptr(unsafe.Pointer(tsp)), 0, 0)
	return errOf(e)
}

func (*thread) FutexWake(m sys.Mem, off int, n int) (int, error) {
	addr, err := word(m, off)
	if err != nil {
		return 0, err
	}
	return result(unix.Syscall(unix.SYS_FUTEX, uintptr(addr), futexWake, uintptr(n)))
}
