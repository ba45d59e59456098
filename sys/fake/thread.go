package fake

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/ipc"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// thread is a simulated thread, and the sys.Sys that its program holds. Its
// methods are in the files sys_*.go. Each has the same frame:
//
//	t.enter("op", fd, args...)
//	defer t.leave(&ret, &err)
//
// What is between them runs in the kernel: it may sleep in a sched.Queue, and
// when the process is killed meanwhile it unwinds through leave.
type thread struct {
	p     *process
	tid   int
	name  string
	sched *sched.Thread

	inCall atomic.Bool // by enter and leave; who finds it set is a stray goroutine
	op     string      // the call in progress, for reports
	fd     int
	task   vfs.Task // what the call in progress is made with
	attrs  *attrs   // what task was filled from
	filled *place   // the same, for own

	// own is the place of a thread that called Unshare; replaced as a whole, under
	// Machine.mu.
	own    atomic.Pointer[place]
	ownIPC *ipc.IPC // the same, of CLONE_NEWIPC; only t itself looks
}

var _ sys.Sys = (*thread)(nil)

// startThread starts fn as a thread of p. Machine.mu is held.
func (p *process) startThread(tid int, name string, fn func(*thread)) {
	t := &thread{p: p, tid: tid, name: name, fd: -1}
	t.task.Pid, t.task.Owner = p.pid, p
	label := p.String()
	if name != "" {
		label += " " + name
	}
	m := p.m
	m.tids[tid] = true
	started := make(chan struct{}) // closed when t.sched is set
	t.sched = m.sched.Go(tid, label, t, func(th *sched.Thread) {
		<-started
		defer t.end()
		if !th.Killed() {
			t.park(false)
			t.run(fn)
		}
	})
	t.task.Thread = t.sched
	i, _ := slices.BinarySearchFunc(p.threads, t, func(a, b *thread) int { return a.tid - b.tid })
	p.threads = slices.Insert(p.threads, i, t)
	close(started)
}

// run calls fn and ends the process when it panics.
func (t *thread) run(fn func(*thread)) {
	defer func() {
		if v := recover(); v != nil {
			t.p.m.panicked(t, v, debug.Stack())
		}
	}()
	fn(t)
}

// end is the end of a thread, however it came.
func (t *thread) end() {
	p, m := t.p, t.p.m
	m.lock()
	if t.tid == p.pid {
		// The first thread ended the process by returning, and then this does
		// nothing, or it called runtime.Goexit, which is what Fatal of package
		// testing does.
		m.doom(p, exitStatus(1))
	}
	m.unlock() // may bury p, which looks at its threads
	m.lock()
	m.parentThreadDied(p, t)
	p.threads = slices.DeleteFunc(p.threads, func(o *thread) bool { return o == t })
	delete(m.tids, t.tid)
	own := t.own.Swap(nil)
	m.unlock()
	if own != nil {
		own.drop()
	}
}

// enter begins a call: the switch point, and nothing of the call before it. It
// does not return when the process was killed.
func (t *thread) enter(op string, fd int, args ...uint64) {
	if t.sched.Killed() {
		runtime.Goexit()
	}
	if !t.sched.Running() || !t.inCall.CompareAndSwap(false, true) {
		panic(fmt.Sprintf("sys/fake: %s called by a goroutine that is not thread %d (%s): a Sys belongs to one thread",
			op, t.tid, t.sched.Name))
	}
	t.sched.Switch()
	p := t.p
	for {
		if p.state.Add(1)&dying != 0 {
			t.left()
			runtime.Goexit()
		}
		if !p.job.halting.Load() {
			break
		}
		t.left()
		t.park(false)
	}
	t.op, t.fd = op, fd
	if a, own := p.attrs.Load(), t.own.Load(); a != t.attrs || own != t.filled {
		t.attrs, t.filled = a, own
		a.fill(&t.task)
		if own != nil {
			own.fill(&t.task)
		}
	}
	p.m.trace.enter(t, op, fd, args)
}

// leave ends a call. It does not return when the process was killed.
func (t *thread) leave(ret *int, err *error) {
	if !t.sched.Killed() {
		t.p.m.trace.leave(ret, err)
	}
	t.inCall.Store(false)
	t.left()
	if t.sched.Killed() {
		runtime.Goexit()
	}
	t.park(false)
}

func (t *thread) left() {
	p := t.p
	if p.state.Add(-1) == dying {
		p.buryIfIdle()
	} else if p.job.halting.Load() {
		p.m.lock()
		p.m.stoppedYet(p)
		p.m.unlock()
	}
}

// deadline is when a call with that timeout, negative for none, gives up.
func (t *thread) deadline(timeout time.Duration) time.Duration {
	if timeout < 0 {
		return sched.Forever
	}
	now := t.sched.Now()
	if timeout > sched.Forever-now {
		return sched.Forever
	}
	return now + timeout
}

// restart makes a call again for as long as a signal interrupts it, as SA_RESTART
// does, see signal(7): ERESTARTSYS in the kernel.
func (t *thread) restart(call func() error) error {
	for {
		if err := call(); err != sys.EINTR {
			return err
		}
		t.park(true)
	}
}

// restartStopped makes a call again when the process was stopped meanwhile, but not
// after a signal that has a handler: ERESTART_RESTARTBLOCK.
func (t *thread) restartStopped(call func() error) error {
	for {
		if err := call(); err != sys.EINTR || !t.sched.WasHalted() {
			return err
		}
		t.park(true)
	}
}

// call is the call in progress, for reports: "read(3 /run/fifo)". The machine
// stands still.
func (t *thread) call() string {
	if t.fd < 0 {
		return t.op
	}
	arg := strconv.Itoa(t.fd)
	if !strings.HasPrefix(t.op, "sem") { // an identifier of System V IPC
		if d, err := t.p.fds.get(t.fd); err == nil {
			if arg += " "; d.Path.Dentry != nil {
				arg += t.p.m.tree.PathString(t.p.m.tree.Root(), d.Path)
			} else {
				arg += nameless(&t.task, d)
			}
			d.Decref(&t.task)
		}
	}
	return t.op + "(" + arg + ")"
}

// PanicError is what Run returns when a program panicked. The process died of
// SIGABRT.
type PanicError struct {
	Process string // argv[0] and pid
	Thread  string
	Value   any
	Stack   string
}

func (e *PanicError) Error() string {
	where := e.Process
	if e.Thread != "" {
		where += " thread " + e.Thread
	}
	return fmt.Sprintf("%s: panic: %v\n%s", where, e.Value, strings.TrimSpace(e.Stack))
}

// panicked records a program's panic and kills its process.
func (m *Machine) panicked(t *thread, v any, stack []byte) {
	e := &PanicError{Process: t.p.String(), Thread: t.name, Value: v, Stack: string(stack)}
	m.lock()
	defer m.unlock()
	if m.panicErr == nil {
		m.panicErr = e
	}
	if m.sched.Mode() == sched.FreeRunning {
		fmt.Fprintln(m.console, e.Error())
	}
	m.abort(t.p, fmt.Sprintf("panic: %v\n\n%s", v, stack))
}
