package real

import "golang.org/x/sys/unix"

// semidDs is struct semid64_ds of arch/x86/include/uapi/asm/sembuf.h.
type semidDs struct {
	Perm  unix.SysvIpcPerm
	Otime int64
	_     uint64
	Ctime int64
	_     uint64
	Nsems uint64
	_     [2]uint64
}
