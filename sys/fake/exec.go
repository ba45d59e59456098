package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// spawn is fork(2) and execveat(2) of attr.Exe.
func (t *thread) spawn(attr *sys.SpawnAttr) (int, error) {
	p, m := t.p, t.p.m
	exe, err := p.fds.get(attr.Exe)
	if err != nil {
		return 0, err
	}
	defer exe.Decref(&t.task)
	if attr.Pdeathsig < 0 || attr.Pdeathsig > lastSignal {
		return 0, sys.EINVAL
	}
	prog, err := m.executable(&t.task, exe.Path)
	if err != nil {
		return 0, err
	}
	var file sys.Stat
	if err := exe.Stat(&t.task, &file); err != nil {
		return 0, err
	}
	fds := fdTable{}
	m.mu.Lock()
	fds.setLimit(p.limits[sys.RLIMIT_NOFILE].Cur)
	m.mu.Unlock()
	if err := fds.inherit(&p.fds, attr.Files); err != nil {
		return 0, err
	}

	m.lock()
	defer m.unlock()
	a := *p.attrs.Load()
	if own := t.own.Load(); own != nil {
		a.place = *own
	}
	if m.tooManyProcesses(p, a.cred) {
		fds.closeAll(&t.task)
		return 0, sys.EAGAIN
	}
	a.cred = a.cred.afterExec(&file, exe.Path.Mount.Flags()&vfs.MountNosuid != 0).publish()
	c, err := m.newProcess(p, t.ipc(), &a, attr.Argv, attr.Env, exe.Path)
	if err != nil {
		fds.closeAll(&t.task)
		return 0, err
	}
	c.fds.fds, c.fds.maybe, c.fds.limit = fds.fds, fds.maybe, fds.limit
	c.spawner = t
	if c.attrs.Load().cred.dumpable {
		c.pdeathsig = attr.Pdeathsig
	} // else commit_creds or setup_new_exec forgot it, as they do for set-user-ID programs
	if attr.Setpgid {
		c.pgid = c.pid
	}
	m.startProgram(c, prog)
	return c.pid, nil
}

// executable is the program that is the content of an executable file. EACCES:
// not a regular file, no permission, a noexec mount; ENOEXEC: no program.
func (m *Machine) executable(task *vfs.Task, exe vfs.Path) (sys.Program, error) {
	if exe.Dentry == nil {
		return nil, sys.EACCES
	}
	return m.tree.Program(task, exe)
}

// tooManyProcesses is the check of RLIMIT_NPROC in copy_process. Machine.mu is
// held.
func (m *Machine) tooManyProcesses(p *process, c *cred) bool {
	limit := p.limits[sys.RLIMIT_NPROC].Cur
	if limit == sys.RLIM_INFINITY || c.ruid == 0 || c.capable(sys.CAP_SYS_RESOURCE) || c.capable(sys.CAP_SYS_ADMIN) {
		return false
	}
	n := uint64(0)
	for _, q := range m.procs {
		if q.attrs.Load().cred.ruid == c.ruid {
			n++
		}
	}
	return n >= limit
}

// startProgram starts the first thread of p, which runs prog. Machine.mu is
// held.
func (m *Machine) startProgram(p *process, prog sys.Program) {
	p.startThread(p.pid, "", func(t *thread) {
		var s sys.Sys = t
		if m.cfg.Intercept != nil {
			s = m.cfg.Intercept(s)
		}
		status := prog(s, p.argv, p.env)
		t.exitGroup(exitStatus(status))
	})
}

// exitGroup is exit_group(2), outside of a call.
func (t *thread) exitGroup(status sys.WaitStatus) {
	m := t.p.m
	m.lock()
	defer m.unlock()
	m.doom(t.p, status)
}

// goThread is clone(2) with CLONE_THREAD.
func (t *thread) goThread(name string, fn func(sys.Sys)) error {
	p, m := t.p, t.p.m
	m.lock()
	defer m.unlock()
	if p.state.Load()&dying != 0 {
		return sys.EAGAIN // nobody will see it: leave unwinds
	}
	tid, err := m.allocID()
	if err != nil {
		return err
	}
	p.startThread(tid, name, func(nt *thread) { fn(nt) })
	return nil
}
