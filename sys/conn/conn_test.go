package conn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// script is a Sys that plays back what the test says and notes what it was
// asked. Time passes only where a step says so.
type script struct {
	sys.Sys
	t     *testing.T
	now   time.Duration
	steps []step
	log   []string
}

type step struct {
	call string // the call expected next
	n    int    // its result; for recv also the bytes delivered
	err  error
	took time.Duration
}

func (s *script) next(format string, args ...any) (int, error) {
	call := fmt.Sprintf(format, args...)
	s.log = append(s.log, call)
	if len(s.steps) == 0 {
		s.t.Fatalf("unexpected %s", call)
	}
	st := s.steps[0]
	s.steps = s.steps[1:]
	if st.call != call {
		s.t.Fatalf("call %s, want %s", call, st.call)
	}
	s.now += st.took
	return st.n, st.err
}

func (s *script) Monotonic() time.Duration { return s.now }
func (s *script) Now() time.Time           { return time.Unix(1e9, 0).Add(s.now) }

func (s *script) RecvTimeout(fd int, p []byte, d time.Duration) (int, error) {
	n, err := s.next("recv %d %v", fd, d)
	copy(p[:n], strings.Repeat("x", n))
	return n, err
}
func (s *script) Send(fd int, p []byte, flags int) (int, error) {
	return s.next("send %d %q %#x", fd, p, flags)
}
func (s *script) Writev(fd int, bufs [][]byte) (int, error) {
	return s.next("writev %d %q", fd, bufs)
}
func (s *script) Sendfile(out, in int, off int64, n int) (int, error) {
	return s.next("sendfile %d %d %d %d", out, in, off, n)
}
func (s *script) Poll(fds []sys.PollFd, d time.Duration) (int, error) {
	return s.next("poll %d %#x %v", fds[0].Fd, fds[0].Events, d)
}
func (s *script) SetsockoptTimeval(fd, level, opt int, d time.Duration) error {
	_, err := s.next("setsockopt %d %d %v", fd, opt, d)
	return err
}
func (s *script) Shutdown(fd, how int) error { _, err := s.next("shutdown %d %d", fd, how); return err }
func (s *script) Close(fd int) error         { _, err := s.next("close %d", fd); return err }
func (s *script) Getsockname(fd int) (sys.SockAddr, error) {
	_, err := s.next("getsockname %d", fd)
	return local, err
}

var (
	local = sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:80"))
	peer  = sys.InetAddr(netip.MustParseAddrPort("192.0.2.7:4711"))
)

// play makes a Conn over the steps and checks at the end that all were taken.
func play(t *testing.T, steps ...step) (*Conn, *script) {
	t.Helper()
	s := &script{t: t, steps: steps}
	t.Cleanup(func() {
		if len(s.steps) > 0 && !t.Failed() {
			t.Errorf("calls not made: %v", s.steps)
		}
	})
	return New(s, 7, local, peer), s
}

func TestReadMakesOneCallARequest(t *testing.T) {
	c, _ := play(t,
		step{call: "recv 7 1m0s", n: 3},
		step{call: "recv 7 5s", n: 1},
		step{call: "recv 7 5s", n: 0},
	)
	c.SetReadTimeout(60 * time.Second)
	c.SetIdleTimeout(5 * time.Second)
	p := make([]byte, 8)
	for _, want := range []int{3, 1} {
		if n, err := c.Read(p); n != want || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		c.SetIdle(true)
	}
	if n, err := c.Read(p); n != 0 || err != io.EOF {
		t.Fatalf("Read at the end = %d, %v, want a bare io.EOF", n, err)
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Fatalf("Read of nothing = %d, %v", n, err)
	}
}

func TestIdleLimitAppliesOnlyWhenIdle(t *testing.T) {
	c, _ := play(t,
		step{call: "recv 7 1m0s", n: 2, took: 55 * time.Second}, // not idle
		step{call: "recv 7 5s", err: sys.EAGAIN, took: 5 * time.Second},
	)
	c.SetReadTimeout(60 * time.Second)
	c.SetIdleTimeout(5 * time.Second)
	p := make([]byte, 8)
	if n, err := c.Read(p); n != 2 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	c.SetIdle(true)
	_, err := c.Read(p)
	wantTimeout(t, err)
}

func wantTimeout(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("err = %v, want a deadline exceeded whose Timeout is true", err)
	}
}

func TestReadWithoutLimits(t *testing.T) {
	c, _ := play(t,
		step{call: "recv 7 -1ns", err: sys.EINTR, took: time.Hour},
		step{call: "recv 7 -1ns", err: sys.EINTR},
		step{call: "recv 7 -1ns", n: 1},
		step{call: "recv 7 -1ns", n: 1}, // no idle limit either
		step{call: "recv 7 -1ns", n: 1}, // and the read limit is not the idle one
	)
	p := make([]byte, 1)
	for _, prepare := range []func(){
		func() {},
		func() { c.SetIdle(true) },
		func() { c.SetReadTimeout(time.Second) },
	} {
		prepare()
		if n, err := c.Read(p); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
	}
}

