package trace

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/mocksys"
)

// observed is a mock that tells its caller without a call: a trace that made
// one would fail the test.
type observed struct{ *mocksys.MockSys }

func (observed) Caller() (int, int, time.Duration) { return 12, 13, 1500 * time.Millisecond }

func traced(t *testing.T, opts Options) (sys.Sys, *mocksys.MockSysMockRecorder, *bytes.Buffer) {
	m := mocksys.NewMockSys(gomock.NewController(t))
	var out bytes.Buffer
	return intercept.Wrap(observed{m}, "httpd", New(&out, opts)), m.EXPECT(), &out
}

var inet = sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:8080"))

func TestLines(t *testing.T) {
	s, on, out := traced(t, Options{})
	var st sys.Stat
	lk := sys.Flock{Type: sys.F_WRLCK}
	fill := func(_ string, st *sys.Stat) error {
		*st = sys.Stat{Dev: 8, Ino: 77, Mode: sys.S_IFREG | 0o644, Nlink: 1, Uid: 33, Gid: 34, Size: 5}
		return nil
	}
	long := bytes.Repeat([]byte("x"), 40)
	for _, c := range []struct {
		expect func()
		call   func()
		want   string
	}{
		{func() { on.Open("/run/pid", gomock.Any(), gomock.Any()).Return(3, nil) },
			func() { _, _ = s.Open("/run/pid", sys.O_RDWR|sys.O_CREAT|sys.O_CLOEXEC, 0o644) },
			`open("/run/pid", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3`},
		{func() { on.Open("/x\n", gomock.Any(), gomock.Any()).Return(-1, sys.ENOENT) },
			func() { _, _ = s.Open("/x\n", sys.O_RDONLY|sys.O_DIRECTORY, 0) },
			`open("/x\n", O_RDONLY|O_DIRECTORY) = -1 ENOENT (` + sys.ENOENT.Error() + `)`},
		{func() { on.Open("/t", gomock.Any(), gomock.Any()).Return(4, nil) },
			func() { _, _ = s.Open("/t", sys.O_WRONLY|sys.O_TMPFILE|sys.O_SYNC|0x40000000, 0o600) },
			`open("/t", O_WRONLY|O_TMPFILE|O_SYNC|0x40000000, 0600) = 4`},
		{func() { on.Openat2(sys.AT_FDCWD, "a", gomock.Any()).Return(4, nil) },
			func() {
				_, _ = s.Openat2(sys.AT_FDCWD, "a", sys.OpenHow{Flags: sys.O_PATH, Resolve: sys.RESOLVE_BENEATH})
			},
			`openat2(AT_FDCWD, "a", {O_RDONLY|O_PATH, 0, RESOLVE_BENEATH}) = 4`},
		{func() {
			on.Read(3, gomock.Any()).DoAndReturn(func(_ int, p []byte) (int, error) { return copy(p, "hi\x00"), nil })
		},
			func() { _, _ = s.Read(3, make([]byte, 512)) },
			`read(3, "hi\x00", 512) = 3`},
		{func() { on.Read(3, gomock.Any()).Return(0, sys.EAGAIN) },
			func() { _, _ = s.Read(3, []byte("old")) },
			`read(3, "", 3) = -1 EAGAIN (` + sys.EAGAIN.Error() + `)`},
		{func() { on.Write(3, gomock.Any()).Return(40, nil) },
			func() { _, _ = s.Write(3, long) },
			`write(3, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 40) = 40`},
		{func() { on.Writev(3, gomock.Any()).Return(3, nil) },
			func() { _, _ = s.Writev(3, [][]byte{[]byte("a"), []byte("bc")}) },
			`writev(3, ["a", "bc"]) = 3`},
		{func() { on.Stat("/f", gomock.Any()).DoAndReturn(fill) },
			func() { _ = s.Stat("/f", &st) },
			`stat("/f", {st_dev=8, st_ino=77, st_mode=S_IFREG|0644, st_nlink=1, st_uid=33, st_gid=34, st_size=5}) = 0`},
		{func() { on.Stat("/f", gomock.Any()).Return(sys.EACCES) },
			func() { _ = s.Stat("/f", &st) },
			`stat("/f") = -1 EACCES (` + sys.EACCES.Error() + `)`},
		{func() {
			on.Getdents(3).Return([]sys.Dirent{{Name: "b", Type: sys.DT_REG}, {Name: "a", Type: sys.DT_DIR}}, nil)
		},
			func() { _, _ = s.Getdents(3) },
			`getdents64(3) = [DT_DIR "a", DT_REG "b"]`},
		{func() { on.Fcntl(3, sys.F_GETFL, 0).Return(sys.O_RDWR|sys.O_NONBLOCK, nil) },
			func() { _, _ = s.Fcntl(3, sys.F_GETFL, 0) },
			`fcntl(3, F_GETFL, 0) = O_RDWR|O_NONBLOCK`},
		{func() { on.Fcntl(3, sys.F_SETFD, 1).Return(0, nil) },
			func() { _, _ = s.Fcntl(3, sys.F_SETFD, sys.FD_CLOEXEC) },
			`fcntl(3, F_SETFD, FD_CLOEXEC) = 0`},
		{func() { on.FcntlFlock(3, sys.F_SETLK, gomock.Any()).Return(nil) },
			func() { _ = s.FcntlFlock(3, sys.F_SETLK, &lk) },
			`fcntl_flock(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0, l_pid=0}) = 0`},
		{func() { on.Flock(3, gomock.Any()).Return(nil) },
			func() { _ = s.Flock(3, sys.LOCK_EX|sys.LOCK_NB) },
			`flock(3, LOCK_EX|LOCK_NB) = 0`},
		{func() { on.Pipe2(gomock.Any()).Return(5, 6, nil) },
			func() { _, _, _ = s.Pipe2(sys.O_CLOEXEC) },
			`pipe2(O_CLOEXEC) = 5, w=6`},
		{func() { on.Mkdir("/d", uint32(0o755)).Return(nil) },
			func() { _ = s.Mkdir("/d", 0o755) },
			`mkdir("/d", 0755) = 0`},
		{func() { on.Renameat2("/a", "/b", gomock.Any()).Return(nil) },
			func() { _ = s.Renameat2("/a", "/b", sys.RENAME_EXCHANGE) },
			`renameat2("/a", "/b", RENAME_EXCHANGE) = 0`},
		{func() { on.Linkat(3, "", sys.AT_FDCWD, "/b", gomock.Any()).Return(nil) },
			func() { _ = s.Linkat(3, "", sys.AT_FDCWD, "/b", sys.AT_EMPTY_PATH|sys.AT_SYMLINK_FOLLOW) },
			`linkat(3, "", AT_FDCWD, "/b", AT_SYMLINK_FOLLOW|AT_EMPTY_PATH) = 0`},
		{func() { on.Futimens(3, gomock.Any(), gomock.Any()).Return(nil) },
			func() { _ = s.Futimens(3, sys.Timespec{Nsec: sys.UTIME_OMIT}, sys.Timespec{Sec: 1, Nsec: 2}) },
			`futimens(3, UTIME_OMIT, 1.000000002) = 0`},
		{func() {
			on.Fstatat(3, "f", gomock.Any(), gomock.Any()).DoAndReturn(func(_ int, _ string, st *sys.Stat, _ int) error { return fill("", st) })
		},
			func() { _ = s.Fstatat(3, "f", &st, sys.AT_SYMLINK_NOFOLLOW) },
			`newfstatat(3, "f", {st_dev=8, st_ino=77, st_mode=S_IFREG|0644, st_nlink=1, st_uid=33, st_gid=34, st_size=5}, AT_SYMLINK_NOFOLLOW) = 0`},
		{func() {
			on.Statx(3, "", gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(func(_ int, _ string, _ int, _ uint32, st *sys.Statx) error {
				*st = sys.Statx{Mask: sys.STATX_BASIC_STATS | sys.STATX_MNT_ID, Dev: 8, Ino: 77, Mode: sys.S_IFIFO | 0o600, Nlink: 1}
				return nil
			})
		},
			func() { _ = s.Statx(3, "", sys.AT_EMPTY_PATH, sys.STATX_BTIME|sys.STATX_SIZE, &sys.Statx{}) },
			`statx(3, "", AT_EMPTY_PATH, STATX_SIZE|STATX_BTIME, {stx_mask=STATX_BASIC_STATS|STATX_MNT_ID, ` +
				`st_dev=8, st_ino=77, st_mode=S_IFIFO|0600, st_nlink=1, st_uid=0, st_gid=0, st_size=0}) = 0`},
		{func() { on.Fallocate(3, gomock.Any(), int64(0), int64(4096)).Return(nil) },
			func() { _ = s.Fallocate(3, sys.FALLOC_FL_PUNCH_HOLE|sys.FALLOC_FL_KEEP_SIZE, 0, 4096) },
			`fallocate(3, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4096) = 0`},
		{func() {
			on.Statfs("/f", gomock.Any()).DoAndReturn(func(_ string, st *sys.Statfs) error {
				*st = sys.Statfs{Type: sys.TMPFS_MAGIC, Bsize: 4096, Bfree: 7, Namelen: 255, Flags: sys.ST_VALID | sys.ST_NODEV}
				return nil
			})
		},
			func() { _ = s.Statfs("/f", &sys.Statfs{}) },
			`statfs("/f", {f_type=TMPFS_MAGIC, f_bsize=4096, f_namelen=255, f_flags=ST_NODEV|ST_VALID}) = 0`},
		{func() { on.Setxattr("/f", "user.x", gomock.Any(), gomock.Any(), 0).Return(nil) },
			func() { _ = s.Setxattr("/f", "user.x", []byte("ab"), sys.XATTR_CREATE, 0) },
			`setxattr("/f", "user.x", "ab", 2, XATTR_CREATE, 0) = 0`},
		{func() {
			on.Fgetxattr(3, "user.x", gomock.Any()).DoAndReturn(func(_ int, _ string, p []byte) (int, error) { return copy(p, "ab"), nil })
		},
			func() { _, _ = s.Fgetxattr(3, "user.x", make([]byte, 64)) },
			`fgetxattr(3, "user.x", "ab", 64) = 2`},
		{func() { on.Listxattr("/f", gomock.Any()).Return([]string{"user.x", "user.y"}, nil) },
			func() { _, _ = s.Listxattr("/f", sys.AT_SYMLINK_NOFOLLOW) },
			`listxattr("/f", AT_SYMLINK_NOFOLLOW) = ["user.x" "user.y"]`},
		{func() { on.Faccessat("/d", gomock.Any(), gomock.Any()).Return(nil) },
			func() { _ = s.Faccessat("/d", sys.R_OK|sys.X_OK, sys.AT_EACCESS) },
			`faccessat2("/d", R_OK|X_OK, AT_EACCESS) = 0`},
		{func() { on.Spawn(gomock.Any()).Return(99, nil) },
			func() {
				_, _ = s.Spawn(&sys.SpawnAttr{Exe: 9, Argv: []string{"w", "-x"}, Env: []string{"A=b"}, Files: []int{0, 1, 2}, Pdeathsig: sys.SIGTERM})
			},
			`fork({exe=9, argv=["w" "-x"], envc=1, files=[0, 1, 2], pdeathsig=SIGTERM}) = 99`},
		{func() { on.Wait4(-1, sys.WNOHANG).Return(99, sys.WaitStatus(0x300), nil) },
			func() { _, _, _ = s.Wait4(-1, sys.WNOHANG) },
			`wait4(-1, WNOHANG) = 99, status={exited 3}`},
		{func() { on.Wait4(99, 0).Return(99, sys.WaitStatus(9), nil) },
			func() { _, _, _ = s.Wait4(99, 0) },
			`wait4(99, 0) = 99, status={killed by SIGKILL}`},
		{func() { on.Kill(99, sys.SIGTERM).Return(nil) },
			func() { _ = s.Kill(99, sys.SIGTERM) },
			`kill(99, SIGTERM) = 0`},
		{func() { on.Semget(0, 1, gomock.Any()).Return(7, nil) },
			func() { _, _ = s.Semget(sys.IPC_PRIVATE, 1, sys.IPC_CREAT|sys.IPC_EXCL|0o600) },
			`semget(IPC_PRIVATE, 1, IPC_CREAT|IPC_EXCL|0600) = 7`},
		{func() { on.Semtimedop(7, gomock.Any(), gomock.Any()).Return(nil) },
			func() { _ = s.Semtimedop(7, []sys.Sembuf{{Num: 0, Op: -1, Flg: sys.SEM_UNDO}}, -1) },
			`semtimedop(7, [{0, -1, SEM_UNDO}], -1) = 0`},
		{func() {
			on.Mmap(-1, int64(0), 4096, gomock.Any(), gomock.Any()).Return(sys.NewMem(make([]byte, 4096), nil), nil)
		},
			func() { _, _ = s.Mmap(-1, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED|sys.MAP_ANONYMOUS) },
			`mmap(-1, 0, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS) = mem(4096)`},
		{func() { on.Socket(sys.AF_INET, gomock.Any(), 0).Return(4, nil) },
			func() { _, _ = s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0) },
			`socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 4`},
		{func() { on.Accept4(4, gomock.Any()).Return(5, inet, nil) },
			func() { _, _, _ = s.Accept4(4, sys.SOCK_CLOEXEC) },
			`accept4(4, SOCK_CLOEXEC) = 5, peer={AF_INET 127.0.0.1:8080}`},
		{func() { on.Bind(4, gomock.Any()).Return(nil) },
			func() { _ = s.Bind(4, sys.UnixAddr("/run/s")) },
			`bind(4, {AF_UNIX "/run/s"}) = 0`},
		{func() { on.SetsockoptInt(4, 1, 2, 1).Return(nil) },
			func() { _ = s.SetsockoptInt(4, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1) },
			`setsockopt(4, SOL_SOCKET, SO_REUSEADDR, 1) = 0`},
		{func() { on.SetsockoptTimeval(4, 1, 20, time.Second).Return(nil) },
			func() { _ = s.SetsockoptTimeval(4, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Second) },
			`setsockopt(4, SOL_SOCKET, SO_RCVTIMEO, 1s) = 0`},
		{func() {
			on.Poll(gomock.Any(), gomock.Any()).DoAndReturn(func(f []sys.PollFd, _ time.Duration) (int, error) { f[0].Revents = sys.POLLIN; return 1, nil })
		},
			func() {
				_, _ = s.Poll([]sys.PollFd{{Fd: 3, Events: sys.POLLIN | sys.POLLRDHUP}, {Fd: 4, Events: sys.POLLOUT}}, -1)
			},
			`poll([{3 POLLIN|POLLRDHUP -> POLLIN}, {4 POLLOUT}], -1) = 1`},
		{func() { on.EpollCtl(3, sys.EPOLL_CTL_ADD, 4, gomock.Any()).Return(nil) },
			func() {
				_ = s.EpollCtl(3, sys.EPOLL_CTL_ADD, 4, sys.EpollEvent{Events: sys.EPOLLIN | sys.EPOLLET, Fd: 4})
			},
			`epoll_ctl(3, EPOLL_CTL_ADD, 4, {EPOLLIN|EPOLLET, 4}) = 0`},
		{func() { on.Setresuid(-1, 33, -1).Return(sys.EPERM) },
			func() { _ = s.Setresuid(-1, 33, -1) },
			`setresuid(-1, 33, -1) = -1 EPERM (` + sys.EPERM.Error() + `)`},
		{func() { on.Getresuid().Return(0, 33, 0) },
			func() { s.Getresuid() },
			`getresuid() = 0, euid=33, suid=0`},
		{func() {
			on.Prctl(sys.PR_SET_NO_NEW_PRIVS, uintptr(1), uintptr(0), uintptr(0), uintptr(0)).Return(0, nil)
		},
			func() { _, _ = s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
			`prctl(PR_SET_NO_NEW_PRIVS, 0x1, 0x0, 0x0, 0x0) = 0`},
		{func() { on.Getrandom(gomock.Any()).Return(8, nil) },
			func() { _, _ = s.Getrandom(make([]byte, 8)) },
			`getrandom(8) = 8`},
		{func() { on.FutexWaitPrivate(gomock.Any(), uint32(10), time.Duration(-1)).Return(nil) },
			func() { _ = s.FutexWaitPrivate(new(uint32), 10, -1) },
			`futex_wait_private(10, -1) = 0`},
		{func() { on.Umask(0o22).Return(0o77) },
			func() { s.Umask(0o22) },
			`umask(022) = 077`},
		{func() { on.Getrlimit(sys.RLIMIT_NOFILE).Return(sys.Rlimit{Cur: 1024, Max: sys.RLIM_INFINITY}, nil) },
			func() { _, _ = s.Getrlimit(sys.RLIMIT_NOFILE) },
			`getrlimit(RLIMIT_NOFILE) = {rlim_cur=1024, rlim_max=RLIM_INFINITY}`},
		{func() { on.Getcwd().Return("/srv", nil) },
			func() { _, _ = s.Getcwd() },
			`getcwd() = "/srv"`},
		{func() { on.Exit(3) }, func() { s.Exit(3) }, `exit_group(3) = ?`},
		{func() { on.Monotonic().Return(time.Second) }, func() { s.Monotonic() }, ``}, // not shown by default
	} {
		out.Reset()
		c.expect()
		c.call()
		want := ""
		if c.want != "" {
			want = "httpd[12/13] " + c.want + "\n"
		}
		if got := out.String(); got != want {
			t.Errorf("line is\n\t%swant\n\t%s", got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	s, on, out := traced(t, Options{Ops: []string{"fsync"}, Time: true})
	on.Fsync(3).Return(nil)
	on.Close(3).Return(nil)
	_ = s.Fsync(3)
	_ = s.Close(3)
	if got, want := out.String(), "1.500000 httpd[12/13] fsync(3) = 0\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// brokenWriter fails from the second write on.
type brokenWriter struct{ n int }

var errBroken = errors.New("broken")

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.n++; b.n > 1 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestErrKeepsTheFirstError(t *testing.T) {
	m := mocksys.NewMockSys(gomock.NewController(t))
	m.EXPECT().Fsync(3).Return(nil).Times(3)
	var b brokenWriter
	w := New(&b, Options{})
	s := intercept.Wrap(observed{m}, "p", w)
	for range 3 {
		_ = s.Fsync(3)
	}
	if w.Err() != errBroken || b.n != 2 {
		t.Errorf("Err = %v after %d writes", w.Err(), b.n)
	}
}

func TestRecorderCopies(t *testing.T) {
	m := mocksys.NewMockSys(gomock.NewController(t))
	m.EXPECT().Read(3, gomock.Any()).DoAndReturn(func(_ int, p []byte) (int, error) { return copy(p, "one"), nil })
	m.EXPECT().Fstat(3, gomock.Any()).DoAndReturn(func(_ int, st *sys.Stat) error { st.Ino = 5; return nil })
	m.EXPECT().Exit(0)
	var r Recorder
	s := intercept.Wrap(observed{m}, "p", &r)
	p := make([]byte, 8)
	var st sys.Stat
	_, _ = s.Read(3, p)
	_ = s.Fstat(3, &st)
	s.Exit(0)
	copy(p, "two")
	st.Ino = 6
	calls := r.Calls()
	if len(calls) != 3 {
		t.Fatalf("%d calls", len(calls))
	}
	if got := string(calls[0].Args[1].Value.([]byte)[:3]); got != "one" {
		t.Errorf("the buffer became %q", got)
	}
	if got := calls[1].Args[1].Value.(*sys.Stat).Ino; got != 5 {
		t.Errorf("the struct became %d", got)
	}
	if got := r.Lines()[0]; got != `p[12/13] read(3, "one", 8) = 3` {
		t.Errorf("line %s", got)
	}
}

func TestThreadsAtOnce(t *testing.T) {
	m := mocksys.NewMockSys(gomock.NewController(t))
	m.EXPECT().Fsync(3).Return(nil).AnyTimes()
	var out bytes.Buffer
	w := New(&out, Options{})
	var r Recorder
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := intercept.Wrap(observed{m}, "p", w, &r)
			for range 25 {
				_ = s.Fsync(3)
			}
		})
	}
	wg.Wait()
	if got, want := out.String(), strings.Repeat("p[12/13] fsync(3) = 0\n", 100); got != want {
		t.Error("lines are mixed")
	}
	if n := len(r.Calls()); n != 100 {
		t.Errorf("%d calls recorded", n)
	}
}

func TestNormalise(t *testing.T) {
	in := `httpd[4711/4711] getpid() = 4711
httpd[4711/4711] getppid() = 12
httpd[4711/4711] write(3, "4711\n", 5) = 5
httpd[4711/4711] write(3, "4712\n", 5) = 5
httpd[4711/4711] stat("/a st_ino=3 b", {st_dev=66, st_ino=1000, st_mode=S_IFREG|0644}) = 0
httpd[4711/4711] stat("/b", {st_dev=66, st_ino=999, st_mode=S_IFREG|0644}) = 0
httpd[4711/4711] fork({exe=9, argv=["a) = b"]}) = 4712
0.123456 httpd[4711/4800] kill(-4712, SIGTERM) = 0
httpd[4711/4800] kill(0, SIGTERM) = -1 EPERM (operation not permitted)
httpd[4711/4711] setpgid(4712, 4712) = 0
httpd[4711/4711] wait4(-1, 0) = 4712, status={exited 3}
httpd[4711/4711] semget(IPC_PRIVATE, 1, 0600) = 32769
httpd[4711/4711] semtimedop(32769, [{0, -1, 0}], -1) = 0
httpd[4711/4711] shmget(IPC_PRIVATE, 1, 0600) = 0
httpd[4711/4711] shmat(0, 0) = mem(4096)
httpd[4711/4711] bind(4, {AF_INET 127.0.0.1:0}) = 0
httpd[4711/4711] bind(4, {AF_INET6 [::1]:8080}) = 0
httpd[4711/4711] accept4(4, 0) = 5, peer={AF_INET 127.0.0.1:40000}
httpd[4711/4711] readlink("/l") = "a) = 4711"
httpd[4711/4711] clock_gettime() = 1.5s
httpd[4711/4711] fcntl_flock(3, F_GETLK, {l_type=F_WRLCK, l_pid=4712}) = 0
something else 4711`
	want := `httpd[P1/T1] getpid() = P1
httpd[P1/T1] getppid() = P2
httpd[P1/T1] write(3, "P1\n", 5) = 5
httpd[P1/T1] write(3, "4712\n", 5) = 5
httpd[P1/T1] stat("/a st_ino=3 b", {st_dev=dev1, st_ino=ino1, st_mode=S_IFREG|0644}) = 0
httpd[P1/T1] stat("/b", {st_dev=dev1, st_ino=ino2, st_mode=S_IFREG|0644}) = 0
httpd[P1/T1] fork({exe=9, argv=["a) = b"]}) = P3
httpd[P1/T2] kill(-P3, SIGTERM) = 0
httpd[P1/T2] kill(0, SIGTERM) = -1 EPERM (operation not permitted)
httpd[P1/T1] setpgid(P3, P3) = 0
httpd[P1/T1] wait4(-1, 0) = P3, status={exited 3}
httpd[P1/T1] semget(IPC_PRIVATE, 1, 0600) = sem1
httpd[P1/T1] semtimedop(sem1, [{0, -1, 0}], -1) = 0
httpd[P1/T1] shmget(IPC_PRIVATE, 1, 0600) = shm1
httpd[P1/T1] shmat(shm1, 0) = mem(4096)
httpd[P1/T1] bind(4, {AF_INET 127.0.0.1:0}) = 0
httpd[P1/T1] bind(4, {AF_INET6 [::1]:port1}) = 0
httpd[P1/T1] accept4(4, 0) = 5, peer={AF_INET 127.0.0.1:port2}
httpd[P1/T1] readlink("/l") = "a) = 4711"
httpd[P1/T1] clock_gettime() = TIME
httpd[P1/T1] fcntl_flock(3, F_GETLK, {l_type=F_WRLCK, l_pid=P3}) = 0
something else 4711`
	got := Normalise(strings.Split(in, "\n"))
	if d := cmp.Diff(strings.Split(want, "\n"), got); d != "" {
		t.Error(d)
	}
}

func TestByProcess(t *testing.T) {
	got := ByProcess([]string{
		`a[1/1] fsync(1) = 0`,
		`b[2/2] fsync(1) = 0`,
		`b[3/3] fsync(1) = 0`,
		`not a line`,
		`a[1/9] fsync(2) = 0`,
		`b[2/2] fsync(3) = 0`,
	})
	want := map[string][]string{
		"a":   {`a[1/1] fsync(1) = 0`, `a[1/9] fsync(2) = 0`},
		"b":   {`b[2/2] fsync(1) = 0`, `b[2/2] fsync(3) = 0`},
		"b#2": {`b[3/3] fsync(1) = 0`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every decoder belongs to an operation that exists.
func TestDecodersAreOfOperations(t *testing.T) {
	for key := range decoders {
		op, _, _ := strings.Cut(key, ".")
		if !slices.ContainsFunc(intercept.Ops(), func(o intercept.Op) bool { return o.Name == op }) {
			t.Errorf("%s: no such operation", key)
		}
	}
}
