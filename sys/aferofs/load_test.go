package aferofs_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/aferofs"
	"github.com/httpjail/httpjail/sys/fake"
)

var _ aferofs.Builder = (*fake.Machine)(nil)

// list is a Builder that writes down what it is asked.
type list []string

func (l *list) MkdirAll(path string, mode uint32, uid, gid int) {
	*l = append(*l, fmt.Sprintf("dir %s %o %d:%d", path, mode, uid, gid))
}

func (l *list) WriteFile(path string, data []byte, mode uint32, uid, gid int) {
	*l = append(*l, fmt.Sprintf("file %s %o %d:%d %q", path, mode, uid, gid, data))
}

func (l *list) Symlink(target, path string) {
	*l = append(*l, fmt.Sprintf("link %s -> %s", path, target))
}

func TestLoadAfero(t *testing.T) {
	src := afero.NewMemMapFs()
	for name, data := range map[string]string{"/etc/b": "bee", "/etc/a": "", "/srv/www/index.html": "<p>"} {
		if err := afero.WriteFile(src, name, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := src.Chmod("/etc", 0o711); err != nil {
		t.Fatal(err)
	}
	var dst list
	got, err := aferofs.Load(&dst, src, "/jail", aferofs.Limits{Files: 7, Bytes: 6})
	if err != nil {
		t.Fatal(err)
	}
	for i := range dst { // the mode of directories that MemMapFs made by itself is its own affair
		if dst[i][:4] == "dir " && dst[i] != "dir /jail/etc 711 0:0" {
			var path string
			_, _ = fmt.Sscanf(dst[i], "dir %s", &path)
			dst[i] = "dir " + path
		}
	}
	want := list{
		"dir /jail", "dir /jail/etc 711 0:0", `file /jail/etc/a 640 0:0 ""`, `file /jail/etc/b 640 0:0 "bee"`,
		"dir /jail/srv", "dir /jail/srv/www", `file /jail/srv/www/index.html 640 0:0 "<p>"`,
	}
	if d := cmp.Diff(want, dst); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(aferofs.Loaded{Files: 3, Dirs: 4, Bytes: 6}, got); d != "" {
		t.Error(d)
	}
}

func TestLoadLimits(t *testing.T) {
	src := fstest.MapFS{"a": {Data: []byte("123")}, "b": {Data: []byte("456")}}
	for _, c := range []struct {
		lim  aferofs.Limits
		want error
	}{
		{aferofs.Limits{}, nil},
		{aferofs.Limits{Files: 3, Bytes: 6}, nil},
		{aferofs.Limits{Files: 2}, aferofs.ErrLimit},
		{aferofs.Limits{Bytes: 5}, aferofs.ErrLimit},
		{aferofs.Limits{Bytes: 3}, aferofs.ErrLimit},
	} {
		var dst list
		if _, err := aferofs.LoadFS(&dst, src, "/", c.lim); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.lim, err, c.want)
		}
	}
}

// archive is a tar archive of headers; a regular file contains its name.
func archive(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestLoadTar(t *testing.T) {
	var dst list
	got, err := aferofs.LoadTar(&dst, archive(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 1, Gid: 2},
		tar.Header{Name: "/bin/su", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 3, Gid: 4},
		tar.Header{Name: "bin/hard", Typeflag: tar.TypeLink, Linkname: "./bin/su"},
		tar.Header{Name: "lib", Typeflag: tar.TypeSymlink, Linkname: "/../usr/lib"},
		tar.Header{Name: "dev/null", Typeflag: tar.TypeChar},
	), "/", aferofs.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := list{
		"dir / 755 0:0", "dir /bin 1777 1:2", `file /bin/su 4755 3:4 "/bin/su"`, `file /bin/hard 4755 3:4 "/bin/su"`, "link /lib -> /../usr/lib",
	}
	if d := cmp.Diff(want, dst); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(aferofs.Loaded{Files: 2, Dirs: 2, Symlinks: 1, Bytes: 14, Skipped: []string{"dev/null"}}, got); d != "" {
		t.Error(d)
	}
}

func TestLoadTarErrors(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "../out", Typeflag: tar.TypeReg},
		{Name: "a/../../out", Typeflag: tar.TypeDir},
		{Name: "hard", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"},
		{Name: "hard", Typeflag: tar.TypeLink, Linkname: "none"},
	} {
		var dst list
		if _, err := aferofs.LoadTar(&dst, archive(t, h), "/", aferofs.Limits{}); err == nil || len(dst) != 0 {
			t.Errorf("%s %s: %v, and %v was made", h.Name, h.Linkname, err, dst)
		}
	}
	if _, err := aferofs.LoadTar(&list{}, bytes.NewReader([]byte("not a tar archive")), "/", aferofs.Limits{}); err == nil {
		t.Error("no error for what is no archive")
	}
}

// A tree made on any backend, loaded into a machine, is the same tree there.
func TestLoadIntoMachine(t *testing.T) {
	onBackends(t, func(p *problems, s sys.Sys, dir string) {
		src := tree(p, s, dir)
		for name, load := range map[string]func(dst *fake.Machine) (aferofs.Loaded, error){
			"afero": func(m *fake.Machine) (aferofs.Loaded, error) {
				return aferofs.Load(m, afero.NewBasePathFs(src, dir), "/jail", aferofs.Limits{})
			},
			"fs.FS": func(m *fake.Machine) (aferofs.Loaded, error) {
				return aferofs.LoadFS(m, aferofs.IOFS(s, dir), "/jail", aferofs.Limits{})
			},
		} {
			m := fake.Boot(fake.Config{Mode: fake.Deterministic})
			got, err := load(m)
			if err != nil || got.Files != 5 || got.Symlinks != 1 || got.Dirs != 5 {
				p.addf("%s: %+v, %v", name, got, err)
			}
			data, err := m.ReadFile("/jail/a/link")
			if string(data) != "this is a/one" || err != nil {
				p.addf("%s: through the symlink: %q, %v", name, data, err)
			}
			var st sys.Stat
			if err := m.Lstat("/jail/a/link", &st); err != nil || st.Mode&sys.S_IFMT != sys.S_IFLNK {
				p.addf("%s: lstat: %v, %o", name, err, st.Mode)
			}
			m.Close()
		}
	})
}
