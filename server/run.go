package server

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/mpm/beos"
	"github.com/httpjail/httpjail/mpm/event"
	"github.com/httpjail/httpjail/mpm/leader"
	"github.com/httpjail/httpjail/mpm/mpmtos2"
	"github.com/httpjail/httpjail/mpm/perchild"
	"github.com/httpjail/httpjail/mpm/prefork"
	"github.com/httpjail/httpjail/mpm/threadpool"
	"github.com/httpjail/httpjail/mpm/winnt"
	"github.com/httpjail/httpjail/mpm/worker"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// configMax bounds the configuration file.
const configMax = 1 << 20

// topologies are the MPMs of this version.
var topologies = []mpm.Topology{
	prefork.Topology, worker.Topology, leader.Topology, threadpool.Topology, perchild.Topology,
	beos.Topology, winnt.Topology, mpmtos2.Topology, event.Topology,
}

func topology(name string) (mpm.Topology, error) {
	var names []string
	for _, t := range topologies {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return mpm.Topology{}, fmt.Errorf("this version has no MPM %q; it has %s", name, strings.Join(names, ", "))
}

// parent is the server's first process.
type parent struct {
	sys     sys.Sys
	env     []string
	backend string
	file    string // the configuration's
	cfg     *confhcl.Config
	log     errorLog

	exe       int // this program, to execute it inside the jail
	devNull   int
	user      identity
	owners    []identity // perchild's, in the order of child_per_user_id
	modules   []module.State
	listeners []int
	control   control
	service   service
}

func newParent(s sys.Sys, file string, env []string) *parent {
	return &parent{sys: s, exe: -1, devNull: -1, env: env, backend: getenv(env, "HTTPJAIL_BACKEND"), file: file,
		log: errorLog{fd: 2}, control: control{fd: -1}, service: service{fd: -1}}
}

// runParent is the whole life of the parent.
func runParent(s sys.Sys, file string, env []string) int {
	p := newParent(s, file, env)
	for _, step := range []struct {
		phase Phase
		run   func() error
	}{
		{PhaseConfigure, p.configure},
		{PhasePreJail, p.preJail},
		{PhaseListen, p.listen},
		{PhaseJail, p.jail},
		{PhaseMPM, p.serve},
	} {
		p.log.phase = step.phase
		if err := step.run(); err != nil {
			p.report(err)
			return exitError
		}
	}
	return exitOK
}

// report prints a failure on standard error, and in the error log where that
// is another file.
func (p *parent) report(err error) {
	var text string
	var diags hcl.Diagnostics
	if errors.As(err, &diags) {
		text = p.printDiagnostics(diags)
	} else {
		text = diagnose(p.sys, p.log.phase, p.cfg, err).String()
	}
	printf(p.sys, 2, "%s", text)
	if p.log.fd != 2 {
		printf(p.sys, p.log.fd, "%s", text)
	}
}

// printDiagnostics renders what confhcl found. The source is read again: it is
// needed only here.
func (p *parent) printDiagnostics(diags hcl.Diagnostics) string {
	src, err := sys.ReadFile(p.sys, p.file, configMax)
	if err != nil {
		return diags.Error() + "\n"
	}
	var b bytes.Buffer
	confhcl.Print(&b, map[string][]byte{p.file: src}, diags, false, 100)
	return b.String()
}

func (p *parent) configure() error {
	src, err := sys.ReadFile(p.sys, p.file, configMax)
	if err != nil {
		return &module.PathError{Op: "read the configuration", Path: p.file, Err: err}
	}
	cfg, diags := confhcl.Parse(p.file, src)
	if diags.HasErrors() {
		return diags
	}
	if len(diags) > 0 {
		printf(p.sys, 2, "%s", p.printDiagnostics(diags))
	}
	p.cfg = cfg
	if _, err := topology(cfg.MPM.Name); err != nil {
		return &directiveError{"mpm", cfg.MPM.Range, err, ""}
	}
	if m := cfg.MPM.AcceptMutex; m.Set {
		if !slices.Contains(mpm.MutexMethods(), m.Value) {
			return &directiveError{"accept_mutex", m.Range, fmt.Errorf("this version has no accept mutex %q; it has %s",
				m.Value, strings.Join(mpm.MutexMethods(), ", ")), ""}
		}
	}
	if cfg.Jail != nil {
		for _, name := range cfg.Jail.After {
			if !slices.ContainsFunc(modules, func(m module.Module) bool { return m.Name() == name.Value }) {
				return &directiveError{"jail.after", name.Range, fmt.Errorf("there is no module %q; there are %s",
					name.Value, strings.Join(moduleNames(), ", ")), ""}
			}
		}
	}
	return nil
}

// preJail opens what is needed while the whole machine is in view.
func (p *parent) preJail() (err error) {
	s := p.sys
	if p.exe, err = s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0); err != nil {
		return &module.PathError{Op: "open this program, to execute it in the jail", Path: "/proc/self/exe",
			Mend: "mount /proc outside the jail", Err: err}
	}
	if p.devNull, err = s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0); err != nil {
		return &module.PathError{Op: "open the children's standard input", Path: "/dev/null", Err: err}
	}
	if name := p.cfg.Path(p.cfg.ErrorLog.Value); name != "" {
		const flags = sys.O_WRONLY | sys.O_APPEND | sys.O_CREAT | sys.O_CLOEXEC | sys.O_NOCTTY
		fd, err := s.Open(name, flags, 0o640)
		if err != nil {
			return &module.PathError{Op: "open the error_log", Path: name, Where: p.cfg.ErrorLog.Range, Err: err}
		}
		p.log.fd = fd
	}
	if err := p.lookupIdentities(); err != nil {
		return err
	}
	if err := p.checkPrivileges(); err != nil {
		return err
	}
	if err := p.checkJail(); err != nil {
		return err
	}
	if p.service, err = connectService(s, p.env); err != nil {
		return err
	}
	p.modules = make([]module.State, len(modules))
	return p.prepareModules(false)
}

