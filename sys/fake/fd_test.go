package fake_test

import (
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

func TestDescriptorTable(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		open := func() int {
			fd, err := s.Open("/dev/zero", sys.O_RDWR, 0)
			ok(t, "open", err)
			return fd
		}
		fds := []int{open(), open(), open()}
		if fds[0] != 3 || fds[1] != 4 || fds[2] != 5 {
			t.Errorf("descriptors %v", fds)
		}
		ok(t, "close", s.Close(4))
		want(t, "close again", s.Close(4), sys.EBADF)
		if fd := open(); fd != 4 {
			t.Errorf("lowest free is %d", fd)
		}
		ok(t, "dup3", s.Dup3(3, 10, sys.O_CLOEXEC))
		want(t, "dup3 to itself", s.Dup3(3, 3, 0), sys.EINVAL)
		want(t, "dup3 of nothing", s.Dup3(99, 4, 0), sys.EBADF)
		want(t, "dup3 to -1", s.Dup3(3, -1, 0), sys.EBADF)
		want(t, "dup3 with flag 1", s.Dup3(3, 4, 1), sys.EINVAL)
		if f, err := s.Fcntl(10, sys.F_GETFD, 0); f != sys.FD_CLOEXEC || err != nil {
			t.Errorf("F_GETFD: %d, %v", f, err)
		}
		s.Fcntl(10, sys.F_SETFD, 0)
		if f, _ := s.Fcntl(10, sys.F_GETFD, 0); f != 0 {
			t.Errorf("F_GETFD: %d", f)
		}
		if fd, err := s.Fcntl(3, sys.F_DUPFD_CLOEXEC, 10); fd != 11 || err != nil {
			t.Errorf("F_DUPFD_CLOEXEC from 10: %d, %v", fd, err)
		}
		if fd, err := s.Fcntl(3, sys.F_DUPFD, 6); fd != 6 || err != nil {
			t.Errorf("F_DUPFD from 6: %d, %v", fd, err)
		}
		_, err := s.Fcntl(3, sys.F_DUPFD, -1)
		want(t, "F_DUPFD from -1", err, sys.EINVAL)
		_, err = s.Fcntl(3, 9999, 0)
		want(t, "fcntl 9999", err, sys.EINVAL)
		_, err = s.Fcntl(99, 9999, 0)
		want(t, "fcntl of nothing", err, sys.EBADF)

		want(t, "close_range backwards", s.CloseRange(5, 4, 0), sys.EINVAL)
		want(t, "close_range flag 1", s.CloseRange(4, 5, 1), sys.EINVAL)
		ok(t, "close_range CLOEXEC", s.CloseRange(4, 5, sys.CLOSE_RANGE_CLOEXEC))
		if f, _ := s.Fcntl(5, sys.F_GETFD, 0); f != sys.FD_CLOEXEC {
			t.Errorf("F_GETFD after close_range: %d", f)
		}
		ok(t, "close_range", s.CloseRange(4, ^uint(0), 0))
		if got := m.Processes()[0].Fds; len(got) != 4 || got[3].Path != "/dev/zero" {
			t.Errorf("left: %v", got)
		}
		if fd := open(); fd != 4 {
			t.Errorf("lowest free is %d", fd)
		}
		_, err = s.Read(99, nil)
		want(t, "read of nothing", err, sys.EBADF)
		_, err = s.Read(-1, nil)
		want(t, "read of -1", err, sys.EBADF)
		return 0
	})
}

// The table of a child is what Files says, and only the description is shared.
func TestInheritedDescriptors(t *testing.T) {
	m := boot(t, fake.Config{})
	var left []fake.FdInfo
	m.Install("/bin/child", 0o755, func(s sys.Sys, argv, env []string) int {
		for _, p := range m.Processes() {
			if p.Pid == s.Getpid() {
				left = p.Fds
			}
		}
		s.Read(1, make([]byte, 3))
		s.Close(1)
		return 0
	})
	m.WriteFile("/data", []byte("abcdef"), 0o644, 0, 0)
	exits(t, m, func(s sys.Sys) int {
		exe, _ := s.Open("/bin/child", sys.O_PATH|sys.O_CLOEXEC, 0)
		fd, _ := s.Open("/data", sys.O_RDONLY|sys.O_CLOEXEC, 0)
		pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"c"}, Files: []int{2, fd, fd}})
		ok(t, "spawn", err)
		s.Wait4(pid, 0)
		buf := make([]byte, 10)
		n, err := s.Read(fd, buf) // the offset is shared
		if string(buf[:n]) != "def" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		return 0
	})
	if len(left) != 3 || left[1].Path != "/data" || left[2].Path != "/data" || left[1].Cloexec {
		t.Errorf("the child had %v", left)
	}
}

