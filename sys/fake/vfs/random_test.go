package vfs

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
)

// TestRandomAgainstLinux makes random calls on this package and on the real
// kernel: each result and, now and then, the whole tree must be the same.
func TestRandomAgainstLinux(t *testing.T) {
	m := newRealMachine(t)
	if m == nil {
		t.Skip("there is no real kernel to compare with")
	}
	m.close()
	rapid.Check(t, func(rt *rapid.T) {
		linux := newRealMachine(t)
		defer linux.close()
		fake := newFakeMachine(t)
		fake.last.fs.SetLimit(1 << 30) // statfs says nothing of a filesystem without
		fake.k.ProtectedSymlinks = sysctl("symlinks", 1) != 0
		fake.k.ProtectedHardlinks = sysctl("hardlinks", 1) != 0
		fake.k.ProtectedFifos = sysctl("fifos", 0)
		fake.k.ProtectedRegular = sysctl("regular", 0)
		both := [2]*interp{newInterp(fake), newInterp(linux)}
		same := func(call string) string {
			a, b := both[0].do(call), both[1].do(call)
			if a != b {
				rt.Fatalf("%s as %s\n\there  %s\n\tlinux %s", call, both[0].cur, a, b)
			}
			return a
		}
		same("as root") // the only one that is chrooted below
		same("umask 0")
		g := generator{rt: rt, in: both[0]}
		for _, actor := range actors {
			same("as " + actor)
			same("umask 0")
		}
		for _, call := range []string{"as root2", "chmod / 777", "mkdir /a 777", "mkdir /a/b 2777", "put /a/c 666 x", "mkdir /b 1777",
			"put /b/a 6777 xy", "symlink ../a /b/c", "put /c 666 xyz", "chown /b/a 1000 1001", "mkdir /a/a 777", "put /a/a/b 644 x"} {
			same(call)
		}
		n := rapid.IntRange(1, 80).Draw(rt, "calls")
		for i := range n {
			call := g.call()
			res := same(call)
			rt.Logf("%s: %s -> %s", both[0].cur, call, res)
			if strings.HasPrefix(call, "close ") {
				for _, in := range both {
					delete(in.fds, in.cur+"."+strings.Fields(call)[1])
				}
			}
			if i%20 == 19 || i == n-1 {
				here, there := snapshot(both[0]), snapshot(both[1])
				if here != there {
					rt.Fatalf("the trees differ after %s\nhere:\n%s\nlinux:\n%s", call, here, there)
				}
			}
		}
	})
}

var actors = []string{
	"root2",
	"u 1000 1000",
	"v 1001 1001 1000",
	"w 1002 1002 - 1,3",
	"x 1003 1003 1000,1001 0,2,4",
}

type generator struct {
	rt *rapid.T
	in *interp
}

func (g generator) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(g.rt, label)
}

func (g generator) path() string {
	parts := make([]string, rapid.SampledFrom([]int{1, 2, 2, 3}).Draw(g.rt, "depth"))
	for i := range parts {
		parts[i] = g.pick("name", "a", "b", "a", "b", "a", "b", "c", "c", "d", "..", ".")
	}
	return g.pick("start", "", "/", "") + strings.Join(parts, "/") + g.pick("end", "", "", "", "", "/")
}

func (g generator) mode() string {
	return g.pick("mode", "777", "777", "777", "666", "644", "755", "700", "1777", "2777", "4755", "6755", "2664", "0", "111", "444")
}

func (g generator) id() string { return g.pick("id", "-1", "0", "1000", "1001") }

func (g generator) xattr() string {
	return g.pick("xattr", "user.a", "user.b", "trusted.a", "security.a", "user.", "other.a")
}

