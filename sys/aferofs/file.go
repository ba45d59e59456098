package aferofs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
)

// File is an open file or directory.
type File struct {
	s       Sys
	fd      int // -1 once closed
	name    string
	appends bool
	entries []sys.Dirent // read, and not yet returned by Readdir
}

var (
	_ afero.File     = (*File)(nil)
	_ fs.ReadDirFile = (*File)(nil)
)

// Name is the path that the file was opened with.
func (f *File) Name() string { return f.name }

// Fd is the descriptor, which the file goes on to own: what conn.Conn sends
// with sendfile(2).
func (f *File) Fd() uintptr { return uintptr(f.fd) }

// do makes a call on the descriptor; EINTR is retried.
func (f *File) do(op string, call func() error) error {
	if f.fd < 0 {
		return pathError(op, f.name, os.ErrClosed)
	}
	return pathError(op, f.name, sys.Retry(call))
}

// Close closes the file. Its error is close(2)'s; the file is closed all the
// same.
func (f *File) Close() error {
	if f.fd < 0 {
		return pathError("close", f.name, os.ErrClosed)
	}
	fd := f.fd
	f.fd = -1
	return pathError("close", f.name, f.s.Close(fd)) // never again after EINTR, see close(2)
}

// Read is read(2), with io.EOF at the end.
func (f *File) Read(p []byte) (n int, err error) {
	err = f.do("read", func() (err error) { n, err = f.s.Read(f.fd, p); return err })
	if err != nil {
		return 0, err
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadAt fills p from off on, or returns why it could not.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, pathError("readat", f.name, errors.New("negative offset"))
	}
	for n < len(p) {
		var m int
		err := f.do("read", func() (err error) { m, err = f.s.Pread(f.fd, p[n:], off+int64(n)); return err })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// Write writes all of p.
func (f *File) Write(p []byte) (n int, err error) {
	for {
		var m int
		err := f.do("write", func() (err error) { m, err = f.s.Write(f.fd, p[n:]); return err })
		if err != nil {
			return n, err
		}
		n += m
		if n >= len(p) {
			return n, nil
		}
		if m == 0 {
			return n, pathError("write", f.name, io.ErrUnexpectedEOF)
		}
	}
}

// WriteAt writes all of p at off. A file opened with O_APPEND refuses it, for
// Linux would append.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if f.appends {
		return 0, pathError("writeat", f.name, errors.New("the file was opened with O_APPEND"))
	}
	if off < 0 {
		return 0, pathError("writeat", f.name, errors.New("negative offset"))
	}
	for n < len(p) {
		var m int
		err := f.do("write", func() (err error) { m, err = f.s.Pwrite(f.fd, p[n:], off+int64(n)); return err })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, pathError("write", f.name, io.ErrUnexpectedEOF)
		}
		n += m
	}
	return n, nil
}

// WriteString is Write of a string.
func (f *File) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// Seek is lseek(2). A directory is read from its beginning again after
// Seek(0, io.SeekStart).
func (f *File) Seek(offset int64, whence int) (pos int64, err error) {
	err = f.do("seek", func() (err error) { pos, err = f.s.Lseek(f.fd, offset, whence); return err })
	if err != nil {
		return 0, err
	}
	f.entries = nil
	return pos, nil
}

// Truncate is ftruncate(2).
func (f *File) Truncate(size int64) error {
	return f.do("truncate", func() error { return f.s.Ftruncate(f.fd, size) })
}

// Sync is fsync(2).
func (f *File) Sync() error {
	return f.do("sync", func() error { return f.s.Fsync(f.fd) })
}

// Stat describes the open file.
func (f *File) Stat() (os.FileInfo, error) {
	fi := &fileInfo{name: path.Base(f.name)}
	if err := f.do("stat", func() error { return f.s.Fstat(f.fd, &fi.st) }); err != nil {
		return nil, err
	}
	return fi, nil
}

