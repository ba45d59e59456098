package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/valyala/fasthttp"
)

// async is HTTP in steps: the mpm.Async of a child. It parses requests and
// writes responses with fasthttp, one at a time for all connections, so that
// what a request needs is there once and not for each connection.
type async struct {
	*web
	s    sys.Sys // the loop's thread
	conn connection
	ctx  fasthttp.RequestCtx

	in     []byte // what was read in this step
	unread input  // the rest of it
	br     *bufio.Reader
	bw     *bufio.Writer
	cur    *mpm.AsyncConn // the connection of this step
	broken bool           // it takes no more

	free []*pending
}

// pending is a connection's State: what a step could not finish.
type pending struct {
	in     []byte // read and not answered yet
	out    []byte // from sent on to be written, before file
	sent   int
	file   module.FileBody
	finish mpm.Want // what the connection wants when out and file are written
}

func (p *pending) writing() bool { return p.sent < len(p.out) || p.file != nil }

const (
	// pendingMax is how many pendings are kept for others, and keepBuffer the
	// largest buffer in bytes that they keep.
	pendingMax = 64
	keepBuffer = 16 << 10
	// sendMax bounds what one step sends of a file: others wait meanwhile.
	sendMax = 2 << 20
)

// errIncomplete is the end of what has been read so far.
var errIncomplete = errors.New("the rest of the request has not come yet")

// input is what was read, as fasthttp's parser takes it.
type input []byte

func (in *input) Read(p []byte) (int, error) {
	if len(*in) == 0 {
		return 0, errIncomplete
	}
	n := copy(p, *in)
	*in = (*in)[n:]
	return n, nil
}

func newAsync(s sys.Sys, w *web) *async {
	size := w.http.ReadBufferSize
	a := &async{web: w, s: s, in: make([]byte, size)}
	a.conn = connection{Conn: conn.New(s, -1, sys.SockAddr{}, sys.SockAddr{}), sys: s, worker: w.child.Worker(0)}
	a.ctx.Init2(&a.conn, w.http.Logger, false)
	a.br = bufio.NewReaderSize(&a.unread, size)
	a.bw = bufio.NewWriterSize(a, writeBufferSize)
	if w.dateless == nil {
		w.dateless = withoutDate()
	}
	return a
}

// Step implements mpm.Async.
func (a *async) Step(c *mpm.AsyncConn, now time.Time) mpm.Want {
	a.cur, a.broken = c, false
	have := 0
	if p, ok := c.State.(*pending); ok {
		if p.writing() {
			want := a.send(p)
			if want != mpm.WantRequest {
				return want
			}
		}
		have = copy(a.in, p.in)
		p.in = p.in[:0]
	}
	n, err := 0, error(nil)
	if have < len(a.in) {
		n, err = a.s.Recv(c.Fd, a.in[have:], sys.MSG_DONTWAIT)
		switch {
		case n > 0:
		case err == sys.EAGAIN || err == sys.EINTR:
			n = 0
		default: // the client has closed, or reset
			if have == 0 || err != nil {
				return mpm.WantClose
			}
			n = 0
		}
	}
	if have+n == 0 {
		a.settled(c)
		return mpm.WantRequest
	}
	want := a.requests(c, a.in[:have+n], now)
	if n == 0 && err == nil && want == mpm.WantRead {
		return mpm.WantClose // and has not sent it in full
	}
	return want
}

// requests answers the complete requests in in, and keeps the rest.
func (a *async) requests(c *mpm.AsyncConn, in []byte, now time.Time) mpm.Want {
	a.unread = in
	a.br.Reset(&a.unread)
	a.bw.Reset(a)
	a.conn.Reset(c.Fd, c.Peer)
	a.conn.requests = c.Requests
	want := mpm.WantRequest
	for want == mpm.WantRequest {
		left := a.left()
		if left == 0 {
			break
		}
		rest := in[len(in)-left:]
		switch err := a.ctx.Request.Header.Read(a.br); {
		case err == nil:
			want = a.request(now)
		case errors.Is(err, errIncomplete):
			want = mpm.WantRead
		case err == io.EOF: // empty lines, which come before a request or after a body
			a.unread = nil
			a.br.Reset(&a.unread)
		default:
			want = a.refuse(err)
		}
		a.ctx.Request.Reset()
		a.ctx.Response.Reset()
		if want == mpm.WantRead || want == mpm.WantWorker {
			a.keep(c, rest)
		}
	}
	c.Requests = a.conn.requests
	_ = a.bw.Flush() // see broken
	if a.broken {
		return mpm.WantClose
	}
	p, _ := c.State.(*pending)
	if p == nil || !p.writing() {
		if want == mpm.WantRequest {
			a.settled(c)
		}
		return want
	}
	// The client has to read first.
	switch want {
	case mpm.WantRequest, mpm.WantWrite:
		if left := a.left(); left > 0 && p.finish == mpm.WantRequest {
			p.in = append(p.in[:0], in[len(in)-left:]...)
		}
	case mpm.WantClose, mpm.WantLinger:
		p.finish = want
	}
	return mpm.WantWrite
}