// prepareModules calls PreJail of the modules that initialise outside of the
// jail, or of those that do so inside: all are outside but with the order
// apache13, in which the jail is one module in the list and only those named in
// jail.after come before it.
func (p *parent) prepareModules(inside bool) error {
	env := &module.PreJail{Config: p.cfg, Logf: p.log.printf(p.sys)}
	for i, m := range modules {
		if p.initialisesInside(m) != inside {
			continue
		}
		st, err := m.PreJail(p.sys, env)
		if err != nil {
			var pathErr *module.PathError
			if errors.As(err, &pathErr) && inside {
				pathErr.Inside = true
			}
			return fmt.Errorf("module %s: %w", m.Name(), err)
		}
		p.modules[i] = st
	}
	return nil
}

func (p *parent) initialisesInside(m module.Module) bool {
	j := p.cfg.Jail
	return j != nil && j.Order == confhcl.OrderApache13 &&
		!slices.ContainsFunc(j.After, func(l confhcl.Located) bool { return l.Value == m.Name() })
}

// checkJail looks at the jail from outside.
func (p *parent) checkJail() error {
	j := p.cfg.Jail
	if j == nil {
		return nil
	}
	fail := func(err error) error {
		return &module.PathError{Op: "use the jail", Path: j.Root, Where: j.RootRange, Err: err}
	}
	st, err := statDir(p.sys, j.Root)
	if err != nil {
		return fail(err)
	}
	change := false
	for _, id := range append([]identity{p.user}, p.owners...) {
		change = change || id.Uid >= 0 && (int(st.Uid) == id.Uid || st.Mode&0o022 != 0 && st.Mode&sys.S_ISVTX == 0)
	}
	if change {
		p.log.printf(p.sys)("warning: the jail's root %s can be changed by others than root (uid %d, mode %o): "+
			"chown root:root %s && chmod 755 %s", j.Root, st.Uid, st.Mode&0o7777, j.Root, j.Root)
	}
	if dir := p.cfg.MPM.CoreDumpDirectory; dir.Set {
		return p.checkCoreDumpDirectory(false)
	}
	return nil
}

// statDir is stat(2) of what must be a directory: else ENOTDIR.
func statDir(s sys.Dirs, name string) (st sys.Stat, err error) {
	err = s.Stat(name, &st)
	if err == nil && !st.IsDir() {
		err = sys.ENOTDIR
	}
	return st, err
}

// checkCoreDumpDirectory is called on both sides of the jail: httpd looks when
// it reads the directive, outside, and again when a child crashes, inside.
func (p *parent) checkCoreDumpDirectory(inside bool) error {
	dir := p.cfg.MPM.CoreDumpDirectory
	name := p.cfg.Path(dir.Value)
	at := name
	if inside {
		at = p.fromHere(name)
	}
	if _, err := statDir(p.sys, at); err != nil {
		outside := name
		if inside {
			outside = p.cfg.Jail.Root + name
		}
		mend := ""
		if errors.Is(err, sys.ENOENT) {
			mend = "mkdir -p " + outside
			if p.user.Name != "" {
				mend += " && chown " + p.user.Name + " " + outside
			}
		}
		return &module.PathError{Op: "use the core_dump_directory, which must exist on both sides of the jail",
			Path: name, Inside: inside, Where: dir.Range, Mend: mend, Err: err}
	}
	return nil
}

