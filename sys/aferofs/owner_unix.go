//go:build unix

package aferofs

import (
	"io/fs"
	"syscall"
)

// hostOwner is the owner of a file of the host, as package os tells it.
func hostOwner(fi fs.FileInfo) (uid, gid int) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return 0, 0
}
