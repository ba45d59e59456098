package real

import "golang.org/x/sys/unix"

// semidDs is struct semid64_ds of include/uapi/asm-generic/sembuf.h.
type semidDs struct {
	Perm  unix.SysvIpcPerm
	Otime int64
	Ctime int64
	Nsems uint64
	_     [2]uint64
}
