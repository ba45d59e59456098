package fake_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// Every call on files reaches its place with its arguments in the right order.
// The rules themselves are tested in vfs.
func TestFileCalls(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		var st sys.Stat
		stat := func(path string) sys.Stat {
			t.Helper()
			ok(t, "lstat "+path, s.Lstat(path, &st))
			return st
		}
		ok(t, "mkdir", s.Mkdir("/d", 0o750))
		ok(t, "chdir", s.Chdir("/d"))
		fd, err := s.Open("f", sys.O_RDWR|sys.O_CREAT, 0o640)
		ok(t, "open", err)
		if n, err := s.Pwrite(fd, []byte("hello"), 3); n != 5 || err != nil {
			t.Errorf("pwrite: %d, %v", n, err)
		}
		if off, err := s.Lseek(fd, -2, sys.SEEK_END); off != 6 || err != nil {
			t.Errorf("lseek: %d, %v", off, err)
		}
		buf := make([]byte, 9)
		if n, err := s.Read(fd, buf); string(buf[:n]) != "lo" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		ok(t, "ftruncate", s.Ftruncate(fd, 4))
		ok(t, "fsync", s.Fsync(fd))
		ok(t, "fallocate", s.Fallocate(fd, sys.FALLOC_FL_KEEP_SIZE, 0, 8192))
		if s.Fstat(fd, &st); st.Blocks != 16 || st.Size != 4 {
			t.Errorf("fallocate: %+v", st)
		}
		var fs sys.Statfs
		ok(t, "statfs", s.Statfs("/proc", &fs))
		if fs.Type != sys.PROC_SUPER_MAGIC || fs.Flags&sys.ST_NODEV == 0 {
			t.Errorf("statfs: %+v", fs)
		}
		ok(t, "fstatfs", s.Fstatfs(fd, &fs))
		if fs.Type != sys.TMPFS_MAGIC || fs.Flags&sys.ST_NODEV != 0 {
			t.Errorf("fstatfs: %+v", fs)
		}
		ok(t, "fchmod", s.Fchmod(fd, 0o604))
		ok(t, "fchown", s.Fchown(fd, 11, 12))
		ok(t, "fstat", s.Fstat(fd, &st))
		if st.Size != 4 || st.Mode != sys.S_IFREG|0o604 || st.Uid != 11 || st.Gid != 12 {
			t.Errorf("fstat: %+v", st)
		}
		ok(t, "link", s.Link("f", "g"))
		ok(t, "rename", s.Rename("g", "h"))
		want(t, "renameat2 onto a name", s.Renameat2("f", "h", sys.RENAME_NOREPLACE), sys.EEXIST)
		ok(t, "renameat2", s.Renameat2("f", "h", sys.RENAME_EXCHANGE))
		ok(t, "symlink", s.Symlink("h", "l"))
		if target, err := s.Readlink("l"); target != "h" || err != nil {
			t.Errorf("readlink: %q, %v", target, err)
		}
		ok(t, "chmod", s.Chmod("l", 0o600))
		ok(t, "chown", s.Chown("l", 13, -1))
		ok(t, "lchown", s.Lchown("l", 14, 15))
		if st := stat("h"); st.Mode&0o777 != 0o600 || st.Uid != 13 || st.Gid != 12 || st.Nlink != 2 {
			t.Errorf("h: %+v", st)
		}
		if st := stat("l"); st.Uid != 14 || st.Gid != 15 {
			t.Errorf("l: %+v", st)
		}
		ok(t, "utimensat", s.Utimensat("h", sys.Timespec{Sec: 1}, sys.Timespec{Sec: 2}, 0))
		if st := stat("h"); st.Atim.Sec != 1 || st.Mtim.Sec != 2 {
			t.Errorf("times %v %v", st.Atim, st.Mtim)
		}
		ok(t, "mknod", s.Mknod("fifo", sys.S_IFIFO|0o600, 0))
		if st := stat("fifo"); st.Mode&sys.S_IFMT != sys.S_IFIFO {
			t.Errorf("fifo: %+v", st)
		}
		ok(t, "setxattr", s.Setxattr("l", "trusted.l", []byte("abc"), 0, sys.AT_SYMLINK_NOFOLLOW))
		ok(t, "fsetxattr", s.Fsetxattr(fd, "user.f", []byte("de"), sys.XATTR_CREATE))
		if n, err := s.Getxattr("l", "trusted.l", buf, sys.AT_SYMLINK_NOFOLLOW); string(buf[:n]) != "abc" || err != nil {
			t.Errorf("getxattr: %q, %v", buf[:n], err)
		}
		if n, err := s.Fgetxattr(fd, "user.f", buf); string(buf[:n]) != "de" || err != nil {
			t.Errorf("fgetxattr: %q, %v", buf[:n], err)
		}
		if names, err := s.Listxattr("l", sys.AT_SYMLINK_NOFOLLOW); !slices.Equal(names, []string{"trusted.l"}) || err != nil {
			t.Errorf("listxattr: %q, %v", names, err)
		}
		if names, err := s.Flistxattr(fd); !slices.Equal(names, []string{"user.f"}) || err != nil {
			t.Errorf("flistxattr: %q, %v", names, err)
		}
		ok(t, "removexattr", s.Removexattr("l", "trusted.l", sys.AT_SYMLINK_NOFOLLOW))
		ok(t, "fremovexattr", s.Fremovexattr(fd, "user.f"))
		want(t, "fremovexattr again", s.Fremovexattr(fd, "user.f"), sys.ENODATA)
		want(t, "capabilities of a file", s.Fsetxattr(fd, "security.capability", []byte("x"), 0), sys.ENOSYS)
		ok(t, "unlink", s.Unlink("f"))
		want(t, "rmdir", s.Rmdir("/d"), sys.ENOTEMPTY)
		dir, err := s.Open(".", sys.O_RDONLY|sys.O_DIRECTORY, 0)
		ok(t, "open", err)
		ents, err := s.Getdents(dir)
		var names []string
		for _, e := range ents {
			names = append(names, e.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{".", "..", "fifo", "h", "l"}) || err != nil {
			t.Errorf("getdents: %v, %v", names, err)
		}
		ok(t, "chdir", s.Chdir("/"))
		ok(t, "fstatat", s.Fstatat(dir, "l", &st, sys.AT_SYMLINK_NOFOLLOW))
		if st.Mode&sys.S_IFMT != sys.S_IFLNK {
			t.Errorf("fstatat: %+v", st)
		}
		var x sys.Statx
		ok(t, "statx", s.Statx(dir, "h", 0, sys.STATX_BTIME, &x))
		if x.Mode&sys.S_IFMT != sys.S_IFREG || x.Btime.Sec == 0 || x.Mtime.Sec != 0 {
			t.Errorf("statx: %+v", x)
		}
		ok(t, "statx of a descriptor", s.Statx(dir, "", sys.AT_EMPTY_PATH, 0, &x))
		if x.Mode&sys.S_IFMT != sys.S_IFDIR {
			t.Errorf("statx: %+v", x)
		}
		ok(t, "fchdir", s.Fchdir(dir))
		want(t, "fchdir of a file", s.Fchdir(fd), sys.ENOTDIR)
		if cwd, err := s.Getcwd(); cwd != "/d" || err != nil {
			t.Errorf("getcwd: %q, %v", cwd, err)
		}
		s.Chdir("/")
		fd, err = s.Openat2(dir, "h", sys.OpenHow{Flags: sys.O_RDONLY, Resolve: sys.RESOLVE_BENEATH})
		ok(t, "openat2", err)
		_, err = s.Openat2(dir, "../d/h", sys.OpenHow{Resolve: sys.RESOLVE_BENEATH})
		want(t, "openat2 out of the directory", err, sys.EXDEV)
		_, err = s.Openat2(fd, "x", sys.OpenHow{})
		want(t, "openat2 from a file", err, sys.ENOTDIR)
		sock, _ := s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		_, err = s.Openat2(sock, "x", sys.OpenHow{})
		want(t, "openat2 from a socket", err, sys.ENOTDIR)
		_, err = s.Openat2(99, "x", sys.OpenHow{})
		want(t, "openat2 from nothing", err, sys.EBADF)
		_, err = s.Openat2(99, "/d/h", sys.OpenHow{})
		ok(t, "openat2 of an absolute path", err)
		return 0
	})
}

