package fake

import (
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/net"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

func (t *thread) net() *net.Net { return t.p.m.net }

// noteAddr adds a socket address to the trace.
func (t *thread) noteAddr(a sys.SockAddr) {
	if t.p.m.trace.on {
		t.note(a.String())
	}
}

func (t *thread) Socket(domain, typ, proto int) (fd int, err error) {
	t.enter("socket", -1, uint64(domain), uint64(typ), uint64(proto))
	defer t.leave(&fd, &err)
	d, err := t.net().Socket(&t.task, domain, typ, proto)
	if err != nil {
		return -1, err
	}
	if err := t.noRoom(1); err != nil {
		d.Decref(&t.task)
		return -1, err
	}
	return t.install(d, typ&sys.SOCK_CLOEXEC != 0)
}

func (t *thread) Socketpair(domain, typ, proto int) (a, b int, err error) {
	t.enter("socketpair", -1, uint64(domain), uint64(typ), uint64(proto))
	defer t.leave(&a, &err)
	if err := t.noRoom(2); err != nil {
		return -1, -1, err
	}
	da, db, err := t.net().Socketpair(&t.task, domain, typ, proto)
	if err != nil {
		return -1, -1, err
	}
	return t.installPair(da, db, typ&sys.SOCK_CLOEXEC != 0)
}

func (t *thread) Bind(fd int, addr sys.SockAddr) (err error) {
	t.enter("bind", fd)
	defer t.leave(nil, &err)
	t.noteAddr(addr)
	if err := net.CheckAddr(addr); err != nil {
		return err
	}
	return t.with(fd, func(d *vfs.Description) error { return t.net().Bind(&t.task, d, addr) })
}

func (t *thread) Listen(fd, backlog int) (err error) {
	t.enter("listen", fd, uint64(backlog))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return t.net().Listen(&t.task, d, backlog) })
}

func (t *thread) Accept4(fd, flags int) (nfd int, peer sys.SockAddr, err error) {
	t.enter("accept4", fd, uint64(flags))
	defer t.leave(&nfd, &err)
	nfd = -1
	err = t.with(fd, func(d *vfs.Description) error {
		if flags&^(sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK) != 0 {
			return sys.EINVAL
		}
		// Linux reserves the descriptor and the file first: EMFILE and ENFILE take no
		// connection.
		if err := t.noRoom(1); err != nil {
			return err
		}
		var conn *vfs.Description
		if err := t.interruptible(d, func() (err error) {
			conn, peer, err = t.net().Accept(&t.task, d, flags)
			return err
		}); err != nil {
			return err
		}
		nfd, err = t.install(conn, flags&sys.SOCK_CLOEXEC != 0)
		return err
	})
	return nfd, peer, err
}

func (t *thread) Connect(fd int, addr sys.SockAddr) (err error) {
	t.enter("connect", fd)
	defer t.leave(nil, &err)
	t.noteAddr(addr)
	if err := net.CheckAddr(addr); err != nil {
		return err
	}
	return t.with(fd, func(d *vfs.Description) error {
		return t.interruptible(d, func() error { return t.net().Connect(&t.task, d, addr) })
	})
}

func (t *thread) Getsockname(fd int) (addr sys.SockAddr, err error) {
	t.enter("getsockname", fd)
	defer t.leave(nil, &err)
	err = t.with(fd, func(d *vfs.Description) (err error) {
		addr, err = t.net().Getsockname(&t.task, d)
		return err
	})
	return addr, err
}

func (t *thread) Getpeername(fd int) (addr sys.SockAddr, err error) {
	t.enter("getpeername", fd)
	defer t.leave(nil, &err)
	err = t.with(fd, func(d *vfs.Description) (err error) {
		addr, err = t.net().Getpeername(&t.task, d)
		return err
	})
	return addr, err
}

func (t *thread) SetsockoptInt(fd, level, opt, value int) (err error) {
	t.enter("setsockopt", fd, uint64(level), uint64(opt), uint64(value))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return t.net().SetsockoptInt(&t.task, d, level, opt, value) })
}

func (t *thread) GetsockoptInt(fd, level, opt int) (value int, err error) {
	t.enter("getsockopt", fd, uint64(level), uint64(opt))
	defer t.leave(&value, &err)
	err = t.with(fd, func(d *vfs.Description) (err error) {
		value, err = t.net().GetsockoptInt(&t.task, d, level, opt)
		return err
	})
	return value, err
}

func (t *thread) SetsockoptTimeval(fd, level, opt int, timeout time.Duration) (err error) {
	t.enter("setsockopt", fd, uint64(level), uint64(opt), uint64(timeout))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error {
		return t.net().SetsockoptTimeval(&t.task, d, level, opt, timeout)
	})
}

func (t *thread) Shutdown(fd, how int) (err error) {
	t.enter("shutdown", fd, uint64(how))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return t.net().Shutdown(&t.task, d, how) })
}

func (t *thread) Sendfile(out, in int, off int64, count int) (n int, err error) {
	t.enter("sendfile", out, uint64(in), uint64(off), uint64(count))
	defer t.leave(&n, &err)
	src, err := t.p.fds.get(in)
	if err != nil {
		return -1, err
	}
	defer src.Decref(&t.task)
	if err := net.CheckSendfile(src, off, count); err != nil {
		return -1, err
	}
	dst, err := t.p.fds.get(out)
	if err != nil {
		return -1, err
	}
	defer dst.Decref(&t.task)
	n, err = t.transfer(dst, func() (int, error) { return t.net().Sendfile(&t.task, dst, src, off, count) })
	t.signalFor(dst, err)
	return n, err
}

