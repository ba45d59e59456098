package mpm

import "github.com/httpjail/httpjail/sys"

// flockOwner is the method flock: the lock belongs to the open file
// description, so each child opens the file anew, by a path that must lead
// there inside the jail at every respawn. The kernel releases the lock of a
// child that dies. The parent keeps no descriptor.
type flockOwner struct{ path string }

func createFlock(s sys.Sys, c *Config) (MutexOwner, error) {
	fd, err := openLockFile(s, c.LockFile, 0o600)
	if err != nil {
		return nil, err
	}
	if err := s.Close(fd); err != nil {
		removeFile(s, c.LockFile)
		return nil, &FileError{"lock_file", "create the LockFile", c.LockFile, err}
	}
	return flockOwner{c.LockFile}, nil
}

func (o flockOwner) State() MutexState {
	return MutexState{Method: "flock", Path: o.path, Fd: -1}
}

func (o flockOwner) Destroy(s sys.Sys) error {
	if err := removeFile(s, o.path); err != nil {
		return &FileError{"lock_file", "remove the LockFile", o.path, err}
	}
	return nil
}

type flockMutex struct{ fd int }

func attachFlock(s sys.Sys, st MutexState, _ LockState) (Mutex, error) {
	fd, err := s.Open(st.Path, sys.O_WRONLY|sys.O_CLOEXEC|sys.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &FileError{"lock_file", "open the LockFile again", st.Path, err}
	}
	return flockMutex{fd}, nil
}

func (m flockMutex) Lock(s sys.Sys) error {
	for {
		if err := s.Flock(m.fd, sys.LOCK_EX); err != sys.EINTR {
			return err
		}
	}
}

func (m flockMutex) Unlock(s sys.Sys) error { return s.Flock(m.fd, sys.LOCK_UN) }
