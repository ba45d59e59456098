// Package event is the MPM of Apache 2.4 in which a child is one process whose
// first thread waits for all connections at once, with epoll(7), and serves
// them in steps that do not wait; threads_per_child worker threads take what
// may block: a request with a body, an upgrade, a handler that says so. A
// connection that waits for its next request, for room to write or for the
// client's close costs no thread.
//
// There is no accept mutex: each child has the listeners in its epoll set, with
// EPOLLEXCLUSIVE, so that a connection does not wake all of them.
package event

import (
	"fmt"
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is event's.
var Topology = mpm.Topology{Name: "event", Run: run}

const (
	// batch is the most events of one turn.
	batch = 256
	// burst is the most connections that one turn accepts from a listener: the
	// others are left to other children, which may be idle.
	burst = 16
	// granularity is how late a timeout may come: those that are close
	// together end in one turn.
	granularity = 50 * time.Millisecond
	// pause is how long nothing is accepted when descriptors have run out.
	pause = 100 * time.Millisecond
	// lingerTimeout is httpd's SECONDS_TO_LINGER.
	lingerTimeout = 2 * time.Second
)

// loop is one child: its first thread's, but for done.
type loop struct {
	*mpm.Child
	s    sys.Sys
	slot mpm.Worker // of the loop's own thread; the workers' follow

	epfd    int
	events  [batch]sys.EpollEvent
	sources []source // by descriptor
	conns   int
	spare   []*conn // for the next connections
	queues  [queues]queue
	now     time.Duration // on the monotonic clock, read once a turn
	wall    time.Time     // by the clock

	accepted  int
	ready     []int         // listeners with connections in this turn
	listening bool          // the listeners are in the epoll set
	full      bool          // enough is being served
	pausedTil time.Duration // no descriptors were left; 0: there are

	work    *thread.Queue[*conn]
	idlers  int     // workers without a connection
	waiting []*conn // for a worker
	working int     // connections with a worker or waiting for one

	wakeR, wakeW int // a pipe: done is not empty
	mu           thread.Mutex
	done         []*conn // workers have had them; guarded by mu
}

// source is what a descriptor of the epoll set is.
type source struct {
	kind kind
	conn *conn
}

type kind uint8

const (
	nothing kind = iota
	listener
	pod
	death
	wake
	connection
)

// conn is one connection.
type conn struct {
	mpm.AsyncConn
	watch    uint32 // events in the epoll set; 0: it is not there
	want     mpm.Want
	queue    int8 // noQueue: with a worker, or waiting for one
	deadline time.Duration
	prev     *conn
	next     *conn
}

// spareMax is how many conns are kept for the next connections.
const spareMax = 256

func run(child *mpm.Child) int {
	l := &loop{Child: child, s: child.Sys, slot: child.Worker(0), epfd: -1, wakeR: -1, wakeW: -1}
	l.slot.Set(mpm.KeepAlive)
	cfg := child.Config()
	l.queues[reading].timeout = cfg.Timeout
	l.queues[writing].timeout = cfg.Timeout
	l.queues[keepAlive].timeout = cfg.KeepAliveTimeout
	l.queues[lingering].timeout = lingerTimeout
	if err := l.watchAll(); err != nil {
		l.Logf("cannot wait for events: %v", err)
		l.Quit()
		return mpm.ExitSick
	}
	// The loop has a slot too.
	threads := min(cfg.ThreadsPerChild, cfg.ThreadLimit-1)
	l.work = thread.NewQueue[*conn](threads)
	var workers thread.WaitGroup
	status := mpm.ExitOK
	for n := range threads {
		workers.Add(1)
		err := l.s.Go(fmt.Sprintf("worker %d", n), func(s sys.Sys) {
			l.worker(s, l.Worker(n+1))
			workers.Done(s)
		})
		if err != nil {
			workers.Done(l.s)
			l.Logf("cannot start a worker thread: %v", err)
			l.Quit()
			status = mpm.ExitSick
			break
		}
		l.idlers++
	}
	if status == mpm.ExitOK {
		status = l.run()
	}
	l.work.Close(l.s)
	workers.Wait(l.s)
	return status
}

// watchAll makes the epoll set.
func (l *loop) watchAll() (err error) {
	if l.epfd, err = l.s.EpollCreate1(sys.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if l.wakeR, l.wakeW, err = l.s.Pipe2(sys.O_CLOEXEC | sys.O_NONBLOCK); err != nil {
		return fmt.Errorf("pipe2: %w", err)
	}
	for _, w := range []struct {
		fd   int
		kind kind
	}{{l.Pod(), pod}, {l.Death(), death}, {l.wakeR, wake}} {
		l.register(w.fd, source{kind: w.kind})
		if err := l.ctl(sys.EPOLL_CTL_ADD, w.fd, sys.EPOLLIN); err != nil {
			return err
		}
	}
	for _, fd := range l.Listeners() {
		l.register(fd, source{kind: listener})
	}
	return l.listen(true)
}

func (l *loop) register(fd int, src source) {
	for fd >= len(l.sources) {
		l.sources = append(l.sources, source{})
	}
	l.sources[fd] = src
}

func (l *loop) ctl(op, fd int, events uint32) error {
	if err := l.s.EpollCtl(l.epfd, op, fd, sys.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// listen takes the listeners into the epoll set, or out of it.
func (l *loop) listen(on bool) error {
	if l.listening == on {
		return nil
	}
	l.listening = on
	op := sys.EPOLL_CTL_DEL
	if on {
		op = sys.EPOLL_CTL_ADD
	}
	for _, fd := range l.Listeners() {
		if err := l.ctl(op, fd, sys.EPOLLIN|sys.EPOLLEXCLUSIVE); err != nil {
			return err
		}
	}
	return nil
}

// run turns until the child is to end and no connection is left.
func (l *loop) run() int {
	for !l.Quitting() || l.conns > 0 {
		if err := l.turn(); err != nil {
			l.Logf("cannot serve connections: %v", err)
			l.Quit()
			return mpm.ExitFatal
		}
	}
	return mpm.ExitOK
}

// turn waits for events and deals with them.
func (l *loop) turn() error {
	n, err := l.s.EpollWait(l.epfd, l.events[:], l.patience())
	if err != nil && err != sys.EINTR {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	l.now, l.wall = l.s.Monotonic(), l.s.Now()
	end := false
	for i := range max(n, 0) {
		fd := int(l.events[i].Fd)
		switch src := l.sources[fd]; src.kind {
		case connection:
			// A conn that was closed in this turn leaves nothing behind: new
			// ones are accepted after the last event.
			l.event(src.conn)
		case listener:
			l.ready = append(l.ready, fd)
		case pod:
			end = end || l.TakePod(l.s)
		case death:
			end = true
		case wake:
			l.collect()
		}
	}
	if !l.Quitting() && (end || l.Outdated()) {
		l.quit()
	}
	for _, fd := range l.ready {
		if err := l.accept(fd); err != nil {
			return err
		}
	}
	l.ready = l.ready[:0]
	l.expire()
	return l.balance()
}

// event serves a connection that is ready.
func (l *loop) event(c *conn) {
	if c.queue == lingering {
		l.drain(c)
		return
	}
	l.settle(c, l.Async.Step(&c.AsyncConn, l.wall))
}

// accept takes new connections, and serves them at once: TCP_DEFER_ACCEPT has
// them wait for their request.
func (l *loop) accept(fd int) error {
	limit := l.Config().MaxRequestsPerChild
	for range burst {
		if l.Quitting() {
			return nil
		}
		nfd, peer, err := l.s.Accept4(fd, sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK)
		if err == sys.EAGAIN {
			return nil
		}
		if err != nil {
			switch fatal, out := mpm.AcceptError(err); {
			case fatal:
				return fmt.Errorf("accept: %w", err)
			case !out:
			case l.queues[keepAlive].head != nil:
				// Who has waited longest for a request of its client gives its
				// descriptor to one that has a request.
				l.close(l.queues[keepAlive].head)
			default:
				l.Logf("accept: %v", err)
				l.pausedTil = l.now + pause
				return nil
			}
			continue
		}
		l.slot.Connected()
		c := l.newConn(nfd, peer)
		l.settle(c, l.Async.Step(&c.AsyncConn, l.wall))
		if l.accepted++; l.accepted == limit {
			l.quit()
		}
	}
	return nil
}

func (l *loop) newConn(fd int, peer sys.SockAddr) *conn {
	var c *conn
	if n := len(l.spare); n > 0 {
		c, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		c = &conn{}
	}
	*c = conn{AsyncConn: mpm.AsyncConn{Fd: fd, Peer: peer}, queue: noQueue}
	l.register(fd, source{connection, c})
	l.conns++
	return c
}

// settle puts a connection where it waits for what it wants.
func (l *loop) settle(c *conn, want mpm.Want) {
	switch want {
	case mpm.WantRequest:
		switch {
		case c.Requests == 0:
			l.wait(c, reading, sys.EPOLLIN)
		case l.Quitting():
			l.close(c)
		default:
			l.wait(c, keepAlive, sys.EPOLLIN)
		}
	case mpm.WantRead:
		l.wait(c, reading, sys.EPOLLIN)
	case mpm.WantWrite:
		l.wait(c, writing, sys.EPOLLOUT)
	case mpm.WantWorker:
		l.hand(c)
	case mpm.WantLinger:
		l.linger(c)
	default:
		l.close(c)
	}
}

// wait waits for events of a connection, or for its queue's timeout.
func (l *loop) wait(c *conn, queue int8, events uint32) {
	if c.watch != events {
		op := sys.EPOLL_CTL_MOD
		if c.watch == 0 {
			op = sys.EPOLL_CTL_ADD
		}
		if err := l.ctl(op, c.Fd, events); err != nil {
			l.Logf("cannot wait for a connection: %v", err)
			l.close(c)
			return
		}
		c.watch = events
	}
	l.remove(c)
	l.append(c, queue)
}

// linger closes a connection whose client may still be sending: a close with
// unread data is a reset, which would take the response from the client.
// See lingering_close of httpd.
func (l *loop) linger(c *conn) {
	if c.State != nil {
		l.Async.Drop(&c.AsyncConn)
	}
	if err := l.s.Shutdown(c.Fd, sys.SHUT_WR); err != nil {
		l.close(c)
		return
	}
	l.wait(c, lingering, sys.EPOLLIN)
}

// drain reads what a lingering connection's client sends, for nobody. It has
// two seconds in all.
func (l *loop) drain(c *conn) {
	var buf [4096]byte
	n, err := l.s.Recv(c.Fd, buf[:], sys.MSG_DONTWAIT)
	if n > 0 || err == sys.EAGAIN || err == sys.EINTR {
		return
	}
	l.close(c)
}

func (l *loop) close(c *conn) {
	l.remove(c)
	if c.State != nil {
		l.Async.Drop(&c.AsyncConn)
	}
	l.sources[c.Fd] = source{}
	// It leaves the epoll set too: nobody else has the socket.
	_ = l.s.Close(c.Fd)
	l.conns--
	if len(l.spare) < spareMax {
		l.spare = append(l.spare, c)
	}
}

// quit is the beginning of the end: nothing is accepted, and connections
// without a request close.
func (l *loop) quit() {
	l.Quit()
	_ = l.listen(false) // they are closed in any case
	for _, fd := range l.Listeners() {
		l.sources[fd] = source{}
		_ = l.s.Close(fd)
	}
	for l.queues[keepAlive].head != nil {
		l.close(l.queues[keepAlive].head)
	}
}

// balance stops accepting while the child has its share of connections that
// are being served, AsyncRequestWorkerFactor for each idle worker and one for
// each thread; connections that wait for a request do not count.
func (l *loop) balance() error {
	if l.Quitting() {
		return nil
	}
	cfg := l.Config()
	limit := cfg.ThreadsPerChild + int(cfg.AsyncFactor*float64(l.idlers))
	busy := l.queues[reading].n + l.queues[writing].n + l.working
	full := busy >= limit || l.full && busy > limit-limit/8 // not to and fro
	if full != l.full {
		l.full = full
		l.SetFull(full)
	}
	return l.listen(!full && l.pausedTil == 0)
}
