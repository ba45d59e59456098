package real

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Kill(pid int, sig sys.Signal) error {
	_, _, e := unix.Syscall(unix.SYS_KILL, uintptr(pid), uintptr(sig), 0)
	return errOf(e)
}

// maxSignal is SIGRTMAX.
const maxSignal = 64

// Signalfd is a pipe: the Go runtime owns the handlers, and a signal that it
// handles is not pending for signalfd(2). Each signal has a goroutine that moves
// it from os/signal to the pipe, and a place for one that waits: so, as in the
// kernel, repeats of a pending signal coalesce and different signals do not
// displace each other. From the return on no signal is lost. The pipe's write
// end occupies a descriptor of its own, closed on exec. Closing fd gives the
// signals back no default action, as with signalfd(2); the first signal after it
// ends its goroutine.
func (*thread) Signalfd(sigs []sys.Signal, flags int) (int, error) {
	if flags&^(sys.SFD_CLOEXEC|sys.SFD_NONBLOCK) != 0 {
		return -1, sys.EINVAL
	}
	for _, sig := range sigs {
		if sig < 1 || sig > maxSignal {
			return -1, sys.EINVAL
		}
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	if flags&sys.SFD_CLOEXEC == 0 {
		if _, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETFD, 0); err != nil {
			return -1, err
		}
	}
	if flags&sys.SFD_NONBLOCK != 0 {
		if err := unix.SetNonblock(p[0], true); err != nil {
			return -1, err
		}
	}
	for _, sig := range sigs {
		if sig == sys.SIGKILL || sig == sys.SIGSTOP {
			continue // silently, as sigprocmask(2) ignores them
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.Signal(sig))
		go feed(c, p[1], byte(sig))
	}
	return p[0], nil
}

// feed writes a byte for each signal from c. When the pipe is full it blocks, and
// further signals coalesce in c.
func feed(c chan os.Signal, w int, sig byte) {
	p := []byte{sig}
	for range c {
		for {
			_, err := unix.Write(w, p)
			if err == nil {
				break
			}
			if err != unix.EINTR { // EPIPE: nobody can read it any more
				return
			}
		}
	}
}

// Sigaction goes through os/signal, so that the runtime knows. SIG_DFL of a
// signal that is read from a Signalfd ends that; the default action is the Go
// runtime's, which differs from the kernel's where package os/signal says so:
// SIGQUIT, for one, prints the goroutines' stacks and exits.
func (*thread) Sigaction(sig sys.Signal, disposition int) error {
	if sig < 1 || sig > maxSignal || sig == sys.SIGKILL || sig == sys.SIGSTOP {
		return sys.EINVAL
	}
	switch disposition {
	case sys.SIG_DFL:
		if signal.Ignored(syscall.Signal(sig)) {
			// Reset alone leaves an ignored signal ignored: the runtime
			// installs its handler again only for a Notify.
			signal.Notify(make(chan os.Signal, 1), syscall.Signal(sig))
		}
		signal.Reset(syscall.Signal(sig))
	case sys.SIG_IGN:
		signal.Ignore(syscall.Signal(sig))
	default:
		return sys.EINVAL
	}
	return nil
}
