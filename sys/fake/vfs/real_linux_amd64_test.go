package vfs

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/httpjail/httpjail/sys"
)

// realMachine is the Linux that the test runs on, seen from a mount namespace
// with nothing in it but the test's own tmpfs: a script that escapes from its
// chroot finds nothing of the host.
type realMachine struct {
	t     *testing.T
	owner *realProcess // lives at the root of the namespace
	ns    int          // descriptor of the namespace
	last  string       // mounted last, with
	flags uintptr
	procs []*realProcess
}

// newRealMachine is nil, and says why, where the real kernel cannot be asked.
func newRealMachine(t *testing.T) machine {
	if os.Geteuid() != 0 {
		t.Log("not root: the table was not compared with the real kernel")
		return nil
	}
	signal.Ignore(unix.SIGXFSZ) // the file size limit is to be EFBIG
	m := &realMachine{t: t, last: "/BASE"}
	dir := t.TempDir()
	owner, err := startThread(func() (err error) {
		m.ns, err = newNamespace(dir)
		return err
	})
	if err != nil {
		t.Logf("%v: the table was not compared with the real kernel", err)
		return nil
	}
	m.owner = owner
	t.Cleanup(m.close)
	return m
}

// newNamespace moves the calling thread into a mount namespace whose root is an
// empty tmpfs with another one at /BASE. dir is where it is built.
func newNamespace(dir string) (ns int, err error) {
	steps := []struct {
		name string
		call func() error
	}{
		{"unshare", func() error { return unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS) }},
		{"mount --make-rprivate /", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"open the namespace", func() (err error) {
			ns, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/mnt", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return err
		}},
		{"mount tmpfs", func() error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755") }},
		{"mkdir", func() error { return unix.Mkdir(dir+"/old", 0o700) }},
		{"pivot_root", func() error { return unix.PivotRoot(dir, dir+"/old") }},
		{"chdir", func() error { return unix.Chdir("/") }},
		{"umount the host's", func() error { return unix.Unmount("/old", unix.MNT_DETACH) }},
		{"rmdir", func() error { return unix.Rmdir("/old") }},
		{"mkdir", func() error { return unix.Mkdir("/BASE", 0o755) }},
		{"mount tmpfs", func() error { return unix.Mount("tmpfs", "/BASE", "tmpfs", 0, "mode=755") }},
	}
	for _, s := range steps {
		if err := s.call(); err != nil {
			return -1, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return ns, nil
}

func (m *realMachine) close() {
	if m.owner == nil {
		return
	}
	for _, p := range append(m.procs, m.owner) {
		close(p.calls)
	}
	unix.Close(m.ns)
	m.owner = nil
}

// tick is longer than the kernel's coarse clock takes to move.
func (m *realMachine) tick() { time.Sleep(10 * time.Millisecond) }

func (m *realMachine) mount(path string, flags MountFlags) error {
	m.last, m.flags = "/BASE"+path, uintptr(flags)
	return m.owner.do(func() error { return unix.Mount("tmpfs", m.last, "tmpfs", m.flags, "mode=755") })
}

func (m *realMachine) remount(path string, flags MountFlags) error {
	return m.owner.do(func() error { return unix.Mount("", "/BASE"+path, "", uintptr(flags)|unix.MS_REMOUNT, "") })
}

func (m *realMachine) limit(bytes int64) { m.option("size=" + itoa(bytes)) }
func (m *realMachine) inodes(n int)      { m.option("nr_inodes=" + itoa(int64(n))) }

func (m *realMachine) option(text string) {
	err := m.owner.do(func() error { return unix.Mount("", m.last, "", m.flags|unix.MS_REMOUNT, text) })
	if err != nil {
		m.t.Fatal(err)
	}
}

func itoa(n int64) string {
	s := ""
	for ; n > 0; n /= 10 {
		s = string(rune('0'+n%10)) + s
	}
	return s
}

// realProcess is a thread that shares neither descriptors nor root, working
// directory, umask and credentials with the rest of the test: for the calls that
// are tested here, a process.
type realProcess struct {
	calls chan func()
	fsize uint64
}

// startThread starts a thread that begins with setup.
func startThread(setup func() error) (*realProcess, error) {
	p := &realProcess{calls: make(chan func()), fsize: sys.RLIM_INFINITY}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := setup()
		ready <- err
		if err != nil {
			return
		}
		for f := range p.calls {
			f()
		}
	}()
	return p, <-ready
}

func (m *realMachine) process(c *Cred) process {
	p, err := startThread(func() error { return m.become(c) })
	if err != nil {
		m.t.Fatal(err)
	}
	m.procs = append(m.procs, p)
	return p
}

func (m *realMachine) become(c *Cred) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES); err != nil {
		return err
	}
	if err := unix.Setns(m.ns, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Chroot("/BASE"); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	unix.Umask(0)
	if c.Uid == 0 && c.Gid == 0 && c.Caps != 0 {
		return nil
	}
	groups := append([]uint32{c.Gid}, c.Groups...)
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return e
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	for _, call := range [][2]uintptr{{unix.SYS_SETRESGID, uintptr(c.Gid)}, {unix.SYS_SETRESUID, uintptr(c.Uid)}} {
		if _, _, e := unix.RawSyscall(call[0], call[1], call[1], call[1]); e != 0 {
			return e
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(c.Caps), Permitted: uint32(c.Caps)},
		{Effective: uint32(c.Caps >> 32), Permitted: uint32(c.Caps >> 32)},
	}
	return unix.Capset(&hdr, &data[0])
}

