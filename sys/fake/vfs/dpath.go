package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// Getcwd is getcwd(2): the path from root to cwd, with the prefix
// "(unreachable)" when cwd is outside of root. ENOENT: it was removed.
func (k *Tree) Getcwd(root, cwd Path) (string, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if cwd.Dentry.removed {
		return "", sys.ENOENT
	}
	s, reachable := prependPath(root, cwd)
	if !reachable {
		s = "(unreachable)" + s
	}
	if len(s) >= sys.PATH_MAX {
		return "", sys.ENAMETOOLONG
	}
	return s, nil
}

// PathString is d_path: how /proc/PID/fd and its kin show a place to a process
// with that root.
func (k *Tree) PathString(root, p Path) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if p.Mount == k.anon {
		return p.Dentry.name
	}
	s, _ := prependPath(root, p)
	if p.Dentry.removed {
		s += " (deleted)"
	}
	return s
}

// prependPath is prepend_path: from p up to root, or past it to the root of the
// tree. Tree.mu is held.
func prependPath(root, p Path) (s string, reachable bool) {
	var names []string
	for p != root {
		if p.Dentry == p.Mount.root {
			if p.Mount.parent == nil {
				break
			}
			p = Path{p.Mount.parent, p.Mount.at}
			continue
		}
		if p.Dentry.parent == p.Dentry {
			return "/", false // it was moved out of a bind mount
		}
		names = append(names, p.Dentry.name)
		p.Dentry = p.Dentry.parent
	}
	if len(names) == 0 {
		return "/", p == root
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(names[i])
	}
	return b.String(), p == root
}
