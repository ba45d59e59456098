package vfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// The tables of this package's tests are scripts: one call a line, and behind
// "->" what it returns ("ok" if that is left out). The same script runs against
// this package and, as root on Linux, against the real kernel: what we expect
// of Linux is seen, not believed.
//
// A script begins as root in "/", an empty directory that it was chrooted to: a
// filesystem mounted at /BASE of another one with nothing else in it.

// process is one process of a script, on either kernel.
type process interface {
	Open(path string, flags int, mode uint32) (int, error)
	Openat2(dirfd int, path string, how sys.OpenHow) (int, error)
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)
	Pread(fd int, p []byte, off int64) (int, error)
	Pwrite(fd int, p []byte, off int64) (int, error)
	Lseek(fd int, off int64, whence int) (int64, error)
	Ftruncate(fd int, size int64) error
	Fallocate(fd int, mode uint32, off, n int64) error
	Statfs(path string, st *sys.Statfs) error
	Setxattr(path, name string, value []byte, flags int) error
	Getxattr(path, name string, value []byte) (int, error)
	Removexattr(path, name string) error
	Fsync(fd int) error
	Fstat(fd int, st *sys.Stat) error
	Getdents(fd int) ([]sys.Dirent, error)
	Close(fd int) error
	Dup(fd int) (int, error)
	Pipe2(flags int) (r, w int, err error)
	MemfdCreate(name string, flags int) (int, error)
	Getfl(fd int) (int, error)
	Setfl(fd, flags int) error
	AddSeals(fd, seals int) error
	Ready(fd int) (int16, error)
	Mmap(fd int, off int64, length, prot, flags int) error

	Stat(path string, st *sys.Stat) error
	Lstat(path string, st *sys.Stat) error
	Mkdir(path string, mode uint32) error
	Rmdir(path string) error
	Unlink(path string) error
	Renameat2(oldpath, newpath string, flags uint) error
	Link(oldpath, newpath string) error
	Symlink(target, linkpath string) error
	Readlink(path string) (string, error)
	Mknod(path string, mode uint32, dev uint64) error
	Chmod(path string, mode uint32) error
	Fchmod(fd int, mode uint32) error
	Chown(path string, uid, gid int) error
	Lchown(path string, uid, gid int) error
	Fchown(fd, uid, gid int) error
	Utimensat(path string, atime, mtime sys.Timespec, flags int) error
	Faccessat(path string, mode uint32, flags int) error
	Umask(mask int) int
	Fsize(limit uint64)

	Flock(fd, how int) error
	FcntlFlock(fd, cmd int, lk *sys.Flock) error

	Chroot(path string) error
	Chdir(path string) error
	Fchdir(fd int) error
	Getcwd() (string, error)
}

// machine is a kernel that scripts run on.
type machine interface {
	process(c *Cred) process
	mount(path string, flags MountFlags) error
	remount(path string, flags MountFlags) error
	limit(bytes int64) // of the filesystem mounted last
	inodes(n int)      // the same
	tick()             // time passes
	close()            // ends its processes
}

// interp runs scripts on one machine.
type interp struct {
	m     machine
	procs map[string]process
	fds   map[string]int // by process name + "." + name
	cur   string
	marks map[string]sys.Stat // by path
}

func newInterp(m machine) *interp {
	in := &interp{m: m, procs: map[string]process{}, fds: map[string]int{}, marks: map[string]sys.Stat{}}
	in.procs["root"] = m.process(&Cred{Caps: 1<<(sys.CAP_LAST_CAP+1) - 1})
	in.cur = "root"
	return in
}

var flagNames = map[string]int{
	"r": sys.O_RDONLY, "w": sys.O_WRONLY, "rw": sys.O_RDWR, "none": sys.O_ACCMODE,
	"creat": sys.O_CREAT, "excl": sys.O_EXCL, "trunc": sys.O_TRUNC, "append": sys.O_APPEND,
	"dir": sys.O_DIRECTORY, "nofollow": sys.O_NOFOLLOW, "path": sys.O_PATH, "nonblock": sys.O_NONBLOCK,
	"noatime": sys.O_NOATIME, "tmpfile": sys.O_TMPFILE, "bad": 1 << 30,
	"beneath": sys.RESOLVE_BENEATH << 32, "inroot": sys.RESOLVE_IN_ROOT << 32,
	"nosym": sys.RESOLVE_NO_SYMLINKS << 32, "nomagic": sys.RESOLVE_NO_MAGICLINKS << 32,
	"noxdev": sys.RESOLVE_NO_XDEV << 32, "badresolve": 1 << 50,
}

