package mpm

import (
	"errors"
	"fmt"
	"slices"
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
	topo  Topology
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
	passages       []passage // by group

	children map[int]child // by pid; iterated only through slots
	slots    []int         // pid of each slot of the scoreboard, 0: free
	// Reload, where set, is asked at each restart for the configuration and
	// the listeners of the next generation.
	Reload func(graceful bool) (Config, []int, error)

	// Serving, where set, is called when a generation of children has been
	// started; Stopping when the server is about to end; Tick once a second.
	Serving, Stopping, Tick func()
	// Control, where set, is called when ControlFd can be read, and may ask for
	// what signals ask for.
	Control   func() Request
	ControlFd int

	spares   spares
	owed     int  // children to replace at the next tick
	turns    bool // see giveTurns
	stopping bool // children that end are not replaced
}

// Request is what Control may ask for.
type Request int

// The requests, as the signals TERM, WINCH, HUP and USR1.
const (
	NoRequest Request = iota
	StopRequest
	GracefulStopRequest
	RestartRequest
	GracefulRestartRequest
)

type child struct {
	slot       int
	generation uint32
	place      int           // of the StartServers, in an MPM whose children are Fixed
	started    time.Duration // on the monotonic clock
}

// NewParent makes the PidFile, the accept mutex, the scoreboard and the pipes,
// in that order, and takes the signals. When it fails nothing is left behind.
func NewParent(s sys.Sys, topo Topology, cfg Config, listeners []int, spawn SpawnFunc, logf func(string, ...any)) (p *Parent, err error) {
	p = &Parent{sys: s, topo: topo, cfg: cfg, logf: logf, spawn: spawn, listeners: listeners,
		ControlFd: -1, scoreFd: -1, podR: -1, podW: -1, deathR: -1, deathW: -1, sigfd: -1,
		children: map[int]child{}, slots: make([]int, cfg.ServerLimit)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
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
	if err := p.newPod(); err != nil {
		return p, err
	}
	if p.deathR, p.deathW, err = s.Pipe2(sys.O_CLOEXEC); err != nil {
		return p, fmt.Errorf("cannot make the death pipe: %w", err)
	}
	return p, p.newPassages()
}

// newPod makes the pipe of death of a generation.
func (p *Parent) newPod() error {
	r, w, err := p.sys.Pipe2(sys.O_CLOEXEC | sys.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("cannot make the pipe of death: %w", err)
	}
	p.podR, p.podW = r, w
	return nil
}

// closePod makes all children of the generation end when they are idle.
func (p *Parent) closePod() {
	for _, fd := range []*int{&p.podR, &p.podW} {
		if *fd >= 0 {
			p.sys.Close(*fd)
			*fd = -1
		}
	}
}

// Scoreboard is the server's.
func (p *Parent) Scoreboard() *Scoreboard { return p.score }

// Close removes all that the parent made outside of processes, and closes its
// descriptors. It goes on after errors. Run does it itself.
func (p *Parent) Close() error {
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
	p.closePassages()
	return errors.Join(append(errs, RemovePidFile(s, p.cfg.PidFile))...)
}

// Run starts the children and keeps them until a signal ends the server. It
// returns nil after an orderly stop; whatever it returns, no child is left and
// what NewParent made is removed.
func (p *Parent) Run() error {
	err := p.keep()
	call(p.Stopping)
	p.stopChildren()
	return errors.Join(err, p.Close())
}

func call(hook func()) {
	if hook != nil {
		hook()
	}
}

// What signals other than SIGTERM, SIGINT and SIGCHLD make waitSignals return.
var (
	errGracefulStop    = errors.New("graceful stop")
	errRestart         = errors.New("restart")
	errGracefulRestart = errors.New("graceful restart")
)

func (p *Parent) keep() error {
	if err := p.startChildren(); err != nil {
		return err
	}
	next := p.sys.Monotonic() + maintenance
	for {
		stop, err := p.waitSignals(next)
		switch {
		case err == errGracefulStop:
			return p.gracefulStop()
		case err == errRestart, err == errGracefulRestart:
			if err := p.restart(err == errGracefulRestart); err != nil {
				return err
			}
		case stop || err != nil:
			return err
		}
		if p.sys.Monotonic() >= next {
			p.maintain()
			next = p.sys.Monotonic() + maintenance
		}
	}
}

// startChildren starts the first children of a generation.
func (p *Parent) startChildren() error {
	before := len(p.children)
	for place := range min(p.cfg.StartServers, p.cfg.MaxServers()) {
		if err := p.spawnOne(place); err != nil {
			// Without a first child there is no server; later ones are tried
			// again at each tick.
			if len(p.children) == 0 {
				return err
			}
			p.logf("%v", err)
		}
	}
	p.logf("resuming normal operations: %d children, accept mutex %s", len(p.children)-before, p.mutex.State().Method)
	call(p.Serving)
	return nil
}

// restart is SIGHUP, which ends all children first and forgets what they
// counted, and SIGUSR1, the graceful one: a new generation starts beside the
// old, whose children finish what they are answering. The listeners stay open,
// so no connection is refused.
func (p *Parent) restart(graceful bool) error {
	if !graceful {
		p.stopChildren()
		p.stopping = false
		p.score.zero()
	}
	if err := p.reload(graceful); err != nil {
		return err
	}
	if err := WritePidFile(p.sys, p.cfg.PidFile, p.logf); err != nil {
		return err
	}
	p.owed = 0
	p.spares = spares{hold: holdAfterRestart}
	p.score.mem.Add32(headerGeneration, 1)
	// The former generation's pipe stays open until the new children are there,
	// or will be: an old child that is replaced one for one waits for a slot.
	oldR, oldW := p.podR, p.podW
	p.podR, p.podW = -1, -1
	err := p.newPod()
	if err == nil {
		err = p.startChildren()
	}
	p.sys.Close(oldR)
	p.sys.Close(oldW)
	p.giveTurns()
	return err
}

// giveTurns keeps a byte in the death pipe while children of an old generation
// wait for a connection: a child waits for the accept mutex without a look at
// the pipe of death, and where there is no traffic the one that has the mutex
// never gives it back. httpd makes connections to its own listener to that end.
// A child that sees the byte gives others a turn.
func (p *Parent) giveTurns() {
	waiting := false
	for slot, pid := range p.slots {
		old := pid != 0 && p.children[pid].generation != p.score.Generation()
		waiting = waiting || old && p.score.idle(slot) > 0
	}
	if method := p.mutex.State().Method; method == "none" || method == startMethod {
		waiting = false // nobody waits there without a look
	}
	if waiting == p.turns {
		return
	}
	var err error
	if waiting {
		_, err = p.sys.Write(p.deathW, []byte{0})
	} else {
		_, err = p.sys.Read(p.deathR, make([]byte, 1)) // our own byte: it does not wait
	}
	if err != nil {
		p.logf("cannot give children a turn: %v", err) // at the next tick, then
		return
	}
	p.turns = waiting
}

// reload asks the server for what a restart changes. What is fixed for the life
// of the parent, or of its children, stays.
func (p *Parent) reload(graceful bool) error {
	if p.Reload == nil {
		return nil
	}
	cfg, listeners, err := p.Reload(graceful)
	if err != nil {
		return err
	}
	old := p.cfg
	for _, f := range []struct {
		directive string
		changed   bool
	}{
		{"server_limit", cfg.ServerLimit != old.ServerLimit},
		{"thread_limit", cfg.ThreadLimit != old.ThreadLimit},
		{"pid_file", cfg.PidFile != old.PidFile},
		{"accept_mutex", cfg.AcceptMutex != old.AcceptMutex},
		{"lock_file", cfg.LockFile != old.LockFile},
		{"scoreboard_file", cfg.ScoreBoardFile != old.ScoreBoardFile},
	} {
		if f.changed {
			p.logf("warning: a change of %s is ignored until the server is stopped and started", f.directive)
		}
	}
	cfg.ServerLimit, cfg.ThreadLimit, cfg.PidFile = old.ServerLimit, old.ThreadLimit, old.PidFile
	cfg.AcceptMutex, cfg.LockFile, cfg.ScoreBoardFile = old.AcceptMutex, old.LockFile, old.ScoreBoardFile
	if cfg.ThreadsPerChild > cfg.ThreadLimit {
		p.logf("warning: threads_per_child is lowered to thread_limit, %d", cfg.ThreadLimit)
		cfg.ThreadsPerChild = cfg.ThreadLimit
	}
	cfg.MaxThreads = min(cfg.MaxThreads, cfg.ThreadLimit)
	p.cfg, p.listeners = cfg, listeners
	return p.newPassages()
}

// waitSignals waits for signals, at most until the monotonic time until, and
// acts on them; stop says that the server is to stop.
func (p *Parent) waitSignals(until time.Duration) (stop bool, err error) {
	pfd := [2]sys.PollFd{{Fd: int32(p.sigfd), Events: sys.POLLIN}, {Fd: int32(p.ControlFd), Events: sys.POLLIN}}
	n, err := p.sys.Poll(pfd[:], max(0, until-p.sys.Monotonic()))
	if err == sys.EINTR || err == nil && n == 0 {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("cannot wait for signals: %w", err)
	}
	if pfd[1].Revents != 0 && p.Control != nil {
		if stop, err := p.obey(p.Control(), "asked by ctl"); stop || err != nil {
			return stop, err
		}
	}
	if pfd[0].Revents == 0 {
		return false, nil
	}
	var buf [64]byte
	n, err = p.sys.Read(p.sigfd, buf[:])
	if err == sys.EAGAIN || err == sys.EINTR {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("cannot read signals: %w", err)
	}
	for _, b := range buf[:n] {
		sig := sys.Signal(b)
		if sig == sys.SIGCHLD {
			if err := p.reap(); err != nil {
				return true, err
			}
			continue
		}
		// A stop goes before what else was asked for in the meantime.
		stopNow, ask := p.obey(signalRequests[sig], fmt.Sprintf("caught %v", sig))
		stop = stop || stopNow
		if ask != nil {
			err = ask
		}
	}
	if stop {
		return true, nil
	}
	return false, err
}

// signalRequests is what the signals ask for that the parent takes.
var signalRequests = map[sys.Signal]Request{
	sys.SIGTERM:  StopRequest,
	sys.SIGINT:   StopRequest,
	sys.SIGWINCH: GracefulStopRequest,
	sys.SIGHUP:   RestartRequest,
	sys.SIGUSR1:  GracefulRestartRequest,
}

// obey says what a request means for waitSignals. A server that stops does
// nothing else any more.
func (p *Parent) obey(r Request, cause string) (stop bool, err error) {
	for _, known := range []struct {
		request Request
		what    string
		err     error
	}{
		{StopRequest, "shutting down", nil},
		{GracefulStopRequest, "shutting down gracefully", errGracefulStop},
		{RestartRequest, "restarting", errRestart},
		{GracefulRestartRequest, "restarting gracefully", errGracefulRestart},
	} {
		if r != known.request {
			continue
		}
		p.logf("%s, %s", cause, known.what)
		if p.stopping && r != StopRequest {
			return false, nil
		}
		return r == StopRequest, known.err
	}
	return false, nil
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
			p.giveTurns()
			return fatal
		}
		c, ours := p.children[pid]
		if !ours {
			continue // an orphan that the kernel gave us, as pid 1 of a namespace
		}
		delete(p.children, pid)
		p.slots[c.slot] = 0
		p.recoverMutex(pid, c.slot)
		p.score.release(c.slot)
		if err := p.ended(pid, c, status); err != nil {
			fatal = err
		}
		if !p.stopping && c.generation != p.score.Generation() && p.free() > 0 {
			// One for one while an old generation makes room.
			p.owed++
		}
	}
}

