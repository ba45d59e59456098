package net

import (
	"errors"
	"io"
	stdnet "net"
	"net/netip"
	"sync"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Bridge carries real TCP connections into the simulated network: each that its
// listener accepts becomes one to the simulated address, from the client's real
// address. It is for free-running mode only; its goroutines are outside of the
// machine.
type Bridge struct {
	net  *Net
	to   netip.AddrPort
	real stdnet.Listener
	stop chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	conns   map[stdnet.Conn]struct{}
}

// NewBridge starts to carry connections from l to the simulated address to. Where
// nobody listens there, the client gets a RST. The bridge owns l.
func NewBridge(n *Net, to netip.AddrPort, l stdnet.Listener) *Bridge {
	b := &Bridge{net: n, to: to, real: l, stop: make(chan struct{}), conns: map[stdnet.Conn]struct{}{}}
	b.all.Go(b.accept)
	return b
}

// Close closes the listener, resets all connections and returns when the
// bridge's goroutines have ended.
func (b *Bridge) Close() error {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return nil
	}
	b.stopped = true
	close(b.stop)
	for c := range b.conns {
		kill(c)
	}
	b.mu.Unlock()
	err := b.real.Close()
	b.all.Wait()
	return err
}

func (b *Bridge) accept() {
	for {
		c, err := b.real.Accept()
		if err != nil {
			if errors.Is(err, stdnet.ErrClosed) {
				return
			}
			select {
			case <-b.stop:
				return
			case <-time.After(10 * time.Millisecond): // out of descriptors: they come back
			}
			continue
		}
		b.mu.Lock()
		if b.stopped {
			b.mu.Unlock()
			kill(c)
			return
		}
		b.conns[c] = struct{}{}
		b.all.Go(func() {
			b.carry(c)
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
		})
		b.mu.Unlock()
	}
}

// kill closes a real connection with a RST.
func kill(c stdnet.Conn) {
	if tcp, ok := c.(*stdnet.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// carried is one connection: the real one and its simulated end.
type carried struct {
	b    *Bridge
	real stdnet.Conn
	sim  *socket
	in   chan struct{} // holds a token when sim may have become writable
	out  chan struct{} // holds a token when sim may have become readable
}

// Notify implements sched.Watcher.
func (c *carried) Notify(int16) bool {
	for _, ch := range []chan struct{}{c.in, c.out} {
		select {
		case ch <- struct{}{}:
		default: // there is a token
		}
	}
	return false
}

// await waits for a token. It is false when the bridge stops.
func (c *carried) await(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	case <-c.b.stop:
		return false
	}
}

var errStopped = errors.New("net: the bridge stopped")

func (b *Bridge) carry(real stdnet.Conn) {
	c := &carried{b: b, real: real, in: make(chan struct{}, 1), out: make(chan struct{}, 1)}
	c.sim = b.net.external(real.RemoteAddr(), b.to)
	c.sim.q.Watch(c, false)
	defer c.sim.q.Unwatch(c)
	if err := c.connect(); err != nil {
		kill(real)
		c.sim.abort(nil)
		return
	}
	var fromReal, toReal error
	var both sync.WaitGroup
	both.Go(func() {
		if fromReal = c.fromReal(); fromReal != nil {
			kill(real)
			c.sim.abort(nil)
		}
	})
	both.Go(func() {
		if toReal = c.toReal(); toReal != nil {
			kill(real)
			c.sim.abort(nil)
		}
	})
	both.Wait()
	if fromReal == nil && toReal == nil {
		c.sim.close(nil)
		real.Close()
	}
}

// external is the end of a client outside of the machine.
func (n *Net) external(from stdnet.Addr, to netip.AddrPort) *socket {
	domain := sys.AF_INET
	if !to.Addr().Unmap().Is4() {
		domain = sys.AF_INET6
	}
	s := n.newSocket(domain, sys.SOCK_STREAM)
	if tcp, ok := from.(*stdnet.TCPAddr); ok {
		s.local.Addr = inFamily(domain, tcp.AddrPort())
	}
	s.remote = sys.SockAddr{Family: domain, Addr: to}
	return s
}

func (c *carried) connect() error {
	s := c.sim
	l := c.b.net.lookup(c.b.to, s.local.Addr.Port())
	s.mu.Lock()
	s.state = synSent
	s.from = l
	s.mu.Unlock()
	if l == nil || l.offer(s) != nil {
		return sys.ECONNREFUSED
	}
	for {
		err := s.connectResult()
		if err != sys.EALREADY {
			return err
		}
		if !c.await(c.out) {
			return errStopped
		}
	}
}

// finTimeout is net.ipv4.tcp_fin_timeout: how long a client may keep its half
// open after the server closed both.
const finTimeout = 60 * time.Second

// fromReal carries bytes in, until the client's FIN.
func (c *carried) fromReal() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := c.real.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			sent, err := c.sim.trySend(p, nil)
			if err == sys.EAGAIN {
				if !c.await(c.in) {
					return errStopped
				}
			} else if err != nil {
				return err
			}
			p = p[sent:]
		}
		if c.sim.hadReset() {
			return sys.ECONNRESET
		}
		if err == io.EOF {
			c.sim.mu.Lock()
			peer := c.sim.sendFin()
			c.sim.mu.Unlock()
			if peer != nil {
				peer.fin()
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *socket) hadReset() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wasReset
}

// toReal carries bytes out, until the server's FIN.
func (c *carried) toReal() error {
	buf := make([]byte, 32<<10)
	for {
		m, err := c.sim.tryRecv(buf, false)
		switch {
		case err == sys.EAGAIN:
			if !c.await(c.out) {
				return errStopped
			}
			continue
		case err != nil:
			return err
		case m.n == 0:
			if c.sim.peerDead() {
				c.real.SetReadDeadline(time.Now().Add(finTimeout))
			}
			if tcp, ok := c.real.(*stdnet.TCPConn); ok {
				return tcp.CloseWrite()
			}
			return nil
		}
		if _, err := c.real.Write(buf[:m.n]); err != nil {
			return err
		}
	}
}

func (s *socket) peerDead() bool {
	s.mu.Lock()
	peer := s.peer
	s.mu.Unlock()
	return peer != nil && peer.isDead()
}
