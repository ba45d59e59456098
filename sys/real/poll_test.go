package real

import (
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

func TestPoll(t *testing.T) {
	s := New()
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r, w)
	fds := []sys.PollFd{{Fd: int32(r), Events: sys.POLLIN}, {Fd: -1, Events: sys.POLLIN}, {Fd: 999}}
	if n, err := s.Poll(fds[:2], 0); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	if n, err := s.Poll(fds, time.Hour); n != 1 || fds[2].Revents != sys.POLLNVAL || err != nil {
		t.Errorf("closed: %d, %+v, %v", n, fds, err)
	}
	_, err = s.Write(w, []byte("x"))
	ok(t, err)
	if n, err := s.Poll(fds[:1], -1); n != 1 || fds[0].Revents != sys.POLLIN || err != nil {
		t.Errorf("readable: %d, %+v, %v", n, fds, err)
	}
	start := s.Monotonic()
	if n, err := s.Poll(nil, time.Microsecond); n != 0 || err != nil && err != sys.EINTR {
		t.Errorf("empty: %d, %v", n, err)
	}
	if s.Monotonic()-start < time.Microsecond && err == nil {
		t.Error("no time has passed")
	}
}

func TestEpoll(t *testing.T) {
	s := New()
	ep, err := s.EpollCreate1(sys.EPOLL_CLOEXEC)
	ok(t, err)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, ep, r, w)
	ok(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, r, sys.EpollEvent{Events: sys.EPOLLIN, Fd: int32(r), Pad: 77}))
	fails(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, r, sys.EpollEvent{}), sys.EEXIST)
	fails(t, s.EpollCtl(ep, sys.EPOLL_CTL_DEL, w, sys.EpollEvent{}), sys.ENOENT)
	fails(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, openRW(t, s, create(t, "")), sys.EpollEvent{}), sys.EPERM)
	evs := make([]sys.EpollEvent, 4)
	for _, timeout := range []time.Duration{0, time.Microsecond} {
		if n, err := s.EpollWait(ep, evs, timeout); n != 0 || err != nil && err != sys.EINTR {
			t.Errorf("nothing: %d, %v", n, err)
		}
	}
	ok(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, w, sys.EpollEvent{Events: sys.EPOLLOUT | sys.EPOLLET, Fd: int32(w)}))
	_, err = s.Write(w, []byte("x"))
	ok(t, err)
	n, err := s.EpollWait(ep, evs, -1)
	if n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for _, want := range []sys.EpollEvent{{Events: sys.EPOLLIN, Fd: int32(r), Pad: 77}, {Events: sys.EPOLLOUT, Fd: int32(w)}} {
		if evs[0] != want && evs[1] != want {
			t.Errorf("no %+v in %+v", want, evs[:2])
		}
	}
	_, err = s.EpollWait(ep, nil, 0)
	fails(t, err, sys.EINVAL)
	_, err = s.EpollWait(999, evs, 0)
	fails(t, err, sys.EBADF)
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 5 * time.Second: 5000, 1<<63 - 1: 1<<31 - 1,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", d, got, want)
		}
	}
}