func flagsOf(s string) (flags, resolve int) {
	for f := range strings.SplitSeq(s, "|") {
		v, ok := flagNames[f]
		if !ok {
			panic("unknown flag " + f)
		}
		flags |= v & 0xffffffff
		resolve |= v >> 32
	}
	return flags, resolve
}

func oct(s string) uint32 {
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		panic(err)
	}
	return uint32(v)
}

func num(s string) int {
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return int(v)
}

func result(v string, err error) string {
	if err != nil {
		if e, ok := err.(sys.Errno); ok {
			return sys.ErrnoName(e)
		}
		return err.Error()
	}
	return v
}

func (in *interp) fd(name string) int {
	if name == "cwd" {
		return sys.AT_FDCWD
	}
	fd, ok := in.fds[in.cur+"."+name]
	if !ok {
		panic("no descriptor " + name)
	}
	return fd
}

// expand turns name*N into N repetitions, so that long names stay readable, and
// ” into an empty string.
func expand(s string) string {
	if s == "''" {
		return ""
	}
	for {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return s
		}
		end := strings.IndexByte(s, '}')
		what, n, _ := strings.Cut(s[open+1:end], "*")
		s = s[:open] + strings.Repeat(what, num(n)) + s[end+1:]
	}
}

func statString(st *sys.Stat) string {
	const types = "?pc?d?b?f?l?s???"
	s := fmt.Sprintf("%c%04o %d:%d n%d", types[st.Mode>>12], st.Mode&0o7777, st.Uid, st.Gid, st.Nlink)
	if st.Mode&sys.S_IFMT == sys.S_IFREG || st.Mode&sys.S_IFMT == sys.S_IFLNK {
		s += fmt.Sprintf(" s%d", st.Size)
	}
	return s
}

var lockTypes = map[string]int16{"rd": sys.F_RDLCK, "wr": sys.F_WRLCK, "un": sys.F_UNLCK, "bad": 7}

var seekNames = map[string]int{"set": sys.SEEK_SET, "cur": sys.SEEK_CUR, "end": sys.SEEK_END,
	"data": sys.SEEK_DATA, "hole": sys.SEEK_HOLE, "bad": 9}

func stamp(s string) sys.Timespec {
	switch s {
	case "now":
		return sys.Timespec{Nsec: sys.UTIME_NOW}
	case "omit":
		return sys.Timespec{Nsec: sys.UTIME_OMIT}
	}
	sec, nsec, _ := strings.Cut(s, ".")
	ts := sys.Timespec{Sec: int64(num(sec))}
	if nsec != "" {
		ts.Nsec = int64(num(nsec))
	}
	return ts
}