func TestDevicesAndEntropy(t *testing.T) {
	var first string
	for range 2 {
		m := boot(t, fake.Config{Seed: 5})
		exits(t, m, func(s sys.Sys) int {
			null, err := s.Open("/dev/null", sys.O_RDWR, 0)
			ok(t, "open", err)
			if n, err := s.Write(null, make([]byte, 10)); n != 10 || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
			if n, err := s.Read(null, make([]byte, 10)); n != 0 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			zero, _ := s.Open("/dev/zero", sys.O_RDONLY, 0)
			buf := []byte("xxxx")
			if n, err := s.Read(zero, buf); n != 4 || string(buf) != "\x00\x00\x00\x00" || err != nil {
				t.Errorf("read: %d %q %v", n, buf, err)
			}
			buf = make([]byte, 32)
			if n, err := s.Getrandom(buf[:16]); n != 16 || err != nil {
				t.Errorf("getrandom: %d, %v", n, err)
			}
			urandom, err := s.Open("/dev/urandom", sys.O_RDONLY, 0)
			ok(t, "open", err)
			s.Read(urandom, buf[16:])
			if first == "" {
				first = string(buf)
			} else if first != string(buf) {
				t.Error("the same seed gave other bytes")
			}
			if string(buf[:16]) == string(buf[16:]) {
				t.Error("entropy repeats")
			}
			return 0
		})
	}
}

func TestClock(t *testing.T) {
	start := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	m := boot(t, fake.Config{Start: start})
	exits(t, m, func(s sys.Sys) int {
		a := s.Monotonic()
		b := s.Monotonic()
		if b-a != time.Microsecond {
			t.Errorf("a call takes %v", b-a)
		}
		ok(t, "nanosleep", s.Nanosleep(24*time.Hour))
		if now := s.Now(); now.Sub(start) < 24*time.Hour || now.Sub(start) > 24*time.Hour+time.Millisecond {
			t.Errorf("now %v", now)
		}
		ok(t, "nanosleep(-1)", s.Nanosleep(-1))
		return 0
	})
}

func TestUmask(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		if old := s.Umask(0o7077); old != 0o022 {
			t.Errorf("umask was %o", old)
		}
		if old := s.Umask(0o027); old != 0o077 {
			t.Errorf("umask was %o", old)
		}
		ok(t, "mkdir", s.Mkdir("/d", 0o777))
		var st sys.Stat
		s.Stat("/d", &st)
		if st.Mode&0o777 != 0o750 {
			t.Errorf("mode %o", st.Mode)
		}
		return 0
	})
}

func TestPrivateFutexBetweenThreads(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		exits(t, m, func(s sys.Sys) int {
			mem, _ := s.Mmap(-1, 0, 8, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED|sys.MAP_ANONYMOUS)
			want(t, "futex", s.FutexWait(mem, 0, 1, -1), sys.EAGAIN)
			want(t, "futex", s.FutexWait(mem, 0, 0, time.Millisecond), sys.ETIMEDOUT)
			want(t, "futex", s.FutexWait(mem, 2, 0, 0), sys.EINVAL)
			want(t, "futex", s.FutexWait(mem, 8, 0, 0), sys.EFAULT)
			s.Go("waker", func(s sys.Sys) {
				for mem.Load32(4) == 0 {
					s.Nanosleep(time.Millisecond)
				}
				mem.Store32(0, 1)
				s.FutexWake(mem, 0, 1)
			})
			mem.Store32(4, 1)
			for mem.Load32(0) == 0 {
				if err := s.FutexWait(mem, 0, 0, -1); err != nil && err != sys.EAGAIN {
					t.Errorf("futex: %v", err)
				}
			}
			return 0
		})
	})
}