func (p *parent) listen() (err error) {
	logf := p.log.printf(p.sys)
	sockets, err := activated(p.sys, p.env, logf)
	if err != nil {
		return err
	}
	if p.listeners, err = listen(p.sys, p.cfg, sockets); err != nil {
		return err
	}
	for _, address := range slices.Sorted(maps.Keys(sockets)) {
		logf("warning: the service manager's socket for %s is not in listen; closed", address)
		p.sys.Close(sockets[address])
	}
	// Known to the parent by now, and nobody else's business.
	p.env = slices.DeleteFunc(slices.Clone(p.env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(serviceVariables, name)
	})
	return nil
}

// parentJailed reports whether the parent itself goes into the jail.
func parentJailed(cfg *confhcl.Config) bool {
	return cfg.Jail != nil && cfg.Jail.Order != confhcl.OrderPerChild
}

// jail is the parent's way in, and what must be seen to from there.
func (p *parent) jail() error {
	if parentJailed(p.cfg) {
		if err := enterJail(p.sys, p.cfg.Jail); err != nil {
			return err
		}
	}
	if p.cfg.Jail != nil && p.cfg.MPM.CoreDumpDirectory.Set {
		if err := p.checkCoreDumpDirectory(true); err != nil {
			return err
		}
	}
	return p.prepareModules(true)
}

// enterJail goes in. The working directory is moved into the jail before
// chroot(2), since chroot leaves it where it is, and to the root after it.
func enterJail(s sys.Sys, j *confhcl.Jail) error {
	fail := func(op string, err error) error {
		e := &module.PathError{Op: op, Path: j.Root, Where: j.RootRange, Err: err}
		if err == sys.EPERM {
			e.Mend = "chroot(2) needs CAP_SYS_CHROOT: start as root, or in a user namespace"
		}
		return e
	}
	if err := s.Chdir(j.Root); err != nil {
		return fail("change into the jail", err)
	}
	if err := s.Chroot("."); err != nil {
		return fail("chroot into the jail", err)
	}
	if err := s.Chdir("/"); err != nil {
		return fail("change to the jail's root", err)
	}
	if cwd, err := s.Getcwd(); err != nil || cwd != "/" {
		return fail("be inside the jail", fmt.Errorf("the working directory is %q: %w", cwd, errors.Join(err, sys.EXDEV)))
	}
	return nil
}

// mpmConfig is the part of the configuration that package mpm knows.
func (p *parent) mpmConfig() mpm.Config {
	m := &p.cfg.MPM
	c := mpm.Config{
		PidFile:                 p.cfg.Path(m.PidFile.Value),
		AcceptMutex:             m.AcceptMutex.Value,
		LockFile:                p.cfg.Path(m.LockFile.Value),
		ScoreBoardFile:          p.cfg.Path(m.ScoreBoardFile.Value),
		StartServers:            m.StartServers,
		ServerLimit:             m.ServerLimit,
		ThreadLimit:             max(1, m.ThreadLimit),
		ThreadsPerChild:         max(1, m.ThreadsPerChild),
		MaxClients:              m.MaxClients,
		MinSpare:                m.MinSpareServers,
		MaxSpare:                m.MaxSpareServers,
		MaxRequestsPerChild:     m.MaxRequestsPerChild,
		GracefulShutdownTimeout: m.GracefulShutdownTimeout,
		Uid:                     p.user.Uid,
		Gid:                     p.user.Gid,
	}
	if !m.LockFile.Set && m.LockFile.Value != "" {
		// As httpd: two servers with the default must not share a lock.
		c.LockFile = fmt.Sprintf("%s.%d", c.LockFile, p.sys.Getpid())
	}
	if m.Name == event.Topology.Name {
		c.AcceptMutex = "none" // see EPOLLEXCLUSIVE
		c.ThreadLimit++        // the loop has a slot beside its workers'
		c.Timeout, c.KeepAliveTimeout = p.cfg.Timeout, p.cfg.KeepAliveTimeout
		c.AsyncFactor = m.AsyncRequestWorkerFactor
	}
	if m.MinSpareThreads > 0 {
		c.MinSpare, c.MaxSpare = m.MinSpareThreads, m.MaxSpareThreads
	}
	c.MaxThreads = c.ThreadsPerChild
	c.MaxRequestsPerThread = m.MaxRequestsPerThread
	t, _ := topology(m.Name) // configure has checked it
	if t.Fixed {
		p.fixedChildren(&c)
	}
	if t.Mutex != "" {
		c.AcceptMutex = t.Mutex
	}
	return c
}