func TestEINTRKeepsTheLimit(t *testing.T) {
	c, s := play(t,
		// How long the first call has waited is not known.
		step{call: "recv 7 1s", err: sys.EINTR},
		step{call: "recv 7 1s", err: sys.EINTR, took: 400 * time.Millisecond},
		step{call: "recv 7 600ms", err: sys.EAGAIN, took: 600 * time.Millisecond},
		step{call: "recv 7 1s", err: sys.EINTR},
		step{call: "recv 7 1s", err: sys.EINTR, took: 2 * time.Second}, // over: no other call
	)
	s.now = time.Second
	c.SetReadTimeout(time.Second)
	for range 2 {
		_, err := c.Read(make([]byte, 1))
		wantTimeout(t, err)
	}
}

func TestInheritedSavesTheSetsockopt(t *testing.T) {
	c, _ := play(t,
		step{call: `writev 7 ["a"]`, n: 1},
		step{call: `sendfile 8 9 0 1`, n: 1},
		step{call: "setsockopt 8 21 3s"}, // SO_SNDTIMEO
		step{call: `writev 8 ["c"]`, n: 1},
	)
	c.SetWriteTimeout(10 * time.Second)
	c.Inherited(5 * time.Second)
	_, _ = c.Writev([][]byte{[]byte("a")})
	c.Reset(8, peer)
	_ = c.SendFile(9, 0, 1)
	c.SetWriteTimeout(3 * time.Second) // shorter than what the descriptor has
	_, _ = c.Writev([][]byte{[]byte("c")})
}

func TestWriteWritesAll(t *testing.T) {
	c, _ := play(t,
		step{call: `send 7 "hello" 0x4040`, n: 2, took: 9 * time.Second},
		step{call: `send 7 "llo" 0x4040`, err: sys.EINTR, took: 9 * time.Second},
		step{call: "poll 7 0x4 10s", n: 1, took: 9 * time.Second},
		step{call: `send 7 "llo" 0x4040`, n: 1},
		step{call: `send 7 "lo" 0x4040`, err: sys.EAGAIN},
		step{call: "poll 7 0x4 10s", n: 1, took: 4 * time.Second},
		step{call: `send 7 "lo" 0x4040`, err: sys.EAGAIN}, // another thread was quicker
		step{call: "poll 7 0x4 6s", n: 1},
		step{call: `send 7 "lo" 0x4040`, n: 2},
	)
	c.SetWriteTimeout(10 * time.Second)
	if n, err := c.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatalf("Write = %d, %v: progress starts the limit anew", n, err)
	}
}

func TestWriteTimesOut(t *testing.T) {
	c, _ := play(t,
		step{call: `send 7 "hello" 0x4040`, n: 4},
		step{call: `send 7 "o" 0x4040`, err: sys.EAGAIN},
		step{call: "poll 7 0x4 10s", err: sys.EINTR, took: 4 * time.Second},
		step{call: "poll 7 0x4 6s", n: 0, took: 6 * time.Second},
		step{call: "setsockopt 7 21 10s"}, // SO_SNDTIMEO
		step{call: `writev 7 ["a" "b"]`, n: 1},
		step{call: `writev 7 ["b"]`, err: sys.EAGAIN, took: 10 * time.Second},
	)
	c.SetWriteTimeout(10 * time.Second)
	n, err := c.Write([]byte("hello"))
	if n != 4 {
		t.Errorf("n = %d, want 4", n)
	}
	wantTimeout(t, err)
	m, err := c.Writev([][]byte{[]byte("a"), []byte("b")})
	if m != 1 {
		t.Errorf("n = %d, want 1", m)
	}
	wantTimeout(t, err)
}

func TestWritevTimesOutAfterPoll(t *testing.T) {
	c, _ := play(t,
		step{call: `writev 7 ["a"]`, err: sys.EAGAIN, took: 2 * time.Second},
		step{call: "poll 7 0x4 1s", err: sys.EINTR, took: 400 * time.Millisecond},
		step{call: "poll 7 0x4 600ms", n: 0, took: 600 * time.Millisecond},
	)
	c.SetWriteTimeout(3 * time.Second)
	c.Inherited(2 * time.Second)
	_, err := c.Writev([][]byte{[]byte("a")})
	wantTimeout(t, err)
}

