package real

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

func init() {
	children["drop"] = drop
	children["chroot"] = escapeCwd
}

// drop gives up root in the order of design, and looks at every thread.
func drop(s sys.Sys) int {
	// Some threads that are there before, locked to a goroutine each.
	stop := make(chan bool)
	defer close(stop)
	for range 4 {
		started := make(chan bool)
		go func() {
			runtime.LockOSThread()
			close(started)
			<-stop
		}()
		<-started
	}
	failed := false
	check := func(what string, err error) {
		if err != nil {
			fmt.Println(what, err)
			failed = true
		}
	}
	prctl := func(what string, option int, arg2 uintptr) {
		n, err := s.Prctl(option, arg2, 0, 0, 0)
		if err == nil && n != 0 {
			err = fmt.Errorf("returned %d", n)
		}
		if cgo && err == sys.ENOTSUP {
			return
		}
		check(what, err)
	}
	for c := range uintptr(sys.CAP_LAST_CAP + 1) {
		prctl("PR_CAPBSET_DROP", sys.PR_CAPBSET_DROP, c)
	}
	prctl("PR_CAP_AMBIENT", sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_CLEAR_ALL)
	check("setgroups", s.Setgroups([]int{4242, 4243}))
	check("setresgid", s.Setresgid(4242, 4242, 4242))
	check("setresuid", s.Setresuid(4241, 4241, 4241))
	if !cgo {
		check("capset", s.Capset(sys.CapSets{}))
	}
	prctl("PR_SET_NO_NEW_PRIVS", sys.PR_SET_NO_NEW_PRIVS, 1)
	prctl("PR_SET_DUMPABLE", sys.PR_SET_DUMPABLE, 1) // else /proc/self is root's
	if n, err := s.Prctl(sys.PR_GET_DUMPABLE, 0, 0, 0, 0); n != 1 || err != nil {
		fmt.Println("PR_GET_DUMPABLE", n, err)
	}
	if failed {
		return 1
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 5 {
		fmt.Println("threads", tasks, err)
		return 1
	}
	seen := map[string]bool{}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var lines []string
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			if slices.Contains([]string{"Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"}, key) {
				lines = append(lines, key+"="+strings.Join(strings.Fields(value), ","))
			}
		}
		seen[strings.Join(lines, " ")] = true
	}
	for line := range seen {
		fmt.Println(line)
	}
	caps, err := s.Capget()
	r, e, sv := s.Getresuid()
	rg, eg, sg := s.Getresgid()
	groups, err2 := s.Getgroups()
	fmt.Println(caps, err, r, e, sv, rg, eg, sg, groups, err2)
	fmt.Println(s.Setresuid(0, 0, 0), s.Setgroups(nil))
	return 0
}

