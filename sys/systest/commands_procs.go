package systest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// capNames are the capabilities that cases look at; a container may lack others.
var capNames = []struct {
	name string
	n    int
}{
	{"chown", sys.CAP_CHOWN}, {"dac_override", sys.CAP_DAC_OVERRIDE}, {"dac_read_search", sys.CAP_DAC_READ_SEARCH},
	{"fowner", sys.CAP_FOWNER}, {"fsetid", sys.CAP_FSETID}, {"kill", sys.CAP_KILL}, {"setgid", sys.CAP_SETGID},
	{"setuid", sys.CAP_SETUID}, {"setpcap", sys.CAP_SETPCAP}, {"net_bind_service", sys.CAP_NET_BIND_SERVICE},
	{"ipc_owner", sys.CAP_IPC_OWNER}, {"sys_chroot", sys.CAP_SYS_CHROOT}, {"sys_ptrace", sys.CAP_SYS_PTRACE},
	{"sys_admin", sys.CAP_SYS_ADMIN}, {"mknod", sys.CAP_MKNOD},
}

// Capabilities are those that a Kernel with Root gives to its processes.
func Capabilities() (set uint64) {
	for _, c := range capNames {
		set |= 1 << c.n
	}
	return set
}

// capSet is a set by names: "chown,kill", "all", "-".
func capSet(s string) (set uint64, err error) {
	switch s {
	case "-", "none":
		return 0, nil
	case "all":
		return Capabilities(), nil
	}
	for name := range strings.SplitSeq(s, ",") {
		i := slices.IndexFunc(capNames, func(c struct {
			name string
			n    int
		}) bool {
			return c.name == name
		})
		if i < 0 {
			return 0, sys.EINVAL
		}
		set |= 1 << capNames[i].n
	}
	return set, nil
}

func (w args) caps(i int) uint64 {
	set, err := capSet(w.str(i))
	if err != nil {
		panic(scriptError("unknown capability in " + w.str(i)))
	}
	return set
}

func capString(set uint64) string {
	var names []string
	for _, c := range capNames {
		if set&(1<<c.n) != 0 {
			names = append(names, c.name)
		}
	}
	switch len(names) {
	case 0:
		return "none"
	case len(capNames):
		return "all"
	}
	return strings.Join(names, ",")
}

// credCommands are the calls of sys.Creds.
var credCommands = map[string]command{
	// ids are the real, effective and saved ids of user and group.
	"ids": func(a *agent, w args) string {
		ru, eu, su := a.s.Getresuid()
		rg, eg, sg := a.s.Getresgid()
		return fmt.Sprintf("uid %d %d %d gid %d %d %d", ru, eu, su, rg, eg, sg)
	},
	"uids": func(a *agent, w args) string {
		ru, eu, su := a.s.Getresuid()
		return fmt.Sprintf("%d %d %d", ru, eu, su)
	},
	"gids": func(a *agent, w args) string {
		rg, eg, sg := a.s.Getresgid()
		return fmt.Sprintf("%d %d %d", rg, eg, sg)
	},
	"setresuid": func(a *agent, w args) string { return ok(a.s.Setresuid(w.num(0), w.num(1), w.num(2))) },
	"setresgid": func(a *agent, w args) string { return ok(a.s.Setresgid(w.num(0), w.num(1), w.num(2))) },
	"groups": func(a *agent, w args) string {
		g, err := a.s.Getgroups()
		slices.Sort(g)
		return val(strings.Trim(fmt.Sprint(g), "[]")+".", err)
	},
	"setgroups": func(a *agent, w args) string {
		gids := []int{}
		for i := range w {
			gids = append(gids, w.num(i))
		}
		return ok(a.s.Setgroups(gids))
	},
	// caps are the effective, permitted and inheritable sets.
	"caps": func(a *agent, w args) string {
		c, err := a.s.Capget()
		return val(capString(c.Effective)+" "+capString(c.Permitted)+" "+capString(c.Inheritable), err)
	},
	// capset EFFECTIVE PERMITTED INHERITABLE
	"capset": func(a *agent, w args) string {
		return ok(a.s.Capset(sys.CapSets{Effective: w.caps(0), Permitted: w.caps(1), Inheritable: w.caps(2)}))
	},
	// bounding says whether a capability is in the bounding set.
	"bounding": func(a *agent, w args) string { return val(a.prctl("PR_CAPBSET_READ", w.capNumber(0))) },
	"drop":     func(a *agent, w args) string { _, err := a.prctl("PR_CAPBSET_DROP", w.capNumber(0)); return ok(err) },
	// prctl OPTION [ARGS]
	"prctl": func(a *agent, w args) string {
		var n []uintptr
		for i := 1; i < len(w); i++ {
			n = append(n, uintptr(w.num(i)))
		}
		v, err := a.prctl(w.str(0), n...)
		if w.str(0) == "PR_GET_DUMPABLE" && v == 2 {
			v = 0 // what /proc/sys/fs/suid_dumpable makes of it
		}
		return val(v, err)
	},
}

