package vfs

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

func newTree() (*Tree, *Task) {
	k := New(time.Unix(1_767_225_600, 0))
	return k, k.imageTask()
}

func TestMmapShares(t *testing.T) {
	k, task := newTree()
	if err := k.Image().WriteFile("/f", []byte("hello world"), 0o644); err != nil {
		t.Fatal(err)
	}
	a, _ := k.Open(task, Path{}, "/f", BuildOpenHow(sys.O_RDWR, 0))
	b, _ := k.Open(task, Path{}, "/f", BuildOpenHow(sys.O_RDWR, 0))
	const rw = sys.PROT_READ | sys.PROT_WRITE
	ma, err := a.Mmap(task, 0, 4096, rw, sys.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	mb, err := b.Mmap(task, 0, 100, rw, sys.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if &ma[0] != &mb[0] {
		t.Fatal("two mappings of one file do not share its memory")
	}
	if got := string(ma[:12]); got != "hello world\x00" {
		t.Errorf("mapped %q", got)
	}
	ma[0] = 'J'
	buf := make([]byte, 5)
	if b.Pread(task, buf, 0); string(buf) != "Jello" {
		t.Errorf("read %q", buf)
	}
	a.Pwrite(task, []byte("xyz"), 6)
	if got := string(mb[:11]); got != "Jello xyzld" {
		t.Errorf("mapped after write %q", got)
	}
	// The file grows: what is in the region stays shared, the rest is elsewhere.
	a.Truncate(task, 20_000)
	a.Pwrite(task, []byte("far"), 5000)
	a.Pwrite(task, []byte("further"), 16_000)
	mc, err := b.Mmap(task, 0, 8192, rw, sys.MAP_SHARED)
	if err != nil || &mc[0] != &ma[0] {
		t.Fatalf("a mapping of twice the size: %v", err)
	}
	if got := string(mc[5000:5003]); got != "far" {
		t.Errorf("mapped %q", got)
	}
	if _, err := b.Mmap(task, 0, 16384, rw, sys.MAP_SHARED); err != sys.ENOMEM {
		t.Errorf("a mapping beyond the region: %v, want ENOMEM", err)
	}
	md, err := b.Mmap(task, 12288, 4096, rw, sys.MAP_SHARED)
	if err != nil || string(md[16_000-12288:][:7]) != "further" {
		t.Errorf("a mapping elsewhere: %v", err)
	}
	// A cut and growth again read as zeros, in the mapping too.
	a.Truncate(task, 3)
	a.Truncate(task, 8192)
	if got := string(ma[:6]); got != "Jel\x00\x00\x00" {
		t.Errorf("mapped after ftruncate %q", got)
	}
	if !bytes.Equal(mc[4096:], make([]byte, 4096)) {
		t.Error("what was cut off is still there")
	}
	priv, err := a.Mmap(task, 0, 3, rw, sys.MAP_PRIVATE)
	if err != nil || string(priv) != "Jel" {
		t.Errorf("private mapping %q, %v", priv, err)
	}
	priv[0] = '!'
	if ma[0] != 'J' {
		t.Error("a private mapping is shared")
	}
}

func TestSharedBytes(t *testing.T) {
	mem := alignedBytes(64)
	want := make([]byte, 64)
	for at := range 24 {
		for n := range 24 {
			src := bytes.Repeat([]byte{byte(at*24 + n + 1)}, n)
			storeBytes(mem[at:at+n], src)
			copy(want[at:], src)
			if !bytes.Equal(mem, want) {
				t.Fatalf("store of %d at %d", n, at)
			}
			got := make([]byte, n)
			if loadBytes(got, mem[at:]); !bytes.Equal(got, want[at:at+n]) {
				t.Fatalf("load of %d at %d", n, at)
			}
		}
	}
}

func TestRelatime(t *testing.T) {
	k, task := newTree()
	img := k.Image()
	img.WriteFile("/f", []byte("x"), 0o644)
	now := k.start / 1e9
	for _, test := range []struct {
		name         string
		atime, mtime int64
		flags        int
		want         int64
	}{
		{"older than mtime", now - 10, now - 5, 0, now},
		{"as old as mtime", now - 5, now - 5, 0, now},
		{"newer than mtime, but ctime is now", now - 3, now - 5, 0, now},
		{"O_NOATIME", now - 10, now - 5, sys.O_NOATIME, now - 10},
		{"in the future", now + 10, now - 5, 0, now + 10},
		{"a day old", now - 100_000, now - 200_000, 0, now},
	} {
		img.Utimens("/f", sys.Timespec{Sec: test.atime}, sys.Timespec{Sec: test.mtime})
		d, err := k.Open(task, Path{}, "/f", BuildOpenHow(sys.O_RDONLY|test.flags, 0))
		if err != nil {
			t.Fatal(err)
		}
		d.Read(task, make([]byte, 1))
		d.Decref(task)
		var st sys.Stat
		img.Lstat("/f", &st)
		if st.Atim.Sec != test.want {
			t.Errorf("%s: atime is %d, want %d", test.name, st.Atim.Sec-now, test.want-now)
		}
	}
}

func TestProgram(t *testing.T) {
	k, task := newTree()
	prog := func(sys.Sys, []string, []string) int { return 7 }
	if err := k.InstallProgram("/usr/sbin/httpd", 0o755, prog); err != nil {
		t.Fatal(err)
	}
	img := k.Image()
	run := func(path string, c *Cred) string {
		task := *task
		if c != nil {
			task.Cred = c
		}
		p, err := k.Lookup(&task, path, true)
		if err != nil {
			return result("", err)
		}
		prog, err := k.Program(&task, p)
		if err != nil {
			return result("", err)
		}
		return fmt.Sprint(prog(nil, nil, nil))
	}
	img.Link("/usr/sbin/httpd", "/linked")
	img.Symlink("/linked", "/symlinked")
	text, _ := img.ReadFile("/linked")
	img.WriteFile("/copied", text, 0o755)
	img.WriteFile("/plain", text, 0o644)
	img.WriteFile("/script", []byte("#!/bin/sh\n"), 0o755)
	img.MkdirAll("/noexec", 0o755)
	k.Mount("/noexec", MountNoexec)
	img.WriteFile("/noexec/httpd", text, 0o755)
	img.WriteFile("/owner", text, 0o700)
	user := &Cred{Uid: 1000, Gid: 1000}
	for _, test := range []struct {
		path string
		cred *Cred
		want string
	}{
		{"/usr/sbin/httpd", user, "7"},
		{"/symlinked", user, "7"},
		{"/copied", user, "7"},
		{"/plain", nil, "EACCES"},
		{"/script", nil, "ENOEXEC"},
		{"/noexec/httpd", nil, "EACCES"},
		{"/usr", nil, "EACCES"},
		{"/owner", nil, "7"},
		{"/owner", user, "EACCES"},
	} {
		if got := run(test.path, test.cred); got != test.want {
			t.Errorf("%s: got %s, want %s", test.path, got, test.want)
		}
	}
	w, err := k.Open(task, Path{}, "/copied", BuildOpenHow(sys.O_WRONLY, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got := run("/copied", nil); got != "ETXTBSY" {
		t.Errorf("open to write: %s", got)
	}
	w.Write(task, []byte("garbage"))
	w.Decref(task)
	if got := run("/copied", nil); got != "ENOEXEC" {
		t.Errorf("overwritten: %s", got)
	}
	p, _ := k.Lookup(task, "/linked", true)
	k.DenyWrite(p)
	if _, err := k.Open(task, Path{}, "/usr/sbin/httpd", BuildOpenHow(sys.O_RDWR, 0)); err != sys.ETXTBSY {
		t.Errorf("writing what runs: %v", err)
	}
	k.AllowWrite(p)
	if d, err := k.Open(task, Path{}, "/usr/sbin/httpd", BuildOpenHow(sys.O_RDWR, 0)); err != nil {
		t.Errorf("writing what no longer runs: %v", err)
	} else {
		d.Decref(task)
	}
}

func TestSocketInode(t *testing.T) {
	k, root := newTree()
	k.Image().MkdirAll("/run", 0o777)
	user := *root
	user.Cred = &Cred{Uid: 1000}
	user.image = false
	user.Umask = 0o027
	p, err := k.BindSocket(&user, "/run/s", 0o777, "listener")
	if err != nil {
		t.Fatal(err)
	}
	var st sys.Stat
	if k.Stat(root, "/run/s", &st); st.Mode != sys.S_IFSOCK|0o750 {
		t.Errorf("mode is %o", st.Mode)
	}
	if _, err := k.BindSocket(&user, "/run/s", 0o777, "other"); err != sys.EADDRINUSE {
		t.Errorf("bind again: %v", err)
	}
	if _, err := k.BindSocket(&user, "/nope/s", 0o777, "other"); err != sys.ENOENT {
		t.Errorf("bind nowhere: %v", err)
	}
	if sock, err := k.LookupSocket(&user, "/run/s"); sock != "listener" || err != nil {
		t.Errorf("lookup: %v, %v", sock, err)
	}
	other := user
	other.Cred = &Cred{Uid: 1001}
	if _, err := k.LookupSocket(&other, "/run/s"); err != sys.EACCES {
		t.Errorf("lookup by others: %v", err)
	}
	k.Image().WriteFile("/run/f", nil, 0o666)
	if _, err := k.LookupSocket(&other, "/run/f"); err != sys.ECONNREFUSED {
		t.Errorf("lookup of a file: %v", err)
	}
	k.UnbindSocket(p)
	if _, err := k.LookupSocket(&user, "/run/s"); err != sys.ECONNREFUSED {
		t.Errorf("lookup after close: %v", err)
	}
}

func TestMagic(t *testing.T) {
	k, task := newTree()
	img := k.Image()
	img.MkdirAll("/jail/etc", 0o755)
	img.WriteFile("/jail/etc/motd", []byte("inside"), 0o644)
	img.MkdirAll("/proc", 0o555)
	jail, _ := k.Lookup(task, "/jail", true)
	pr, pw, _ := k.NewPipe(task, 0)
	reads := 0
	text := func(s string) func(*Task) (string, error) {
		return func(*Task) (string, error) { reads++; return s, nil }
	}
	link := func(p Path) *MagicNode {
		return &MagicNode{
			Mode: sys.S_IFLNK | 0o777,
			Jump: func(*Task) (Path, error) { return p, nil },
			Text: func(t *Task) (string, error) { return k.PathString(t.Root, p), nil },
		}
	}
	files := map[string]*MagicNode{
		"self":   {Mode: sys.S_IFLNK | 0o777, Text: text("42")},
		"root":   link(jail),
		"pipe":   link(pr.Path),
		"socket": link(Path{}),
		"text":   {Mode: sys.S_IFREG | 0o444, Text: text("line 1\nline 2\n")},
		"denied": {Mode: sys.S_IFLNK | 0o777, Jump: func(*Task) (Path, error) { return Path{}, sys.EACCES }},
	}
	dir := &MagicNode{
		Mode: sys.S_IFDIR | 0o555,
		Lookup: func(_ *Task, name string) (*MagicNode, error) {
			if n := files[name]; n != nil {
				return n, nil
			}
			return nil, sys.ENOENT
		},
		List: func(*Task) []sys.Dirent { return []sys.Dirent{{Name: "self", Type: sys.DT_LNK}} },
	}
	files["42"] = dir
	if _, err := k.MountMagic("/proc", "proc", dir, 0); err != nil {
		t.Fatal(err)
	}
	in := newInterp(&fakeMachine{k: k, root: k.Root()})
	in.run(t, `
		readlink /proc/self -> 42
		cat /proc/self/text -> "line 1\nline 2\n"
		open f /proc/text r
		read f 6 -> "line 1"
		read f 20 -> "\nline 2\n"
		read f 20 -> ""
		seek f 0 set -> 0
		pread f 4 5 -> "1\nli"
		write f x -> EBADF
		cat /proc/root/etc/motd -> "inside"
		cat /proc/self/root/../proc/text -> "line 1\nline 2\n"
		readlink /proc/root -> /jail
		stat /proc/nope -> ENOENT
		stat /proc/denied -> EACCES
		stat /proc/denied/x -> EACCES
		lstat /proc/denied -> l0777 0:0 n1 s0
		try /proc/socket r -> ENXIO
		try /proc/new w|creat 644 -> ENOENT
		mkdir /proc/new -> ENOENT
		mkdir /proc/text -> EEXIST
		symlink x /proc/new -> ENOENT
		link /proc/text /proc/new -> ENOENT
		rename /proc/text /proc/new -> ENOENT
		rename /proc/text /proc/self/text -> EPERM
		unlink /proc/text -> EPERM
		rmdir /proc/42 -> EPERM
		chmod /proc/text 777 -> EPERM
		ls /proc -> ..:4 .:4 self:10
		openat2 x cwd /proc/root r|nomagic -> ELOOP
		openat2 x cwd /proc/self/text r|nomagic
		openat2 x cwd /proc/self/text r|nosym -> ELOOP
		open d /proc r|dir
		openat2 x d root/etc r|beneath -> EXDEV
		openat2 x d root/etc r|inroot -> EXDEV
		openat2 x d root/etc r|noxdev -> EXDEV
		openat2 x d self/text r|beneath
		cd /proc/root/etc
		pwd -> /jail/etc
		cd /proc/self/42
		pwd -> /proc/42/42
		open again /proc/pipe w|nonblock
		write again hello -> 5
	`)
	buf := make([]byte, 9)
	if n, err := pr.Read(task, buf); string(buf[:n]) != "hello" || err != nil {
		t.Errorf("the pipe opened by its link: %q, %v", buf[:n], err)
	}
	if s := k.PathString(k.Root(), pr.Path); !strings.HasPrefix(s, "pipe:[") {
		t.Errorf("name of a pipe is %q", s)
	}
	pw.Decref(task)
}

func TestPathString(t *testing.T) {
	k, task := newTree()
	img := k.Image()
	img.MkdirAll("/jail/a", 0o755)
	img.WriteFile("/jail/a/f", nil, 0o644)
	img.MkdirAll("/mnt", 0o755)
	k.Mount("/mnt", 0)
	img.MkdirAll("/mnt/x", 0o755)
	jail, _ := k.Lookup(task, "/jail", true)
	f, _ := k.Lookup(task, "/jail/a/f", true)
	x, _ := k.Lookup(task, "/mnt/x", true)
	mem, _ := k.NewMemfd(task, "scoreboard", 0)
	for _, test := range []struct {
		root, p Path
		want    string
	}{
		{k.Root(), f, "/jail/a/f"},
		{jail, f, "/a/f"},
		{jail, jail, "/"},
		{k.Root(), k.Root(), "/"},
		{k.Root(), x, "/mnt/x"},
		{x, f, "/jail/a/f"},
		{k.Root(), mem.Path, "/memfd:scoreboard (deleted)"},
	} {
		if got := k.PathString(test.root, test.p); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	img.Remove("/jail/a/f")
	if got := k.PathString(jail, f); got != "/a/f (deleted)" {
		t.Errorf("removed: %s", got)
	}
}

// TestGetdentsWhileChanging reads a directory in pieces while names come and go:
// what stays is seen exactly once.
func TestGetdentsWhileChanging(t *testing.T) {
	k, task := newTree()
	img := k.Image()
	img.MkdirAll("/d", 0o755)
	name := func(i int) string { return fmt.Sprintf("/d/%s%04d", strings.Repeat("n", 90), i) }
	for i := range 3000 {
		img.WriteFile(name(i), nil, 0o644)
	}
	d, _ := k.Open(task, Path{}, "/d", BuildOpenHow(sys.O_RDONLY|sys.O_DIRECTORY, 0))
	seen := map[string]int{}
	for batch := 0; ; batch++ {
		ents, err := d.Getdents(task)
		if err != nil {
			t.Fatal(err)
		}
		if len(ents) == 0 {
			if batch < 5 {
				t.Errorf("everything came in %d batches", batch)
			}
			break
		}
		for _, e := range ents {
			seen["/d/"+e.Name]++
		}
		// Remove two of three of what was read, and some of what was not.
		for i := batch * 200; i < batch*200+200; i++ {
			if i%3 != 0 {
				img.Remove(name(i))
			}
		}
	}
	for i := 0; i < 3000; i += 3 {
		if seen[name(i)] != 1 {
			t.Fatalf("%s was seen %d times", name(i), seen[name(i)])
		}
	}
	d.Lseek(task, 0, sys.SEEK_SET)
	ents, _ := d.Getdents(task)
	if ents[0].Name != "." || ents[1].Name != ".." || "/d/"+ents[2].Name != name(0) {
		t.Error("not in the order of making")
	}
}

func TestImage(t *testing.T) {
	k, _ := newTree()
	img := k.Image()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	check(img.MkdirAll("/a/b/c", 0o2750))
	check(img.MkdirAll("/a/b/c/", 0o700))
	check(img.WriteFile("/a/b/f", []byte("text"), 0o4755))
	check(img.Symlink("b/f", "/a/l"))
	check(img.Lchown("/a/l", 5, 6))
	check(img.Mknod("/a/null", sys.S_IFCHR|0o666, 1, 3))
	check(img.Chmod("/a/l", 0o600))
	var st sys.Stat
	check(img.Lstat("/a/b/c", &st))
	if st.Mode != sys.S_IFDIR|0o2750 {
		t.Errorf("mode of c is %o", st.Mode)
	}
	check(img.Lstat("/a/b/f", &st))
	if st.Mode != sys.S_IFREG|0o600 || st.Size != 4 {
		t.Errorf("mode of f is %o", st.Mode)
	}
	check(img.Lstat("/a/null", &st))
	if st.Rdev != 0x103 {
		t.Errorf("rdev of null is %#x", st.Rdev)
	}
	if data, err := img.ReadFile("/a/l"); string(data) != "text" || err != nil {
		t.Errorf("content %q, %v", data, err)
	}
	ents, err := img.ReadDir("/a")
	if err != nil || len(ents) != 3 || ents[0].Name != "b" || ents[1].Name != "l" || ents[2].Name != "null" {
		t.Errorf("entries %v, %v", ents, err)
	}
	check(img.Remove("/a/b/c"))
	check(img.Remove("/a/b/f"))
	if err := img.Remove("/a"); err != sys.ENOTEMPTY {
		t.Errorf("removing a full directory: %v", err)
	}
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	check(img.WriteFile("/big", big, 0o644))
	if data, _ := img.ReadFile("/big"); !bytes.Equal(data, big) {
		t.Error("a large file reads back differently")
	}
	if used := k.RootFS().Used(); used != (1_000_000+4095)/4096*4096 {
		t.Errorf("%d bytes in use", used)
	}
	check(img.Remove("/big"))
	if used := k.RootFS().Used(); used != 0 {
		t.Errorf("%d bytes in use after removal", used)
	}
}

func TestStatAllocatesNothing(t *testing.T) {
	k, task := newTree()
	k.Image().MkdirAll("/var/www/html", 0o755)
	k.Image().WriteFile("/var/www/html/index.html", make([]byte, 1000), 0o644)
	var st sys.Stat
	if n := testing.AllocsPerRun(100, func() { k.Stat(task, "/var/www/html/index.html", &st) }); n != 0 {
		t.Errorf("stat allocates %v times", n)
	}
}
