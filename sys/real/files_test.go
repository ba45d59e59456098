package real

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

// create makes a file with content and returns its path.
func create(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func openRW(t testing.TB, s sys.Sys, path string) int {
	t.Helper()
	fd, err := s.Open(path, sys.O_RDWR|sys.O_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, fd)
	return fd
}

// A file without a name gets one: from who has opened it, and through /proc.
func TestNameForTmpfile(t *testing.T) {
	s, dir := New(), t.TempDir()
	for i, by := range []struct {
		path  func(fd int) (int, string)
		flags int
	}{
		{func(fd int) (int, string) { return fd, "" }, sys.AT_EMPTY_PATH},
		{func(fd int) (int, string) { return sys.AT_FDCWD, "/proc/self/fd/" + strconv.Itoa(fd) }, sys.AT_SYMLINK_FOLLOW},
	} {
		fd, err := s.Open(dir, sys.O_TMPFILE|sys.O_WRONLY|sys.O_CLOEXEC, 0o600)
		ok(t, err)
		closing(t, s, fd)
		name := filepath.Join(dir, strconv.Itoa(i))
		olddirfd, oldpath := by.path(fd)
		fails(t, s.Linkat(olddirfd, oldpath, sys.AT_FDCWD, dir, by.flags), sys.EEXIST)
		ok(t, s.Linkat(olddirfd, oldpath, sys.AT_FDCWD, name, by.flags))
		ok(t, s.Futimens(fd, sys.Timespec{Sec: 1}, sys.Timespec{Sec: 2}))
		var st sys.Stat
		ok(t, s.Stat(name, &st))
		if st.Nlink != 1 || st.Atim.Sec != 1 || st.Mtim.Sec != 2 {
			t.Errorf("%+v", st)
		}
	}
}

func TestReadWrite(t *testing.T) {
	s := New()
	path := create(t, "")
	fd := openRW(t, s, path)
	n, err := s.Write(fd, []byte("hello"))
	if n != 5 || err != nil {
		t.Fatal(n, err)
	}
	n, err = s.Writev(fd, [][]byte{[]byte(", "), nil, []byte("world")})
	if n != 7 || err != nil {
		t.Fatal(n, err)
	}
	n, err = s.Writev(fd, slices.Repeat([][]byte{[]byte("!")}, 20)) // more than the stack has room for
	if n != 20 || err != nil {
		t.Fatal(n, err)
	}
	_, err = s.Writev(fd, make([][]byte, 1025)) // IOV_MAX is 1024
	fails(t, err, sys.EINVAL)
	n, err = s.Pwrite(fd, []byte("HE"), 0)
	if n != 2 || err != nil {
		t.Fatal(n, err)
	}
	p := make([]byte, 64)
	n, err = s.Read(fd, p)
	if n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	n, err = s.Pread(fd, p, 0)
	if want := "HEllo, world" + strings.Repeat("!", 20); string(p[:n]) != want || err != nil {
		t.Errorf("got %q, %v", p[:n], err)
	}
	if pos, err := s.Lseek(fd, -2, sys.SEEK_END); pos != 30 || err != nil {
		t.Errorf("Lseek: %d, %v", pos, err)
	}
	if n, err = s.Read(fd, p); n != 2 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
	ok(t, s.Ftruncate(fd, 3))
	ok(t, s.Fsync(fd))
	var st, st2 sys.Stat
	ok(t, s.Fstat(fd, &st))
	ok(t, s.Stat(path, &st2))
	if st != st2 || st.Size != 3 || st.Nlink != 1 || st.Mode != sys.S_IFREG|0o600 || !st.IsRegular() || st.Ino == 0 || st.Blksize == 0 || st.Mtim.Sec == 0 {
		t.Errorf("Fstat %+v\nStat  %+v", st, st2)
	}
	if n, err := s.Read(fd, nil); n != 0 || err != nil {
		t.Errorf("empty Read: %d, %v", n, err)
	}

	_, err = s.Read(999, p)
	fails(t, err, sys.EBADF)
	_, err = s.Write(999, p)
	fails(t, err, sys.EBADF)
	_, err = s.Lseek(fd, -1, sys.SEEK_SET)
	fails(t, err, sys.EINVAL)
	fails(t, s.Fstat(999, &st), sys.EBADF)
	fails(t, s.Fsync(999), sys.EBADF)
}

func TestOpen(t *testing.T) {
	s := New()
	dir := t.TempDir()
	old := s.Umask(0o027)
	defer s.Umask(old)
	path := filepath.Join(dir, "new")
	fd, err := s.Open(path, sys.O_CREAT|sys.O_EXCL|sys.O_WRONLY|sys.O_CLOEXEC, 0o666)
	ok(t, err)
	closing(t, s, fd)
	var st sys.Stat
	ok(t, s.Fstat(fd, &st))
	if st.Mode&0o777 != 0o640 {
		t.Errorf("mode %o, want 640", st.Mode)
	}
	if got := s.Umask(0o027); got != 0o027 {
		t.Errorf("umask %o", got)
	}
	_, err = s.Open(path, sys.O_CREAT|sys.O_EXCL|sys.O_WRONLY, 0o666)
	fails(t, err, sys.EEXIST)
	_, err = s.Open(filepath.Join(dir, "none"), sys.O_RDONLY, 0)
	fails(t, err, sys.ENOENT)
	_, err = s.Open(path+"/x", sys.O_RDONLY, 0)
	fails(t, err, sys.ENOTDIR)
	_, err = s.Open("a\x00b", sys.O_RDONLY, 0)
	fails(t, err, sys.EINVAL)
	_, err = s.Open("", sys.O_RDONLY, 0)
	fails(t, err, sys.ENOENT)
	_, err = s.Open(strings.Repeat("x", sys.NAME_MAX+1), sys.O_RDONLY, 0)
	fails(t, err, sys.ENAMETOOLONG)
	_, err = s.Open(strings.Repeat("x/", sys.PATH_MAX/2), sys.O_RDONLY, 0)
	fails(t, err, sys.ENAMETOOLONG)
	// Paths at the edge of the stack buffer.
	for n := len(pathBuf{}) - 3; n < len(pathBuf{})+3; n++ {
		long := path[:len(dir)+1] + strings.Repeat("./", (n-len(path))/2) + strings.Repeat("/", (n-len(path))%2) + "new"
		ok(t, s.Stat(long, &st))
	}

	dfd, err := s.Open(dir, sys.O_PATH|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, dfd)
	ok(t, s.Symlink("new", filepath.Join(dir, "link")))
	how := sys.OpenHow{Flags: sys.O_RDONLY | sys.O_CLOEXEC, Resolve: sys.RESOLVE_BENEATH | sys.RESOLVE_NO_SYMLINKS}
	fd, err = s.Openat2(dfd, "new", how)
	ok(t, err)
	closing(t, s, fd)
	_, err = s.Openat2(dfd, "link", how)
	fails(t, err, sys.ELOOP)
	_, err = s.Openat2(dfd, "../x", how)
	fails(t, err, sys.EXDEV)
}

func TestGetdents(t *testing.T) {
	s := New()
	dir := t.TempDir()
	want := []string{".", ".."}
	for i := range 300 { // more than one call returns
		name := strings.Repeat("n", 1+i%200) + string(rune('a'+i/200))
		ok(t, s.Mknod(filepath.Join(dir, name), sys.S_IFREG|0o600, 0))
		want = append(want, name)
	}
	ok(t, s.Mkdir(filepath.Join(dir, "sub"), 0o700))
	want = append(want, "sub")
	fd, err := s.Open(dir, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, fd)
	var got []string
	for {
		list, err := s.Getdents(fd)
		ok(t, err)
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if e.Ino == 0 || e.Name == "sub" && e.Type != sys.DT_DIR || e.Name == "na" && e.Type != sys.DT_REG {
				t.Errorf("%+v", e)
			}
			got = append(got, e.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d names, want %d", len(got), len(want))
	}
	_, err = s.Getdents(openRW(t, s, create(t, "")))
	fails(t, err, sys.ENOTDIR)
}

func TestDescriptors(t *testing.T) {
	s := New()
	r, w, err := s.Pipe2(sys.O_CLOEXEC | sys.O_NONBLOCK)
	ok(t, err)
	closing(t, s, r, w)
	_, err = s.Read(r, make([]byte, 1))
	fails(t, err, sys.EAGAIN)
	if fl, err := s.Fcntl(r, sys.F_GETFD, 0); fl != sys.FD_CLOEXEC || err != nil {
		t.Errorf("F_GETFD: %d, %v", fl, err)
	}
	if fl, err := s.Fcntl(w, sys.F_GETFL, 0); fl&(sys.O_NONBLOCK|sys.O_ACCMODE) != sys.O_NONBLOCK|sys.O_WRONLY || err != nil {
		t.Errorf("F_GETFL: %#x, %v", fl, err)
	}
	high, err := s.Fcntl(w, sys.F_DUPFD_CLOEXEC, 300)
	if high < 300 || err != nil {
		t.Fatal(high, err)
	}
	ok(t, s.Dup3(w, high+1, sys.O_CLOEXEC))
	fails(t, s.Dup3(w, w, 0), sys.EINVAL)
	ok(t, s.CloseRange(uint(high), uint(high)+1, 0))
	fails(t, s.Close(high), sys.EBADF)
	_, err = s.Fcntl(high+1, sys.F_GETFD, 0)
	fails(t, err, sys.EBADF)
	ok(t, s.Close(r))
	_, err = s.Write(w, []byte("x")) // and no SIGPIPE kills us
	fails(t, err, sys.EPIPE)
}

func TestDirs(t *testing.T) {
	s := New()
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	var st sys.Stat
	ok(t, s.Mkdir(p("d"), 0o755))
	fails(t, s.Mkdir(p("d"), 0o755), sys.EEXIST)
	ok(t, s.Mknod(p("d/f"), sys.S_IFREG|0o644, 0))
	ok(t, s.Mknod(p("fifo"), sys.S_IFIFO|0o600, 0))
	ok(t, s.Lstat(p("fifo"), &st))
	if st.Mode&sys.S_IFMT != sys.S_IFIFO {
		t.Errorf("fifo: mode %o", st.Mode)
	}
	fails(t, s.Rmdir(p("d")), sys.ENOTEMPTY)
	fails(t, s.Unlink(p("d")), sys.EISDIR)
	fails(t, s.Rmdir(p("d/f")), sys.ENOTDIR)
	ok(t, s.Link(p("d/f"), p("hard")))
	ok(t, s.Stat(p("hard"), &st))
	if st.Nlink != 2 {
		t.Errorf("nlink %d", st.Nlink)
	}
	ok(t, s.Symlink("d/f", p("sym")))
	ok(t, s.Lstat(p("sym"), &st))
	if st.Mode&sys.S_IFMT != sys.S_IFLNK {
		t.Errorf("symlink: mode %o", st.Mode)
	}
	ok(t, s.Stat(p("sym"), &st))
	if !st.IsRegular() {
		t.Errorf("followed: mode %o", st.Mode)
	}
	long := strings.Repeat("t", sys.PATH_MAX-1)
	ok(t, s.Symlink(long, p("longest")))
	for name, want := range map[string]string{"sym": "d/f", "longest": long} {
		if got, err := s.Readlink(p(name)); got != want || err != nil {
			t.Errorf("Readlink(%s): %d bytes, %v", name, len(got), err)
		}
	}
	_, err := s.Readlink(p("d"))
	fails(t, err, sys.EINVAL)
	ok(t, s.Rename(p("hard"), p("d/f2")))
	fails(t, s.Stat(p("hard"), &st), sys.ENOENT)
	fails(t, s.Rename(p("d"), p("d/f/x")), sys.ENOTDIR)
	ok(t, s.Unlink(p("d/f")))
	ok(t, s.Unlink(p("d/f2")))
	ok(t, s.Rmdir(p("d")))
}

func TestAttrs(t *testing.T) {
	s := New()
	path := create(t, "")
	fd := openRW(t, s, path)
	var st sys.Stat
	ok(t, s.Chmod(path, 0o4711))
	ok(t, s.Stat(path, &st))
	if st.Mode != sys.S_IFREG|sys.S_ISUID|0o711 {
		t.Errorf("mode %o", st.Mode)
	}
	ok(t, s.Fchmod(fd, 0o400))
	ok(t, s.Utimensat(path, sys.Timespec{Sec: 1, Nsec: 2}, sys.Timespec{Nsec: sys.UTIME_OMIT}, 0))
	before := st.Mtim
	ok(t, s.Stat(path, &st))
	if st.Mode&0o7777 != 0o400 || st.Atim != (sys.Timespec{Sec: 1, Nsec: 2}) || st.Mtim != before {
		t.Errorf("%+v", st)
	}
	ok(t, s.Faccessat(path, sys.R_OK, 0))
	ok(t, s.Faccessat(path, sys.F_OK, sys.AT_EACCESS))
	fails(t, s.Faccessat(path, sys.X_OK, sys.AT_EACCESS), sys.EACCES) // not even for root
	fails(t, s.Faccessat(path+"x", sys.F_OK, 0), sys.ENOENT)
	ok(t, s.Chown(path, -1, -1))
	if os.Geteuid() != 0 {
		fails(t, s.Chown(path, 12, -1), sys.EPERM)
		return
	}
	link := path + ".link"
	ok(t, s.Symlink(path, link))
	ok(t, s.Chown(link, 11, -1))
	ok(t, s.Fchown(fd, -1, 12))
	ok(t, s.Lchown(link, 13, 14))
	ok(t, s.Stat(link, &st))
	if st.Uid != 11 || st.Gid != 12 {
		t.Errorf("file %d:%d", st.Uid, st.Gid)
	}
	ok(t, s.Lstat(link, &st))
	if st.Uid != 13 || st.Gid != 14 {
		t.Errorf("link %d:%d", st.Uid, st.Gid)
	}
}
