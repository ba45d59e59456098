package real

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// ends is a connected pair of stream sockets.
func ends(t testing.TB, s sys.Sys) (a, b int) {
	t.Helper()
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, a, b)
	return a, b
}

// registers makes a RecvTimeout of fd wait in vain, after which it is
// registered with the poller.
func registers(t *testing.T, s sys.Sys, fd int) {
	t.Helper()
	_, err := s.RecvTimeout(fd, make([]byte, 1), time.Millisecond)
	fails(t, err, sys.EAGAIN)
	if registered(fd) == nil {
		t.Fatal("the poller did not take the socket")
	}
}

func send(t *testing.T, s sys.Sys, fd int, text string) {
	t.Helper()
	n, err := s.Write(fd, []byte(text))
	if n != len(text) || err != nil {
		t.Fatal(n, err)
	}
}

// receives reads text from fd, waiting at most timeout.
func receives(t *testing.T, s sys.Sys, fd int, timeout time.Duration, text string) {
	t.Helper()
	p := make([]byte, 64)
	n, err := s.RecvTimeout(fd, p, timeout)
	if err != nil || string(p[:n]) != text {
		t.Errorf("got %q, %v, want %q", p[:max(n, 0)], err, text)
	}
}

func TestRecvTimeout(t *testing.T) {
	s := New()
	a, b := ends(t, s)
	p := make([]byte, 64)

	// What is there is taken at once, and costs no registration.
	send(t, s, b, "one")
	receives(t, s, a, -1, "one")
	_, err := s.RecvTimeout(a, p, 0)
	fails(t, err, sys.EAGAIN)
	if registered(a) != nil {
		t.Error("registered without need")
	}

	// The timer that is armed for a longer limit, or a shorter one that fired
	// long ago, must not be the one that counts.
	for _, timeout := range []time.Duration{20, 5, 40, 1, 0, 10} {
		timeout *= time.Millisecond
		before := s.Monotonic()
		_, err := s.RecvTimeout(a, p, timeout)
		fails(t, err, sys.EAGAIN)
		if took := s.Monotonic() - before; took < timeout {
			t.Errorf("a limit of %v ended after %v", timeout, took)
		}
	}

	// Data that comes before the wait, in it, and after a timer has fired.
	for _, timeout := range []time.Duration{0, time.Millisecond, time.Hour, -1, 1<<63 - 1} {
		send(t, s, b, "two")
		receives(t, s, a, timeout, "two")
	}
	ping := func(delay time.Duration) {
		ok(t, s.Go("sender", func(s sys.Sys) {
			_ = s.Nanosleep(delay)
			_, _ = s.Write(b, []byte("three"))
		}))
	}
	for range 20 {
		ping(0)
		receives(t, s, a, -1, "three")
		ping(100 * time.Microsecond)
		receives(t, s, a, time.Hour, "three")
	}
	_, err = s.RecvTimeout(a, p, time.Millisecond)
	fails(t, err, sys.EAGAIN)
	ping(5 * time.Millisecond)
	receives(t, s, a, -1, "three")

	// What is not taken is found by the next call.
	send(t, s, b, "four")
	for _, want := range []string{"fo", "ur"} {
		if n, err := s.RecvTimeout(a, p[:2], time.Hour); string(p[:n]) != want || err != nil {
			t.Errorf("got %q, %v, want %q", p[:n], err, want)
		}
	}

	// Data and the end at once are two results.
	send(t, s, b, "last")
	ok(t, s.Shutdown(b, sys.SHUT_WR))
	receives(t, s, a, -1, "last")
	for range 2 {
		receives(t, s, a, -1, "")
	}
}

func TestRecvTimeoutIgnoresModeAndOption(t *testing.T) {
	s := New()
	a, b := ends(t, s)
	ok(t, s.SetsockoptTimeval(a, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Microsecond))
	_, err := s.Fcntl(a, sys.F_SETFL, sys.O_NONBLOCK)
	ok(t, err)
	ok(t, s.Go("sender", func(s sys.Sys) {
		_ = s.Nanosleep(5 * time.Millisecond)
		_, _ = s.Write(b, []byte("x"))
	}))
	receives(t, s, a, time.Minute, "x")
}

