package fake

import (
	"runtime"
	"sync/atomic"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// jobControl is what stop signals and SIGCONT change of a process. But for halting
// it is guarded by Machine.mu.
//
// A process that is stopped begins no call and ends none; a thread that sleeps in
// one leaves it, waits, and makes it again, or returns EINTR where signal(7) says
// so. It has stopped when no thread is inside a call but those that wait there.
type jobControl struct {
	halting   atomic.Bool // a signal stops it, or has
	signal    sys.Signal  // which
	stopped   bool
	code      sys.WaitStatus // what wait4 with WUNTRACED will say, once
	continued bool           // what wait4 with WCONTINUED will say, once
	parked    int            // threads that wait inside a call
	deferred  signalSet      // what came meanwhile
	goOn      sched.Queue    // where the threads wait
}

// halt is do_signal_stop. Machine.mu is held.
func (m *Machine) halt(p *process, sig sys.Signal) {
	j := &p.job
	j.signal, j.continued = sig, false
	j.halting.Store(true)
	for _, t := range p.threads {
		t.sched.Halt()
	}
	m.stoppedYet(p)
}

// stoppedYet tells the parent when p has stopped. Machine.mu is held, and is given
// back with unlock.
func (m *Machine) stoppedYet(p *process) {
	j := &p.job
	state := p.state.Load()
	if !j.halting.Load() || j.stopped || state&dying != 0 || int(state&(dying-1)) > j.parked {
		return
	}
	j.stopped = true
	j.code = sys.WaitStatus(j.signal)<<8 | 0x7f
	m.tellParent(p)
}

// tellParent is do_notify_parent and do_notify_parent_cldstop. Machine.mu is held,
// and is given back with unlock.
func (m *Machine) tellParent(p *process) {
	if p.parent == m.init {
		return
	}
	// Even one that ignores SIGCHLD may sleep in wait4, for ECHILD.
	p.parent.childGone.WakeAll()
	m.deliver(p.parent, sys.SIGCHLD)
}

// resume is what SIGCONT does to a process that is stopped or about to be:
// prepare_signal. Machine.mu is held, and is given back with unlock.
func (m *Machine) resume(p *process) {
	j := &p.job
	j.stopped, j.code, j.continued = false, 0, true
	j.halting.Store(false)
	for _, t := range p.threads {
		t.sched.Resume()
	}
	j.goOn.WakeAll()
	m.resumed.Broadcast()
	m.tellParent(p)
	signals := j.deferred | sigbit(sys.SIGCONT)
	j.deferred = 0
	for signals != 0 && p.state.Load()&dying == 0 {
		sig := signals.first()
		signals &^= sigbit(sig)
		m.act(p, sig)
	}
}

// report is wait_task_stopped and wait_task_continued: a status that wait4 with
// these options has not returned yet, or 0.
func (j *jobControl) report(options int) (status sys.WaitStatus) {
	switch {
	case options&sys.WUNTRACED != 0 && j.code != 0:
		status, j.code = j.code, 0
	case options&sys.WCONTINUED != 0 && j.continued:
		status, j.continued = 0xffff, false
	}
	return status
}

// later keeps a signal until p is continued. SIGCONT will discard those that stop.
func (p *process) later(sig sys.Signal) {
	if sig != sys.SIGSTOP && !stopping.has(sig) && !p.signals.ignored.has(sig) {
		p.job.deferred |= sigbit(sig)
	}
}

// park waits until the process is continued. inside says that t is inside a call.
func (t *thread) park(inside bool) {
	for t.p.job.halting.Load() {
		t.parkOnce(inside)
	}
}

func (t *thread) parkOnce(inside bool) {
	p, m := t.p, t.p.m
	j := &p.job
	w := t.sched.NewWaiter()
	m.lock()
	if !j.halting.Load() {
		m.unlock()
		return
	}
	j.goOn.Add(w)
	if inside {
		j.parked++
	}
	m.stoppedYet(p)
	m.unlock()
	defer func() { // also when the process is killed
		m.mu.Lock()
		defer m.mu.Unlock()
		j.goOn.Remove(w)
		if inside {
			j.parked--
		}
	}()
	t.sched.Park(w, "SIGCONT")
}

// parkTouching is park for an access to shared memory.
func (p *process) parkTouching() {
	m := p.m
	if m.cfg.Mode == Deterministic {
		if t := m.sched.Current(); t != nil {
			t.Data.(*thread).park(false)
		}
		return
	}
	m.mu.Lock()
	for p.job.halting.Load() && p.state.Load()&dying == 0 {
		m.resumed.Wait()
	}
	m.mu.Unlock()
	if p.state.Load()&dying != 0 {
		runtime.Goexit()
	}
}

// orphaned is will_become_orphaned_pgrp: none of the group but ignored has a parent
// in another group of the session, who could continue it. Machine.mu is held.
func (m *Machine) orphaned(pgid int, ignored *process) bool {
	for _, p := range m.procs {
		if p.pgid == pgid && p != ignored && !p.zombie && p.parent != m.init &&
			p.parent.pgid != pgid && p.parent.sid == p.sid {
			return false
		}
	}
	return true
}

// orphan is kill_orphaned_pgrp: when the group of p loses its last connection
// outside, by the death of p or, if ignored is nil, of its parent, and somebody in
// it is stopped, nobody would ever continue it. Machine.mu is held, and is given
// back with unlock.
func (m *Machine) orphan(p, parent, ignored *process) {
	if parent.pgid == p.pgid || parent.sid != p.sid || !m.orphaned(p.pgid, ignored) {
		return
	}
	stopped := false
	for _, q := range m.procs {
		stopped = stopped || q.pgid == p.pgid && q.job.stopped
	}
	if !stopped {
		return
	}
	for _, sig := range []sys.Signal{sys.SIGHUP, sys.SIGCONT} {
		for _, q := range m.procs {
			if q.pgid == p.pgid {
				m.deliver(q, sig)
			}
		}
	}
}