// readdir returns the next n entries of a directory and io.EOF when there is
// none, or for n <= 0 all that are left; in the directory's own order.
func (f *File) readdir(n int) ([]sys.Dirent, error) {
	var out []sys.Dirent
	for n <= 0 || len(out) < n {
		if len(f.entries) == 0 {
			err := f.do("readdirent", func() (err error) { f.entries, err = f.s.Getdents(f.fd); return err })
			if err != nil {
				return out, err
			}
			if len(f.entries) == 0 {
				break
			}
		}
		d := f.entries[0]
		f.entries = f.entries[1:]
		if d.Name != "." && d.Name != ".." {
			out = append(out, d)
		}
	}
	if n > 0 && len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

// Readdir describes the next count entries as os.File.Readdir does. An entry
// that is gone by the time it is looked at is left out.
func (f *File) Readdir(count int) ([]os.FileInfo, error) {
	ds, err := f.readdir(count)
	var infos []os.FileInfo
	for _, d := range ds {
		fi, lerr := statInfo(f.s.Lstat, "lstat", path.Join(f.name, d.Name))
		switch {
		case os.IsNotExist(lerr):
		case lerr != nil:
			return infos, lerr
		default:
			infos = append(infos, fi)
		}
	}
	return infos, err
}

// Readdirnames returns the names of the next n entries.
func (f *File) Readdirnames(n int) ([]string, error) {
	ds, err := f.readdir(n)
	var names []string
	for _, d := range ds {
		names = append(names, d.Name)
	}
	return names, err
}

// ReadDir returns the next n entries as fs.ReadDirFile demands.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	ds, err := f.readdir(n)
	var entries []fs.DirEntry
	for _, d := range ds {
		e := &dirEntry{s: f.s, dir: f.name, name: d.Name, typ: fileType(uint32(d.Type) << 12)}
		if d.Type == sys.DT_UNKNOWN {
			fi, lerr := e.Info()
			if os.IsNotExist(lerr) {
				continue
			}
			if lerr != nil {
				return entries, lerr
			}
			e.typ = fi.Mode().Type()
		}
		entries = append(entries, e)
	}
	return entries, err
}

// dirEntry is an entry of a directory.
type dirEntry struct {
	s    Sys
	dir  string
	name string
	typ  fs.FileMode
}

func (e *dirEntry) Name() string      { return e.name }
func (e *dirEntry) IsDir() bool       { return e.typ.IsDir() }
func (e *dirEntry) Type() fs.FileMode { return e.typ }
func (e *dirEntry) String() string    { return fs.FormatDirEntry(e) }

func (e *dirEntry) Info() (fs.FileInfo, error) {
	return statInfo(e.s.Lstat, "lstat", path.Join(e.dir, e.name))
}

// fileInfo is a sys.Stat with a name. Sys returns the *sys.Stat.
type fileInfo struct {
	name string
	st   sys.Stat
}

func (fi *fileInfo) Name() string       { return fi.name }
func (fi *fileInfo) Size() int64        { return fi.st.Size }
func (fi *fileInfo) Mode() fs.FileMode  { return fileMode(fi.st.Mode) }
func (fi *fileInfo) ModTime() time.Time { return time.Unix(fi.st.Mtim.Sec, fi.st.Mtim.Nsec) }
func (fi *fileInfo) IsDir() bool        { return fi.st.IsDir() }
func (fi *fileInfo) Sys() any           { return &fi.st }
func (fi *fileInfo) String() string     { return fs.FormatFileInfo(fi) }

// fileMode is st_mode as Go has it.
func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m&0o777) | fileType(m)
	for _, b := range specialBits {
		if m&b.unix != 0 {
			mode |= b.mode
		}
	}
	return mode
}

var specialBits = []struct {
	unix uint32
	mode fs.FileMode
}{
	{sys.S_ISUID, fs.ModeSetuid}, {sys.S_ISGID, fs.ModeSetgid}, {sys.S_ISVTX, fs.ModeSticky},
}

// fileType is the S_IFMT bits as Go has them. A dirent's type is the same,
// shifted by 12 (IFTODT in dirent.h).
func fileType(m uint32) fs.FileMode {
	switch m & sys.S_IFMT {
	case sys.S_IFDIR:
		return fs.ModeDir
	case sys.S_IFLNK:
		return fs.ModeSymlink
	case sys.S_IFIFO:
		return fs.ModeNamedPipe
	case sys.S_IFSOCK:
		return fs.ModeSocket
	case sys.S_IFCHR:
		return fs.ModeDevice | fs.ModeCharDevice
	case sys.S_IFBLK:
		return fs.ModeDevice
	}
	return 0
}

// unixMode is the permissions of a Go mode, and the set-id and sticky bits.
func unixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for _, b := range specialBits {
		if mode&b.mode != 0 {
			m |= b.unix
		}
	}
	return m
}
