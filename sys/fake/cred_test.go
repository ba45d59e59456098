package fake_test

import (
	"slices"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

func ids(s sys.Sys) [6]int {
	r, e, v := s.Getresuid()
	rg, eg, vg := s.Getresgid()
	return [6]int{r, e, v, rg, eg, vg}
}

func TestDroppingPrivileges(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		ok(t, "setgroups", s.Setgroups([]int{30, 10, 20}))
		if g, _ := s.Getgroups(); !slices.Equal(g, []int{10, 20, 30}) {
			t.Errorf("groups %v", g)
		}
		ok(t, "setresgid", s.Setresgid(5, 5, 5))
		caps, _ := s.Capget()
		if caps.Effective == 0 || caps.Permitted != caps.Effective {
			t.Errorf("root's capabilities %x", caps)
		}

		// Effective id away from root and back.
		ok(t, "setresuid", s.Setresuid(-1, 7, -1))
		caps, _ = s.Capget()
		if caps.Effective != 0 || caps.Permitted == 0 {
			t.Errorf("with euid 7: %x", caps)
		}
		want(t, "setgroups", s.Setgroups(nil), sys.EPERM)
		want(t, "setresgid to another", s.Setresgid(6, -1, -1), sys.EPERM)
		ok(t, "setresgid to the same", s.Setresgid(5, -1, 5))
		ok(t, "setresuid", s.Setresuid(-1, 0, -1))
		caps, _ = s.Capget()
		if caps.Effective != caps.Permitted {
			t.Errorf("back with euid 0: %x", caps)
		}
		if d, err := s.Prctl(sys.PR_GET_DUMPABLE, 0, 0, 0, 0); d != 0 || err != nil {
			t.Errorf("dumpable is %d after changes of the effective id", d)
		}

		ok(t, "setresuid", s.Setresuid(7, 7, 7))
		if got := ids(s); got != [6]int{7, 7, 7, 5, 5, 5} {
			t.Errorf("ids %v", got)
		}
		caps, _ = s.Capget()
		if caps != (sys.CapSets{}) {
			t.Errorf("capabilities after the drop: %x", caps)
		}
		want(t, "back to root", s.Setresuid(0, -1, -1), sys.EPERM)
		want(t, "an id of 32 bits", s.Setresuid(-2, -1, -1), sys.EPERM)
		want(t, "chroot", s.Chroot("/"), sys.EPERM)
		return 0
	})
}

func TestCapset(t *testing.T) {
	m := boot(t, fake.Config{})
	exits(t, m, func(s sys.Sys) int {
		const bind, chroot, setpcap = 1 << sys.CAP_NET_BIND_SERVICE, 1 << sys.CAP_SYS_CHROOT, 1 << sys.CAP_SETPCAP
		ok(t, "capset", s.Capset(sys.CapSets{Effective: bind | setpcap, Permitted: bind | chroot | setpcap}))
		want(t, "chroot", s.Chroot("/"), sys.EPERM)
		want(t, "more than permitted", s.Capset(sys.CapSets{Permitted: bind | 1}), sys.EPERM)
		want(t, "effective beyond permitted", s.Capset(sys.CapSets{Effective: bind, Permitted: chroot}), sys.EPERM)
		ok(t, "raise what is permitted", s.Capset(sys.CapSets{Effective: chroot | setpcap, Permitted: chroot | setpcap}))
		ok(t, "chroot", s.Chroot("/"))

		if v, err := s.Prctl(sys.PR_CAPBSET_READ, sys.CAP_CHOWN, 0, 0, 0); v != 1 || err != nil {
			t.Errorf("CAPBSET_READ: %d, %v", v, err)
		}
		_, err := s.Prctl(sys.PR_CAPBSET_READ, 99, 0, 0, 0)
		want(t, "CAPBSET_READ 99", err, sys.EINVAL)
		_, err = s.Prctl(sys.PR_CAPBSET_DROP, sys.CAP_CHOWN, 0, 0, 0)
		ok(t, "CAPBSET_DROP", err)
		if v, _ := s.Prctl(sys.PR_CAPBSET_READ, sys.CAP_CHOWN, 0, 0, 0); v != 0 {
			t.Errorf("CAPBSET_READ after the drop: %d", v)
		}
		want(t, "inheritable beyond bounding", s.Capset(sys.CapSets{Permitted: chroot, Inheritable: 1}), sys.EPERM)
		ok(t, "without SETPCAP", s.Capset(sys.CapSets{Permitted: chroot}))
		_, err = s.Prctl(sys.PR_CAPBSET_DROP, sys.CAP_CHOWN, 0, 0, 0)
		want(t, "CAPBSET_DROP without SETPCAP", err, sys.EPERM)

		_, err = s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0)
		want(t, "NO_NEW_PRIVS 2", err, sys.EINVAL)
		_, err = s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		ok(t, "NO_NEW_PRIVS", err)
		if v, _ := s.Prctl(sys.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); v != 1 {
			t.Errorf("NO_NEW_PRIVS is %d", v)
		}
		_, err = s.Prctl(sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		ok(t, "CAP_AMBIENT_CLEAR_ALL", err)
		_, err = s.Prctl(9999, 0, 0, 0, 0)
		want(t, "prctl 9999", err, sys.EINVAL)
		return 0
	})
}