func (w args) capNumber(i int) uintptr {
	for _, c := range capNames {
		if c.name == w.str(i) {
			return uintptr(c.n)
		}
	}
	return uintptr(w.num(i))
}

var prctlOptions = map[string]int{
	"PR_SET_PDEATHSIG": sys.PR_SET_PDEATHSIG, "PR_GET_DUMPABLE": sys.PR_GET_DUMPABLE, "PR_SET_DUMPABLE": sys.PR_SET_DUMPABLE,
	"PR_CAPBSET_READ": sys.PR_CAPBSET_READ, "PR_CAPBSET_DROP": sys.PR_CAPBSET_DROP,
	"PR_SET_NO_NEW_PRIVS": sys.PR_SET_NO_NEW_PRIVS, "PR_GET_NO_NEW_PRIVS": sys.PR_GET_NO_NEW_PRIVS,
}

func (a *agent) prctl(option string, n ...uintptr) (int, error) {
	n = append(n, 0, 0, 0, 0)
	return a.s.Prctl(flagsOf(option, prctlOptions), n[0], n[1], n[2], n[3])
}

var signals = func() map[string]int {
	m := map[string]int{}
	for s := sys.Signal(1); s <= 31; s++ {
		m[strings.TrimPrefix(s.String(), "SIG")] = int(s)
	}
	return m
}()

// resources are the limits of getrlimit(2).
var resources = map[string]int{"fsize": sys.RLIMIT_FSIZE, "core": sys.RLIMIT_CORE, "nproc": sys.RLIMIT_NPROC, "nofile": sys.RLIMIT_NOFILE}

