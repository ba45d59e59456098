package real

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// self opens the test binary for Spawn, well above the descriptors of a child.
func self(t testing.TB, s sys.Sys) int {
	fd, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, s, fd)
	return fd
}

// exitStatus waits for pid.
func exitStatus(t testing.TB, s sys.Sys, pid int) sys.WaitStatus {
	t.Helper()
	for {
		got, status, err := s.Wait4(pid, 0)
		if err == sys.EINTR {
			continue
		}
		if err != nil || got != pid {
			t.Fatalf("Wait4(%d): %d, %v", pid, got, err)
		}
		return status
	}
}

// readAll reads fd to its end.
func readAll(s sys.Sys, fd int) string {
	var all []byte
	p := make([]byte, 4096)
	for {
		n, err := s.Read(fd, p)
		if err == sys.EINTR {
			continue
		}
		if n == 0 || err != nil {
			return string(all)
		}
		all = append(all, p[:n]...)
	}
}

func init() {
	children["report"] = func(s sys.Sys) int {
		pgid, _ := s.Getpgid(0)
		fmt.Printf("argv=%q leader=%v fds=%v env=%s\n", os.Args, pgid == s.Getpid(), openFds(s), os.Getenv("X"))
		return 7
	}
	children["identify"] = func(s sys.Sys) int {
		for _, fd := range openFds(s) {
			var st sys.Stat
			s.Fstat(fd, &st)
			fmt.Printf("%d:%d ", fd, st.Ino)
		}
		return 0
	}
	children["exit0"] = func(sys.Sys) int { return 0 }
	children["sleep"] = func(s sys.Sys) int { s.Nanosleep(time.Minute); return 0 }
	children["spawner"] = func(s sys.Sys) int {
		exe, _ := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
		pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"sleep"}, Env: childEnviron("sleep"),
			Files: []int{0, 1, 2}, Pdeathsig: sys.SIGKILL})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(pid)
		return 0
	}
	children["emptyjail"] = emptyJail
}

// openFds are the descriptors without FD_CLOEXEC: those that the program was
// given, as the Go runtime sets the flag on its own.
func openFds(s sys.Sys) (fds []int) {
	for fd := range 200 {
		if flags, err := s.Fcntl(fd, sys.F_GETFD, 0); err == nil && flags&sys.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestSpawn(t *testing.T) {
	s := New()
	exe := self(t, s)
	r, w, err := s.Pipe2(0) // without O_CLOEXEC: Spawn has to close them in the child
	ok(t, err)
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, null, r)
	pid, err := s.Spawn(&sys.SpawnAttr{
		Exe: exe, Argv: []string{"httpjail: worker 3", "two"}, Env: append(childEnviron("report"), "X=y"),
		Files: []int{null, w, w, null, w}, Setpgid: true,
	})
	ok(t, err)
	ok(t, s.Close(w))
	if got, want := readAll(s, r), `argv=["httpjail: worker 3" "two"] leader=true fds=[0 1 2 3 4] env=y`+"\n"; got != want {
		t.Errorf("child says %q, want %q", got, want)
	}
	if st := exitStatus(t, s, pid); !st.Exited() || st.ExitStatus() != 7 {
		t.Errorf("status %#x, want exit 7", st)
	}
}

// TestSpawnFiles permutes descriptors whose numbers are targets themselves.
func TestSpawnFiles(t *testing.T) {
	s := New()
	exe := self(t, s)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r, w)
	// Files at the low numbers, and the executable among them.
	fds := []int{}
	dir := t.TempDir()
	for i := range 6 {
		fd, err := s.Open(filepath.Join(dir, fmt.Sprint(i)), sys.O_CREAT|sys.O_RDWR|sys.O_CLOEXEC, 0o600)
		ok(t, err)
		fds = append(fds, fd)
	}
	closing(t, s, fds...)
	inode := func(fd int) uint64 {
		var st sys.Stat
		ok(t, s.Fstat(fd, &st))
		return st.Ino
	}
	size := slices.Max(fds) + 2
	identity := make([]int, size)
	reversed := make([]int, size)
	rotated := make([]int, size)
	for i := range size {
		identity[i], reversed[i], rotated[i] = w, w, w
	}
	for i, fd := range fds {
		identity[fd] = fd
		reversed[fds[len(fds)-1-i]] = fd
		rotated[fds[(i+1)%len(fds)]] = fd
	}
	identity[exe], reversed[exe] = w, exe
	for name, files := range map[string][]int{"identity": identity, "reversed": reversed, "rotated": rotated} {
		files[1] = w
		var want strings.Builder
		for i, fd := range files {
			fmt.Fprintf(&want, "%d:%d ", i, inode(fd))
		}
		pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"identify"}, Env: childEnviron("identify"), Files: files})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := make([]byte, 65536)
		exitStatus(t, s, pid)
		n, err := s.Read(r, p)
		ok(t, err)
		if got := string(p[:n]); got != want.String() {
			t.Errorf("%s %v:\ngot  %s\nwant %s", name, files, got, &want)
		}
	}
}

