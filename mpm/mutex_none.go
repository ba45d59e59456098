package mpm

import "github.com/httpjail/httpjail/sys"

// noMutex is the method none: every idle child waits for connections, and the
// non-blocking accept(2) decides.
type noMutex struct{}

func createNone(sys.Sys, *Config) (MutexOwner, error)          { return noMutex{}, nil }
func attachNone(sys.Sys, MutexState, LockState) (Mutex, error) { return noMutex{}, nil }
func (noMutex) State() MutexState                              { return MutexState{Method: "none", Fd: -1} }
func (noMutex) Destroy(sys.Sys) error                          { return nil }
func (noMutex) Lock(sys.Sys) error                             { return nil }
func (noMutex) Unlock(sys.Sys) error                           { return nil }
