package mpm

import (
	"errors"
	"fmt"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// maintenance is the period of the parent's look at its children.
const maintenance = time.Second

// When children that do not end are told again, and killed, counted from the
// first SIGTERM, as ap_reclaim_child_processes of httpd 2.0.
var reclaim = []struct {
	after time.Duration
	sig   sys.Signal
}{
	{3 * time.Second, sys.SIGTERM},
	{5 * time.Second, sys.SIGTERM},
	{7 * time.Second, sys.SIGTERM},
	{9 * time.Second, sys.SIGKILL},
}

// SpawnFunc starts the program of a child with the state st, in which the
// descriptors are the parent's; it renumbers them for the child.
type SpawnFunc func(st ChildState) (pid int, err error)

// Parent keeps the children.
type Parent struct {
	sys   sys.Sys
	cfg   Config
	logf  func(format string, args ...any)
	spawn SpawnFunc

	listeners      []int
	score          *Scoreboard
	scoreFd        int
	mutex          MutexOwner
	podR, podW     int
	deathR, deathW int
	sigfd          int

	children map[int]child // by pid; iterated only through slots
	slots    []int         // pid of each slot, 0: free
	spares   spares
	owed     int  // children to replace at the next tick
	stopping bool // children that end are not replaced
}

type child struct {
	slot    int
	started time.Duration // on the monotonic clock
}

// NewParent makes the PidFile, the accept mutex, the scoreboard and the pipes,
// in that order, and takes the signals. When it fails nothing is left behind.
func NewParent(s sys.Sys, cfg Config, listeners []int, spawn SpawnFunc, logf func(string, ...any)) (p *Parent, err error) {
	p = &Parent{sys: s, cfg: cfg, logf: logf, spawn: spawn, listeners: listeners,
		scoreFd: -1, podR: -1, podW: -1, deathR: -1, deathW: -1, sigfd: -1,
		children: map[int]child{}, slots: make([]int, cfg.MaxServers())}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.cleanUp())
			p = nil
		}
	}()
	// Signals first: from the PidFile on, somebody may send them.
	p.sigfd, err = s.Signalfd([]sys.Signal{sys.SIGTERM, sys.SIGINT, sys.SIGHUP, sys.SIGUSR1, sys.SIGWINCH, sys.SIGCHLD},
		sys.SFD_CLOEXEC|sys.SFD_NONBLOCK)
	if err != nil {
		return p, fmt.Errorf("cannot take signals: %w", err)
	}
	if err := WritePidFile(s, cfg.PidFile, logf); err != nil {
		return p, err
	}
	if p.mutex, err = CreateMutex(s, &p.cfg); err != nil {
		return p, err
	}
	if p.score, p.scoreFd, err = CreateScoreboard(s, &p.cfg); err != nil {
		return p, err
	}
	if p.podR, p.podW, err = s.Pipe2(sys.O_CLOEXEC | sys.O_NONBLOCK); err != nil {
		return p, fmt.Errorf("cannot make the pipe of death: %w", err)
	}
	if p.deathR, p.deathW, err = s.Pipe2(sys.O_CLOEXEC); err != nil {
		return p, fmt.Errorf("cannot make the death pipe: %w", err)
	}
	return p, nil
}

// Scoreboard is the server's.
func (p *Parent) Scoreboard() *Scoreboard { return p.score }

// cleanUp removes all that the parent made outside of processes, and closes
// its descriptors. It goes on after errors.
func (p *Parent) cleanUp() error {
	s := p.sys
	var errs []error
	if p.mutex != nil {
		errs = append(errs, p.mutex.Destroy(s))
		p.mutex = nil
	}
	if p.score != nil {
		errs = append(errs, p.score.Close(s))
		if p.cfg.ScoreBoardFile != "" {
			if err := removeFile(s, p.cfg.ScoreBoardFile); err != nil {
				errs = append(errs, &FileError{"scoreboard_file", "remove the ScoreBoardFile", p.cfg.ScoreBoardFile, err})
			}
		}
		p.score = nil
	}
	for _, fd := range []*int{&p.scoreFd, &p.podR, &p.podW, &p.deathR, &p.deathW, &p.sigfd} {
		if *fd >= 0 {
			s.Close(*fd)
			*fd = -1
		}
	}
	return errors.Join(append(errs, RemovePidFile(s, p.cfg.PidFile))...)
}

