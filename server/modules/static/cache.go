package static

import (
	"container/list"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// The bounds of one child's cache.
const (
	// bodyMax is the size in bytes up to which a file is kept in memory: with
	// its header it leaves in one write. Larger files leave by sendfile(2).
	bodyMax = 32 << 10
	// cacheFiles, cacheBytes and cacheFds bound what a child keeps: entries,
	// bytes of bodies, open descriptors.
	cacheFiles = 4096
	cacheBytes = 8 << 20
	cacheFds   = 128
	// validity is how long a file is served without looking at it again.
	validity = time.Second
)

// file is a file ready to be sent. But for its counters it does not change.
type file struct {
	stat         sys.Stat
	size         int64 // of the body
	fd           int   // -1: body holds the whole file
	body         []byte
	contentType  string
	etag         []byte
	lastModified []byte
	modified     int64 // lastModified in seconds since the epoch

	checked atomic.Int64 // when stat was seen, nanoseconds since the epoch
	users   atomic.Int32 // of fd: the cache and the responses; the last closes it

	// The cache's lock guards these.
	site  *site
	path  string
	place *list.Element // nil: not in the cache
}

// newFile makes the file that was opened as fd, with its headers.
func newFile(st *sys.Stat, fd int, contentType string, now time.Time) *file {
	f := &file{stat: *st, size: st.Size, fd: fd, contentType: contentType}
	f.users.Store(1)
	f.checked.Store(now.UnixNano())
	// RFC 9110, 8.8.2.1: never later than the response's Date.
	f.modified = min(st.Mtim.Sec, now.Unix())
	f.lastModified = time.Unix(f.modified, 0).UTC().AppendFormat(nil, http.TimeFormat)
	// Apache's ETag: size and mtime in microseconds, and weak as long as the
	// next change could get the same mtime.
	weak := ""
	if now.Sub(time.Unix(st.Mtim.Sec, st.Mtim.Nsec)) < time.Second {
		weak = "W/"
	}
	f.etag = fmt.Appendf(nil, `%s"%x-%x"`, weak, st.Size, uint64(st.Mtim.Sec*1e6+st.Mtim.Nsec/1e3))
	return f
}

func (f *file) weak() bool { return f.etag[0] == 'W' }

// same reports whether st is that of the file that f was made from, unchanged.
func (f *file) same(st *sys.Stat) bool {
	return f.stat.Dev == st.Dev && f.stat.Ino == st.Ino && f.stat.Size == st.Size &&
		f.stat.Mtim == st.Mtim && f.stat.Ctim == st.Ctim
}

// release ends the use of f by one response, or by the cache.
func (f *file) release(s sys.Descriptors) {
	if f.fd >= 0 && f.users.Add(-1) == 0 {
		_ = s.Close(f.fd) // nothing was written
	}
}

// cache keeps the files that were asked for last, of all sites. The lock is
// never held over a call that does anything but locking.
type cache struct {
	mu    thread.Mutex
	files list.List // of *file; the one used last is in front
	bytes int64
	fds   int
}

// get returns the file of a path, or nil. The caller releases it.
func (c *cache) get(s sys.Threads, site *site, path []byte) *file {
	c.mu.Lock(s)
	f := site.files[string(path)]
	if f != nil {
		c.files.MoveToFront(f.place)
		if f.fd >= 0 {
			f.users.Add(1)
		}
	}
	c.mu.Unlock(s)
	return f
}

// put keeps f as the file of a path, in place of another.
func (c *cache) put(s sys.Sys, site *site, path string, f *file) {
	var out []*file
	c.mu.Lock(s)
	if old := site.files[path]; old != nil {
		out = append(out, c.drop(old))
	}
	f.site, f.path = site, path
	f.place = c.files.PushFront(f)
	site.files[path] = f
	c.bytes += int64(len(f.body))
	if f.fd >= 0 {
		f.users.Add(1)
		c.fds++
	}
	for c.files.Len() > cacheFiles || c.bytes > cacheBytes || c.fds > cacheFds {
		out = append(out, c.drop(c.files.Back().Value.(*file)))
	}
	c.mu.Unlock(s)
	for _, f := range out {
		f.release(s)
	}
}

// remove forgets f, if it is still there.
func (c *cache) remove(s sys.Sys, f *file) {
	c.mu.Lock(s)
	there := f.place != nil
	if there {
		c.drop(f)
	}
	c.mu.Unlock(s)
	if there {
		f.release(s)
	}
}

// removeOpen forgets all files with a descriptor: the process has none left.
func (c *cache) removeOpen(s sys.Sys) {
	var out []*file
	c.mu.Lock(s)
	for e := c.files.Front(); e != nil; {
		f := e.Value.(*file)
		e = e.Next()
		if f.fd >= 0 {
			out = append(out, c.drop(f))
		}
	}
	c.mu.Unlock(s)
	for _, f := range out {
		f.release(s)
	}
}

// drop takes f out; the caller holds the lock, and releases f after it.
func (c *cache) drop(f *file) *file {
	c.files.Remove(f.place)
	f.place = nil
	delete(f.site.files, f.path)
	c.bytes -= int64(len(f.body))
	if f.fd >= 0 {
		c.fds--
	}
	return f
}