func (p *realProcess) do(f func() error) error {
	done := make(chan error)
	p.calls <- func() { done <- f() }
	return <-done
}

func (p *realProcess) fdOf(f func() (int, error)) (n int, err error) {
	err = p.do(func() (err error) { n, err = f(); return err })
	return n, err
}

func convert(st *sys.Stat, u *unix.Stat_t) {
	*st = sys.Stat{
		Dev: u.Dev, Ino: u.Ino, Nlink: u.Nlink, Mode: u.Mode, Uid: u.Uid, Gid: u.Gid, Rdev: u.Rdev,
		Size: u.Size, Blksize: u.Blksize, Blocks: u.Blocks,
		Atim: sys.Timespec{Sec: u.Atim.Sec, Nsec: u.Atim.Nsec},
		Mtim: sys.Timespec{Sec: u.Mtim.Sec, Nsec: u.Mtim.Nsec},
		Ctim: sys.Timespec{Sec: u.Ctim.Sec, Nsec: u.Ctim.Nsec},
	}
}

func (p *realProcess) Open(path string, flags int, mode uint32) (int, error) {
	// unix.Open adds O_LARGEFILE, which the kernel adds itself; Openat does not
	// go through the runtime's poller either.
	return p.fdOf(func() (int, error) { return unix.Openat(unix.AT_FDCWD, path, flags, mode) })
}
func (p *realProcess) Openat2(dirfd int, path string, how sys.OpenHow) (int, error) {
	return p.fdOf(func() (int, error) {
		return unix.Openat2(dirfd, path, &unix.OpenHow{Flags: uint64(how.Flags), Mode: uint64(how.Mode), Resolve: uint64(how.Resolve)})
	})
}
func (p *realProcess) Read(fd int, b []byte) (int, error) {
	return p.fdOf(func() (int, error) { return unix.Read(fd, b) })
}
func (p *realProcess) Write(fd int, b []byte) (int, error) {
	return p.fdOf(func() (int, error) {
		if p.fsize != sys.RLIM_INFINITY {
			// The limit is the whole test process's: set it for this call only.
			syscall.Setrlimit(unix.RLIMIT_FSIZE, &syscall.Rlimit{Cur: p.fsize, Max: sys.RLIM_INFINITY})
			defer syscall.Setrlimit(unix.RLIMIT_FSIZE, &syscall.Rlimit{Cur: sys.RLIM_INFINITY, Max: sys.RLIM_INFINITY})
		}
		return unix.Write(fd, b)
	})
}
func (p *realProcess) Pread(fd int, b []byte, off int64) (int, error) {
	return p.fdOf(func() (int, error) { return unix.Pread(fd, b, off) })
}
func (p *realProcess) Pwrite(fd int, b []byte, off int64) (int, error) {
	return p.fdOf(func() (int, error) { return unix.Pwrite(fd, b, off) })
}
func (p *realProcess) Lseek(fd int, off int64, whence int) (n int64, err error) {
	err = p.do(func() (err error) { n, err = unix.Seek(fd, off, whence); return err })
	return n, err
}
func (p *realProcess) Ftruncate(fd int, size int64) error {
	return p.do(func() error { return unix.Ftruncate(fd, size) })
}
func (p *realProcess) Fallocate(fd int, mode uint32, off, n int64) error {
	return p.do(func() error { return unix.Fallocate(fd, mode, off, n) })
}
func (p *realProcess) Setxattr(path, name string, value []byte, flags int) error {
	return p.do(func() error { return unix.Setxattr(path, name, value, flags) })
}
func (p *realProcess) Getxattr(path, name string, value []byte) (n int, err error) {
	err = p.do(func() (err error) { n, err = unix.Getxattr(path, name, value); return err })
	return n, err
}
func (p *realProcess) Removexattr(path, name string) error {
	return p.do(func() error { return unix.Removexattr(path, name) })
}
func (p *realProcess) Statfs(path string, st *sys.Statfs) error {
	var u unix.Statfs_t
	err := p.do(func() error { return unix.Statfs(path, &u) })
	*st = sys.Statfs{
		Type: u.Type, Bsize: u.Bsize, Blocks: u.Blocks, Bfree: u.Bfree, Bavail: u.Bavail,
		Files: u.Files, Ffree: u.Ffree, Namelen: u.Namelen, Frsize: u.Frsize, Flags: u.Flags,
	}
	return err
}
func (p *realProcess) Fsync(fd int) error { return p.do(func() error { return unix.Fsync(fd) }) }
func (p *realProcess) stat(st *sys.Stat, f func(u *unix.Stat_t) error) error {
	return p.do(func() error {
		var u unix.Stat_t
		err := f(&u)
		convert(st, &u)
		return err
	})
}
func (p *realProcess) Fstat(fd int, st *sys.Stat) error {
	return p.stat(st, func(u *unix.Stat_t) error { return unix.Fstat(fd, u) })
}
func (p *realProcess) Getdents(fd int) (ents []sys.Dirent, err error) {
	err = p.do(func() error {
		buf := make([]byte, 32<<10)
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			name := b[19:d.Reclen]
			ents = append(ents, sys.Dirent{Ino: d.Ino, Type: d.Type, Name: unix.ByteSliceToString(name)})
			b = b[d.Reclen:]
		}
		return nil
	})
	return ents, err
}
func (p *realProcess) Close(fd int) error { return p.do(func() error { return unix.Close(fd) }) }
func (p *realProcess) Dup(fd int) (int, error) {
	return p.fdOf(func() (int, error) { return unix.Dup(fd) })
}
func (p *realProcess) Pipe2(flags int) (r, w int, err error) {
	var fds [2]int
	err = p.do(func() error { return unix.Pipe2(fds[:], flags) })
	return fds[0], fds[1], err
}
func (p *realProcess) MemfdCreate(name string, flags int) (int, error) {
	return p.fdOf(func() (int, error) { return unix.MemfdCreate(name, flags) })
}
func (p *realProcess) Getfl(fd int) (int, error) {
	return p.fdOf(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0) })
}
func (p *realProcess) Setfl(fd, flags int) error {
	_, err := p.fdOf(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags) })
	return err
}
func (p *realProcess) AddSeals(fd, seals int) error {
	_, err := p.fdOf(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals) })
	return err
}
func (p *realProcess) Ready(fd int) (int16, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
	_, err := p.fdOf(func() (int, error) { return unix.Poll(fds, 0) })
	return fds[0].Revents, err
}
func (p *realProcess) Mmap(fd int, off int64, length, prot, flags int) error {
	return p.do(func() error { // and keep it
		_, _, e := unix.Syscall6(unix.SYS_MMAP, 0, uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(off))
		if e != 0 {
			return e
		}
		return nil
	})
}
func (p *realProcess) Stat(path string, st *sys.Stat) error {
	return p.stat(st, func(u *unix.Stat_t) error { return unix.Stat(path, u) })
}
func (p *realProcess) Lstat(path string, st *sys.Stat) error {
	return p.stat(st, func(u *unix.Stat_t) error { return unix.Lstat(path, u) })
}
func (p *realProcess) Mkdir(path string, mode uint32) error {
	return p.do(func() error { return unix.Mkdir(path, mode) })
}
func (p *realProcess) Rmdir(path string) error {
	return p.do(func() error { return unix.Rmdir(path) })
}
func (p *realProcess) Unlink(path string) error {
	return p.do(func() error { return unix.Unlink(path) })
}
func (p *realProcess) Renameat2(a, b string, flags uint) error {
	return p.do(func() error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags) })
}
func (p *realProcess) Link(a, b string) error { return p.do(func() error { return unix.Link(a, b) }) }
func (p *realProcess) Symlink(a, b string) error {
	return p.do(func() error { return unix.Symlink(a, b) })
}
func (p *realProcess) Readlink(path string) (s string, err error) {
	err = p.do(func() error {
		buf := make([]byte, 5000)
		n, err := unix.Readlink(path, buf)
		s = string(buf[:max(n, 0)])
		return err
	})
	return s, err
}
func (p *realProcess) Mknod(path string, mode uint32, dev uint64) error {
	return p.do(func() error { return unix.Mknod(path, mode, int(dev)) })
}
func (p *realProcess) Chmod(path string, mode uint32) error {
	return p.do(func() error { return unix.Chmod(path, mode) })
}
func (p *realProcess) Fchmod(fd int, mode uint32) error {
	return p.do(func() error { return unix.Fchmod(fd, mode) })
}
func (p *realProcess) Chown(path string, u, g int) error {
	return p.do(func() error { return unix.Chown(path, u, g) })
}
func (p *realProcess) Lchown(path string, u, g int) error {
	return p.do(func() error { return unix.Lchown(path, u, g) })
}
func (p *realProcess) Fchown(fd, u, g int) error {
	return p.do(func() error { return unix.Fchown(fd, u, g) })
}
func (p *realProcess) Utimensat(path string, a, m sys.Timespec, flags int) error {
	return p.do(func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: a.Sec, Nsec: a.Nsec}, {Sec: m.Sec, Nsec: m.Nsec}}, flags)
	})
}
func (p *realProcess) Faccessat(path string, mode uint32, flags int) error {
	return p.do(func() error {
		b, err := unix.BytePtrFromString(path)
		if err != nil {
			return err
		}
		dir := unix.AT_FDCWD
		_, _, e := unix.Syscall6(unix.SYS_FACCESSAT2, uintptr(dir), uintptr(unsafe.Pointer(b)), uintptr(mode), uintptr(flags), 0, 0)
		if e != 0 {
			return e
		}
		return nil
	})
}
func (p *realProcess) Umask(mask int) int {
	old, _ := p.fdOf(func() (int, error) { return unix.Umask(mask), nil })
	return old
}
func (p *realProcess) Fsize(limit uint64) { p.fsize = limit }
func (p *realProcess) Flock(fd, how int) error {
	return p.do(func() error { return unix.Flock(fd, how) })
}
func (p *realProcess) FcntlFlock(fd, cmd int, lk *sys.Flock) error {
	return p.do(func() error {
		u := unix.Flock_t{Type: lk.Type, Whence: lk.Whence, Start: lk.Start, Len: lk.Len, Pid: lk.Pid}
		err := unix.FcntlFlock(uintptr(fd), cmd, &u)
		*lk = sys.Flock{Type: u.Type, Whence: u.Whence, Start: u.Start, Len: u.Len, Pid: u.Pid}
		return err
	})
}
func (p *realProcess) Chroot(path string) error {
	return p.do(func() error { return unix.Chroot(path) })
}
func (p *realProcess) Chdir(path string) error { return p.do(func() error { return unix.Chdir(path) }) }
func (p *realProcess) Fchdir(fd int) error     { return p.do(func() error { return unix.Fchdir(fd) }) }
func (p *realProcess) Getcwd() (s string, err error) {
	err = p.do(func() error {
		buf := make([]byte, unix.PathMax)
		n, _, e := unix.Syscall(unix.SYS_GETCWD, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
		if e != 0 {
			return e
		}
		s = string(buf[:n-1])
		return nil
	})
	return s, err
}
