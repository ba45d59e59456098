package conn_test

import (
	"slices"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/real"
)

func TestOnLinux(t *testing.T) {
	if err := exercise(real.New(), t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := exercise(intercept.Wrap(real.New(), "test", faults(t)), t.TempDir()); err != nil {
		t.Errorf("with faults: %v", err)
	}
}

// pair is a Conn with all limits set, and the descriptor of its other end.
func pair(t *testing.T, s sys.Sys) (c *conn.Conn, other int) {
	t.Helper()
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c = conn.New(s, a, sys.UnixAddr(""), sys.UnixAddr(""))
	c.SetReadTimeout(time.Minute)
	c.SetIdleTimeout(time.Second)
	c.SetWriteTimeout(time.Minute)
	t.Cleanup(func() { _ = c.Close(); _ = s.Close(b) })
	return c, b
}

// A request costs one read and one write: the limits cost no call.
func TestCallsOfARequest(t *testing.T) {
	s := real.New()
	var ops []string
	c, other := pair(t, intercept.Wrap(s, "p", intercept.Func(func(c *sys.Call, next func()) {
		ops = append(ops, c.Op)
		next()
	})))
	ops = nil
	p := make([]byte, 64)
	for range 3 {
		if _, err := s.Write(other, []byte("GET /")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(p); err != nil {
			t.Fatal(err)
		}
		c.SetIdle(false)
		if _, err := c.Write([]byte("200 OK")); err != nil {
			t.Fatal(err)
		}
		c.SetIdle(true)
	}
	want := []string{"recv_timeout", "sendto", "recv_timeout", "sendto", "recv_timeout", "sendto"}
	if !slices.Equal(ops, want) {
		t.Errorf("calls %v, want %v", ops, want)
	}
}

func TestNoAllocationOnLinux(t *testing.T) {
	s := real.New()
	c, other := pair(t, s)
	file, err := s.Open("/proc/self/exe", sys.O_RDONLY|sys.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(file)
	p, q := make([]byte, 64), make([]byte, 256)
	bufs := make([][]byte, 2)
	n := testing.AllocsPerRun(100, func() {
		_, _ = s.Write(other, p)
		_, _ = c.Read(q)
		_, _ = c.Write(p)
		bufs[0], bufs[1] = p, p
		_, _ = c.Writev(bufs)
		_ = c.SendFile(file, 0, 64)
		_, _ = s.Read(other, q)
	})
	if n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}
