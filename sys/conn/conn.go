// Package conn makes a net.Conn of a connected socket, with system calls of
// one thread alone: no poller, no goroutine, and the same code on every
// backend of [sys.Sys].
//
// # Time limits
//
// The limits are those of Apache's Timeout and KeepAliveTimeout: each counts
// from the start of one Read or from the last progress of a write, so nothing
// has to be set anew with every request. A read has its limit as an argument,
// and Write waits in poll(2) when the socket is full. Writev and SendFile cannot
// be told not to wait: the first of them sets SO_SNDTIMEO. From then on a request
// costs no call beyond its reads and writes. When such a call comes back with
// EAGAIN and its limit is not over (a deadline was the shorter one), poll(2) waits
// for the rest.
//
// A socket inherits SO_SNDTIMEO from its listener. A server that sets it there
// once tells the Conn so with Inherited and saves this call too.
//
// # Threads
//
// A Conn belongs to the thread whose Sys it was made with; Move hands it on.
// Unlike other net.Conns it cannot be closed or given a deadline by another
// thread to end a Read: shutdown(2) of the descriptor does that.
//
// EINTR is retried here, in every method, with what is left of the limit.
package conn

import (
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Sys is what a Conn needs of the system.
type Sys interface {
	sys.Files
	sys.Descriptors
	sys.Net
	sys.Messages
	sys.Poller
	sys.Clock
}

// Conn is a connection over a blocking stream socket. Read and Write do not
// allocate. Errors are [*net.OpError]: errors.Is finds the sys.Errno,
// os.ErrDeadlineExceeded (then Timeout reports true) or net.ErrClosed in them.
// The end of the stream is a bare io.EOF.
type Conn struct {
	s     Sys
	fd    int // -1 once closed
	local sys.SockAddr
	peer  sys.SockAddr

	idle        bool
	idleTimeout time.Duration
	in, out     limits
	inherited   time.Duration // SO_SNDTIMEO of a new descriptor
	sndtimeo    time.Duration // SO_SNDTIMEO of this descriptor; 0: no timeout
	fds         [1]sys.PollFd // poll's argument: on the stack it would escape

	localAddr, peerAddr addr
}

// limits are those of reads, or of writes.
type limits struct {
	timeout  time.Duration // of one operation; 0: none
	deadline time.Duration // of net.Conn, on the monotonic clock; 0: none
}

var _ net.Conn = (*Conn)(nil)

// New makes a Conn of the connected socket fd, which it owns from now on. local
// may be the zero SockAddr: LocalAddr then asks getsockname(2).
func New(s Sys, fd int, local, peer sys.SockAddr) *Conn {
	c := &Conn{s: s, local: local}
	c.Reset(fd, peer)
	return c
}

// Reset makes c the Conn of another descriptor, with the limits it had and no
// deadline. The former descriptor is not closed: Close is. What LocalAddr and
// RemoteAddr returned before changes with it.
func (c *Conn) Reset(fd int, peer sys.SockAddr) {
	c.fd = fd
	c.peer = peer
	c.idle = false
	c.localAddr.known, c.peerAddr.known = false, false
	c.sndtimeo = c.inherited
	c.in.deadline, c.out.deadline = 0, 0
}

// Inherited says that descriptors come with SO_SNDTIMEO set to snd already, as
// an accepted socket does when its listener has it; 0 is not set. It holds for
// the descriptor c has and those of each Reset.
func (c *Conn) Inherited(snd time.Duration) { c.inherited, c.sndtimeo = snd, snd }

// Move hands c to the thread that s belongs to.
func (c *Conn) Move(s Sys) { c.s = s }

// Fd is the descriptor, or -1 after Close.
func (c *Conn) Fd() int { return c.fd }

// Peer is the address of the other end.
func (c *Conn) Peer() sys.SockAddr { return c.peer }

// SetReadTimeout limits each Read; 0 is no limit.
func (c *Conn) SetReadTimeout(d time.Duration) { c.in.timeout = d }

// SetIdleTimeout limits each Read while SetIdle is true; 0 is no limit.
func (c *Conn) SetIdleTimeout(d time.Duration) { c.idleTimeout = d }

// SetWriteTimeout limits how long a write waits without progress; 0 is no limit.
func (c *Conn) SetWriteTimeout(d time.Duration) { c.out.timeout = d }

// SetIdle says that the connection is between two requests: the idle limit
// applies to Read, and not the read limit.
func (c *Conn) SetIdle(idle bool) { c.idle = idle }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(c.s, t)
	c.out.setDeadline(c.s, t)
	return nil
}

