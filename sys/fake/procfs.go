package fake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// mountProc mounts proc(5), as much of it as servers read.
func (m *Machine) mountProc(path string) {
	hostname := m.cfg.Hostname
	if hostname == "" {
		hostname = "localhost"
	}
	root := &vfs.MagicNode{
		Mode:   sys.S_IFDIR | 0o555,
		Lookup: m.procLookup,
		List:   m.procList,
	}
	m.procTop = []procEntry{
		{"loadavg", textNode(0o444, func() string { return fmt.Sprintf("0.00 0.00 0.00 1/%d %d\n", m.countThreads(), m.peekLastID()) })},
		{"mounts", linkNode("self/mounts")},
		{"sys", dirNode(
			procEntry{"fs", dirNode(
				procEntry{"file-max", textNode(0o644, func() string { return fmt.Sprintf("%d\n", m.cfg.FileMax) })},
				procEntry{"file-nr", textNode(0o444, func() string { return fmt.Sprintf("%d\t0\t%d\n", m.files.Load(), m.cfg.FileMax) })},
				procEntry{"nr_open", number(nrOpen)},
			)},
			procEntry{"kernel", dirNode(
				procEntry{"cap_last_cap", number(sys.CAP_LAST_CAP)},
				procEntry{"core_pattern", textNode(0o644, func() string { return "core\n" })},
				procEntry{"core_uses_pid", number(0)},
				procEntry{"hostname", textNode(0o644, func() string { return hostname + "\n" })},
				procEntry{"ostype", textNode(0o444, func() string { return "Linux\n" })},
				procEntry{"pid_max", number(pidMax)},
			)},
			procEntry{"net", dirNode(
				procEntry{"core", dirNode(procEntry{"somaxconn", number(sys.SOMAXCONN)})},
				procEntry{"ipv4", dirNode(
					procEntry{"ip_local_port_range", textNode(0o644, func() string { return "32768\t60999\n" })},
					procEntry{"ip_unprivileged_port_start", number(1024)},
				)},
			)},
		)},
		{"uptime", textNode(0o444, func() string {
			s := m.sched.Now().Seconds()
			return fmt.Sprintf("%.2f %.2f\n", s, s)
		})},
	}
	m.tree.RegisterMagic("proc", root, "gid", "hidepid", "pidns", "subset")
	_, err := m.tree.MountMagic(path, "proc", root, vfs.MountNosuid|vfs.MountNodev|vfs.MountNoexec)
	must("mount", path, err)
}

// procEntry is a name in a directory of procfs.
type procEntry struct {
	name string
	node *vfs.MagicNode
}

func textNode(mode uint32, text func() string) *vfs.MagicNode {
	return &vfs.MagicNode{
		Mode: sys.S_IFREG | mode,
		Text: func(*vfs.Task) (string, error) { return text(), nil },
	}
}

func number(n int) *vfs.MagicNode {
	return textNode(0o644, func() string { return strconv.Itoa(n) + "\n" })
}

func linkNode(target string) *vfs.MagicNode {
	return &vfs.MagicNode{
		Mode: sys.S_IFLNK | 0o777,
		Text: func(*vfs.Task) (string, error) { return target, nil },
	}
}

func dirNode(entries ...procEntry) *vfs.MagicNode {
	return &vfs.MagicNode{
		Mode: sys.S_IFDIR | 0o555,
		Lookup: func(_ *vfs.Task, name string) (*vfs.MagicNode, error) {
			return findEntry(entries, name)
		},
		List: func(*vfs.Task) []sys.Dirent { return listEntries(entries) },
	}
}

func findEntry(entries []procEntry, name string) (*vfs.MagicNode, error) {
	for _, e := range entries {
		if e.name == name {
			return e.node, nil
		}
	}
	return nil, sys.ENOENT
}

func listEntries(entries []procEntry) (ents []sys.Dirent) {
	for _, e := range entries {
		ents = append(ents, sys.Dirent{Name: e.name, Type: uint8(e.node.Mode & sys.S_IFMT >> 12)})
	}
	return ents
}