// A file without a name gets one from who has opened it, or through /proc.
func TestNameForTmpfile(t *testing.T) {
	m := boot(t, fake.Config{})
	m.MkdirAll("/d", 0o777, 0, 0)
	exits(t, m, func(s sys.Sys) int {
		open := func() int {
			fd, err := s.Open("/d", sys.O_TMPFILE|sys.O_WRONLY, 0o600)
			ok(t, "open", err)
			return fd
		}
		roots := open()
		ok(t, "setresuid", s.Setresuid(7, 7, 7))
		want(t, "linkat of root's", s.Linkat(roots, "", sys.AT_FDCWD, "/d/a", sys.AT_EMPTY_PATH), sys.ENOENT)
		fd := open()
		ok(t, "linkat", s.Linkat(fd, "", sys.AT_FDCWD, "/d/a", sys.AT_EMPTY_PATH))
		fd = open()
		proc := "/proc/self/fd/" + strconv.Itoa(fd)
		want(t, "linkat of a magic link itself", s.Linkat(sys.AT_FDCWD, proc, sys.AT_FDCWD, "/d/b", 0), sys.EXDEV)
		ok(t, "linkat by /proc", s.Linkat(sys.AT_FDCWD, proc, sys.AT_FDCWD, "/d/b", sys.AT_SYMLINK_FOLLOW))
		var st sys.Stat
		ok(t, "fstat", s.Fstat(fd, &st))
		if st.Nlink != 1 {
			t.Errorf("%d names", st.Nlink)
		}
		ok(t, "futimens", s.Futimens(fd, sys.Timespec{Sec: 1}, sys.Timespec{Sec: 2}))
		ok(t, "stat", s.Stat("/d/b", &st))
		if st.Atim.Sec != 1 || st.Mtim.Sec != 2 {
			t.Errorf("times %v %v", st.Atim, st.Mtim)
		}
		return 0
	})
}

