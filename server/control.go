package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// The control socket lies beside the PidFile, inside the jail, for root alone.
// It is how a jailed server gets what only the outside has: `httpjail ctl`
// reads the configuration, opens logs and binds sockets there, and hands them
// in. A conversation is one message each way; a stop is answered, and then the
// connection's end says that the server is gone.
const controlSuffix = ".ctl"

// Bounds of a conversation.
const (
	controlMessage = 64 << 10 // bytes of the header; the rest is in a memfd
	controlFds     = 200      // below SCM_MAX_FD, 253
	controlWait    = 5 * time.Second
)

// The verbs of a control message.
const (
	verbStatus       = "status"
	verbStop         = "stop"
	verbGracefulStop = "graceful-stop"
	verbRestart      = "restart"
	verbGraceful     = "graceful"
)

// controlRequest is what ctl says. With a restart come descriptors: the first
// is a memfd with a handoff.
type controlRequest struct{ Verb string }

// controlReply is what the server says.
type controlReply struct {
	Error  string // "": done, or begun
	Status *Status
}

// Status is what the server tells of itself.
type Status struct {
	Pid        int
	MPM        string
	Jail       string
	Listen     []string
	Generation uint32
	Started    time.Time
	Now        time.Time
	Workers    []mpm.WorkerStats
}

// handoff is a configuration, with what was opened for it outside the jail.
// Descriptors are indexes into those of the message.
type handoff struct {
	Config    *confhcl.Config
	User      identity
	Owners    []identity
	Modules   []module.State
	ErrorLog  int   // -1: standard error, as at the start
	Listeners []int // one for each Config.Listen; -1: the server has it open
}

// descriptors calls f with each descriptor of h.
func (h *handoff) descriptors(f func(fd *int)) {
	f(&h.ErrorLog)
	for i := range h.Listeners {
		f(&h.Listeners[i])
	}
	for i := range h.Modules {
		for j := range h.Modules[i].Files {
			f(&h.Modules[i].Files[j])
		}
	}
}

// prepare reads the configuration and opens what it names, by somebody who has
// the machine in view: ctl, or a parent that is not in jail. open is the socket
// that the server has for an address; what it has not is opened here. When it
// fails nothing stays open.
func (p *parent) prepare(open func(address string) (fd int, ok bool)) (h *handoff, err error) {
	var listeners []int // opened here
	defer func() {
		if err != nil {
			p.closeAll(listeners)
			p.closePrepared()
		}
	}()
	p.log.phase = PhasePreJail
	if err := p.preJail(); err != nil {
		return nil, err
	}
	h = &handoff{Config: p.cfg, User: p.user, Owners: p.owners, Modules: p.modules, ErrorLog: -1}
	if p.log.fd != 2 {
		h.ErrorLog = p.log.fd
	}
	p.log.phase = PhaseListen
	for _, l := range p.cfg.Listen {
		fd, ok := open(l.Address)
		if !ok {
			if fd, err = listenAt(p.sys, p.cfg, l); err != nil {
				return nil, err
			}
			listeners = append(listeners, fd)
		}
		h.Listeners = append(h.Listeners, fd)
	}
	return h, nil
}

// closePrepared closes what preJail has opened.
func (p *parent) closePrepared() {
	p.closeAll([]int{p.exe, p.devNull})
	if p.log.fd != 2 {
		p.closeAll([]int{p.log.fd})
		p.log.fd = 2
	}
	for _, m := range p.modules {
		p.closeAll(m.Files)
	}
}

// control is the server's side.
type control struct {
	fd      int
	path    string
	pending *handoff // for the next restart
	fds     []int    // the pending handoff's
	waiting []int    // connections whose end is the server's end
}

// listenControl makes the control socket. A stale one is replaced: the PidFile
// is ours by now.
func (p *parent) listenControl() error {
	s := p.sys
	c := &p.control
	c.path = p.cfg.Path(p.cfg.MPM.PidFile.Value) + controlSuffix
	fail := func(op string, err error) error {
		return &mpm.FileError{Directive: "pid_file", Op: op + " the control socket", Path: c.path, Err: err}
	}
	if err := s.Unlink(c.path); err != nil && err != sys.ENOENT {
		return fail("replace", err)
	}
	fd, err := s.Socket(sys.AF_UNIX, sys.SOCK_SEQPACKET|sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK, 0)
	if err != nil {
		return fail("create", err)
	}
	// bind(2) creates the inode: with this umask nobody but us can ever connect.
	old := s.Umask(0o177)
	err = s.Bind(fd, sys.UnixAddr(c.path))
	s.Umask(old)
	if err == nil {
		err = s.Listen(fd, 8)
	}
	if err == nil {
		err = s.SetsockoptTimeval(fd, sys.SOL_SOCKET, sys.SO_RCVTIMEO, controlWait)
	}
	if err != nil {
		s.Close(fd)
		return fail("bind", err)
	}
	c.fd = fd
	return nil
}