// procCommands are the calls of sys.Procs.
var procCommands = map[string]command{
	"getpid":  func(a *agent, w args) string { return fmt.Sprintf("<pid %d>", a.s.Getpid()) },
	"gettid":  func(a *agent, w args) string { return fmt.Sprintf("<pid %d>", a.s.Gettid()) },
	"getppid": func(a *agent, w args) string { return fmt.Sprintf("<pid %d>", a.s.Getppid()) },
	// spawn NAME [exe FD] [setpgid] [deathsig SIG] [env NAME=VALUE] [file FD]...: the
	// files are 5, 6 and so on in the new process.
	"spawn": func(a *agent, w args) string {
		if a.gift < 0 {
			panic(scriptError("spawn is a line of its own"))
		}
		attr := sys.SpawnAttr{Exe: a.exe, Argv: a.argv, Env: Environ(), Files: []int{0, 1, 2, a.gift, a.exe}}
		for i := 1; i < len(w); i++ {
			switch w.str(i) {
			case "exe":
				i++
				attr.Exe = a.fd(w.str(i))
			case "setpgid":
				attr.Setpgid = true
			case "deathsig":
				i++
				attr.Pdeathsig = sys.Signal(w.flags(i, signals))
			case "env":
				i++
				attr.Env = append(attr.Env, w.str(i))
			case "file":
				i++
				attr.Files = append(attr.Files, a.fd(w.str(i)))
			default:
				panic(scriptError("unknown: " + w.str(i)))
			}
		}
		pid, err := a.s.Spawn(&attr)
		return val(fmt.Sprintf("<pid %d>", pid), err)
	},
	// program PATH MODE makes a copy of Program's executable.
	"program": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(0), sys.O_WRONLY|sys.O_CREAT|sys.O_EXCL, 0o700)
		if err != nil {
			return errName(err)
		}
		defer a.s.Close(fd)
		for off := int64(0); ; {
			n, err := a.s.Sendfile(fd, a.exe, off, 64<<20)
			if err != nil {
				return errName(err)
			}
			if n == 0 {
				return ok(a.s.Fchmod(fd, w.oct(1)))
			}
			off += int64(n)
		}
	},
	// waitpid PID|any [nohang|untraced|continued]
	"waitpid": func(a *agent, w args) string {
		pid := -1
		if w.str(0) != "any" {
			pid = w.num(0)
		}
		options := w.optFlags(1, map[string]int{"nohang": sys.WNOHANG, "untraced": sys.WUNTRACED, "continued": sys.WCONTINUED})
		for {
			got, status, err := a.s.Wait4(pid, options)
			switch {
			case err == sys.EINTR: // SIGCHLD
				continue
			case err != nil:
				return errName(err)
			case got == 0:
				return "none"
			}
			return fmt.Sprintf("<pid %d> %s", got, statusString(status))
		}
	},
	"exit": func(a *agent, w args) string { a.s.Exit(w.num(0)); return "?" },
	"setpgid": func(a *agent, w args) string {
		pgid := w.num(1)
		if pgid < -1 && strings.HasPrefix(w.str(1), "-") { // pgrp:NAME
			pgid = -pgid
		}
		return ok(a.s.Setpgid(w.num(0), pgid))
	},
	"getpgid": func(a *agent, w args) string {
		g, err := a.s.Getpgid(w.num(0))
		return val(fmt.Sprintf("<pid %d>", g), err)
	},
	"setsid": func(a *agent, w args) string {
		id, err := a.s.Setsid()
		return val(fmt.Sprintf("<pid %d>", id), err)
	},
	"getrlimit": func(a *agent, w args) string {
		l, err := a.s.Getrlimit(w.flags(0, resources))
		return val(fmt.Sprintf("%s %s", limit(l.Cur), limit(l.Max)), err)
	},
	// setrlimit RESOURCE CUR MAX
	"setrlimit": func(a *agent, w args) string {
		r := w.flags(0, resources)
		old, err := a.s.Getrlimit(r)
		if err != nil {
			return errName(err)
		}
		return ok(a.s.Setrlimit(r, sys.Rlimit{Cur: w.limit(1, old.Cur), Max: w.limit(2, old.Max)}))
	},
}

// limit is inf, = for the present one, or a number.
func (w args) limit(i int, old uint64) uint64 {
	switch w.str(i) {
	case "inf":
		return sys.RLIM_INFINITY
	case "=":
		return old
	}
	return uint64(w.num(i))
}

func limit(n uint64) string {
	if n == sys.RLIM_INFINITY {
		return "inf"
	}
	return strconv.FormatUint(n, 10)
}

// signalCommands are the calls of sys.Signals.
var signalCommands = map[string]command{
	"kill": func(a *agent, w args) string { return ok(a.s.Kill(w.num(0), sys.Signal(w.flags(1, signals)))) },
	// signalfd NAME SIG,SIG [FLAGS]
	"signalfd": func(a *agent, w args) string {
		var sigs []sys.Signal
		for s := range strings.SplitSeq(w.str(1), ",") {
			sigs = append(sigs, sys.Signal(flagsOf(s, signals)))
		}
		fd, err := a.s.Signalfd(sigs, w.optFlags(2, openFlags))
		return a.newFd(w.str(0), fd, err)
	},
	// readsig FD reads one signal.
	"readsig": func(a *agent, w args) string {
		var p [1]byte
		for {
			_, err := a.s.Read(a.fd(w.str(0)), p[:])
			if err == sys.EINTR {
				continue
			}
			return val(sys.Signal(p[0]).String(), err)
		}
	},
	"sigaction": func(a *agent, w args) string {
		return ok(a.s.Sigaction(sys.Signal(w.flags(0, signals)), w.flags(1, map[string]int{"ign": sys.SIG_IGN, "dfl": sys.SIG_DFL})))
	},
}

// statusString is a status of wait4(2).
func statusString(w sys.WaitStatus) string {
	if w.Stopped() {
		return "stopped by " + w.StopSignal().String()
	}
	if w.Continued() {
		return "continued"
	}
	if w.Signaled() {
		how := "killed by " + w.Signal().String()
		if w.CoreDump() {
			how += ", core dumped"
		}
		return how
	}
	return "exited " + strconv.Itoa(w.ExitStatus())
}