// access(2) looks with the real ids, and with AT_EACCESS with the effective ones.
func TestAccessUsesRealIDs(t *testing.T) {
	m := boot(t, fake.Config{})
	m.WriteFile("/private", nil, 0o600, 0, 0)
	exits(t, m, func(s sys.Sys) int {
		ok(t, "setresuid", s.Setresuid(7, 0, 0))
		want(t, "access", s.Faccessat("/private", sys.R_OK, 0), sys.EACCES)
		ok(t, "eaccess", s.Faccessat("/private", sys.R_OK, sys.AT_EACCESS))
		ok(t, "setresuid", s.Setresuid(0, 7, 0))
		ok(t, "access", s.Faccessat("/private", sys.R_OK, 0))
		want(t, "eaccess", s.Faccessat("/private", sys.R_OK, sys.AT_EACCESS), sys.EACCES)
		want(t, "mode 8", s.Faccessat("/private", 8, 0), sys.EINVAL)
		return 0
	})
}

func TestSystemV(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		sem, err := s.Semget(5, 3, sys.IPC_CREAT|sys.IPC_EXCL|0o600)
		ok(t, "semget", err)
		ok(t, "SETVAL", s.SemSetval(sem, 1, 2))
		ok(t, "semop", s.Semtimedop(sem, []sys.Sembuf{{Num: 1, Op: -1}}, 0))
		if v, err := s.SemGetval(sem, 1); v != 1 || err != nil {
			t.Errorf("GETVAL: %d, %v", v, err)
		}
		start := s.Monotonic()
		want(t, "semop", s.Semtimedop(sem, []sys.Sembuf{{Num: 1, Op: -9}}, time.Second), sys.EAGAIN)
		if d := s.Monotonic() - start; d < time.Second || d > time.Second+time.Millisecond {
			t.Errorf("waited %v", d)
		}
		ok(t, "IPC_SET", s.SemSet(sem, sys.IpcPerm{Uid: 7, Gid: 8, Mode: 0o660}))
		if ds, err := s.SemStat(sem); ds.Perm.Uid != 7 || ds.Perm.Mode != 0o660 || ds.Nsems != 3 || err != nil {
			t.Errorf("IPC_STAT: %+v, %v", ds, err)
		}
		shm, err := s.Shmget(6, 100, sys.IPC_CREAT|0o600)
		ok(t, "shmget", err)
		a, err := s.Shmat(shm, 0)
		ok(t, "shmat", err)
		b, err := s.Shmat(shm, 0)
		ok(t, "shmat", err)
		a.Store64(8, 77)
		if v := b.Load64(8); v != 77 {
			t.Errorf("the other attachment reads %d", v)
		}
		ok(t, "IPC_SET", s.ShmSet(shm, sys.IpcPerm{Uid: 7, Gid: 8, Mode: 0o640}))
		if ds, err := s.ShmStat(shm); ds.Perm.Gid != 8 || ds.Nattch != 2 || ds.Segsz != 100 || ds.Cpid != s.Getpid() || err != nil {
			t.Errorf("IPC_STAT: %+v, %v", ds, err)
		}
		ok(t, "shmdt", s.Shmdt(a))
		ok(t, "shmdt", s.Shmdt(b))
		want(t, "shmdt", s.Shmdt(b), sys.EINVAL)
		return 0
	})
	if len(m.SemIDs()) != 1 || len(m.ShmIDs()) != 1 {
		t.Errorf("sets %v, segments %v", m.SemIDs(), m.ShmIDs())
	}
}