func (m *Machine) countThreads() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tids)
}

func (m *Machine) peekLastID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastID
}

// caller is the process that t belongs to, nil for the machine's owner.
func caller(t *vfs.Task) *process {
	p, _ := t.Owner.(*process)
	return p
}

func (m *Machine) procLookup(t *vfs.Task, name string) (*vfs.MagicNode, error) {
	if name == "self" {
		if p := caller(t); p != nil {
			return linkNode(strconv.Itoa(p.pid)), nil
		}
		return nil, sys.ENOENT
	}
	if name == "thread-self" {
		if t.Thread != nil && t.Owner != nil {
			if th, ok := t.Thread.Data.(*thread); ok {
				return linkNode(fmt.Sprintf("%d/task/%d", th.p.pid, th.tid)), nil
			}
		}
		return nil, sys.ENOENT
	}
	if pid, err := strconv.Atoi(name); err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p := m.find(pid); p != nil && strconv.Itoa(pid) == name {
			return p.procNode(caller(t)), nil
		}
		return nil, sys.ENOENT
	}
	return findEntry(m.procTop, name)
}

func (m *Machine) procList(*vfs.Task) []sys.Dirent {
	ents := append(listEntries(m.procTop), sys.Dirent{Name: "self", Type: sys.DT_LNK}, sys.Dirent{Name: "thread-self", Type: sys.DT_LNK})
	m.mu.Lock()
	defer m.mu.Unlock()
	pids := []int{initPid}
	for _, p := range m.procs {
		pids = append(pids, p.pid)
	}
	slices.Sort(pids)
	for _, pid := range pids {
		ents = append(ents, sys.Dirent{Name: strconv.Itoa(pid), Type: sys.DT_DIR})
	}
	return ents
}

// mayRead is ptrace_may_access with PTRACE_MODE_READ_FSCREDS in kernel/ptrace.c,
// which guards a process's links in procfs.
func (p *process) mayRead(by *process) error {
	if by == p || by == nil {
		return nil
	}
	c, o := by.attrs.Load().cred, p.attrs.Load().cred
	if c.capable(sys.CAP_SYS_PTRACE) {
		return nil
	}
	same := c.euid == o.ruid && c.euid == o.euid && c.euid == o.suid &&
		c.egid == o.rgid && c.egid == o.egid && c.egid == o.sgid
	if !same || !o.dumpable || o.permitted&^c.effective != 0 {
		return sys.EACCES
	}
	return nil
}

