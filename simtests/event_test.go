package simtests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/httpjail/httpjail/sys/fake"
)

// eventConf is seed for event, which has no accept mutex.
func eventConf(rest string) string {
	return strings.Replace(fmt.Sprintf(seed, "event", "none", rest), "accept_mutex    = \"none\"\n", "", 1)
}

// oneLoop keeps to one child, so that all connections are in one loop.
const oneLoop = "start_servers = 1\n  threads_per_child = 3\n  min_spare_threads = 1\n  max_spare_threads = 4\n  max_clients = 3\n  "

func eventScenarios() []scenario {
	conf := eventConf(fewThreads)
	one := eventConf(oneLoop)
	return []scenario{
		{"serve and stop/event", func(o *operator) { serveAndStop(o, conf) }},
		{"kill a child/event", func(o *operator) { killChild(o, conf) }},
		{"kill the parent/event", func(o *operator) { killParent(o, conf) }},
		{"stop gracefully/event", func(o *operator) { stopEventGracefully(o, one) }},
		{"event/idle connections", func(o *operator) { idleConnections(o, one) }},
		{"event/pipelining", func(o *operator) { pipelining(o, one) }},
		{"event/a request in pieces", func(o *operator) { pieces(o, one) }},
		{"event/a slow reader", func(o *operator) { slowReader(o, one) }},
		{"event/bodies", func(o *operator) { bodies(o, one) }},
		{"event/more bodies than threads", func(o *operator) { manyBodies(o, one) }},
		{"event/unread data", func(o *operator) { unreadData(o, one) }},
		{"event/timeouts", func(o *operator) { timeouts(o, "timeout = 2\nkeep_alive_timeout = 1\n"+one) }},
		{"event/full", func(o *operator) { full(o, eventConf(fewThreads)) }},
		{"event/max_requests_per_child", func(o *operator) { maxRequests(o, eventConf(fewThreads+"max_requests_per_child = 3\n")) }},
	}
}

// client is one connection and what is read from it.
type client struct {
	*conn.Conn
	o  *operator
	br *bufio.Reader
}

func (o *operator) connect() *client {
	c, err := o.dial(o.s)
	o.must("connect", err)
	return &client{c, o, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	_, err := io.WriteString(c, text)
	c.o.must("send", err)
}

const getPage = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// answer reads a response to method.
func (c *client) answer(method string) response {
	res, err := http.ReadResponse(c.br, &http.Request{Method: method})
	c.o.must("read a response", err)
	body, err := io.ReadAll(res.Body)
	c.o.must("read a response's body", err)
	if res.Close { // net/http has taken the field out
		res.Header.Set("Connection", "close")
	}
	return response{res.StatusCode, res.Header, string(body)}
}

// expect reads a response that must have a status.
func (c *client) expect(method string, status int) response {
	r := c.answer(method)
	if r.status != status || status == 200 && method == "GET" && r.body != page {
		c.o.failf("%s: %d %q, want %d", method, r.status, r.body, status)
	}
	return r
}

// closed reads the end, with nothing before it.
func (c *client) closed() {
	if b, err := c.br.ReadByte(); err != io.EOF {
		c.o.failf("read %q, %v in place of the end", b, err)
	}
	c.Close()
}

// served starts a server and says how to stop it.
func (o *operator) served(conf string) (stop func()) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	return func() {
		o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
		o.stopped(srv, before)
	}
}

// stopEventGracefully is SIGWINCH: a connection that waits for a request is
// closed, and a request that has begun is answered.
func stopEventGracefully(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	idle, busy := o.connect(), o.connect()
	for _, c := range []*client{idle, busy} {
		c.send(getPage)
		c.expect("GET", 200)
	}
	busy.send(getPage[:20])
	// It has been read when a later connection has been served.
	o.mustGet("/", 200)
	o.must("kill -WINCH", o.s.Kill(srv.pid, sys.SIGWINCH))
	o.eventually("the PidFile is gone", func() bool { return !o.exists("jail/var/run/httpd.pid") })
	idle.closed()
	o.eventually("new connections are refused", func() bool {
		c, err := o.dial(o.s)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, sys.ECONNREFUSED)
	})
	busy.send(getPage[20:])
	if r := busy.expect("GET", 200); r.header.Get("Connection") != "close" {
		o.failf("the last response says Connection: %q", r.header.Get("Connection"))
	}
	busy.closed()
	o.stopped(srv, before)
}

// idleConnections: they take nothing from those that are active.
func idleConnections(o *operator, conf string) {
	stop := o.served(conf)
	var idle []*client
	for range 200 {
		c := o.connect()
		c.send(getPage)
		c.expect("GET", 200)
		idle = append(idle, c)
	}
	l := o.load(2)
	n := l.answered.Load()
	o.eventually("the load goes on", func() bool { return l.answered.Load() > n+20 })
	l.end(o)
	if failed, wrong := l.failed.Load(), l.wrong.Load(); failed+wrong > 0 {
		o.failf("%d connections failed and %d answers were wrong", failed, wrong)
	}
	for _, c := range idle {
		c.send(getPage)
		c.expect("GET", 200)
		c.Close()
	}
	stop()
}

