package fake

import (
	"slices"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// cred is struct cred of Linux: never changed once published. The filesystem
// ids always follow the effective ones, since there is no setfsuid here.
type cred struct {
	ruid, euid, suid uint32
	rgid, egid, sgid uint32
	groups           []uint32
	effective        uint64
	permitted        uint64
	inheritable      uint64
	bounding         uint64
	noNewPrivs       bool
	dumpable         bool
	vfs              *vfs.Cred // the same, as the filesystem wants it
}

// allCaps is the full capability set.
const allCaps = 1<<(sys.CAP_LAST_CAP+1) - 1

// publish returns c ready for use.
func (c cred) publish() *cred {
	c.vfs = &vfs.Cred{Uid: c.euid, Gid: c.egid, Groups: c.groups, Caps: c.effective}
	return &c
}

func (c *cred) capable(n int) bool { return c.effective&(1<<n) != 0 }

// forAccess are the credentials that access(2) checks with, access_override_creds:
// the real ids, and root's capabilities only for a real root.
func (c *cred) forAccess() *vfs.Cred {
	v := *c.vfs
	v.Uid, v.Gid = c.ruid, c.rgid
	if v.Caps = 0; c.ruid == 0 {
		v.Caps = c.permitted
	}
	return &v
}

// commit is commit_creds in kernel/cred.c: a process whose effective ids or
// permitted capabilities change is no longer dumpable and loses its parent-death
// signal. Machine.mu is held.
func (p *process) commit(c cred) {
	old := p.attrs.Load().cred
	if c.euid != old.euid || c.egid != old.egid || c.permitted&^old.permitted != 0 {
		c.dumpable = false
		p.pdeathsig = 0
	}
	p.change(func(a *attrs) { a.cred = c.publish() })
}

// setids is what setresuid(2) and setresgid(2) do with three ids: -1 leaves one
// as it is; without the capability each must be one of the current three. Ids are
// the low 32 bits.
func setids(ids [3]*uint32, to [3]int, capable bool) error {
	cur := [3]uint32{*ids[0], *ids[1], *ids[2]}
	for _, id := range to {
		if uint32(id) != 1<<32-1 && !capable && !slices.Contains(cur[:], uint32(id)) {
			return sys.EPERM
		}
	}
	for i, id := range to {
		if uint32(id) != 1<<32-1 {
			*ids[i] = uint32(id)
		}
	}
	return nil
}

func (p *process) setresuid(ruid, euid, suid int) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	old := p.attrs.Load().cred
	c := *old
	err := setids([3]*uint32{&c.ruid, &c.euid, &c.suid}, [3]int{ruid, euid, suid}, c.capable(sys.CAP_SETUID))
	if err != nil {
		return err
	}
	// cap_emulate_setxuid in security/commoncap.c.
	wasRoot := old.ruid == 0 || old.euid == 0 || old.suid == 0
	isRoot := c.ruid == 0 || c.euid == 0 || c.suid == 0
	if wasRoot && !isRoot {
		c.permitted, c.effective = 0, 0
	}
	if old.euid == 0 && c.euid != 0 {
		c.effective = 0
	}
	if old.euid != 0 && c.euid == 0 {
		c.effective = c.permitted
	}
	p.commit(c)
	return nil
}

func (p *process) setresgid(rgid, egid, sgid int) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	c := *p.attrs.Load().cred
	err := setids([3]*uint32{&c.rgid, &c.egid, &c.sgid}, [3]int{rgid, egid, sgid}, c.capable(sys.CAP_SETGID))
	if err != nil {
		return err
	}
	p.commit(c)
	return nil
}

// ngroupsMax is NGROUPS_MAX.
const ngroupsMax = 65536

func (p *process) setgroups(gids []int) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	c := *p.attrs.Load().cred
	if !c.capable(sys.CAP_SETGID) {
		return sys.EPERM
	}
	if len(gids) > ngroupsMax {
		return sys.EINVAL
	}
	c.groups = make([]uint32, 0, len(gids))
	for _, g := range gids {
		if uint32(g) == 1<<32-1 {
			return sys.EINVAL
		}
		c.groups = append(c.groups, uint32(g))
	}
	slices.Sort(c.groups) // groups_sort
	p.commit(c)
	return nil
}

