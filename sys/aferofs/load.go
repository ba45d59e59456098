package aferofs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
)

// Builder is what Load fills: a *fake.Machine is one. MkdirAll and WriteFile
// make missing parents. The methods panic when they cannot do what they are
// asked.
type Builder interface {
	MkdirAll(path string, mode uint32, uid, gid int)
	WriteFile(path string, data []byte, mode uint32, uid, gid int)
	Symlink(target, path string)
}

// Limits bound what is loaded; 0 is no limit.
type Limits struct {
	Files int   // files, directories and symlinks together
	Bytes int64 // of all files together
}

// ErrLimit is the error of a load that is over its Limits. What was loaded until
// then stays.
var ErrLimit = errors.New("more than the limit allows")

// Loaded says what a load has brought.
type Loaded struct {
	Files, Dirs, Symlinks int
	Bytes                 int64
	// Skipped are the paths of what a Builder cannot make: devices, fifos,
	// sockets.
	Skipped []string
}

// Load copies all of src, from its "/" on (an afero.BasePathFs makes that some
// directory of the host), to root in dst, with modes, symlinks where src has them
// (afero.Symlinker), and owners where it tells them. Root itself gets the mode
// and owner of src's. Entries are visited in the order of their names.
func Load(dst Builder, src afero.Fs, root string, lim Limits) (Loaded, error) {
	l := loader{dst: dst, root: root, lim: lim}
	err := l.walk(aferoSource{src}, "/", ".")
	return l.loaded, err
}

// LoadFS is Load of an fs.FS; symlinks are copied where it is an
// fs.ReadLinkFS, and followed elsewhere.
func LoadFS(dst Builder, src fs.FS, root string, lim Limits) (Loaded, error) {
	l := loader{dst: dst, root: root, lim: lim}
	err := l.walk(fsSource{src}, ".", ".")
	return l.loaded, err
}

// LoadTar is Load of a tar archive. Hard links become copies. A name that leads
// out of the archive's root is an error.
func LoadTar(dst Builder, src io.Reader, root string, lim Limits) (Loaded, error) {
	l := loader{dst: dst, root: root, lim: lim}
	err := l.tar(tar.NewReader(src))
	return l.loaded, err
}

// source is a filesystem that is walked.
type source interface {
	lstat(name string) (fs.FileInfo, error)
	readlink(name string) (string, error)
	names(dir string) ([]string, error)
	open(name string) (io.ReadCloser, error)
}

type loader struct {
	dst    Builder
	root   string
	lim    Limits
	loaded Loaded
}

// walk copies name, which is at rel below the root, and all below it.
func (l *loader) walk(src source, name, rel string) error {
	fi, err := src.lstat(name)
	if err != nil {
		return err
	}
	uid, gid := owner(fi)
	mode := unixMode(fi.Mode())
	switch fi.Mode().Type() {
	case fs.ModeDir:
		if err := l.dir(rel, mode, uid, gid); err != nil {
			return err
		}
		names, err := src.names(name)
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, n := range names {
			if err := l.walk(src, path.Join(name, n), path.Join(rel, n)); err != nil {
				return err
			}
		}
		return nil
	case fs.ModeSymlink:
		target, err := src.readlink(name)
		if err != nil {
			return err
		}
		return l.symlink(target, rel)
	case 0:
		f, err := src.open(name)
		if err != nil {
			return err
		}
		err = l.file(f, rel, mode, uid, gid)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		return err
	}
	l.loaded.Skipped = append(l.loaded.Skipped, rel)
	return nil
}

// count is one more entry.
func (l *loader) count(n *int, rel string) error {
	*n++
	all := l.loaded.Files + l.loaded.Dirs + l.loaded.Symlinks
	if l.lim.Files > 0 && all > l.lim.Files {
		return pathError("load", rel, fmt.Errorf("%w: %d files", ErrLimit, l.lim.Files))
	}
	return nil
}

func (l *loader) dir(rel string, mode uint32, uid, gid int) error {
	if err := l.count(&l.loaded.Dirs, rel); err != nil {
		return err
	}
	l.dst.MkdirAll(path.Join(l.root, rel), mode, uid, gid)
	return nil
}

func (l *loader) symlink(target, rel string) error {
	if err := l.count(&l.loaded.Symlinks, rel); err != nil {
		return err
	}
	l.dst.Symlink(target, path.Join(l.root, rel))
	return nil
}