// A request over TCP between two processes, with descriptors passed on the way.
func TestSocketsBetweenProcesses(t *testing.T) {
	both(t, func(t *testing.T, m *fake.Machine) {
		addr := netip.MustParseAddrPort("127.0.0.1:80")
		m.WriteFile("/page", []byte("hello"), 0o644, 0, 0)
		server := m.StartFunc("server", func(s sys.Sys) int {
			l, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
			ok(t, "socket", err)
			ok(t, "setsockopt", s.SetsockoptInt(l, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1))
			ok(t, "bind", s.Bind(l, sys.InetAddr(addr)))
			ok(t, "listen", s.Listen(l, 5))
			c, peer, err := s.Accept4(l, sys.SOCK_CLOEXEC)
			if err != nil || !peer.Addr.Addr().IsLoopback() {
				t.Errorf("accept4: %v, %v", peer, err)
			}
			buf := make([]byte, 10)
			if n, err := s.Read(c, buf); string(buf[:n]) != "GET" || err != nil {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			f, _ := s.Open("/page", sys.O_RDONLY, 0)
			if n, err := s.Sendfile(c, f, 0, 100); n != 5 || err != nil {
				t.Errorf("sendfile: %d, %v", n, err)
			}
			return 0
		})
		client := m.StartFunc("client", func(s sys.Sys) int {
			var c int
			for {
				c, _ = s.Socket(sys.AF_INET, sys.SOCK_STREAM, 0)
				err := s.Connect(c, sys.InetAddr(addr))
				if err == nil {
					break
				}
				want(t, "connect", err, sys.ECONNREFUSED)
				s.Close(c)
				s.Nanosleep(time.Millisecond)
			}
			// Through a thread that has the connection from a message.
			a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM, 0)
			ok(t, "socketpair", err)
			_, err = s.Sendmsg(a, []byte("x"), []int{c}, 0)
			ok(t, "sendmsg", err)
			s.Close(c)
			fds := make([]int, 2)
			n, nfds, flags, err := s.Recvmsg(b, make([]byte, 5), fds, sys.MSG_CMSG_CLOEXEC)
			if n != 1 || nfds != 1 || flags&^sys.MSG_CMSG_CLOEXEC != 0 || fds[0] != c || err != nil {
				t.Errorf("recvmsg: %d %d %x %v %v", n, nfds, flags, fds, err)
			}
			if _, err := s.Writev(fds[0], [][]byte{[]byte("G"), []byte("ET")}); err != nil {
				t.Errorf("writev: %v", err)
			}
			out, err := sys.ReadAll(s, fds[0], 100)
			if string(out) != "hello" || err != nil {
				t.Errorf("read %q, %v", out, err)
			}
			return 0
		})
		for _, pid := range []int{server, client} {
			if status, err := m.Wait(pid); status != 0 || err != nil {
				t.Errorf("Wait: %x, %v", status, err)
			}
		}
		if ls := m.OpenListeners(); len(ls) != 0 {
			t.Errorf("listeners left: %v", ls)
		}
	})
}