// left is how much of this step's input no request has taken.
func (a *async) left() int { return a.br.Buffered() + len(a.unread) }

// request answers the request whose header is in ctx.
func (a *async) request(now time.Time) mpm.Want {
	req, resp := &a.ctx.Request, &a.ctx.Response
	// Parsed here because fasthttp's own way keeps the error for itself.
	req.SetURI(&noURI)
	if err := req.URI().Parse(req.Header.Host(), req.Header.RequestURI()); err != nil {
		return a.refuse(err)
	}
	if a.waits(req, now) {
		return mpm.WantWorker
	}
	http11 := req.Header.IsHTTP11()
	asked := req.Header.ConnectionClose()
	a.respond(&a.conn, &a.ctx, now)
	end := asked || resp.Header.ConnectionClose() || !a.cfg.KeepAlive
	switch {
	case end:
		resp.Header.SetConnectionClose()
	case !http11:
		resp.Header.Set(fasthttp.HeaderConnection, "keep-alive")
	}
	if a.ctx.IsHead() {
		resp.SkipBody = true
	}
	want := mpm.WantRequest
	if end {
		want = mpm.WantLinger
		if asked && a.left() == 0 {
			want = mpm.WantClose // the client sends no more
		}
	}
	body, ok := resp.BodyStream().(module.FileBody)
	if !ok || resp.SkipBody {
		if err := resp.Write(a.bw); err != nil && !a.broken {
			// A body that cannot be read is cut off: the client sees that it is
			// too short.
			return mpm.WantClose
		}
		if p, ok := a.cur.State.(*pending); ok && p.writing() && !end {
			_ = a.bw.Flush()
			return mpm.WantWrite
		}
		return want
	}
	body.Detach()
	_ = resp.Header.Write(a.bw)
	p := a.pending(a.cur)
	p.file, p.finish = body, want
	_ = a.bw.Flush()
	if a.broken {
		return mpm.WantClose
	}
	return a.send(p)
}

var noURI fasthttp.URI

// waits reports whether to answer a request may take waiting: for its body, or
// for what a module says.
func (a *async) waits(req *fasthttp.Request, now time.Time) bool {
	// -2 is neither Content-Length nor Transfer-Encoding.
	if n := req.Header.ContentLength(); n > 0 || n == -1 || req.MayContinue() || req.Header.ConnectionUpgrade() {
		return true
	}
	if len(a.mayWait) == 0 {
		return false
	}
	r := &module.Request{RequestCtx: &a.ctx, Sys: a.s, Site: a.site(&a.ctx), Now: now}
	for _, mayWait := range a.mayWait {
		if mayWait(r) {
			return true
		}
	}
	return false
}

// refuse answers what is no request, as fasthttp's server does.
func (a *async) refuse(err error) mpm.Want {
	a.ctx.Response.Reset()
	a.protocolError(&a.ctx, err)
	a.ctx.SetConnectionClose()
	_ = a.ctx.Response.Write(a.bw) // see broken
	return mpm.WantLinger
}

// Late implements mpm.Async.
func (a *async) Late(c *mpm.AsyncConn, now time.Time) mpm.Want {
	a.cur, a.broken = c, false
	a.bw.Reset(a)
	a.conn.Reset(c.Fd, c.Peer)
	a.refuse(os.ErrDeadlineExceeded)
	_ = a.bw.Flush()
	a.ctx.Response.Reset()
	// A client that does not even read this has had its time.
	if p := c.State.(*pending); a.broken || p.writing() {
		return mpm.WantClose
	}
	return mpm.WantLinger
}

// Write sends what responses have come to, or keeps it until the client reads.
// It is bw's.
func (a *async) Write(b []byte) (int, error) {
	p, _ := a.cur.State.(*pending)
	n := 0
	if p == nil || p.sent == len(p.out) {
		flags := sys.MSG_DONTWAIT | sys.MSG_NOSIGNAL
		if p != nil && p.file != nil {
			flags |= sys.MSG_MORE
		}
		var err error
		n, err = a.s.Send(a.cur.Fd, b, flags)
		switch {
		case err == sys.EAGAIN || err == sys.EINTR:
			n = 0
		case err != nil:
			a.broken = true
			return 0, err
		case n == len(b):
			return n, nil
		}
		p = a.pending(a.cur)
		p.out, p.sent = p.out[:0], 0
	}
	p.out = append(p.out, b[n:]...)
	return len(b), nil
}

