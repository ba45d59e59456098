package mpm

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

// sysvsemOwner is the method sysvsem: a System V semaphore, which needs no
// path. SEM_UNDO gives back what a child that dies has taken.
type sysvsemOwner struct{ id int }

func createSysvsem(s sys.Sys, c *Config) (MutexOwner, error) {
	fail := func(step string, err error) error {
		return &FileError{"accept_mutex", step + " the semaphore of accept_mutex sysvsem", "", err}
	}
	id, err := s.Semget(sys.IPC_PRIVATE, 1, 0o600)
	if err != nil {
		return nil, fail("create", err)
	}
	if err = s.SemSetval(id, 0, 1); err != nil {
		s.SemRmid(id)
		return nil, fail("set", err)
	}
	if c.Uid >= 0 {
		// Children use it after they have become this user.
		perm := sys.IpcPerm{Uid: uint32(c.Uid), Gid: uint32(c.Gid), Mode: 0o600}
		if err = s.SemSet(id, perm); err != nil {
			s.SemRmid(id)
			return nil, fail("give away", err)
		}
	}
	return sysvsemOwner{id}, nil
}

func (o sysvsemOwner) State() MutexState {
	return MutexState{Method: "sysvsem", Fd: -1, ID: o.id}
}

func (o sysvsemOwner) Destroy(s sys.Sys) error {
	if err := s.SemRmid(o.id); err != nil && err != sys.EIDRM && err != sys.EINVAL {
		return fmt.Errorf("cannot remove semaphore %d of accept_mutex sysvsem: %w", o.id, err)
	}
	return nil
}

type sysvsemMutex struct {
	id           int
	lock, unlock []sys.Sembuf
}

func attachSysvsem(s sys.Sys, st MutexState, _ LockState) (Mutex, error) {
	return &sysvsemMutex{st.ID,
		[]sys.Sembuf{{Op: -1, Flg: sys.SEM_UNDO}},
		[]sys.Sembuf{{Op: 1, Flg: sys.SEM_UNDO}}}, nil
}

func (m *sysvsemMutex) Lock(s sys.Sys) error {
	for {
		switch err := s.Semtimedop(m.id, m.lock, -1); err {
		case sys.EINTR:
		case sys.EINVAL: // it was removed before the call, not during it
			return sys.EIDRM
		default:
			return err
		}
	}
}

func (m *sysvsemMutex) Unlock(s sys.Sys) error {
	for {
		if err := s.Semtimedop(m.id, m.unlock, -1); err != sys.EINTR {
			return err
		}
	}
}

// Orphan removes the semaphore in the parent's place. The others' Lock fails
// with EIDRM then.
func (m *sysvsemMutex) Orphan(s sys.Sys) { _ = s.SemRmid(m.id) }