// SetReadDeadline limits all reads to a time of the Clock's Now; the zero time
// is no deadline. It costs calls: a server uses the limits instead.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(c.s, t)
	return nil
}

// SetWriteDeadline limits all writes, as SetReadDeadline does reads.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(c.s, t)
	return nil
}

func (l *limits) setDeadline(s Sys, t time.Time) {
	l.deadline = 0
	if !t.IsZero() {
		// Kept on the monotonic clock, which nobody sets. A past time must not
		// become 0, which is none.
		l.deadline = max(s.Monotonic()+t.Sub(s.Now()), 1)
	}
}

// Read reads what there is, waiting for the first byte.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.fd < 0 {
		return 0, c.fail("read", net.ErrClosed)
	}
	limit := c.in.timeout
	if c.idle {
		limit = c.idleTimeout
	}
	var start time.Duration // 0: not known. No clock is read for a call without EINTR
	for {
		wait := time.Duration(-1)
		if limit != 0 {
			wait = limit
		}
		if start != 0 || c.in.deadline != 0 {
			now := c.s.Monotonic()
			if start != 0 && limit != 0 {
				wait = start + limit - now
			}
			if c.in.deadline != 0 && (limit == 0 || c.in.deadline-now < wait) {
				wait = c.in.deadline - now
			}
			if wait <= 0 && (limit != 0 || c.in.deadline != 0) {
				return 0, c.fail("read", os.ErrDeadlineExceeded)
			}
		}
		n, err := c.s.RecvTimeout(c.fd, p, wait)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == sys.EAGAIN:
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case err != sys.EINTR:
			return 0, c.fail("read", err)
		}
		if start == 0 {
			start = c.s.Monotonic()
		}
	}
}

// minTimeout is the shortest timeout given to setsockopt: what rounds to 0
// would mean none.
const minTimeout = time.Millisecond

// writable tells what forbids to write at all.
func (c *Conn) writable() error {
	switch {
	case c.fd < 0:
		return c.fail("write", net.ErrClosed)
	case c.out.deadline != 0 && c.out.deadline <= c.s.Monotonic():
		return c.fail("write", os.ErrDeadlineExceeded)
	}
	return nil
}

// prepare makes sure that the next blocking write ends in time, at the deadline
// or earlier.
func (c *Conn) prepare() error {
	if err := c.writable(); err != nil {
		return err
	}
	want := c.out.timeout
	if c.out.deadline != 0 {
		left := c.out.deadline - c.s.Monotonic()
		if want == 0 || left < want {
			want = left
		}
	}
	if want == 0 || (c.sndtimeo != 0 && c.sndtimeo <= want) {
		return nil
	}
	want = max(want, minTimeout)
	if err := c.s.SetsockoptTimeval(c.fd, sys.SOL_SOCKET, sys.SO_SNDTIMEO, want); err != nil {
		return c.fail("setsockopt", err)
	}
	c.sndtimeo = want
	return nil
}

// operation is the time that one step of a write has taken.
type operation struct {
	started bool
	start   time.Duration
}

