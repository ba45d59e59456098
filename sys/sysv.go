package sys

import "time"

// SemV are System V semaphores, see sysvipc(7).
type SemV interface {
	// Semget is semget(2).
	Semget(key, nsems, flags int) (id int, err error)
	// Semtimedop is semtimedop(2): all of ops at once or none. A negative
	// timeout waits for ever (semop(2)). EAGAIN: IPC_NOWAIT, or the time is
	// over; EINTR; EIDRM: the set was removed.
	Semtimedop(id int, ops []Sembuf, timeout time.Duration) error
	// SemSetval is semctl(2) with SETVAL.
	SemSetval(id, num, val int) error
	// SemGetval is semctl(2) with GETVAL.
	SemGetval(id, num int) (int, error)
	// SemStat is semctl(2) with IPC_STAT.
	SemStat(id int) (SemidDs, error)
	// SemSet is semctl(2) with IPC_SET: Uid, Gid and the low 9 bits of Mode.
	SemSet(id int, perm IpcPerm) error
	// SemRmid is semctl(2) with IPC_RMID: at once, waiters get EIDRM.
	SemRmid(id int) error
}

// ShmV is System V shared memory.
type ShmV interface {
	// Shmget is shmget(2); size in bytes.
	Shmget(key, size, flags int) (id int, err error)
	// Shmat is shmat(2) at an address of the kernel's choice.
	Shmat(id, flags int) (Mem, error)
	// Shmdt is shmdt(2).
	Shmdt(m Mem) error
	// ShmStat is shmctl(2) with IPC_STAT.
	ShmStat(id int) (ShmidDs, error)
	// ShmSet is shmctl(2) with IPC_SET.
	ShmSet(id int, perm IpcPerm) error
	// ShmRmid is shmctl(2) with IPC_RMID: the segment goes when the last
	// process has detached it.
	ShmRmid(id int) error
}

// Sembuf is struct sembuf of semop(2).
type Sembuf struct {
	Num uint16
	Op  int16
	Flg int16 // IPC_NOWAIT, SEM_UNDO
}

// IpcPerm is struct ipc_perm.
type IpcPerm struct {
	Key  int
	Uid  uint32
	Gid  uint32
	Cuid uint32
	Cgid uint32
	Mode uint32
}

// SemidDs is struct semid_ds.
type SemidDs struct {
	Perm  IpcPerm
	Otime int64 // seconds; 0: no semop yet
	Ctime int64
	Nsems int
}

// ShmidDs is struct shmid_ds.
type ShmidDs struct {
	Perm   IpcPerm // SHM_DEST in Mode: marked for removal
	Segsz  int     // bytes
	Atime  int64
	Dtime  int64
	Ctime  int64
	Cpid   int
	Lpid   int
	Nattch int
}

// Keys and flags of System V IPC.
const (
	IPC_PRIVATE = 0
	IPC_CREAT   = 0x200
	IPC_EXCL    = 0x400
	IPC_NOWAIT  = 0x800
	SEM_UNDO    = 0x1000
	SHM_RDONLY  = 0x1000
	SHM_DEST    = 0x200
)