// send writes what is pending, as far as the client reads. WantRequest: it is
// all written, and the connection goes on.
func (a *async) send(p *pending) mpm.Want {
	s, fd := a.s, a.cur.Fd
	for sent := 0; ; {
		b, in, off, size := p.out[p.sent:], -1, int64(0), int64(0)
		head := len(b) > 0
		if !head {
			if p.file == nil {
				want := p.finish
				p.out, p.sent, p.finish = p.out[:0], 0, mpm.WantRequest
				return want
			}
			b, in, off, size = p.file.Part()
			if len(b) == 0 && size == 0 {
				_ = p.file.Close()
				p.file = nil
				continue
			}
		}
		var n int
		var err error
		want := int64(len(b))
		if want > 0 {
			flags := sys.MSG_DONTWAIT | sys.MSG_NOSIGNAL
			if p.file != nil {
				flags |= sys.MSG_MORE
			}
			n, err = s.Send(fd, b, flags)
		} else {
			want = min(size, int64(sendMax-sent))
			n, err = s.Sendfile(fd, in, off, int(want))
			if n == 0 && err == nil {
				return mpm.WantClose // the file has become shorter
			}
		}
		if err == sys.EINTR {
			continue
		}
		if err == sys.EAGAIN {
			return mpm.WantWrite
		}
		if err != nil {
			return mpm.WantClose
		}
		if head {
			p.sent += n
		} else {
			p.file.Sent(int64(n))
		}
		sent += n
		if int64(n) < want || sent >= sendMax {
			// The rest would be EAGAIN, or it is the others' turn.
			return mpm.WantWrite
		}
	}
}

// keep keeps the beginning of a request for the next step.
func (a *async) keep(c *mpm.AsyncConn, rest []byte) {
	p := a.pending(c)
	p.in = append(p.in[:0], rest...)
}

// pending makes the State of c, where it has none.
func (a *async) pending(c *mpm.AsyncConn) *pending {
	if p, ok := c.State.(*pending); ok {
		return p
	}
	p := &pending{}
	if n := len(a.free); n > 0 {
		p, a.free = a.free[n-1], a.free[:n-1]
	}
	c.State = p
	return p
}

// settled takes the State from a connection that has nothing pending.
func (a *async) settled(c *mpm.AsyncConn) {
	p, ok := c.State.(*pending)
	if !ok {
		return
	}
	c.State = nil
	if len(a.free) < pendingMax && cap(p.in)+cap(p.out) <= keepBuffer {
		*p = pending{in: p.in[:0], out: p.out[:0]}
		a.free = append(a.free, p)
	}
}

// Drop implements mpm.Async.
func (a *async) Drop(c *mpm.AsyncConn) {
	p, ok := c.State.(*pending)
	if ok && p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
	a.settled(c)
}

// borrowed is a connection in a worker thread: for one request, and those that
// came with it.
type borrowed struct {
	connection
	ahead    []byte // was read by the loop
	returned bool   // it goes back to the loop
}

// Read ends when the next request is waited for: that is the loop's part.
func (b *borrowed) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	if b.idle {
		b.returned = true
		return 0, io.EOF
	}
	return b.connection.Read(p)
}

// Close leaves the descriptor to the loop.
func (b *borrowed) Close() error { return nil }

// Block implements mpm.Async: fasthttp's server, as in the MPMs of threads.
func (a *async) Block(s sys.Sys, c *mpm.AsyncConn, worker mpm.Worker) mpm.Want {
	p := c.State.(*pending)
	c.State = nil
	// Of the flags that can be set, the socket has this one alone.
	if _, err := s.Fcntl(c.Fd, sys.F_SETFL, 0); err != nil {
		return mpm.WantClose
	}
	b := &borrowed{ahead: p.in}
	b.connection = a.connection(s, c.Fd, c.Peer, worker)
	b.requests = c.Requests
	worker.Set(mpm.Reading)
	_ = a.http.ServeConn(b)
	c.Requests = b.requests
	if !b.returned {
		return mpm.WantLinger
	}
	if _, err := s.Fcntl(c.Fd, sys.F_SETFL, sys.O_NONBLOCK); err != nil {
		return mpm.WantClose
	}
	return mpm.WantRequest
}

// withoutDate is a response header to which fasthttp adds no Date of its own.
// Only a server of fasthttp can make one; its copies are the same.
func withoutDate() *fasthttp.ResponseHeader {
	h := &fasthttp.ResponseHeader{}
	srv := fasthttp.Server{
		NoDefaultDate:        true,
		NoDefaultContentType: true,
		Handler:              func(ctx *fasthttp.RequestCtx) { ctx.Response.Header.CopyTo(h) },
	}
	in := input("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	_ = srv.ServeConn(&oneRequest{in: &in})
	return h
}

// oneRequest is a connection that carries one request, and nobody reads the
// response.
type oneRequest struct {
	net.Conn
	in *input
}

func (c *oneRequest) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *oneRequest) Write(p []byte) (int, error) { return len(p), nil }
func (c *oneRequest) Close() error                { return nil }