func TestProcfs(t *testing.T) {
	m := boot(t, fake.Config{Hostname: "www"})
	sleeper(m)
	m.MkdirAll("/jail", 0o755, 0, 0)
	m.Install("/sbin/server", 0o755, func(s sys.Sys, argv, env []string) int {
		link := func(path, target string) {
			t.Helper()
			if got, err := s.Readlink(path); got != target || err != nil {
				t.Errorf("readlink %s: %q, %v; want %q", path, got, err, target)
			}
		}
		read := func(path string) string {
			t.Helper()
			b, err := sys.ReadFile(s, path, 1<<16)
			ok(t, "read "+path, err)
			return string(b)
		}
		if len(argv) == 3 {
			return 0 // the one that was spawned from the jail
		}
		link("/proc/self/exe", "/sbin/server")
		link("/proc/self/root", "/")
		link("/proc/self/cwd", "/tmp")
		link("/proc/mounts", "self/mounts")
		fd, _ := s.Open("/tmp", 0, 0)
		link("/proc/self/fd/3", "/tmp")
		s.Close(fd)
		_, err := s.Readlink("/proc/self/fd/3")
		want(t, "readlink of a closed descriptor", err, sys.ENOENT)
		if got := read("/proc/self/cmdline"); got != "server\x00-x\x00" {
			t.Errorf("cmdline %q", got)
		}
		if got := read("/proc/self/uid_map"); strings.Join(strings.Fields(got), " ") != "0 0 4294967295" {
			t.Errorf("uid_map %q", got)
		}
		if got := read("/proc/sys/kernel/hostname"); got != "www\n" {
			t.Errorf("hostname %q", got)
		}
		status := read("/proc/self/status")
		for _, line := range []string{"Name:\tserver\n", "PPid:\t1\n", "Uid:\t0\t0\t0\t0\n", "CapEff:\t000001ffffffffff\n", "NoNewPrivs:\t0\n", "Threads:\t1\n"} {
			if !strings.Contains(status, line) {
				t.Errorf("status without %q:\n%s", line, status)
			}
		}
		if !strings.Contains(read("/proc/self/mounts"), "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n") {
			t.Errorf("mounts %q", read("/proc/self/mounts"))
		}
		var st sys.Stat
		want(t, "stat of nobody", s.Stat("/proc/9999", &st), sys.ENOENT)
		ok(t, "stat of init", s.Stat("/proc/1/status", &st))

		// The way to respawn from a jail: the executable is opened before.
		exe, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
		ok(t, "open /proc/self/exe", err)
		child := spawn(t, s, "/bin/sleep", "sleep")
		ok(t, "chroot", s.Chroot("/jail"))
		ok(t, "chdir", s.Chdir("/"))
		want(t, "stat in the jail", s.Stat("/sbin/server", &st), sys.ENOENT)
		pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"again", "-x", "-y"}})
		ok(t, "spawn", err)
		if _, status, _ := s.Wait4(pid, 0); status != 0 {
			t.Errorf("the child: %x", status)
		}
		s.Kill(child, sys.SIGKILL)
		return 0
	})
	pid, err := m.Start(fake.ProcSpec{Path: "/sbin/server", Argv: []string{"server", "-x"}, Cwd: "/tmp"})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := m.Wait(pid); status != 0 || err != nil {
		t.Errorf("Wait: %x, %v", status, err)
	}
}

func TestProcfsOfOthers(t *testing.T) {
	m := boot(t, fake.Config{})
	sleeper(m)
	root, err := m.Start(fake.ProcSpec{Path: "/bin/sleep"})
	ok(t, "start", err)
	mine, err := m.Start(fake.ProcSpec{Path: "/bin/sleep", Uid: 7, Gid: 7})
	ok(t, "start", err)
	pid, err := m.Start(fake.ProcSpec{Argv: []string{"test"}, Uid: 7, Gid: 7, Stdout: io.Discard, Program: func(s sys.Sys, argv, env []string) int {
		dir := func(pid int) string { return "/proc/" + strconv.Itoa(pid) }
		_, err := s.Readlink(dir(root) + "/exe")
		want(t, "exe of root's", err, sys.EACCES)
		_, err = s.Readlink(dir(mine) + "/exe")
		ok(t, "exe of one's own", err)
		var st sys.Stat
		for path, target := range map[string]string{"/proc/self/fd/0": "/dev/null", "/proc/self/fd/1": "/dev/pts/0"} {
			if got, err := s.Readlink(path); got != target || err != nil {
				t.Errorf("readlink %s: %q, %v", path, got, err)
			}
		}
		sock, _ := s.Socket(sys.AF_UNIX, sys.SOCK_STREAM, 0)
		if got, err := s.Readlink("/proc/self/fd/3"); !strings.HasPrefix(got, "socket:[") || err != nil {
			t.Errorf("readlink of a socket: %q, %v", got, err)
		}
		s.Close(sock)
		ok(t, "status of root's", s.Stat(dir(root)+"/status", &st))
		_, err = s.Open(dir(root)+"/fd", sys.O_RDONLY, 0)
		want(t, "fd of root's", err, sys.EACCES)
		fd, err := s.Open("/proc/self/fd", sys.O_RDONLY, 0)
		ok(t, "fd", err)
		ents, err := s.Getdents(fd)
		if len(ents) != 6 || err != nil { // . .. 0 1 2 3
			t.Errorf("getdents: %v, %v", ents, err)
		}
		return 0
	}})
	ok(t, "start", err)
	if status, err := m.Wait(pid); status != 0 || err != nil {
		t.Errorf("Wait: %x, %v", status, err)
	}
}
