package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// signalState is what a process does with signals.
type signalState struct {
	ignored signalSet // SIG_IGN
	handled signalSet // named to Signalfd
	pending signalSet // delivered, handled and not yet read
	queue   sched.Queue
}

// lastSignal is _NSIG.
const lastSignal = 64

// Programs are Go programs on the real kernel, where the Go runtime has a handler
// for nearly every signal. A signal that the program did not ask for kills if it
// is one of killing, ends with exit status 2 and the goroutines' stacks if it is
// one of crashing, and is swallowed else: see "Default behavior of signals in Go
// programs" in package os/signal. Those of stopping, SIGSTOP and SIGCONT have the
// kernel's default action.
const (
	killing = signalSet(1<<(sys.SIGHUP-1) | 1<<(sys.SIGINT-1) | 1<<(sys.SIGTERM-1) |
		1<<(32-1) | 1<<(34-1)) // the runtime leaves these two to the C library
	crashing = signalSet(1<<(sys.SIGQUIT-1) | 1<<(sys.SIGILL-1) | 1<<(sys.SIGTRAP-1) | 1<<(sys.SIGABRT-1) |
		1<<(sys.SIGBUS-1) | 1<<(sys.SIGFPE-1) | 1<<(sys.SIGSEGV-1) | 1<<(16-1) | 1<<(sys.SIGSYS-1))
	stopping = signalSet(1<<(sys.SIGTSTP-1) | 1<<(sys.SIGTTIN-1) | 1<<(sys.SIGTTOU-1))

	// inherited are the signals that stay ignored across execve(2): the runtime
	// replaces SIG_IGN of others by its handler when the program starts.
	inherited = signalSet(1<<(sys.SIGHUP-1) | 1<<(sys.SIGINT-1))
)

// deliver sends sig to p: send_signal. Machine.mu is held, and is given back with
// unlock.
func (m *Machine) deliver(p *process, sig sys.Signal) {
	switch {
	case p == m.init || p.zombie:
	case sig == sys.SIGKILL:
		m.doom(p, sys.WaitStatus(sig))
	case sig == sys.SIGCONT && p.job.halting.Load():
		m.resume(p)
	case p.job.halting.Load():
		p.later(sig)
	default:
		m.act(p, sig)
	}
}

// act is what p does about a signal: get_signal.
//
// A signal that has a handler interrupts one of the process's threads, whichever
// the kernel picks.
func (m *Machine) act(p *process, sig sys.Signal) {
	s := &p.signals
	switch {
	case sig == sys.SIGSTOP:
		m.halt(p, sig)
		return
	case s.ignored.has(sig):
		return
	case s.handled.has(sig):
		if s.pending.has(sig) {
			return // legacy_queue: it is one signal
		}
		s.pending |= sigbit(sig)
		s.queue.WakeAll()
	case stopping.has(sig):
		if !m.orphaned(p.pgid, nil) {
			m.halt(p, sig)
		}
		return
	case sig == sys.SIGCONT: // what it does was done by deliver
		return
	case killing.has(sig):
		m.doom(p, sys.WaitStatus(sig))
		return
	case crashing.has(sig):
		m.crash(p, sig)
		return
	}
	if n := len(p.threads); n > 0 {
		p.threads[m.sigRand.IntN(n)].sched.Interrupt()
	}
}

// raise sends a signal that comes with the error of a call, to the thread that
// made the call: it interrupts nothing. The Go runtime swallows those that raise
// is used for, SIGPIPE and SIGXFSZ, so only one that was asked for has an effect.
// (It is os.File, which programs here do not use, that kills the process when
// descriptor 1 or 2 is a broken pipe.) Machine.mu is held.
func (p *process) raise(sig sys.Signal) {
	if s := &p.signals; s.handled.has(sig) && !s.pending.has(sig) {
		s.pending |= sigbit(sig)
		s.queue.WakeAll()
	}
}

// mayKill is check_kill_permission in kernel/signal.c.
func mayKill(from, to *process, sig sys.Signal) bool {
	c, target := from.attrs.Load().cred, to.attrs.Load().cred
	return c.euid == target.suid || c.euid == target.ruid || c.ruid == target.suid || c.ruid == target.ruid ||
		c.capable(sys.CAP_KILL) || sig == sys.SIGCONT && from.sid == to.sid
}

