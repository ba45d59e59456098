package fake

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	stdnet "net"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/ipc"
	"github.com/httpjail/httpjail/sys/fake/net"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// Modes of a Machine, see package sched.
const (
	Deterministic = sched.Deterministic
	FreeRunning   = sched.FreeRunning
)

// Config says what machine to boot.
type Config struct {
	Mode sched.Mode
	// Seed decides everything that is left to chance: which thread runs next,
	// which thread a signal interrupts, and what Getrandom returns.
	Seed uint64
	// Start is the real time at boot. The zero Time is 2026-01-01 00:00 UTC, and
	// in free-running mode the host's time.
	Start time.Time
	// Hostname is /proc/sys/kernel/hostname; "" is "localhost".
	Hostname string
	// Addrs are the machine's addresses besides loopback.
	Addrs []netip.Addr
	// Image fills the filesystem before anything runs. /dev, /proc and /tmp are
	// there already.
	Image func(*Machine)
	// Intercept is applied to the first Sys of every process. One that wants to
	// see further threads too wraps what it passes to Go.
	Intercept func(sys.Sys) sys.Sys
	// Bounding is the capability bounding set of all processes; 0 is all.
	Bounding uint64
	// FileMax is fs.file-max: how many open files the machine has, for processes
	// without CAP_SYS_ADMIN. ENFILE; 0 is as many as there are numbers.
	FileMax int64
	// StepLimit is after how many steps Run gives up with sched.ErrSteps; 0 is
	// never.
	StepLimit uint64
	// MemorySwitch is after how many accesses to shared memory, in deterministic
	// mode, a thread may lose its turn without a call; 0 is 1024, which only keeps
	// a thread that spins from spinning for ever. With 1 each access may be
	// followed by those of others: how races in shared memory are found.
	MemorySwitch int
	// Console is where panics of programs are printed in free-running mode; nil
	// is standard error.
	Console io.Writer
}

// Machine is a simulated machine.
type Machine struct {
	cfg     Config
	start   time.Time
	console io.Writer
	sched   *sched.Sched
	tree    *vfs.Tree
	net     *net.Net
	ipc     *ipc.IPC
	futexes *ipc.Futexes
	trace   traceHash
	init    *process // pid 1: reaps, and runs nothing
	procTop []procEntry

	terminals terminals
	files     atomic.Int64 // that are open

	randMu  sync.Mutex
	entropy *rand.ChaCha8

	mu       sync.Mutex // the process table, see lock
	procs    []*process // without init, in order of birth
	tids     map[int]bool
	lastID   int
	sigRand  *rand.Rand
	doomed   []*process // to be buried by unlock
	exits    map[int]sys.WaitStatus
	exited   *sync.Cond // when exits changes
	resumed  *sync.Cond // when a process that was stopped goes on, or dies
	panicErr *PanicError
	closed   bool
	bridges  []io.Closer
}

// Boot starts a machine. No program runs yet.
func Boot(cfg Config) *Machine {
	m := &Machine{
		cfg:     cfg,
		start:   cfg.Start,
		console: cfg.Console,
		sched:   sched.New(cfg.Mode, cfg.Seed),
		futexes: ipc.NewFutexes(),
		tids:    map[int]bool{},
		lastID:  initPid,
		exits:   map[int]sys.WaitStatus{},
		sigRand: rand.New(rand.NewPCG(cfg.Seed, 0x516)),
	}
	switch {
	case !m.start.IsZero():
	case cfg.Mode == FreeRunning:
		m.start = time.Now()
	default:
		m.start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if m.console == nil {
		m.console = os.Stderr
	}
	if cfg.MemorySwitch <= 0 {
		m.cfg.MemorySwitch = 1024
	}
	if cfg.FileMax <= 0 {
		m.cfg.FileMax = math.MaxInt64
	}
	m.exited = sync.NewCond(&m.mu)
	m.resumed = sync.NewCond(&m.mu)
	m.trace = traceHash{on: cfg.Mode == Deterministic, sum: fnvOffset}
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(cfg.Seed >> (8 * i))
	}
	m.entropy = rand.NewChaCha8(seed)
	m.tree = vfs.New(m.start)
	m.tree.Random = m.random
	m.net = net.New(m.tree, cfg.Addrs...)
	m.ipc = ipc.New(m.start)

	bounding := cfg.Bounding
	if bounding == 0 {
		bounding = allCaps
	}
	root := cred{effective: bounding, permitted: bounding, bounding: bounding, dumpable: true}
	m.init = &process{m: m, pid: initPid, pgid: initPid, sid: initPid, argv: []string{"init"}, comm: "init", limits: defaultLimits()}
	m.init.parent = m.init
	m.init.attrs.Store(&attrs{
		cred:  root.publish(),
		place: place{root: m.tree.Root(), cwd: m.tree.Root(), umask: 0o022, ns: m.tree.Namespace()},
		fsize: sys.RLIM_INFINITY,
	})
	m.init.attrs.Load().hold()
	m.standardImage()
	if cfg.Image != nil {
		cfg.Image(m)
	}
	return m
}