func TestMachineOwner(t *testing.T) {
	m := boot(t, fake.Config{Image: func(m *fake.Machine) {
		m.WriteFile("/etc/conf", []byte("x = 1\n"), 0o4640, 3, 4)
	}})
	m.Symlink("conf", "/etc/link")
	m.MkdirAll("/a/b/c", 0o1777, 5, 6)
	if b, err := m.ReadFile("/etc/link"); string(b) != "x = 1\n" || err != nil {
		t.Errorf("ReadFile: %q, %v", b, err)
	}
	var st sys.Stat
	ok(t, "Lstat", m.Lstat("/etc/conf", &st))
	if st.Mode != sys.S_IFREG|0o4640 || st.Uid != 3 || st.Gid != 4 {
		t.Errorf("conf: %+v", st)
	}
	ok(t, "Lstat", m.Lstat("/a/b/c", &st))
	if st.Mode != sys.S_IFDIR|0o1777 || st.Uid != 5 {
		t.Errorf("c: %+v", st)
	}
	ok(t, "Remove", m.Remove("/a/b/c"))
	want(t, "Lstat", m.Lstat("/a/b/c", &st), sys.ENOENT)
	if m.Tree() == nil || !m.Now().Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("now %v", m.Now())
	}
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, "/nowhere/link") {
			t.Errorf("panic %q", v)
		}
	}()
	m.Symlink("x", "/nowhere/link")
}

func TestStart(t *testing.T) {
	m := boot(t, fake.Config{})
	m.MkdirAll("/jail/work", 0o755, 0, 0)
	var out bytes.Buffer
	m.Install("/jail/cat", 0o755, func(s sys.Sys, argv, env []string) int {
		cwd, _ := s.Getcwd()
		in, err := sys.ReadAll(s, 0, 100)
		ok(t, "read", err)
		gids, _ := s.Getgroups()
		fds := []sys.PollFd{{Fd: 1, Events: sys.POLLOUT}}
		s.Poll(fds, 0)
		var st sys.Stat
		s.Fstat(1, &st)
		sys.WriteAll(s, 1, []byte(cwd+" "+string(in)+" "+strconv.Itoa(len(gids)+int(fds[0].Revents)+s.Umask(0))))
		if st.Mode&sys.S_IFMT != sys.S_IFCHR {
			t.Errorf("mode of 1: %o", st.Mode)
		}
		return 0
	})
	pid, err := m.Start(fake.ProcSpec{
		Path: "/cat", Root: "/jail", Cwd: "/jail/work", Uid: 5, Gid: 5, Groups: []int{6, 7}, Umask: 0o77,
		Stdin: strings.NewReader("stdin"), Stdout: &out,
	})
	ok(t, "Start", err)
	if p := m.Processes()[0]; p.Root != "/jail" || p.Cwd != "/jail/work" || p.Uid != [3]int{5, 5, 5} || p.Caps.Permitted != 0 || !slices.Equal(p.Argv, []string{"/cat"}) {
		t.Errorf("%+v", p)
	}
	if status, err := m.Wait(pid); status != 0 || err != nil {
		t.Errorf("Wait: %x, %v", status, err)
	}
	if got, want := out.String(), "/work stdin "+strconv.Itoa(2+sys.POLLOUT+0o77); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	for _, spec := range []fake.ProcSpec{{Path: "/jail/cat", Root: "/nothing"}, {Path: "/jail/cat", Cwd: "/nothing"}, {}} {
		_, err := m.Start(spec)
		want(t, "Start", err, sys.ENOENT)
	}
	_, err = m.Start(fake.ProcSpec{Path: "/jail"})
	want(t, "Start of a directory", err, sys.EACCES)
	_, err = m.Wait(99)
	want(t, "Wait for nobody", err, sys.ECHILD)
	want(t, "Kill(0)", m.Kill(0, sys.SIGTERM), sys.EINVAL)
	m.Close()
	_, err = m.Start(fake.ProcSpec{Path: "/jail/cat"})
	want(t, "Start after Close", err, sys.ESRCH)
}

