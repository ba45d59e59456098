package real

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

func init() {
	// The outer program is the inner one when it is started again.
	children["reexec"] = func(s sys.Sys) int {
		if InUserNamespaceChild() {
			return inner(s)
		}
		if err := CanUserNamespace(); err != nil {
			fmt.Println("cannot:", err)
			return 0
		}
		exit, err := ReexecInUserNamespace([]string{"httpjail: jailed", os.Args[1]})
		fmt.Println("exit", exit, err)
		return 0
	}
	children["reexecstatus"] = func(s sys.Sys) int {
		if os.Args[0] != "again" {
			exit, err := Reexec([]string{"again"})
			fmt.Println("exit", exit, err)
			return 0
		}
		fd, err := s.Signalfd([]sys.Signal{sys.SIGTERM, sys.SIGHUP}, sys.SFD_CLOEXEC)
		if err != nil {
			return 1
		}
		fmt.Println("ready", InUserNamespaceChild(), openFds(s))
		fmt.Println(readSignals(s, fd, 1))
		readSignals(s, fd, 1)
		s.Kill(s.Getpid(), sys.SIGKILL)
		return 0
	}
}

// inner is root in its namespace, and its child runs in an empty jail.
func inner(s sys.Sys) int {
	uid, _, _ := s.Getresuid()
	gid, _, _ := s.Getresgid()
	fmt.Println(os.Args[0], uid, gid, openFds(s))
	caps, err := s.Capget()
	fmt.Println(caps.Effective&(1<<sys.CAP_SYS_CHROOT) != 0, err)
	fmt.Println(s.Setgroups(nil), s.Setresuid(1, 1, 1))
	exe, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
	fmt.Println(err, s.Chroot(os.Args[1]), s.Chdir("/"))
	if cgo {
		return 5 // there is no dynamic linker in there
	}
	pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"inside"}, Env: childEnviron("report"), Files: []int{0, 1, 2}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, status, err := s.Wait4(pid, 0)
	fmt.Println(status.ExitStatus(), err)
	return 5
}

// unprivileged runs cmd as a user without rights when we are root.
func unprivileged(t *testing.T, cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

// executable is a copy of the test binary that everybody may execute, in a
// directory that everybody may enter.
func executable(t *testing.T) (path, jail string) {
	dir, err := os.MkdirTemp("/tmp", "httpjail-test")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ok(t, os.Chmod(dir, 0o755))
	b, err := os.ReadFile("/proc/self/exe")
	ok(t, err)
	path, jail = dir+"/test", dir+"/jail"
	ok(t, os.WriteFile(path, b, 0o755))
	ok(t, os.Mkdir(jail, 0o755))
	return path, jail
}

func TestReexecInUserNamespace(t *testing.T) {
	path, jail := executable(t)
	cmd := exec.Command(path, jail)
	unprivileged(t, cmd)
	cmd.Dir = "/"
	r, w, err := os.Pipe()
	ok(t, err)
	defer r.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{w, w}
	cmd.Env = append(os.Environ(), childEnviron("reexec")...)
	out, err := cmd.CombinedOutput()
	if strings.HasPrefix(string(out), "cannot:") {
		t.Skipf("no user namespaces here: %s", out)
	}
	ok(t, err)
	want := "httpjail: jailed 0 0 [0 1 2 3 4]\ntrue <nil>\noperation not permitted invalid argument\n<nil> <nil> <nil>\n"
	if !cgo {
		want += `argv=["inside"] leader=false fds=[0 1 2] env=` + "\n7 <nil>\n"
	}
	want += "exit 5 <nil>\n"
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}

// startReexec starts the outer program and waits until the inner one is ready.
func startReexec(t *testing.T) (outer int, s sys.Sys, out int) {
	s = New()
	exe := self(t, s)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r)
	outer, err = s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"outer"}, Env: childEnviron("reexecstatus"), Files: []int{0, w, 2, w}})
	ok(t, err)
	ok(t, s.Close(w))
	expect(t, s, r, "ready false [0 1 2 3]\n")
	return outer, s, r
}

// expect reads one message.
func expect(t *testing.T, s sys.Sys, fd int, want string) {
	t.Helper()
	p := make([]byte, 64)
	n, err := s.Read(fd, p)
	if string(p[:n]) != want || err != nil {
		t.Fatalf("got %q, %v, want %q", p[:n], err, want)
	}
}

func TestReexec(t *testing.T) {
	outer, s, out := startReexec(t)
	ok(t, s.Kill(outer, sys.SIGTERM))
	expect(t, s, out, "[SIGTERM]\n")
	ok(t, s.Kill(outer, sys.SIGHUP))
	if got := readAll(s, out); got != "exit 137 <nil>\n" { // 128 + SIGKILL
		t.Errorf("%q", got)
	}
	if st := exitStatus(t, s, outer); st != 0 {
		t.Errorf("status %#x", st)
	}
}

func TestReexecDiesWithCaller(t *testing.T) {
	outer, s, out := startReexec(t)
	ok(t, s.Kill(outer, sys.SIGKILL))
	if got := readAll(s, out); got != "" { // ends when the inner one has gone, too
		t.Errorf("%q", got)
	}
	exitStatus(t, s, outer)
}