// recoverMutex gives back an accept mutex that a dead child may have taken.
func (p *Parent) recoverMutex(pid, slot int) {
	r, ok := p.mutex.(recoverer)
	if !ok {
		return
	}
	var living []Holder
	for slot, pid := range p.slots {
		if pid != 0 {
			living = append(living, Holder{pid, p.score.LockState(slot)})
		}
	}
	r.Recover(p.sys, Holder{pid, p.score.LockState(slot)}, living)
}

// ended judges the end of a child.
func (p *Parent) ended(pid int, c child, status sys.WaitStatus) error {
	switch {
	case status.Exited() && status.ExitStatus() == ExitFatal:
		return fmt.Errorf("child %d exited with the status of a fatal error; the server stops", pid)
	case status.Exited() && status.ExitStatus() == ExitOK:
		if p.topo.Fixed && !p.stopping && c.generation == p.score.Generation() {
			if err := p.fill(); err != nil {
				p.logf("%v", err)
			}
		}
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
	case p.stopping, c.generation != p.score.Generation():
	case p.sys.Monotonic()-c.started < maintenance:
		p.owed++
	default:
		if err := p.replace(); err != nil {
			p.logf("%v", err)
		}
	}
	return nil
}

// replace starts a child in place of one that has died.
func (p *Parent) replace() error {
	if p.topo.Fixed {
		return p.fill()
	}
	return p.spawnOne(0)
}

