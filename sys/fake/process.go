package fake

import (
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/ipc"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// process is a simulated process, from its start until it was waited for.
type process struct {
	m    *Machine
	pid  int
	argv []string
	env  []string
	exe  vfs.Path
	comm string        // the name that ps(1) shows without arguments
	born time.Duration // since boot

	// state is the number of threads inside a call, with the flags dying and
	// dead. Death waits until no thread is inside a call, as on Linux, where
	// each thread of a killed process leaves the kernel on its own feet.
	state atomic.Int64

	// attrs are what calls use at every step; replaced as a whole, under
	// Machine.mu.
	attrs atomic.Pointer[attrs]

	fds     fdTable
	touches atomic.Uint32 // accesses to shared memory, see Touch

	// Guarded by Machine.mu.
	parent    *process
	children  []*process // in order of birth
	spawner   *thread    // the parent's thread that made this process
	pgid, sid int
	threads   []*thread // that have not ended, by tid
	zombie    bool
	started   bool // by the machine's owner, who may ask for its status
	status    sys.WaitStatus
	core      string // what a core would say, see abort
	pdeathsig sys.Signal
	signals   signalState
	job       jobControl
	limits    [numLimits]sys.Rlimit
	childGone sched.Queue // Wait4 sleeps here
	maps      []*mapping  // in the order of mmap(2)
	ipcs      []*ipc.IPC  // the namespaces that its threads are in, or were; the first never changes
}

// Flags of process.state.
const (
	dying = 1 << 32 // no call begins any more
	dead  = 1 << 33 // die was called
)

// attrs are a process's credentials and its place in the filesystem.
type attrs struct {
	cred *cred
	place
	fsize uint64 // the soft RLIMIT_FSIZE
}

// place is what CLONE_FS and CLONE_NEWNS of clone(2) are about: the threads of a
// process share it, but for those that called Unshare. A process holds its root
// and cwd, see vfs.Path.Hold.
type place struct {
	root  vfs.Path
	cwd   vfs.Path
	umask uint32
	ns    *vfs.Namespace
}

func (f *place) hold() {
	f.root.Hold()
	f.cwd.Hold()
	f.ns.Hold()
}

// drop ends hold. Machine.mu is not held.
func (f *place) drop() {
	f.root.Drop()
	f.cwd.Drop()
	f.ns.Drop()
}

func (f *place) fill(t *vfs.Task) {
	t.Root, t.Cwd, t.Umask, t.NS = f.root, f.cwd, f.umask, f.ns
}

// change replaces p's attrs by what f makes of a copy. Machine.mu is held.
func (p *process) change(f func(a *attrs)) {
	a := *p.attrs.Load()
	f(&a)
	p.attrs.Store(&a)
}

// name is argv[0], by which reports know the process.
func (p *process) name() string {
	if len(p.argv) == 0 {
		return ""
	}
	return p.argv[0]
}

// task is what filesystem and network calls made for p, outside of its own
// threads' calls, are made with.
func (p *process) task(th *sched.Thread) *vfs.Task {
	t := &vfs.Task{Thread: th, Pid: p.pid, Owner: p}
	p.attrs.Load().fill(t)
	return t
}

func (a *attrs) fill(t *vfs.Task) {
	t.Cred, t.Fsize = a.cred.vfs, a.fsize
	a.place.fill(t)
}

// Touch guards shared memory, see sys.Gate.
func (p *process) Touch() {
	if p.state.Load()&dying != 0 {
		runtime.Goexit()
	}
	m := p.m
	if m.cfg.Mode == Deterministic && p.touches.Add(1)%uint32(m.cfg.MemorySwitch) == 0 {
		if t := m.sched.Current(); t != nil {
			t.Switch()
		}
	}
	if p.job.halting.Load() {
		p.parkTouching()
	}
}

// allocID finds the next free number for a process or thread, as Linux does:
// upwards, and again from reservedPids after pidMax. Machine.mu is held.
func (m *Machine) allocID() (int, error) {
	for range pidMax {
		if m.lastID++; m.lastID > pidMax {
			m.lastID = reservedPids
		}
		if !m.idInUse(m.lastID) {
			return m.lastID, nil
		}
	}
	return 0, sys.EAGAIN
}

const (
	initPid      = 1
	pidMax       = 32768 // PID_MAX_DEFAULT
	reservedPids = 300   // RESERVED_PIDS
)

func (m *Machine) idInUse(id int) bool {
	if m.tids[id] {
		return true
	}
	for _, p := range m.procs {
		if p.pid == id || p.pgid == id || p.sid == id {
			return true
		}
	}
	return false
}

// newProcess enters a process without threads as a child of parent.
// Machine.mu is held.
func (m *Machine) newProcess(parent *process, ns *ipc.IPC, a *attrs, argv, env []string, exe vfs.Path) (*process, error) {
	pid, err := m.allocID()
	if err != nil {
		return nil, err
	}
	p := &process{
		m: m, pid: pid, argv: slices.Clone(argv), env: slices.Clone(env), exe: exe,
		ipcs: []*ipc.IPC{ns}, born: m.sched.Now(), parent: parent, pgid: parent.pgid, sid: parent.sid, limits: parent.limits,
	}
	p.childGone.Name = "children"
	p.comm = p.name()
	if exe.Dentry != nil {
		m.tree.DenyWrite(exe)
		p.comm = m.tree.PathString(m.tree.Root(), exe)
	}
	p.comm = p.comm[strings.LastIndexByte(p.comm, '/')+1:]
	p.comm = p.comm[:min(len(p.comm), 15)] // TASK_COMM_LEN
	p.signals.ignored = parent.signals.ignored & inherited
	a.hold()
	p.attrs.Store(a)
	parent.children = append(parent.children, p)
	m.procs = append(m.procs, p)
	return p, nil
}

// find is the process with that pid, zombies included, or nil. Machine.mu is held.
func (m *Machine) find(pid int) *process {
	if pid == initPid {
		return m.init
	}
	for _, p := range m.procs {
		if p.pid == pid {
			return p
		}
	}
	return nil
}

// removeProcess forgets a zombie: it was waited for. Machine.mu is held.
func (m *Machine) removeProcess(p *process) {
	m.procs = slices.DeleteFunc(m.procs, func(q *process) bool { return q == p })
	p.parent.children = slices.DeleteFunc(p.parent.children, func(q *process) bool { return q == p })
}

// setpgid is setpgid(2) by p.
func (p *process) setpgid(pid, pgid int) error {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if pid == 0 {
		pid = p.pid
	}
	if pgid == 0 {
		pgid = pid
	}
	if pgid < 0 {
		return sys.EINVAL
	}
	q := m.find(pid)
	if q == nil {
		return sys.ESRCH
	}
	if q != p {
		if q.parent != p {
			return sys.ESRCH
		}
		if q.sid != p.sid {
			return sys.EPERM
		}
		// A child is always past its execve here: Spawn is both.
		return sys.EACCES
	}
	if q.sid == q.pid {
		return sys.EPERM
	}
	if pgid != q.pid && !slices.ContainsFunc(m.procs, func(o *process) bool {
		return o.pgid == pgid && o.sid == p.sid
	}) {
		return sys.EPERM
	}
	q.pgid = pgid
	return nil
}

func (p *process) getpgid(pid int) (int, error) {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if pid == 0 {
		return p.pgid, nil
	}
	if q := m.find(pid); q != nil {
		return q.pgid, nil
	}
	return 0, sys.ESRCH
}

func (p *process) setsid() (int, error) {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.procs, func(o *process) bool { return o.pgid == p.pid }) {
		return 0, sys.EPERM
	}
	p.sid, p.pgid = p.pid, p.pid
	return p.sid, nil
}