// again deals with EINTR and EAGAIN of a write: it returns nil when the call is
// to be made again, and else the error for the caller. EAGAIN came after waited.
func (c *Conn) again(op *operation, waited time.Duration, err error) error {
	if err != sys.EINTR && err != sys.EAGAIN {
		return c.fail("write", err)
	}
	limit, deadline := c.out.timeout, c.out.deadline
	for {
		if limit == 0 && deadline == 0 {
			if err == sys.EINTR {
				return nil
			}
			switch _, err = c.poll(-1); err {
			case nil:
				return nil
			case sys.EINTR:
				continue
			default:
				return c.fail("poll", err)
			}
		}
		now := c.s.Monotonic()
		if !op.started {
			// The clock is not read before a call that most often does not
			// wait.
			op.started, op.start = true, now
			if err == sys.EAGAIN {
				op.start -= waited
			}
		}
		left := time.Duration(math.MaxInt64)
		if limit != 0 {
			left = op.start + limit - now
		}
		if deadline != 0 {
			left = min(left, deadline-now)
		}
		if left <= 0 {
			return c.fail("write", os.ErrDeadlineExceeded)
		}
		n, perr := c.poll(left)
		switch {
		case perr == sys.EINTR:
		case perr != nil:
			return c.fail("poll", perr)
		case n > 0:
			return nil
		}
	}
}

// poll waits until the socket takes more.
func (c *Conn) poll(timeout time.Duration) (int, error) {
	c.fds[0] = sys.PollFd{Fd: int32(c.fd), Events: sys.POLLOUT}
	return c.s.Poll(c.fds[:], timeout)
}

// Write writes all of p. With an error n says how much of it was taken by the
// kernel.
//
// It sends with MSG_DONTWAIT, because the Go scheduler need not hear of a call
// that cannot wait. What it hears of costs more than the call takes: between two
// requests it has no work, and then its monitor sleeps, which every call that may
// wait has to wake (entersyscallWakeSysmon in runtime/proc.go).
func (c *Conn) Write(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.writable(); err != nil {
		return 0, err
	}
	var op operation
	for {
		m, err := c.s.Send(c.fd, p[n:], sys.MSG_DONTWAIT|sys.MSG_NOSIGNAL)
		if m > 0 {
			n += m
			op = operation{}
			if n == len(p) {
				return n, nil
			}
			continue
		}
		if err == nil {
			return n, c.fail("write", io.ErrUnexpectedEOF)
		}
		if err := c.again(&op, 0, err); err != nil {
			return n, err
		}
	}
}

// iovMax is IOV_MAX: writev(2) refuses more buffers with EINVAL.
const iovMax = 1024

// Writev writes all buffers in order, as one write where the kernel takes them
// at once. Like [net.Buffers] it consumes them: bufs and its elements are
// overwritten.
func (c *Conn) Writev(bufs [][]byte) (n int64, err error) {
	if err := c.prepare(); err != nil {
		return 0, err
	}
	var op operation
	for {
		for len(bufs) > 0 && len(bufs[0]) == 0 {
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return n, nil
		}
		m, err := c.s.Writev(c.fd, bufs[:min(len(bufs), iovMax)])
		if m > 0 {
			n += int64(m)
			op = operation{}
			for m > 0 {
				k := min(m, len(bufs[0]))
				bufs[0] = bufs[0][k:]
				m -= k
				if len(bufs[0]) == 0 {
					bufs = bufs[1:]
				}
			}
			continue
		}
		if err == nil {
			return n, c.fail("writev", io.ErrUnexpectedEOF)
		}
		if err := c.again(&op, c.sndtimeo, err); err != nil {
			return n, err
		}
	}
}

// sendfileMax is what Linux moves at most in one sendfile(2).
const sendfileMax = 0x7ffff000

// SendFile sends n bytes of the file fd from off on; a negative off means from,
// and advancing, the file's own offset. io.ErrUnexpectedEOF: the file is
// shorter.
func (c *Conn) SendFile(fd int, off, n int64) error {
	_, err := c.sendFile(fd, off, n)
	return err
}

func (c *Conn) sendFile(fd int, off, n int64) (sent int64, err error) {
	if err := c.prepare(); err != nil {
		return 0, err
	}
	var op operation
	for sent < n {
		at := off
		if off >= 0 {
			at += sent
		}
		m, err := c.s.Sendfile(c.fd, fd, at, int(min(n-sent, sendfileMax)))
		switch {
		case m > 0:
			sent += int64(m)
			op = operation{}
		case err == nil:
			return sent, c.fail("sendfile", io.ErrUnexpectedEOF)
		default:
			if err := c.again(&op, c.sndtimeo, err); err != nil {
				return sent, err
			}
		}
	}
	return sent, nil
}

