package real

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

// childEnvName names the child program that the test binary is to be, instead
// of a run of tests.
const childEnvName = "REAL_TEST_CHILD"

// children are the programs that tests start in processes of their own. They
// print what they find and return their exit status.
var children = map[string]func(s sys.Sys) int{}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnvName); name != "" {
		child, ok := children[name]
		if !ok {
			fmt.Println("no such child:", name)
			os.Exit(99)
		}
		// Not os.Exit: coverage would write to a jail, and to the output that
		// the tests compare, and the race detector sleeps for a second.
		syscall.Exit(child(New()))
	}
	// Whoever started the tests may have left descriptors open.
	if err := New().CloseRange(3, 1<<32-1, sys.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runChild runs a child as an ordinary process and returns what it prints.
func runChild(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnviron(name)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("child %s: %v\n%s", name, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t testing.TB, err error, want sys.Errno) {
	t.Helper()
	got, bare := err.(sys.Errno)
	if !bare || got != want {
		t.Errorf("got %T %v, want %s", err, err, sys.ErrnoName(want))
	}
}

func closing(t testing.TB, s sys.Sys, fds ...int) {
	fds = slices.Clone(fds)
	t.Cleanup(func() {
		for _, fd := range fds {
			s.Close(fd)
		}
	})
}

// cgo: this is a cgo program, as the race detector makes one. It is linked
// dynamically and has no AllThreadsSyscall.
var cgo = func() bool {
	_, _, e := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
	return e == sys.ENOTSUP
}()

// childEnviron is the environment of a child program.
func childEnviron(name string) []string { return []string{childEnvName + "=" + name} }