// pipelining: answers come in the order of the requests, whoever makes them.
func pipelining(o *operator, conf string) {
	stop := o.served(conf)
	c := o.connect()
	head := strings.Replace(getPage, "GET", "HEAD", 1)
	nothing := strings.Replace(getPage, "/ ", "/nothing ", 1)
	post := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345"
	c.send(strings.Repeat(getPage, 30) + head + nothing + post + getPage + "\r\n" + post + nothing)
	for range 30 {
		c.expect("GET", 200)
	}
	c.expect("HEAD", 200)
	c.expect("GET", 404)
	c.expect("POST", 405)
	c.expect("GET", 200)
	c.expect("POST", 405)
	c.expect("GET", 404)
	// What follows the last request of a connection is not answered.
	c.send(strings.Replace(getPage, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1) + getPage)
	c.expect("GET", 200)
	c.closed()

	// HTTP/1.0 closes unless told otherwise.
	c = o.connect()
	c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if r := c.expect("GET", 200); r.header.Get("Connection") != "keep-alive" {
		o.failf("Connection: %q for HTTP/1.0 with keep-alive", r.header.Get("Connection"))
	}
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.expect("GET", 200)
	c.closed()
	stop()
}

// pieces: a request comes byte by byte.
func pieces(o *operator, conf string) {
	stop := o.served(conf)
	c, other := o.connect(), o.connect()
	text := "\r\n" + getPage + getPage
	for i := range len(text) {
		c.send(text[i : i+1])
		if i%16 == 0 {
			other.send(getPage)
			other.expect("GET", 200)
		}
	}
	c.expect("GET", 200)
	c.expect("GET", 200)
	c.send("no request\r\n\r\n")
	c.expect("GET", 400)
	c.closed()
	other.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 20000) + "\r\n\r\n")
	other.expect("GET", 431)
	other.Close()
	// A client that goes away in the middle of a request.
	c = o.connect()
	c.send(getPage[:10])
	c.Close()
	o.mustGet("/", 200)
	stop()
}

// bigFile is larger than what one step sends, and than what sockets hold.
func bigFile() string {
	var b strings.Builder
	for i := 0; b.Len() < 5<<20; i++ {
		fmt.Fprintf(&b, "%08d\n", i)
	}
	return b.String()
}

// slowReader: a client that reads slowly costs others nothing.
func slowReader(o *operator, conf string) {
	o.mkdirs("jail")
	big := bigFile()
	o.writeFile("jail/big.bin", big)
	o.writeFile("jail/medium.bin", big[:30_000])
	stop := o.served(conf)
	getBig := strings.Replace(getPage, "/ ", "/big.bin ", 1)
	slow, gone := o.connect(), o.connect()
	gone.send(getBig)
	slow.send(getBig + getPage + getBig)
	buf := make([]byte, 700_000)
	for range 2 {
		res, err := http.ReadResponse(slow.br, nil)
		o.must("read the header", err)
		got := make([]byte, 0, len(big))
		for err == nil {
			var n int
			n, err = io.ReadFull(res.Body, buf)
			got = append(got, buf[:n]...)
			o.mustGet("/", 200)
			_ = o.s.Nanosleep(time.Millisecond)
		}
		if string(got) != big {
			o.failf("%d bytes of the file, not those that it has", len(got))
		}
		if gone != nil {
			gone.Close() // in the middle of the file
			gone = nil
			slow.expect("GET", 200)
		}
	}
	// Parts of it.
	slow.send(strings.Replace(getBig, "\r\n\r\n", "\r\nRange: bytes=10-29,2000000-4000000\r\n\r\n", 1))
	r := slow.answer("GET")
	if r.status != 206 || !strings.Contains(r.body, big[10:30]) || !strings.Contains(r.body, big[2000000:4000001]) {
		o.failf("two ranges: %d, %d bytes", r.status, len(r.body))
	}
	slow.send(strings.Replace(getBig, "GET", "HEAD", 1))
	if r := slow.expect("HEAD", 200); r.header.Get("Content-Length") != fmt.Sprint(len(big)) {
		o.failf("HEAD says Content-Length: %q", r.header.Get("Content-Length"))
	}
	// Many responses that the client does not read for a while.
	slow.send(strings.Repeat(strings.Replace(getPage, "/ ", "/medium.bin ", 1), 80))
	o.mustGet("/", 200)
	for range 80 {
		if r := slow.answer("GET"); r.status != 200 || r.body != big[:30_000] {
			o.failf("a response among many: %d, %d bytes", r.status, len(r.body))
		}
	}
	slow.Close()
	stop()
}

// bodies: a request with a body goes to a worker thread, and its connection
// comes back.
func bodies(o *operator, conf string) {
	stop := o.served(conf)
	c := o.connect()
	for i := range 3 {
		c.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234")
		o.mustGet("/", 200)
		c.send("56789")
		c.expect("POST", 405)
		c.send(getPage)
		c.expect("GET", 200)
		c.send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		if r := c.answer("POST"); r.status != 100 {
			o.failf("round %d: %d in place of 100 Continue", i, r.status)
		}
		c.send("abc")
		c.expect("POST", 405)
		c.send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nxy" + getPage)
		c.expect("GET", 200)
		c.expect("GET", 200)
	}
	c.send("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxy")
	c.expect("POST", 405)
	c.closed()
	c = o.connect()
	c.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	c.expect("POST", 405)
	c.Close()
	stop()
}

