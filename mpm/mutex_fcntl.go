package mpm

import "github.com/httpjail/httpjail/sys"

// fcntlOwner is the method fcntl: a POSIX lock on a file that children
// inherit. The lock belongs to the process, so the file needs no name once it
// is open, and the kernel releases the lock of a child that dies.
type fcntlOwner struct{ fd int }

func createFcntl(s sys.Sys, c *Config) (MutexOwner, error) {
	fd, err := openLockFile(s, c.LockFile, 0o644)
	if err != nil {
		return nil, err
	}
	if err := s.Unlink(c.LockFile); err != nil {
		s.Close(fd)
		return nil, &FileError{"lock_file", "unlink the LockFile", c.LockFile, err}
	}
	return fcntlOwner{fd}, nil
}

func (o fcntlOwner) State() MutexState { return MutexState{Method: "fcntl", Fd: o.fd} }

func (o fcntlOwner) Destroy(s sys.Sys) error { return s.Close(o.fd) }

// fcntlMutex locks the whole file. No other descriptor of it may be opened and
// closed in the process: that would drop the lock, see fcntl(2).
type fcntlMutex struct{ fd int }

func attachFcntl(s sys.Sys, st MutexState, _ LockState) (Mutex, error) { return fcntlMutex{st.Fd}, nil }

func (m fcntlMutex) Lock(s sys.Sys) error {
	for {
		lk := sys.Flock{Type: sys.F_WRLCK}
		if err := s.FcntlFlock(m.fd, sys.F_SETLKW, &lk); err != sys.EINTR {
			return err
		}
	}
}

func (m fcntlMutex) Unlock(s sys.Sys) error {
	lk := sys.Flock{Type: sys.F_UNLCK}
	return s.FcntlFlock(m.fd, sys.F_SETLK, &lk)
}
