package net

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// HasTimeout reports whether d is a socket with SO_RCVTIMEO or SO_SNDTIMEO: its
// calls are not restarted after a signal, see signal(7).
func HasTimeout(d *vfs.Description) bool {
	s, ok := d.File.(*socket)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.rcvtimeo != 0 || s.opts.sndtimeo != 0
}

// RaisesSIGPIPE reports whether EPIPE from a write to d comes with SIGPIPE: of
// sockets, only those of SOCK_STREAM send it.
func RaisesSIGPIPE(d *vfs.Description) bool {
	s, ok := d.File.(*socket)
	return !ok || s.typ == sys.SOCK_STREAM
}
