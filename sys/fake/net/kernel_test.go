package net

import (
	"net/netip"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// kernel is what the scenarios are run on: the simulated kernel and the real
// one. Accepted sockets are non-blocking, EPIPE comes without SIGPIPE, and polls
// only look.
type kernel interface {
	Dir() string // where Unix sockets may be bound
	closeAll()
	Socket(domain, typ, proto int) (int, error)
	Bind(fd int, a sys.SockAddr) error
	Listen(fd, backlog int) error
	Accept(fd int) (int, sys.SockAddr, error)
	Connect(fd int, a sys.SockAddr) error
	Getsockname(fd int) (sys.SockAddr, error)
	Getpeername(fd int) (sys.SockAddr, error)
	Setsockopt(fd, level, opt, v int) error
	Getsockopt(fd, level, opt int) (int, error)
	SetTimeout(fd, opt int, d time.Duration) error
	SetLinger(fd int, on bool, secs int) error
	Shutdown(fd, how int) error
	Socketpair(domain, typ, proto int) (int, int, error)
	Pipe() (r, w int)
	Send(fd int, p []byte, flags int) (int, error)
	Recv(fd int, p []byte, flags int) (int, error)
	Read(fd int, p []byte) (int, error)
	Sendmsg(fd int, p []byte, fds []int, flags int) (int, error)
	Recvmsg(fd int, p []byte, nfds, flags int) (n int, fds []int, msgflags int, err error)
	Close(fd int) error
	Dup(fd int) int
	Poll(fd int, events int16) int16
	EpollCreate() int
	EpollCtl(ep, op, fd int, events uint32) error
	EpollWait(ep, max int) ([]sys.EpollEvent, error)
}

// fakeKernel has a descriptor table over a Net.
type fakeKernel struct {
	n   *Net
	t   *vfs.Task
	fds []*vfs.Description
}

func (k *fakeKernel) Dir() string { return "" }

func newTask(th *sched.Thread, tree *vfs.Tree, pid int) *vfs.Task {
	return &vfs.Task{
		Thread: th,
		Cred:   &vfs.Cred{Caps: ^uint64(0)},
		Root:   tree.Root(),
		Cwd:    tree.Root(),
		Pid:    pid,
		Owner:  pid,
		Fsize:  sys.RLIM_INFINITY,
	}
}

// onFake runs fn in one thread of a new machine.
func onFake(t *testing.T, fn func(*fakeKernel)) {
	t.Helper()
	s := sched.New(sched.Deterministic, 1)
	tree := vfs.New(time.Unix(0, 0))
	n := New(tree)
	s.Go(1, "test", nil, func(th *sched.Thread) {
		k := &fakeKernel{n: n, t: newTask(th, tree, 1)}
		defer k.closeAll()
		fn(k)
	})
	if err := s.Run(nil); err != nil {
		t.Fatal(err)
	}
	if left := n.Listeners(); len(left) > 0 {
		t.Errorf("listeners left: %v", left)
	}
}

func (k *fakeKernel) closeAll() {
	for _, d := range k.fds {
		if d != nil {
			d.Decref(k.t)
		}
	}
}

func (k *fakeKernel) install(d *vfs.Description, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	for i := range k.fds {
		if k.fds[i] == nil {
			k.fds[i] = d
			return i, nil
		}
	}
	k.fds = append(k.fds, d)
	return len(k.fds) - 1, nil
}

func (k *fakeKernel) Socket(domain, typ, proto int) (int, error) {
	return k.install(k.n.Socket(k.t, domain, typ, proto))
}
func (k *fakeKernel) Bind(fd int, a sys.SockAddr) error { return k.n.Bind(k.t, k.fds[fd], a) }
func (k *fakeKernel) Listen(fd, backlog int) error      { return k.n.Listen(k.t, k.fds[fd], backlog) }
func (k *fakeKernel) Accept(fd int) (int, sys.SockAddr, error) {
	d, a, err := k.n.Accept(k.t, k.fds[fd], sys.SOCK_NONBLOCK)
	nfd, err := k.install(d, err)
	return nfd, a, err
}
func (k *fakeKernel) Connect(fd int, a sys.SockAddr) error { return k.n.Connect(k.t, k.fds[fd], a) }
func (k *fakeKernel) Getsockname(fd int) (sys.SockAddr, error) {
	return k.n.Getsockname(k.t, k.fds[fd])
}
func (k *fakeKernel) Getpeername(fd int) (sys.SockAddr, error) {
	return k.n.Getpeername(k.t, k.fds[fd])
}
func (k *fakeKernel) Setsockopt(fd, level, opt, v int) error {
	return k.n.SetsockoptInt(k.t, k.fds[fd], level, opt, v)
}
func (k *fakeKernel) Getsockopt(fd, level, opt int) (int, error) {
	return k.n.GetsockoptInt(k.t, k.fds[fd], level, opt)
}
func (k *fakeKernel) SetTimeout(fd, opt int, d time.Duration) error {
	return k.n.SetsockoptTimeval(k.t, k.fds[fd], sys.SOL_SOCKET, opt, d)
}
func (k *fakeKernel) SetLinger(fd int, on bool, secs int) error {
	return k.n.SetLinger(k.t, k.fds[fd], on, secs)
}
func (k *fakeKernel) Shutdown(fd, how int) error { return k.n.Shutdown(k.t, k.fds[fd], how) }
func (k *fakeKernel) Socketpair(domain, typ, proto int) (int, int, error) {
	a, b, err := k.n.Socketpair(k.t, domain, typ, proto)
	if err != nil {
		return -1, -1, err
	}
	x, _ := k.install(a, nil)
	y, _ := k.install(b, nil)
	return x, y, nil
}
func (k *fakeKernel) Pipe() (int, int) {
	r, w, err := k.n.tree.NewPipe(k.t, sys.O_NONBLOCK)
	if err != nil {
		panic(err)
	}
	x, _ := k.install(r, nil)
	y, _ := k.install(w, nil)
	return x, y
}
func (k *fakeKernel) Send(fd int, p []byte, flags int) (int, error) {
	if _, err := socketOf(k.fds[fd]); err != nil {
		return k.fds[fd].Write(k.t, p)
	}
	return k.n.Send(k.t, k.fds[fd], p, flags)
}
func (k *fakeKernel) Recv(fd int, p []byte, flags int) (int, error) {
	return k.n.Recv(k.t, k.fds[fd], p, flags)
}
func (k *fakeKernel) Read(fd int, p []byte) (int, error) { return k.fds[fd].Read(k.t, p) }
func (k *fakeKernel) Sendmsg(fd int, p []byte, fds []int, flags int) (int, error) {
	var ds []*vfs.Description
	for _, f := range fds {
		ds = append(ds, k.fds[f])
	}
	return k.n.Sendmsg(k.t, k.fds[fd], p, ds, flags)
}
func (k *fakeKernel) Recvmsg(fd int, p []byte, nfds, flags int) (int, []int, int, error) {
	n, ds, msgflags, err := k.n.Recvmsg(k.t, k.fds[fd], p, nfds, flags)
	var fds []int
	for _, d := range ds {
		f, _ := k.install(d, nil)
		fds = append(fds, f)
	}
	return n, fds, msgflags, err
}
func (k *fakeKernel) Close(fd int) error {
	d := k.fds[fd]
	k.fds[fd] = nil
	d.Decref(k.t)
	return nil
}
func (k *fakeKernel) Dup(fd int) int {
	k.fds[fd].Incref()
	n, _ := k.install(k.fds[fd], nil)
	return n
}
func (k *fakeKernel) Poll(fd int, events int16) int16 {
	items := []PollItem{{Desc: k.fds[fd], Events: events}}
	if _, err := Poll(k.t, items, 0); err != nil {
		panic(err)
	}
	return items[0].Revents
}
func (k *fakeKernel) EpollCreate() int {
	fd, _ := k.install(k.n.EpollCreate(), nil)
	return fd
}
func (k *fakeKernel) EpollCtl(ep, op, fd int, events uint32) error {
	return k.n.EpollCtl(k.t, k.fds[ep], op, fd, k.fds[fd], sys.EpollEvent{Events: events, Fd: int32(fd)})
}
func (k *fakeKernel) EpollWait(ep, max int) ([]sys.EpollEvent, error) {
	evs := make([]sys.EpollEvent, max)
	n, err := k.n.EpollWait(k.t, k.fds[ep], evs, 0)
	return evs[:n], err
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func at(port int) sys.SockAddr {
	return sys.InetAddr(netip.AddrPortFrom(loopback, uint16(port)))
}
