// Package static serves the files of each site's document root.
//
// A request's path is decoded once, normalised, and resolved by openat2(2)
// beneath the document root, so that neither ".." nor a symbolic link leads out
// of it. An absolute link is one that does, but where the document root is the
// root of the jail. What is served often is kept open, or in memory with its headers
// (cache.go), and is looked at again once a second. Bodies that are not in
// memory go out by sendfile(2) (body.go).
//
// All this happens inside the jail, as the unprivileged user. Only the
// types_config is read outside.
package static

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/textproto"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// Module is the module.
type Module struct{}

var _ module.Module = Module{}

// Name implements module.Module.
func (Module) Name() string { return "static" }

// PreJail reads the types_config. It implements module.Module.
func (Module) PreJail(s sys.Sys, env *module.PreJail) (module.State, error) {
	name := env.Config.Path(env.Config.TypesConfig.Value)
	if name == "" {
		return module.State{}, nil
	}
	text, err := sys.ReadFile(s, name, typesMax)
	if err != nil {
		return module.State{}, &module.PathError{Op: "read the types_config", Path: name, Where: env.Config.TypesConfig.Range, Err: err}
	}
	data, err := json.Marshal(parseTypes(text))
	return module.State{Data: data}, err
}

// InJail opens the document roots. It implements module.Module.
func (Module) InJail(s sys.Sys, env *module.InJail) (module.Instance, error) {
	srv, err := newServer(s, env)
	if err != nil {
		return module.Instance{}, err
	}
	return module.Instance{Handle: srv.handle}, nil
}

func newServer(s sys.Sys, env *module.InJail) (*server, error) {
	var configured map[string]string
	if len(env.State.Data) > 0 {
		if err := json.Unmarshal(env.State.Data, &configured); err != nil {
			return nil, fmt.Errorf("the state from outside the jail: %w", err)
		}
	}
	srv := &server{types: typeTable(configured), logf: env.Logf}
	for i := range env.Config.Sites {
		site, err := openSite(s, env.Config, &env.Config.Sites[i])
		if err != nil {
			return nil, err
		}
		srv.sites = append(srv.sites, site)
	}
	return srv, nil
}

// server is the module at work in one child.
type server struct {
	sites []*site
	types map[string]string
	cache cache
	logf  func(format string, args ...any)
	noise module.Seldom
}

// site is one site's document root.
type site struct {
	root     int // O_PATH descriptor; -1: the site has no files
	name     string
	resolve  int
	index    []string
	dotFiles bool
	headers  []header
	files    map[string]*file // by normalised path; the cache's lock guards it
}

type header struct{ key, value []byte }

func openSite(s sys.Sys, cfg *confhcl.Config, c *confhcl.Site) (*site, error) {
	st := &site{
		root:     -1,
		name:     cfg.Path(c.DocumentRoot.Value),
		resolve:  sys.RESOLVE_BENEATH | sys.RESOLVE_NO_MAGICLINKS,
		index:    c.DirectoryIndex,
		dotFiles: c.DotFiles,
		files:    map[string]*file{},
	}
	if st.name == "/" {
		// RESOLVE_BENEATH refuses every absolute link. Here one cannot lead
		// out, and means what it says.
		st.resolve = sys.RESOLVE_IN_ROOT | sys.RESOLVE_NO_MAGICLINKS
	}
	if !c.FollowSymlinks {
		st.resolve |= sys.RESOLVE_NO_SYMLINKS
	}
	// any order: sorted below.
	for key, value := range c.Headers {
		st.headers = append(st.headers, header{[]byte(textproto.CanonicalMIMEHeaderKey(key)), []byte(value)})
	}
	slices.SortFunc(st.headers, func(a, b header) int { return cmp.Compare(string(a.key), string(b.key)) })
	if st.name == "" {
		return st, nil
	}
	if err := st.openRoot(s, c.DocumentRoot.Range); err != nil {
		return nil, err
	}
	return st, nil
}

// openRoot opens the document root and looks whether files can be opened
// beneath it.
func (st *site) openRoot(s sys.Sys, where hcl.Range) error {
	fail := func(err error) error {
		e := &module.PathError{Op: "open the document_root", Path: st.name, Inside: true, Where: where, Err: err}
		if err == sys.ENOSYS {
			e.Mend = "openat2(2) keeps requests beneath the document root: use Linux 5.6 or newer, and allow it in the seccomp filter"
		}
		return e
	}
	const flags = sys.O_PATH | sys.O_DIRECTORY | sys.O_CLOEXEC
	err := sys.Retry(func() (err error) {
		st.root, err = s.Open(st.name, flags, 0)
		return err
	})
	if err != nil {
		return fail(err)
	}
	fd, err := st.openat2(s, ".", flags)
	if err != nil {
		_ = s.Close(st.root)
		return fail(err)
	}
	_ = s.Close(fd)
	return nil
}

