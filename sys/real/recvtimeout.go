package real

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// RecvTimeout waits in the Go runtime's network poller (runtime/netpoll.go), as
// package net does: the goroutine is parked and no OS thread is held. A server
// with a thread for each connection would otherwise have as many OS threads in
// recvfrom(2), each wake-up of which costs a futex and sends the runtime's
// monitor around every 20 us to take the processor away from the sleeping one.
//
// The poller's interface is private to package internal/poll. It is pushed
// there by go:linkname, which lets us pull it. A pollDesc is not in the
// garbage-collected heap: a uintptr holds it.

//go:linkname pollServerInit internal/poll.runtime_pollServerInit
func pollServerInit()

//go:linkname pollOpen internal/poll.runtime_pollOpen
func pollOpen(fd uintptr) (pd uintptr, errno int)

//go:linkname pollReset internal/poll.runtime_pollReset
func pollReset(pd uintptr, mode int) int

//go:linkname pollWait internal/poll.runtime_pollWait
func pollWait(pd uintptr, mode int) int

//go:linkname pollSetDeadline internal/poll.runtime_pollSetDeadline
func pollSetDeadline(pd uintptr, d int64, mode int)

//go:linkname pollUnblock internal/poll.runtime_pollUnblock
func pollUnblock(pd uintptr)

//go:linkname pollClose internal/poll.runtime_pollClose
func pollClose(pd uintptr)

// Results of pollReset and pollWait, see runtime/netpoll.go.
const (
	pollErrClosing     = 1
	pollErrTimeout     = 2
	pollErrNotPollable = 3
)

// registration is a descriptor's place in the poller.
type registration struct {
	pd   uintptr
	busy atomic.Bool // by the thread that receives, or for good by the one that closes

	// armed is when the poller's timer fires, in nanoseconds of nanotime; 0:
	// never. It may be earlier than needed, and then the wait goes on: so that
	// the timer is set once in a timeout and not with each request.
	armed int64
}

// registrations has the registration of each descriptor: it is made when a
// RecvTimeout first has to wait, and ends with Close, Dup3 or CloseRange. A
// descriptor must not be closed in any other way.
var registrations [1024]atomic.Pointer[[registrationChunk]atomic.Pointer[registration]]

const registrationChunk = 1024 // with 1024 chunks: all below the usual fs.nr_open

// slotOf is where fd's registration is, or nil: there is none, and none can be
// made unless create is set.
func slotOf(fd int, create bool) *atomic.Pointer[registration] {
	if uint(fd) >= registrationChunk*uint(len(registrations)) {
		return nil
	}
	chunk := &registrations[fd/registrationChunk]
	c := chunk.Load()
	if c == nil {
		if !create {
			return nil
		}
		chunk.CompareAndSwap(nil, new([registrationChunk]atomic.Pointer[registration]))
		c = chunk.Load()
	}
	return &c[fd%registrationChunk]
}

func registered(fd int) *registration {
	if slot := slotOf(fd, false); slot != nil {
		return slot.Load()
	}
	return nil
}

// register makes fd's registration. It is nil where the poller does not take
// the descriptor.
func register(fd int) *registration {
	slot := slotOf(fd, true)
	if slot == nil {
		return nil
	}
	pollServerInit()
	pd, errno := pollOpen(uintptr(fd))
	if errno != 0 {
		return slot.Load() // EEXIST: another thread was quicker
	}
	r := &registration{pd: pd}
	if !slot.CompareAndSwap(nil, r) { // fd is being closed, and is another file already
		r.end()
		return nil
	}
	return r
}

// unregister comes before a descriptor is closed.
func unregister(fd int) {
	slot := slotOf(fd, false)
	if slot == nil || slot.Load() == nil {
		return
	}
	if r := slot.Swap(nil); r != nil {
		r.end()
	}
}

// unregisterRange is unregister of all descriptors from first to last.
func unregisterRange(first, last uint) {
	last = min(last, registrationChunk*uint(len(registrations))-1)
	for fd := first; fd <= last; fd++ {
		if registrations[fd/registrationChunk].Load() == nil {
			fd |= registrationChunk - 1 // the chunk's last
			continue
		}
		unregister(int(fd))
	}
}

// end wakes the thread that waits, if there is one, and gives the pollDesc
// back when it is out: another descriptor may get it at once.
func (r *registration) end() {
	pollUnblock(r.pd)
	for !r.busy.CompareAndSwap(false, true) {
		runtime.Gosched()
	}
	pollClose(r.pd)
}

func (*thread) RecvTimeout(fd int, p []byte, timeout time.Duration) (int, error) {
	r := registered(fd)
	if r == nil {
		n, e := recvNow(fd, p)
		if e != unix.EAGAIN || timeout == 0 {
			return result(n, 0, e)
		}
		r = register(fd)
	}
	// Only one thread can wait in a pollDesc.
	if r == nil || !r.busy.CompareAndSwap(false, true) {
		return pollAndRecv(fd, p, timeout)
	}
	n, err := r.recv(fd, p, timeout)
	r.busy.Store(false)
	return n, err
}

// recvNow cannot block, and so the scheduler need not hear of it.
func recvNow(fd int, p []byte) (uintptr, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(data(p)), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return n, e
}

// recv is RecvTimeout of a registered descriptor. The poller tells only that
// something has come (it is edge-triggered): what came before pollReset is found
// by recvfrom, and what comes after that, by pollWait.
func (r *registration) recv(fd int, p []byte, timeout time.Duration) (int, error) {
	var deadline int64 // 0: not known yet
	for {
		switch pollReset(r.pd, 'r') {
		case pollErrTimeout: // the timer has fired, now or since the last call
			pollSetDeadline(r.pd, 0, 'r')
			r.armed = 0
			continue
		case pollErrClosing:
			return -1, sys.EBADF
		case pollErrNotPollable: // an EPOLLERR alone
			return pollAndRecv(fd, p, timeout)
		}
		n, e := recvNow(fd, p)
		if e != unix.EAGAIN || timeout == 0 {
			return result(n, 0, e)
		}
		if timeout > 0 {
			now := nanotime()
			if deadline == 0 {
				deadline = now + min(int64(timeout), math.MaxInt64-now)
			}
			if now >= deadline {
				return -1, sys.EAGAIN
			}
			if r.armed == 0 || r.armed > deadline {
				pollSetDeadline(r.pd, deadline-now, 'r')
				r.armed = deadline
			}
		}
		pollWait(r.pd, 'r')
	}
}

// pollAndRecv is RecvTimeout where the poller is of no use.
func pollAndRecv(fd int, p []byte, timeout time.Duration) (int, error) {
	var t *thread
	start := nanotime()
	for {
		n, e := recvNow(fd, p)
		if e != unix.EAGAIN || timeout == 0 {
			return result(n, 0, e)
		}
		left := timeout
		if timeout > 0 {
			if left -= time.Duration(nanotime() - start); left <= 0 {
				return -1, sys.EAGAIN
			}
		}
		fds := [1]sys.PollFd{{Fd: int32(fd), Events: sys.POLLIN}}
		if _, err := t.Poll(fds[:], left); err != nil {
			return -1, err
		}
	}
}