// capset is cap_capset in security/commoncap.c.
func (p *process) capset(s sys.CapSets) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	c := *p.attrs.Load().cred
	s.Effective &= allCaps
	s.Permitted &= allCaps
	s.Inheritable &= allCaps
	if !c.capable(sys.CAP_SETPCAP) && s.Inheritable&^(c.inheritable|c.permitted) != 0 ||
		s.Inheritable&^(c.inheritable|c.bounding) != 0 ||
		s.Permitted&^c.permitted != 0 ||
		s.Effective&^s.Permitted != 0 {
		return sys.EPERM
	}
	c.effective, c.permitted, c.inheritable = s.Effective, s.Permitted, s.Inheritable
	p.commit(c)
	return nil
}

// prctl is prctl(2) for the options that package sys names.
func (p *process) prctl(option int, arg2, arg3, arg4, arg5 uintptr) (int, error) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	c := *p.attrs.Load().cred
	switch option {
	case sys.PR_SET_PDEATHSIG:
		if arg2 > lastSignal {
			return 0, sys.EINVAL
		}
		p.pdeathsig = sys.Signal(arg2)
		return 0, nil
	case sys.PR_GET_DUMPABLE:
		return btoi(c.dumpable), nil
	case sys.PR_SET_DUMPABLE:
		if arg2 > 1 {
			return 0, sys.EINVAL
		}
		c.dumpable = arg2 == 1
	case sys.PR_CAPBSET_READ:
		if arg2 > sys.CAP_LAST_CAP {
			return 0, sys.EINVAL
		}
		return btoi(c.bounding&(1<<arg2) != 0), nil
	case sys.PR_CAPBSET_DROP:
		if !c.capable(sys.CAP_SETPCAP) {
			return 0, sys.EPERM
		}
		if arg2 > sys.CAP_LAST_CAP {
			return 0, sys.EINVAL
		}
		c.bounding &^= 1 << arg2
	case sys.PR_SET_NO_NEW_PRIVS:
		if arg2 != 1 || arg3 != 0 || arg4 != 0 || arg5 != 0 {
			return 0, sys.EINVAL
		}
		c.noNewPrivs = true
	case sys.PR_GET_NO_NEW_PRIVS:
		if arg2 != 0 || arg3 != 0 || arg4 != 0 || arg5 != 0 {
			return 0, sys.EINVAL
		}
		return btoi(c.noNewPrivs), nil
	case sys.PR_CAP_AMBIENT:
		// The ambient set is always empty here: nothing can be raised into it.
		if arg2 != sys.PR_CAP_AMBIENT_CLEAR_ALL || arg3 != 0 || arg4 != 0 || arg5 != 0 {
			return 0, sys.EINVAL
		}
		return 0, nil
	default:
		return 0, sys.EINVAL
	}
	p.change(func(a *attrs) { a.cred = c.publish() })
	return 0, nil
}

// afterExec is what execve(2) of a file makes of c, see "Transformation of
// capabilities during execve()" in capabilities(7).
func (c cred) afterExec(file *sys.Stat, nosuid bool) cred {
	old := c
	if !nosuid && !c.noNewPrivs {
		if file.Mode&sys.S_ISUID != 0 {
			c.euid = file.Uid
		}
		if file.Mode&(sys.S_ISGID|0o010) == sys.S_ISGID|0o010 {
			c.egid = file.Gid
		}
	}
	c.permitted, c.effective = 0, 0
	if c.ruid == 0 || c.euid == 0 {
		c.permitted = c.inheritable | c.bounding
	}
	root := c.euid == 0
	if c.noNewPrivs && (c.euid != c.ruid || c.egid != c.rgid || c.permitted&^old.permitted != 0) {
		// cap_bprm_creds_from_file: they get no more than they had, not even the
		// effective ids.
		c.euid, c.egid = c.ruid, c.rgid
		c.permitted &= old.permitted
	}
	c.suid, c.sgid = c.euid, c.egid
	if root {
		c.effective = c.permitted
	}
	// begin_new_exec, and commit_creds after it.
	c.dumpable = old.euid == old.ruid && old.egid == old.rgid &&
		c.euid == old.euid && c.egid == old.egid && c.permitted&^old.permitted == 0
	return c
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
