package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/ipc"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

func (t *thread) Mount(source, target, fstype string, flags int, data string) (err error) {
	t.enter("mount", -1, uint64(flags))
	defer t.leave(nil, &err)
	t.note(source)
	t.note(target)
	t.note(fstype)
	t.note(data)
	return t.tree().DoMount(&t.task, source, target, fstype, flags, data)
}

func (t *thread) Umount2(target string, flags int) (err error) {
	t.enter("umount2", -1, uint64(flags))
	defer t.leave(nil, &err)
	t.note(target)
	return t.tree().DoUmount(&t.task, target, flags)
}

func (t *thread) PivotRoot(newRoot, putOld string) (err error) {
	t.enter("pivot_root", -1)
	defer t.leave(nil, &err)
	t.note(newRoot)
	t.note(putOld)
	from, to, err := t.tree().PivotRoot(&t.task, newRoot, putOld)
	if err == nil {
		t.p.m.changeRoots(from, to)
	}
	return err
}

// changeRoots is chroot_fs_refs: whoever has from as its root or working directory
// has to instead.
func (m *Machine) changeRoots(from, to vfs.Path) {
	m.mu.Lock()
	defer m.mu.Unlock()
	replace := func(f *place) (changed bool) {
		for _, at := range []*vfs.Path{&f.root, &f.cwd} {
			if *at == from {
				*at = to
				to.Hold()
				from.Drop()
				changed = true
			}
		}
		return changed
	}
	for _, p := range append([]*process{m.init}, m.procs...) {
		if a := *p.attrs.Load(); p.state.Load()&dead == 0 && replace(&a.place) {
			p.attrs.Store(&a)
		}
		for _, t := range p.threads {
			if own := t.own.Load(); own != nil {
				if f := *own; replace(&f) {
					t.own.Store(&f)
				}
			}
		}
	}
}

// What unshare(2) knows, and what of it a process with several threads cannot
// have: every Go program is one.
const (
	newNamespaces = sys.CLONE_NEWNS | sys.CLONE_NEWUTS | sys.CLONE_NEWIPC | sys.CLONE_NEWUSER | sys.CLONE_NEWPID |
		sys.CLONE_NEWNET | sys.CLONE_NEWCGROUP | sys.CLONE_NEWTIME
	singleThreaded = sys.CLONE_THREAD | sys.CLONE_SIGHAND | sys.CLONE_VM | sys.CLONE_NEWUSER
	unshareFlags   = newNamespaces | singleThreaded | sys.CLONE_FS | sys.CLONE_FILES | sys.CLONE_SYSVSEM

	// simulated are the namespaces that exist here. That of CLONE_NEWUTS is the same
	// as before in all that can be seen: nothing changes a host name.
	simulated = sys.CLONE_NEWNS | sys.CLONE_NEWUTS | sys.CLONE_NEWIPC | sys.CLONE_FS
)

func (t *thread) Unshare(flags int) (err error) {
	t.enter("unshare", -1, uint64(flags))
	defer t.leave(nil, &err)
	switch {
	case flags&sys.CLONE_FILES != 0:
		return sys.ENOSYS // on every backend
	case flags&^unshareFlags != 0, flags&singleThreaded != 0: // check_unshare_flags
		return sys.EINVAL
	case flags&newNamespaces != 0 && !t.task.Cred.Has(sys.CAP_SYS_ADMIN):
		return sys.EPERM
	case flags&^simulated != 0:
		return sys.ENOSYS
	}
	m := t.p.m
	if flags&sys.CLONE_NEWIPC != 0 {
		t.ownIPC = ipc.New(m.start)
		m.mu.Lock()
		t.p.ipcs = append(t.p.ipcs, t.ownIPC)
		m.mu.Unlock()
	}
	if flags&(sys.CLONE_NEWNS|sys.CLONE_FS) == 0 {
		return nil
	}
	f := place{root: t.task.Root, cwd: t.task.Cwd, umask: t.task.Umask, ns: t.task.NS}
	if flags&sys.CLONE_NEWNS != 0 {
		f.ns, f.root, f.cwd = m.tree.Unshare(f.ns, f.root, f.cwd)
	}
	f.hold()
	m.mu.Lock()
	old := t.own.Swap(&f)
	m.mu.Unlock()
	if old != nil {
		old.drop()
	}
	return nil
}
