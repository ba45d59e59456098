package systest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/httpjail/httpjail/sys/real"
)

var update = flag.String("update", "", "record the expected results of the files that match from this machine's kernel, as root")

// TestMain is Program in the processes that the suite starts on the real kernel.
func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), marker+"=1") {
		syscall.Exit(asProgram())
	}
	flag.Parse()
	os.Exit(m.Run())
}

// realKernel is this machine's kernel, with cases in a new directory under base.
func realKernel(fs, base string, uid int) Kernel {
	return Kernel{FS: fs, Root: uid == 0, Skip: settings(), Exec: func(argv []string, stdin []byte) ([]byte, error) {
		dir, err := os.MkdirTemp(base, "systest")
		if err != nil {
			return nil, err
		}
		defer removeAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/proc/self/exe")
		cmd.Args, cmd.Env, cmd.Dir = argv, Environ(), dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if uid == 0 {
			// What the cases mount is theirs alone: package syscall makes all mounts
			// private in the new namespace.
			cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
		}
		if uid != os.Getuid() {
			if err := os.Chown(dir, uid, uid); err != nil {
				return nil, err
			}
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		}
		var errs bytes.Buffer
		cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &errs
		out, err := cmd.Output()
		if err != nil || errs.Len() > 0 {
			err = fmt.Errorf("%v\n%s", err, errs.String())
		}
		return bytes.TrimSpace(out), err
	}}
}

// settings are the files of cases that this machine's settings decide.
func settings() map[string]string {
	skip := map[string]string{}
	for file, want := range map[string]string{"core_pattern": "core", "core_uses_pid": "0"} {
		got, err := os.ReadFile("/proc/sys/kernel/" + file)
		if s := strings.TrimSpace(string(got)); err != nil || s != want {
			skip["cores.txt"] = fmt.Sprintf("kernel.%s is %q, not %q", file, s, want)
		}
	}
	return skip
}

// removeAll removes what cases left, directories that may not be read included.
func removeAll(dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err != nil {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	os.RemoveAll(dir)
}

// filesystems are the directories that cases can run in, by type.
func filesystems(t *testing.T) map[string]string {
	found := map[string]string{}
	for fs, dir := range map[string]string{"ext4": os.TempDir(), "tmpfs": "/dev/shm"} {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Logf("%s: %v: nothing runs on %s", dir, err, fs)
			continue
		}
		if magic := map[string]int64{"ext4": unix.EXT4_SUPER_MAGIC, "tmpfs": unix.TMPFS_MAGIC}[fs]; st.Type != magic {
			t.Logf("%s is a filesystem of type %#x: nothing runs on %s", dir, st.Type, fs)
			continue
		}
		if st.Flags&(unix.ST_NOEXEC|unix.ST_NODEV|unix.ST_NOSUID) != 0 && os.Getuid() == 0 {
			t.Logf("%s is mounted with noexec, nodev or nosuid: nothing runs on %s", dir, fs)
			continue
		}
		found[fs] = dir
	}
	return found
}

// needs skips where the real kernel cannot be asked.
func needs(t *testing.T, root bool) {
	if _, _, e := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); e == syscall.ENOTSUP {
		t.Skip("a cgo program cannot change its capabilities: run without the race detector")
	}
	if !root {
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	caps, err := real.New().Capget()
	if err != nil {
		t.Fatal(err)
	}
	if missing := Capabilities() &^ caps.Effective; missing != 0 {
		t.Skipf("root has not the capabilities %s", capString(missing))
	}
}

func TestRealAsRoot(t *testing.T) {
	t.Parallel()
	needs(t, true)
	if *update != "" {
		record(t, realKernel("tmpfs", filesystems(t)["tmpfs"], 0), realKernel("ext4", filesystems(t)["ext4"], 0))
		return
	}
	runOn(t, 0)
}

