package fake_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// fs.file-max counts what is open, and not descriptors.
func TestFileMax(t *testing.T) {
	const max = 10
	m := boot(t, fake.Config{FileMax: max})
	m.MkdirAll("/d", 0o777, 0, 0)
	exits(t, m, func(s sys.Sys) int {
		nr := func() int {
			text, err := sys.ReadFile(s, "/proc/sys/fs/file-nr", 99)
			ok(t, "file-nr", err)
			n, _ := strconv.Atoi(strings.Fields(string(text))[0])
			return n - 1 // the one that was read
		}
		before := nr()
		fd, err := s.Open("/dev/null", sys.O_RDONLY, 0)
		ok(t, "open", err)
		for range 5 {
			_, err := s.Fcntl(fd, sys.F_DUPFD, 0)
			ok(t, "dup", err)
		}
		lfd, err := s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		ok(t, "socket", err)
		ok(t, "bind", s.Bind(lfd, sys.SockAddr{Family: sys.AF_UNIX, Path: "/d/sock"}))
		ok(t, "listen", s.Listen(lfd, 5))
		cfd, err := s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		ok(t, "socket", err)
		ok(t, "connect", s.Connect(cfd, sys.SockAddr{Family: sys.AF_UNIX, Path: "/d/sock"}))
		if n := nr(); n != before+3 {
			t.Errorf("%d files are open, %d were", n, before)
		}
		for range max - before - 4 {
			_, err := s.Open("/dev/null", sys.O_PATH, 0)
			ok(t, "open", err)
		}
		_, _, err = s.Pipe2(0)
		ok(t, "root may have more", err)
		ok(t, "close", s.CloseRange(3, 1<<30, 0))
		if n := nr(); n != before {
			t.Errorf("%d files are open, %d were", n, before)
		}

		lfd, _ = s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		ok(t, "bind", s.Bind(lfd, sys.SockAddr{Family: sys.AF_UNIX, Path: "/d/sock2"}))
		ok(t, "listen", s.Listen(lfd, 5))
		ok(t, "setresuid", s.Setresuid(7, 7, 7))
		cfd, _ = s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		want(t, "connect", s.Connect(cfd, sys.SockAddr{Family: sys.AF_UNIX, Path: "/d/sock2"}), sys.EACCES)
		var last int
		for range max - before - 2 {
			last, err = s.Open("/dev/null", sys.O_PATH, 0)
			ok(t, "open", err)
		}
		full := func(what string, err error) {
			t.Helper()
			want(t, what, err, sys.ENFILE)
		}
		_, err = s.Open("/d/new", sys.O_CREAT|sys.O_WRONLY, 0o600)
		full("open", err)
		want(t, "stat", s.Stat("/d/new", &sys.Stat{}), sys.ENOENT)
		_, err = s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		full("socket", err)
		_, err = s.Socket(40, sys.SOCK_STREAM, 0)
		want(t, "socket of an unknown family", err, sys.EAFNOSUPPORT)
		_, _, err = s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		full("socketpair", err)
		_, err = s.EpollCreate1(0)
		full("epoll_create1", err)
		_, err = s.MemfdCreate("x", 0)
		full("memfd_create", err)
		_, err = s.Signalfd([]sys.Signal{sys.SIGUSR1}, 0)
		full("signalfd", err)
		_, _, err = s.Accept4(lfd, 0)
		full("accept4", err)
		ok(t, "close", s.Close(last))
		_, _, err = s.Pipe2(0)
		full("pipe2 with room for one", err)
		_, err = s.Open("/d", 0, 0)
		ok(t, "open", err)
		return 0
	})
}

// The limits of a filesystem are there for the machine's processes.
func TestFilesystemLimits(t *testing.T) {
	m := boot(t, fake.Config{})
	m.MkdirAll("/srv", 0o777, 0, 0)
	mnt, err := m.Tree().Mount("/srv", 0)
	ok(t, "mount", err)
	m.MkdirAll("/srv/d", 0o777, 0, 0)
	mnt.FS().SetLimit(1 << 20)
	mnt.FS().SetInodeLimit(5)
	mnt.FS().SetQuota(7, 8192, 2)
	exits(t, m, func(s sys.Sys) int {
		var st sys.Statfs
		ok(t, "statfs", s.Statfs("/srv", &st))
		if st.Blocks != 256 || st.Bavail != 256 || st.Files != 5 || st.Ffree != 3 {
			t.Errorf("statfs: %+v", st)
		}
		ok(t, "mkdir", s.Mkdir("/srv/e", 0o777))
		ok(t, "setresuid", s.Setresuid(7, 7, 7))
		fd, err := s.Open("/srv/d/f", sys.O_CREAT|sys.O_RDWR, 0o600)
		ok(t, "open", err)
		if n, err := s.Write(fd, make([]byte, 10000)); n != 8192 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		_, err = s.Write(fd, make([]byte, 1))
		want(t, "write above the quota", err, sys.EDQUOT)
		ok(t, "mkdir", s.Mkdir("/srv/d/d", 0o700))
		want(t, "mkdir above the limit", s.Mkdir("/srv/d/e", 0o700), sys.ENOSPC)
		ok(t, "rename", s.Rename("/srv/d/f", "/srv/d/g"))
		return 0
	})
}