// ReadFrom copies r to the connection: with sendfile(2) when r is an
// [*io.LimitedReader] over something with a descriptor (Fd, as of os.File or of
// sys/aferofs) that sendfile can read, and else through a buffer.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	var sent int64
	if l, ok := r.(*io.LimitedReader); ok && l.N > 0 {
		if f, ok := l.R.(interface{ Fd() uintptr }); ok {
			n, err := c.sendFile(int(f.Fd()), -1, l.N)
			l.N -= n
			if op, ok := err.(*net.OpError); !ok || n > 0 || op.Err != sys.EINVAL {
				if ok && op.Err == io.ErrUnexpectedEOF {
					err = nil // the reader's end, as for io.Copy
				}
				return n, err
			}
			sent = n
		}
	}
	n, err := io.Copy(struct{ io.Writer }{c}, r)
	return sent + n, err
}

// CloseWrite is shutdown(2) with SHUT_WR: the other end reads the end.
func (c *Conn) CloseWrite() error { return c.shutdown(sys.SHUT_WR) }

// CloseRead is shutdown(2) with SHUT_RD.
func (c *Conn) CloseRead() error { return c.shutdown(sys.SHUT_RD) }

func (c *Conn) shutdown(how int) error {
	if c.fd < 0 {
		return c.fail("shutdown", net.ErrClosed)
	}
	if err := c.s.Shutdown(c.fd, how); err != nil {
		return c.fail("shutdown", err)
	}
	return nil
}

// Close closes the descriptor. Its error is close(2)'s; the descriptor is gone
// all the same.
func (c *Conn) Close() error {
	if c.fd < 0 {
		return c.fail("close", net.ErrClosed)
	}
	fd := c.fd
	c.fd = -1
	if err := c.s.Close(fd); err != nil {
		return c.fail("close", err)
	}
	return nil
}

func (c *Conn) fail(op string, err error) error {
	e := &net.OpError{Op: op, Net: c.peer.Network(), Addr: c.peer, Err: err}
	if c.local.Family != 0 {
		e.Source = c.local
	}
	return e
}

// LocalAddr is this end's address: a *net.TCPAddr or *net.UnixAddr, for that is
// what users of net.Conn look for. It is valid until Reset.
func (c *Conn) LocalAddr() net.Addr {
	if c.local.Family == 0 && c.fd >= 0 {
		// A socket without a local address has none to show either.
		c.local, _ = c.s.Getsockname(c.fd)
	}
	return c.localAddr.of(c.local)
}

// RemoteAddr is the other end's address, as LocalAddr is this one's.
func (c *Conn) RemoteAddr() net.Addr { return c.peerAddr.of(c.peer) }

// addr holds a SockAddr in the types of package net, so that to name a
// connection's ends allocates nothing.
type addr struct {
	known bool
	tcp   net.TCPAddr
	ip    [16]byte
	unix  net.UnixAddr
}

func (a *addr) of(sa sys.SockAddr) net.Addr {
	if sa.Family == sys.AF_UNIX {
		if !a.known {
			a.known = true
			a.unix = net.UnixAddr{Name: sa.Path, Net: "unix"}
		}
		return &a.unix
	}
	if !a.known {
		a.known = true
		a.tcp = tcpAddr(sa.Addr, &a.ip)
	}
	return &a.tcp
}

func tcpAddr(ap netip.AddrPort, ip *[16]byte) net.TCPAddr {
	t := net.TCPAddr{Port: int(ap.Port()), Zone: ap.Addr().Zone()}
	switch {
	case !ap.Addr().IsValid():
	case ap.Addr().Is4():
		b := ap.Addr().As4()
		t.IP = append(ip[:0], b[:]...)
	default:
		b := ap.Addr().As16()
		t.IP = append(ip[:0], b[:]...)
	}
	return t
}