// do runs one call and says what came back.
func (in *interp) do(line string) string {
	args := strings.Fields(line)
	for i := range args {
		args[i] = expand(args[i])
	}
	op, args := args[0], args[1:]
	arg := func(i int, def string) string {
		if i < len(args) {
			return args[i]
		}
		return def
	}
	p := in.procs[in.cur]
	ok := func(err error) string { return result("ok", err) }
	newfd := func(name string, fd int, err error) string {
		if err == nil {
			in.fds[in.cur+"."+name] = fd
		}
		return ok(err)
	}
	var st sys.Stat
	switch op {
	case "as": // as NAME [UID GID GROUPS CAPS]: go on as that process
		name := args[0]
		in.cur = name
		if in.procs[name] == nil {
			c := &Cred{Uid: uint32(num(arg(1, "0"))), Gid: uint32(num(arg(2, "0")))}
			for g := range strings.SplitSeq(arg(3, "-"), ",") {
				if g != "-" {
					c.Groups = append(c.Groups, uint32(num(g)))
				}
			}
			for g := range strings.SplitSeq(arg(4, "-"), ",") {
				if g != "-" {
					c.Caps |= 1 << num(g)
				}
			}
			if len(args) == 1 {
				c.Caps = 1<<(sys.CAP_LAST_CAP+1) - 1
			}
			in.procs[name] = in.m.process(c)
		}
		return "ok"
	case "mount", "remount":
		flags := MountFlags(0)
		for f := range strings.SplitSeq(arg(1, "rw"), ",") {
			flags |= map[string]MountFlags{"rw": 0, "ro": MountReadonly, "nodev": MountNodev, "noexec": MountNoexec}[f]
		}
		if op == "mount" {
			return ok(in.m.mount(args[0], flags))
		}
		return ok(in.m.remount(args[0], flags))
	case "limit":
		in.m.limit(int64(num(args[0])))
		return "ok"
	case "open":
		flags, _ := flagsOf(args[2])
		fd, err := p.Open(args[1], flags, oct(arg(3, "0")))
		return newfd(args[0], fd, err)
	case "openat2":
		flags, resolve := flagsOf(args[3])
		fd, err := p.Openat2(in.fd(args[1]), args[2], sys.OpenHow{Flags: flags, Mode: oct(arg(4, "0")), Resolve: resolve})
		return newfd(args[0], fd, err)
	case "try": // open and close again
		flags, _ := flagsOf(args[1])
		fd, err := p.Open(args[0], flags, oct(arg(2, "0")))
		if err == nil {
			p.Close(fd)
		}
		return ok(err)
	case "memfd":
		fd, err := p.MemfdCreate(args[1], num(arg(2, "0")))
		return newfd(args[0], fd, err)
	case "pipe":
		flags, _ := flagsOf(arg(2, "r"))
		r, w, err := p.Pipe2(flags)
		newfd(args[0], r, err)
		return newfd(args[1], w, err)
	case "dup":
		fd, err := p.Dup(in.fd(args[1]))
		return newfd(args[0], fd, err)
	case "close":
		return ok(p.Close(in.fd(args[0])))
	case "read", "pread":
		buf := make([]byte, num(args[1]))
		var n int
		var err error
		if op == "read" {
			n, err = p.Read(in.fd(args[0]), buf)
		} else {
			n, err = p.Pread(in.fd(args[0]), buf, int64(num(args[2])))
		}
		if n > 100 {
			return result(strconv.Itoa(n), err)
		}
		return result(strconv.Quote(string(buf[:max(n, 0)])), err)
	case "write":
		n, err := p.Write(in.fd(args[0]), []byte(args[1]))
		return result(strconv.Itoa(n), err)
	case "pwrite":
		n, err := p.Pwrite(in.fd(args[0]), []byte(args[1]), int64(num(args[2])))
		return result(strconv.Itoa(n), err)
	case "seek":
		n, err := p.Lseek(in.fd(args[0]), int64(num(args[1])), seekNames[args[2]])
		return result(strconv.FormatInt(n, 10), err)
	case "ftruncate":
		return ok(p.Ftruncate(in.fd(args[0]), int64(num(args[1]))))
	case "fsync":
		return ok(p.Fsync(in.fd(args[0])))
	case "mmap":
		flags := map[string]int{"shared": sys.MAP_SHARED, "private": sys.MAP_PRIVATE}[args[3]]
		return ok(p.Mmap(in.fd(args[0]), int64(num(args[1])), 4096, num(args[2]), flags))
	case "fstat":
		err := p.Fstat(in.fd(args[0]), &st)
		return result(statString(&st), err)
	case "blocks":
		err := p.Stat(args[0], &st)
		return result(strconv.FormatInt(st.Blocks, 10), err)
	case "times":
		err := p.Lstat(args[0], &st)
		return result(fmt.Sprintf("a%d.%d m%d.%d", st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec), err)
	case "mark": // mark PATHS: remember their times, and let time pass
		for _, path := range args {
			if err := p.Lstat(path, &st); err != nil {
				return result("", err)
			}
			in.marks[path] = st
		}
		in.m.tick()
		return "ok"
	case "touched": // which times changed since the mark
		var s string
		for _, path := range args {
			if err := p.Lstat(path, &st); err != nil {
				return result("", err)
			}
			was := in.marks[path]
			s += path + ":"
			for _, c := range []struct {
				name string
				diff bool
			}{{"a", st.Atim != was.Atim}, {"m", st.Mtim != was.Mtim}, {"c", st.Ctim != was.Ctim}} {
				if c.diff {
					s += c.name
				}
			}
			s += " "
			in.marks[path] = st
		}
		in.m.tick()
		return strings.TrimSpace(s)
	case "getfl":
		fl, err := p.Getfl(in.fd(args[0]))
		return result(fmt.Sprintf("%#x", fl&^oLargefile), err)
	case "setfl":
		flags, _ := flagsOf(args[1])
		return ok(p.Setfl(in.fd(args[0]), flags))
	case "seal":
		return ok(p.AddSeals(in.fd(args[0]), num(args[1])))
	case "ready":
		ev, err := p.Ready(in.fd(args[0]))
		return result(fmt.Sprintf("%#x", ev), err)
	case "ls":
		return in.ls(p, args[0])
	case "fgetdents":
		_, err := p.Getdents(in.fd(args[0]))
		return ok(err)
	case "cat":
		fd, err := p.Open(args[0], sys.O_RDONLY, 0)
		if err != nil {
			return result("", err)
		}
		defer p.Close(fd)
		buf := make([]byte, 4096)
		n, err := p.Read(fd, buf)
		return result(strconv.Quote(string(buf[:max(n, 0)])), err)
	case "put": // put PATH MODE TEXT: a file with that content
		fd, err := p.Open(args[0], sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC, oct(args[1]))
		if err != nil {
			return result("", err)
		}
		defer p.Close(fd)
		_, err = p.Write(fd, []byte(arg(2, "")))
		return ok(err)
	case "stat":
		err := p.Stat(args[0], &st)
		return result(statString(&st), err)
	case "lstat":
		err := p.Lstat(args[0], &st)
		return result(statString(&st), err)
	case "same": // same A B: one inode?
		var other sys.Stat
		if err := p.Lstat(args[0], &st); err != nil {
			return result("", err)
		}
		err := p.Lstat(args[1], &other)
		return result(strconv.FormatBool(st.Ino == other.Ino && st.Dev == other.Dev), err)
	case "mkdir":
		return ok(p.Mkdir(args[0], oct(arg(1, "777"))))
	case "rmdir":
		return ok(p.Rmdir(args[0]))
	case "unlink":
		return ok(p.Unlink(args[0]))
	case "rename":
		flags := map[string]uint{"": 0, "noreplace": sys.RENAME_NOREPLACE, "exchange": sys.RENAME_EXCHANGE, "whiteout": sys.RENAME_WHITEOUT}
		return ok(p.Renameat2(args[0], args[1], flags[arg(2, "")]))
	case "link":
		return ok(p.Link(args[0], args[1]))
	case "symlink":
		return ok(p.Symlink(args[0], args[1]))
	case "readlink":
		s, err := p.Readlink(args[0])
		return result(s, err)
	case "mknod":
		return ok(p.Mknod(args[0], oct(args[1]), uint64(num(arg(2, "0")))))
	case "chmod":
		return ok(p.Chmod(args[0], oct(args[1])))
	case "fchmod":
		return ok(p.Fchmod(in.fd(args[0]), oct(args[1])))
	case "chown":
		return ok(p.Chown(args[0], num(args[1]), num(args[2])))
	case "lchown":
		return ok(p.Lchown(args[0], num(args[1]), num(args[2])))
	case "fchown":
		return ok(p.Fchown(in.fd(args[0]), num(args[1]), num(args[2])))
	case "utimes":
		return ok(p.Utimensat(args[0], stamp(args[1]), stamp(args[2]), num(arg(3, "0"))))
	case "access":
		return ok(p.Faccessat(args[0], uint32(num(args[1])), num(arg(2, strconv.Itoa(sys.AT_EACCESS)))))
	case "umask":
		return fmt.Sprintf("%04o", p.Umask(int(oct(args[0]))))
	case "fallocate": // fallocate FD keep|punch|- OFF LEN
		mode := 0
		for f := range strings.SplitSeq(args[1], "|") {
			mode |= map[string]int{"keep": sys.FALLOC_FL_KEEP_SIZE, "punch": sys.FALLOC_FL_PUNCH_HOLE}[f]
		}
		return ok(p.Fallocate(in.fd(args[0]), uint32(mode), int64(num(args[2])), int64(num(args[3]))))
	case "setxattr":
		return ok(p.Setxattr(args[0], args[1], []byte(arg(2, "")), 0))
	case "getxattr":
		b := make([]byte, 100)
		n, err := p.Getxattr(args[0], args[1], b)
		return result(strconv.Quote(string(b[:max(n, 0)])), err)
	case "removexattr":
		return ok(p.Removexattr(args[0], args[1]))
	case "inodes":
		in.m.inodes(num(args[0]))
		return "ok"
	case "ffree":
		var st sys.Statfs
		err := p.Statfs(args[0], &st)
		return result(fmt.Sprintf("%d/%d", st.Ffree, st.Files), err)
	case "statfs":
		var st sys.Statfs
		err := p.Statfs(args[0], &st)
		return result(fmt.Sprintf("%d/%d/%d %#x", st.Bavail, st.Bfree, st.Blocks, st.Flags), err)
	case "fsize":
		p.Fsize(uint64(num(args[0])))
		return "ok"
	case "chroot":
		return ok(p.Chroot(args[0]))
	case "cd":
		return ok(p.Chdir(args[0]))
	case "fchdir":
		return ok(p.Fchdir(in.fd(args[0])))
	case "pwd":
		s, err := p.Getcwd()
		return result(s, err)
	case "flock":
		how := 0
		for f := range strings.SplitSeq(args[1], "|") {
			how |= map[string]int{"sh": sys.LOCK_SH, "ex": sys.LOCK_EX, "un": sys.LOCK_UN, "nb": sys.LOCK_NB, "bad": 64}[f]
		}
		return ok(p.Flock(in.fd(args[0]), how))
	case "setlk", "ofdlk", "getlk", "ofdgetlk", "setlkw":
		// setlk FD TYPE START LEN [WHENCE [PID]]
		lk := sys.Flock{Type: lockTypes[args[1]], Start: int64(num(args[2])), Len: int64(num(args[3])),
			Whence: int16(seekNames[arg(4, "set")]), Pid: int32(num(arg(5, "0")))}
		cmd := map[string]int{"setlk": sys.F_SETLK, "setlkw": sys.F_SETLKW, "getlk": sys.F_GETLK,
			"ofdlk": sys.F_OFD_SETLK, "ofdgetlk": sys.F_OFD_GETLK}[op]
		err := p.FcntlFlock(in.fd(args[0]), cmd, &lk)
		if cmd != sys.F_GETLK && cmd != sys.F_OFD_GETLK || err != nil {
			return ok(err)
		}
		for name, typ := range lockTypes {
			if typ == lk.Type {
				if typ == sys.F_UNLCK {
					return name
				}
				s := fmt.Sprintf("%s %d+%d", name, lk.Start, lk.Len)
				if lk.Pid == -1 {
					s += " ofd"
				}
				return s
			}
		}
		return "?"
	}
	panic("unknown call " + op)
}

