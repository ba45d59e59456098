package server

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
}

// lookupIdentity finds jail.user and jail.group in the machine's user
// database, which a jail need not have.
func lookupIdentity(s sys.Sys, j *confhcl.Jail) (identity, error) {
	id := identity{Uid: -1, Gid: -1}
	if j == nil || j.User == "" {
		return id, nil
	}
	id.Name = j.User
	passwd, err := readDatabase(s, "/etc/passwd")
	if err != nil {
		return id, &module.PathError{Op: "look up jail.user", Path: "/etc/passwd", Where: j.UserRange, Err: err}
	}
	number, numeric := strings.CutPrefix(j.User, "#")
	for _, f := range passwd {
		if len(f) >= 4 && (f[0] == j.User || numeric && f[2] == number) {
			id.Name = f[0]
			id.Uid, err = parseID(f[2])
			if err == nil {
				id.Gid, err = parseID(f[3])
			}
			if err != nil {
				return id, &directiveError{"jail.user", j.UserRange, fmt.Errorf("the entry of %q in /etc/passwd is broken: %w", f[0], err), ""}
			}
			break
		}
	}
	if id.Uid < 0 && numeric {
		if id.Uid, err = parseID(number); err != nil {
			return id, &directiveError{"jail.user", j.UserRange, err, ""}
		}
	}
	if id.Uid < 0 {
		return id, &directiveError{"jail.user", j.UserRange, fmt.Errorf("there is no user %q in /etc/passwd", j.User),
			fmt.Sprintf("adduser --system --group --no-create-home %s", j.User)}
	}
	group, err := readDatabase(s, "/etc/group")
	if err != nil && (err != sys.ENOENT || j.Group != "" && !strings.HasPrefix(j.Group, "#")) {
		return id, &module.PathError{Op: "look up jail.group", Path: "/etc/group", Where: j.GroupRange, Err: err}
	}
	if j.Group != "" {
		if id.Gid, err = lookupGroup(group, j.Group); err != nil {
			return id, &directiveError{"jail.group", j.GroupRange, err, fmt.Sprintf("addgroup --system %s", j.Group)}
		}
	}
	if id.Gid < 0 {
		return id, &directiveError{"jail.group", j.Range, errors.New("a user without an entry in /etc/passwd needs a group"), ""}
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
		return id, &directiveError{"jail.user", j.UserRange, errors.New("root in a chroot is not in jail: it can leave"), "name a user of its own"}
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
