package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/httpjail/httpjail/sys"
)

// checkPrivileges finds out before the jail closes whether children can become
// who they are to be.
func (p *parent) checkPrivileges() error {
	s := p.sys
	_, euid, _ := s.Getresuid()
	_, egid, _ := s.Getresgid()
	// A namespace made without privileges maps one id, and that is not 1.
	mapsOthers, err := mapsID(s, "/proc/self/uid_map", 1)
	if err != nil {
		return fmt.Errorf("cannot read /proc/self/uid_map: %w", err)
	}
	for _, id := range p.owners {
		if err := p.checkIdentity(id, euid, egid); err != nil {
			return err
		}
	}
	if p.user.Uid >= 0 {
		return p.checkIdentity(p.user, euid, egid)
	}
	if euid == 0 && mapsOthers && !p.allOwned() {
		var where hcl.Range
		if p.cfg.Jail != nil {
			where = p.cfg.Jail.Range
		}
		return &directiveError{"jail.user", where, errors.New("started as root, children would serve as root"),
			`name an unprivileged user: jail { root = "/var/www" user = "www-data" group = "www-data" }`}
	}
	return nil
}

// checkIdentity finds out whether this process can become id.
func (p *parent) checkIdentity(id identity, euid, egid int) error {
	for _, m := range []struct {
		file      string
		directive string
		id        int
		where     hcl.Range
	}{
		{"/proc/self/uid_map", id.from.userDirective, id.Uid, id.from.userRange},
		{"/proc/self/gid_map", id.from.groupDirective, id.Gid, id.from.groupRange},
	} {
		ok, err := mapsID(p.sys, m.file, m.id)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", m.file, err)
		}
		if !ok {
			return &directiveError{m.directive, m.where, fmt.Errorf("id %d does not exist in this user namespace: %w", m.id, sys.EINVAL),
				"start as root, or leave user and group out: children then stay who you are"}
		}
	}
	caps, err := p.sys.Capget()
	if err != nil {
		return fmt.Errorf("cannot read this process's capabilities: %w", err)
	}
	if euid == id.Uid && egid == id.Gid {
		return nil
	}
	const need = 1<<sys.CAP_SETUID | 1<<sys.CAP_SETGID
	if caps.Effective&need != need {
		return &directiveError{id.from.userDirective, id.from.userRange,
			fmt.Errorf("uid %d cannot become uid %d: CAP_SETUID and CAP_SETGID are needed: %w", euid, id.Uid, sys.EPERM),
			"start as root, or leave user and group out: children then stay who you are"}
	}
	return nil
}

// dropPrivileges makes the calling child id, in all its threads, without
// capabilities and without a way back, and then verifies it. The order is that
// in which each step still has the right to be made.
func dropPrivileges(s sys.Sys, id identity) error {
	caps, err := s.Capget()
	if err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if caps.Effective&(1<<sys.CAP_SETPCAP) != 0 {
		for c := uintptr(0); c <= 63; c++ {
			// EINVAL: the kernel has no such capability, nor any after it.
			if _, err := s.Prctl(sys.PR_CAPBSET_DROP, c, 0, 0, 0); err == sys.EINVAL {
				break
			} else if err != nil {
				return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", c, err)
			}
		}
	}
	if _, err := s.Prctl(sys.PR_CAP_AMBIENT, sys.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_CAP_AMBIENT_CLEAR_ALL: %w", err)
	}
	if id.Uid >= 0 && caps.Effective&(1<<sys.CAP_SETUID) != 0 {
		if err := s.Setgroups(id.Groups); err != nil {
			return fmt.Errorf("setgroups %v: %w", id.Groups, err)
		}
		if err := s.Setresgid(id.Gid, id.Gid, id.Gid); err != nil {
			return fmt.Errorf("setresgid %d: %w", id.Gid, err)
		}
		if err := s.Setresuid(id.Uid, id.Uid, id.Uid); err != nil {
			return fmt.Errorf("setresuid %d: %w", id.Uid, err)
		}
	}
	if err := s.Capset(sys.CapSets{}); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	if _, err := s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return verifyPrivileges(s, id)
}

// verifyPrivileges trusts no return value of the calls before.
func verifyPrivileges(s sys.Sys, id identity) error {
	caps, err := s.Capget()
	if err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if caps != (sys.CapSets{}) {
		return fmt.Errorf("capabilities are left after capset: %+v", caps)
	}
	nnp, err := s.Prctl(sys.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || nnp != 1 {
		return fmt.Errorf("no_new_privs is %d after it was set: %w", nnp, errors.Join(err, sys.EPERM))
	}
	if id.Uid < 0 {
		return nil
	}
	ruid, euid, suid := s.Getresuid()
	rgid, egid, sgid := s.Getresgid()
	if ruid != id.Uid || euid != id.Uid || suid != id.Uid || rgid != id.Gid || egid != id.Gid || sgid != id.Gid {
		return fmt.Errorf("uids are %d %d %d and gids %d %d %d, not %d and %d",
			ruid, euid, suid, rgid, egid, sgid, id.Uid, id.Gid)
	}
	groups, err := s.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	for _, g := range groups {
		if !slices.Contains(id.Groups, g) {
			return fmt.Errorf("group %d is left after setgroups", g)
		}
	}
	return nil
}