// Run starts the children and keeps them until a signal ends the server. It
// returns nil after an orderly stop; whatever it returns, no child is left and
// what NewParent made is removed.
func (p *Parent) Run() error {
	err := p.keep()
	p.stopChildren()
	return errors.Join(err, p.cleanUp())
}

// errGracefulStop ends keep after SIGWINCH.
var errGracefulStop = errors.New("graceful stop")

func (p *Parent) keep() error {
	for range min(p.cfg.StartServers, len(p.slots)) {
		if err := p.spawnOne(); err != nil {
			// Without a first child there is no server; later ones are tried
			// again at each tick.
			if len(p.children) == 0 {
				return err
			}
			p.logf("%v", err)
		}
	}
	p.logf("resuming normal operations: %d children, accept mutex %s", len(p.children), p.mutex.State().Method)
	next := p.sys.Monotonic() + maintenance
	for {
		stop, err := p.waitSignals(next)
		switch {
		case err == errGracefulStop:
			return p.gracefulStop()
		case stop || err != nil:
			return err
		}
		if p.sys.Monotonic() >= next {
			p.maintain()
			next = p.sys.Monotonic() + maintenance
		}
	}
}

// waitSignals waits for signals, at most until the monotonic time until, and
// acts on them; stop says that the server is to stop.
func (p *Parent) waitSignals(until time.Duration) (stop bool, err error) {
	pfd := [1]sys.PollFd{{Fd: int32(p.sigfd), Events: sys.POLLIN}}
	n, err := p.sys.Poll(pfd[:], max(0, until-p.sys.Monotonic()))
	if err == sys.EINTR || err == nil && n == 0 {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("cannot wait for signals: %w", err)
	}
	var buf [64]byte
	n, err = p.sys.Read(p.sigfd, buf[:])
	if err == sys.EAGAIN || err == sys.EINTR {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("cannot read signals: %w", err)
	}
	graceful := false
	for _, b := range buf[:n] {
		switch sig := sys.Signal(b); sig {
		case sys.SIGTERM, sys.SIGINT:
			p.logf("caught %v, shutting down", sig)
			stop = true
		case sys.SIGWINCH:
			p.logf("caught %v, shutting down gracefully", sig)
			graceful = true
		case sys.SIGCHLD:
			if err := p.reap(); err != nil {
				return true, err
			}
		default:
			p.logf("caught %v: this version cannot restart; ignored", sig)
		}
	}
	if graceful && !stop && !p.stopping {
		return false, errGracefulStop
	}
	return stop, nil
}

// reap collects every child that has ended. An error is fatal for the server.
func (p *Parent) reap() error {
	var fatal error
	for {
		pid, status, err := p.sys.Wait4(-1, sys.WNOHANG)
		if err == sys.EINTR {
			continue
		}
		if err != nil || pid == 0 { // ECHILD: there are none
			return fatal
		}
		c, ours := p.children[pid]
		if !ours {
			continue // an orphan that the kernel gave us, as pid 1 of a namespace
		}
		delete(p.children, pid)
		p.slots[c.slot] = 0
		p.score.release(c.slot)
		if err := p.ended(pid, c, status); err != nil {
			fatal = err
		}
	}
}

// ended judges the end of a child.
func (p *Parent) ended(pid int, c child, status sys.WaitStatus) error {
	switch {
	case status.Exited() && status.ExitStatus() == ExitFatal:
		return fmt.Errorf("child %d exited with the status of a fatal error; the server stops", pid)
	case status.Exited() && status.ExitStatus() == ExitOK:
		return nil
	case status.Exited() && status.ExitStatus() == ExitSick:
		p.spares.rate = 1
		p.logf("child %d ran out of resources", pid)
		return nil
	case status.Signaled() && status.Signal() == sys.SIGTERM && p.stopping:
		return nil
	case status.Signaled():
		core := ""
		if status.CoreDump() {
			core = ", core dumped in the core_dump_directory"
		}
		p.logf("child %d exit signal %v%s", pid, status.Signal(), core)
	default:
		p.logf("child %d exit status %#x", pid, uint32(status))
	}
	// One for one and at once, unless it died young: a child that cannot live
	// would otherwise be spawned without end. Those wait for the tick.
	switch {
	case p.stopping:
	case p.sys.Monotonic()-c.started < maintenance:
		p.owed++
	default:
		if err := p.spawnOne(); err != nil {
			p.logf("%v", err)
		}
	}
	return nil
}

