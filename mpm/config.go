package mpm

import (
	"fmt"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Config is what the shared parts of an MPM need to know. Paths are absolute
// and as seen inside the jail.
type Config struct {
	PidFile        string
	AcceptMutex    string // default or one of MutexMethods
	LockFile       string // of flock and fcntl
	ScoreBoardFile string // empty: shared memory without a name

	StartServers    int
	ServerLimit     int // processes
	ThreadLimit     int // threads a process; slots in the scoreboard
	ThreadsPerChild int // 1 in prefork; where threads come and go, those that a child starts with
	MaxThreads      int // of a child; ThreadsPerChild where threads do not come and go
	MaxClients      int // threads, server-wide
	// MinSpare and MaxSpare bound the idle threads server-wide; in prefork,
	// where a child is one thread, these are processes. Where threads come and
	// go they bound the idle threads of each child.
	MinSpare, MaxSpare   int
	MaxRequestsPerChild  int // connections; 0 is unlimited
	MaxRequestsPerThread int // connections; 0 is unlimited
	// Groups are the children of different users: how many of the StartServers
	// places each has, in order. Nil: all are the same.
	Groups []int
	// GracefulShutdownTimeout of 0 waits until the last request is done.
	GracefulShutdownTimeout time.Duration

	// Of event: how long it waits for the rest of a request or for room to
	// write, and for the next request; and how many connections it serves for
	// each idle worker thread.
	Timeout, KeepAliveTimeout time.Duration
	AsyncFactor               float64

	// Uid and Gid are whom the children become: they own what children must
	// open. -1: children stay as they are.
	Uid, Gid int
}

// MaxServers is how many children may live at once.
func (c *Config) MaxServers() int {
	return min(c.ServerLimit, max(1, c.MaxClients/max(1, c.ThreadsPerChild)))
}

// group is whose a place is, an index of Groups.
func (c *Config) group(place int) int {
	for g, n := range c.Groups {
		if place < n {
			return g
		}
		place -= n
	}
	return 0
}

// FileError says which directive's file could not be made ready.
type FileError struct {
	Directive string // "pid_file", "lock_file", "scoreboard_file"
	Op        string // in words: "create the PidFile"
	Path      string // as this process sees it; "" where no path is involved
	Err       error
}

func (e *FileError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("cannot %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("cannot %s: %s: %v", e.Op, e.Path, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// removeFile unlinks path for good; a file that is gone already is fine.
func removeFile(s sys.Dirs, path string) error {
	if err := s.Unlink(path); err != nil && err != sys.ENOENT {
		return err
	}
	return nil
}