// manyBodies: connections wait for a worker where all are taken.
func manyBodies(o *operator, conf string) {
	stop := o.served(strings.Replace(conf, "threads_per_child", "async_request_worker_factor = 100\n  threads_per_child", 1))
	var all []*client
	for range 8 {
		c := o.connect()
		c.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
		all = append(all, c)
	}
	for _, c := range all {
		c.send("0123456789")
	}
	for _, c := range all {
		c.expect("POST", 405)
		c.send(getPage)
		c.expect("GET", 200)
		c.Close()
	}
	stop()
}

// unreadData: a client that is refused while it is still sending gets the
// answer and not a reset.
func unreadData(o *operator, conf string) {
	stop := o.served(conf)
	for _, first := range []string{"no request\r\n\r\n", strings.Replace(getPage, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1) + "x"} {
		c := o.connect()
		c.send(first + strings.Repeat("more and more\r\n", 8000))
		if r := c.answer("GET"); r.status != 400 && r.status != 200 {
			o.failf("answered with %d", r.status)
		}
		c.closed()
	}
	stop()
}

// timeouts: of a connection that waits for a request, of one with half a
// request, and of one that does not read.
func timeouts(o *operator, conf string) {
	o.mkdirs("jail")
	o.writeFile("jail/big.bin", bigFile())
	stop := o.served(conf)
	idle, half, deaf := o.connect(), o.connect(), o.connect()
	start := o.s.Monotonic()
	took := func() time.Duration { return o.s.Monotonic() - start }
	idle.send(getPage)
	idle.expect("GET", 200)
	half.send(getPage[:20])
	deaf.send(strings.Replace(getPage, "/ ", "/big.bin ", 1))
	idle.closed()
	if d := took(); d < time.Second {
		o.failf("keep_alive_timeout came after %v", d)
	}
	half.expect("GET", 408)
	if d := took(); d < 2*time.Second {
		o.failf("timeout came after %v", d)
	}
	half.closed()
	_ = o.s.Nanosleep(start + 3*time.Second - o.s.Monotonic())
	n, err := io.Copy(io.Discard, deaf.br)
	if n == 0 || n >= 5<<20 {
		o.failf("a client that did not read got %d bytes, %v", n, err)
	}
	deaf.Close()
	o.mustGet("/", 200)
	stop()
}

// full: where children have what they can serve, the parent starts more, and
// who finds none free is served when one is.
func full(o *operator, conf string) {
	conf = strings.Replace(conf, "threads_per_child", "async_request_worker_factor = 0.5\n  threads_per_child", 1)
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	var half []*client
	for range 20 {
		c := o.connect()
		c.send(getPage[:20])
		half = append(half, c)
	}
	o.eventually("the parent has started all children", func() bool { return len(srv.children()) == 3 })
	for _, c := range half {
		c.send(getPage[20:])
	}
	for _, c := range half {
		c.expect("GET", 200)
		c.Close()
	}
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// maxRequests: a child ends after so many connections, and answers all of them.
func maxRequests(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	seen := map[int]bool{}
	for range 20 {
		c := o.connect()
		c.send(getPage)
		c.expect("GET", 200)
		c.Close()
		for pid := range srv.children() {
			seen[pid] = true
		}
		_ = o.s.Nanosleep(20 * time.Millisecond)
	}
	o.eventually("children were replaced", func() bool {
		for pid := range srv.children() {
			seen[pid] = true
		}
		return len(seen) > 4
	})
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// TestEventWithoutDescriptors: where a child has no descriptor left for a new
// connection, the one that has waited longest for a request gives its own. Only
// on the simulated kernel: a Go program on the real one raises its soft limit,
// and the operator could not raise a hard one again.
func TestEventWithoutDescriptors(t *testing.T) {
	runFake(t, scenario{"event/no descriptors", func(o *operator) {
		o.site()
		o.configure(eventConf(oneLoop))
		before := o.list(o.jail() + "/var/run")
		old, err := o.s.Getrlimit(sys.RLIMIT_NOFILE)
		o.must("getrlimit", err)
		o.must("setrlimit", o.s.Setrlimit(sys.RLIMIT_NOFILE, sys.Rlimit{Cur: 30, Max: old.Max}))
		srv := o.start()
		o.must("setrlimit", o.s.Setrlimit(sys.RLIMIT_NOFILE, old))
		srv.ready()
		var all []*client
		for range 60 {
			c := o.connect()
			c.send(getPage)
			c.expect("GET", 200)
			all = append(all, c)
		}
		all[0].closed()
		last := all[len(all)-1]
		last.send(getPage)
		last.expect("GET", 200)
		for _, c := range all[1:] {
			c.Close()
		}
		o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
		o.stopped(srv, before)
	}}, fake.Deterministic, 1)
}