func (in *interp) ls(p process, path string) string {
	fd, err := p.Open(path, sys.O_RDONLY|sys.O_DIRECTORY, 0)
	if err != nil {
		return result("", err)
	}
	defer p.Close(fd)
	var names []string
	for {
		ents, err := p.Getdents(fd)
		if err != nil {
			return result("", err)
		}
		if len(ents) == 0 {
			break
		}
		for _, e := range ents {
			names = append(names, fmt.Sprintf("%s:%d", e.Name, e.Type))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// run runs a script and reports every line with another result.
func (in *interp) run(t *testing.T, script string) {
	t.Helper()
	for i, line := range strings.Split(script, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		call, want, found := strings.Cut(line, "->")
		if want = strings.TrimSpace(want); !found {
			want = "ok"
		}
		if got := in.do(call); got != want && want != "*" {
			t.Errorf("line %d: %s\n\tgot  %s\n\twant %s", i+1, call, got, want)
		}
	}
}

// fakeMachine is this package.
type fakeMachine struct {
	k    *Tree
	root Path
	last *Mount
}

func newFakeMachine(t *testing.T) *fakeMachine {
	k := New(time.Unix(1_767_225_600, 0))
	if err := k.Image().MkdirAll("/BASE", 0o755); err != nil {
		t.Fatal(err)
	}
	base, err := k.Mount("/BASE", 0)
	if err != nil {
		t.Fatal(err)
	}
	k.Random = func(p []byte) { clear(p) }
	return &fakeMachine{k: k, root: base.Path(), last: base}
}

func (m *fakeMachine) close() {}
func (m *fakeMachine) tick()  { m.k.start += int64(time.Second) }

func (m *fakeMachine) process(c *Cred) process {
	p := &fakeProcess{k: m.k}
	p.t = &Task{Cred: c, Root: m.root, Cwd: m.root, Owner: p, Pid: 1, Fsize: sys.RLIM_INFINITY}
	return p
}

func (m *fakeMachine) mount(path string, flags MountFlags) (err error) {
	m.last, err = m.k.Mount("/BASE"+path, flags)
	return err
}

func (m *fakeMachine) remount(path string, flags MountFlags) error {
	p, err := m.k.Lookup(m.k.imageTask(), "/BASE"+path, true)
	if err == nil {
		p.Mount.SetFlags(flags)
	}
	return err
}

func (m *fakeMachine) limit(bytes int64) { m.last.fs.SetLimit(bytes) }
func (m *fakeMachine) inodes(n int)      { m.last.fs.SetInodeLimit(n) }

// fakeProcess is a task with a descriptor table.
type fakeProcess struct {
	k   *Tree
	t   *Task
	fds []*Description
}

func (p *fakeProcess) add(d *Description, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	p.fds = append(p.fds, d)
	return len(p.fds) - 1, nil
}

func (p *fakeProcess) Open(path string, flags int, mode uint32) (int, error) {
	return p.add(p.k.Open(p.t, Path{}, path, BuildOpenHow(flags, mode)))
}

func (p *fakeProcess) Openat2(dirfd int, path string, how sys.OpenHow) (int, error) {
	var dir Path
	if dirfd != sys.AT_FDCWD {
		dir = p.fds[dirfd].Path
	}
	return p.add(p.k.Open(p.t, dir, path, how))
}

func (p *fakeProcess) Read(fd int, b []byte) (int, error)  { return p.fds[fd].Read(p.t, b) }
func (p *fakeProcess) Write(fd int, b []byte) (int, error) { return p.fds[fd].Write(p.t, b) }
func (p *fakeProcess) Pread(fd int, b []byte, off int64) (int, error) {
	return p.fds[fd].Pread(p.t, b, off)
}
func (p *fakeProcess) Pwrite(fd int, b []byte, off int64) (int, error) {
	return p.fds[fd].Pwrite(p.t, b, off)
}
func (p *fakeProcess) Lseek(fd int, off int64, whence int) (int64, error) {
	return p.fds[fd].Lseek(p.t, off, whence)
}
func (p *fakeProcess) Ftruncate(fd int, size int64) error { return p.fds[fd].Truncate(p.t, size) }
func (p *fakeProcess) Fallocate(fd int, mode uint32, off, n int64) error {
	return p.fds[fd].Fallocate(p.t, mode, off, n)
}
func (p *fakeProcess) Setxattr(path, name string, value []byte, flags int) error {
	return p.k.Setxattr(p.t, path, name, value, flags, 0)
}
func (p *fakeProcess) Getxattr(path, name string, value []byte) (int, error) {
	return p.k.Getxattr(p.t, path, name, value, 0)
}
func (p *fakeProcess) Removexattr(path, name string) error {
	return p.k.Removexattr(p.t, path, name, 0)
}
func (p *fakeProcess) Statfs(path string, st *sys.Statfs) error { return p.k.Statfs(p.t, path, st) }
func (p *fakeProcess) Fsync(fd int) error                       { return p.fds[fd].Fsync(p.t) }
func (p *fakeProcess) Fstat(fd int, st *sys.Stat) error         { return p.fds[fd].Stat(p.t, st) }
func (p *fakeProcess) Getdents(fd int) ([]sys.Dirent, error)    { return p.fds[fd].Getdents(p.t) }
func (p *fakeProcess) Close(fd int) error {
	d := p.fds[fd]
	p.fds[fd] = nil
	p.k.DropPosixLocks(p.t.Owner, d)
	d.Decref(p.t)
	return nil
}
func (p *fakeProcess) Dup(fd int) (int, error) {
	p.fds[fd].Incref()
	return p.add(p.fds[fd], nil)
}
func (p *fakeProcess) Pipe2(flags int) (int, int, error) {
	r, w, err := p.k.NewPipe(p.t, flags)
	if err != nil {
		return -1, -1, err
	}
	rfd, _ := p.add(r, nil)
	wfd, _ := p.add(w, nil)
	return rfd, wfd, nil
}
func (p *fakeProcess) MemfdCreate(name string, flags int) (int, error) {
	return p.add(p.k.NewMemfd(p.t, name, flags))
}
func (p *fakeProcess) Getfl(fd int) (int, error)    { return p.fds[fd].Flags(), nil }
func (p *fakeProcess) Setfl(fd, flags int) error    { return p.fds[fd].SetFlags(p.t, flags) }
func (p *fakeProcess) AddSeals(fd, seals int) error { return p.fds[fd].AddSeals(seals) }
func (p *fakeProcess) Ready(fd int) (int16, error)  { return p.fds[fd].Ready(), nil }
func (p *fakeProcess) Mmap(fd int, off int64, length, prot, flags int) error {
	_, err := p.fds[fd].Mmap(p.t, off, length, prot, flags)
	return err
}
func (p *fakeProcess) Stat(path string, st *sys.Stat) error  { return p.k.Stat(p.t, path, st) }
func (p *fakeProcess) Lstat(path string, st *sys.Stat) error { return p.k.Lstat(p.t, path, st) }
func (p *fakeProcess) Mkdir(path string, mode uint32) error  { return p.k.Mkdir(p.t, path, mode) }
func (p *fakeProcess) Rmdir(path string) error               { return p.k.Rmdir(p.t, path) }
func (p *fakeProcess) Unlink(path string) error              { return p.k.Unlink(p.t, path) }
func (p *fakeProcess) Renameat2(a, b string, flags uint) error {
	return p.k.Rename(p.t, a, b, flags)
}
func (p *fakeProcess) Link(a, b string) error               { return p.k.Link(p.t, a, b) }
func (p *fakeProcess) Symlink(a, b string) error            { return p.k.Symlink(p.t, a, b) }
func (p *fakeProcess) Readlink(path string) (string, error) { return p.k.Readlink(p.t, path) }
func (p *fakeProcess) Mknod(path string, mode uint32, dev uint64) error {
	return p.k.Mknod(p.t, path, mode, dev)
}
func (p *fakeProcess) Chmod(path string, mode uint32) error { return p.k.Chmod(p.t, path, mode) }
func (p *fakeProcess) Fchmod(fd int, mode uint32) error     { return p.k.Fchmod(p.t, p.fds[fd], mode) }
func (p *fakeProcess) Chown(path string, u, g int) error    { return p.k.Chown(p.t, path, u, g) }
func (p *fakeProcess) Lchown(path string, u, g int) error   { return p.k.Lchown(p.t, path, u, g) }
func (p *fakeProcess) Fchown(fd, u, g int) error            { return p.k.Fchown(p.t, p.fds[fd], u, g) }
func (p *fakeProcess) Utimensat(path string, a, m sys.Timespec, flags int) error {
	return p.k.Utimensat(p.t, path, a, m, flags)
}
func (p *fakeProcess) Faccessat(path string, mode uint32, flags int) error {
	return p.k.Faccessat(p.t, path, mode, flags)
}
func (p *fakeProcess) Umask(mask int) int {
	old := p.t.Umask
	p.t.Umask = uint32(mask & 0o777)
	return int(old)
}
func (p *fakeProcess) Fsize(limit uint64)      { p.t.Fsize = limit }
func (p *fakeProcess) Flock(fd, how int) error { return p.k.Flock(p.t, p.fds[fd], how) }
func (p *fakeProcess) FcntlFlock(fd, cmd int, lk *sys.Flock) error {
	return p.k.FcntlFlock(p.t, p.fds[fd], cmd, lk)
}
func (p *fakeProcess) Chroot(path string) error {
	to, err := p.k.Chroot(p.t, path)
	if err == nil {
		p.t.Root = to
	}
	return err
}
func (p *fakeProcess) Chdir(path string) error {
	to, err := p.k.Chdir(p.t, path)
	if err == nil {
		p.t.Cwd = to
	}
	return err
}
func (p *fakeProcess) Fchdir(fd int) error {
	to, err := p.k.Fchdir(p.t, p.fds[fd])
	if err == nil {
		p.t.Cwd = to
	}
	return err
}
func (p *fakeProcess) Getcwd() (string, error) { return p.k.Getcwd(p.t.Root, p.t.Cwd) }
