package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/thread"
)

// exercise talks over a TCP connection to itself, from two threads, and says
// what was wrong. dir is where it may make a file.
func exercise(s sys.Sys, dir string) error {
	const limit = 20 * time.Millisecond
	lfd, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := s.Bind(lfd, sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:0"))); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	// The connection inherits it.
	if err := s.SetsockoptTimeval(lfd, sys.SOL_SOCKET, sys.SO_SNDTIMEO, limit); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	if err := s.Listen(lfd, 8); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	addr, err := s.Getsockname(lfd)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}

	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<15) // 512 KiB: more than the buffers hold
	path := dir + "/body"
	file, err := s.Open(path, sys.O_RDWR|sys.O_CREAT|sys.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := sys.WriteAll(s, file, body); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	var client error
	var wg thread.WaitGroup
	wg.Add(1)
	err = s.Go("client", func(s sys.Sys) {
		defer wg.Done(s)
		client = talk(s, addr, body)
	})
	if err != nil {
		return fmt.Errorf("Go: %w", err)
	}

	fd, peer, err := s.Accept4(lfd, sys.SOCK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("accept4: %w", err)
	}
	c := conn.New(s, fd, sys.SockAddr{}, peer)
	c.Inherited(limit)
	c.SetReadTimeout(limit)
	c.SetWriteTimeout(time.Minute)

	// The client sends nothing until it has been greeted.
	before := s.Monotonic()
	p := make([]byte, 16)
	_, err = c.Read(p)
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		return fmt.Errorf("read of nothing: %v, want a timeout", err)
	}
	if took := s.Monotonic() - before; took < limit/2 {
		return fmt.Errorf("a limit of %v ended after %v", limit, took)
	}
	c.SetReadTimeout(time.Minute)

	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	n, err := io.ReadFull(c, p[:5])
	if string(p[:n]) != "world" || err != nil {
		return fmt.Errorf("read %q, %v", p[:n], err)
	}
	if got := c.LocalAddr().String(); got != addr.String() {
		return fmt.Errorf("LocalAddr is %s, want %s", got, addr)
	}
	if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok || c.RemoteAddr().String() != peer.String() {
		return fmt.Errorf("RemoteAddr is %v, want %v", c.RemoteAddr(), peer)
	}

	// The body goes out four times, by all ways there are, and each meets a
	// full socket buffer.
	if _, err := c.Write(body); err != nil {
		return err
	}
	if n, err := c.Writev([][]byte{body[:7], body[7:5000], body[5000:]}); n != int64(len(body)) || err != nil {
		return fmt.Errorf("writev wrote %d, %v", n, err)
	}
	if err := c.SendFile(file, 0, int64(len(body))); err != nil {
		return err
	}
	if _, err := s.Lseek(file, 0, sys.SEEK_SET); err != nil {
		return fmt.Errorf("lseek: %w", err)
	}
	if n, err := c.ReadFrom(io.LimitReader(fdReader(file), int64(len(body)))); n != int64(len(body)) || err != nil {
		return fmt.Errorf("ReadFrom copied %d, %v", n, err)
	}
	if err := c.SendFile(file, int64(len(body))-1, 2); !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("SendFile past the end: %v", err)
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if n, err := c.Read(p); n != 0 || err != io.EOF {
		return fmt.Errorf("read at the end: %d, %v", n, err)
	}
	if err := c.Close(); err != nil {
		return err
	}
	wg.Wait(s)
	return client
}

// fdReader is a file that only sendfile can read.
type fdReader int

func (f fdReader) Fd() uintptr              { return uintptr(f) }
func (f fdReader) Read([]byte) (int, error) { return 0, errors.New("read instead of sendfile") }

// talk is the client: it waits for the greeting, answers, and reads the body
// four times and one byte.
func talk(s sys.Sys, addr sys.SockAddr, body []byte) error {
	fd, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("client: socket: %w", err)
	}
	if err := s.Connect(fd, addr); err != nil {
		return fmt.Errorf("client: connect: %w", err)
	}
	c := conn.New(s, fd, sys.SockAddr{}, addr)
	defer c.Close()
	c.SetReadTimeout(time.Minute)
	p := make([]byte, 5)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
		return fmt.Errorf("client: greeting %q, %v", p, err)
	}
	if _, err := c.Write([]byte("world")); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	want := append(bytes.Repeat(body, 4), body[len(body)-1])
	all := make([]byte, len(want)+1)
	n, err := io.ReadFull(c, all)
	if err != io.ErrUnexpectedEOF {
		return fmt.Errorf("client: read %d bytes, %v", n, err)
	}
	all = all[:n]
	if !bytes.Equal(all, want) {
		return fmt.Errorf("client: got %d bytes, want %d, or other ones", len(all), len(want))
	}
	return nil
}

func run(t *testing.T, cfg fake.Config, around ...intercept.Interceptor) {
	t.Helper()
	m := fake.Boot(cfg)
	defer m.Close()
	err := errors.New("it did not end")
	pid := m.StartFunc("test", func(s sys.Sys) int {
		err = exercise(intercept.Wrap(s, "test", around...), "/tmp")
		return 0
	})
	if status, werr := m.Wait(pid); werr != nil || status != 0 || err != nil {
		t.Errorf("seed %d: %v, status %v, %v", cfg.Seed, err, status, werr)
	}
}

func TestOnSimulatedKernel(t *testing.T) {
	for seed := range uint64(3) {
		run(t, fake.Config{Mode: fake.Deterministic, Seed: seed})
	}
}

func TestOnSimulatedKernelFreeRunning(t *testing.T) {
	run(t, fake.Config{Mode: fake.FreeRunning})
}

// faults interrupt and shorten transfers, in both threads.
func faults(t *testing.T) *fault.Injector {
	t.Helper()
	rules, err := fault.ParseAll(`
		recv_timeout #2 = EINTR
		recv_timeout #7 = EINTR
		sendto #2 = EINTR
		sendto #3 short 1
		writev #1 = EINTR
		writev #2 short 5
		writev #3 short 4000
		sendfile #1 short 1000
		sendfile #2 = EINTR
		sendfile #3 short 1
		poll #1 = EINTR
		recv_timeout short 100000`)
	if err != nil {
		t.Fatal(err)
	}
	return fault.New(rules...)
}

func TestInterruptedAndShortTransfers(t *testing.T) {
	for seed := range uint64(2) {
		j := faults(t)
		run(t, fake.Config{Mode: fake.Deterministic, Seed: seed}, j)
		hit := map[int]bool{}
		for _, h := range j.Hits() {
			hit[h.Rule] = true
		}
		if len(hit) != 12 {
			t.Errorf("seed %d: only the faults %v were met", seed, hit)
		}
	}
}
