// Package aferofs joins [sys.Sys] and the filesystems that Go programs know:
// New is a Sys as an afero.Fs, IOFS as an fs.FS, and Load copies such a
// filesystem, or a tar archive, into a simulated machine.
//
// Both behave as package os does, on every backend: permissions count, symlinks
// are symlinks, errors are [*fs.PathError] or [*os.LinkError] around a sys.Errno.
// EINTR is retried here. A filesystem and its files belong to the thread that
// the Sys belongs to.
package aferofs

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
)

// Sys is what a filesystem needs of the system.
type Sys interface {
	sys.Files
	sys.Descriptors
	sys.Dirs
	sys.Attrs
}

// Fs is a Sys as an afero.Fs. Paths are the process's own: relative ones start
// at its working directory.
type Fs struct{ s Sys }

var (
	_ afero.Fs        = Fs{}
	_ afero.Symlinker = Fs{}
)

// New is s as an afero.Fs. It has symlinks: it is an afero.Symlinker too.
func New(s Sys) afero.Fs { return Fs{s} }

// Name is "sys".
func (f Fs) Name() string { return "sys" }

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func linkError(op, old, new string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: old, New: new, Err: err}
}

// Create opens a file for reading and writing; it is made, or made empty.
func (f Fs) Create(name string) (afero.File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// Open opens a file or directory for reading.
func (f Fs) Open(name string) (afero.File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile opens a file with the flags and the mode of os.OpenFile.
func (f Fs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	file, err := open(f.s, name, flag, perm)
	if err != nil {
		return nil, err // not a nil *File in an interface
	}
	return file, nil
}

func open(s Sys, name string, flag int, perm os.FileMode) (*File, error) {
	var fd int
	err := sys.Retry(func() (err error) {
		fd, err = s.Open(name, openFlags(flag)|sys.O_CLOEXEC, unixMode(perm))
		return err
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &File{s: s, fd: fd, name: name, appends: flag&os.O_APPEND != 0}, nil
}

// openFlags are the flags of package os as Linux's. Elsewhere os has other
// numbers; on Linux further flags (O_NOFOLLOW) pass.
func openFlags(flag int) int {
	if runtime.GOOS == "linux" {
		return flag
	}
	f := sys.O_RDONLY
	for _, m := range []struct{ os, sys int }{
		{os.O_WRONLY, sys.O_WRONLY}, {os.O_RDWR, sys.O_RDWR}, {os.O_APPEND, sys.O_APPEND}, {os.O_CREATE, sys.O_CREAT},
		{os.O_EXCL, sys.O_EXCL}, {os.O_SYNC, sys.O_SYNC}, {os.O_TRUNC, sys.O_TRUNC},
	} {
		if flag&m.os == m.os {
			f |= m.sys
		}
	}
	return f
}

// Mkdir makes a directory.
func (f Fs) Mkdir(name string, perm os.FileMode) error {
	return pathError("mkdir", name, sys.Retry(func() error { return f.s.Mkdir(name, unixMode(perm)) }))
}

// MkdirAll makes a directory and its missing parents. A directory that is there
// is no error.
func (f Fs) MkdirAll(name string, perm os.FileMode) error {
	var st sys.Stat
	if err := stat(f.s.Stat, name, &st); err == nil {
		if st.IsDir() {
			return nil
		}
		return pathError("mkdir", name, sys.ENOTDIR)
	}
	// Cut off as it is written, for "a/b/.." needs b to be there.
	parent := strings.TrimRight(name, "/")
	parent = strings.TrimRight(parent[:strings.LastIndexByte(parent, '/')+1], "/")
	if parent != "" {
		if err := f.MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	err := f.Mkdir(name, perm)
	if err != nil && stat(f.s.Lstat, name, &st) == nil && st.IsDir() {
		return nil // somebody else was faster, or name ends in ".."
	}
	return err
}

// Remove removes a file or an empty directory.
func (f Fs) Remove(name string) error {
	err := sys.Retry(func() error { return f.s.Unlink(name) })
	if err == nil {
		return nil
	}
	rerr := sys.Retry(func() error { return f.s.Rmdir(name) })
	if rerr == nil {
		return nil
	}
	// As in os.Remove: rmdir's error counts, unless it only says that this is
	// not a directory.
	if rerr != sys.ENOTDIR {
		err = rerr
	}
	return pathError("remove", name, err)
}

// RemoveAll removes a file, or a directory with all that is in it. Symlinks are
// removed and not followed. That nothing is there is no error. It works by
// path: while it runs nobody else may replace a directory by a symlink.
func (f Fs) RemoveAll(name string) error {
	if name == "" {
		return nil // as os.RemoveAll
	}
	if path.Base(name) == "." {
		return pathError("RemoveAll", name, sys.EINVAL) // rmdir(2) forbids it too
	}
	var st sys.Stat
	switch err := stat(f.s.Lstat, name, &st); {
	case err == sys.ENOENT:
		return nil
	case err != nil:
		return pathError("lstat", name, err)
	case !st.IsDir():
		return ignoreNotExist(f.Remove(name))
	}
	dir, err := open(f.s, name, os.O_RDONLY, 0)
	if err != nil {
		if rerr := f.Remove(name); rerr == nil {
			return nil // an empty directory needs no permission to read it
		}
		return ignoreNotExist(err)
	}
	names, err := dir.Readdirnames(-1)
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	// The first error is returned, but what can go goes.
	for _, n := range names {
		if rerr := f.RemoveAll(path.Join(name, n)); err == nil {
			err = rerr
		}
	}
	if rerr := ignoreNotExist(f.Remove(name)); err == nil {
		err = rerr
	}
	return err
}

func ignoreNotExist(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// Rename is rename(2). Unlike os.Rename it leaves to the kernel whether a
// directory may be replaced: it may, by another, if it is empty.
func (f Fs) Rename(oldname, newname string) error {
	return linkError("rename", oldname, newname, sys.Retry(func() error { return f.s.Rename(oldname, newname) }))
}

// Stat describes a file; symlinks are followed.
func (f Fs) Stat(name string) (os.FileInfo, error) { return statInfo(f.s.Stat, "stat", name) }

// LstatIfPossible describes a file or a symlink itself. It always can: the
// second result is true.
func (f Fs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	fi, err := statInfo(f.s.Lstat, "lstat", name)
	return fi, true, err
}

// stat is Stat or Lstat, with EINTR retried.
func stat(call func(string, *sys.Stat) error, name string, st *sys.Stat) error {
	return sys.Retry(func() error { return call(name, st) })
}

func statInfo(call func(string, *sys.Stat) error, op, name string) (os.FileInfo, error) {
	fi := &fileInfo{name: path.Base(name)}
	if err := stat(call, name, &fi.st); err != nil {
		return nil, pathError(op, name, err)
	}
	return fi, nil
}

// SymlinkIfPossible makes newname a symlink to oldname.
func (f Fs) SymlinkIfPossible(oldname, newname string) error {
	return linkError("symlink", oldname, newname, sys.Retry(func() error { return f.s.Symlink(oldname, newname) }))
}

// ReadlinkIfPossible is what a symlink points to.
func (f Fs) ReadlinkIfPossible(name string) (string, error) { return readlink(f.s, name) }

func readlink(s Sys, name string) (string, error) {
	var target string
	err := sys.Retry(func() (err error) {
		target, err = s.Readlink(name)
		return err
	})
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	return target, nil
}

// Chmod sets a file's mode.
func (f Fs) Chmod(name string, mode os.FileMode) error {
	return pathError("chmod", name, sys.Retry(func() error { return f.s.Chmod(name, unixMode(mode)) }))
}

// Chown sets a file's owner; -1 leaves an id as it is.
func (f Fs) Chown(name string, uid, gid int) error {
	return pathError("chown", name, sys.Retry(func() error { return f.s.Chown(name, uid, gid) }))
}

// Chtimes sets a file's times; a zero time leaves one as it is.
func (f Fs) Chtimes(name string, atime, mtime time.Time) error {
	return pathError("chtimes", name, sys.Retry(func() error {
		return f.s.Utimensat(name, timespec(atime), timespec(mtime), 0)
	}))
}

func timespec(t time.Time) sys.Timespec {
	if t.IsZero() {
		return sys.Timespec{Nsec: sys.UTIME_OMIT}
	}
	return sys.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
