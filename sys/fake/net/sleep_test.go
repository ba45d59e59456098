package net

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// machine is some threads over one Net, which log what they do.
type machine struct {
	*sched.Sched
	t    *testing.T
	tree *vfs.Tree
	n    *Net

	running sync.WaitGroup // of the threads

	mu  sync.Mutex
	log []string
}

func newMachine(t *testing.T, mode sched.Mode) *machine {
	tree := vfs.New(time.Unix(0, 0))
	return &machine{Sched: sched.New(mode, 1), t: t, tree: tree, n: New(tree)}
}

func (m *machine) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *machine) start(pid int, fn func(*vfs.Task)) *sched.Thread {
	m.running.Add(1)
	return m.Go(pid, fmt.Sprint("process ", pid), nil, func(th *sched.Thread) {
		defer m.running.Done()
		th.Switch()
		fn(newTask(th, m.tree, pid))
	})
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// after runs fn in a thread at a time.
func (m *machine) after(pid, at int, fn func(*vfs.Task)) *sched.Thread {
	return m.start(pid, func(t *vfs.Task) {
		t.Thread.Sleep(t.Thread.NewWaiter(), ms(at))
		fn(t)
	})
}

func (m *machine) run() {
	m.t.Helper()
	if err := m.Run(nil); err != nil {
		m.t.Fatal(err)
	}
}

// finish runs until no thread is left, in either mode.
func (m *machine) finish() {
	m.t.Helper()
	if m.Mode() == sched.Deterministic {
		m.run()
	} else {
		m.running.Wait()
	}
}

func (m *machine) expect(want ...string) {
	m.t.Helper()
	if !slices.Equal(m.log, want) {
		m.t.Errorf("log:\n\t%s\nwant:\n\t%s", strings.Join(m.log, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func now(t *vfs.Task) time.Duration { return t.Thread.Now().Truncate(time.Millisecond) }

func (m *machine) must(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Error(err)
	}
}

// listen makes a listening socket on port 80, or reports why not.
func (m *machine) listen(t *vfs.Task, port, backlog int) *vfs.Description {
	d, err := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
	m.must(err)
	m.must(m.n.Bind(t, d, at(port)))
	m.must(m.n.Listen(t, d, backlog))
	return d
}

func (m *machine) dial(t *vfs.Task, port int) (*vfs.Description, error) {
	d, err := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
	m.must(err)
	if err := m.n.Connect(t, d, at(port)); err != nil {
		d.Decref(t)
		return nil, err
	}
	return d, nil
}

// pair makes two connected Unix sockets before the machine runs.
func (m *machine) pair(typ int) (a, b *vfs.Description) {
	m.start(1, func(t *vfs.Task) {
		var err error
		a, b, err = m.n.Socketpair(t, sys.AF_UNIX, typ, 0)
		m.must(err)
	})
	m.run()
	return a, b
}

// tcpPair is the same with TCP.
func (m *machine) tcpPair() (client, server *vfs.Description) {
	m.start(1, func(t *vfs.Task) {
		l := m.listen(t, 8080, 1)
		var err error
		client, err = m.dial(t, 8080)
		m.must(err)
		server, _, err = m.n.Accept(t, l, 0)
		m.must(err)
		l.Decref(t)
	})
	m.run()
	return client, server
}

func TestEphemeralPortsGoUp(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	m.start(1, func(t *vfs.Task) {
		for range 3 {
			d, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
			m.must(m.n.Bind(t, d, at(0)))
			a, _ := m.n.Getsockname(t, d)
			m.note("%v", a)
		}
	})
	m.run()
	m.expect("127.0.0.1:32768", "127.0.0.1:32769", "127.0.0.1:32770")
}

func TestLowPortsNeedACapability(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	m.start(1, func(t *vfs.Task) {
		t.Cred = &vfs.Cred{Uid: 1}
		d, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
		m.note("%v", m.n.Bind(t, d, at(1023)))
		t.Cred = &vfs.Cred{Uid: 1, Caps: 1 << sys.CAP_NET_BIND_SERVICE}
		m.note("%v", m.n.Bind(t, d, at(1023)))
	})
	m.run()
	m.expect("permission denied", "<nil>")
}

func TestOtherUsersCannotShareAPort(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	m.start(1, func(t *vfs.Task) {
		for uid := range uint32(2) {
			t.Cred = &vfs.Cred{Uid: uid}
			d, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
			m.must(m.n.SetsockoptInt(t, d, sys.SOL_SOCKET, sys.SO_REUSEPORT, 1))
			m.note("%v", m.n.Bind(t, d, at(8080)))
		}
	})
	m.run()
	m.expect("<nil>", sys.EADDRINUSE.Error())
}

func TestNoOtherNetwork(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	own := netip.MustParseAddr("10.1.2.3")
	m.n = New(m.tree, own)
	m.start(1, func(t *vfs.Task) {
		l, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
		m.must(m.n.Bind(t, l, sys.InetAddr(netip.AddrPortFrom(own, 80))))
		m.must(m.n.Listen(t, l, 1))
		c, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
		m.note("%v", m.n.Connect(t, c, sys.InetAddr(netip.MustParseAddrPort("10.1.2.4:80"))))
		m.note("%v", m.n.Connect(t, c, sys.InetAddr(netip.AddrPortFrom(own, 80))))
		a, _ := m.n.Getsockname(t, c)
		m.note("%v", a)
		m.note("%v", m.n.Listeners())
	})
	m.run()
	m.expect(sys.ENETUNREACH.Error(), "<nil>", "10.1.2.3:32768", "[10.1.2.3:80]")
}

func TestTimeWaitEnds(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	client, server := m.tcpPair()
	m.start(1, func(t *vfs.Task) {
		server.Decref(t)
		client.Decref(t)
		try := func() {
			d, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
			m.note("%v", m.n.Bind(t, d, at(8080)))
		}
		try()
		t.Thread.Sleep(t.Thread.NewWaiter(), 61*time.Second)
		try()
		// Nothing of it is kept when nobody binds, either.
		l := m.listen(t, 80, 1)
		for range 3 {
			c, _ := m.dial(t, 80)
			a, _, _ := m.n.Accept(t, l, 0)
			a.Decref(t)
			c.Decref(t)
			m.note("%d", len(m.n.ports[80]))
			t.Thread.Sleep(t.Thread.NewWaiter(), now(t)+61*time.Second)
		}
	})
	m.run()
	m.expect(sys.EADDRINUSE.Error(), "<nil>", "2", "2", "2") // the listener and the newest
}

// One connection wakes one of those who wait in accept, the longest waiting
// first, and all who poll.
func TestAcceptWakesOne(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var l *vfs.Description
	m.start(1, func(t *vfs.Task) { l = m.listen(t, 80, 5) })
	m.run()
	var sleeps [3]int
	for i := range 3 {
		m.after(10+i, 10+i, func(t *vfs.Task) {
			_, peer, err := m.n.Accept(t, l, 0)
			m.note("%d: %v %v at %v", t.Pid, peer.Addr.Port(), err, now(t))
		})
	}
	m.after(20, 20, func(t *vfs.Task) {
		items := []PollItem{{Desc: l, Events: sys.POLLIN}}
		n, err := Poll(t, items, sched.Forever)
		m.note("poll: %d %v at %v", n, err, now(t))
	})
	for i := range 3 {
		m.after(30+i, 100*(i+1), func(t *vfs.Task) {
			sleeps[i] = l.File.Queue().Len()
			m.dial(t, 80)
		})
	}
	m.run()
	slices.Sort(m.log)
	m.expect(
		"10: 32768 <nil> at 100ms", "11: 32769 <nil> at 200ms", "12: 32770 <nil> at 300ms",
		"poll: 1 <nil> at 100ms",
	)
	if sleeps != [3]int{4, 2, 1} {
		t.Error("sleepers before each connection:", sleeps)
	}
}

// A wake-up for an accepter that is killed goes to the next.
func TestAcceptWakeUpOfTheDead(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var l *vfs.Description
	m.start(1, func(t *vfs.Task) { l = m.listen(t, 80, 5) })
	m.run()
	accept := func(t *vfs.Task) {
		_, _, err := m.n.Accept(t, l, 0)
		m.note("%d: %v", t.Pid, err)
	}
	dead := m.after(10, 10, accept)
	m.after(11, 20, accept)
	m.after(20, 100, func(t *vfs.Task) {
		_, err := m.dial(t, 80)
		m.must(err)
		dead.Kill()
	})
	m.run()
	m.expect("11: <nil>")
}

func TestAcceptEnds(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	for i, end := range []func(*vfs.Task, *vfs.Description, *sched.Thread){
		func(t *vfs.Task, l *vfs.Description, _ *sched.Thread) { m.n.Shutdown(t, l, sys.SHUT_RD) },
		func(_ *vfs.Task, _ *vfs.Description, th *sched.Thread) { th.Interrupt() },
		func(t *vfs.Task, l *vfs.Description, _ *sched.Thread) {}, // SO_RCVTIMEO
	} {
		var l *vfs.Description
		begin := int(m.Now()/time.Millisecond) + 1
		th := m.after(10, begin, func(t *vfs.Task) {
			l = m.listen(t, 80+i, 5)
			m.must(m.n.SetsockoptTimeval(t, l, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Second))
			_, _, err := m.n.Accept(t, l, 0)
			m.note("%v", err)
		})
		m.after(11, begin+1, func(t *vfs.Task) { end(t, l, th) })
		m.run()
	}
	m.expect("invalid argument", "interrupted system call", "resource temporarily unavailable")
}

func TestConnectWaitsForRoom(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var l *vfs.Description
	m.start(1, func(t *vfs.Task) { l = m.listen(t, 80, 0) })
	m.run()
	for i := range 3 {
		m.after(10+i, 10*(i+1), func(t *vfs.Task) {
			_, err := m.dial(t, 80)
			m.note("%d: %v at %v", t.Pid, err, now(t))
		})
	}
	for i := range 2 {
		m.after(20+i, 100*(i+1), func(t *vfs.Task) {
			_, peer, err := m.n.Accept(t, l, 0)
			m.note("accept: %v %v", peer.Addr.Port(), err)
		})
	}
	m.after(30, 250, func(t *vfs.Task) {
		_, err := m.dial(t, 80)
		m.note("30: %v at %v", err, now(t))
	})
	m.after(31, 300, func(t *vfs.Task) { l.Decref(t) })
	m.run()
	m.expect(
		"10: <nil> at 10ms",
		"accept: 32768 <nil>", "11: <nil> at 100ms",
		"accept: 32769 <nil>", "12: <nil> at 200ms",
		"30: connection refused at 300ms",
	)
}

func TestConnectTimesOut(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	m.start(1, func(t *vfs.Task) {
		m.listen(t, 80, 0)
		_, err := m.dial(t, 80)
		m.must(err)
		begin := t.Thread.Now()
		_, err = m.dial(t, 80)
		m.note("%v after %v", err, (t.Thread.Now() - begin).Round(time.Second))
		d, _ := m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
		m.must(m.n.SetsockoptTimeval(t, d, sys.SOL_SOCKET, sys.SO_SNDTIMEO, time.Second))
		m.note("%v", m.n.Connect(t, d, at(80)))
	})
	m.run()
	m.expect(sys.ETIMEDOUT.Error()+" after 2m7s", sys.EINPROGRESS.Error())
}

func TestUnixConnectWaitsForRoom(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	name := sys.UnixAddr("/s")
	var l *vfs.Description
	m.start(1, func(t *vfs.Task) {
		l, _ = m.n.Socket(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
		m.must(m.n.Bind(t, l, name))
		m.must(m.n.Listen(t, l, 0))
	})
	m.run()
	for i := range 3 {
		m.after(10+i, 10*(i+1), func(t *vfs.Task) {
			d, _ := m.n.Socket(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
			if i == 2 {
				m.must(m.n.SetsockoptTimeval(t, d, sys.SOL_SOCKET, sys.SO_SNDTIMEO, ms(20)))
			}
			err := m.n.Connect(t, d, name)
			m.note("%d: %v at %v", t.Pid, err, now(t))
		})
	}
	m.after(20, 100, func(t *vfs.Task) {
		_, _, err := m.n.Accept(t, l, 0)
		m.must(err)
	})
	m.run()
	m.expect("10: <nil> at 10ms", "12: resource temporarily unavailable at 50ms", "11: <nil> at 100ms")
}

func TestReadEnds(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	ends := []struct {
		name string
		end  func(t *vfs.Task, mine, other *vfs.Description, th *sched.Thread)
	}{
		{"data", func(t *vfs.Task, _, other *vfs.Description, _ *sched.Thread) { other.Write(t, []byte("data")) }},
		{"peer closed", func(t *vfs.Task, _, other *vfs.Description, _ *sched.Thread) { other.Decref(t) }},
		{"own shutdown", func(t *vfs.Task, mine, _ *vfs.Description, _ *sched.Thread) { m.n.Shutdown(t, mine, sys.SHUT_RD) }},
		{"reset", func(t *vfs.Task, _, other *vfs.Description, _ *sched.Thread) {
			m.n.SetLinger(t, other, true, 0)
			other.Decref(t)
		}},
		{"signal", func(_ *vfs.Task, _, _ *vfs.Description, th *sched.Thread) { th.Interrupt() }},
		{"timeout", func(*vfs.Task, *vfs.Description, *vfs.Description, *sched.Thread) {}},
	}
	for _, e := range ends {
		client, server := m.tcpPair()
		begin := int(m.Now()/time.Millisecond) + 1
		th := m.after(10, begin, func(t *vfs.Task) {
			m.must(m.n.SetsockoptTimeval(t, client, sys.SOL_SOCKET, sys.SO_RCVTIMEO, time.Second))
			p := make([]byte, 10)
			n, err := client.Read(t, p)
			m.note("%s: %q %v", e.name, p[:max(n, 0)], err)
		})
		m.after(11, begin+1, func(t *vfs.Task) { e.end(t, client, server, th) })
		m.run()
		m.n = New(m.tree) // the port again
	}
	m.expect(
		`data: "data" <nil>`,
		`peer closed: "" <nil>`,
		`own shutdown: "" <nil>`,
		`reset: "" connection reset by peer`,
		`signal: "" interrupted system call`,
		`timeout: "" resource temporarily unavailable`,
	)
}

func TestBackPressure(t *testing.T) {
	for _, kind := range []string{"unix", "tcp"} {
		m := newMachine(t, sched.Deterministic)
		var a, b *vfs.Description
		if kind == "unix" {
			a, b = m.pair(sys.SOCK_STREAM)
		} else {
			a, b = m.tcpPair()
		}
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(i * i >> 8)
		}
		m.start(10, func(t *vfs.Task) {
			n, err := a.Write(t, data)
			m.note("%d %v", n, err)
			a.Decref(t)
		})
		var got bytes.Buffer
		m.after(11, 100, func(t *vfs.Task) {
			if n := b.File.(*socket).rcv.len(); n != defaultBuffer {
				m.t.Errorf("%s: %d bytes are in the buffer of a blocked writer", kind, n)
			}
			p := make([]byte, 50000)
			for {
				n, err := b.Read(t, p)
				if n == 0 {
					m.note("%v", err)
					return
				}
				got.Write(p[:n])
				t.Thread.Switch()
			}
		})
		m.run()
		m.expect("1048576 <nil>", "<nil>")
		if !bytes.Equal(got.Bytes(), data) {
			t.Error(kind, ": other bytes arrived")
		}
	}
}

func TestWriteEnds(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a, b := m.pair(sys.SOCK_STREAM)
	big := make([]byte, 1<<20)
	th := m.start(10, func(t *vfs.Task) {
		m.must(m.n.SetsockoptTimeval(t, a, sys.SOL_SOCKET, sys.SO_SNDTIMEO, time.Second))
		n, err := a.Write(t, big)
		m.note("%d %v after the timeout", n, err)
		n, err = a.Write(t, big)
		m.note("%d %v when full", n, err)
		n, err = a.Write(t, big)
		m.note("%d %v after a signal", n, err)
		n, err = a.Write(t, big)
		m.note("%d %v after the peer closed", n, err)
	})
	m.after(11, 2500, func(*vfs.Task) { th.Interrupt() })
	m.after(12, 2600, func(t *vfs.Task) { b.Decref(t) })
	m.run()
	m.expect(
		"212992 <nil> after the timeout",
		"0 resource temporarily unavailable when full",
		"0 interrupted system call after a signal",
		"0 broken pipe after the peer closed",
	)
}

func TestSeqpacketBlocksWholeRecords(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a, b := m.pair(sys.SOCK_SEQPACKET)
	m.start(10, func(t *vfs.Task) {
		_, err := a.Write(t, make([]byte, defaultBuffer+1))
		m.note("%v", err)
		for range 3 {
			n, err := a.Write(t, make([]byte, 100000))
			m.note("%d %v at %v", n, err, now(t))
		}
	})
	m.after(11, 10, func(t *vfs.Task) {
		n, err := b.Read(t, make([]byte, 10))
		m.note("read %d %v", n, err)
		n, err = b.Read(t, make([]byte, 1<<20))
		m.note("read %d %v", n, err)
	})
	m.run()
	m.expect(sys.EMSGSIZE.Error(), "100000 <nil> at 0s", "100000 <nil> at 0s",
		"read 10 <nil>", "read 100000 <nil>", "100000 <nil> at 10ms")
}

// Descriptors in flight hold their files open, wherever they end.
func TestRightsAreReleased(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var file *vfs.Description
	m.start(1, func(t *vfs.Task) { file = m.n.EpollCreate() })
	a, b := m.pair(sys.SOCK_STREAM)
	fds := []*vfs.Description{file, file}
	refs := func(when string) { m.note("%s: %d", when, file.Refs()) }
	blocked := m.start(10, func(t *vfs.Task) {
		_, err := m.n.Sendmsg(t, a, []byte("x"), fds, 0)
		m.must(err)
		refs("in flight")
		_, got, _, err := m.n.Recvmsg(t, b, make([]byte, 9), 1, 0)
		m.must(err)
		refs("one received, one dropped")
		got[0].Decref(t)
		m.must(m.n.Shutdown(t, b, sys.SHUT_RD))
		_, err = m.n.Sendmsg(t, a, []byte("x"), fds, 0)
		m.note("%v", err)
		refs("not sent")
		c, d, err := m.n.Socketpair(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
		m.must(err)
		_, err = m.n.Sendmsg(t, c, []byte("x"), fds, 0)
		m.must(err)
		d.Decref(t)
		refs("receiver closed")
		_, err = m.n.Sendmsg(t, c, nil, make([]*vfs.Description, 300), 0)
		m.note("%v", err)
		e, f, err := m.n.Socketpair(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
		m.must(err)
		_ = f
		_, err = e.Write(t, make([]byte, defaultBuffer))
		m.must(err)
		m.n.Sendmsg(t, e, []byte("x"), fds, 0) // for ever
	})
	m.after(11, 10, func(*vfs.Task) {
		refs("blocked")
		blocked.Kill()
	})
	m.after(12, 20, func(*vfs.Task) { refs("killed") })
	m.run()
	m.expect("in flight: 3", "one received, one dropped: 2", "broken pipe", "not sent: 1",
		"receiver closed: 1", "invalid argument", "blocked: 3", "killed: 1")
}

func TestSendfile(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	client, server := m.tcpPair()
	data := bytes.Repeat([]byte("0123456789abcdef"), 30000)
	m.start(10, func(t *vfs.Task) {
		f, err := m.tree.Open(t, t.Cwd, "/f", sys.OpenHow{Flags: sys.O_RDWR | sys.O_CREAT, Mode: 0o600})
		m.must(err)
		_, err = f.Write(t, data)
		m.must(err)
		n, err := m.n.Sendfile(t, server, f, 16, 4)
		m.note("%d %v", n, err)
		off, _ := f.Lseek(t, 0, sys.SEEK_CUR)
		m.note("offset %v", off == int64(len(data)))
		n, err = m.n.Sendfile(t, server, f, -1, 4)
		m.note("%d %v at the end", n, err)
		f.Lseek(t, 4, sys.SEEK_SET)
		n, err = m.n.Sendfile(t, server, f, -1, 1<<30)
		off, _ = f.Lseek(t, 0, sys.SEEK_CUR)
		m.note("%d %v offset %d", n, err, off)
		_, err = m.n.Sendfile(t, f, server, -1, 1)
		m.note("from a socket: %v", err)
		_, err = m.n.Sendfile(t, f, server, 0, 1)
		m.note("from a socket at an offset: %v", err)
		dir, err := m.tree.Open(t, t.Cwd, "/", sys.OpenHow{Flags: sys.O_RDONLY})
		m.must(err)
		for _, n := range []int{0, 1} {
			_, err = m.n.Sendfile(t, server, dir, 0, n)
			m.note("%d from a directory: %v", n, err)
		}
		m.must(f.SetFlags(t, sys.O_APPEND))
		_, err = m.n.Sendfile(t, f, f, 0, 1)
		m.note("to append: %v", err)
		server.Decref(t)
	})
	var got bytes.Buffer
	m.start(11, func(t *vfs.Task) {
		p := make([]byte, 70000)
		for {
			n, err := client.Read(t, p)
			m.must(err)
			if n == 0 {
				return
			}
			got.Write(p[:n])
		}
	})
	m.run()
	m.expect("4 <nil>", "offset true", "0 <nil> at the end", "479996 <nil> offset 480000",
		"from a socket: invalid argument", "from a socket at an offset: illegal seek",
		"0 from a directory: <nil>", "1 from a directory: invalid argument", "to append: invalid argument")
	if want := append([]byte("0123"), data[4:]...); !bytes.Equal(got.Bytes(), want) {
		t.Error("other bytes arrived:", got.Len())
	}
}

func TestPollSleeps(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a, b := m.pair(sys.SOCK_STREAM)
	c, d := m.pair(sys.SOCK_STREAM)
	th := m.start(10, func(t *vfs.Task) {
		items := []PollItem{{Desc: a, Events: sys.POLLIN}, {Desc: c, Events: sys.POLLIN}}
		for _, until := range []time.Duration{ms(10), sched.Forever, sched.Forever, sched.Forever} {
			n, err := Poll(t, items, until)
			m.note("%d %v %#x %#x at %v", n, err, items[0].Revents, items[1].Revents, now(t))
		}
		items = append(items, PollItem{})
		n, err := Poll(t, items, sched.Forever)
		m.note("%d %v %#x", n, err, items[2].Revents)
	})
	m.after(11, 20, func(*vfs.Task) { th.Interrupt() })
	m.after(12, 30, func(t *vfs.Task) { d.Write(t, []byte("x")) })
	m.after(13, 29, func(t *vfs.Task) {
		p := []PollItem{{Desc: b, Events: sys.POLLIN | sys.POLLHUP}}
		n, err := Poll(t, p, sched.Forever)
		m.note("other: %d %v %#x at %v", n, err, p[0].Revents, now(t))
	})
	m.after(14, 40, func(t *vfs.Task) { a.Decref(t) })
	m.run()
	m.expect(
		"0 <nil> 0x0 0x0 at 10ms",
		"0 interrupted system call 0x0 0x0 at 20ms",
		"1 <nil> 0x0 0x1 at 30ms",
		"1 <nil> 0x0 0x1 at 30ms",
		"2 <nil> 0x20",
		"other: 1 <nil> 0x11 at 40ms",
	)
}

func TestEpollSleeps(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a, b := m.pair(sys.SOCK_STREAM)
	var ep, r, w *vfs.Description
	m.start(1, func(t *vfs.Task) {
		ep = m.n.EpollCreate()
		var err error
		r, w, err = m.tree.NewPipe(t, 0)
		m.must(err)
		m.must(m.n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, 3, a, sys.EpollEvent{Events: sys.EPOLLIN, Fd: 3, Pad: 7}))
	})
	m.run()
	th := m.start(10, func(t *vfs.Task) {
		evs := make([]sys.EpollEvent, 4)
		for _, until := range []time.Duration{ms(10), sched.Forever, sched.Forever, sched.Forever} {
			n, err := m.n.EpollWait(t, ep, evs, until)
			m.note("%v %v at %v", evs[:n], err, now(t))
			for _, e := range evs[:n] {
				map[int32]*vfs.Description{3: a, 4: r}[e.Fd].Read(t, make([]byte, 10))
			}
		}
		_, err := m.n.EpollWait(t, ep, nil, 0)
		m.note("%v", err)
	})
	m.after(11, 20, func(*vfs.Task) { th.Interrupt() })
	m.after(12, 30, func(t *vfs.Task) { b.Write(t, []byte("x")) })
	// A file that joins while somebody sleeps.
	m.after(13, 40, func(t *vfs.Task) {
		m.must(m.n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, 4, r, sys.EpollEvent{Events: sys.EPOLLIN, Fd: 4}))
	})
	m.after(14, 50, func(t *vfs.Task) { w.Write(t, []byte("x")) })
	m.run()
	m.expect("[] <nil> at 10ms", "[] interrupted system call at 20ms", "[{1 3 7}] <nil> at 30ms",
		"[{1 4 0}] <nil> at 50ms", "invalid argument")
}

// One edge-triggered event goes to one of the threads that wait for it. With
// EPOLLEXCLUSIVE one epoll of several is told.
func TestEpollWakesOne(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	var l *vfs.Description
	eps := make([]*vfs.Description, 2)
	m.start(1, func(t *vfs.Task) {
		l = m.listen(t, 80, 5)
		for i := range eps {
			eps[i] = m.n.EpollCreate()
			m.must(m.n.EpollCtl(t, eps[i], sys.EPOLL_CTL_ADD, 3, l, sys.EpollEvent{Events: sys.EPOLLIN | sys.EPOLLEXCLUSIVE | sys.EPOLLET}))
		}
	})
	m.run()
	for i := range 4 {
		m.after(10+i, 10+i, func(t *vfs.Task) {
			n, err := m.n.EpollWait(t, eps[i/2], make([]sys.EpollEvent, 1), ms(1000))
			m.note("%d: %d %v at %v", t.Pid, n, err, now(t))
		})
	}
	for i := range 3 {
		m.after(20+i, 100*(i+1), func(t *vfs.Task) {
			_, err := m.dial(t, 80)
			m.must(err)
		})
	}
	m.run()
	slices.Sort(m.log)
	m.expect("10: 1 <nil> at 100ms", "11: 1 <nil> at 200ms", "12: 1 <nil> at 300ms", "13: 0 <nil> at 1s")
}

func TestReusePortSpreadsTheSameWayEachTime(t *testing.T) {
	var first []string
	for range 2 {
		m := newMachine(t, sched.Deterministic)
		m.start(1, func(t *vfs.Task) {
			ls := make([]*vfs.Description, 3)
			for i := range ls {
				ls[i], _ = m.n.Socket(t, sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_NONBLOCK, 0)
				m.must(m.n.SetsockoptInt(t, ls[i], sys.SOL_SOCKET, sys.SO_REUSEPORT, 1))
				m.must(m.n.Bind(t, ls[i], at(80)))
				m.must(m.n.Listen(t, ls[i], 100))
			}
			for range 60 {
				_, err := m.dial(t, 80)
				m.must(err)
			}
			for _, l := range ls {
				got := 0
				for {
					if _, _, err := m.n.Accept(t, l, 0); err != nil {
						break
					}
					got++
				}
				m.note("%d", got)
				if got == 0 {
					m.t.Error("a listener got nothing")
				}
			}
		})
		m.run()
		if first == nil {
			first = m.log
		} else {
			m.expect(first...)
		}
	}
}

func TestDeadlockIsReported(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	a, _ := m.pair(sys.SOCK_STREAM)
	m.start(10, func(t *vfs.Task) { a.Read(t, make([]byte, 1)) })
	err := m.Run(nil)
	m.Stop()
	var dead *sched.Deadlock
	if !errors.As(err, &dead) || len(dead.Waits) != 1 {
		t.Error(err)
	}
}

// A server of several threads and many clients at once, some of which are
// killed: for the race detector.
func TestFreeRunning(t *testing.T) {
	m := newMachine(t, sched.FreeRunning)
	ready := make(chan *vfs.Description)
	m.start(1, func(t *vfs.Task) { ready <- m.listen(t, 80, 2) })
	l := <-ready
	for i := range 3 {
		m.start(10+i, func(t *vfs.Task) {
			ep := m.n.EpollCreate()
			p := make([]byte, 1000)
			for {
				t.Thread.Switch()
				c, _, err := m.n.Accept(t, l, sys.SOCK_NONBLOCK)
				if err != nil {
					m.must(err)
					return
				}
				m.must(m.n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, 5, c, sys.EpollEvent{Events: sys.EPOLLIN | sys.EPOLLET}))
				for {
					n, err := c.Read(t, p)
					if err == sys.EAGAIN {
						if _, err := m.n.EpollWait(t, ep, make([]sys.EpollEvent, 3), sched.Forever); err != nil {
							m.must(err)
							return
						}
						continue
					}
					if n <= 0 {
						break
					}
					if _, err := m.n.Send(t, c, p[:n], 0); err != nil && err != sys.EPIPE && err != sys.ECONNRESET {
						m.must(err)
					}
				}
				c.Decref(t)
			}
		})
	}
	var clients sync.WaitGroup
	const n = 40
	clients.Add(n)
	for i := range n {
		m.start(100+i, func(t *vfs.Task) {
			defer clients.Done()
			for round := range 10 {
				c, err := m.dial(t, 80)
				if err != nil {
					m.must(err)
					return
				}
				msg := []byte(fmt.Sprint("client ", i, " round ", round))
				if _, err := c.Write(t, msg); err != nil {
					m.must(err)
				}
				if round%3 == 2 {
					m.n.SetLinger(t, c, true, 0)
					c.Decref(t)
					continue
				}
				got := make([]byte, 100)
				k, err := c.Read(t, got)
				if err != nil || !bytes.Equal(got[:max(k, 0)], msg) {
					m.t.Errorf("%q %v, want %q", got[:max(k, 0)], err, msg)
				}
				c.Decref(t)
			}
		})
	}
	clients.Wait()
	m.Stop()
	l.Decref(nil)
	if left := m.n.Listeners(); len(left) != 0 {
		t.Error("listeners left:", left)
	}
}

// TestPollOfAnEpollWithAPipe: an epoll wakes who polls it, whatever it watches.
func TestPollOfAnEpollWithAPipe(t *testing.T) {
	for _, mode := range []sched.Mode{sched.Deterministic, sched.FreeRunning} {
		m := newMachine(t, mode)
		m.start(1, func(t *vfs.Task) {
			r, w, err := m.tree.NewPipe(t, 0)
			m.must(err)
			ep := m.n.EpollCreate()
			m.must(m.n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, 3, r, sys.EpollEvent{Events: sys.EPOLLIN}))
			m.after(2, 20, func(t *vfs.Task) {
				_, err := w.Write(t, []byte("x"))
				m.must(err)
			})
			items := []PollItem{{Desc: ep, Events: sys.POLLIN}}
			n, err := Poll(t, items, t.Thread.Now()+time.Minute)
			m.note("%d %v %#x", n, err, items[0].Revents)
			for _, d := range []*vfs.Description{r, w, ep} {
				d.Decref(t)
			}
			m.note("%d left", len(r.File.Queue().Watchers()))
		})
		m.finish()
		m.expect("1 <nil> 0x1", "0 left")
	}
}

// TestDeferAcceptEnds: TCP_DEFER_ACCEPT waits for data as long as it says (seen on
// Linux: 1 s for 1, 3 s for 2 and 3), then accepts without.
func TestDeferAcceptEnds(t *testing.T) {
	for secs, want := range map[int]string{1: "1s", 2: "3s", 3: "3s"} {
		m := newMachine(t, sched.Deterministic)
		m.start(1, func(t *vfs.Task) {
			l := m.listen(t, 80, 1)
			m.must(m.n.SetsockoptInt(t, l, sys.IPPROTO_TCP, sys.TCP_DEFER_ACCEPT, secs))
			_, err := m.dial(t, 80)
			m.must(err)
			ep := m.n.EpollCreate()
			m.must(m.n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, 3, l, sys.EpollEvent{Events: sys.EPOLLIN}))
			n, err := m.n.EpollWait(t, ep, make([]sys.EpollEvent, 1), t.Thread.Now()+time.Minute)
			m.note("%d %v at %v", n, err, now(t))
			a, _, err := m.n.Accept(t, l, sys.SOCK_NONBLOCK)
			m.must(err)
			_, err = m.n.Recv(t, a, make([]byte, 1), 0)
			m.note("%v", err)
		})
		m.run()
		m.expect("1 <nil> at "+want, sys.EAGAIN.Error())
	}
}

// TestDatagramSendersWait: for room in the receiver's queue, one a datagram that it
// takes, and for the receiver to close.
func TestDatagramSendersWait(t *testing.T) {
	m := newMachine(t, sched.Deterministic)
	m.start(1, func(t *vfs.Task) {
		srv, _ := m.n.Socket(t, sys.AF_UNIX, sys.SOCK_DGRAM, 0)
		m.must(m.n.Bind(t, srv, sys.UnixAddr("@srv")))
		dial := func(t *vfs.Task) *vfs.Description {
			c, _ := m.n.Socket(t, sys.AF_UNIX, sys.SOCK_DGRAM, 0)
			m.must(m.n.Connect(t, c, sys.UnixAddr("@srv")))
			return c
		}
		c := dial(t)
		for range maxDgramQlen + 1 {
			_, err := m.n.Send(t, c, []byte("x"), 0)
			m.must(err)
		}
		for i := range 3 {
			m.after(2+i, 10+i, func(t *vfs.Task) {
				_, err := m.n.Send(t, dial(t), []byte{'0' + byte(i)}, 0)
				m.note("%v %d: %v", now(t), i, err)
			})
		}
		m.after(6, 15, func(t *vfs.Task) { // who polls is told too
			items := []PollItem{{Desc: c, Events: sys.POLLOUT}}
			n, err := Poll(t, items, sched.Forever)
			m.note("%v poll: %d %v", now(t), n, err)
		})
		t.Thread.Sleep(t.Thread.NewWaiter(), ms(20))
		for range 2 {
			_, err := m.n.Recv(t, srv, make([]byte, 1), 0)
			m.must(err)
			t.Thread.Sleep(t.Thread.NewWaiter(), t.Thread.Now()+ms(5))
		}
		t.Thread.Sleep(t.Thread.NewWaiter(), ms(40))
		srv.Decref(t)
	})
	m.run()
	m.expect("20ms poll: 1 <nil>", "20ms 0: <nil>", "25ms 1: <nil>", "40ms 2: "+sys.ECONNREFUSED.Error())
}

// TestDatagramReceiversWait: for a datagram, for shutdown, and not for the peer's
// close, of which a datagram socket does not learn.
func TestDatagramReceiversWait(t *testing.T) {
	for _, domain := range []int{sys.AF_UNIX, sys.AF_INET} {
		m := newMachine(t, sched.Deterministic)
		m.start(1, func(t *vfs.Task) {
			a, b := m.datagramPair(t, domain)
			m.after(2, 10, func(t *vfs.Task) {
				_, err := m.n.Send(t, a, []byte("x"), 0)
				m.must(err)
			})
			m.after(3, 20, func(t *vfs.Task) { a.Decref(t) })
			m.after(4, 30, func(t *vfs.Task) { m.n.Shutdown(t, b, sys.SHUT_RD) })
			for range 2 {
				n, err := m.n.Recv(t, b, make([]byte, 8), 0)
				m.note("%v: %d %v", now(t), n, err)
			}
		})
		m.run()
		m.expect("10ms: 1 <nil>", "30ms: 0 <nil>")
	}
}

// datagramPair makes two connected datagram sockets.
func (m *machine) datagramPair(t *vfs.Task, domain int) (a, b *vfs.Description) {
	if domain == sys.AF_UNIX {
		a, b, err := m.n.Socketpair(t, domain, sys.SOCK_DGRAM, 0)
		m.must(err)
		return a, b
	}
	a, _ = m.n.Socket(t, domain, sys.SOCK_DGRAM, 0)
	b, _ = m.n.Socket(t, domain, sys.SOCK_DGRAM, 0)
	m.must(m.n.Bind(t, a, at(5000)))
	m.must(m.n.Bind(t, b, at(5001)))
	m.must(m.n.Connect(t, a, at(5001)))
	m.must(m.n.Connect(t, b, at(5000)))
	return a, b
}

// TestDatagramsFreeRunning: many senders and receivers on one socket lose nothing.
func TestDatagramsFreeRunning(t *testing.T) {
	m := newMachine(t, sched.FreeRunning)
	const senders, each = 8, 200
	var got sync.Map
	m.start(1, func(t *vfs.Task) {
		srv, _ := m.n.Socket(t, sys.AF_UNIX, sys.SOCK_DGRAM, 0)
		m.must(m.n.Bind(t, srv, sys.UnixAddr("@srv")))
		for i := range senders {
			m.start(10+i, func(t *vfs.Task) {
				c, _ := m.n.Socket(t, sys.AF_UNIX, sys.SOCK_DGRAM, 0)
				m.must(m.n.Connect(t, c, sys.UnixAddr("@srv")))
				for j := range each {
					_, err := m.n.Send(t, c, fmt.Appendf(nil, "%d %d", i, j), 0)
					m.must(err)
				}
				c.Decref(t)
			})
		}
		for range senders * each / 2 {
			m.receive(t, srv, &got)
		}
		m.start(2, func(t *vfs.Task) {
			for range senders * each / 4 {
				m.receive(t, srv, &got)
			}
		})
		for range senders * each / 4 {
			m.receive(t, srv, &got)
		}
	})
	m.finish()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	if n != senders*each {
		t.Errorf("%d datagrams of %d", n, senders*each)
	}
}

func (m *machine) receive(t *vfs.Task, d *vfs.Description, got *sync.Map) {
	p := make([]byte, 32)
	n, err := m.n.Recv(t, d, p, 0)
	m.must(err)
	got.Store(string(p[:n]), true)
}