func TestDropPrivileges(t *testing.T) {
	needRoot(t)
	got := runChild(t, "drop")
	bnd, nnp := "0000000000000000", "1"
	if cgo { // which says ENOTSUP instead
		bnd, nnp = "", "0"
	}
	want := "Uid=4241,4241,4241,4241 Gid=4242,4242,4242,4242 Groups=4242,4243 CapPrm=0000000000000000 CapEff=0000000000000000 CapBnd=" + bnd +
		" CapAmb=0000000000000000 NoNewPrivs=" + nnp + "\n" +
		"{0 0 0} <nil> 4241 4241 4241 4242 4242 4242 [4242 4243] <nil>\noperation not permitted operation not permitted"
	if cgo {
		before, after, _ := strings.Cut(got, "CapBnd=")
		_, after, _ = strings.Cut(after, " ")
		got = before + "CapBnd= " + after
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPrctl(t *testing.T) {
	s := New()
	const PR_SET_NAME = 15
	_, err := s.Prctl(PR_SET_NAME, 0, 0, 0, 0)
	fails(t, err, sys.EINVAL)
	if n, err := s.Prctl(sys.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); n < 0 || n > 1 || err != nil {
		t.Error(n, err)
	}
	_, err = s.Prctl(sys.PR_CAPBSET_READ, 99, 0, 0, 0)
	fails(t, err, sys.EINVAL)
	if n, err := s.Prctl(sys.PR_CAPBSET_READ, sys.CAP_CHOWN, 0, 0, 0); n < 0 || err != nil {
		t.Error(n, err)
	}
}

func TestCapget(t *testing.T) {
	caps, err := New().Capget()
	ok(t, err)
	status, err := os.ReadFile("/proc/thread-self/status")
	ok(t, err)
	if want := fmt.Sprintf("CapPrm:\t%016x\nCapEff:\t%016x", caps.Permitted, caps.Effective); !strings.Contains(string(status), want) {
		t.Errorf("Capget says %s, the kernel\n%s", want, status)
	}
}

// escapeCwd shows that chroot leaves the working directory outside.
func escapeCwd(s sys.Sys) int {
	jail := os.Args[1]
	steps := []error{
		s.Chdir(filepath.Dir(jail)),
		s.Mkdir(filepath.Join(jail, "sub"), 0o755),
		s.Chroot(jail),
	}
	out, err := s.Getcwd()
	fmt.Println(steps, strings.HasPrefix(out, "(unreachable)/"), err)
	var st sys.Stat
	fmt.Println(s.Stat(filepath.Base(jail)+"/sub", &st), s.Stat(jail, &st))
	fmt.Println(s.Chdir("/sub"))
	in, err := s.Getcwd()
	fmt.Println(in, err)
	fd, err := s.Open("/", sys.O_PATH|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	fmt.Println(err, s.Fchdir(fd))
	in, err = s.Getcwd()
	fmt.Println(in, err, s.Rmdir("/sub"))
	return 0
}

func TestChroot(t *testing.T) {
	s := New()
	fails(t, s.Chroot("/nonexistent"), sys.ENOENT)
	fails(t, s.Chdir("/proc/self/exe"), sys.ENOTDIR)
	fails(t, s.Fchdir(999), sys.EBADF)
	cwd, err := s.Getcwd()
	if want, _ := os.Getwd(); cwd != want || err != nil {
		t.Errorf("Getcwd %q, %v, want %q", cwd, err, want)
	}
	if os.Geteuid() != 0 {
		fails(t, s.Chroot("/"), sys.EPERM)
	}
	needRoot(t)
	got := runChild(t, "chroot", t.TempDir())
	want := "[<nil> <nil> <nil>] true <nil>\n<nil> no such file or directory\n<nil>\n/sub <nil>\n<nil> <nil>\n/ <nil> <nil>"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProcessGroups(t *testing.T) {
	s := New()
	exe := self(t, s)
	pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}, Env: childEnviron("sleep"), Files: []int{0, 1, 2}, Setpgid: true})
	ok(t, err)
	if pgid, err := s.Getpgid(pid); pgid != pid || err != nil {
		t.Errorf("group %d, %v", pgid, err)
	}
	// It has executed, but for the last steps: begin_new_exec lets the parent go on
	// before it clears PF_FORKNOEXEC.
	for err = nil; err == nil; {
		err = s.Setpgid(pid, pid)
	}
	fails(t, err, sys.EACCES)
	_, err = s.Getpgid(1 << 30)
	fails(t, err, sys.ESRCH)
	if wpid, _, err := s.Wait4(-pid, sys.WNOHANG); wpid != 0 || err != nil {
		t.Errorf("Wait4 of the living: %d, %v", wpid, err)
	}
	ok(t, s.Kill(-pid, sys.SIGKILL))
	if st := exitStatus(t, s, pid); st.Signal() != sys.SIGKILL {
		t.Errorf("status %#x", st)
	}
	if pgid, _ := s.Getpgid(0); pgid == s.Getpid() {
		_, err = s.Setsid()
		fails(t, err, sys.EPERM)
	}
}

func init() {
	children["session"] = func(s sys.Sys) int {
		fmt.Println(s.Setpgid(0, 0), s.Setpgid(0, 1))
		_, err := s.Setsid() // it leads a group now
		fmt.Println(err)
		return 0
	}
	children["newsession"] = func(s sys.Sys) int {
		sid, err := s.Setsid()
		pgid, _ := s.Getpgid(0)
		fmt.Println(sid == s.Getpid(), err, pgid == sid, s.Setpgid(0, 0))
		return 0
	}
}

func TestSetsid(t *testing.T) {
	const eperm = "operation not permitted"
	if got, want := runChild(t, "session"), "<nil> "+eperm+"\n"+eperm; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := runChild(t, "newsession"), "true <nil> true "+eperm; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
