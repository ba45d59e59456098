package simtests

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/httpjail/httpjail/server"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/real"
)

// The variables that make the test binary an operator instead.
const (
	envScenario = "HTTPJAIL_TEST_SCENARIO"
	envDir      = "HTTPJAIL_TEST_DIR"
	envUser     = "HTTPJAIL_TEST_USER"
	envPort     = "HTTPJAIL_TEST_PORT"
	envRestarts = "HTTPJAIL_TEST_RESTARTS" // may be set by whoever runs the tests
	envTrace    = "HTTPJAIL_TEST_TRACE"    // the server writes its calls to standard error
)

func TestMain(m *testing.M) {
	if server.IsChild(os.Args) || len(os.Args) >= 4 && (os.Args[1] == "run" || os.Args[1] == "ctl") {
		program := server.Program
		if os.Getenv(envTrace) != "" {
			program = traced(os.Stderr)
		}
		os.Exit(activated(program)(real.New(), os.Args, os.Environ()))
	}
	if name := os.Getenv(envScenario); name != "" {
		for _, sc := range slices.Concat(scenarios(), traceScenarios(), []scenario{coreDump}) {
			if sc.name == name {
				var env []string
				port, err := strconv.ParseUint(os.Getenv(envPort), 10, 16)
				if err != nil {
					panic(err)
				}
				if v := os.Getenv(envTrace); v != "" {
					env = append(env, envTrace+"="+v)
				}
				sc.run(&operator{s: real.New(), env: env, port: uint16(port), dir: os.Getenv(envDir), exe: "/proc/self/exe", user: os.Getenv(envUser), kills: 1, restarts: realRestarts()})
				os.Exit(leftOnThisKernel())
			}
		}
		fmt.Fprintf(os.Stderr, "there is no scenario %q\n", name)
		os.Exit(2)
	}
	status := m.Run()
	if staticDir != "" {
		os.RemoveAll(staticDir)
	}
	os.Exit(status)
}

// leftOnThisKernel looks for what a scenario has left in its ipc namespace.
func leftOnThisKernel() int {
	for _, file := range []string{"/proc/sysvipc/sem", "/proc/sysvipc/shm"} {
		data, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		lines := 0
		for _, b := range data {
			if b == '\n' {
				lines++
			}
		}
		if lines > 1 { // the first is the heading
			fmt.Fprintf(os.Stderr, "FAIL: left in %s:\n%s", file, data)
			return 1
		}
	}
	return 0
}

func init() {
	kernels = append(kernels,
		kernel{"real as root", func(t *testing.T, sc scenario) {
			if os.Geteuid() != 0 {
				t.Skip("needs root: chroot(2) and another user")
			}
			runReal(t, sc, world{dir: tempDir(t)}, "www-data", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWIPC})
		}, true},
		kernel{"real in a user namespace", func(t *testing.T, sc scenario) {
			if err := real.CanUserNamespace(); err != nil {
				t.Skipf("needs user namespaces: %v", err)
			}
			runReal(t, sc, world{dir: tempDir(t)}, "", &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
			})
		}, true})
}

// tempDir is a directory with a short name: one with the test's leaves no room in
// sun_path for a socket below it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { // children become somebody else
		t.Fatal(err)
	}
	return dir
}

// staticExecutable is this test binary, or one without cgo: the server executes
// itself inside the jail, where there is no dynamic loader.
func staticExecutable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Section(".interp") == nil {
		return exe
	}
	buildStatic.Do(func() {
		staticDir, staticErr = os.MkdirTemp("", "simtests-")
		if staticErr != nil {
			return
		}
		build := exec.Command("go", "test", "-c", "-o", filepath.Join(staticDir, "simtests.test"), ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			staticErr = fmt.Errorf("%v: %w\n%s", build, err, out)
		}
	})
	if staticErr != nil {
		t.Skipf("needs a binary without cgo, and cannot build one: %v", staticErr)
	}
	return filepath.Join(staticDir, "simtests.test")
}

var (
	buildStatic sync.Once
	staticDir   string // removed by TestMain
	staticErr   error
)

// runReal runs a scenario in a process of its own, in namespaces of its own.
func runReal(t *testing.T, sc scenario, w world, user string, attr *syscall.SysProcAttr, env ...string) (out []byte) {
	t.Helper()
	if raceDetector {
		t.Skip("the server is not built with the race detector: see raceDetector")
	}
	exe := staticExecutable(t)
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envScenario+"="+sc.name, envDir+"="+w.dir, envUser+"="+user, fmt.Sprintf("%s=%d", envPort, w.port))
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(out, []byte("SKIP: ")) {
		t.Skip(string(out))
	}
	return out
}

// realRestarts is how many graceful restarts a load must survive on this
// kernel, where each takes real time; a campaign asks for more.
func realRestarts() int {
	n, err := strconv.Atoi(os.Getenv(envRestarts))
	if err != nil {
		return 3
	}
	return n
}

// TestCoreDump: after SIGSEGV a child leaves a core in the core_dump_directory,
// inside the jail.
func TestCoreDump(t *testing.T) {
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		t.Run(mode.String(), func(t *testing.T) { runFake(t, coreDump, mode, 1) })
	}
	if os.Geteuid() != 0 {
		t.Skip("on the real kernel: needs root: chroot(2) and another user")
	}
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(pattern), "|/") {
		t.Skipf("on the real kernel: needs a kernel.core_pattern that is a name in the working directory, not %q", pattern)
	}
	runReal(t, coreDump, world{dir: tempDir(t)}, "www-data", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWIPC})
}

var coreDump = scenario{"core dump", func(o *operator) {
	o.site()
	cores := o.dir + "/cores"
	o.mkdirs("cores", "jail"+cores)
	o.must("chown", o.s.Chown(o.jail()+cores, 33, 33))
	lim, err := o.s.Getrlimit(sys.RLIMIT_CORE)
	o.must("getrlimit", err)
	if lim.Max == 0 {
		sys.WriteAll(o.s, 1, []byte("SKIP: the limit RLIMIT_CORE is 0\n"))
		return
	}
	o.configure(fmt.Sprintf(seed, "prefork", "sysvsem", few+"  core_dump_directory = \"DIR/cores\""))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.mustGet("/", 200)
	victim := slices.Min(slices.Collect(maps.Keys(srv.children())))
	o.eventually("the child has given up its privileges", func() bool { return o.unprivileged(victim) })
	o.must("sleep", o.s.Nanosleep(200*time.Millisecond))
	o.must("kill -SEGV", o.s.Kill(victim, sys.SIGSEGV))
	srv.output("core dumped")
	if len(o.list(o.jail()+cores)) == 0 {
		o.failf("there is no core in the jail's %s", cores)
	}
	if len(o.list(cores)) > 0 {
		o.failf("there is a core outside of the jail")
	}
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}}