func (t *thread) Send(fd int, p []byte, flags int) (n int, err error) {
	t.enter("sendto", fd, uint64(len(p)), uint64(flags))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	n, err = t.transfer(d, func() (int, error) { return t.net().Send(&t.task, d, p, flags) })
	if flags&sys.MSG_NOSIGNAL == 0 {
		t.signalFor(d, err)
	}
	return n, err
}

func (t *thread) Recv(fd int, p []byte, flags int) (n int, err error) {
	t.enter("recvfrom", fd, uint64(len(p)), uint64(flags))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	return t.transfer(d, func() (int, error) { return t.net().Recv(&t.task, d, p, flags) })
}

func (t *thread) RecvTimeout(fd int, p []byte, timeout time.Duration) (n int, err error) {
	t.enter("recv_timeout", fd, uint64(len(p)), uint64(timeout))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	// A signal ends it, as it does poll(2).
	deadline := t.deadline(timeout)
	err = t.restartStopped(func() (err error) {
		n, err = t.net().RecvUntil(&t.task, d, p, deadline)
		return err
	})
	return negative(n, err)
}

func (t *thread) Sendmsg(fd int, p []byte, fds []int, flags int) (n int, err error) {
	t.enter("sendmsg", fd, uint64(len(p)), uint64(len(fds)), uint64(flags))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	if rights, err := net.TakesRights(d); err != nil {
		return -1, err
	} else if !rights {
		fds = nil
	}
	if len(fds) > scmMaxFD {
		return -1, sys.EINVAL
	}
	var files []*vfs.Description
	defer func() {
		for _, f := range files {
			f.Decref(&t.task)
		}
	}()
	for _, fd := range fds {
		f, err := t.p.fds.get(fd)
		if err != nil {
			return -1, err
		}
		files = append(files, f)
	}
	n, err = t.transfer(d, func() (int, error) { return t.net().Sendmsg(&t.task, d, p, files, flags) })
	if flags&sys.MSG_NOSIGNAL == 0 {
		t.signalFor(d, err)
	}
	return n, err
}

// scmMaxFD is SCM_MAX_FD.
const scmMaxFD = 253

func (t *thread) Recvmsg(fd int, p []byte, fds []int, flags int) (n, nfds, msgflags int, err error) {
	t.enter("recvmsg", fd, uint64(len(p)), uint64(len(fds)), uint64(flags))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, 0, 0, err
	}
	defer d.Decref(&t.task)
	var files []*vfs.Description
	n, err = t.transfer(d, func() (n int, err error) {
		n, files, msgflags, err = t.net().Recvmsg(&t.task, d, p, len(fds), flags)
		return n, err
	})
	for i, f := range files {
		// scm_detach_fds: what has no place in the table is dropped.
		nfd, err := t.install(f, flags&sys.MSG_CMSG_CLOEXEC != 0)
		if err != nil {
			msgflags |= sys.MSG_CTRUNC
			for _, f := range files[i+1:] {
				f.Decref(&t.task)
			}
			break
		}
		fds[nfds] = nfd
		nfds++
	}
	return n, nfds, msgflags, err
}

// interruptible makes a socket call again after a signal, unless the socket has
// a timeout, see signal(7).
func (t *thread) interruptible(d *vfs.Description, call func() error) error {
	_, err := t.transfer(d, func() (int, error) { return 0, call() })
	return err
}

func (t *thread) Poll(fds []sys.PollFd, timeout time.Duration) (n int, err error) {
	t.enter("poll", -1, uint64(len(fds)), uint64(timeout))
	defer t.leave(&n, &err)
	if len(fds) > 0 && t.p.fds.beyond(len(fds)-1) { // do_sys_poll: more than RLIMIT_NOFILE
		return -1, sys.EINVAL
	}
	deadline := t.deadline(timeout)
	items := make([]net.PollItem, 0, len(fds))
	defer func() {
		for _, it := range items {
			if it.Desc != nil {
				it.Desc.Decref(&t.task)
			}
		}
	}()
	for _, f := range fds {
		if f.Fd < 0 {
			continue
		}
		d, err := t.p.fds.get(int(f.Fd))
		if err != nil {
			d = nil // POLLNVAL
		}
		items = append(items, net.PollItem{Desc: d, Events: f.Events})
	}
	err = t.restartStopped(func() (err error) {
		n, err = net.Poll(&t.task, items, deadline)
		return err
	})
	if err != nil {
		return -1, err
	}
	i := 0
	for j := range fds {
		if fds[j].Revents = 0; fds[j].Fd >= 0 {
			fds[j].Revents = items[i].Revents
			i++
		}
	}
	return n, nil
}

func (t *thread) EpollCreate1(flags int) (fd int, err error) {
	t.enter("epoll_create1", -1, uint64(flags))
	defer t.leave(&fd, &err)
	if flags&^sys.EPOLL_CLOEXEC != 0 {
		return -1, sys.EINVAL
	}
	if err := t.noRoom(1); err != nil {
		return -1, err
	}
	return t.install(t.net().EpollCreate(), flags != 0)
}

func (t *thread) EpollCtl(epfd, op, fd int, ev sys.EpollEvent) (err error) {
	t.enter("epoll_ctl", epfd, uint64(op), uint64(fd), uint64(ev.Events), uint64(ev.Fd))
	defer t.leave(nil, &err)
	return t.with(epfd, func(ep *vfs.Description) error {
		return t.with(fd, func(d *vfs.Description) error {
			return t.net().EpollCtl(&t.task, ep, op, fd, d, ev)
		})
	})
}

func (t *thread) EpollWait(epfd int, events []sys.EpollEvent, timeout time.Duration) (n int, err error) {
	t.enter("epoll_wait", epfd, uint64(len(events)), uint64(timeout))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(epfd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	return negative(t.net().EpollWait(&t.task, d, events, t.deadline(timeout)))
}
