package simtests

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/server"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// restarts is for the deterministic kernel; the others do a few.
var restarts = flag.Int("restarts", 20, "how many graceful restarts a load must survive on the simulated kernel")

var matrix = flag.Bool("matrix", false, "run every row also on the kernels where time is real")

// kernel is where the table runs.
type kernel struct {
	name     string
	run      func(t *testing.T, sc scenario)
	realTime bool // a second takes a second
}

// runs reports whether a kernel runs a row. Where time is real, and without
// -matrix, what costs seconds runs with one mutex for each MPM: the
// deterministic kernel has run it with all.
func (k kernel) runs(sc scenario) bool {
	if !k.realTime || *matrix {
		return true
	}
	family, row, _ := strings.Cut(sc.name, "/")
	if family == "life" || family == "refused" {
		return false
	}
	mpm, mutex, ok := strings.Cut(row, " ")
	if !ok || !slices.Contains([]string{"kill a child", "kill the parent", "restart", "restart gracefully", "restart without traffic"}, family) {
		return true
	}
	chosen := "flock"
	if mpm == "worker" {
		chosen = "pthread"
	}
	return mutex == chosen
}

var kernels = []kernel{
	{"fake deterministic", func(t *testing.T, sc scenario) { runFake(t, sc, fake.Deterministic, 1) }, false},
	{"fake free-running", func(t *testing.T, sc scenario) { runFake(t, sc, fake.FreeRunning, 1) }, true},
}

func TestServer(t *testing.T) {
	t.Parallel()
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			// Most of the time is spent waiting: for ticks and time-outs.
			t.Parallel()
			for _, sc := range scenarios() {
				if k.runs(sc) {
					t.Run(sc.name, func(t *testing.T) { k.run(t, sc) })
				}
			}
		})
	}
}

// world is what a run on a simulated kernel starts from.
type world struct {
	program  sys.Program // installed as /usr/sbin/httpjail
	dir      string      // the scenario's directory
	port     uint16      // 0: any
	bounding uint64      // capability bounding set; 0: all
	files    []string    // copied from this host
	env      []string    // of the server
}

// boot boots a machine for w.
func boot(w world, mode sched.Mode, seed uint64) *fake.Machine {
	return fake.Boot(fake.Config{Mode: mode, Seed: seed, StepLimit: 20_000_000, Bounding: w.bounding, Image: func(m *fake.Machine) {
		for _, dir := range []string{"/usr/sbin", "/etc", w.dir} {
			m.MkdirAll(dir, 0o755, 0, 0)
		}
		m.Install("/usr/sbin/httpjail", 0o755, activated(w.program))
		m.WriteFile("/etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"), 0o644, 0, 0)
		m.WriteFile("/etc/group", []byte("root:x:0:\nwww-data:x:33:\n"), 0o644, 0, 0)
		for _, name := range w.files {
			data, err := os.ReadFile(name)
			if err != nil {
				panic(err)
			}
			m.WriteFile(name, data, 0o644, 0, 0)
		}
	}})
}

// runFake runs a scenario on the simulated kernel and returns the machine's
// trace hash.
func runFake(t *testing.T, sc scenario, mode sched.Mode, seed uint64) uint64 {
	t.Helper()
	return runFakeWorld(t, sc, world{program: server.Program, dir: "/srv"}, mode, seed)
}

func runFakeWorld(t *testing.T, sc scenario, w world, mode sched.Mode, seed uint64) uint64 {
	t.Helper()
	if raceDetector && mode == fake.Deterministic {
		t.Skip("the race detector is blind here: see raceDetector")
	}
	m := boot(w, mode, seed)
	defer m.Close()
	var out bytes.Buffer
	pid, err := m.Start(fake.ProcSpec{
		Argv: []string{"operator"}, Stdout: &out, Stderr: &out,
		Program: func(s sys.Sys, argv, env []string) int {
			o := &operator{s: s, dir: w.dir, exe: "/usr/sbin/httpjail", user: "www-data", port: w.port, env: w.env, kills: 1, restarts: 3}
			if mode == fake.Deterministic {
				o.kills, o.restarts = 3, *restarts
			}
			sc.run(o)
			return 0
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	status, err := m.Wait(pid)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	if status != 0 {
		t.Fatalf("the operator ended with %#x\n%s", uint32(status), out.Bytes())
	}
	if bytes.HasPrefix(out.Bytes(), []byte("SKIP: ")) {
		t.Skip(out.String())
	}
	if left := leaks(m); left != "" {
		t.Fatalf("left on the machine: %s\n%s", left, out.Bytes())
	}
	return m.TraceHash()
}

// leaks names what a scenario has left on the machine.
func leaks(m *fake.Machine) string {
	var b bytes.Buffer
	for _, p := range m.Processes() {
		fmt.Fprintf(&b, "process %d %q; ", p.Pid, p.Argv)
	}
	for _, id := range m.SemIDs() {
		fmt.Fprintf(&b, "semaphore %d; ", id)
	}
	for _, id := range m.ShmIDs() {
		fmt.Fprintf(&b, "segment %d; ", id)
	}
	for _, a := range m.OpenListeners() {
		fmt.Fprintf(&b, "listener %v; ", a)
	}
	return b.String()
}