// random fills p from the machine's entropy.
func (m *Machine) random(p []byte) {
	m.randMu.Lock()
	defer m.randMu.Unlock()
	m.entropy.Read(p)
}

// ProcSpec says what process Start starts.
type ProcSpec struct {
	// Path is the program's file; it must be executable by Uid and Gid.
	Path string
	// Program is run instead of a file's when Path is "".
	Program sys.Program
	// Argv's first is the process's name; nil is Path alone.
	Argv, Env []string
	// Credentials; the zero values are root. Others than root have no
	// capabilities.
	Uid, Gid int
	Groups   []int
	// Root and Cwd are directories as seen from the machine's root; "" is "/".
	Root, Cwd string
	// Umask is the file mode creation mask; 0 is 022.
	Umask int
	// Stdin, Stdout and Stderr are behind the descriptors 0, 1 and 2: as terminals
	// in /dev/pts, nil as /dev/null. The same Writer twice is one terminal. A
	// Stdin blocks outside of the simulation: in deterministic mode it must not.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Start starts a process as a child of init.
func (m *Machine) Start(spec ProcSpec) (pid int, err error) {
	argv := spec.Argv
	if argv == nil {
		argv = []string{spec.Path}
	}
	a := *m.init.attrs.Load()
	c := *a.cred
	c.ruid, c.euid, c.suid = uint32(spec.Uid), uint32(spec.Uid), uint32(spec.Uid)
	c.rgid, c.egid, c.sgid = uint32(spec.Gid), uint32(spec.Gid), uint32(spec.Gid)
	for _, g := range spec.Groups {
		c.groups = append(c.groups, uint32(g))
	}
	if spec.Uid != 0 {
		c.effective, c.permitted = 0, 0
	}
	if spec.Umask != 0 {
		a.umask = uint32(spec.Umask)
	}
	task := m.init.task(nil)
	if spec.Root != "" {
		if a.root, err = m.tree.Chdir(task, spec.Root); err != nil {
			return 0, err
		}
		defer a.root.Drop()
		a.cwd = a.root
	}
	if spec.Cwd != "" {
		if a.cwd, err = m.tree.Chdir(task, spec.Cwd); err != nil {
			return 0, err
		}
		defer a.cwd.Drop()
	}
	prog := spec.Program
	var exe vfs.Path
	if spec.Path != "" {
		a.cred = c.publish()
		a.fill(task)
		if exe, err = m.tree.Lookup(task, spec.Path, true); err != nil {
			return 0, err
		}
		if prog, err = m.executable(task, exe); err != nil {
			return 0, err
		}
		var file sys.Stat
		if err = m.tree.Stat(task, spec.Path, &file); err != nil {
			return 0, err
		}
		c = c.afterExec(&file, exe.Mount.Flags()&vfs.MountNosuid != 0)
	}
	if prog == nil {
		return 0, sys.ENOENT
	}
	a.cred = c.publish()
	std := m.stdFiles(spec)

	m.lock()
	defer m.unlock()
	if m.closed {
		return 0, sys.ESRCH
	}
	p, err := m.newProcess(m.init, m.ipc, &a, argv, spec.Env, exe)
	if err != nil {
		return 0, err
	}
	p.started = true
	delete(m.exits, p.pid) // of a process long gone
	p.pgid, p.sid = p.pid, p.pid
	p.fds.setLimit(p.limits[sys.RLIMIT_NOFILE].Cur)
	for _, d := range std {
		d.Opened(a.cred.vfs, &m.files)
		p.fds.install(d, false, 0)
	}
	m.startProgram(p, prog)
	return p.pid, nil
}

// StartFunc starts fn as a process of root named name: how tests write clients.
func (m *Machine) StartFunc(name string, fn func(sys.Sys) int) (pid int) {
	pid, err := m.Start(ProcSpec{
		Argv:    []string{name},
		Program: func(s sys.Sys, argv, env []string) int { return fn(s) },
	})
	if err != nil {
		panic("sys/fake: StartFunc: " + err.Error())
	}
	return pid
}

// Run runs the machine, in deterministic mode, until every process has exited.
// It returns a *sched.Deadlock when all wait for ever, a *PanicError when a
// program panicked, or sched.ErrSteps at the step limit.
func (m *Machine) Run() error { return m.RunUntil(func() bool { return false }) }

// RunUntil is Run until cond is true. cond is asked between steps, in another
// goroutine: it looks at the machine and must not run it.
func (m *Machine) RunUntil(cond func() bool) error {
	m.sched.SetStepLimit(m.cfg.StepLimit)
	err := m.sched.Run(func() bool { return m.panicErr != nil || cond() })
	if e := m.takePanic(); e != nil {
		return e
	}
	var d *sched.Deadlock
	if errors.As(err, &d) {
		for i := range d.Waits {
			d.Waits[i].Call = d.Waits[i].Thread.Data.(*thread).call()
		}
	}
	return err
}

// takePanic is the first panic since it was last called.
func (m *Machine) takePanic() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.panicErr
	m.panicErr = nil
	if e == nil {
		return nil
	}
	return e
}

