package real

import (
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

func TestFlock(t *testing.T) {
	s := New()
	path := create(t, "")
	a, b := openRW(t, s, path), openRW(t, s, path)
	ok(t, s.Flock(a, sys.LOCK_EX))
	fails(t, s.Flock(b, sys.LOCK_EX|sys.LOCK_NB), sys.EWOULDBLOCK)
	dup, err := s.Fcntl(a, sys.F_DUPFD_CLOEXEC, 0)
	ok(t, err)
	ok(t, s.Flock(dup, sys.LOCK_EX|sys.LOCK_NB))
	got := make(chan error)
	ok(t, s.Go("waiter", func(s sys.Sys) { got <- s.Flock(b, sys.LOCK_SH) }))
	select {
	case err := <-got:
		t.Fatalf("got a lock that is held: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	ok(t, s.Close(dup))
	ok(t, s.Flock(a, sys.LOCK_UN))
	ok(t, <-got)
	fails(t, s.Flock(999, sys.LOCK_EX), sys.EBADF)
}

func TestFcntlFlock(t *testing.T) {
	s := New()
	path := create(t, "0123456789")
	a, b := openRW(t, s, path), openRW(t, s, path)
	lk := sys.Flock{Type: sys.F_WRLCK, Start: 2, Len: 3}
	ok(t, s.FcntlFlock(a, sys.F_OFD_SETLK, &lk))
	lk = sys.Flock{Type: sys.F_RDLCK}
	fails(t, s.FcntlFlock(b, sys.F_OFD_SETLK, &lk), sys.EAGAIN)
	ok(t, s.FcntlFlock(b, sys.F_OFD_GETLK, &lk))
	if want := (sys.Flock{Type: sys.F_WRLCK, Start: 2, Len: 3, Pid: -1}); lk != want {
		t.Errorf("F_OFD_GETLK: %+v, want %+v", lk, want)
	}
	lk = sys.Flock{Type: sys.F_UNLCK}
	ok(t, s.FcntlFlock(a, sys.F_OFD_SETLKW, &lk))
	// POSIX locks belong to the process: the second descriptor has it as well.
	for _, fd := range []int{a, b} {
		lk = sys.Flock{Type: sys.F_WRLCK}
		ok(t, s.FcntlFlock(fd, sys.F_SETLK, &lk))
	}
	lk = sys.Flock{Type: sys.F_WRLCK}
	ok(t, s.FcntlFlock(b, sys.F_GETLK, &lk))
	if lk.Type != sys.F_UNLCK {
		t.Errorf("F_GETLK: %+v", lk)
	}
	lk = sys.Flock{Type: sys.F_WRLCK}
	fails(t, s.FcntlFlock(b, sys.F_OFD_SETLK, &lk), sys.EAGAIN)
	fails(t, s.FcntlFlock(b, sys.F_SETLK, &sys.Flock{Type: 99}), sys.EINVAL)
}