// spawnOne starts a child in the first free slot.
func (p *Parent) spawnOne() error {
	slot := -1
	for i, pid := range p.slots {
		if pid == 0 {
			slot = i
			break
		}
	}
	if slot < 0 {
		return nil
	}
	gen := p.score.Generation()
	p.score.claim(slot, p.cfg.ThreadsPerChild, gen, uint64(p.sys.Now().UnixNano()))
	pid, err := p.spawn(ChildState{
		Config: p.cfg, Slot: slot, Generation: gen, Listeners: p.listeners,
		Scoreboard: p.scoreFd, Mutex: p.mutex.State(), Pod: p.podR, Death: p.deathR,
	})
	if err != nil {
		p.score.release(slot)
		return fmt.Errorf("cannot start a child: %w", err)
	}
	p.slots[slot] = pid
	p.children[pid] = child{slot, p.sys.Monotonic()}
	return nil
}

// maintain keeps the number of idle threads between MinSpare and MaxSpare.
func (p *Parent) maintain() {
	for ; p.owed > 0; p.owed-- {
		if err := p.spawnOne(); err != nil {
			p.logf("%v", err)
			return
		}
	}
	idle, free := 0, 0
	for slot, pid := range p.slots {
		if pid == 0 {
			free++
		} else {
			idle += p.score.idle(slot)
		}
	}
	spawn, kill := p.spares.tick(&p.cfg, idle, free, p.logf)
	if kill {
		p.podWrite(1)
	}
	for range spawn {
		if err := p.spawnOne(); err != nil {
			p.logf("%v", err)
			p.spares.rate = 1
			return
		}
	}
}

// podWrite makes n children end. A full pipe has enough bytes for all.
func (p *Parent) podWrite(n int) {
	if _, err := p.sys.Write(p.podW, make([]byte, n)); err != nil && err != sys.EAGAIN {
		p.logf("cannot write to the pipe of death: %v", err)
	}
}

// gracefulStop is WINCH: the PidFile goes and the listeners close at once, so
// that another server may start; children finish what they are answering.
func (p *Parent) gracefulStop() error {
	p.stopping = true
	err := RemovePidFile(p.sys, p.cfg.PidFile)
	for _, fd := range p.listeners {
		p.sys.Close(fd)
	}
	p.listeners = nil
	p.podWrite(len(p.children))
	var until time.Duration
	if p.cfg.GracefulShutdownTimeout > 0 {
		until = p.sys.Monotonic() + p.cfg.GracefulShutdownTimeout
	}
	for len(p.children) > 0 {
		now := p.sys.Monotonic()
		if until != 0 && now >= until {
			p.logf("graceful_shutdown_timeout is over, %d children are left", len(p.children))
			break
		}
		stop, werr := p.waitSignals(now + maintenance)
		if stop || werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

// stopChildren ends all children: SIGTERM, again, SIGKILL.
func (p *Parent) stopChildren() {
	p.stopping = true
	start := p.sys.Monotonic()
	p.signalChildren(sys.SIGTERM)
	for _, step := range reclaim {
		for len(p.children) > 0 && p.sys.Monotonic() < start+step.after {
			if _, err := p.waitSignals(start + step.after); err != nil {
				p.logf("%v", err)
				break
			}
		}
		if len(p.children) == 0 {
			return
		}
		p.logf("%d children did not exit, sending another %v", len(p.children), step.sig)
		p.signalChildren(step.sig)
	}
	for len(p.children) > 0 {
		pid, _, err := p.sys.Wait4(-1, 0)
		if err == sys.ECHILD {
			return
		}
		if err == nil {
			delete(p.children, pid)
		}
	}
}

func (p *Parent) signalChildren(sig sys.Signal) {
	for _, pid := range p.slots {
		if pid > 0 {
			if err := p.sys.Kill(pid, sig); err != nil && err != sys.ESRCH {
				p.logf("cannot send %v to child %d: %v", sig, pid, err)
			}
		}
	}
}