// closeControl removes the socket, and lets those go who wait for the end.
func (p *parent) closeControl() {
	if p.control.fd < 0 {
		return
	}
	p.sys.Unlink(p.control.path)
	p.sys.Close(p.control.fd)
	p.control.fd = -1
	p.dropHandoff()
}

// converse answers one connection to the control socket. It never fails: a
// client that misbehaves is told so, or dropped.
func (p *parent) converse(score *mpm.Scoreboard) mpm.Request {
	s := p.sys
	fd, _, err := s.Accept4(p.control.fd, sys.SOCK_CLOEXEC)
	if err != nil {
		return mpm.NoRequest
	}
	// Linux does not let a connection inherit the listener's timeouts.
	if err := s.SetsockoptTimeval(fd, sys.SOL_SOCKET, sys.SO_RCVTIMEO, controlWait); err != nil {
		s.Close(fd)
		return mpm.NoRequest
	}
	buf := make([]byte, controlMessage)
	fds := make([]int, controlFds)
	var n, nfds int
	// A receive with a time limit is not restarted after a signal, and here
	// SIGCHLD comes all the time.
	err = sys.Retry(func() (err error) {
		n, nfds, _, err = s.Recvmsg(fd, buf, fds, sys.MSG_CMSG_CLOEXEC)
		return err
	})
	fds = fds[:max(0, nfds)]
	var req controlRequest
	if err == nil {
		err = json.Unmarshal(buf[:n], &req)
	}
	var status *Status
	ask := mpm.NoRequest
	if err == nil {
		switch req.Verb {
		case verbStatus:
			status = p.status(score)
		case verbStop:
			ask = mpm.StopRequest
		case verbGracefulStop:
			ask = mpm.GracefulStopRequest
		case verbRestart:
			ask = mpm.RestartRequest
		case verbGraceful:
			ask = mpm.GracefulRestartRequest
		default:
			err = fmt.Errorf("there is no verb %q", req.Verb)
		}
	}
	if restart := ask == mpm.RestartRequest || ask == mpm.GracefulRestartRequest; err == nil && restart {
		err = p.takeHandoff(fds)
	} else {
		p.closeAll(fds)
	}
	reply := controlReply{Status: status}
	if err != nil {
		reply.Error = err.Error()
		ask = mpm.NoRequest
	}
	data, err := json.Marshal(reply)
	if err == nil {
		_, err = s.Send(fd, data, sys.MSG_NOSIGNAL)
	}
	if err == nil && (ask == mpm.StopRequest || ask == mpm.GracefulStopRequest) {
		p.control.waiting = append(p.control.waiting, fd) // open until this process ends
	} else {
		s.Close(fd)
	}
	return ask
}

func (p *parent) closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			p.sys.Close(fd)
		}
	}
}

// takeHandoff reads and checks a handoff; a restart follows. When it fails all
// of fds are closed, and the server goes on as it was.
func (p *parent) takeHandoff(fds []int) (err error) {
	defer func() {
		if err != nil {
			p.closeAll(fds)
		}
	}()
	if len(fds) == 0 {
		return errors.New("a restart needs a configuration")
	}
	data, err := sys.ReadAll(p.sys, fds[0], handoverMax)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	h := &handoff{}
	if err := json.Unmarshal(data, h); err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	h.descriptors(func(i *int) {
		if *i >= len(fds) {
			err = fmt.Errorf("the configuration names descriptor %d of %d", *i, len(fds))
		} else if *i >= 0 {
			*i = fds[*i]
		}
	})
	switch {
	case err != nil:
		return err
	case h.Config == nil || len(h.Modules) != len(modules) || len(h.Listeners) != len(h.Config.Listen):
		return errors.New("the configuration is from another version of this program")
	case h.Config.MPM.Name != p.cfg.MPM.Name:
		return fmt.Errorf("the MPM cannot change from %q to %q while the server runs: stop and start it", p.cfg.MPM.Name, h.Config.MPM.Name)
	case jailRoot(h.Config) != jailRoot(p.cfg):
		return fmt.Errorf("jail.root cannot change from %q to %q while the server runs: stop and start it", jailRoot(p.cfg), jailRoot(h.Config))
	}
	for i := range h.Config.Sites {
		if err := p.checkDocumentRoot(&h.Config.Sites[i]); err != nil {
			return err
		}
	}
	for i, l := range h.Config.Listen {
		if h.Listeners[i] >= 0 {
			continue
		}
		if h.Listeners[i] = p.listener(l.Address); h.Listeners[i] < 0 {
			return fmt.Errorf("nobody listens on %s", l.Address)
		}
	}
	// What initialises inside the jail could not be opened outside.
	next := &parent{sys: p.sys, cfg: h.Config, log: p.log, modules: h.Modules}
	err = next.prepareModules(true)
	for i, m := range modules {
		if next.initialisesInside(m) {
			fds = append(fds, h.Modules[i].Files...)
		}
	}
	if err != nil {
		return err
	}
	p.dropHandoff() // of a restart that never came
	p.control.pending, p.control.fds = h, fds
	return nil
}