func (g generator) call() string {
	fdName := g.pick("fd", "f", "g")
	if _, open := g.in.fds[g.in.cur+"."+fdName]; open && rapid.Bool().Draw(g.rt, "use fd") {
		return g.fdCall(fdName)
	}
	p := g.path()
	switch g.pick("op", "as", "mkdir", "mkdir", "put", "put", "open", "open", "open", "rmdir", "unlink", "rename", "rename", "rename",
		"link", "link", "symlink", "symlink", "mknod", "chmod", "chmod", "chown", "lchown", "stat", "lstat", "readlink", "ls", "cat",
		"exchange", "noreplace", "whiteout", "setxattr", "setxattr", "getxattr", "removexattr", "access", "utimes", "cd", "umask", "chroot", "pwd", "openat2") {
	case "as":
		return "as " + strings.Fields(g.pick("actor", actors...))[0]
	case "mkdir":
		return "mkdir " + p + " " + g.mode()
	case "put":
		return "open " + fdName + " " + p + " rw|creat|nonblock " + g.mode()
	case "open":
		flags := g.pick("access", "r", "w", "rw", "rw", "path", "none")
		for range rapid.IntRange(0, 3).Draw(g.rt, "flags") {
			flags += "|" + g.pick("flag", "creat", "creat", "excl", "trunc", "append", "dir", "nofollow", "noatime", "path")
		}
		return "open " + fdName + " " + p + " " + flags + "|nonblock " + g.mode()
	case "openat2":
		flags := g.pick("access", "r", "rw", "w|creat", "path")
		if flags != "path" {
			flags += "|nonblock"
		}
		flags += "|" + g.pick("resolve", "beneath", "inroot", "nosym", "noxdev", "nomagic", "beneath|nosym", "inroot|noxdev")
		mode := "0"
		if strings.Contains(flags, "creat") {
			mode = g.mode()
		}
		return "openat2 " + fdName + " cwd " + p + " " + flags + " " + mode
	case "rmdir":
		return "rmdir " + p
	case "unlink":
		return "unlink " + p
	case "rename":
		return "rename " + p + " " + g.path()
	case "exchange", "noreplace", "whiteout":
		return "rename " + p + " " + g.path() + " " + g.pick("flag", "exchange", "noreplace", "whiteout")
	case "setxattr":
		return "setxattr " + p + " " + g.xattr() + " " + g.pick("value", "x", "yy", "''", "{z*90}")
	case "getxattr":
		return "getxattr " + p + " " + g.xattr()
	case "removexattr":
		return "removexattr " + p + " " + g.xattr()
	case "link":
		return "link " + p + " " + g.path()
	case "symlink":
		return "symlink " + g.path() + " " + p
	case "mknod":
		return "mknod " + p + " " + g.pick("type", "10666", "140666", "100644", "20666") + " 0x103"
	case "chmod":
		return "chmod " + p + " " + g.mode()
	case "chown":
		return "chown " + p + " " + g.id() + " " + g.id()
	case "lchown":
		return "lchown " + p + " " + g.id() + " " + g.id()
	case "stat":
		return "stat " + p
	case "lstat":
		return "lstat " + p
	case "readlink":
		return "readlink " + p
	case "ls":
		return "ls " + p
	case "cat":
		// A fifo would block.
		return "access " + p + " 4"
	case "access":
		return "access " + p + " " + g.pick("may", "0", "1", "2", "3", "4", "5", "6", "7")
	case "utimes":
		return "utimes " + p + " " + g.pick("atime", "5", "now", "omit") + " " + g.pick("mtime", "6", "now", "omit")
	case "cd":
		return "cd " + p
	case "umask":
		return "umask " + g.pick("mask", "0", "022", "077", "027")
	case "chroot":
		return "chroot " + p
	}
	return "pwd"
}

