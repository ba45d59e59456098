package vfs

import "github.com/httpjail/httpjail/sys"

// BindSocket is what bind(2) of a unix socket does: it makes a socket inode that
// leads to sock. mode is masked by umask. EADDRINUSE: the name exists.
func (k *Tree) BindSocket(t *Task, path string, mode uint32, sock any) (Path, error) {
	p, err := k.mknod(t, path, mode&0o777|sys.S_IFSOCK, 0)
	if err == sys.EEXIST {
		err = sys.EADDRINUSE
	}
	if err != nil {
		return Path{}, err
	}
	ino := p.Dentry.inode
	ino.mu.Lock()
	defer ino.mu.Unlock()
	ino.socket = sock
	p.Hold()
	return p, nil
}

// UnbindSocket ends the binding when the socket is closed. The name stays:
// connecting to it gets ECONNREFUSED from now on.
func (k *Tree) UnbindSocket(p Path) {
	ino := p.Dentry.inode
	ino.mu.Lock()
	ino.socket = nil
	ino.mu.Unlock()
	p.Drop()
}

// LookupSocket is unix_find_bsd: what connect(2) to a path finds. EACCES: no
// permission to write to it. ECONNREFUSED: not a socket, or nobody is bound.
func (k *Tree) LookupSocket(t *Task, path string) (any, error) {
	p, err := k.lookup(t, path, lookupFollow)
	if err != nil {
		return nil, err
	}
	ino := p.Dentry.inode
	if err := ino.permission(t, p.Mount, mayWrite); err != nil {
		return nil, err
	}
	ino.mu.RLock()
	defer ino.mu.RUnlock()
	if ino.socket == nil {
		return nil, sys.ECONNREFUSED
	}
	return ino.socket, nil
}