func (l *loader) file(r io.Reader, rel string, mode uint32, uid, gid int) error {
	if err := l.count(&l.loaded.Files, rel); err != nil {
		return err
	}
	left := int64(math.MaxInt64)
	if l.lim.Bytes > 0 {
		// One byte more tells a file that fits from one that does not.
		left = l.lim.Bytes - l.loaded.Bytes
		r = io.LimitReader(r, left+1)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return pathError("load", rel, err)
	}
	if int64(len(data)) > left {
		return pathError("load", rel, fmt.Errorf("%w: %d bytes", ErrLimit, l.lim.Bytes))
	}
	l.loaded.Bytes += int64(len(data))
	l.dst.WriteFile(path.Join(l.root, rel), data, mode, uid, gid)
	return nil
}

func (l *loader) tar(r *tar.Reader) error {
	contents := contentsOf{l.dst, map[string]content{}}
	l.dst = contents
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := inside(h.Name)
		if err != nil {
			return err
		}
		mode := unixMode(h.FileInfo().Mode())
		switch h.Typeflag {
		case tar.TypeDir:
			err = l.dir(rel, mode, h.Uid, h.Gid)
		case tar.TypeReg:
			err = l.file(r, rel, mode, h.Uid, h.Gid)
		case tar.TypeSymlink:
			err = l.symlink(h.Linkname, rel)
		case tar.TypeLink:
			var target string
			if target, err = inside(h.Linkname); err != nil {
				return err
			}
			f, ok := contents.files[path.Join(l.root, target)]
			if !ok {
				return pathError("load", rel, fmt.Errorf("hard link to %q, which is not before it", h.Linkname))
			}
			err = l.file(bytes.NewReader(f.data), rel, f.mode, f.uid, f.gid)
		case tar.TypeXGlobalHeader:
		default:
			l.loaded.Skipped = append(l.loaded.Skipped, rel)
		}
		if err != nil {
			return err
		}
	}
}

// inside is a name of a tar archive, relative to its root.
func inside(name string) (string, error) {
	rel := path.Clean(strings.TrimLeft(name, "/"))
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", pathError("load", name, errors.New("leads out of the archive"))
	}
	return rel, nil
}

// contentsOf is a Builder that remembers the files it has made, for the hard
// links to them that may follow in a tar archive.
type contentsOf struct {
	Builder
	files map[string]content
}

type content struct {
	data     []byte
	mode     uint32
	uid, gid int
}

func (c contentsOf) WriteFile(path string, data []byte, mode uint32, uid, gid int) {
	c.Builder.WriteFile(path, data, mode, uid, gid)
	c.files[path] = content{data, mode, uid, gid}
}

// aferoSource is an afero.Fs.
type aferoSource struct{ afero.Fs }

func (s aferoSource) lstat(name string) (fs.FileInfo, error) {
	if l, ok := s.Fs.(afero.Lstater); ok {
		fi, _, err := l.LstatIfPossible(name)
		return fi, err
	}
	return s.Stat(name)
}

func (s aferoSource) readlink(name string) (string, error) {
	l, ok := s.Fs.(afero.LinkReader)
	if !ok {
		return "", pathError("readlink", name, afero.ErrNoReadlink)
	}
	return l.ReadlinkIfPossible(name)
}

func (s aferoSource) names(dir string) ([]string, error) {
	f, err := s.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return names, err
}

func (s aferoSource) open(name string) (io.ReadCloser, error) { return s.Open(name) }

// fsSource is an fs.FS.
type fsSource struct{ fs.FS }

func (s fsSource) lstat(name string) (fs.FileInfo, error) { return fs.Lstat(s.FS, name) }
func (s fsSource) readlink(name string) (string, error)   { return fs.ReadLink(s.FS, name) }

func (s fsSource) names(dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.FS, dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (s fsSource) open(name string) (io.ReadCloser, error) { return s.Open(name) }

// owner is the user and group of a file, root's where the source does not say.
func owner(fi fs.FileInfo) (uid, gid int) {
	switch st := fi.Sys().(type) {
	case *sys.Stat:
		return int(st.Uid), int(st.Gid)
	case *tar.Header:
		return st.Uid, st.Gid
	}
	return hostOwner(fi)
}