func (g generator) fdCall(fd string) string {
	off := func() string { return fmt.Sprint(rapid.IntRange(-1, 9000).Draw(g.rt, "offset")) }
	text := func() string { return g.pick("text", "x", "hello", "{y*5000}", "''") }
	switch g.pick("op", "read", "write", "pread", "pwrite", "seek", "ftruncate", "fstat", "close", "getfl", "setfl", "fchmod",
		"fchown", "fchdir", "flock", "setlk", "getlk", "ofdlk", "ofdgetlk", "fsync", "openat2", "fgetdents", "fallocate", "fallocate", "holes") {
	case "read":
		return "read " + fd + " 100"
	case "write":
		return "write " + fd + " " + text()
	case "pread":
		return "pread " + fd + " 100 " + off()
	case "pwrite":
		return "pwrite " + fd + " " + text() + " " + off()
	case "seek":
		return "seek " + fd + " " + off() + " " + g.pick("whence", "set", "cur")
	case "holes":
		return "seek " + fd + " " + off() + " " + g.pick("whence", "data", "hole")
	case "fallocate":
		return "fallocate " + fd + " " + g.pick("mode", "-", "keep", "keep|punch", "keep|punch", "punch") + " " + off() + " " + off()
	case "ftruncate":
		return "ftruncate " + fd + " " + off()
	case "fstat":
		return "fstat " + fd
	case "close":
		return "close " + fd
	case "getfl":
		return "getfl " + fd
	case "setfl":
		return "setfl " + fd + " nonblock|" + g.pick("flag", "append", "noatime", "r")
	case "fchmod":
		return "fchmod " + fd + " " + g.mode()
	case "fchown":
		return "fchown " + fd + " " + g.id() + " " + g.id()
	case "fchdir":
		return "fchdir " + fd
	case "flock":
		return "flock " + fd + " " + g.pick("how", "sh|nb", "ex|nb", "un")
	case "setlk", "getlk", "ofdlk", "ofdgetlk":
		op := g.pick("lock", "setlk", "getlk", "ofdlk", "ofdgetlk")
		return op + " " + fd + " " + g.pick("type", "rd", "wr", "un") + " " +
			fmt.Sprint(rapid.IntRange(-1, 20).Draw(g.rt, "start")) + " " + fmt.Sprint(rapid.IntRange(-3, 8).Draw(g.rt, "len")) + " " +
			g.pick("whence", "set", "cur", "end")
	case "fsync":
		return "fsync " + fd
	case "openat2":
		return "openat2 " + fd + " " + fd + " " + g.path() + " path|" + g.pick("resolve", "beneath", "inroot", "nosym") + " 0"
	}
	return "fstat " + fd
}

// snapshot is the whole tree as root sees it.
func snapshot(in *interp) string {
	p := in.procs["root"]
	var b strings.Builder
	first := map[uint64]string{} // the name under which an inode was met first
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range strings.Fields(in.ls(p, dir+"/")) {
			name, _, _ = strings.Cut(name, ":")
			if name == "." || name == ".." || name == "ENOENT" {
				continue
			}
			path := dir + "/" + name
			var st sys.Stat
			p.Lstat(path, &st)
			fmt.Fprintf(&b, "%s %s", path, statString(&st))
			for _, x := range []string{"user.a", "user.b", "trusted.a", "security.a"} {
				value := make([]byte, 100)
				if n, err := p.Getxattr(path, x, value); err == nil && st.Mode&sys.S_IFMT != sys.S_IFLNK { // which would be followed
					fmt.Fprintf(&b, " %s=%s", x, value[:n])
				}
			}
			if st.Nlink > 1 && !st.IsDir() {
				if first[st.Ino] == "" {
					first[st.Ino] = path
				}
				fmt.Fprintf(&b, " = %s", first[st.Ino])
			}
			switch st.Mode & sys.S_IFMT {
			case sys.S_IFLNK:
				s, _ := p.Readlink(path)
				b.WriteString(" -> " + s)
			case sys.S_IFREG:
				fd, err := p.Open(path, sys.O_RDONLY|sys.O_NOATIME, 0)
				buf := make([]byte, 20_000)
				n, _ := p.Read(fd, buf)
				p.Close(fd)
				h := uint32(2166136261)
				for _, c := range buf[:n] {
					h = (h ^ uint32(c)) * 16777619
				}
				fmt.Fprintf(&b, " %d %08x %v blocks %d", n, h, err, st.Blocks)
			}
			b.WriteByte('\n')
			if st.IsDir() {
				walk(path)
			}
		}
	}
	walk("")
	var fs sys.Statfs
	p.Statfs("/", &fs)
	fmt.Fprintf(&b, "%d pages in use\n", fs.Blocks-fs.Bfree)
	return b.String()
}