// Wait waits until a process started by Start or StartFunc has exited, and says
// how. It can be asked again. In deterministic mode it runs the machine, and
// returns the errors of Run. ECHILD: there was no such process.
func (m *Machine) Wait(pid int) (sys.WaitStatus, error) {
	known := func() bool {
		p := m.find(pid)
		_, done := m.exits[pid]
		return done || p != nil && p.started
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !known() {
		return 0, sys.ECHILD
	}
	for {
		if status, ok := m.exits[pid]; ok {
			return status, nil
		}
		if m.cfg.Mode == FreeRunning {
			m.exited.Wait()
			continue
		}
		m.mu.Unlock()
		err := m.RunUntil(func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			_, done := m.exits[pid]
			return done
		})
		m.mu.Lock()
		if err != nil {
			return m.exits[pid], err // also when it was this process that panicked
		}
	}
}

// Kill sends a signal to a process, as root from outside of the machine. ESRCH,
// EINVAL.
func (m *Machine) Kill(pid int, sig sys.Signal) error {
	if pid <= 0 {
		return sys.EINVAL
	}
	err := m.init.kill(pid, sig)
	m.sched.Unwind()
	return err
}

// Close switches the machine off: every process is killed, and no goroutine is
// left when it returns.
func (m *Machine) Close() {
	m.lock()
	m.closed = true
	bridges := m.bridges
	m.bridges = nil
	for _, p := range slices.Clone(m.procs) {
		m.doom(p, sys.WaitStatus(sys.SIGKILL))
	}
	m.unlock()
	for _, b := range bridges {
		b.Close()
	}
	m.sched.Stop()
}

// TraceHash is a hash over every call made so far, its arguments and results, in
// deterministic mode: equal runs have equal hashes.
func (m *Machine) TraceHash() uint64 { return m.trace.sum }