// handle is the module.Instance's Handle.
func (srv *server) handle(r *module.Request) bool {
	site := srv.sites[r.Site]
	if site.root < 0 {
		return false
	}
	srv.answer(r, site)
	for i := range site.headers {
		r.Response.Header.SetCanonical(site.headers[i].key, site.headers[i].value)
	}
	return true
}

const allow = "GET, HEAD, OPTIONS"

func (srv *server) answer(r *module.Request, site *site) {
	switch string(r.Method()) {
	case fasthttp.MethodGet, fasthttp.MethodHead:
	case fasthttp.MethodOptions:
		r.Response.Header.Set(fasthttp.HeaderAllow, allow)
		return
	default:
		r.Response.Header.Set(fasthttp.HeaderAllow, allow)
		fail(r, fasthttp.StatusMethodNotAllowed)
		return
	}
	var scratch [256]byte // most paths fit, and stay on the stack
	path, status := clean(scratch[:0], r.URI().PathOriginal())
	switch {
	case status != 0:
		fail(r, status)
		return
	case !site.dotFiles && hidden(path):
		fail(r, fasthttp.StatusNotFound)
		return
	}
	f, status := srv.open(r, site, path)
	switch status {
	case 0:
	case fasthttp.StatusMovedPermanently:
		redirectToDirectory(r, path)
		return
	default:
		fail(r, status)
		return
	}
	srv.send(r, f)
}

// redirectToDirectory answers a directory's path that lacks the trailing
// slash. The path is the normalised one, with a single slash in front: the
// request's own may be "//host", which a browser takes for another server.
func redirectToDirectory(r *module.Request, path []byte) {
	to := escapePath(nil, path)
	to = append(to, '/')
	if query := r.URI().QueryString(); len(query) > 0 {
		to = append(to, '?')
		to = escapeQuery(to, query)
	}
	r.Response.Header.SetBytesV(fasthttp.HeaderLocation, to)
	fail(r, fasthttp.StatusMovedPermanently)
}

// Header names in fasthttp's canonical form.
var (
	keyETag         = []byte(fasthttp.HeaderETag)
	keyLastModified = []byte(fasthttp.HeaderLastModified)
	keyAcceptRanges = []byte(fasthttp.HeaderAcceptRanges)
	keyContentRange = []byte(fasthttp.HeaderContentRange)
	keyRange        = []byte(fasthttp.HeaderRange)
	bytesUnit       = []byte("bytes")
)

// send answers with f, which it gives back to the cache.
func (srv *server) send(r *module.Request, f *file) {
	h := &r.Response.Header
	h.SetCanonical(keyETag, f.etag)
	h.SetCanonical(keyLastModified, f.lastModified)

	switch status := precondition(&r.Request.Header, f); status {
	case fasthttp.StatusNotModified:
		r.SetStatusCode(status)
		f.release(r.Sys)
		return
	case fasthttp.StatusPreconditionFailed:
		f.release(r.Sys)
		fail(r, status)
		return
	}
	h.SetCanonical(keyAcceptRanges, bytesUnit)
	// RFC 9110, 14.2: Range is for GET alone.
	if r.IsGet() {
		if value := r.Request.Header.PeekCanonical(keyRange); len(value) > 0 && rangeApplies(&r.Request.Header, f) {
			ranges, status := parseRange(string(value), f.size)
			switch status {
			case fasthttp.StatusPartialContent:
				srv.sendRanges(r, f, ranges)
				return
			case fasthttp.StatusRequestedRangeNotSatisfiable:
				h.SetCanonical(keyContentRange, fmt.Appendf(nil, "bytes */%d", f.size))
				f.release(r.Sys)
				fail(r, status)
				return
			}
		}
	}
	h.SetContentType(f.contentType)
	srv.sendPart(r, f, 0, f.size)
}

// sendPart sets the body to n bytes of f from off on.
func (srv *server) sendPart(r *module.Request, f *file, off, n int64) {
	switch {
	case r.IsHead():
		r.Response.SkipBody = true
		r.Response.Header.SetContentLength(int(n))
		f.release(r.Sys)
	case f.fd < 0:
		r.Response.SetBodyRaw(f.body[off : off+n])
		r.BodyBytes = n
	default:
		setFileBody(r, f, n, []part{{off: off, n: n}}, nil)
	}
}
