package systest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// likeTmpfs are the files of cases in which the simulated kernel is a tmpfs;
// elsewhere, where the two differ, it is an ext4.
var likeTmpfs = []string{"space.txt", "statx.txt", "xattr.txt"}

func runSimulated(t *testing.T, mode sched.Mode, uid int) {
	ext4, tmpfs := simulated(mode, uid), simulated(mode, uid)
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(likeTmpfs, f.name) {
			ext4.Files = append(ext4.Files, f.name)
		}
	}
	Run(t, ext4)
	tmpfs.FS, tmpfs.Files = "tmpfs", likeTmpfs
	Run(t, tmpfs)
}

// simulated is the simulated kernel.
func simulated(mode sched.Mode, uid int) Kernel {
	return Kernel{FS: "ext4", Root: uid == 0, Exec: func(argv []string, stdin []byte) ([]byte, error) {
		m := fake.Boot(fake.Config{Mode: mode, Seed: 1, Image: func(m *fake.Machine) {
			m.Install("/bin/systest", 0o755, Program)
			m.MkdirAll("/scratch", 0o755, uid, uid)
		}})
		defer m.Close()
		var out, errs bytes.Buffer
		pid, err := m.Start(fake.ProcSpec{
			Path: "/bin/systest", Argv: argv, Env: Environ(), Uid: uid, Gid: uid, Cwd: "/scratch",
			Stdin: bytes.NewReader(stdin), Stdout: &out, Stderr: &errs,
		})
		if err != nil {
			return nil, err
		}
		status, err := m.Wait(pid)
		if err == nil && (status != 0 || errs.Len() > 0) {
			err = fmt.Errorf("%s\n%s", statusString(status), errs.String())
		}
		return bytes.TrimSpace(out.Bytes()), err
	}}
}

func TestFake(t *testing.T) {
	t.Parallel()
	t.Run("root", func(t *testing.T) { runSimulated(t, fake.Deterministic, 0) })
	t.Run("nobody", func(t *testing.T) { runSimulated(t, fake.Deterministic, 65534) })
}

func TestFakeFreeRunning(t *testing.T) {
	t.Parallel()
	runSimulated(t, fake.FreeRunning, 0)
}

// Every case must be found, and a mistake in a file must be reported with its
// place.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"root: stat x":                            "f.txt:1: no case has begun",
		"case a":                                  "f.txt:1: a case says where its rules come from: case NAME from PAGE(2), ...",
		"case a b from x(2)":                      "f.txt:1: a case's name is one word: it is its directory's",
		"case a from x(2)\nstat x":                "f.txt:2: no process: stat x",
		"case a from x(2)\nproc b root":           "f.txt:2: usage: proc NAME as root|nobody|UID:GID [groups G,...] [caps C,...]",
		"case a from x(2)\nbob: stat x":           "f.txt: a: no such process: bob",
		"case a from x(2)\ntable t\nfor A 1\n---": "f.txt:3: usage: for NAME: VALUES",
		"case a from x(2)\ntable t\nfor A: 1":     "f.txt:4: a table without ----",
		"case a from x(2)\ntable t\n----":         "f.txt:3: a table needs for and do",
	} {
		if _, err := parse("f.txt", text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A result that differs must be found.
func TestRunReports(t *testing.T) {
	f, err := parse("f.txt", strings.Join([]string{
		"case a from open(2)",
		"nobody: stat x -> EPERM",
		"nobody: mkdir d; mkdir d -> ok; EEXIST",
		"table t",
		"do nobody: access $P f",
		"for P: d e",
		"----",
		"d  e",
		"ok ok",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := f.plan(simulated(fake.Deterministic, 65534), true)
	got, err := p.exec(simulated(fake.Deterministic, 65534), patience, blockPatience)
	if err != nil {
		t.Fatal(err)
	}
	var wrong []string
	for i, s := range p.steps {
		if got[i] != s.want[""] {
			wrong = append(wrong, s.where()+" "+s.text()+" "+got[i])
		}
	}
	if want := "a nobody: stat x ENOENT,a [e] nobody: access e f ENOENT"; strings.Join(wrong, ",") != want {
		t.Errorf("%q", wrong)
	}
}
