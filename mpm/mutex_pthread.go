package mpm

import (
	"time"

	"github.com/httpjail/httpjail/sys"
)

// mutexWait is how long a child waits for a mutex that the kernel does not
// release by itself, before it looks whether the parent, who would, still lives.
const mutexWait = time.Second

// The lock word of a robust futex, see futex(2) and robust_futexes in the
// kernel's documentation: the owner's id and two flags.
const (
	futexWaiters   = 1 << 31
	futexOwnerDied = 1 << 30
	futexTidMask   = futexOwnerDied - 1

	lockSize = 64 // a cache line
)

// pthreadOwner is the method pthread: a process-shared robust mutex as glibc's
// PTHREAD_MUTEX_ROBUST, a futex in shared memory whose word names its owner.
// The kernel would mark the word of a thread that dies through a list that each
// thread registers, which the Go runtime's threads cannot; the parent reaps
// every child, and does the same as exit_robust_list() in kernel/futex/core.c.
// The memory has no name: nothing is left behind.
type pthreadOwner struct {
	mem sys.Mem
	fd  int
}

// createShared makes nameless memory for a lock.
func createShared(s sys.Sys, method string) (mem sys.Mem, fd int, err error) {
	fail := func(err error) (sys.Mem, int, error) {
		return sys.Mem{}, -1, &FileError{"accept_mutex", "create the shared memory of accept_mutex " + method, "", err}
	}
	fd, err = s.MemfdCreate("httpjail accept mutex", sys.MFD_CLOEXEC)
	if err != nil {
		return fail(err)
	}
	if err = s.Ftruncate(fd, lockSize); err == nil {
		mem, err = s.Mmap(fd, 0, lockSize, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	}
	if err != nil {
		s.Close(fd)
		return fail(err)
	}
	return mem, fd, nil
}

func attachShared(s sys.Sys, st MutexState) (sys.Mem, error) {
	mem, err := s.Mmap(st.Fd, 0, lockSize, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	if err != nil {
		return mem, &FileError{"accept_mutex", "map the inherited memory of accept_mutex " + st.Method, "", err}
	}
	return mem, nil
}

func createPthread(s sys.Sys, c *Config) (MutexOwner, error) {
	mem, fd, err := createShared(s, "pthread")
	if err != nil {
		return nil, err
	}
	return pthreadOwner{mem, fd}, nil
}

func (o pthreadOwner) State() MutexState { return MutexState{Method: "pthread", Fd: o.fd} }

func (o pthreadOwner) Destroy(s sys.Sys) error {
	s.Close(o.fd)
	return s.Munmap(o.mem)
}

// Recover is handle_futex_death(): a lock of the dead becomes a free one, and
// somebody is woken in any case, since the dead may have been woken in vain.
func (o pthreadOwner) Recover(s sys.Sys, dead Holder, _ []Holder) {
	for {
		v := o.mem.Load32(0)
		if v&futexTidMask != uint32(dead.Pid) || o.mem.Cas32(0, v, v&futexWaiters|futexOwnerDied) {
			break
		}
	}
	_, _ = o.wake(s)
}

func (o pthreadOwner) wake(s sys.Sys) (int, error) { return s.FutexWake(o.mem, 0, 1) }

type pthreadMutex struct {
	mem sys.Mem
	pid uint32
}

func attachPthread(s sys.Sys, st MutexState, _ LockState) (Mutex, error) {
	mem, err := attachShared(s, st)
	return pthreadMutex{mem, uint32(s.Getpid())}, err
}

func (m pthreadMutex) Lock(s sys.Sys) error {
	if m.mem.Cas32(0, 0, m.pid) {
		return nil
	}
	for {
		v := m.mem.Load32(0)
		if v&futexTidMask == 0 {
			// Free, or its owner died: what it guarded, whose turn it is to
			// accept, is consistent whatever the dead were doing. Others may
			// wait still.
			if m.mem.Cas32(0, v, m.pid|futexWaiters) {
				return nil
			}
			continue
		}
		if v&futexWaiters == 0 {
			if !m.mem.Cas32(0, v, v|futexWaiters) {
				continue
			}
			v |= futexWaiters
		}
		switch err := s.FutexWait(m.mem, 0, v, mutexWait); err {
		case nil, sys.EAGAIN, sys.EINTR:
		default:
			return err
		}
	}
}

func (m pthreadMutex) Unlock(s sys.Sys) error {
	if m.mem.Swap32(0, 0)&futexWaiters == 0 {
		return nil
	}
	_, err := s.FutexWake(m.mem, 0, 1)
	return err
}
