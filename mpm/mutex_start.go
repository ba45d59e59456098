package mpm

import (
	"fmt"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// The method start is the start mutex of mpm_winnt, which no configuration can
// choose: a child that has got it keeps it while it accepts, so that the child
// that is to replace it can start, wait for it, and go on without a gap. It is a
// POSIX lock on a file without a name: it belongs to the process, and the
// kernel gives it on when its owner dies.
const startMethod = "start"

func createStart(s sys.Sys, c *Config) (MutexOwner, error) {
	fd, err := s.MemfdCreate("httpjail start mutex", sys.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot create the start mutex: %w", err)
	}
	return startOwner{fcntlOwner{fd}}, nil
}

type startOwner struct{ fcntlOwner }

func (o startOwner) State() MutexState { return MutexState{Method: startMethod, Fd: o.fd} }

type startMutex struct {
	fcntl fcntlMutex
	held  bool
}

func attachStart(s sys.Sys, st MutexState, _ LockState) (Mutex, error) {
	return &startMutex{fcntl: fcntlMutex{st.Fd}}, nil
}

// Lock does not wait: EAGAIN means that another child has it. See
// Child.waitStart.
func (m *startMutex) Lock(s sys.Sys) error {
	if m.held {
		return nil
	}
	lk := sys.Flock{Type: sys.F_WRLCK}
	err := s.FcntlFlock(m.fcntl.fd, sys.F_SETLK, &lk)
	if err == sys.EACCES { // fcntl(2): either
		err = sys.EAGAIN
	}
	m.held = err == nil
	return err
}

// Unlock keeps the mutex: see Leave.
func (m *startMutex) Unlock(s sys.Sys) error { return nil }

// startPause is how long a child waits before it tries the start mutex again.
// The one that has it leaves it when its replacement has been started.
const startPause = 10 * time.Millisecond

// waitStart waits for the start mutex, or for the end of this child: it may have
// to end before it has had the mutex. A byte in the pipe of death is for the
// child that has it, but the pipe's end is for all.
func (c *Child) waitStart(s sys.Sys) error {
	pfd := [2]sys.PollFd{{Fd: int32(c.state.Pod)}, {Fd: int32(c.state.Death), Events: sys.POLLIN}}
	if _, err := s.Poll(pfd[:], startPause); err != nil && err != sys.EINTR {
		return err
	}
	switch {
	case parentGone(pfd[1]):
		return errOrphan
	case pfd[0].Revents != 0:
		return errQuit
	}
	return nil
}

// Leave gives the mutex to the next child.
func (m *startMutex) Leave(s sys.Sys) error {
	if !m.held {
		return nil
	}
	m.held = false
	return m.fcntl.Unlock(s)
}
