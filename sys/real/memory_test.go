package real

import (
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// shared maps one memfd twice.
func shared(t testing.TB, s sys.Sys) (a, b sys.Mem) {
	t.Helper()
	fd, err := s.MemfdCreate("httpjail-test", sys.MFD_CLOEXEC|sys.MFD_ALLOW_SEALING)
	ok(t, err)
	closing(t, s, fd)
	ok(t, s.Ftruncate(fd, 8192))
	a, err = s.Mmap(fd, 0, 8192, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	ok(t, err)
	b, err = s.Mmap(fd, 4096, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	ok(t, err)
	t.Cleanup(func() {
		ok(t, s.Munmap(a))
		ok(t, s.Munmap(b))
	})
	return a, b
}

func TestMmap(t *testing.T) {
	s := New()
	a, b := shared(t, s)
	a.Store64(4096+8, 1<<40)
	if got := b.Add64(8, 1); got != 1<<40+1 || a.Load64(4096+8) != got || b.Len() != 4096 {
		t.Errorf("got %#x, then %#x", got, a.Load64(4096+8))
	}
	if !b.Cas32(0, 0, 5) || b.Cas32(0, 0, 6) || a.Load32(4096) != 5 {
		t.Error("Cas32")
	}
	_, err := s.Mmap(999, 0, 4096, sys.PROT_READ, sys.MAP_SHARED)
	fails(t, err, sys.EBADF)
	_, err = s.Mmap(-1, 0, 0, sys.PROT_READ, sys.MAP_SHARED|sys.MAP_ANONYMOUS)
	fails(t, err, sys.EINVAL)
	m, err := s.Mmap(-1, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_PRIVATE|sys.MAP_ANONYMOUS)
	ok(t, err)
	m.Store32(4092, 1)
	ok(t, s.Munmap(m))
	fails(t, s.Munmap(sys.Mem{}), sys.EINVAL)

	fd, err := s.MemfdCreate("sealed", sys.MFD_ALLOW_SEALING)
	ok(t, err)
	closing(t, s, fd)
	_, err = s.Fcntl(fd, sys.F_ADD_SEALS, sys.F_SEAL_GROW)
	ok(t, err)
	fails(t, s.Ftruncate(fd, 1), sys.EPERM)
}

func TestFutex(t *testing.T) {
	s := New()
	a, b := shared(t, s)
	fails(t, s.FutexWait(a, 0, 1, -1), sys.EAGAIN)
	fails(t, s.FutexWait(a, 0, 0, time.Millisecond), sys.ETIMEDOUT)
	fails(t, s.FutexWait(a, 2, 0, 0), sys.EINVAL)
	fails(t, s.FutexWait(a, 8192, 0, 0), sys.EFAULT)
	_, err := s.FutexWake(a, -4, 1)
	fails(t, err, sys.EFAULT)
	if n, err := s.FutexWake(a, 0, 1); n != 0 || err != nil {
		t.Error(n, err)
	}
	// Through the other mapping: the key is the file's page, not the address.
	done := make(chan error)
	ok(t, s.Go("waiter", func(s sys.Sys) {
		var err error
		for b.Load32(4) == 0 && (err == nil || err == sys.EINTR) {
			err = s.FutexWait(b, 4, 0, -1)
		}
		done <- err
	}))
	for n := 0; n == 0; { // until it waits
		n, err = s.FutexWake(a, 4096+4, 1)
		ok(t, err)
	}
	a.Store32(4096+4, 1)
	_, err = s.FutexWake(a, 4096+4, 1)
	ok(t, err)
	if err := <-done; err != nil && err != sys.EAGAIN {
		t.Error(err)
	}
}