func jailRoot(cfg *confhcl.Config) string {
	if cfg.Jail == nil {
		return ""
	}
	return cfg.Jail.Root
}

// listener is the open socket for an address, or -1.
func (p *parent) listener(address string) int {
	for i, l := range p.cfg.Listen {
		if l.Address == address && i < len(p.listeners) {
			return p.listeners[i]
		}
	}
	return -1
}

func (p *parent) dropHandoff() {
	p.closeAll(p.control.fds)
	p.control.pending, p.control.fds = nil, nil
}

// reload is mpm.Parent's question at a restart: what a handoff brought becomes
// the server's, and what it replaces is closed. A signal brings none: a parent
// outside the jail reads the configuration again; inside there is none to read.
func (p *parent) reload(graceful bool) (mpm.Config, []int, error) {
	s := p.sys
	p.service.notify(s, fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", s.Monotonic().Microseconds()))
	h := p.control.pending
	switch {
	case h != nil:
		s.Close(p.control.fds[0])
	case parentJailed(p.cfg):
		p.log.printf(s)("restarting with the configuration that the server has; `httpjail ctl` hands in a changed one")
		return p.mpmConfig(), p.listeners, nil
	default:
		var err error
		if h, err = p.readAgain(); err != nil {
			p.report(err)
			p.log.printf(s)("restarting with the configuration that the server has")
			return p.mpmConfig(), p.listeners, nil
		}
	}
	var stale []int
	for _, fd := range p.listeners {
		if !slices.Contains(h.Listeners, fd) {
			stale = append(stale, fd)
		}
	}
	for _, m := range p.modules {
		stale = append(stale, m.Files...)
	}
	if p.log.fd != 2 {
		stale = append(stale, p.log.fd)
	}
	p.closeAll(stale)
	p.cfg, p.user, p.owners, p.modules, p.listeners = h.Config, h.User, h.Owners, h.Modules, h.Listeners
	p.log.fd = 2
	if h.ErrorLog >= 0 {
		p.log.fd = h.ErrorLog
	}
	p.control.pending, p.control.fds = nil, nil
	return p.mpmConfig(), p.listeners, nil
}

// readAgain is what ctl does, by a parent that has the machine in view.
func (p *parent) readAgain() (*handoff, error) {
	next := newParent(p.sys, p.file, p.env)
	if err := next.configure(); err != nil {
		return nil, err
	}
	if next.cfg.MPM.Name != p.cfg.MPM.Name || jailRoot(next.cfg) != jailRoot(p.cfg) {
		return nil, errors.New("the MPM and jail.root cannot change while the server runs: stop and start it")
	}
	h, err := next.prepare(func(address string) (int, bool) {
		fd := p.listener(address)
		return fd, fd >= 0
	})
	if err != nil {
		return nil, err
	}
	p.closeAll([]int{next.exe, next.devNull})
	return h, nil
}

func (p *parent) status(score *mpm.Scoreboard) *Status {
	st := &Status{
		Pid: p.sys.Getpid(), MPM: p.cfg.MPM.Name, Jail: jailRoot(p.cfg), Generation: score.Generation(),
		Started: score.Started(), Now: p.sys.Now(), Workers: score.Workers(),
	}
	for _, l := range p.cfg.Listen {
		st.Listen = append(st.Listen, l.Address)
	}
	// A reply is one message, which does not hold thousands of workers.
	const most = 400
	if len(st.Workers) > most {
		st.Workers = st.Workers[:most]
	}
	return st
}