// TestRandomPipeAgainstLinux compares how much fits into a pipe, and when it is
// ready, write by write.
func TestRandomPipeAgainstLinux(t *testing.T) {
	linux := newRealMachine(t)
	if linux == nil {
		t.Skip("there is no real kernel to compare with")
	}
	real, fake := newInterp(linux), newInterp(newFakeMachine(t))
	rapid.Check(t, func(rt *rapid.T) {
		same := func(call string) {
			if a, b := fake.do(call), real.do(call); a != b {
				rt.Fatalf("%s\n\there  %s\n\tlinux %s", call, a, b)
			}
		}
		same("pipe r w nonblock")
		defer same("close w")
		defer same("close r")
		sizes := rapid.OneOf(rapid.IntRange(0, 9000), rapid.SampledFrom([]int{1, 4095, 4096, 4097, 8191, 65536, 70000}))
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			n := sizes.Draw(rt, "size")
			switch rapid.SampledFrom([]string{"write", "write", "read", "ready"}).Draw(rt, "op") {
			case "write":
				same(fmt.Sprintf("write w {x*%d}", n))
			case "read":
				same(fmt.Sprintf("read r %d", n))
			default:
				same("ready r")
				same("ready w")
			}
		}
	})
}

// TestRandomData compares the pages of a file, some of them mapped, with a plain
// slice.
func TestRandomData(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const limit = 40_000
		k, task := newTree()
		d, err := k.Open(task, Path{}, "/f", BuildOpenHow(sys.O_RDWR|sys.O_CREAT, 0o600))
		if err != nil {
			rt.Fatal(err)
		}
		type mapping struct {
			off int
			mem []byte
		}
		var want []byte // the file
		var maps []mapping
		offset := rapid.OneOf(rapid.IntRange(0, limit), rapid.Map(rapid.IntRange(0, 9), func(i int) int { return i * PageSize }))
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			off := offset.Draw(rt, "offset")
			n := rapid.IntRange(1, 9000).Draw(rt, "size")
			switch rapid.SampledFrom([]string{"write", "write", "truncate", "allocate", "punch", "map", "store"}).Draw(rt, "op") {
			case "write":
				p := bytes.Repeat([]byte{byte(1 + rapid.IntRange(0, 250).Draw(rt, "byte"))}, n)
				if got, err := d.Pwrite(task, p, int64(off)); got != n || err != nil {
					rt.Fatalf("pwrite: %d, %v", got, err)
				}
				if end := off + n; end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
				copy(want[off:], p)
			case "truncate":
				if err := d.Truncate(task, int64(off)); err != nil {
					rt.Fatal(err)
				}
				if off <= len(want) {
					want = want[:off:off]
				} else {
					want = append(want, make([]byte, off-len(want))...)
				}
			case "allocate":
				if err := d.Fallocate(task, 0, int64(off), int64(n)); err != nil {
					rt.Fatal(err)
				}
				if end := off + n; end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
			case "punch":
				if err := d.Fallocate(task, sys.FALLOC_FL_PUNCH_HOLE|sys.FALLOC_FL_KEEP_SIZE, int64(off), int64(n)); err != nil {
					rt.Fatal(err)
				}
				if off < len(want) {
					clear(want[off:min(off+n, len(want))])
				}
			case "map":
				off = off / PageSize * PageSize
				mem, err := d.Mmap(task, int64(off), n, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
				if err == nil {
					maps = append(maps, mapping{off, mem})
				} else if err != sys.ENOMEM || len(maps) == 0 {
					rt.Fatal(err)
				}
			case "store":
				for _, m := range maps {
					if m.off < len(want) { // beyond the end it would be SIGBUS
						m.mem[0]++
						want[m.off]++
					}
				}
			}
			got := make([]byte, len(want)+10)
			if n, _ := d.Pread(task, got, 0); n != len(want) || !bytes.Equal(got[:n], want) {
				rt.Fatalf("the file differs (%d bytes, want %d)", n, len(want))
			}
			for _, m := range maps {
				for i, c := range m.mem {
					in := byte(0)
					if m.off+i < len(want) {
						in = want[m.off+i]
					}
					if c != in {
						rt.Fatalf("mapping at %d: byte %d is %d, want %d", m.off, i, c, in)
					}
				}
			}
			pages := 0
			for i := range int64(2 * limit / PageSize) {
				if d.Inode().data.allocated(i) != nil {
					pages++
				}
			}
			if used := k.RootFS().Used(); used != int64(pages)*PageSize {
				rt.Fatalf("%d bytes in use, %d pages", used, pages)
			}
		}
	})
}