func TestStandardStreamsHaveNames(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		var out, log, all bytes.Buffer
		prog := func(s sys.Sys, argv, env []string) int {
			for _, path := range []string{"/dev/stdout", "/dev/stderr"} {
				fd, err := s.Open(path, sys.O_WRONLY|sys.O_APPEND, 0)
				ok(t, "open "+path, err)
				ok(t, "write", sys.WriteAll(s, fd, []byte(path[5:])))
				s.Close(fd)
			}
			fd, err := s.Open("/dev/stdin", sys.O_RDONLY, 0)
			ok(t, "open", err)
			if n, err := s.Read(fd, make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			return 0
		}
		for _, spec := range []fake.ProcSpec{{Stdout: &out, Stderr: &log}, {Stdout: &all, Stderr: &all}} {
			spec.Program, spec.Argv = prog, []string{"test"}
			pid, err := m.Start(spec)
			ok(t, "Start", err)
			if status, err := m.Wait(pid); status != 0 || err != nil {
				t.Errorf("Wait: %x, %v", status, err)
			}
		}
		if out.String() != "stdout" || log.String() != "stderr" || all.String() != "stdoutstderr" {
			t.Errorf("written: %q %q %q", out.String(), log.String(), all.String())
		}
		if ents, err := m.Tree().Image().ReadDir("/dev/pts"); len(ents) != 0 || err != nil {
			t.Errorf("left in /dev/pts: %v, %v", ents, err)
		}
	})
}

func TestProcessIDsWrapAround(t *testing.T) {
	m := boot(t, fake.Config{})
	m.Install("/bin/true", 0o755, func(s sys.Sys, argv, env []string) int { return 0 })
	exits(t, m, func(s sys.Sys) int {
		wrapped := false
		for last := 0; !wrapped; {
			tid := 0
			s.Go("counter", func(s sys.Sys) { tid = s.Gettid() })
			for tid == 0 {
				s.Nanosleep(time.Microsecond)
			}
			if tid < last {
				wrapped = true
				if tid != 300 { // RESERVED_PIDS
					t.Errorf("%d after %d", tid, last)
				}
			}
			last = tid
		}
		pid := spawn(t, s, "/bin/true", "true")
		if wpid, _, err := s.Wait4(pid, 0); wpid != 301 || err != nil {
			t.Errorf("wait4: %d, %v", wpid, err)
		}
		return 0
	})
}

func TestProcfsListing(t *testing.T) {
	m := boot(t, fake.Config{})
	sleeper(m)
	exits(t, m, func(s sys.Sys) int {
		pid := spawn(t, s, "/bin/sleep", "sleep")
		self := strconv.Itoa(s.Getpid())
		list := func(path string) (names []string) {
			t.Helper()
			fd, err := s.Open(path, sys.O_RDONLY|sys.O_DIRECTORY, 0)
			ok(t, "open "+path, err)
			defer s.Close(fd)
			ents, err := s.Getdents(fd)
			ok(t, "getdents "+path, err)
			for _, e := range ents {
				names = append(names, e.Name)
			}
			return names
		}
		names := list("/proc")
		for _, name := range []string{"self", "1", self, strconv.Itoa(pid), "mounts", "sys"} {
			if !slices.Contains(names, name) {
				t.Errorf("no %s in /proc: %v", name, names)
			}
		}
		s.Go("second", func(s sys.Sys) { s.Nanosleep(time.Hour) })
		if names := list("/proc/self/task"); len(names) != 4 || names[2] != self {
			t.Errorf("tasks %v", names)
		}
		if names := list("/proc/sys/kernel"); !slices.Contains(names, "pid_max") {
			t.Errorf("sys/kernel %v", names)
		}
		read := func(path string) []string {
			t.Helper()
			b, err := sys.ReadFile(s, path, 1<<16)
			ok(t, "read "+path, err)
			return strings.Fields(string(b))
		}
		if f := read("/proc/sys/kernel/pid_max"); !slices.Equal(f, []string{"32768"}) {
			t.Errorf("pid_max %v", f)
		}
		s.Kill(pid, sys.SIGKILL)
		for s.Nanosleep(time.Second) != nil { // SIGCHLD
		}
		stat := read("/proc/" + strconv.Itoa(pid) + "/stat")
		if len(stat) != 52 || stat[1] != "(sleep)" || stat[2] != "Z" || stat[3] != self {
			t.Errorf("stat of a zombie: %d fields %v", len(stat), stat)
		}
		if f := read("/proc/loadavg"); len(f) != 5 {
			t.Errorf("loadavg %v", f)
		}
		if f := read("/proc/uptime"); len(f) != 2 {
			t.Errorf("uptime %v", f)
		}
		fd, _ := s.Signalfd([]sys.Signal{sys.SIGUSR1}, 0)
		if link, err := s.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); link != "anon_inode:[signalfd]" || err != nil {
			t.Errorf("readlink: %q, %v", link, err)
		}
		return 0
	})
}