func TestWriteWithoutLimits(t *testing.T) {
	c, _ := play(t,
		step{call: `send 7 "a" 0x4040`, err: sys.EINTR},
		step{call: `send 7 "a" 0x4040`, err: sys.EAGAIN},
		step{call: "poll 7 0x4 -1ns", err: sys.EINTR},
		step{call: `send 7 "a" 0x4040`, n: 1},
		step{call: `writev 7 ["b"]`, err: sys.EAGAIN}, // somebody else's SO_SNDTIMEO
		step{call: "poll 7 0x4 -1ns", n: 1},
		step{call: `writev 7 ["b"]`, n: 1},
	)
	if n, err := c.Write([]byte("a")); n != 1 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if n, err := c.Writev([][]byte{[]byte("b")}); n != 1 || err != nil {
		t.Fatalf("Writev = %d, %v", n, err)
	}
}

func TestErrorKeepsErrno(t *testing.T) {
	c, _ := play(t,
		step{call: "recv 7 -1ns", err: sys.ECONNRESET},
		step{call: `send 7 "a" 0x4040`, err: sys.EPIPE},
	)
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, sys.ECONNRESET) {
		t.Errorf("Read: %v", err)
	}
	if got, want := err.Error(), "read tcp 127.0.0.1:80->192.0.2.7:4711: "+sys.ECONNRESET.Error(); got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if _, err := c.Write([]byte("a")); !errors.Is(err, sys.EPIPE) {
		t.Errorf("Write: %v", err)
	}
}

func TestWritevResumesWithinABuffer(t *testing.T) {
	c, _ := play(t,
		step{call: `writev 7 ["head" "body" ""]`, n: 2},
		step{call: `writev 7 ["ad" "body" ""]`, n: 4},
		step{call: `writev 7 ["dy" ""]`, n: 2},
	)
	n, err := c.Writev([][]byte{nil, []byte("head"), []byte("body"), {}})
	if n != 8 || err != nil {
		t.Errorf("Writev = %d, %v", n, err)
	}
}

func TestSendFile(t *testing.T) {
	c, _ := play(t,
		step{call: "sendfile 7 9 100 50", n: 30},
		step{call: "sendfile 7 9 130 20", err: sys.EINTR},
		step{call: "sendfile 7 9 130 20", n: 20},
		step{call: "sendfile 7 9 0 10", n: 4},
		step{call: "sendfile 7 9 4 6", n: 0},
		step{call: "sendfile 7 9 0 2147479552", n: 2147479552},
		step{call: "sendfile 7 9 2147479552 1", n: 1},
	)
	if err := c.SendFile(9, 100, 50); err != nil {
		t.Error(err)
	}
	if err := c.SendFile(9, 0, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("SendFile past the end: %v", err)
	}
	if err := c.SendFile(9, 0, 0x7ffff001); err != nil {
		t.Error(err)
	}
}

// file is a reader with a descriptor.
type file struct{ io.Reader }

func (file) Fd() uintptr { return 9 }

func TestReadFrom(t *testing.T) {
	c, _ := play(t,
		step{call: "sendfile 7 9 -1 10", n: 6},
		step{call: "sendfile 7 9 -1 4", n: 0},
		step{call: "sendfile 7 9 -1 3", err: sys.EINVAL},
		step{call: `send 7 "abc" 0x4040`, n: 3},
		step{call: `send 7 "de" 0x4040`, n: 2},
	)
	l := &io.LimitedReader{R: file{}, N: 10}
	if n, err := c.ReadFrom(l); n != 6 || err != nil || l.N != 4 {
		t.Errorf("ReadFrom = %d, %v with %d left", n, err, l.N)
	}
	if n, err := c.ReadFrom(&io.LimitedReader{R: file{strings.NewReader("abcdef")}, N: 3}); n != 3 || err != nil {
		t.Errorf("ReadFrom of what sendfile refuses = %d, %v", n, err)
	}
	if n, err := c.ReadFrom(onlyReader{strings.NewReader("de")}); n != 2 || err != nil {
		t.Errorf("ReadFrom of a reader = %d, %v", n, err)
	}
}

// onlyReader hides WriteTo.
type onlyReader struct{ io.Reader }

