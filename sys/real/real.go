// Package real is the Linux kernel as a sys.Sys: system calls, and nothing
// between. It is the only package of the project that makes any. It builds on
// amd64 and arm64.
//
// A thread is a goroutine. Calls that may block go through the Go scheduler
// (entersyscall), so that the other goroutines go on; each blocked call holds
// one OS thread meanwhile, but for FutexWaitPrivate and RecvTimeout, which park
// the goroutine.
// A signal interrupts a blocked call with EINTR only when the kernel happens to
// deliver it to that OS thread, and only where SA_RESTART, which the Go runtime
// sets, does not restart the call: see signal(7). Changing credentials
// interrupts all threads for a moment and may cause an EINTR as well.
//
// There is no state but what the Go runtime forces on us: the parking lot of
// FutexWaitPrivate, the descriptors that RecvTimeout has given to the runtime's
// poller, and the thread counter.
package real

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// thread is the handle of one thread.
type thread struct {
	tid     int
	yielded time.Duration // when it last passed through the scheduler, see yield
}

var _ sys.Sys = (*thread)(nil)

// lastTid counts the threads that Go has started, up from the process id.
var lastTid atomic.Int64

func init() { lastTid.Store(int64(os.Getpid())) }

// New is the handle of the process's first thread.
func New() sys.Sys { return &thread{tid: os.Getpid()} }

// errOf makes an error of an errno. Interfaces of values below 256 are made
// without allocating.
func errOf(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
