package mpm

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

// The method start is the start mutex of mpm_winnt, which no configuration can
// choose: a child that has got it keeps it while it accepts, so that the child
// that is to replace it can start, wait here, and go on without a gap. It is a
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

func (m *startMutex) Lock(s sys.Sys) error {
	if m.held {
		return nil
	}
	err := m.fcntl.Lock(s)
	m.held = err == nil
	return err
}

// Unlock keeps the mutex: see Leave.
func (m *startMutex) Unlock(s sys.Sys) error { return nil }

// Leave gives the mutex to the next child.
func (m *startMutex) Leave(s sys.Sys) error {
	m.held = false
	return m.fcntl.Unlock(s)
}