func TestRecvTimeoutErrors(t *testing.T) {
	s := New()
	p := make([]byte, 1)
	for fd, want := range map[int]sys.Errno{
		-1:                              sys.EBADF,
		1 << 19:                         sys.EBADF,
		1 << 30:                         sys.EBADF,
		openRW(t, s, create(t, "text")): sys.ENOTSOCK,
		socket(t, s, sys.AF_UNIX, sys.SOCK_STREAM): sys.EINVAL,
		socket(t, s, sys.AF_INET, sys.SOCK_STREAM): sys.ENOTCONN,
	} {
		_, err := s.RecvTimeout(fd, p, -1)
		fails(t, err, want)
	}

	// A reset is told to who waits, and takes the descriptor's end with it.
	l, at := listen(t, s, sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:0")))
	c := socket(t, s, sys.AF_INET, sys.SOCK_STREAM)
	ok(t, s.Connect(c, at))
	fd, _, err := s.Accept4(l, sys.SOCK_CLOEXEC)
	ok(t, err)
	closing(t, s, fd)
	registers(t, s, fd)
	send(t, s, fd, "unread")
	ok(t, s.Go("resetter", func(s sys.Sys) {
		_ = s.Nanosleep(5 * time.Millisecond)
		_ = s.Close(c) // with unread data: a RST
	}))
	_, err = s.RecvTimeout(fd, p, -1)
	fails(t, err, sys.ECONNRESET)
	receives(t, s, fd, -1, "")
}

func TestRecvTimeoutOfDescriptorsUsedAgain(t *testing.T) {
	s := New()
	p := make([]byte, 1)
	for name, closeIt := range map[string]func(fd, spare int) error{
		"close":       func(fd, _ int) error { return s.Close(fd) },
		"close_range": func(fd, _ int) error { return s.CloseRange(uint(fd), uint(fd), 0) },
		"dup3":        func(fd, spare int) error { return s.Dup3(spare, fd, sys.O_CLOEXEC) },
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := ends(t, s)
			registers(t, s, a)
			spare, b := ends(t, s)
			// A duplicate keeps the old socket alive: closing a does not take it
			// out of the poller by itself.
			dup, err := s.Fcntl(a, sys.F_DUPFD_CLOEXEC, 0)
			ok(t, err)
			closing(t, s, dup)
			ok(t, closeIt(a, spare))
			if registered(a) != nil {
				t.Error("still registered")
			}
			if name != "dup3" {
				ok(t, s.Dup3(spare, a, sys.O_CLOEXEC)) // a is another socket now
			}
			_, err = s.RecvTimeout(a, p, time.Millisecond)
			fails(t, err, sys.EAGAIN)
			send(t, s, b, "new")
			receives(t, s, a, time.Minute, "new")
		})
	}
	// CLOEXEC closes nothing.
	a, _ := ends(t, s)
	registers(t, s, a)
	ok(t, s.CloseRange(uint(a), uint(a), sys.CLOSE_RANGE_CLOEXEC))
	if registered(a) == nil {
		t.Error("CLOSE_RANGE_CLOEXEC took the registration away")
	}
}

// Shutdown ends a wait with the end, and close one with EBADF at the latest when
// the descriptor is used again.
func TestRecvTimeoutIsWoken(t *testing.T) {
	s := New()
	for name, tt := range map[string]struct {
		by   func(s sys.Sys, fd int) error
		want error
	}{
		"shutdown": {func(s sys.Sys, fd int) error { return s.Shutdown(fd, sys.SHUT_RD) }, nil},
		"close":    {func(s sys.Sys, fd int) error { return s.Close(fd) }, sys.EBADF},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := ends(t, s)
			registers(t, s, a)
			result := make(chan error)
			ok(t, s.Go("reader", func(s sys.Sys) {
				n, err := s.RecvTimeout(a, make([]byte, 1), -1)
				if err == nil && n != 0 {
					t.Errorf("%d bytes from nowhere", n)
				}
				result <- err
			}))
			for !registered(a).busy.Load() {
				_ = s.Nanosleep(time.Millisecond)
			}
			_ = s.Nanosleep(5 * time.Millisecond) // most often enough for it to be parked
			ok(t, tt.by(s, a))
			if err := <-result; err != tt.want {
				t.Errorf("the wait ended with %v, want %v", err, tt.want)
			}
		})
	}
}

