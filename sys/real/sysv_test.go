package real

import (
	"os"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

func TestSemaphores(t *testing.T) {
	s := New()
	id, err := s.Semget(sys.IPC_PRIVATE, 2, sys.IPC_CREAT|0o600)
	ok(t, err)
	removed := false
	t.Cleanup(func() {
		if !removed {
			s.SemRmid(id)
		}
	})
	ok(t, s.SemSetval(id, 1, 1))
	if v, err := s.SemGetval(id, 1); v != 1 || err != nil {
		t.Error(v, err)
	}
	fails(t, s.SemSetval(id, 2, 1), sys.EINVAL)
	fails(t, s.SemSetval(id, 0, 1<<16), sys.ERANGE)
	down := []sys.Sembuf{{Num: 1, Op: -1, Flg: sys.SEM_UNDO}}
	ok(t, s.Semtimedop(id, down, -1))
	fails(t, s.Semtimedop(id, []sys.Sembuf{{Num: 1, Op: -1, Flg: sys.IPC_NOWAIT}}, -1), sys.EAGAIN)
	if err := s.Semtimedop(id, down, time.Millisecond); err != sys.EAGAIN && err != sys.EINTR {
		t.Error(err)
	}
	// All of them or none.
	fails(t, s.Semtimedop(id, []sys.Sembuf{{Num: 0, Op: 1}, {Num: 1, Op: -1, Flg: sys.IPC_NOWAIT}}, -1), sys.EAGAIN)
	if v, err := s.SemGetval(id, 0); v != 0 || err != nil {
		t.Error(v, err)
	}
	ds, err := s.SemStat(id)
	ok(t, err)
	now := time.Now().Unix()
	if ds.Nsems != 2 || ds.Perm.Mode != 0o600 || int(ds.Perm.Uid) != os.Geteuid() || ds.Otime < now-60 || ds.Otime > now || ds.Ctime < now-60 || ds.Ctime > now {
		t.Errorf("%+v", ds)
	}
	ds.Perm.Mode = 0o640
	ok(t, s.SemSet(id, ds.Perm))
	if ds, err = s.SemStat(id); ds.Perm.Mode != 0o640 || err != nil {
		t.Errorf("%+v, %v", ds, err)
	}
	done := make(chan error)
	ok(t, s.Go("waiter", func(s sys.Sys) {
		for {
			if err := s.Semtimedop(id, down, -1); err != sys.EINTR {
				done <- err
				return
			}
		}
	}))
	ok(t, s.SemRmid(id))
	removed = true
	if err := <-done; err != sys.EIDRM && err != sys.EINVAL { // EINVAL: it came too late to wait
		t.Error(err)
	}
}

func TestSharedMemory(t *testing.T) {
	s := New()
	id, err := s.Shmget(sys.IPC_PRIVATE, 5000, sys.IPC_CREAT|0o600)
	ok(t, err)
	t.Cleanup(func() { s.ShmRmid(id) })
	a, err := s.Shmat(id, 0)
	ok(t, err)
	b, err := s.Shmat(id, sys.SHM_RDONLY)
	ok(t, err)
	a.Store32(4996, 7)
	if b.Load32(4996) != 7 || b.Len() != 5000 {
		t.Error(b.Load32(4996), b.Len())
	}
	ds, err := s.ShmStat(id)
	ok(t, err)
	if ds.Segsz != 5000 || ds.Nattch != 2 || ds.Cpid != s.Getpid() || ds.Perm.Mode != 0o600 || ds.Atime == 0 || ds.Dtime != 0 {
		t.Errorf("%+v", ds)
	}
	ds.Perm.Mode = 0o644
	ok(t, s.ShmSet(id, ds.Perm))
	ok(t, s.ShmRmid(id))
	ok(t, s.Shmdt(a))
	fails(t, s.Shmdt(a), sys.EINVAL)
	if ds, err = s.ShmStat(id); ds.Nattch != 1 || ds.Perm.Mode != sys.SHM_DEST|0o644 || err != nil {
		t.Errorf("%+v, %v", ds, err)
	}
	ok(t, s.Shmdt(b))
	_, err = s.ShmStat(id)
	if err != sys.EINVAL && err != sys.EIDRM {
		t.Error(err)
	}
	_, err = s.Shmat(id, 0)
	if err != sys.EINVAL && err != sys.EIDRM {
		t.Error(err)
	}
}