func TestExecTransitions(t *testing.T) {
	m := boot(t, fake.Config{})
	var got [6]int
	var caps sys.CapSets
	var dumpable int
	look := func(s sys.Sys, argv, env []string) int {
		got = ids(s)
		caps, _ = s.Capget()
		dumpable, _ = s.Prctl(sys.PR_GET_DUMPABLE, 0, 0, 0, 0)
		return 0
	}
	m.Install("/bin/look", 0o755, look)
	m.Install("/bin/suid", 0o4755, look)
	m.Install("/bin/private", 0o700, look)
	run := func(s sys.Sys, path string) {
		t.Helper()
		pid := spawn(t, s, path, path)
		s.Wait4(pid, 0)
	}
	exits(t, m, func(s sys.Sys) int {
		run(s, "/bin/look")
		if got != [6]int{} || caps.Effective == 0 || dumpable != 1 {
			t.Errorf("root: %v %x %d", got, caps, dumpable)
		}
		// Root regains its capabilities by execve, within the bounding set.
		s.Prctl(sys.PR_CAPBSET_DROP, sys.CAP_CHOWN, 0, 0, 0)
		s.Capset(sys.CapSets{Effective: 1 << sys.CAP_SETUID, Permitted: 1 << sys.CAP_SETUID})
		run(s, "/bin/look")
		if caps.Effective&1 != 0 || caps.Effective&(1<<sys.CAP_KILL) == 0 {
			t.Errorf("root without CAP_CHOWN in the bounding set: %x", caps)
		}
		s.Setresuid(7, 7, 7)
		run(s, "/bin/look")
		if got != [6]int{7, 7, 7, 0, 0, 0} || caps.Permitted != 0 || dumpable != 1 {
			t.Errorf("uid 7: %v %x %d", got, caps, dumpable)
		}
		run(s, "/bin/suid")
		if got != [6]int{7, 0, 0, 0, 0, 0} || caps.Effective == 0 || dumpable != 0 {
			t.Errorf("set-user-ID: %v %x %d", got, caps, dumpable)
		}
		exe, err := s.Open("/bin/private", sys.O_PATH, 0)
		ok(t, "open", err)
		_, err = s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"x"}})
		want(t, "spawn of root's own", err, sys.EACCES)
		s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		run(s, "/bin/suid")
		if got != [6]int{7, 7, 7, 0, 0, 0} || caps.Effective != 0 {
			t.Errorf("set-user-ID with NO_NEW_PRIVS: %v %x", got, caps)
		}
		return 0
	})
}

func TestSetresuidClearsParentDeathSignal(t *testing.T) {
	m := boot(t, fake.Config{})
	m.Install("/bin/child", 0o755, func(s sys.Sys, argv, env []string) int {
		s.Prctl(sys.PR_SET_PDEATHSIG, uintptr(sys.SIGKILL), 0, 0, 0)
		if argv[0] == "drops" {
			s.Setresuid(7, 7, 7)
		}
		for s.Getppid() != 1 {
			s.Nanosleep(1e6)
		}
		s.Nanosleep(1e9)
		sys.WriteAll(s, 1, []byte(argv[0]))
		return 0
	})
	exits(t, m, func(s sys.Sys) int {
		r, w, _ := s.Pipe2(0)
		exe, _ := s.Open("/bin/child", sys.O_PATH, 0)
		m.Install("/bin/parent", 0o755, func(s sys.Sys, argv, env []string) int {
			for _, name := range []string{"drops", "keeps"} {
				s.Spawn(&sys.SpawnAttr{Exe: 0, Argv: []string{name}, Files: []int{1, 1}})
			}
			s.Nanosleep(1e9)
			return 0
		})
		pexe, _ := s.Open("/bin/parent", sys.O_PATH, 0)
		s.Spawn(&sys.SpawnAttr{Exe: pexe, Argv: []string{"parent"}, Files: []int{exe, w}})
		s.Close(w)
		out, err := sys.ReadAll(s, r, 100)
		if string(out) != "drops" || err != nil {
			t.Errorf("alive after the parent's death: %q, %v", out, err)
		}
		return 0
	})
}

// The classic escape works here as it does on Linux, and not without
// CAP_SYS_CHROOT or with the working directory inside.
func TestChrootEscape(t *testing.T) {
	m := boot(t, fake.Config{})
	m.MkdirAll("/jail/sub", 0o777, 0, 0)
	m.WriteFile("/secret", []byte("s"), 0o644, 0, 0)
	exits(t, m, func(s sys.Sys) int {
		ok(t, "chroot", s.Chroot("/jail"))
		if cwd, err := s.Getcwd(); cwd != "(unreachable)/" || err != nil {
			t.Errorf("getcwd outside: %q, %v", cwd, err)
		}
		ok(t, "chdir", s.Chdir("/"))
		var st sys.Stat
		want(t, "stat", s.Stat("/secret", &st), sys.ENOENT)
		want(t, "stat", s.Stat("../../secret", &st), sys.ENOENT)
		ok(t, "chroot", s.Chroot("sub")) // the working directory is outside now
		ok(t, "stat", s.Stat("../secret", &st))
		ok(t, "chdir", s.Chdir(".."))
		ok(t, "chroot", s.Chroot("."))
		ok(t, "stat", s.Stat("/secret", &st))
		if ps := m.Processes(); ps[0].Root != "/" {
			t.Errorf("root %q", ps[0].Root)
		}
		return 0
	})
}