// procNode is /proc/PID. Machine.mu is held.
func (p *process) procNode(by *process) *vfs.MagicNode {
	m := p.m
	link := func(path func() vfs.Path) *vfs.MagicNode {
		jump := func(t *vfs.Task) (vfs.Path, error) {
			if err := p.mayRead(caller(t)); err != nil {
				return vfs.Path{}, err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			at := path()
			if at.Dentry == nil || p.zombie { // exit_mm and exit_fs took them
				return vfs.Path{}, sys.ENOENT
			}
			return at, nil
		}
		return &vfs.MagicNode{
			Mode: sys.S_IFLNK | 0o777,
			Jump: jump,
			Text: func(t *vfs.Task) (string, error) {
				at, err := jump(t)
				if err != nil {
					return "", err
				}
				return m.tree.PathString(t.Root, at), nil
			},
		}
	}
	task := &vfs.MagicNode{
		Mode: sys.S_IFDIR | 0o555,
		Lookup: func(_ *vfs.Task, name string) (*vfs.MagicNode, error) {
			tid, _ := strconv.Atoi(name)
			m.mu.Lock()
			defer m.mu.Unlock()
			if !slices.Contains(p.tidsLocked(), tid) {
				return nil, sys.ENOENT
			}
			mounts, mountinfo := m.mountNodes(func() *place { return p.placeOf(tid) })
			return dirNode(
				procEntry{"mountinfo", mountinfo},
				procEntry{"mounts", mounts},
				procEntry{"status", textNode(0o444, func() string { return p.statusText(tid) })},
				procEntry{"stat", textNode(0o444, func() string { return p.statText(tid) })},
			), nil
		},
		List: func(*vfs.Task) (ents []sys.Dirent) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, tid := range p.tidsLocked() {
				ents = append(ents, sys.Dirent{Name: strconv.Itoa(tid), Type: sys.DT_DIR})
			}
			return ents
		},
	}
	mounts, mountinfo := m.mountNodes(func() *place { return &p.attrs.Load().place })
	entries := []procEntry{
		{"cmdline", textNode(0o444, func() string {
			if len(p.argv) == 0 || p.isZombie() { // exit_mm took it
				return ""
			}
			return strings.Join(p.argv, "\x00") + "\x00"
		})},
		{"cwd", link(func() vfs.Path { return p.attrs.Load().cwd })},
		{"exe", link(func() vfs.Path { return p.exe })},
		{"fd", p.fdDir(by)},
		{"gid_map", textNode(0o644, idMap)},
		{"mountinfo", mountinfo},
		{"mounts", mounts},
		{"root", link(func() vfs.Path { return p.attrs.Load().root })},
		{"setgroups", textNode(0o644, func() string { return "allow\n" })},
		{"stat", textNode(0o444, func() string { return p.statText(p.pid) })},
		{"status", textNode(0o444, func() string { return p.statusText(p.pid) })},
		{"task", task},
		{"uid_map", textNode(0o644, idMap)},
	}
	// task_dump_owner: of a process that is not dumpable only the directories
	// that everybody may list are its own.
	c := p.attrs.Load().cred
	for _, e := range entries {
		own := e.node.Mode == sys.S_IFDIR|0o555 || e.name == "fd" && by == p
		if own || c.dumpable && !p.zombie {
			e.node.Uid, e.node.Gid = c.euid, c.egid
		}
	}
	n := dirNode(entries...)
	n.Uid, n.Gid = c.euid, c.egid
	return n
}

// idMap is that of the first user namespace.
func idMap() string { return fmt.Sprintf("%10d %10d %10d\n", 0, 0, uint32(1<<32-1)) }

// fdDir is /proc/PID/fd, of which the process itself sees that it is its own: it
// may always look, proc_fd_permission.
func (p *process) fdDir(by *process) *vfs.MagicNode {
	n := &vfs.MagicNode{Mode: sys.S_IFDIR | 0o500}
	n.Lookup = func(t *vfs.Task, name string) (*vfs.MagicNode, error) {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return nil, sys.ENOENT
		}
		d, err := p.fds.get(fd)
		if err != nil {
			return nil, sys.ENOENT
		}
		defer d.Decref(t)
		mode := uint32(sys.S_IFLNK | 0o100) // tid_fd_update_inode
		if acc := d.Flags() & sys.O_ACCMODE; !d.IsPath() && acc != sys.O_WRONLY {
			mode |= 0o400
		}
		if acc := d.Flags() & sys.O_ACCMODE; !d.IsPath() && acc != sys.O_RDONLY {
			mode |= 0o200
		}
		get := func(t *vfs.Task) (vfs.Path, string, error) {
			if err := p.mayRead(caller(t)); err != nil {
				return vfs.Path{}, "", err
			}
			d, err := p.fds.get(fd)
			if err != nil {
				return vfs.Path{}, "", sys.ENOENT
			}
			defer d.Decref(t)
			if d.Path.Dentry != nil {
				return d.Path, p.m.tree.PathString(t.Root, d.Path), nil
			}
			return vfs.Path{}, nameless(t, d), nil
		}
		return &vfs.MagicNode{
			Mode: mode,
			Text: func(t *vfs.Task) (string, error) {
				_, text, err := get(t)
				return text, err
			},
			Jump: func(t *vfs.Task) (vfs.Path, error) {
				at, _, err := get(t)
				return at, err
			},
		}, nil
	}
	n.List = func(*vfs.Task) (ents []sys.Dirent) {
		for _, fd := range p.fds.open(0, nrOpen) {
			ents = append(ents, sys.Dirent{Name: strconv.Itoa(fd), Type: sys.DT_LNK})
		}
		return ents
	}
	return n
}

