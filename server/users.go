package server

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// databaseMax bounds /etc/passwd and /etc/group.
const databaseMax = 16 << 20

// identity is whom the children become. Uid -1: they stay who they are.
type identity struct {
	Name     string
	Uid, Gid int
	Groups   []int // supplementary, Gid included, as initgroups(3) sets them

	from account
}

// account is a user and group of the configuration, with the directives that
// name them and their places.
type account struct {
	user, group                       string
	userDirective, groupDirective     string
	blockRange, userRange, groupRange hcl.Range
}

// lookupIdentities finds whom the children become: by default, and of perchild
// in the order of its groups.
func (p *parent) lookupIdentities() (err error) {
	j := p.cfg.Jail
	if j == nil {
		j = &confhcl.Jail{}
	}
	p.user, err = lookupIdentity(p.sys, account{j.User, j.Group, "jail.user", "jail.group", j.Range, j.UserRange, j.GroupRange})
	if err != nil {
		return err
	}
	p.owners = nil
	for _, c := range p.cfg.MPM.ChildPerUserID {
		const directive = "child_per_user_id"
		id, err := lookupIdentity(p.sys, account{c.User, c.Group, directive, directive, c.Range, c.Range, c.Range})
		if err != nil {
			return err
		}
		p.owners = append(p.owners, id)
	}
	return nil
}

// lookupIdentity finds a user and group in the machine's user database, which a
// jail need not have.
func lookupIdentity(s sys.Sys, j account) (identity, error) {
	id := identity{Uid: -1, Gid: -1, from: j}
	if j.user == "" {
		return id, nil
	}
	id.Name = j.user
	passwd, err := readDatabase(s, "/etc/passwd")
	if err != nil {
		return id, &module.PathError{Op: "look up " + j.userDirective, Path: "/etc/passwd", Where: j.userRange, Err: err}
	}
	number, numeric := strings.CutPrefix(j.user, "#")
	for _, f := range passwd {
		if len(f) >= 4 && (f[0] == j.user || numeric && f[2] == number) {
			id.Name = f[0]
			id.Uid, err = parseID(f[2])
			if err == nil {
				id.Gid, err = parseID(f[3])
			}
			if err != nil {
				return id, &directiveError{j.userDirective, j.userRange, fmt.Errorf("the entry of %q in /etc/passwd is broken: %w", f[0], err), ""}
			}
			break
		}
	}
	if id.Uid < 0 && numeric {
		if id.Uid, err = parseID(number); err != nil {
			return id, &directiveError{j.userDirective, j.userRange, err, ""}
		}
	}
	if id.Uid < 0 {
		return id, &directiveError{j.userDirective, j.userRange, fmt.Errorf("there is no user %q in /etc/passwd", j.user),
			fmt.Sprintf("adduser --system --group --no-create-home %s", j.user)}
	}
	group, err := readDatabase(s, "/etc/group")
	if err != nil && (err != sys.ENOENT || j.group != "" && !strings.HasPrefix(j.group, "#")) {
		return id, &module.PathError{Op: "look up " + j.groupDirective, Path: "/etc/group", Where: j.groupRange, Err: err}
	}
	if j.group != "" {
		if id.Gid, err = lookupGroup(group, j.group); err != nil {
			return id, &directiveError{j.groupDirective, j.groupRange, err, fmt.Sprintf("addgroup --system %s", j.group)}
		}
	}
	if id.Gid < 0 {
		return id, &directiveError{j.groupDirective, j.blockRange, errors.New("a user without an entry in /etc/passwd needs a group"), ""}
	}
	id.Groups = []int{id.Gid}
	for _, f := range group {
		if len(f) < 4 {
			continue
		}
		gid, err := parseID(f[2])
		if err != nil || gid == id.Gid {
			continue
		}
		for _, member := range strings.Split(f[3], ",") {
			if member == id.Name {
				id.Groups = append(id.Groups, gid)
				break
			}
		}
	}
	if id.Uid == 0 || id.Gid == 0 {
		return id, &directiveError{j.userDirective, j.userRange, errors.New("root in a chroot is not in jail: it can leave"), "name a user of its own"}
	}
	return id, nil
}

func lookupGroup(group [][]string, name string) (int, error) {
	if number, ok := strings.CutPrefix(name, "#"); ok {
		return parseID(number)
	}
	for _, f := range group {
		if len(f) >= 3 && f[0] == name {
			return parseID(f[2])
		}
	}
	return -1, fmt.Errorf("there is no group %q in /etc/group", name)
}

// parseID parses a uid or gid. (uid_t)-1 is not one, see setresuid(2).
func parseID(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 1<<32-1 {
		return -1, fmt.Errorf("%q is not a user or group id", text)
	}
	return int(n), nil
}

// readDatabase reads a colon-separated file of passwd(5) or group(5).
func readDatabase(s sys.Sys, path string) (entries [][]string, err error) {
	data, err := sys.ReadFile(s, path, databaseMax)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text != "" && !strings.HasPrefix(text, "#") {
			entries = append(entries, strings.Split(text, ":"))
		}
	}
	return entries, nil
}

// mapsID reports whether the caller's user namespace maps id: an unprivileged
// namespace has one id only, see user_namespaces(7). A kernel without
// /proc/self/uid_map has no user namespaces.
func mapsID(s sys.Sys, file string, id int) (bool, error) {
	data, err := sys.ReadFile(s, file, 64<<10)
	if err == sys.ENOENT {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for line := range bytes.Lines(data) {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(string(line), &inside, &outside, &count); n == 3 &&
			int64(id) >= inside && int64(id) < inside+count {
			return true, nil
		}
	}
	return false, nil
}
