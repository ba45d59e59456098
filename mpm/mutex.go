package mpm

import (
	"fmt"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// Mutex is the accept mutex of one child: it decides which child waits for the
// next connection. It is the calling thread's alone: a child locks from one
// thread.
type Mutex interface {
	// Lock waits for the mutex. EINTR is retried. ETIMEDOUT, of a mutex that
	// only the parent can release for a dead child: try again if the parent
	// lives. EIDRM: the mutex is gone, and with it the server.
	Lock(s sys.Sys) error
	Unlock(s sys.Sys) error
}

// MutexOwner is the accept mutex as its maker, the parent, holds it.
type MutexOwner interface {
	// State is what a child needs to Attach.
	State() MutexState
	// Destroy removes what the mutex left outside of processes.
	Destroy(s sys.Sys) error
}

// recoverer is a MutexOwner whose mutex the kernel does not release when a child
// dies: the parent does, when it reaps one.
type recoverer interface {
	Recover(s sys.Sys, dead Holder, living []Holder)
}

// orphaned is a Mutex that leaves something behind when the parent cannot
// Destroy it, because it was killed; a child does it then.
type orphaned interface{ Orphan(s sys.Sys) }

// Holder is a child as one that may hold the mutex.
type Holder struct {
	Pid  int
	Lock LockState
}

// LockState is a word of a child's slot in the scoreboard: what the child says
// of a mutex that does not know its owner.
type LockState struct {
	mem sys.Mem
	off int
}

func (l LockState) load() uint32   { return l.mem.Load32(l.off) }
func (l LockState) store(v uint32) { l.mem.Store32(l.off, v) }

// MutexState crosses the exec from the parent to a child.
type MutexState struct {
	Method string
	Path   string // flock: to be opened anew by each child
	Fd     int    // fcntl, posixsem, pthread: inherited; -1 for none
	ID     int    // sysvsem
}

// mutexMethods are the methods in the order in which an error lists them;
// default stands for the first. End to end they cannot be told apart (a request
// costs far more than any of them, see httpjail bench mutex), so what counts is
// the death of the owner and what the jail must hold: pthread recovers at once,
// needs no path in the jail and leaves nothing behind, whoever is killed.
var mutexMethods = []struct {
	name   string
	create func(s sys.Sys, c *Config) (MutexOwner, error)
	attach func(s sys.Sys, st MutexState, slot LockState) (Mutex, error)
}{
	{"pthread", createPthread, attachPthread},
	{"flock", createFlock, attachFlock},
	{"fcntl", createFcntl, attachFcntl},
	{"posixsem", createPosixsem, attachPosixsem},
	{"sysvsem", createSysvsem, attachSysvsem},
	{"none", createNone, attachNone},
	{startMethod, createStart, attachStart},
}

// MutexMethods are the names that Config.AcceptMutex may have.
func MutexMethods() []string {
	names := []string{"default"}
	for _, m := range mutexMethods {
		if m.name != startMethod {
			names = append(names, m.name)
		}
	}
	return names
}

// CreateMutex makes the accept mutex in the parent.
func CreateMutex(s sys.Sys, c *Config) (MutexOwner, error) {
	name := c.AcceptMutex
	if name == "" || name == "default" {
		name = mutexMethods[0].name
	}
	for _, m := range mutexMethods {
		if m.name == name {
			return m.create(s, c)
		}
	}
	return nil, fmt.Errorf("accept_mutex %q is not available; valid are %s", name, strings.Join(MutexMethods(), ", "))
}

// AttachMutex opens the accept mutex in a child, before it gives up its
// privileges.
func AttachMutex(s sys.Sys, st MutexState, slot LockState) (Mutex, error) {
	for _, m := range mutexMethods {
		if m.name == st.Method {
			return m.attach(s, st, slot)
		}
	}
	return nil, fmt.Errorf("accept_mutex %q is not available", st.Method)
}

// openLockFile creates the LockFile, or takes over one that a killed server
// left: httpd's O_EXCL would let such a file, or anybody who can create it
// first, stop the server for good. What is taken over must be a regular file
// of our own with no other name, so that nobody can hold its lock or point it
// elsewhere.
func openLockFile(s sys.Sys, path string, mode uint32) (fd int, err error) {
	fail := func(err error) (int, error) {
		return -1, &FileError{"lock_file", "create the LockFile", path, err}
	}
	fd, err = s.Open(path, sys.O_RDWR|sys.O_CREAT|sys.O_CLOEXEC|sys.O_NOFOLLOW|sys.O_NONBLOCK, mode)
	if err != nil {
		return fail(err)
	}
	var st sys.Stat
	if err := s.Fstat(fd, &st); err != nil {
		s.Close(fd)
		return fail(err)
	}
	_, euid, _ := s.Getresuid()
	if !st.IsRegular() || st.Nlink != 1 || int(st.Uid) != euid {
		s.Close(fd)
		return fail(fmt.Errorf("it exists and is not this server's own (mode %o, uid %d, %d links): %w",
			st.Mode, st.Uid, st.Nlink, sys.EEXIST))
	}
	return fd, nil
}
