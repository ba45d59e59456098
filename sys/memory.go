package sys

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Memory are the calls on shared memory.
type Memory interface {
	// Mmap is mmap(2) at an address of the kernel's choice, of length bytes. fd
	// is -1 with MAP_ANONYMOUS. An anonymous shared mapping is of no use to a
	// spawned process, which has executed a program anew: share a file or a
	// memfd.
	Mmap(fd int, off int64, length, prot, flags int) (Mem, error)
	// Munmap is munmap(2) of a whole mapping.
	Munmap(m Mem) error
	// MemfdCreate is memfd_create(2).
	MemfdCreate(name string, flags int) (fd int, err error)
	// FutexWait is futex(2) FUTEX_WAIT on the 32-bit word at off of a shared
	// mapping: it sleeps while the word holds val, at most for timeout, for
	// ever when negative. EAGAIN: the word holds another value; ETIMEDOUT;
	// EINTR. A nil return may be spurious.
	FutexWait(m Mem, off int, val uint32, timeout time.Duration) error
	// FutexWake is FUTEX_WAKE: it wakes at most n waiters and says how many.
	FutexWake(m Mem, off int, n int) (int, error)
}

// Protections and flags of mmap(2), flags of memfd_create(2).
const (
	PROT_READ         = 1
	PROT_WRITE        = 2
	MAP_SHARED        = 1
	MAP_PRIVATE       = 2
	MAP_ANONYMOUS     = 0x20
	MFD_CLOEXEC       = 1
	MFD_ALLOW_SEALING = 2
)

// Mem is a mapping of memory that other processes may share. Its accessors are
// atomic and sequentially consistent; offsets are in bytes and aligned to the
// word's size, else they panic. On the real backend they compile to the bare
// machine instruction. On the simulated kernel an access by a process that has
// been killed ends the goroutine that tried it, so that a deferred function of
// a dead process cannot reach what the living share.
type Mem struct {
	b    []byte
	gate Gate
}

// Gate is the simulated kernel's guard of a Mem: Touch is called before each
// access. It is nil on the real backend.
type Gate interface{ Touch() }

// NewMem is for backends: a Mem over b, whose first byte is 8-byte aligned.
func NewMem(b []byte, gate Gate) Mem {
	if len(b) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
		panic("sys.NewMem: memory is not 8-byte aligned")
	}
	return Mem{b, gate}
}

// Len is the length in bytes; 0 for the zero Mem.
func (m Mem) Len() int { return len(m.b) }

// Bytes is for backends: the memory itself, to unmap it or to name a futex.
func (m Mem) Bytes() []byte { return m.b }

// Gate is for backends: what NewMem was given.
func (m Mem) Gate() Gate { return m.gate }

func (m Mem) p32(off int) *uint32 {
	if m.gate != nil {
		m.gate.Touch()
	}
	if off&3 != 0 {
		panic("sys.Mem: offset is not a multiple of 4")
	}
	return (*uint32)(unsafe.Pointer(&m.b[off : off+4][0]))
}

func (m Mem) p64(off int) *uint64 {
	if m.gate != nil {
		m.gate.Touch()
	}
	if off&7 != 0 {
		panic("sys.Mem: offset is not a multiple of 8")
	}
	return (*uint64)(unsafe.Pointer(&m.b[off : off+8][0]))
}

// Load32 reads the 32-bit word at off.
func (m Mem) Load32(off int) uint32 { return atomic.LoadUint32(m.p32(off)) }

// Store32 writes the 32-bit word at off.
func (m Mem) Store32(off int, v uint32) { atomic.StoreUint32(m.p32(off), v) }

// Cas32 stores new in the word at off if it holds old, and says whether it did.
func (m Mem) Cas32(off int, old, new uint32) bool {
	return atomic.CompareAndSwapUint32(m.p32(off), old, new)
}

// Add32 adds delta to the word at off and returns the sum.
func (m Mem) Add32(off int, delta uint32) uint32 { return atomic.AddUint32(m.p32(off), delta) }

// Swap32 stores new in the word at off and returns what it held.
func (m Mem) Swap32(off int, new uint32) uint32 { return atomic.SwapUint32(m.p32(off), new) }

// Load64 reads the 64-bit word at off.
func (m Mem) Load64(off int) uint64 { return atomic.LoadUint64(m.p64(off)) }

// Store64 writes the 64-bit word at off.
func (m Mem) Store64(off int, v uint64) { atomic.StoreUint64(m.p64(off), v) }

// Cas64 stores new in the word at off if it holds old, and says whether it did.
func (m Mem) Cas64(off int, old, new uint64) bool {
	return atomic.CompareAndSwapUint64(m.p64(off), old, new)
}

// Add64 adds delta to the word at off and returns the sum.
func (m Mem) Add64(off int, delta uint64) uint64 { return atomic.AddUint64(m.p64(off), delta) }
