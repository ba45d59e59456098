package net

import (
	"fmt"
	"strings"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// unixPathMax is the size of sun_path.
const unixPathMax = 108

// abstractName is an abstract name: sockets of another type are in another name
// space, as unix_find_abstract looks for both.
type abstractName struct {
	typ  int
	name string
}

// CheckAddr says whether a kernel can be given the address at all, whatever the
// socket. EINVAL: a path that is longer than sun_path.
func CheckAddr(a sys.SockAddr) error {
	if a.Family == sys.AF_UNIX && len(a.Path) > unixPathMax {
		return sys.EINVAL
	}
	return nil
}

// unixLen is the length of a struct sockaddr_un with the address: a path ends with
// a NUL, an abstract name begins with one.
func unixLen(a sys.SockAddr) int {
	n := 2 + len(a.Path)
	if a.Path != "" && a.Path[0] != '@' {
		n++
	}
	return n
}

// checkUnix is unix_validate_addr.
func checkUnix(a sys.SockAddr) error {
	if a.Family != sys.AF_UNIX || len(a.Path) > unixPathMax {
		return sys.EINVAL
	}
	return nil
}

// bindUnix is unix_bind.
func (s *socket) bindUnix(t *vfs.Task, a sys.SockAddr) error {
	if err := checkUnix(a); err != nil {
		return err
	}
	s.mu.Lock()
	bound := s.local.Path != ""
	s.mu.Unlock()
	n := s.net
	name := a.Path
	switch {
	case name == "":
		if bound {
			return nil // unix_autobind
		}
		n.mu.Lock()
		for {
			n.autobind++
			name = fmt.Sprintf("@%05x", n.autobind&0xfffff)
			if n.abstract[abstractName{s.typ, name}] == nil {
				break
			}
		}
		n.abstract[abstractName{s.typ, name}] = s
		n.mu.Unlock()
	case bound && strings.HasPrefix(name, "@"):
		return sys.EINVAL
	case bound: // unix_bind_bsd makes the name before it looks
		if _, err := n.tree.BindSocket(t, name, s.inode.Mode(), nil); err != nil {
			return err
		}
		n.tree.Unlink(t, name)
		return sys.EINVAL
	case strings.HasPrefix(name, "@"):
		n.mu.Lock()
		if n.abstract[abstractName{s.typ, name}] != nil {
			n.mu.Unlock()
			return sys.EADDRINUSE
		}
		n.abstract[abstractName{s.typ, name}] = s
		n.mu.Unlock()
	default:
		place, err := n.tree.BindSocket(t, name, s.inode.Mode(), s)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.place = place
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.local.Path = name
	local, peer := s.local, s.peer
	s.mu.Unlock()
	if peer != nil && s.dg == nil { // unix_getname asks the peer
		peer.mu.Lock()
		peer.remote = local
		peer.mu.Unlock()
	}
	return nil
}

// lookupUnix is unix_find_other: the socket that a name means.
func (s *socket) lookupUnix(t *vfs.Task, a sys.SockAddr) (*socket, error) {
	if err := checkUnix(a); err != nil {
		return nil, err
	}
	var found *socket
	switch {
	case a.Path == "":
		return nil, sys.EINVAL
	case strings.HasPrefix(a.Path, "@"):
		s.net.mu.Lock()
		found = s.net.abstract[abstractName{s.typ, a.Path}]
		s.net.mu.Unlock()
	default:
		v, err := s.net.tree.LookupSocket(t, a.Path)
		if err != nil {
			return nil, err
		}
		found, _ = v.(*socket)
	}
	if found == nil || found.isDead() {
		return nil, sys.ECONNREFUSED
	}
	if found.typ != s.typ {
		return nil, sys.EPROTOTYPE
	}
	return found, nil
}

func (s *socket) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// unbindAbstract gives an abstract name back.
func (n *Net) unbindAbstract(s *socket, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if key := (abstractName{s.typ, name}); n.abstract[key] == s {
		delete(n.abstract, key)
	}
}