// Steps is how many times the scheduler has chosen who runs next, in
// deterministic mode: about the number of calls made so far.
func (m *Machine) Steps() uint64 { return m.sched.Steps() }

// Now is the machine's real time.
func (m *Machine) Now() time.Time { return m.start.Add(m.sched.Now()).UTC() }

// Monotonic is the time since boot.
func (m *Machine) Monotonic() time.Duration { return m.sched.Now() }

// Bridge makes the simulated listener at addr reachable from outside: it accepts
// connections of l and carries them to addr, until Close. Free-running mode only.
func (m *Machine) Bridge(addr netip.AddrPort, l stdnet.Listener) error {
	if m.cfg.Mode != FreeRunning {
		return errors.New("sys/fake: a bridge needs free-running mode")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bridges = append(m.bridges, net.NewBridge(m.net, addr, l))
	return nil
}

// ProcInfo is what Processes tells of a process.
type ProcInfo struct {
	Pid, Ppid, Pgid, Sid int
	Argv                 []string
	Root, Cwd            string // as seen from the machine's root
	Uid, Gid             [3]int // real, effective, saved
	Groups               []int
	Caps                 sys.CapSets
	Bounding             uint64
	NoNewPrivs           bool
	Dumpable             bool
	Threads              int
	Fds                  []FdInfo
	Zombie               bool
}

// FdInfo is an open descriptor of a process.
type FdInfo struct {
	Fd      int
	Cloexec bool
	Path    string // as seen from the machine's root, "socket:[7]" and the like as in /proc/PID/fd
}

// Processes are all processes but init, zombies included, in order of birth.
func (m *Machine) Processes() []ProcInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []ProcInfo
	for _, p := range m.procs {
		infos = append(infos, p.info())
	}
	return infos
}

// info describes p. Machine.mu is held.
func (p *process) info() ProcInfo {
	m, a := p.m, p.attrs.Load()
	c := a.cred
	i := ProcInfo{
		Pid: p.pid, Ppid: p.parent.pid, Pgid: p.pgid, Sid: p.sid,
		Argv:       slices.Clone(p.argv),
		Root:       m.tree.PathString(m.tree.Root(), a.root),
		Cwd:        m.tree.PathString(m.tree.Root(), a.cwd),
		Uid:        [3]int{int(c.ruid), int(c.euid), int(c.suid)},
		Gid:        [3]int{int(c.rgid), int(c.egid), int(c.sgid)},
		Caps:       sys.CapSets{Effective: c.effective, Permitted: c.permitted, Inheritable: c.inheritable},
		Bounding:   c.bounding,
		NoNewPrivs: c.noNewPrivs,
		Dumpable:   c.dumpable,
		Threads:    len(p.threads),
		Zombie:     p.zombie,
	}
	for _, g := range c.groups {
		i.Groups = append(i.Groups, int(g))
	}
	for _, fd := range p.fds.open(0, nrOpen) {
		d, err := p.fds.get(fd)
		if err != nil {
			continue
		}
		cloexec, _ := p.fds.cloexec(fd)
		f := FdInfo{Fd: fd, Cloexec: cloexec}
		if d.Path.Dentry != nil {
			f.Path = m.tree.PathString(m.tree.Root(), d.Path)
		}
		d.Decref(nil)
		i.Fds = append(i.Fds, f)
	}
	return i
}

// SemIDs are the System V semaphore sets that exist in the first namespace.
func (m *Machine) SemIDs() []int { return m.ipc.SemIDs() }

// ShmIDs are the System V shared memory segments that exist in the first namespace.
func (m *Machine) ShmIDs() []int { return m.ipc.ShmIDs() }

// OpenListeners are the addresses of all listening sockets.
func (m *Machine) OpenListeners() []sys.SockAddr { return m.net.Listeners() }

// must is for the building of an image, where an error is a bug of whoever
// builds it.
func must(op, path string, err error) {
	if err != nil {
		panic(fmt.Sprintf("sys/fake: %s %s: %v", op, path, err))
	}
}
