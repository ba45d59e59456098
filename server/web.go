package server

import (
	"bufio"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/valyala/fasthttp"
)

// writeBufferSize holds a header and the largest body that the static module
// keeps in memory, so that both leave in one write.
const writeBufferSize = 36 << 10

// bodyPrefix is how much of a request's body is held in memory.
const bodyPrefix = 64 << 10

// web is HTTP in one child: fasthttp in the thread of the connection.
type web struct {
	cfg       *confhcl.Config
	child     *mpm.Child
	http      fasthttp.Server
	handlers  []func(*module.Request) bool
	mayWait   []func(*module.Request) bool
	loggers   []func(*module.Request)
	hosts     map[string]int // index of a site by name
	wildcards []wildcard     // in the order of the configuration
	fallback  int            // the site of other names
	stamp     atomic.Pointer[stamp]
	owners    *owners                  // nil: all children have the same
	dateless  *fasthttp.ResponseHeader // of event; see withoutDate
}

// wildcard is a server_alias with * or ?.
type wildcard struct {
	pattern string
	site    int
}

// stamp is the beginning of all responses of one second; see begin.
type stamp struct {
	second int64
	header fasthttp.ResponseHeader
}

func newWeb(s sys.Sys, h *handover, child *mpm.Child, logf func(string, ...any)) (*web, error) {
	if len(h.Modules) != len(modules) {
		return nil, fmt.Errorf("the handover has %d modules, this program %d", len(h.Modules), len(modules))
	}
	w := &web{cfg: h.Config, child: child, hosts: map[string]int{}}
	for i, m := range modules {
		inst, err := m.InJail(s, &module.InJail{Config: h.Config, State: h.Modules[i], Logf: logf})
		if err != nil {
			return nil, fmt.Errorf("module %s: %w", m.Name(), err)
		}
		if inst.Handle != nil {
			w.handlers = append(w.handlers, inst.Handle)
		}
		if inst.MayWait != nil {
			w.mayWait = append(w.mayWait, inst.MayWait)
		}
		if inst.Log != nil {
			w.loggers = append(w.loggers, inst.Log)
		}
	}
	// The first site without a name, else the first, answers unknown names.
	for i := len(h.Config.Sites) - 1; i >= 0; i-- {
		site := &h.Config.Sites[i]
		for _, name := range append([]string{site.ServerName}, site.ServerAlias...) {
			switch {
			case strings.ContainsAny(name, "*?"):
				// A [ of an IPv6 address is no set of characters.
				pattern := strings.ReplaceAll(name, "[", `\[`)
				w.wildcards = slices.Insert(w.wildcards, 0, wildcard{pattern, i})
			case name != "":
				w.hosts[name] = i
			}
		}
		if site.ServerName == "" {
			w.fallback = i
		}
	}
	w.owners = newOwners(h.Config, child)
	w.http = fasthttp.Server{
		Handler:               w.handle,
		NoDefaultServerHeader: true, // see begin
		// One buffer holds the request line and all fields.
		ReadBufferSize:   h.Config.LimitRequestLine + h.Config.LimitRequestFieldSize,
		WriteBufferSize:  writeBufferSize,
		DisableKeepalive: !h.Config.KeepAlive,
		// A body is not read into memory before its handler runs, but for the
		// first part; see answer for the limit.
		StreamRequestBody:     true,
		MaxRequestBodySize:    bodyPrefix,
		Concurrency:           1 << 30,
		NoDefaultDate:         true, // fasthttp's comes from time.Now
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
		Logger:                httpLogger{},
		ErrorHandler:          w.protocolError,
	}
	return w, nil
}

// httpLogger keeps fasthttp's own messages out of the error log: they are
// about what clients did, which the access log tells.
type httpLogger struct{}

func (httpLogger) Printf(string, ...any) {}

// connection is one connection in its thread.
type connection struct {
	*conn.Conn
	sys      sys.Sys
	worker   mpm.Worker
	idle     bool
	requests int // answered so far
	req      module.Request
	heads    *heads // nil: all requests are for this child
}

// Read knows whether it waits for a request or within one: the limits and the
// state on the scoreboard differ.
func (c *connection) Read(p []byte) (int, error) {
	if c.heads != nil {
		return c.heads.read(c, p)
	}
	return c.read(p)
}

func (c *connection) read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.idle && n > 0 {
		c.idle = false
		c.SetIdle(false)
		c.worker.Set(mpm.Reading)
	}
	return n, err
}

// serve is the mpm.ServeFunc.
func (w *web) serve(s sys.Sys, fd int, peer sys.SockAddr, worker mpm.Worker) {
	c := w.connection(s, fd, peer, worker)
	worker.Set(mpm.Reading)
	// An error is the client's: it went away, or took too long.
	_ = w.http.ServeConn(&c)
}

// connection makes the connection of a descriptor that blocks.
func (w *web) connection(s sys.Sys, fd int, peer sys.SockAddr, worker mpm.Worker) connection {
	c := connection{Conn: conn.New(s, fd, sys.SockAddr{}, peer), sys: s, worker: worker}
	c.Inherited(w.cfg.Timeout) // see setListenerOptions
	c.SetReadTimeout(w.cfg.Timeout)
	c.SetIdleTimeout(w.cfg.KeepAliveTimeout)
	c.SetWriteTimeout(w.cfg.Timeout)
	return c
}

