package trace_test

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/real"
	"github.com/httpjail/httpjail/sys/trace"
)

// work makes calls of many kinds, most of which succeed, in the directory dir.
func work(s sys.Sys, dir string) {
	_ = s.Chdir(dir)
	s.Umask(0o22)
	fd, _ := s.Open("pid", sys.O_RDWR|sys.O_CREAT|sys.O_CLOEXEC, 0o644)
	_, _ = s.Write(fd, []byte("hello\n"))
	_, _ = s.Pread(fd, make([]byte, 16), 1)
	_, _ = s.Lseek(fd, 0, sys.SEEK_END)
	_ = s.Flock(fd, sys.LOCK_EX|sys.LOCK_NB)
	_ = s.FcntlFlock(fd, sys.F_SETLK, &sys.Flock{Type: sys.F_WRLCK})
	_, _ = s.Fcntl(fd, sys.F_GETFL, 0)
	_, _ = s.Fcntl(fd, sys.F_GETFD, 0)
	var st sys.Stat
	_ = s.Fstat(fd, &st)
	_ = s.Link("pid", "second")
	_ = s.Stat("second", &st)
	_ = s.Symlink("pid", "link")
	_, _ = s.Readlink("link")
	_, _ = s.Open("link", sys.O_RDONLY|sys.O_NOFOLLOW, 0)
	_ = s.Mkdir("d", 0o700)
	_ = s.Mkdir("d", 0o700)
	_ = s.Rmdir("pid")
	_ = s.Unlink("d")
	_ = s.Rename("second", "d/second")
	_ = s.Rmdir("d")
	dirfd, _ := s.Open(".", sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	_, _ = s.Getdents(dirfd)
	_, _ = s.Openat2(dirfd, "../x", sys.OpenHow{Resolve: sys.RESOLVE_BENEATH})
	_ = s.Ftruncate(fd, 2)
	_ = s.Fsync(fd)
	_ = s.Close(dirfd)
	_ = s.Close(999)

	r, w, _ := s.Pipe2(sys.O_CLOEXEC)
	_, _ = s.Write(w, []byte("through the pipe"))
	_, _ = s.Poll([]sys.PollFd{{Fd: int32(r), Events: sys.POLLIN}}, 0)
	_, _ = s.Read(r, make([]byte, 64))
	_ = s.Close(w)
	_, _ = s.Read(r, make([]byte, 64))

	l, _ := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	_ = s.SetsockoptInt(l, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
	_ = s.Bind(l, sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:0")))
	_ = s.Listen(l, 5)
	addr, _ := s.Getsockname(l)
	c, _ := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	_ = s.Connect(c, addr)
	a, _, _ := s.Accept4(l, sys.SOCK_CLOEXEC)
	_, _ = s.Write(c, []byte("GET /"))
	_, _ = s.Read(a, make([]byte, 64))
	_ = s.Shutdown(c, sys.SHUT_WR)
	_, _ = s.Read(a, make([]byte, 64))
	_, _ = s.Getpeername(c)
	_, _ = s.Getpeername(l)

	id, _ := s.Semget(sys.IPC_PRIVATE, 1, sys.IPC_CREAT|0o600)
	_ = s.SemSetval(id, 0, 1)
	_ = s.Semtimedop(id, []sys.Sembuf{{Op: -1, Flg: sys.SEM_UNDO}}, -1)
	_ = s.Semtimedop(id, []sys.Sembuf{{Op: -1, Flg: sys.IPC_NOWAIT}}, -1)
	_ = s.SemRmid(id)
	_, _ = s.SemGetval(id, 0)
	_, _, _ = s.Wait4(-1, sys.WNOHANG)
	_ = s.Kill(s.Getpid(), 0)
	for _, fd := range []int{fd, r, l, c, a} {
		_ = s.Close(fd)
	}
	s.Now()
}

// fill takes all descriptors below 100: what is opened then has the same numbers
// in a process that had others before. The result closes them.
func fill(s sys.Sys) (undo func()) {
	var fds []int
	for {
		fd, err := s.Open("/dev/null", sys.O_RDONLY|sys.O_CLOEXEC, 0)
		if err != nil {
			break // what follows will differ, and show it
		}
		if fd >= 100 {
			_ = s.Close(fd)
			break
		}
		fds = append(fds, fd)
	}
	return func() {
		for _, fd := range fds {
			_ = s.Close(fd)
		}
	}
}

// A program's traces on Linux and on the simulated kernel are equal once
// normalised: which is what Normalise is for.
func TestLinuxAndSimulatedKernel(t *testing.T) {
	var onLinux, onFake bytes.Buffer
	dir := t.TempDir()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(wd) // back to it at the end
	s := real.New()
	defer fill(s)()
	mask := s.Umask(0)
	work(intercept.Wrap(s, "p", trace.New(&onLinux, trace.Options{})), dir)
	s.Umask(mask)

	m := fake.Boot(fake.Config{Mode: fake.Deterministic})
	defer m.Close()
	m.MkdirAll(dir, 0o755, os.Getuid(), os.Getgid())
	prog := intercept.Program(func(s sys.Sys, _, _ []string) int { work(s, dir); return 0 },
		trace.New(&onFake, trace.Options{}))
	_, err = m.Start(fake.ProcSpec{
		Argv: []string{"p"}, Uid: os.Getuid(), Gid: os.Getgid(),
		Program: func(s sys.Sys, argv, env []string) int { fill(s); s.Umask(0); return prog(s, argv, env) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(); err != nil {
		t.Fatal(err)
	}
	norm := func(b *bytes.Buffer) []string { return trace.Normalise(strings.Split(b.String(), "\n")) }
	if d := cmp.Diff(norm(&onLinux), norm(&onFake)); d != "" {
		t.Errorf("-Linux +fake\n%s", d)
	}
}
