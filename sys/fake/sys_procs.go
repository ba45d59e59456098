package fake

import (
	"time"

	"github.com/httpjail/httpjail/sys"
)

func (t *thread) Getpid() (pid int) {
	var err error
	t.enter("getpid", -1)
	defer t.leave(&pid, &err)
	return t.p.pid
}

func (t *thread) Getppid() (pid int) {
	var err error
	t.enter("getppid", -1)
	defer t.leave(&pid, &err)
	t.p.m.mu.Lock()
	defer t.p.m.mu.Unlock()
	return t.p.parent.pid
}

func (t *thread) Spawn(attr *sys.SpawnAttr) (pid int, err error) {
	t.enter("spawn", attr.Exe, uint64(len(attr.Argv)), uint64(len(attr.Files)))
	defer t.leave(&pid, &err)
	for _, a := range attr.Argv {
		t.note(a)
	}
	return negative(t.spawn(attr))
}

func (t *thread) Wait4(pid, options int) (wpid int, status sys.WaitStatus, err error) {
	t.enter("wait4", -1, uint64(pid), uint64(options))
	defer t.leave(&wpid, &err)
	err = t.restart(func() (err error) {
		wpid, status, err = t.wait4(pid, options)
		return err
	})
	if err != nil {
		return -1, 0, err
	}
	return wpid, status, nil
}

func (t *thread) Exit(status int) {
	var err error
	t.enter("exit_group", -1, uint64(status))
	defer t.leave(nil, &err) // does not return
	t.exitGroup(exitStatus(status))
}

func (t *thread) Setpgid(pid, pgid int) (err error) {
	t.enter("setpgid", -1, uint64(pid), uint64(pgid))
	defer t.leave(nil, &err)
	return t.p.setpgid(pid, pgid)
}

func (t *thread) Getpgid(pid int) (pgid int, err error) {
	t.enter("getpgid", -1, uint64(pid))
	defer t.leave(&pgid, &err)
	return negative(t.p.getpgid(pid))
}

func (t *thread) Setsid() (sid int, err error) {
	t.enter("setsid", -1)
	defer t.leave(&sid, &err)
	return negative(t.p.setsid())
}

func (t *thread) Getrlimit(resource int) (lim sys.Rlimit, err error) {
	t.enter("getrlimit", -1, uint64(resource))
	defer t.leave(nil, &err)
	return t.p.getrlimit(resource)
}

func (t *thread) Setrlimit(resource int, lim sys.Rlimit) (err error) {
	t.enter("setrlimit", -1, uint64(resource), lim.Cur, lim.Max)
	defer t.leave(nil, &err)
	return t.p.setrlimit(resource, lim)
}

func (t *thread) Getresuid() (ruid, euid, suid int) {
	var err error
	t.enter("getresuid", -1)
	defer t.leave(&ruid, &err)
	c := t.attrs.cred
	return int(c.ruid), int(c.euid), int(c.suid)
}

func (t *thread) Getresgid() (rgid, egid, sgid int) {
	var err error
	t.enter("getresgid", -1)
	defer t.leave(&rgid, &err)
	c := t.attrs.cred
	return int(c.rgid), int(c.egid), int(c.sgid)
}

func (t *thread) Getgroups() (gids []int, err error) {
	t.enter("getgroups", -1)
	defer t.leave(nil, &err)
	for _, g := range t.attrs.cred.groups {
		gids = append(gids, int(g))
	}
	return gids, nil
}

func (t *thread) Setgroups(gids []int) (err error) {
	t.enter("setgroups", -1, uint64(len(gids)))
	defer t.leave(nil, &err)
	return t.p.setgroups(gids)
}

func (t *thread) Setresuid(ruid, euid, suid int) (err error) {
	t.enter("setresuid", -1, uint64(ruid), uint64(euid), uint64(suid))
	defer t.leave(nil, &err)
	return t.p.setresuid(ruid, euid, suid)
}

func (t *thread) Setresgid(rgid, egid, sgid int) (err error) {
	t.enter("setresgid", -1, uint64(rgid), uint64(egid), uint64(sgid))
	defer t.leave(nil, &err)
	return t.p.setresgid(rgid, egid, sgid)
}