// Most children and threads of MPMs that have no directive for them.
const (
	os2Servers = 10  // HARD_SERVER_LIMIT of httpd's mpmt_os2
	os2Threads = 256 // HARD_THREAD_LIMIT
	beosLimit  = 50  // HARD_SERVER_LIMIT of httpd's beos: its threads
)

// fixedChildren completes the configuration of an MPM whose children are of a
// fixed number. Limits are those that a restart cannot change.
func (p *parent) fixedChildren(c *mpm.Config) {
	m := &p.cfg.MPM
	servers := 1
	switch m.Name {
	case beos.Topology.Name:
		c.StartServers = 1
		c.ThreadsPerChild, c.MaxThreads, c.ThreadLimit = m.StartThreads, m.MaxClients, beosLimit
	case winnt.Topology.Name:
		c.StartServers = 1
	case mpmtos2.Topology.Name:
		servers = os2Servers
		c.ThreadsPerChild, c.MaxThreads, c.ThreadLimit = min(m.MinSpareThreads, os2Threads), os2Threads, os2Threads
	case perchild.Topology.Name:
		c.StartServers, servers = m.NumServers, m.ServerLimit
		c.ThreadsPerChild, c.MaxThreads = m.StartThreads, m.MaxThreadsPerChild
		c.Groups = groups(m)
	}
	// A child that finishes what it answers has a slot beside its replacement.
	c.ServerLimit = 2 * servers
	c.MaxClients = c.ServerLimit * c.ThreadsPerChild
}

// serve is the rest of the parent's life: the phases mpm, serve and stop.
func (p *parent) serve() error {
	for i := range p.cfg.Sites {
		if err := p.checkDocumentRoot(&p.cfg.Sites[i]); err != nil {
			return err
		}
	}
	topo, err := topology(p.cfg.MPM.Name)
	if err != nil {
		return err
	}
	keeper, err := mpm.NewParent(p.sys, topo, p.mpmConfig(), p.listeners, p.spawnChild, p.log.printf(p.sys))
	if err != nil {
		return err
	}
	if err := p.listenControl(); err != nil {
		return errors.Join(err, keeper.Close())
	}
	keeper.Reload = p.reload
	keeper.Control = func() mpm.Request { return p.converse(keeper.Scoreboard()) }
	keeper.ControlFd = p.control.fd
	p.log.phase = PhaseServe
	p.announce()
	keeper.Tick = func() { p.service.alive(p.sys) }
	keeper.Serving = func() { p.service.notify(p.sys, fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=serving", p.sys.Getpid())) }
	keeper.Stopping = func() { p.service.notify(p.sys, "STOPPING=1") }
	err = keeper.Run()
	p.closeControl()
	p.log.phase = PhaseStop
	if err == nil {
		p.log.printf(p.sys)("stopped")
	}
	return err
}

func (p *parent) checkDocumentRoot(site *confhcl.Site) error {
	root := p.cfg.Path(site.DocumentRoot.Value)
	if _, err := statDir(p.sys, p.fromHere(root)); err != nil {
		return &module.PathError{Op: "use the document_root", Path: root, Inside: true, Where: site.DocumentRoot.Range, Err: err}
	}
	return nil
}

// fromHere is a path of the jail as the parent sees it, once the jail is closed.
func (p *parent) fromHere(name string) string {
	if p.cfg.Jail != nil && !parentJailed(p.cfg) {
		return path.Join(p.cfg.Jail.Root, name)
	}
	return name
}

// announce prints the first lines of output: which backend, where the jail is,
// and the URL.
func (p *parent) announce() {
	backend := p.backend
	if backend == "" {
		backend = "unnamed"
	}
	jail := "none"
	if p.cfg.Jail != nil {
		jail = p.cfg.Jail.Root
	}
	printf(p.sys, 1, "httpjail: backend %s, mpm %s, jail %s\n", backend, p.cfg.MPM.Name, jail)
	for _, fd := range p.listeners {
		if a, err := p.sys.Getsockname(fd); err == nil {
			addr := a.Addr
			if addr.Addr().IsUnspecified() {
				addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addr.Port())
			}
			printf(p.sys, 1, "httpjail: http://%s/\n", addr)
		}
	}
}