// spawnOne starts a child in the first free slot, for a place.
func (p *Parent) spawnOne(place int) error {
	slot := slices.Index(p.slots, 0)
	if slot < 0 || p.free() == 0 {
		return nil
	}
	gen := p.score.Generation()
	p.score.claim(slot, p.cfg.ThreadsPerChild, gen, uint64(p.sys.Now().UnixNano()))
	st := ChildState{
		Config: p.cfg, Slot: slot, Generation: gen, Listeners: p.listeners,
		Scoreboard: p.scoreFd, Mutex: p.mutex.State(), Pod: p.podR, Death: p.deathR,
	}
	p.passing(&st, place)
	pid, err := p.spawn(st)
	if err != nil {
		p.score.release(slot)
		return fmt.Errorf("cannot start a child: %w", err)
	}
	p.slots[slot] = pid
	p.children[pid] = child{slot, gen, place, p.sys.Monotonic()}
	return nil
}

// maintain keeps the number of idle threads between MinSpare and MaxSpare, or
// that of children fixed.
func (p *Parent) maintain() {
	call(p.Tick)
	p.giveTurns()
	if p.topo.Fixed {
		if err := p.fill(); err != nil {
			p.logf("%v", err)
		}
		return
	}
	for ; p.owed > 0; p.owed-- {
		if err := p.spawnOne(0); err != nil {
			p.logf("%v", err)
			return
		}
	}
	idle := 0
	for slot, pid := range p.slots {
		if pid != 0 && p.children[pid].generation == p.score.Generation() {
			idle += p.score.idle(slot)
		}
	}
	spawn, kill := p.spares.tick(&p.cfg, idle, p.free(), "children", p.logf)
	if kill {
		p.podWrite()
	}
	for range spawn {
		if err := p.spawnOne(0); err != nil {
			p.logf("%v", err)
			p.spares.rate = 1
			return
		}
	}
}

// free is how many more children may live: those of an old generation take
// slots, but not the places of the new.
func (p *Parent) free() int {
	young, slots := 0, 0
	for _, pid := range p.slots {
		switch {
		case pid == 0:
			slots++
		case p.children[pid].generation == p.score.Generation():
			young++
		}
	}
	return max(0, min(slots, p.cfg.MaxServers()-young))
}

// podWrite makes one idle child end. A full pipe ends enough of them.
func (p *Parent) podWrite() {
	if _, err := p.sys.Write(p.podW, []byte{0}); err != nil && err != sys.EAGAIN {
		p.logf("cannot write to the pipe of death: %v", err)
	}
}

// gracefulStop is WINCH: the PidFile goes and the listeners close at once, so
// that another server may start; children finish what they are answering.
func (p *Parent) gracefulStop() error {
	p.stopping = true
	p.closePod()
	err := RemovePidFile(p.sys, p.cfg.PidFile)
	for _, fd := range p.listeners {
		p.sys.Close(fd)
	}
	p.listeners = nil
	// With nobody left to receive, who passes a connection is to know.
	p.closePassages()
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