func TestSpawnErrors(t *testing.T) {
	s := New()
	exe := self(t, s)
	dir := t.TempDir()
	open := func(path string) int {
		fd, err := s.Open(path, sys.O_PATH|sys.O_CLOEXEC, 0)
		ok(t, err)
		closing(t, s, fd)
		return fd
	}
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(content), mode))
		return path
	}
	argv := []string{"x"}
	std := []int{0, 1, 2}
	for name, tt := range map[string]struct {
		attr sys.SpawnAttr
		want sys.Errno
	}{
		"not executable":        {sys.SpawnAttr{Exe: open(write("plain", "text", 0o600)), Argv: argv, Files: std}, sys.EACCES},
		"a directory":           {sys.SpawnAttr{Exe: open(dir), Argv: argv, Files: std}, sys.EACCES},
		"no format":             {sys.SpawnAttr{Exe: open(write("noexec", "text", 0o700)), Argv: argv, Files: std}, sys.ENOEXEC},
		"script":                {sys.SpawnAttr{Exe: open(write("script", "#!/nonexistent\n", 0o700)), Argv: argv, Files: std}, sys.ENOENT},
		"closed executable":     {sys.SpawnAttr{Exe: 999, Argv: argv, Files: std}, sys.EBADF},
		"closed file":           {sys.SpawnAttr{Exe: exe, Argv: argv, Files: []int{0, 999, 2}}, sys.EBADF},
		"closed file, in place": {sys.SpawnAttr{Exe: exe, Argv: argv, Files: append(slices.Repeat([]int{0}, 199), 199)}, sys.EBADF},
		"negative file":         {sys.SpawnAttr{Exe: exe, Argv: argv, Files: []int{0, 1, -1}}, sys.EBADF},
		"bad signal":            {sys.SpawnAttr{Exe: exe, Argv: argv, Files: std, Pdeathsig: 99}, sys.EINVAL},
		"NUL in argv":           {sys.SpawnAttr{Exe: exe, Argv: []string{"a\x00b"}, Files: std}, sys.EINVAL},
		"too long":              {sys.SpawnAttr{Exe: exe, Argv: []string{strings.Repeat("x", 1<<18)}, Files: std}, sys.E2BIG},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Spawn(&tt.attr)
			fails(t, err, tt.want)
		})
	}
	if _, _, err := s.Wait4(-1, sys.WNOHANG); err != sys.ECHILD {
		t.Errorf("failed spawns left a child behind: %v", err)
	}
}

// TestSpawnConcurrently also has garbage collected meanwhile: the child runs on
// our memory.
func TestSpawnConcurrently(t *testing.T) {
	s := New()
	exe := self(t, s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := New()
			for j := range 5 {
				files := []int{0, 1, 2}
				if i%2 == 1 {
					files = append(files, 999)
				}
				pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Env: childEnviron("exit0"), Files: files})
				if i%2 == 1 {
					if err != sys.EBADF {
						t.Errorf("spawn %d: %v, want EBADF", j, err)
					}
					runtime.GC()
					continue
				}
				if err != nil {
					t.Errorf("spawn %d: %v", j, err)
					continue
				}
				if st := exitStatus(t, s, pid); st != 0 {
					t.Errorf("spawn %d: status %#x", j, st)
				}
			}
		})
	}
	wg.Wait()
}

func TestSpawnPdeathsig(t *testing.T) {
	s := New()
	pid := 0
	if _, err := fmt.Sscan(runChild(t, "spawner"), &pid); err != nil {
		t.Fatal(err)
	}
	// The grandchild is nobody's that we can wait for; it goes soon.
	for range 500 {
		if st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(st), ") Z ") {
			return
		}
		s.Nanosleep(10 * time.Millisecond)
	}
	t.Errorf("grandchild %d outlived its parent", pid)
	s.Kill(pid, sys.SIGKILL)
}

// emptyJail spawns this program from inside an empty directory.
func emptyJail(s sys.Sys) int {
	exe, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := s.Chroot(os.Args[1]); err != nil {
		fmt.Println("chroot:", err)
		return 1
	}
	if err := s.Chdir("/"); err != nil {
		fmt.Println("chdir:", err)
		return 1
	}
	fd, err := s.Open("/", sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	list, err := s.Getdents(fd)
	if err != nil || len(list) != 2 {
		fmt.Println("the jail is not empty:", list, err)
		return 1
	}
	pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"inside"}, Env: childEnviron("report"), Files: []int{0, 1, 2, 0}, Setpgid: true})
	if err != nil {
		fmt.Println("spawn:", err)
		return 1
	}
	_, status, err := s.Wait4(pid, 0)
	fmt.Println("status", status.ExitStatus(), err)
	return 0
}

func TestSpawnInEmptyJail(t *testing.T) {
	needRoot(t)
	if cgo {
		t.Skip("a cgo test binary needs its dynamic linker, which an empty jail has not")
	}
	got := runChild(t, "emptyjail", t.TempDir())
	want := `argv=["inside"] leader=true fds=[0 1 2 3] env=` + "\nstatus 7 <nil>"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// BenchmarkSpawn shows that the heap's size does not matter, beside os/exec.
func BenchmarkSpawn(b *testing.B) {
	s := New()
	exe := self(b, s)
	for _, size := range []int{0, 512 << 20} {
		heap := make([]byte, size)
		for i := 0; i < len(heap); i += os.Getpagesize() {
			heap[i] = 1
		}
		b.Run(fmt.Sprintf("heap=%dMiB/sys", size>>20), func(b *testing.B) {
			attr := &sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Env: childEnviron("exit0"), Files: []int{0, 1, 2}}
			var waiting time.Duration
			for range b.N {
				pid, err := s.Spawn(attr)
				ok(b, err)
				start := time.Now()
				exitStatus(b, s, pid)
				waiting += time.Since(start)
			}
			b.ReportMetric(float64((b.Elapsed()-waiting).Microseconds())/float64(b.N), "spawn-us/op")
		})
		b.Run(fmt.Sprintf("heap=%dMiB/exec", size>>20), func(b *testing.B) {
			for range b.N {
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = childEnviron("exit0")
				ok(b, cmd.Run())
			}
		})
		runtime.KeepAlive(heap)
	}
}