// The poller knows one waiter a descriptor; others must get their share too.
func TestRecvTimeoutByManyThreads(t *testing.T) {
	s := New()
	a, b := ends(t, s)
	registers(t, s, a)
	const threads = 4
	got := make(chan error, threads)
	for range threads {
		ok(t, s.Go("reader", func(s sys.Sys) {
			got <- sys.Retry(func() error { // those who wait in poll(2) may be interrupted
				n, err := s.RecvTimeout(a, make([]byte, 1), time.Minute)
				if err == nil && n != 1 {
					err = sys.EIO
				}
				return err
			})
		}))
	}
	for range threads {
		send(t, s, b, "x")
	}
	for range threads {
		ok(t, <-got)
	}
}

// A hundred waiting threads hold no OS thread each.
func TestRecvTimeoutHoldsNoOSThread(t *testing.T) {
	s := New()
	tasks := func() int {
		list, err := os.ReadDir("/proc/self/task")
		ok(t, err)
		return len(list)
	}
	before := tasks()
	const threads = 100
	done := make(chan error, threads)
	var fds, others [threads]int
	for i := range threads {
		fds[i], others[i] = ends(t, s)
		registers(t, s, fds[i])
		ok(t, s.Go("reader", func(s sys.Sys) {
			_, err := s.RecvTimeout(fds[i], make([]byte, 1), -1)
			done <- err
		}))
	}
	for _, fd := range fds {
		for !registered(fd).busy.Load() {
			_ = s.Nanosleep(time.Millisecond)
		}
	}
	if n := tasks(); n > before+threads/2 {
		t.Errorf("%d OS threads before, %d while %d threads wait", before, n, threads)
	}
	for _, fd := range others {
		send(t, s, fd, "x")
	}
	for range threads {
		ok(t, <-done)
	}
}

// Once a socket is registered and its timer armed, waiting allocates nothing
// and a request is a recvfrom that finds nothing, and one that finds it.
func TestRecvTimeoutDoesNotAllocate(t *testing.T) {
	s := New()
	a, b := ends(t, s)
	registers(t, s, a)
	ok(t, s.Go("echo", func(s sys.Sys) {
		p := make([]byte, 1)
		for {
			n, err := s.RecvTimeout(b, p, time.Minute)
			if n <= 0 || err != nil {
				return
			}
			_, _ = s.Send(b, p, sys.MSG_NOSIGNAL)
		}
	}))
	p := make([]byte, 1)
	var err error
	if n := testing.AllocsPerRun(100, func() {
		if _, e := s.Send(a, p, sys.MSG_NOSIGNAL); e != nil {
			err = e
		}
		if _, e := s.RecvTimeout(a, p, time.Minute); e != nil {
			err = e
		}
	}); n != 0 || err != nil {
		t.Errorf("%v allocations, error %v", n, err)
	}
	ok(t, s.Shutdown(a, sys.SHUT_RDWR))
}

func BenchmarkRecvTimeoutPingPong(b *testing.B) {
	s := New()
	x, y := ends(b, s)
	ok(b, s.Go("echo", func(s sys.Sys) {
		p := make([]byte, 1)
		for {
			if n, err := s.RecvTimeout(y, p, time.Minute); n <= 0 || err != nil {
				return
			}
			_, _ = s.Send(y, p, sys.MSG_NOSIGNAL)
		}
	}))
	p := make([]byte, 1)
	b.ReportAllocs()
	for range b.N {
		if _, err := s.Send(x, p, sys.MSG_NOSIGNAL); err != nil {
			b.Fatal(err)
		}
		if _, err := s.RecvTimeout(x, p, time.Minute); err != nil {
			b.Fatal(err)
		}
	}
	ok(b, s.Shutdown(x, sys.SHUT_RDWR))
}