// handle answers one request in the connection's thread.
func (w *web) handle(ctx *fasthttp.RequestCtx) {
	c := connectionOf(ctx)
	c.worker.Set(mpm.Writing)
	w.respond(c, ctx, c.sys.Now())
	c.worker.Set(mpm.KeepAlive)
	c.idle = true
	c.SetIdle(true)
}

// connectionOf is the connection of a request.
func connectionOf(ctx *fasthttp.RequestCtx) *connection {
	if b, ok := ctx.Conn().(*borrowed); ok {
		return &b.connection
	}
	return ctx.Conn().(*connection)
}

// respond makes the response to one request, and logs it.
func (w *web) respond(c *connection, ctx *fasthttp.RequestCtx, now time.Time) {
	c.req = module.Request{RequestCtx: ctx, Sys: c.sys, Site: w.site(ctx), Now: now}
	w.begin(&ctx.Response.Header, now)
	w.answer(&c.req)
	c.requests++
	if most := w.cfg.MaxKeepAliveRequests; w.child.Quitting() || most > 0 && c.requests >= most || c.heads.unbounded() {
		ctx.Response.SetConnectionClose()
	}
	for _, log := range w.loggers {
		log(&c.req)
	}
	c.worker.Served(uint64(c.req.BodyBytes), uint64(now.UnixNano()))
}

func (w *web) answer(r *module.Request) {
	// RFC 9112, 3.2: a 1.1 request without Host is bad.
	if r.Request.Header.IsHTTP11() && len(r.Request.Header.Host()) == 0 {
		errorPage(r, fasthttp.StatusBadRequest)
		return
	}
	if len(r.Request.Header.RequestURI()) > w.cfg.LimitRequestLine {
		errorPage(r, fasthttp.StatusRequestURITooLong)
		return
	}
	if limit := w.cfg.LimitRequestBody; limit > 0 && int64(r.Request.Header.ContentLength()) > limit {
		errorPage(r, fasthttp.StatusRequestEntityTooLarge)
		r.Response.SetConnectionClose() // the body is not worth reading
		return
	}
	if !w.owners.mine(r.Site) {
		misdirected(r)
		return
	}
	for _, handle := range w.handlers {
		if handle(r) {
			return
		}
	}
	errorPage(r, fasthttp.StatusNotFound)
}

// protocolError answers what fasthttp could not read as a request.
func (w *web) protocolError(ctx *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	switch {
	case err == fasthttp.ErrBodyTooLarge:
		status = fasthttp.StatusRequestEntityTooLarge
	case errors.As(err, &small):
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	}
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		status = fasthttp.StatusRequestTimeout
	}
	c := connectionOf(ctx)
	r := &module.Request{RequestCtx: ctx, Sys: c.sys, Now: c.sys.Now()}
	w.begin(&ctx.Response.Header, r.Now)
	errorPage(r, status)
	for _, log := range w.loggers {
		log(r)
	}
}

// errorPage is the body of a response that no module has made.
func errorPage(r *module.Request, status int) {
	body := fmt.Sprintf("<!DOCTYPE html>\n<title>%d %s</title>\n<h1>%s</h1>\n",
		status, fasthttp.StatusMessage(status), fasthttp.StatusMessage(status))
	r.Response.ResetBody()
	r.SetStatusCode(status)
	r.SetContentType("text/html; charset=utf-8")
	r.SetBodyString(body)
	r.BodyBytes = int64(len(body))
}

// site chooses the site by the Host header's name, without its port: by a name
// in full, else by the first alias with a wildcard, else the fallback.
func (w *web) site(ctx *fasthttp.RequestCtx) int { return w.siteOf(ctx.Request.Header.Host()) }

func (w *web) siteOf(host []byte) int {
	if len(w.hosts) == 0 && len(w.wildcards) == 0 {
		return w.fallback
	}
	name := strings.ToLower(string(host))
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		name = name[:i]
	}
	name = strings.TrimSuffix(name, ".")
	if i, ok := w.hosts[name]; ok {
		return i
	}
	for _, wild := range w.wildcards {
		// A name has no slash, so path.Match's * is ServerAlias's.
		if ok, _ := path.Match(wild.pattern, name); ok {
			return wild.site
		}
	}
	return w.fallback
}

// httpTime is the IMF-fixdate of RFC 9110, 5.6.7.
const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"

// begin gives a response its first fields, Server and Date. fasthttp would
// take the Date from time.Now and lets nobody set it, but keeps one that it has
// parsed: once a second a header is parsed, and copied for each response.
func (w *web) begin(h *fasthttp.ResponseHeader, now time.Time) {
	second := now.Unix()
	st := w.stamp.Load()
	if st != nil && st.second == second {
		st.header.CopyTo(h)
		return
	}
	text := "HTTP/1.1 200\r\nServer: httpjail\r\nContent-Length: 0\r\nDate: " + now.UTC().Format(httpTime) + "\r\n\r\n"
	if w.dateless != nil {
		w.dateless.CopyTo(h)
	}
	if err := h.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
		panic("server: fasthttp cannot read its own header: " + err.Error())
	}
	st = &stamp{second: second}
	h.CopyTo(&st.header)
	w.stamp.Store(st)
}
