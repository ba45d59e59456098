package server

import (
	"bufio"
	"bytes"
	"io"
	"slices"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// In the MPM perchild children run as different users and a site is served by
// those of its own, whoever has accepted the connection. So a request's head is
// read before fasthttp sees any of it: where the request is another user's, the
// connection is passed on with all that was read.

// groups is how many children each user has, in the order of child_per_user_id;
// the last group are those of the jail's user, if any are left.
func groups(m *confhcl.MPM) (servers []int) {
	rest := m.NumServers
	for _, c := range m.ChildPerUserID {
		servers = append(servers, c.Servers)
		rest -= c.Servers
	}
	if rest > 0 {
		servers = append(servers, rest)
	}
	return servers
}

// owner is whom the children of a group become.
func (p *parent) owner(group int) identity {
	if group < len(p.owners) {
		return p.owners[group]
	}
	return p.user
}

// allOwned reports that no child becomes jail.user.
func (p *parent) allOwned() bool {
	return len(p.owners) > 0 && len(groups(&p.cfg.MPM)) == len(p.owners)
}

// anybody is the group of a site that all children serve.
const anybody = -1

// owners is whose each site is.
type owners struct {
	own    int   // the child's group
	groups []int // by site
}

// newOwners is nil where all children may serve all sites. A site without
// assign_user_id is the jail's user's; where no child is that, it is anybody's.
func newOwners(cfg *confhcl.Config, child *mpm.Child) *owners {
	if !child.Passes() {
		return nil
	}
	m := &cfg.MPM
	unassigned := len(m.ChildPerUserID)
	if unassigned == len(groups(m)) {
		unassigned = anybody
	}
	o := &owners{own: child.Group()}
	for _, site := range cfg.Sites {
		g := unassigned
		if u := site.AssignUserID; u != nil {
			g = slices.IndexFunc(m.ChildPerUserID, func(c confhcl.ChildPerUserID) bool {
				return c.User == u.User && c.Group == u.Group
			})
		}
		o.groups = append(o.groups, g)
	}
	return o
}

func (o *owners) mine(site int) bool {
	return o == nil || o.groups[site] == o.own || o.groups[site] == anybody
}

// misdirected answers a request that is another user's and could not be passed:
// it came after one whose end only its handler has found.
func misdirected(r *module.Request) {
	errorPage(r, fasthttp.StatusMisdirectedRequest)
	r.Response.SetConnectionClose()
}

// resume is the mpm.ResumeFunc: serve, of a connection that may have been
// passed to this child, and may be passed on.
func (w *web) resume(s sys.Sys, in mpm.Conn, worker mpm.Worker) {
	if w.owners == nil {
		w.serve(s, in.Fd, in.Peer, worker)
		return
	}
	c := w.connection(s, in.Fd, in.Peer, worker)
	c.heads = &heads{web: w, buf: make([]byte, max(w.http.ReadBufferSize, len(in.Read)))}
	c.heads.have = copy(c.heads.buf, in.Read)
	worker.Set(mpm.Reading)
	_ = w.http.ServeConn(&c)
	if h := c.heads; h.passed {
		w.pass(s, &c)
		_ = c.Conn.Close()
	}
}

// pass gives the connection to a child of the group that its request is for.
func (w *web) pass(s sys.Sys, c *connection) {
	h := c.heads
	err := w.child.Pass(s, h.to, c.Fd(), h.buf[:h.have])
	if err == nil {
		return
	}
	w.child.Logf("cannot pass a request to a process of its site's user: %v", err)
	_, _ = io.WriteString(c.Conn, "HTTP/1.1 503 Service Unavailable\r\nServer: httpjail\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// heads gives fasthttp one request at a time, after it has seen whose it is:
// nothing of the next request may be in fasthttp's buffer, or it would be lost
// when the connection is passed.
type heads struct {
	web  *web
	buf  []byte
	have int   // bytes of buf that were read and not given yet
	left int64 // what may still be given of the current request
	// endless: where the request ends is not known, as with chunks. What
	// follows it is given too, and the connection is not kept.
	endless bool
	passed  bool // the next request is not for this child,
	to      int  // but for one of this group
}

// unbounded reports that no request can follow on the connection.
func (h *heads) unbounded() bool { return h != nil && h.endless }

// errPassed ends fasthttp's work on a connection without an answer.
var errPassed = io.EOF

func (h *heads) read(c *connection, p []byte) (int, error) {
	if h.left == 0 && !h.endless {
		if err := h.next(c); err != nil {
			return 0, err
		}
	}
	if !h.endless && int64(len(p)) > h.left {
		p = p[:h.left]
	}
	if h.have == 0 {
		n, err := c.read(p)
		h.left -= int64(n)
		return n, err
	}
	n := copy(p, h.buf[:h.have])
	h.have = copy(h.buf, h.buf[n:h.have])
	h.left -= int64(n)
	return n, nil
}

// next reads the head of the next request and decides.
func (h *heads) next(c *connection) error {
	seen := 0
	for {
		if hasHead(h.buf[:h.have], seen) {
			break
		}
		seen = h.have
		if h.have == len(h.buf) {
			h.endless = true // too long: fasthttp says so
			return nil
		}
		n, err := c.read(h.buf[h.have:])
		h.have += n
		if err != nil {
			if h.have == 0 {
				return err
			}
			h.endless = true // it ends here
			return nil
		}
	}
	if c.idle { // pipelined
		c.idle = false
		c.SetIdle(false)
		c.worker.Set(mpm.Reading)
	}
	return h.decide()
}

func (h *heads) decide() error {
	var head fasthttp.RequestHeader
	r := bytes.NewReader(h.buf[:h.have])
	br := bufio.NewReaderSize(r, len(h.buf))
	if err := head.Read(br); err != nil {
		h.endless = true // no request: fasthttp answers
		return nil
	}
	if site := h.web.siteOf(head.Host()); !h.web.owners.mine(site) {
		h.passed, h.to = true, h.web.owners.groups[site]
		return errPassed
	}
	h.left = int64(h.have - br.Buffered() - r.Len())
	switch n := head.ContentLength(); {
	case n > 0:
		h.left += int64(n)
	case n == -1: // chunked
		h.endless = true
	}
	return nil
}

// hasHead reports whether an empty line ends a head in b. It does not before
// seen.
func hasHead(b []byte, seen int) bool {
	b = b[max(seen-3, 0):]
	return bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n"))
}

// Close leaves the descriptor open when the connection is to be passed.
func (c *connection) Close() error {
	if c.heads != nil && c.heads.passed {
		return nil
	}
	return c.Conn.Close()
}
