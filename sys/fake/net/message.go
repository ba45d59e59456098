package net

import (
	"slices"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// scmMaxFd is SCM_MAX_FD: how many descriptors one message may carry.
const scmMaxFd = 253

// Send is sendto(2) without an address. EPIPE comes without SIGPIPE: the caller
// sends it, unless flags hold MSG_NOSIGNAL.
func (n *Net) Send(t *vfs.Task, d *vfs.Description, p []byte, flags int) (int, error) {
	return n.Sendmsg(t, d, p, nil, flags)
}

// Recv is recvfrom(2) without an address. Descriptors that come with the data
// are closed.
func (n *Net) Recv(t *vfs.Task, d *vfs.Description, p []byte, flags int) (int, error) {
	s, err := socketOf(d)
	if err != nil {
		return 0, err
	}
	m, err := s.recvMessage(t, p, d.Nonblock() || flags&sys.MSG_DONTWAIT != 0, flags&sys.MSG_PEEK != 0)
	release(t, m.fds)
	return m.length(flags), err
}

// length is what a receive returns: MSG_TRUNC asks for the length of the record or
// datagram, however much of it there was room for.
func (m *message) length(flags int) int {
	if flags&sys.MSG_TRUNC != 0 && m.truncated {
		return m.size
	}
	return m.n
}

// RecvUntil is Recv that waits until a time of the machine's, whatever
// O_NONBLOCK and SO_RCVTIMEO say. EAGAIN: it has come.
func (n *Net) RecvUntil(t *vfs.Task, d *vfs.Description, p []byte, until time.Duration) (int, error) {
	s, err := socketOf(d)
	if err != nil {
		return 0, err
	}
	m, err := s.recvMessageUntil(t, p, false, false, until)
	release(t, m.fds)
	return m.n, err
}

// Sendmsg is sendmsg(2) with the descriptions fds as SCM_RIGHTS. It takes
// references of its own. EINVAL: too many. TCP and UDP sockets ignore fds, as does
// a stream message without bytes.
func (n *Net) Sendmsg(t *vfs.Task, d *vfs.Description, p []byte, fds []*vfs.Description, flags int) (int, error) {
	s, err := socketOf(d)
	if err != nil {
		return 0, err
	}
	nonblock, more := d.Nonblock() || flags&sys.MSG_DONTWAIT != 0, flags&sys.MSG_MORE != 0
	if s.inet() || len(fds) == 0 {
		return s.send(t, p, nil, nonblock, more)
	}
	if len(fds) > scmMaxFd {
		return 0, sys.EINVAL
	}
	inFlight := slices.Clone(fds)
	for _, f := range inFlight {
		f.Incref()
	}
	sent, given := 0, false
	defer func() { // also when the thread is killed while it waits for room
		if !given {
			release(t, inFlight)
		}
	}()
	sent, err = s.send(t, p, inFlight, nonblock, more)
	given = err == nil && (sent > 0 || s.typ != sys.SOCK_STREAM)
	return sent, err
}

// TakesRights reports whether sendmsg(2) on d looks at SCM_RIGHTS: TCP and UDP do
// not, see __sock_cmsg_send. EBADF, ENOTSOCK; ENOTCONN of a seqpacket socket.
func TakesRights(d *vfs.Description) (bool, error) {
	s, err := socketOf(d)
	if err != nil {
		return false, err
	}
	if s.typ == sys.SOCK_SEQPACKET { // unix_seqpacket_sendmsg
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.state != established {
			return false, sys.ENOTCONN
		}
	}
	return !s.inet(), nil
}

// Recvmsg is recvmsg(2) with room for maxfds descriptors. The receiver gets a
// reference to each that is returned. msgflags are MSG_TRUNC: a record was longer
// than p; MSG_CTRUNC: there were more descriptors, which are closed.
func (n *Net) Recvmsg(t *vfs.Task, d *vfs.Description, p []byte, maxfds, flags int) (got int, fds []*vfs.Description, msgflags int, err error) {
	s, err := socketOf(d)
	if err != nil {
		return 0, nil, 0, err
	}
	m, err := s.recvMessage(t, p, d.Nonblock() || flags&sys.MSG_DONTWAIT != 0, flags&sys.MSG_PEEK != 0)
	if err != nil {
		return 0, nil, 0, err
	}
	if m.truncated {
		msgflags |= sys.MSG_TRUNC
	}
	if len(m.fds) > maxfds {
		msgflags |= sys.MSG_CTRUNC
		release(t, m.fds[maxfds:])
		m.fds = m.fds[:maxfds:maxfds]
	}
	return m.length(flags), m.fds, msgflags, nil
}

// Sendfile limits: MAX_RW_COUNT, and how much travels at a time.
const (
	maxCount = 0x7ffff000
	chunk    = 64 << 10
)

// CheckSendfile is what do_sendfile checks of in before it looks at out. EBADF,
// ESPIPE, EINVAL.
func CheckSendfile(in *vfs.Description, off int64, count int) error {
	if acc := in.Flags() & sys.O_ACCMODE; in.IsPath() || acc == sys.O_WRONLY || acc == sys.O_ACCMODE {
		return sys.EBADF
	}
	if _, ok := in.File.(vfs.Positioned); off >= 0 && !ok {
		return sys.ESPIPE
	}
	if count < 0 { // rw_verify_area
		return sys.EINVAL
	}
	return nil
}

// Sendfile is sendfile(2) from a regular file to any description. off < 0: from
// in's own offset, which moves. EINVAL: in is not a regular file or a block device, or
// out appends.
func (n *Net) Sendfile(t *vfs.Task, out, in *vfs.Description, off int64, count int) (sent int, err error) {
	if err := CheckSendfile(in, off, count); err != nil {
		return 0, err
	}
	if acc := out.Flags() & sys.O_ACCMODE; out.IsPath() || acc == sys.O_RDONLY || acc == sys.O_ACCMODE {
		return 0, sys.EBADF
	}
	var to sys.Stat
	if err := out.Stat(t, &to); err != nil {
		return 0, err
	}
	pipe := to.Mode&sys.S_IFMT == sys.S_IFIFO
	if pipe { // splice_file_to_pipe: wait_for_space comes before the file is looked at
		switch ready := out.File.Ready(); {
		case ready&sys.POLLERR != 0:
			return 0, sys.EPIPE
		case ready&sys.POLLOUT == 0 && out.Nonblock():
			return 0, sys.EAGAIN
		}
	}
	if pipe && count == 0 { // do_splice_read
		return 0, nil
	}
	own := off < 0
	if own {
		if off, err = in.Lseek(t, 0, sys.SEEK_CUR); err != nil {
			return 0, sys.EINVAL
		}
	}
	if !pipe && out.Flags()&sys.O_APPEND != 0 { // do_splice_direct_actor
		return 0, sys.EINVAL
	}
	if count == 0 {
		return 0, nil
	}
	count = min(count, maxCount)
	var st sys.Stat
	if err := in.Stat(t, &st); err != nil {
		return 0, err
	}
	if f := st.Mode & sys.S_IFMT; f != sys.S_IFREG && f != sys.S_IFBLK { // splice_direct_to_actor
		return 0, sys.EINVAL
	}
	buf := make([]byte, min(count, chunk))
	for sent < count {
		var got, put int
		got, err = in.Pread(t, buf[:min(len(buf), count-sent)], off)
		if err != nil || got == 0 {
			break
		}
		put, err = out.Write(t, buf[:got])
		sent += put
		off += int64(put)
		if err != nil || put < got {
			break
		}
	}
	if own && sent > 0 {
		if _, err := in.Lseek(t, off, sys.SEEK_SET); err != nil {
			return sent, err
		}
	}
	if sent > 0 {
		return sent, nil
	}
	return 0, err
}
