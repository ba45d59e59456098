package sys

import "time"

// Poller waits for one of a few descriptors.
type Poller interface {
	// Poll is ppoll(2): it fills Revents and says how many are not 0. A
	// negative timeout waits for ever. EINTR.
	Poll(fds []PollFd, timeout time.Duration) (n int, err error)
}

// Epoll waits for one of many descriptors, see epoll(7).
type Epoll interface {
	// EpollCreate1 is epoll_create1(2); flags may be EPOLL_CLOEXEC.
	EpollCreate1(flags int) (fd int, err error)
	// EpollCtl is epoll_ctl(2). EEXIST, ENOENT; EPERM: a regular file.
	EpollCtl(epfd, op, fd int, ev EpollEvent) error
	// EpollWait is epoll_pwait2(2). A negative timeout waits for ever. EINTR.
	EpollWait(epfd int, events []EpollEvent, timeout time.Duration) (n int, err error)
}

// PollFd is struct pollfd. A negative Fd is ignored.
type PollFd struct {
	Fd      int32
	Events  int16
	Revents int16
}

// EpollEvent is struct epoll_event with the descriptor as its data.
type EpollEvent struct {
	Events uint32
	Fd     int32
	Pad    int32 // the other half of the data; kept as given
}

// Events of poll(2).
const (
	POLLIN    = 0x1
	POLLPRI   = 0x2
	POLLOUT   = 0x4
	POLLERR   = 0x8
	POLLHUP   = 0x10
	POLLNVAL  = 0x20
	POLLRDHUP = 0x2000
)

// Operations, flags and events of epoll(7).
const (
	EPOLL_CLOEXEC  = O_CLOEXEC
	EPOLL_CTL_ADD  = 1
	EPOLL_CTL_DEL  = 2
	EPOLL_CTL_MOD  = 3
	EPOLLIN        = 0x1
	EPOLLOUT       = 0x4
	EPOLLERR       = 0x8
	EPOLLHUP       = 0x10
	EPOLLRDHUP     = 0x2000
	EPOLLEXCLUSIVE = 1 << 28
	EPOLLONESHOT   = 1 << 30
	EPOLLET        = 1 << 31
)
