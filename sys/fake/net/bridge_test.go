package net

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	stdnet "net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// bridged is a free-running machine with a server on port 80, reached through a
// bridge. serve is called for each connection, in a thread of its own.
type bridged struct {
	*machine
	b      *Bridge
	addr   string
	served sync.WaitGroup
}

func newBridged(t *testing.T, serve func(t *vfs.Task, c *vfs.Description, peer sys.SockAddr)) *bridged {
	goroutines := runtime.NumGoroutine()
	m := &bridged{machine: newMachine(t, sched.FreeRunning)}
	ready := make(chan *vfs.Description, 1)
	m.start(1, func(t *vfs.Task) {
		l := m.listen(t, 80, 16)
		ready <- l
		for i := 100; ; i++ {
			t.Thread.Switch()
			c, peer, err := m.n.Accept(t, l, 0)
			if err != nil {
				m.must(err)
				return
			}
			m.served.Add(1)
			m.start(i, func(t *vfs.Task) {
				defer m.served.Done()
				serve(t, c, peer)
			})
		}
	})
	l := <-ready
	real, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = real.Addr().String()
	m.b = NewBridge(m.n, netip.MustParseAddrPort("127.0.0.1:80"), real)
	t.Cleanup(func() {
		m.must(m.b.Close())
		m.must(m.b.Close())
		m.served.Wait()
		m.Stop()
		l.Decref(nil)
		for range 100 { // goroutines that have returned take a moment to be gone
			if runtime.NumGoroutine() <= goroutines {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
	})
	return m
}

func (m *bridged) dialReal() *stdnet.TCPConn {
	c, err := stdnet.Dial("tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	return c.(*stdnet.TCPConn)
}

func TestBridgeEcho(t *testing.T) {
	peers := make(chan sys.SockAddr, 16)
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, peer sys.SockAddr) {
		peers <- peer
		defer c.Decref(t)
		p := make([]byte, 100)
		for {
			n, err := c.Read(t, p)
			if err != nil || n == 0 {
				return
			}
			if _, err := c.Write(t, p[:n]); err != nil {
				return
			}
		}
	})
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			c, err := stdnet.Dial("tcp", m.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for round := range 20 {
				msg := fmt.Sprint("client ", i, " round ", round)
				io.WriteString(c, msg)
				got := make([]byte, len(msg))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != msg {
					t.Errorf("%q %v, want %q", got, err, msg)
				}
			}
		})
	}
	all.Wait()
	c := m.dialReal()
	for range 10 {
		<-peers
	}
	if peer := <-peers; peer.String() != c.LocalAddr().String() {
		t.Errorf("the server sees %v, the client is %v", peer, c.LocalAddr())
	}
}

// Half-close and large transfers, both ways at once, against back pressure.
func TestBridgeLargeTransfers(t *testing.T) {
	up := bytes.Repeat([]byte("upwards!"), 1<<18)
	down := bytes.Repeat([]byte("down"), 1<<19)
	got := make(chan []byte, 1)
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, _ sys.SockAddr) {
		defer c.Decref(t)
		var b bytes.Buffer
		p := make([]byte, 10000)
		for {
			n, err := c.Read(t, p)
			if err != nil || n == 0 {
				break
			}
			b.Write(p[:n])
		}
		got <- b.Bytes()
		c.Write(t, down) // after the client's FIN
	})
	c := m.dialReal()
	if _, err := c.Write(up); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(all, down) {
		t.Errorf("%d bytes down, %v", len(all), err)
	}
	if b := <-got; !bytes.Equal(b, up) {
		t.Errorf("%d bytes up", len(b))
	}
}

func TestBridgeServerResets(t *testing.T) {
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, _ sys.SockAddr) {
		Poll(t, []PollItem{{Desc: c, Events: sys.POLLIN}}, sched.Forever)
		c.Decref(t) // with unread data
	})
	c := m.dialReal()
	io.WriteString(c, "unread")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func TestBridgeClientResets(t *testing.T) {
	result := make(chan error, 1)
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, _ sys.SockAddr) {
		defer c.Decref(t)
		_, err := c.Read(t, make([]byte, 1))
		result <- err
	})
	c := m.dialReal()
	c.SetLinger(0)
	c.Close()
	if err := <-result; err != sys.ECONNRESET {
		t.Error(err)
	}
}

func TestBridgeWriteAfterServerClosed(t *testing.T) {
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, _ sys.SockAddr) { c.Decref(t) })
	c := m.dialReal()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatal(n, err)
	}
	io.WriteString(c, "into the void")
	for range 1000 { // the RST comes from the bridge, asynchronously
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("no error")
}

func TestBridgeRefused(t *testing.T) {
	m := newBridged(t, nil)
	real, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := NewBridge(m.n, netip.MustParseAddrPort("127.0.0.1:81"), real)
	defer nobody.Close()
	c, err := stdnet.Dial("tcp", real.Addr().String())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// Closing the bridge ends connections in every state, and frees its clients.
func TestBridgeClose(t *testing.T) {
	m := newBridged(t, func(t *vfs.Task, c *vfs.Description, _ sys.SockAddr) {
		defer c.Decref(t)
		c.Write(t, make([]byte, 8<<20)) // more than anybody takes
	})
	for range 3 {
		c := m.dialReal()
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	m.must(m.b.Close())
	m.served.Wait() // the writers got ECONNRESET
}

// A client that waits for room in the backlog gets it.
func TestBridgeFullBacklog(t *testing.T) {
	m := newMachine(t, sched.FreeRunning)
	ready, goOn := make(chan *vfs.Description, 1), make(chan struct{})
	m.start(1, func(t *vfs.Task) {
		l := m.listen(t, 80, 0)
		ready <- l
		<-goOn
		for {
			t.Thread.Switch()
			c, _, err := m.n.Accept(t, l, 0)
			if err != nil {
				m.must(err)
				return
			}
			c.Write(t, []byte("hello"))
			c.Decref(t)
		}
	})
	l := <-ready
	real, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := NewBridge(m.n, netip.MustParseAddrPort("127.0.0.1:80"), real)
	var all sync.WaitGroup
	for range 5 {
		c, err := stdnet.Dial("tcp", real.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
				t.Errorf("%q %v", got, err)
			}
		})
	}
	close(goOn)
	all.Wait()
	m.must(b.Close())
	m.Stop()
	l.Decref(nil)
}