// Resource limits by their number; Linux has 16.
const numLimits = 16

func defaultLimits() (l [numLimits]sys.Rlimit) {
	for i := range l {
		l[i] = sys.Rlimit{Cur: sys.RLIM_INFINITY, Max: sys.RLIM_INFINITY}
	}
	l[sys.RLIMIT_CORE].Cur = 0
	l[sys.RLIMIT_NOFILE] = sys.Rlimit{Cur: 512 * 1024, Max: 512 * 1024} // as systemd starts services and the Go runtime raises it
	return l
}

func (p *process) getrlimit(resource int) (sys.Rlimit, error) {
	if resource < 0 || resource >= numLimits {
		return sys.Rlimit{}, sys.EINVAL
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.limits[resource], nil
}

// nrOpen is /proc/sys/fs/nr_open: RLIMIT_NOFILE cannot be raised above it.
const nrOpen = 1 << 20

func (p *process) setrlimit(resource int, lim sys.Rlimit) error {
	if resource < 0 || resource >= numLimits || lim.Cur > lim.Max {
		return sys.EINVAL
	}
	if resource == sys.RLIMIT_NOFILE && lim.Max > nrOpen {
		return sys.EPERM
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if lim.Max > p.limits[resource].Max && !p.attrs.Load().cred.capable(sys.CAP_SYS_RESOURCE) {
		return sys.EPERM
	}
	p.limits[resource] = lim
	switch resource {
	case sys.RLIMIT_NOFILE:
		p.fds.setLimit(lim.Cur)
	case sys.RLIMIT_FSIZE:
		p.change(func(a *attrs) { a.fsize = lim.Cur })
	}
	return nil
}

// mapping is a mapping of mmap(2), and the gate of its Mem, by which it is known:
// several can be of the same memory.
type mapping struct {
	*process
	desc   *vfs.Description // of the file, which it keeps open; nil: none
	shared bool
}

// mapped records a mapping and makes the Mem by which p reaches it. It takes over
// the reference to desc.
func (p *process) mapped(b []byte, desc *vfs.Description, shared bool) sys.Mem {
	m := &mapping{p, desc, shared}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.maps = append(p.maps, m)
	return sys.NewMem(b, m)
}

// unmapped undoes mapped, if nobody did.
func (p *process) unmapped(task *vfs.Task, m *mapping) {
	p.m.mu.Lock()
	i := slices.Index(p.maps, m)
	if i >= 0 {
		p.maps = slices.Delete(p.maps, i, i+1)
	}
	p.m.mu.Unlock()
	if i >= 0 {
		m.close(task)
	}
}

func (m *mapping) close(task *vfs.Task) {
	if m.desc != nil {
		m.desc.Munmap(m.shared)
		m.desc.Decref(task)
	}
}

// attachment is an attachment of shmat(2), and the gate of its Mem.
type attachment struct {
	*process
	ns       *ipc.IPC
	detached bool // guarded by Machine.mu
}

// detach detaches mem, and says whether it was attached.
func (t *thread) detach(mem sys.Mem) bool {
	a, ok := mem.Gate().(*attachment)
	if !ok || a.process != t.p {
		return false
	}
	t.p.m.mu.Lock()
	was := a.detached
	a.detached = true
	t.p.m.mu.Unlock()
	return !was && a.ns.Shmdt(&t.task, mem.Bytes()) == nil
}

// signalSet is a set of signals: bit n-1 is signal n, as sigset_t.
type signalSet uint64

func (s signalSet) has(sig sys.Signal) bool { return s&sigbit(sig) != 0 }

// first is the lowest signal of the set, or 0.
func (s signalSet) first() sys.Signal {
	if s == 0 {
		return 0
	}
	return sys.Signal(bits.TrailingZeros64(uint64(s)) + 1)
}

func sigbit(sig sys.Signal) signalSet { return 1 << (sig - 1) }

func (p *process) String() string { return fmt.Sprintf("%s[%d]", p.name(), p.pid) }
