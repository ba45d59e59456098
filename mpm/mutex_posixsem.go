package mpm

import (
	"github.com/httpjail/httpjail/sys"
)

// The layout of glibc's sem_t on 64-bit machines, struct new_sem in
// sysdeps/nptl/internaltypes.h: the low half of the first word is the value,
// the high half the number of waiters. A named semaphore is a file of
// SemSize bytes in /dev/shm, "sem." and its name.
const (
	SemSize = 32

	semData     = 0 // 64 bits
	semValue    = 0 // its low half, on which waiters sleep
	semNwaiters = 1 << 32

	// The word "private" and its value for processes that share: LLL_SHARED.
	// With 0, glibc's side would sleep where only its own process can wake it.
	semPrivate = 8
	semShared  = 128
)

// Sem is a POSIX semaphore in shared memory, which C programs that use glibc's
// sem_open(3) share.
type Sem struct{ mem sys.Mem }

// NewSem is the semaphore at the start of a mapping of SemSize bytes or more.
func NewSem(mem sys.Mem) Sem { return Sem{mem} }

// Init is sem_init(3) with pshared.
func (m Sem) Init(value uint32) {
	m.mem.Store32(semPrivate, semShared)
	m.mem.Store64(semData, uint64(value))
}

// Value is sem_getvalue(3).
func (m Sem) Value() uint32 { return m.mem.Load32(semValue) }

// Wait is sem_timedwait(3) as new_sem_wait_slow64 of glibc does it; the time
// limit is mutexWait. ETIMEDOUT.
func (m Sem) Wait(s sys.Sys) error {
	for {
		d := m.mem.Load64(semData)
		if uint32(d) == 0 {
			break
		}
		if m.mem.Cas64(semData, d, d-1) {
			return nil
		}
	}
	m.mem.Add64(semData, semNwaiters)
	for {
		d := m.mem.Load64(semData)
		if uint32(d) > 0 {
			if m.mem.Cas64(semData, d, d-1-semNwaiters) {
				return nil
			}
			continue
		}
		switch err := s.FutexWait(m.mem, semValue, 0, mutexWait); err {
		case nil, sys.EAGAIN, sys.EINTR:
		default:
			m.mem.Add64(semData, ^uint64(semNwaiters-1)) // one waiter less
			return err
		}
	}
}

// Post is sem_post(3).
func (m Sem) Post(s sys.Sys) error {
	if m.mem.Add64(semData, 1)>>32 == 0 {
		return nil
	}
	_, err := s.FutexWake(m.mem, semValue, 1)
	return err
}

// posixsemOwner is the method posixsem. A semaphore does not know who has
// taken it, which is why Apache's hangs when that child is killed. Here each
// child says in its slot of the scoreboard what it is about, and the parent
// gives back what the dead have taken. The memory has no name: the jail needs
// no /dev/shm, and nothing is left behind.
type posixsemOwner struct {
	sem Sem
	fd  int
}

// What a child says in its LockState.
const (
	lockIdle   = iota
	lockMoving // it is taking the semaphore, or giving it back
	lockHeld
)

func createPosixsem(s sys.Sys, c *Config) (MutexOwner, error) {
	mem, fd, err := createShared(s, "posixsem")
	if err != nil {
		return nil, err
	}
	o := posixsemOwner{NewSem(mem), fd}
	o.sem.Init(1)
	return o, nil
}

func (o posixsemOwner) State() MutexState { return MutexState{Method: "posixsem", Fd: o.fd} }

func (o posixsemOwner) Destroy(s sys.Sys) error {
	s.Close(o.fd)
	return s.Munmap(o.sem.mem)
}

// Recover posts the semaphore for a child that died with it. One that was
// killed while it was taking it, or giving it back, may have it or not: nobody
// has it when its value is 0 and no living child holds it, and that stays so,
// since all others sleep. A living child that has it and has not said so is
// about to, within a few instructions; were it overtaken nevertheless, two
// children would accept at once, which is harmless.
func (o posixsemOwner) Recover(s sys.Sys, dead Holder, living []Holder) {
	lost := dead.Lock.load() == lockHeld
	if dead.Lock.load() == lockMoving {
		lost = true
		for range 3 {
			for _, h := range living {
				lost = lost && h.Lock.load() != lockHeld
			}
			if lost = lost && o.sem.Value() == 0; !lost {
				break
			}
			_ = s.Nanosleep(mutexWait / 500)
		}
	}
	if lost {
		_ = o.sem.Post(s)
	} else if o.sem.Value() > 0 {
		// The dead may have been woken in vain.
		_, _ = s.FutexWake(o.sem.mem, semValue, 1)
	}
}

type posixsemMutex struct {
	sem  Sem
	slot LockState
}

func attachPosixsem(s sys.Sys, st MutexState, slot LockState) (Mutex, error) {
	mem, err := attachShared(s, st)
	return posixsemMutex{NewSem(mem), slot}, err
}

func (m posixsemMutex) Lock(s sys.Sys) error {
	m.slot.store(lockMoving)
	if err := m.sem.Wait(s); err != nil {
		m.slot.store(lockIdle)
		return err
	}
	m.slot.store(lockHeld)
	return nil
}

func (m posixsemMutex) Unlock(s sys.Sys) error {
	m.slot.store(lockMoving)
	err := m.sem.Post(s)
	m.slot.store(lockIdle)
	return err
}