func (t *thread) Capget() (s sys.CapSets, err error) {
	t.enter("capget", -1)
	defer t.leave(nil, &err)
	c := t.attrs.cred
	return sys.CapSets{Effective: c.effective, Permitted: c.permitted, Inheritable: c.inheritable}, nil
}

func (t *thread) Capset(s sys.CapSets) (err error) {
	t.enter("capset", -1, s.Effective, s.Permitted, s.Inheritable)
	defer t.leave(nil, &err)
	return t.p.capset(s)
}

func (t *thread) Prctl(option int, arg2, arg3, arg4, arg5 uintptr) (ret int, err error) {
	t.enter("prctl", -1, uint64(option), uint64(arg2), uint64(arg3), uint64(arg4), uint64(arg5))
	defer t.leave(&ret, &err)
	return negative(t.p.prctl(option, arg2, arg3, arg4, arg5))
}

func (t *thread) Kill(pid int, sig sys.Signal) (err error) {
	t.enter("kill", -1, uint64(pid), uint64(sig))
	defer t.leave(nil, &err)
	return t.p.kill(pid, sig)
}

func (t *thread) Signalfd(sigs []sys.Signal, flags int) (fd int, err error) {
	t.enter("signalfd4", -1, uint64(len(sigs)), uint64(flags))
	defer t.leave(&fd, &err)
	return t.signalfd(sigs, flags)
}

func (t *thread) Sigaction(sig sys.Signal, disposition int) (err error) {
	t.enter("sigaction", -1, uint64(sig), uint64(disposition))
	defer t.leave(nil, &err)
	return t.p.sigaction(sig, disposition)
}

func (t *thread) Now() (now time.Time) {
	var err error
	t.enter("clock_gettime", -1, 0)
	defer t.leave(nil, &err)
	return t.p.m.start.Add(t.sched.Now()).UTC()
}

func (t *thread) Monotonic() (now time.Duration) {
	var err error
	t.enter("clock_gettime", -1, 1)
	defer t.leave(nil, &err)
	return t.sched.Now()
}

func (t *thread) Nanosleep(d time.Duration) (err error) {
	t.enter("clock_nanosleep", -1, uint64(d))
	defer t.leave(nil, &err)
	deadline := t.deadline(max(d, 0))
	err = t.restartStopped(func() error { return t.sched.Sleep(t.sched.NewWaiter(), deadline) })
	if err != sys.ETIMEDOUT {
		return err
	}
	return nil
}

func (t *thread) Getrandom(p []byte) (n int, err error) {
	t.enter("getrandom", -1, uint64(len(p)))
	defer t.leave(&n, &err)
	t.p.m.random(p)
	return len(p), nil
}

func (t *thread) Go(name string, fn func(sys.Sys)) (err error) {
	t.enter("clone", -1)
	defer t.leave(nil, &err)
	t.note(name)
	return t.goThread(name, fn)
}

func (t *thread) Gettid() (tid int) {
	var err error
	t.enter("gettid", -1)
	defer t.leave(&tid, &err)
	return t.tid
}

func (t *thread) FutexWaitPrivate(addr *uint32, val uint32, timeout time.Duration) (err error) {
	t.enter("futex", -1, uint64(val), uint64(timeout))
	defer t.leave(nil, &err)
	return t.futexWait(addr, val, timeout)
}

func (t *thread) FutexWakePrivate(addr *uint32, n int) (woken int) {
	var err error
	t.enter("futex", -1, uint64(n))
	defer t.leave(&woken, &err)
	return t.p.m.futexes.Wake(addr, n)
}

// futexWait is FUTEX_WAIT: with a timeout a signal ends it, without one it is
// restarted, see signal(7).
func (t *thread) futexWait(addr *uint32, val uint32, timeout time.Duration) error {
	deadline := t.deadline(timeout)
	wait := func() error { return t.p.m.futexes.Wait(t.sched, addr, val, deadline) }
	if timeout < 0 {
		return t.restart(wait)
	}
	return t.restartStopped(wait)
}
