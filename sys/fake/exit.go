package fake

import (
	"slices"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// lock takes the lock of the process table. Whoever may end a process with it
// held gives it back with unlock.
func (m *Machine) lock() { m.mu.Lock() }

// unlock gives the lock back and buries the processes that were doomed with it
// held and have no thread inside a call: their death takes the locks of other
// subsystems.
func (m *Machine) unlock() {
	doomed := m.doomed
	m.doomed = nil
	m.mu.Unlock()
	for _, p := range doomed {
		p.buryIfIdle()
	}
}

// doom begins the end of p: from now on none of its threads begins a call, and
// those that sleep in one leave it. The first status counts. Machine.mu is held.
func (m *Machine) doom(p *process, status sys.WaitStatus) {
	if p == m.init || p.state.Load()&dying != 0 {
		return
	}
	p.status = status
	p.state.Or(dying)
	m.resumed.Broadcast()
	for _, t := range p.threads {
		t.sched.Kill()
	}
	m.doomed = append(m.doomed, p)
}

func exitStatus(status int) sys.WaitStatus { return sys.WaitStatus(status&0xff) << 8 }

// buryIfIdle does the kernel's side of p's death once, when p is doomed and none
// of its threads is inside a call.
func (p *process) buryIfIdle() {
	if p.state.CompareAndSwap(dying, dying|dead) {
		p.die()
	}
}

// die is do_exit in kernel/exit.c, in its order: semaphores, shared memory,
// files, then the family is told; and before it the core is dumped.
func (p *process) die() {
	m := p.m
	m.mu.Lock()
	var th *sched.Thread
	if len(p.threads) > 0 {
		th = p.threads[0].sched
	}
	maps := p.maps
	p.maps = nil
	ipcs := p.ipcs
	places := []*place{&p.attrs.Load().place}
	for _, t := range p.threads {
		if own := t.own.Swap(nil); own != nil {
			places = append(places, own)
		}
	}
	m.mu.Unlock()
	task := p.task(th)
	if p.core != "" && p.dumpCore(task) {
		m.mu.Lock()
		p.status |= dumped
		m.mu.Unlock()
	}
	for _, mp := range maps {
		mp.close(task)
	}

	for _, ns := range ipcs {
		ns.UndoAll(p, m.sched.Now())
		ns.DetachAll(p, p.pid, m.sched.Now())
	}
	p.fds.closeAll(task)
	if p.exe.Dentry != nil {
		m.tree.AllowWrite(p.exe)
	}
	for _, f := range places { // exit_fs, exit_task_namespaces
		f.drop()
	}

	m.lock()
	defer m.unlock()
	for _, t := range p.threads {
		m.parentThreadDied(p, t)
	}
	for _, c := range slices.Clone(p.children) {
		m.reparent(c)
		m.orphan(c, p, nil)
	}
	p.zombie = true
	m.orphan(p, p.parent, p)
	if p.started {
		m.exits[p.pid] = p.status
		m.exited.Broadcast()
	}
	if p.parent == m.init || p.parent.signals.ignored.has(sys.SIGCHLD) {
		m.removeProcess(p)
	}
	m.tellParent(p)
}

// reparent gives the orphan c to init. Machine.mu is held.
func (m *Machine) reparent(c *process) {
	old := c.parent
	old.children = slices.DeleteFunc(old.children, func(q *process) bool { return q == c })
	c.parent, c.spawner = m.init, nil
	m.init.children = append(m.init.children, c)
	if c.zombie {
		m.removeProcess(c)
	}
}

// parentThreadDied sends PR_SET_PDEATHSIG's signal to the children that t made.
// Machine.mu is held.
func (m *Machine) parentThreadDied(p *process, t *thread) {
	for _, c := range p.children {
		if c.spawner == t && c.pdeathsig != 0 {
			m.deliver(c, c.pdeathsig)
		}
	}
}

// wait4 is wait4(2).
func (t *thread) wait4(pid, options int) (int, sys.WaitStatus, error) {
	if options&^(sys.WNOHANG|sys.WUNTRACED|sys.WCONTINUED) != 0 {
		return 0, 0, sys.EINVAL
	}
	if pid == -1<<31 {
		return 0, 0, sys.ESRCH
	}
	p, m := t.p, t.p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	pgid := -pid
	if pid == 0 {
		pgid = p.pgid
	}
	for {
		found := false
		for _, c := range p.children {
			if pid > 0 && c.pid != pid || (pid == 0 || pid < -1) && c.pgid != pgid {
				continue
			}
			found = true
			if c.zombie {
				m.removeProcess(c)
				return c.pid, c.status, nil
			}
			if status := c.job.report(options); status != 0 {
				return c.pid, status, nil
			}
		}
		if !found {
			return 0, 0, sys.ECHILD
		}
		if options&sys.WNOHANG != 0 {
			return 0, 0, nil
		}
		// Non-exclusive, as in Linux: each waiter may wait for another child.
		w := t.sched.NewWaiter()
		p.childGone.Add(w)
		if err := t.sleepUnlocked(&p.childGone, w); err != nil {
			return 0, 0, err
		}
	}
}

// sleepUnlocked sleeps on w, which is in q, with Machine.mu given back meanwhile.
func (t *thread) sleepUnlocked(q *sched.Queue, w *sched.Waiter) error {
	mu := &t.p.m.mu
	defer mu.Lock()
	defer q.Remove(w)
	mu.Unlock()
	return t.sched.Sleep(w, sched.Forever)
}

// drop closes d for p: any close drops the process's POSIX locks on the file,
// see fcntl(2).
func (p *process) drop(task *vfs.Task, d *vfs.Description) {
	p.m.tree.DropPosixLocks(p, d)
	d.Decref(task)
}
