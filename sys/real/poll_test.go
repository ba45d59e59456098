package real

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func TestPoll(t *testing.T) {
	s := New()
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	closing(t, s, r, w)
	fds := []sys.PollFd{{Fd: int32(r), Events: sys.POLLIN}, {Fd: -1, Events: sys.POLLIN}, {Fd: 999}}
	if n, err := poll(s, fds[:2], 0); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	if n, err := poll(s, fds, time.Hour); n != 1 || fds[2].Revents != sys.POLLNVAL || err != nil {
		t.Errorf("closed: %d, %+v, %v", n, fds, err)
	}
	_, err = s.Write(w, []byte("x"))
	ok(t, err)
	if n, err := poll(s, fds[:1], -1); n != 1 || fds[0].Revents != sys.POLLIN || err != nil {
		t.Errorf("readable: %d, %+v, %v", n, fds, err)
	}
	start := s.Monotonic()
	if n, err := poll(s, nil, time.Microsecond); n != 0 || err != nil {
		t.Errorf("empty: %d, %v", n, err)
	}
	if s.Monotonic()-start < time.Microsecond && err == nil {
		t.Error("no time has passed")
	}
}

// epollWait and poll go on after EINTR: a preemption of the Go scheduler is a
// signal.
func epollWait(s sys.Sys, ep int, evs []sys.EpollEvent, timeout time.Duration) (n int, err error) {
	err = sys.Retry(func() (err error) {
		n, err = s.EpollWait(ep, evs, timeout)
		return err
	})
	return n, err
}

func poll(s sys.Sys, fds []sys.PollFd, timeout time.Duration) (n int, err error) {
	err = sys.Retry(func() (err error) {
		n, err = s.Poll(fds, timeout)
		return err
	})
	return n, err
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
		if n, err := epollWait(s, ep, evs, timeout); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
	}
	ok(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, w, sys.EpollEvent{Events: sys.EPOLLOUT | sys.EPOLLET, Fd: int32(w)}))
	_, err = s.Write(w, []byte("x"))
	ok(t, err)
	n, err := epollWait(s, ep, evs, -1)
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

func init() {
	children["oldkernel"] = func(s sys.Sys) int {
		runtime.LockOSThread() // a filter is for one thread
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // seccomp_data.nr
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_EPOLL_PWAIT2, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			fmt.Println(err)
			return 1
		}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
			fmt.Println(err)
			return 1
		}
		_, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, 0, 0, 0, 0, 0, 0)
		ep, _ := s.EpollCreate1(sys.EPOLL_CLOEXEC)
		_, w, _ := s.Pipe2(sys.O_CLOEXEC)
		evs := make([]sys.EpollEvent, 2)
		fmt.Println(e == sys.ENOSYS)
		fmt.Println(epollWait(s, ep, evs, time.Millisecond))
		s.EpollCtl(ep, sys.EPOLL_CTL_ADD, w, sys.EpollEvent{Events: sys.EPOLLOUT, Fd: 42})
		n, err := epollWait(s, ep, evs, -1)
		fmt.Println(n, err, evs[0])
		return 0
	}
}

// TestEpollWaitOldKernel has seccomp(2) hide epoll_pwait2.
func TestEpollWaitOldKernel(t *testing.T) {
	if got, want := runChild(t, "oldkernel"), "true\n0 <nil>\n1 <nil> {4 42 0}"; got != want {
		t.Errorf("child says %q, want %q", got, want)
	}
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
