package static

import (
	"strings"

	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// open returns the file for a normalised path, which the caller releases, or a
// status: 301 for a directory without its slash, 403, 404, 500 or 503.
func (srv *server) open(r *module.Request, site *site, path []byte) (*file, int) {
	f := srv.cache.get(r.Sys, site, path)
	if f == nil {
		return srv.load(r, site, string(path), nil)
	}
	now, checked := r.Now.UnixNano(), f.checked.Load()
	if age := now - checked; age >= 0 && age < int64(validity) {
		return f, 0
	}
	if !f.checked.CompareAndSwap(checked, now) {
		return f, 0 // another thread is looking
	}
	g, status := srv.load(r, site, string(path), f)
	if g == f {
		return f, 0
	}
	if status == fasthttp.StatusServiceUnavailable {
		return f, 0 // what is open already is better than nothing
	}
	if status != 0 {
		srv.cache.remove(r.Sys, f)
	}
	f.release(r.Sys)
	return g, status
}

// load opens the file for a path and keeps it in the cache. Where it is the one
// that the cache has, known stays and is returned.
func (srv *server) load(r *module.Request, site *site, path string, known *file) (*file, int) {
	var st sys.Stat
	fd, name, status := srv.find(r, site, path, &st)
	if status != 0 {
		return nil, status
	}
	if known != nil && known.same(&st) && !known.weak() {
		_ = r.Sys.Close(fd)
		return known, 0
	}
	f := newFile(&st, fd, typeOf(srv.types, name), r.Now)
	if st.Size > bodyMax {
		srv.cache.put(r.Sys, site, path, f)
		return f, 0
	}
	body, err := readBody(r.Sys, fd, int(st.Size))
	_ = r.Sys.Close(fd)
	f.fd = -1
	if err != nil {
		srv.logError(r, "read", site, path[1:], err)
		return nil, fasthttp.StatusInternalServerError
	}
	f.body, f.size = body, int64(len(body))
	if f.size == st.Size {
		srv.cache.put(r.Sys, site, path, f)
	}
	return f, 0
}

// readBody reads size bytes of a file, or fewer when it has become shorter.
func readBody(s sys.Files, fd, size int) ([]byte, error) {
	body := make([]byte, size)
	n := 0
	for n < size {
		m, err := s.Pread(fd, body[n:], int64(n))
		if err == sys.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return body[:n], nil
}

// Opening must not wait for the other end of a fifo, nor give the server a
// controlling terminal.
const openFlags = sys.O_RDONLY | sys.O_NONBLOCK | sys.O_CLOEXEC | sys.O_NOCTTY

// find opens the regular file for a path: itself, or a directory's index. name
// is what its type is told from.
func (srv *server) find(r *module.Request, site *site, path string, st *sys.Stat) (fd int, name string, status int) {
	relative := path[1:]
	if relative != "" && !strings.HasSuffix(relative, "/") {
		fd, err := srv.openFile(r, site, relative, st)
		switch {
		case err == errDirectory:
			return -1, "", fasthttp.StatusMovedPermanently
		case err == sys.EACCES && srv.isDirectory(r, site, relative):
			// One that may be entered, not read.
			return -1, "", fasthttp.StatusMovedPermanently
		case err != nil:
			return -1, "", srv.status(r, site, relative, err)
		}
		return fd, relative, 0
	}
	for _, index := range site.index {
		fd, err := srv.openFile(r, site, relative+index, st)
		if err == nil {
			return fd, index, 0
		}
		if err == errDirectory {
			continue
		}
		if status := srv.status(r, site, relative+index, err); status != fasthttp.StatusNotFound {
			return -1, "", status
		}
	}
	// Without an index there is nothing to see in a directory.
	if srv.isDirectory(r, site, relative+".") {
		return -1, "", fasthttp.StatusForbidden
	}
	return -1, "", fasthttp.StatusNotFound
}

// What openFile finds in place of a regular file.
type notAFile string

func (e notAFile) Error() string { return string(e) }

const (
	errDirectory  = notAFile("is a directory")
	errNotRegular = notAFile("is neither a file nor a directory")
)

// openFile opens a regular file and fills in *st.
func (srv *server) openFile(r *module.Request, site *site, relative string, st *sys.Stat) (int, error) {
	fd, err := site.openat2(r.Sys, relative, openFlags)
	if err == sys.EMFILE || err == sys.ENFILE {
		srv.cache.removeOpen(r.Sys)
		fd, err = site.openat2(r.Sys, relative, openFlags)
	}
	if err != nil {
		return -1, err
	}
	err = r.Sys.Fstat(fd, st)
	switch {
	case err != nil:
	case st.IsRegular():
		return fd, nil
	case st.IsDir():
		err = errDirectory
	default:
		err = errNotRegular
	}
	_ = r.Sys.Close(fd)
	return -1, err
}

func (srv *server) isDirectory(r *module.Request, site *site, relative string) bool {
	fd, err := site.openat2(r.Sys, relative, sys.O_PATH|sys.O_DIRECTORY|sys.O_CLOEXEC)
	if err != nil {
		return false
	}
	_ = r.Sys.Close(fd)
	return true
}

// openat2Tries bounds the repeats after EAGAIN: somebody renamed a directory
// while ".." of a link was being resolved, see openat2(2).
const openat2Tries = 8

// openat2 opens a path beneath the document root.
func (st *site) openat2(s sys.Files, relative string, flags int) (fd int, err error) {
	how := sys.OpenHow{Flags: flags, Resolve: st.resolve}
	for range openat2Tries {
		fd, err = s.Openat2(st.root, relative, how)
		if err != sys.EINTR && err != sys.EAGAIN {
			break
		}
	}
	return fd, err
}

// status is the status for a failed open. Those that are the server's fault are
// logged.
func (srv *server) status(r *module.Request, site *site, relative string, err error) int {
	switch err {
	case sys.ENOENT, sys.ENOTDIR, sys.ELOOP, sys.EXDEV, sys.ENAMETOOLONG:
		return fasthttp.StatusNotFound
	case sys.EACCES, sys.EPERM,
		errNotRegular, sys.ENXIO, sys.ENODEV: // a socket, a device without a driver
		return fasthttp.StatusForbidden
	}
	srv.logError(r, "open", site, relative, err)
	switch err {
	case sys.EMFILE, sys.ENFILE, sys.EAGAIN, sys.EINTR:
		return fasthttp.StatusServiceUnavailable
	}
	return fasthttp.StatusInternalServerError
}

// logError logs what failed at a path beneath the document root. The path is
// quoted: a client may have put a newline into it.
func (srv *server) logError(r *module.Request, op string, site *site, relative string, err error) {
	if ok, missed := srv.noise.Allow(r.Now); ok {
		name := strings.TrimSuffix(site.name, "/") + "/" + relative
		srv.logf("static: cannot %s jail:%q: %v (and %d such errors before)", op, name, err, missed)
	}
}