func TestRealAsNobody(t *testing.T) {
	t.Parallel()
	needs(t, false)
	if os.Getuid() != 0 && os.Getuid() != 65534 {
		t.Skip("needs root or nobody (65534)")
	}
	if *update != "" {
		t.Skip("expected results are being recorded")
	}
	runOn(t, 65534)
}

// aboutFiles are the files of cases that depend on the filesystem.
var aboutFiles = []string{"attrs.txt", "data.txt", "link.txt", "locks.txt", "names.txt", "open.txt", "openat2.txt", "path.txt", "rename.txt", "space.txt", "statx.txt", "special.txt", "times.txt", "xattr.txt"}

// runOn runs the suite as a user: all of it on one filesystem, and on others
// what depends on them.
func runOn(t *testing.T, uid int) {
	all := true
	found := filesystems(t)
	for _, fs := range []string{"tmpfs", "ext4"} {
		dir, ok := found[fs]
		if !ok {
			continue
		}
		k := realKernel(fs, dir, uid)
		if !all {
			k.Files = aboutFiles
		}
		all = false
		t.Run(fs, func(t *testing.T) { t.Parallel(); Run(t, k) })
	}
}

// record writes what Linux returns into the files, from the first kernel, and
// where the second differs, that too.
func record(t *testing.T, first, second Kernel) {
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if matched, err := filepath.Match(*update, f.name); err != nil || !matched {
			continue
		}
		if err := f.record(first, second); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

func (f *file) record(first, second Kernel) error {
	steps := f.plan(first, false).steps
	results := make([][]string, 2)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, k := range []Kernel{first, second} {
		wg.Go(func() { results[i], errs[i] = f.plan(k, false).exec(k, 2*time.Second, 300*time.Millisecond) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	both := func(i int, bar, sep string, form func(string) string) string {
		x, y := form(results[0][i]), form(results[1][i])
		if x != y {
			return x + bar + second.FS + sep + y
		}
		return x
	}
	told := map[*table]bool{}
	cells := map[*table]map[string]string{}
	for i, s := range steps {
		switch {
		case s.setup:
			if failed(results[0][i]) && !told[s.table] {
				told[s.table] = true
				fmt.Printf("%s:%d: %s: setup: %s: %s\n", f.name, s.line, s.where(), s.text(), results[0][i])
			}
		case s.table != nil:
			if cells[s.table] == nil {
				cells[s.table] = map[string]string{}
			}
			v := both(i, "|", ":", cell)
			if old, ok := cells[s.table][s.key]; ok {
				v = old + "&" + v
			}
			cells[s.table][s.key] = v
		default:
			line := strings.TrimRight(strings.SplitN(f.lines[s.line-1], " -> ", 2)[0], " ")
			if v := both(i, " | ", " ", func(s string) string { return s }); v != okResults(line) {
				line += " -> " + v
			}
			f.lines[s.line-1] = line
		}
	}
	var out []string
	next := 0
	for _, c := range f.cases {
		for _, p := range c.parts {
			if p.table != nil {
				out = append(out, f.lines[next:p.table.grid]...)
				out = append(out, p.table.draw(cells[p.table])...)
				next = p.table.end
			}
		}
	}
	out = append(out, f.lines[next:]...)
	return os.WriteFile("testdata/"+f.name, []byte(strings.Join(out, "\n")), 0o644)
}

// draw is the table's grid.
func (t *table) draw(cells map[string]string) []string {
	keys := len(t.vars) - 1
	grid := [][]string{append(make([]string, keys), t.columns()...)}
	t.rows(func(values []string) {
		row := slices.Clone(values)
		for _, col := range t.columns() {
			row = append(row, cells[strings.Join(append(slices.Clone(values), col), " ")])
		}
		grid = append(grid, row)
	})
	var lines []string
	for _, row := range grid {
		var b strings.Builder
		for i, c := range row {
			width := 0
			for _, other := range grid {
				width = max(width, len(other[i]))
			}
			fmt.Fprintf(&b, "%-*s  ", width, c)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