// kill is kill(2) by p.
func (p *process) kill(pid int, sig sys.Signal) error {
	m := p.m
	m.lock()
	defer m.unlock()
	pgid := -pid
	if pid == 0 {
		pgid = p.pgid
	}
	found, sent := false, false
	for _, q := range append([]*process{m.init}, m.procs...) {
		switch {
		case pid > 0 && q.pid != pid,
			pid == -1 && (q == p || q == m.init),
			(pid == 0 || pid < -1) && q.pgid != pgid:
			continue
		}
		if sig < 0 || sig > lastSignal { // check_kill_permission: once there is somebody
			return sys.EINVAL
		}
		found = true
		if !mayKill(p, q, sig) {
			continue
		}
		sent = true
		if sig != 0 {
			m.deliver(q, sig)
		}
	}
	switch {
	case !found:
		return sys.ESRCH
	case !sent && pid != -1: // kill_something_info forgets EPERM for -1
		return sys.EPERM
	}
	return nil
}

// sigaction is sigaction(2) with SIG_DFL or SIG_IGN.
func (p *process) sigaction(sig sys.Signal, disposition int) error {
	if sig < 1 || sig > lastSignal || sig == sys.SIGKILL || sig == sys.SIGSTOP {
		return sys.EINVAL
	}
	if disposition != sys.SIG_DFL && disposition != sys.SIG_IGN {
		return sys.EINVAL
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	s := &p.signals
	s.handled &^= sigbit(sig)
	s.pending &^= sigbit(sig)
	s.ignored &^= sigbit(sig)
	if disposition == sys.SIG_IGN {
		s.ignored |= sigbit(sig)
	}
	return nil
}

// newSignalfd makes the file of Signalfd: sigs are handled from now on.
// SIGKILL and SIGSTOP are silently left out, as signalfd(2) says.
func (p *process) newSignalfd(sigs []sys.Signal) (*signalFile, error) {
	var set signalSet
	for _, sig := range sigs {
		if sig < 1 || sig > lastSignal {
			return nil, sys.EINVAL
		}
		if sig != sys.SIGKILL && sig != sys.SIGSTOP {
			set |= sigbit(sig)
		}
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.signals.handled |= set
	p.signals.ignored &^= set
	return &signalFile{p: p, set: set}, nil
}

// signalFile is the file behind a descriptor of Signalfd. It is always the
// process that made it whose signals are read.
type signalFile struct {
	p   *process
	set signalSet
}

func (f *signalFile) Read(t *vfs.Task, d *vfs.Description, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	mu, s := &f.p.m.mu, &f.p.signals
	mu.Lock()
	defer mu.Unlock()
	for s.pending&f.set == 0 {
		if d.Flags()&sys.O_NONBLOCK != 0 {
			return 0, sys.EAGAIN
		}
		if err := s.queue.Wait(t.Thread, mu, sched.Forever); err != nil && s.pending&f.set == 0 {
			return 0, err
		}
	}
	n := 0
	for n < len(b) && s.pending&f.set != 0 {
		sig := (s.pending & f.set).first()
		s.pending &^= sigbit(sig)
		b[n] = byte(sig)
		n++
	}
	return n, nil
}

func (f *signalFile) Write(*vfs.Task, *vfs.Description, []byte) (int, error) { return 0, sys.EINVAL }

func (f *signalFile) Stat(t *vfs.Task, st *sys.Stat) error {
	*st = sys.Stat{Mode: 0o600, Nlink: 1, Blksize: 4096} // an anonymous inode has no type
	return nil
}

func (f *signalFile) Ready() int16 {
	f.p.m.mu.Lock()
	defer f.p.m.mu.Unlock()
	if f.p.signals.pending&f.set != 0 {
		return sys.POLLIN
	}
	return 0
}

func (f *signalFile) Queue() *sched.Queue { return &f.p.signals.queue }

func (f *signalFile) Release(*vfs.Task) {}

// signalfd is signalfd4(2) with a new descriptor.
func (t *thread) signalfd(sigs []sys.Signal, flags int) (int, error) {
	if flags&^(sys.SFD_CLOEXEC|sys.SFD_NONBLOCK) != 0 {
		return -1, sys.EINVAL
	}
	if err := t.noRoom(1); err != nil {
		return -1, err
	}
	f, err := t.p.newSignalfd(sigs)
	if err != nil {
		return -1, err
	}
	d := t.p.m.tree.NewAnon(f, sys.O_RDWR|flags&sys.SFD_NONBLOCK)
	return t.install(d, flags&sys.SFD_CLOEXEC != 0)
}