func TestDeadlines(t *testing.T) {
	c, s := play(t,
		step{call: "recv 7 3s", err: sys.EINTR, took: 2 * time.Second},
		step{call: "recv 7 1s", err: sys.EAGAIN, took: time.Second},
		step{call: "recv 7 10s", n: 1},
		step{call: "recv 7 1h0m0s", n: 1},
		step{call: "recv 7 10s", n: 1},
		step{call: `send 7 "x" 0x4040`, err: sys.EAGAIN},
		step{call: "poll 7 0x4 4s", n: 0, took: 4 * time.Second},
		step{call: `setsockopt 7 21 2s`},
		step{call: `writev 7 ["x"]`, err: sys.EAGAIN, took: 2 * time.Second},
	)
	c.SetReadTimeout(10 * time.Second)
	if err := c.SetDeadline(s.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := []byte("x")
	_, err := c.Read(p)
	wantTimeout(t, err)
	_, err = c.Read(p) // over: no call is made
	wantTimeout(t, err)
	_, err = c.Write(p)
	wantTimeout(t, err)
	_ = c.SetReadDeadline(s.Now().Add(-time.Hour))
	_, err = c.Read(p)
	wantTimeout(t, err)
	read := func(what string) {
		t.Helper()
		if n, err := c.Read(p); n != 1 || err != nil {
			t.Errorf("Read %s = %d, %v", what, n, err)
		}
	}
	_ = c.SetReadDeadline(s.Now().Add(time.Hour))
	read("with a shorter limit")
	c.SetIdle(true)
	read("without limit")
	c.SetIdle(false)
	_ = c.SetReadDeadline(time.Time{})
	read("without deadline")
	_ = c.SetWriteDeadline(s.Now().Add(4 * time.Second))
	_, err = c.Write([]byte("x"))
	wantTimeout(t, err)
	_ = c.SetWriteDeadline(s.Now().Add(2 * time.Second))
	_, err = c.Writev([][]byte{[]byte("x")})
	wantTimeout(t, err)
}

func TestClose(t *testing.T) {
	c, _ := play(t,
		step{call: "shutdown 7 1"},
		step{call: "shutdown 7 0", err: sys.ENOTCONN},
		step{call: "close 7", err: sys.EIO},
	)
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if err := c.CloseRead(); !errors.Is(err, sys.ENOTCONN) {
		t.Error(err)
	}
	if err := c.Close(); !errors.Is(err, sys.EIO) {
		t.Error(err)
	}
	p := make([]byte, 1)
	_, rerr := c.Read(p)
	_, werr := c.Write(p)
	for _, err := range []error{c.Close(), rerr, werr, c.CloseWrite(), c.SendFile(3, 0, 1)} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if c.Fd() != -1 {
		t.Errorf("Fd = %d", c.Fd())
	}
}

func TestMove(t *testing.T) {
	c, _ := play(t)
	other := &script{t: t, steps: []step{{call: "recv 7 -1ns", n: 1}}}
	c.Move(other)
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

func TestAddresses(t *testing.T) {
	c, s := play(t, step{call: "getsockname 7"})
	c.local = sys.SockAddr{}
	if a, ok := c.LocalAddr().(*net.TCPAddr); !ok || a.String() != "127.0.0.1:80" {
		t.Errorf("LocalAddr = %v", a)
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); !ok || a.String() != "192.0.2.7:4711" {
		t.Errorf("RemoteAddr = %v", a)
	}
	six := sys.InetAddr(netip.MustParseAddrPort("[fe80::1%eth0]:443"))
	if got := New(s, 3, local, six).RemoteAddr().String(); got != "[fe80::1%eth0]:443" {
		t.Errorf("RemoteAddr = %s", got)
	}
	unix := sys.UnixAddr("@bus")
	if a, ok := New(s, 3, unix, unix).RemoteAddr().(*net.UnixAddr); !ok || a.String() != "@bus" {
		t.Errorf("RemoteAddr = %v", a)
	}
	c.Reset(8, sys.InetAddr(netip.MustParseAddrPort("192.0.2.8:1")))
	if got := c.RemoteAddr().String(); got != "192.0.2.8:1" {
		t.Errorf("RemoteAddr after Reset = %s", got)
	}
}

// sink answers every call at once.
type sink struct{ sys.Sys }

func (sink) RecvTimeout(int, []byte, time.Duration) (int, error)  { return 1, nil }
func (sink) Send(_ int, p []byte, _ int) (int, error)             { return len(p), nil }
func (sink) SetsockoptTimeval(_, _, _ int, _ time.Duration) error { return nil }
func (sink) Writev(_ int, bufs [][]byte) (int, error)             { return len(bufs[0]) + len(bufs[1]), nil }
func (sink) Sendfile(_, _ int, _ int64, n int) (int, error)       { return n, nil }
func (sink) Poll([]sys.PollFd, time.Duration) (int, error)        { return 1, nil }
func (sink) Monotonic() time.Duration                             { return 0 }

func TestNoAllocation(t *testing.T) {
	c := New(sink{}, 7, local, peer)
	c.SetReadTimeout(time.Second)
	c.SetWriteTimeout(time.Second)
	p := make([]byte, 16)
	bufs := make([][]byte, 2)
	for name, fn := range map[string]func(){
		"Read":     func() { _, _ = c.Read(p) },
		"Write":    func() { _, _ = c.Write(p) },
		"Writev":   func() { bufs[0], bufs[1] = p, p; _, _ = c.Writev(bufs) },
		"SendFile": func() { _ = c.SendFile(3, 0, 10) },
		"Addr":     func() { _, _ = c.LocalAddr(), c.RemoteAddr() },
		"Reset":    func() { c.Reset(8, peer) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