// nameless is what readlink(2) shows of a file without a path.
func nameless(t *vfs.Task, d *vfs.Description) string {
	switch d.File.(type) {
	case *signalFile:
		return "anon_inode:[signalfd]"
	}
	var st sys.Stat
	d.Stat(t, &st)
	if st.Mode&sys.S_IFMT == sys.S_IFSOCK {
		return fmt.Sprintf("socket:[%d]", st.Ino)
	}
	return "anon_inode:[eventpoll]"
}

// placeOf is where a thread of p is; without a thread, where the process is.
func (p *process) placeOf(tid int) *place {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	for _, t := range p.threads {
		if own := t.own.Load(); t.tid == tid && own != nil {
			return own
		}
	}
	return &p.attrs.Load().place
}

// mountNodes are what /proc/PID says of mounts, as f is placed.
func (m *Machine) mountNodes(f func() *place) (mounts, mountinfo *vfs.MagicNode) {
	return textNode(0o444, func() string { p := f(); return m.tree.MountTable(p.ns, p.root) }),
		textNode(0o444, func() string { p := f(); return m.tree.MountInfo(p.ns, p.root) })
}

func (p *process) isZombie() bool {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.zombie
}

// stateLetter is the letter of proc_pid_status(5). Machine.mu is held.
func (p *process) stateLetter() string {
	switch {
	case p.zombie:
		return "Z"
	case p.job.stopped:
		return "T"
	}
	return "S"
}

// tidsLocked are the thread ids of a process that exists: a zombie still has its
// first.
func (p *process) tidsLocked() []int {
	var tids []int
	for _, t := range p.threads {
		tids = append(tids, t.tid)
	}
	if len(tids) == 0 {
		tids = append(tids, p.pid)
	}
	return tids
}

// statusText is /proc/PID/status.
func (p *process) statusText(tid int) string {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	c := p.attrs.Load().cred
	var groups strings.Builder
	for _, g := range c.groups {
		fmt.Fprintf(&groups, "%d ", g)
	}
	state := map[string]string{"S": "S (sleeping)", "T": "T (stopped)", "Z": "Z (zombie)"}[p.stateLetter()]
	return fmt.Sprintf("Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n"+
		"Uid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\nFDSize:\t%d\nGroups:\t%s\nThreads:\t%d\n"+
		"SigPnd:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n"+
		"CapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nCapBnd:\t%016x\nCapAmb:\t%016x\nNoNewPrivs:\t%d\nSeccomp:\t0\n",
		p.comm, p.attrs.Load().umask, state, p.pid, tid, p.parent.pid,
		c.ruid, c.euid, c.suid, c.euid, c.rgid, c.egid, c.sgid, c.egid, p.fds.size(), groups.String(), len(p.tidsLocked()),
		uint64(p.signals.pending), uint64(p.signals.ignored), uint64(p.signals.handled),
		c.inheritable, c.permitted, c.effective, c.bounding, 0, btoi(c.noNewPrivs))
}

// statText is /proc/PID/stat. What is not simulated is 0.
func (p *process) statText(tid int) string {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	// Fields 1 to 8, 20 (num_threads) and 22 (starttime, in 1/100 s since boot).
	return fmt.Sprintf("%d (%s) %s %d %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 %d 0 %d%s\n",
		tid, p.comm, p.stateLetter(), p.parent.pid, p.pgid, p.sid, len(p.tidsLocked()),
		p.born.Milliseconds()/10, strings.Repeat(" 0", 30))
}
