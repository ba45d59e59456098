package aferofs_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/aferofs"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
)

// tree makes a small tree below dir.
func tree(p *problems, s sys.Sys, dir string) afero.Fs {
	f := aferofs.New(s)
	for _, d := range []string{"a/b/c", "empty"} {
		if err := f.MkdirAll(path.Join(dir, d), 0o755); err != nil {
			p.addf("%w", err)
		}
	}
	for _, name := range []string{"top", "a/one", "a/two", "a/b/deep", "a/b/c/deeper"} {
		if err := afero.WriteFile(f, path.Join(dir, name), []byte("this is "+name), 0o644); err != nil {
			p.addf("%w", err)
		}
	}
	if err := f.(afero.Symlinker).SymlinkIfPossible("one", path.Join(dir, "a/link")); err != nil {
		p.addf("%w", err)
	}
	return f
}

func TestIOFS(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		tree(p, s, dir)
		fsys := aferofs.IOFS(s, dir)
		if err := fstest.TestFS(fsys, "top", "a/one", "a/link", "a/b/c/deeper", "empty"); err != nil {
			p.addf("%w", err)
		}
		if _, err := fs.Stat(fsys, "../etc"); !errors.Is(err, fs.ErrInvalid) {
			p.addf("a path out of it: %v", err)
		}
		_, err := fs.ReadFile(fsys, "none")
		var pe *fs.PathError
		if !errors.As(err, &pe) || pe.Path != "none" || !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, sys.ENOENT) {
			p.addf("ReadFile of nothing: %v", err)
		}
	})
}

// afero's own adaptor holds too.
func TestAferoIOFS(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		f := tree(p, s, dir)
		if err := f.Remove(path.Join(dir, "a/link")); err != nil { // it has no Lstat, as fstest demands with symlinks
			p.addf("%w", err)
		}
		fsys := afero.NewIOFS(afero.NewBasePathFs(f, dir))
		if err := fstest.TestFS(fsys, "top", "a/one", "a/b/c/deeper", "empty"); err != nil {
			p.addf("%w", err)
		}
	})
}

func TestRemoveAllDoesNotFollowSymlinks(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		f := tree(p, s, dir)
		out := path.Join(dir, "out")
		if err := f.MkdirAll(path.Join(out, "sub"), 0o755); err != nil {
			p.addf("%w", err)
		}
		link := f.(afero.Symlinker)
		for target, at := range map[string]string{"a": "tolink", "top": "out/tofile"} {
			if err := link.SymlinkIfPossible(path.Join(dir, target), path.Join(dir, at)); err != nil {
				p.addf("%w", err)
			}
		}
		if err := link.SymlinkIfPossible("../a", path.Join(out, "sub/todir")); err != nil {
			p.addf("%w", err)
		}
		for _, name := range []string{"out", "tolink"} {
			if err := f.RemoveAll(path.Join(dir, name)); err != nil {
				p.addf("RemoveAll: %w", err)
			}
			if _, err := f.Stat(path.Join(dir, name)); !os.IsNotExist(err) {
				p.addf("%s is still there: %v", name, err)
			}
		}
		for _, kept := range []string{"a/one", "a/b/c/deeper", "top"} {
			if _, err := f.Stat(path.Join(dir, kept)); err != nil {
				p.addf("a symlink was followed: %w", err)
			}
		}
	})
}

func TestTimesAndModes(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		f := tree(p, s, dir)
		name := path.Join(dir, "top")
		mode := fs.FileMode(0o751) | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
		when := time.Unix(1234567890, 987654321)
		if err := f.Chmod(name, mode); err != nil {
			p.addf("%w", err)
		}
		if err := f.Chtimes(name, when, when); err != nil {
			p.addf("%w", err)
		}
		if err := f.Chtimes(name, when.Add(time.Hour), time.Time{}); err != nil {
			p.addf("%w", err)
		}
		fi, err := f.Stat(name)
		if err != nil {
			p.addf("%w", err)
			return
		}
		if fi.Mode() != mode || !fi.ModTime().Equal(when) || fi.Name() != "top" || fi.Size() != int64(len("this is top")) {
			p.addf("info is %v", fi)
		}
		if st, ok := fi.Sys().(*sys.Stat); !ok || st.Atim.Sec != when.Unix()+3600 {
			p.addf("Sys is %v", fi.Sys())
		}
	})
}

// Interrupted and short calls are not the caller's concern.
func TestInterruptedAndShortCalls(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		var rules []fault.Rule
		for _, op := range []string{"open", "read", "write", "pread", "pwrite", "mkdir", "unlink", "rename", "stat", "lstat", "fstat",
			"getdents64", "chmod", "symlink", "readlink", "fsync", "ftruncate", "lseek", "utimensat", "rmdir", "chown"} {
			rules = append(rules, fault.Rule{Op: op, Nth: 1, Errno: sys.EINTR})
		}
		for _, op := range []string{"write", "read", "pread", "pwrite"} {
			rules = append(rules, fault.Rule{Op: op, Short: 3})
		}
		j := fault.New(rules...)
		f := tree(p, intercept.Wrap(s, "p", j), dir)
		name := path.Join(dir, "top")
		data, err := afero.ReadFile(f, name)
		if string(data) != "this is top" || err != nil {
			p.addf("%q, %v", data, err)
		}
		file, err := f.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			p.addf("%w", err)
			return
		}
		if n, err := file.WriteAt([]byte("THIS IS"), 0); n != 7 || err != nil {
			p.addf("WriteAt = %d, %v", n, err)
		}
		buf := make([]byte, 11)
		if n, err := file.ReadAt(buf, 0); string(buf[:n]) != "THIS IS top" || err != nil {
			p.addf("ReadAt = %q, %v", buf[:n], err)
		}
		if _, err := file.Seek(0, 0); err != nil {
			p.addf("%w", err)
		}
		for _, err := range []error{file.Sync(), file.Truncate(3), file.Close(), f.Chmod(name, 0o600), f.Chown(name, -1, -1),
			f.Chtimes(name, time.Time{}, time.Time{}), f.Rename(name, name+"2"), f.RemoveAll(path.Join(dir, "a")), f.RemoveAll(path.Join(dir, "empty"))} {
			if err != nil {
				p.addf("%w", err)
			}
		}
		if len(j.Hits()) < len(rules)-3 {
			p.addf("only %d of the faults were met", len(j.Hits()))
		}
	})
}

// A file's error comes from the system and keeps its number.
func TestErrorsSurface(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		tree(p, s, dir)
		j := fault.New(fault.Rule{Op: "fsync", Errno: sys.EIO}, fault.Rule{Op: "close", Errno: sys.ENOSPC})
		file, err := aferofs.New(intercept.Wrap(s, "p", j)).Open(path.Join(dir, "top"))
		if err != nil {
			p.addf("%w", err)
			return
		}
		var pe *fs.PathError
		if err := file.Sync(); !errors.Is(err, sys.EIO) || !errors.As(err, &pe) || pe.Op != "sync" {
			p.addf("Sync: %v", err)
		}
		fd := int(file.(*aferofs.File).Fd())
		if err := file.Close(); !errors.Is(err, sys.ENOSPC) {
			p.addf("Close: %v", err)
		}
		if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
			p.addf("second Close: %v", err)
		}
		_ = s.Close(fd) // the injected error kept it open
	})
}
