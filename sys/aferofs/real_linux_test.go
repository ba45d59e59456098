package aferofs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys/aferofs"
	"github.com/httpjail/httpjail/sys/real"
)

var newReal = real.New

// The same steps through package os, by way of afero.OsFs, and through aferofs
// have the same results: the errors' operations, paths and numbers included.
func TestSameAsOsFs(t *testing.T) {
	want := steps(afero.NewOsFs(), t.TempDir())
	got := steps(aferofs.New(real.New()), t.TempDir())
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-OsFs +aferofs\n%s", d)
	}
}

// steps does all that an afero.Fs can, and much that must fail, below dir.
func steps(fs afero.Fs, dir string) (log []string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	note := func(step string, result any, err error) {
		s := fmt.Sprintf("%s: %v", step, result)
		var errno syscall.Errno
		var pe *os.PathError
		var le *os.LinkError
		switch {
		case err == nil:
		case errors.As(err, &pe):
			s += fmt.Sprintf(", PathError %s %s", pe.Op, pe.Path)
		case errors.As(err, &le):
			s += fmt.Sprintf(", LinkError %s %s %s", le.Op, le.Old, le.New)
		default:
			s += ", " + err.Error()
		}
		if errors.As(err, &errno) {
			s += fmt.Sprintf(" errno %d", errno)
		}
		log = append(log, strings.ReplaceAll(s, dir, "DIR"))
	}
	info := func(fi os.FileInfo) string {
		if fi == nil {
			return "none"
		}
		size := fi.Size()
		if fi.IsDir() {
			size = -1
		}
		return fmt.Sprintf("%s %v %d", fi.Name(), fi.Mode(), size)
	}
	stat := func(name string) {
		fi, err := fs.Stat(at(name))
		note("stat "+name, info(fi), err)
		fi, ok, err := fs.(afero.Lstater).LstatIfPossible(at(name))
		note("lstat "+name, fmt.Sprint(info(fi), ok), err)
	}
	names := func(name string) {
		ds, err := afero.ReadDir(fs, at(name)) // sorted
		s := ""
		for _, d := range ds {
			s += info(d) + "; "
		}
		note("readdir "+name, s, err)
	}
	link := fs.(afero.Symlinker)

	note("mkdir", "", fs.Mkdir(at("d"), 0o755))
	note("mkdir again", "", fs.Mkdir(at("d"), 0o755))
	note("mkdir no parent", "", fs.Mkdir(at("x/y"), 0o755))
	note("mkdirall", "", fs.MkdirAll(at("d/e/f"), 0o750))
	note("mkdirall again", "", fs.MkdirAll(at("d/e/f"), 0o750))
	note("mkdirall slash", "", fs.MkdirAll(at("d/g")+"/", 0o750))
	note("mkdirall dots", "", fs.MkdirAll(at("d/h")+"/../i/.", 0o750))
	note("write", "", afero.WriteFile(fs, at("d/file"), []byte("hello"), 0o640))
	note("mkdirall over file", "", fs.MkdirAll(at("d/file/x"), 0o750))
	note("mkdirall file", "", fs.MkdirAll(at("d/file"), 0o750))
	note("symlink", "", link.SymlinkIfPossible("file", at("d/link")))
	note("symlink again", "", link.SymlinkIfPossible("file", at("d/link")))
	note("symlink dangling", "", link.SymlinkIfPossible("nowhere", at("d/dangling")))
	note("symlink dir", "", link.SymlinkIfPossible(at("d/e"), at("d/dirlink")))
	target, err := link.ReadlinkIfPossible(at("d/link"))
	note("readlink", target, err)
	target, err = link.ReadlinkIfPossible(at("d/file"))
	note("readlink of file", target, err)
	for _, n := range []string{"d", "d/file", "d/link", "d/dangling", "d/none", "d/file/x"} {
		stat(n)
	}
	names("d")
	names("d/none")
	names("d/file")

	for _, c := range []struct {
		name string
		flag int
	}{
		{"d/file", os.O_RDWR | os.O_CREATE | os.O_EXCL}, {"d/none", os.O_RDONLY}, {"d/none/x", os.O_CREATE | os.O_WRONLY},
		{"d", os.O_RDWR}, {"d/dangling", os.O_RDONLY}, {"d/link", os.O_RDONLY | syscall.O_NOFOLLOW}, {"d/new", os.O_CREATE | os.O_WRONLY},
	} {
		f, err := fs.OpenFile(at(c.name), c.flag, 0o4755&0o777|os.ModeSticky)
		note(fmt.Sprintf("open %s %#x", c.name, c.flag), "", err)
		if err == nil {
			note("close", f.Name(), f.Close())
		}
	}

	f, err := fs.Create(at("d/io"))
	note("create", "", err)
	n, err := f.WriteString("0123456789")
	note("writestring", n, err)
	n, err = f.WriteAt([]byte("AB"), 3)
	note("writeat", n, err)
	n, err = f.WriteAt([]byte("AB"), -1)
	note("writeat -1", n, err)
	buf := make([]byte, 4)
	n, err = f.ReadAt(buf, 2)
	note("readat", string(buf[:n]), err)
	n, err = f.ReadAt(buf, 8)
	note("readat end", string(buf[:n]), err)
	n, err = f.ReadAt(buf, -1)
	note("readat -1", n, err)
	n, err = f.Read(buf)
	note("read at end", n, err)
	pos, err := f.Seek(-3, 2)
	note("seek", pos, err)
	pos, err = f.Seek(-100, 2)
	note("seek before", pos, err)
	n, err = f.Read(buf)
	note("read", string(buf[:n]), err)
	n, err = f.Read(nil)
	note("read nothing", n, err)
	note("truncate", "", f.Truncate(4))
	note("truncate -1", "", f.Truncate(-1))
	note("sync", "", f.Sync())
	fi, err := f.Stat()
	note("fstat", info(fi), err)
	ds, err := f.Readdir(-1)
	note("readdir of file", len(ds), err)
	note("close", "", f.Close())
	note("close again", "", f.Close())
	n, err = f.Read(buf)
	note("read closed", n, err)
	n, err = f.Write(buf)
	note("write closed", n, err)
	fi, err = f.Stat()
	note("stat closed", info(fi), err)

	f, _ = fs.OpenFile(at("d/io"), os.O_WRONLY|os.O_APPEND, 0)
	n, err = f.Write([]byte("tail"))
	note("append", n, err)
	n, err = f.Read(buf)
	note("read of write-only", n, err)
	_ = f.Close()
	data, err := afero.ReadFile(fs, at("d/io"))
	note("content", string(data), err)

	f, _ = fs.Open(at("d"))
	n, err = f.Read(buf)
	note("read of dir", n, err)
	var all []string
	for {
		some, err := f.Readdirnames(2)
		all = append(all, some...)
		if err != nil {
			note("readdirnames", len(all), err)
			break
		}
	}
	all, err = f.Readdirnames(0)
	note("readdirnames at end", len(all), err)
	pos, err = f.Seek(0, 0)
	note("rewind", pos, err)
	all, err = f.Readdirnames(-1)
	note("readdirnames again", len(all), err)
	_ = f.Close()

	note("chmod", "", fs.Chmod(at("d/file"), 0o600|os.ModeSetuid|os.ModeSticky))
	note("chmod none", "", fs.Chmod(at("d/none"), 0o600))
	note("chown", "", fs.Chown(at("d/file"), -1, -1))
	note("chown none", "", fs.Chown(at("d/none"), -1, -1))
	when := time.Unix(1e9, 123456789)
	note("chtimes", "", fs.Chtimes(at("d/file"), when, when))
	note("chtimes one", "", fs.Chtimes(at("d/file"), when.Add(time.Hour), time.Time{}))
	note("chtimes none", "", fs.Chtimes(at("d/none"), when, when))
	stat("d/file")
	if fi, err := fs.Stat(at("d/file")); err == nil {
		note("mtime", fi.ModTime().Equal(when), nil)
	}

	note("rename", "", fs.Rename(at("d/file"), at("d/moved")))
	note("rename none", "", fs.Rename(at("d/file"), at("d/moved")))
	note("rename dir into itself", "", fs.Rename(at("d"), at("d/e/d")))

	note("remove none", "", fs.Remove(at("d/none")))
	note("remove full", "", fs.Remove(at("d")))
	note("remove link", "", fs.Remove(at("d/dirlink")))
	note("remove dir", "", fs.Remove(at("d/e/f")))
	note("remove below file", "", fs.Remove(at("d/moved/x")))
	note("removeall none", "", fs.RemoveAll(at("none")))
	note("removeall empty", "", fs.RemoveAll(""))
	note("removeall dot", "", fs.RemoveAll(at("d")+"/."))
	// package os removes with unlinkat, and has another Op here.
	err = fs.RemoveAll(at("d/moved/x"))
	note("removeall below file", errors.Is(err, syscall.ENOTDIR), nil)
	note("removeall", "", fs.RemoveAll(at("d")))
	names(".")
	return log
}
