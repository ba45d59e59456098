package mpm

import (
	"bytes"
	"strconv"

	"github.com/httpjail/httpjail/sys"
)

// pidFileMax is more than any pid and a newline need (PID_MAX_LIMIT is 2^22).
const pidFileMax = 32

// ReadPidFile reads a PidFile. EINVAL: it holds anything but digits and a
// newline.
func ReadPidFile(s interface {
	sys.Files
	sys.Descriptors
}, path string) (pid int, err error) {
	data, err := sys.ReadFile(s, path, pidFileMax)
	if err != nil {
		return 0, err
	}
	digits, ok := bytes.CutSuffix(data, []byte("\n"))
	if !ok || len(digits) == 0 {
		return 0, sys.EINVAL
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, sys.EINVAL
		}
	}
	pid, err = strconv.Atoi(string(digits))
	if err != nil || pid <= 0 {
		return 0, sys.EINVAL
	}
	return pid, nil
}

// WritePidFile writes the caller's pid to path, "%d\n", 0644, as httpd 2.4
// does: under a temporary name first, so that no reader ever sees half a pid,
// and nothing is left when it fails.
func WritePidFile(s sys.Sys, path string, logf func(string, ...any)) error {
	if old, err := ReadPidFile(s, path); err == nil && old != s.Getpid() {
		logf("pid file %s overwritten -- Unclean shutdown of previous run?", path)
	}
	tmp := path + ".new"
	const flags = sys.O_WRONLY | sys.O_CREAT | sys.O_EXCL | sys.O_CLOEXEC | sys.O_NOFOLLOW
	fd, err := s.Open(tmp, flags, 0o644)
	if err == sys.EEXIST {
		// Left by a server that died between open and rename.
		if err = s.Unlink(tmp); err == nil {
			fd, err = s.Open(tmp, flags, 0o644)
		}
	}
	if err != nil {
		return &FileError{"pid_file", "create the PidFile", path, err}
	}
	err = sys.WriteAll(s, fd, []byte(strconv.Itoa(s.Getpid())+"\n"))
	if err == nil {
		// rename(2) may reach the disk before the data does: after a power cut
		// the PidFile would be empty.
		err = sys.Retry(func() error { return s.Fsync(fd) })
	}
	if cerr := s.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = s.Rename(tmp, path)
	}
	if err != nil {
		s.Unlink(tmp)
		return &FileError{"pid_file", "write the PidFile", path, err}
	}
	return nil
}

// RemovePidFile removes the PidFile if it is the caller's: another server may
// have taken the name in the meantime.
func RemovePidFile(s sys.Sys, path string) error {
	pid, err := ReadPidFile(s, path)
	if err == sys.ENOENT || err == nil && pid != s.Getpid() {
		return nil
	}
	if err := removeFile(s, path); err != nil {
		return &FileError{"pid_file", "remove the PidFile", path, err}
	}
	return nil
}
