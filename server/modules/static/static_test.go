package static

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// etagOf is the ETag of a file of n bytes that was written when written says.
func etagOf(n int) string { return fmt.Sprintf(`"%x-%x"`, n, int64(1577934245678901)) }

type exchange struct {
	request string
	status  int
	body    string            // "*": any
	header  map[string]string // "": absent
}

type fields = map[string]string

var hello = etagOf(12)

var exchanges = []exchange{
	{"GET /", 200, "home\n", fields{"Content-Type": "text/html; charset=utf-8", "Content-Length": "5",
		"Etag": etagOf(5), "Last-Modified": lastModified, "Accept-Ranges": "bytes", "Content-Range": ""}},
	{"GET /hello.txt", 200, "hello world\n", fields{"Content-Type": "text/plain; charset=utf-8", "Etag": hello}},
	{"GET /hello.txt?query=1", 200, "hello world\n", nil},
	{"HEAD /hello.txt", 200, "", fields{"Content-Length": "12", "Etag": hello, "Content-Type": "text/plain; charset=utf-8"}},
	{"GET /empty.txt", 200, "", fields{"Content-Length": "0"}},
	{"HEAD /empty.txt", 200, "", fields{"Content-Length": "0"}},
	{"GET /medium.css", 200, medium, fields{"Content-Type": "text/css; charset=utf-8"}},
	{"GET /big.bin", 200, big, fields{"Content-Type": "application/octet-stream", "Content-Length": strconv.Itoa(len(big))}},
	{"HEAD /big.bin", 200, "", fields{"Content-Length": strconv.Itoa(len(big)), "Accept-Ranges": "bytes"}},
	{"GET /page.HTML", 200, "upper", fields{"Content-Type": "text/html; charset=utf-8"}},
	{"GET /noext", 200, "?", fields{"Content-Type": "application/octet-stream"}},
	{"GET /sub/x.svg", 200, "<svg/>", fields{"Content-Type": "image/svg+xml"}},
	{"GET /deep/er/x.xyz", 200, "xyz", fields{"Content-Type": "application/octet-stream"}},
	{"GET /sub/", 200, "sub index\n", fields{"Content-Type": "text/html; charset=utf-8"}},
	{"GET http://x/hello.txt", 200, "hello world\n", nil},
	{"GET http://x", 200, "home\n", nil},

	// Methods.
	{"OPTIONS /hello.txt", 200, "", fields{"Allow": "GET, HEAD, OPTIONS"}},
	{"OPTIONS *", 200, "", fields{"Allow": "GET, HEAD, OPTIONS"}},
	{"POST /hello.txt\nContent-Length: 0", 405, "*", fields{"Allow": "GET, HEAD, OPTIONS", "Content-Type": "text/html; charset=utf-8"}},
	{"PUT /new\nContent-Length: 0", 405, "*", nil},
	{"DELETE /hello.txt", 405, "*", nil},
	{"TRACE /", 405, "*", nil},
	{"BREW /", 405, "*", nil},

	// Paths.
	{"GET /a%20b.txt", 200, "blank", nil},
	{"GET /%68ello.txt", 200, "hello world\n", nil},
	{"GET /100%25.txt", 200, "percent", nil},
	{"GET /%2568ello.txt", 404, "*", nil}, // decoded once
	{`GET /back\slash.txt`, 200, "backslash", nil},
	{"GET /back%5Cslash.txt", 200, "backslash", nil},
	{"GET /%ff.txt", 200, "not UTF-8", nil},
	{"GET //hello.txt", 200, "hello world\n", nil},
	{"GET /./sub/.././hello.txt", 200, "hello world\n", nil},
	{"GET /sub/..", 200, "home\n", nil},
	{"GET /sub/.", 200, "sub index\n", nil},
	{"GET /sub/%2e%2e/hello.txt", 200, "hello world\n", nil},
	{"GET /..", 400, "*", nil},
	{"GET /../outside/secret", 400, "*", nil},
	{"GET /%2e%2e/outside/secret", 400, "*", nil},
	{"GET /sub/../../outside/secret", 400, "*", nil},
	{"GET /sub%2f..%2f..%2foutside/secret", 404, "*", nil},
	{"GET /hello.txt%00", 400, "*", nil},
	{"GET /%", 400, "*", nil},
	{"GET /%4", 400, "*", nil},
	{"GET /%zz", 400, "*", nil},
	{"GET /missing", 404, "*", fields{"Content-Type": "text/html; charset=utf-8", "Etag": "", "Last-Modified": ""}},
	{"HEAD /missing", 404, "", nil},
	{"GET /missing/", 404, "*", nil},
	{"GET /hello.txt/", 404, "*", nil},
	{"GET /hello.txt/x", 404, "*", nil},
	{"GET /" + strings.Repeat("x", 300), 404, "*", nil},
	{"GET /" + strings.Repeat("x/", 2100), 404, "*", nil},
	{"GET /dir/", 403, "*", nil}, // no listing
	{"GET /fifo", 403, "*", nil},

	// Directories without their slash.
	{"GET /sub", 301, "*", fields{"Location": "/sub/"}},
	{"HEAD /dir", 301, "", fields{"Location": "/dir/"}},
	{"GET /dir?a=b&c=%20d", 301, "*", fields{"Location": "/dir/?a=b&c=%20d"}},
	{"GET //sub", 301, "*", fields{"Location": "/sub/"}},
	{"GET //x/..//sub", 301, "*", fields{"Location": "/sub/"}},
	{"GET /x%20y", 301, "*", fields{"Location": "/x%20y/"}},
	{"GET /sub?<\">", 301, "*", fields{"Location": "/sub/?%3C%22%3E"}},

	// Dot files.
	{"GET /.htpasswd", 404, "*", nil},
	{"GET /%2ehtpasswd", 404, "*", nil},
	{"GET /.git/config", 404, "*", nil},
	{"GET /.git", 404, "*", nil},
	{"GET /sub/.x", 404, "*", nil},
	{"GET /.well-known/acme", 200, "seen", nil},
	{"GET /.well-known", 301, "*", fields{"Location": "/.well-known/"}},
	{"GET /.well-known/.x", 404, "*", nil},
	{"GET /.well-knownx", 404, "*", nil},

	// Links.
	{"GET /link.txt", 200, "hello world\n", nil},
	{"GET /linkdir/", 200, "sub index\n", nil},
	{"GET /linkdir", 301, "*", fields{"Location": "/linkdir/"}},
	{"GET /dir/up.txt", 200, "hello world\n", nil},
	{"GET /up", 404, "*", nil},
	{"GET /updir", 404, "*", nil},
	{"GET /updir/secret", 404, "*", nil},
	{"GET /abs", 404, "*", nil},
	{"GET /loop", 404, "*", nil},
	{"GET /nowhere", 404, "*", nil},
	{"GET /proc/", 404, "*", nil},

	// Conditions.
	{"GET /hello.txt\nIf-None-Match: " + hello, 304, "", fields{"Etag": hello, "Last-Modified": lastModified, "Content-Length": "", "Content-Type": ""}},
	{"HEAD /hello.txt\nIf-None-Match: " + hello, 304, "", nil},
	{"GET /hello.txt\nIf-None-Match: W/" + hello, 304, "", nil},
	{"GET /hello.txt\nIf-None-Match: *", 304, "", nil},
	{"GET /hello.txt\nIf-None-Match: \"a,b\" , " + hello, 304, "", nil},
	{"GET /hello.txt\nIf-None-Match: \"a\"\nIf-None-Match: " + hello, 304, "", nil},
	{"GET /hello.txt\nIf-None-Match: \"other\"", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-None-Match: garbage", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-None-Match: \"open", 200, "hello world\n", nil},
	{"GET /big.bin\nIf-None-Match: " + etagOf(len(big)), 304, "", nil},
	{"GET /hello.txt\nIf-Modified-Since: " + lastModified, 304, "", nil},
	{"GET /hello.txt\nIf-Modified-Since: Fri, 03 Jan 2020 03:04:05 GMT", 304, "", nil},
	{"GET /hello.txt\nIf-Modified-Since: Thursday, 02-Jan-20 03:04:05 GMT", 304, "", nil},
	{"GET /hello.txt\nIf-Modified-Since: Thu Jan  2 03:04:05 2020", 304, "", nil},
	{"GET /hello.txt\nIf-Modified-Since: Thu, 02 Jan 2020 03:04:04 GMT", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Modified-Since: yesterday", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-None-Match: \"other\"\nIf-Modified-Since: " + lastModified, 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Match: " + hello, 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Match: *", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Match: W/" + hello, 412, "*", nil},
	{"GET /hello.txt\nIf-Match: \"other\"", 412, "*", nil},
	{"GET /big.bin\nIf-Match: \"other\"", 412, "*", nil},
	{"GET /hello.txt\nIf-Unmodified-Since: " + lastModified, 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT", 412, "*", nil},
	{"GET /hello.txt\nIf-Unmodified-Since: never", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Match: " + hello + "\nIf-Unmodified-Since: Thu, 02 Jan 2020 03:04:04 GMT", 200, "hello world\n", nil},
	{"GET /hello.txt\nIf-Match: " + hello + "\nIf-None-Match: " + hello, 304, "", nil},
	{"GET /hello.txt\nIf-Match: \"x\"\nIf-None-Match: " + hello, 412, "*", nil},
	{"GET /missing\nIf-None-Match: *", 404, "*", nil},

	// Ranges.
	{"GET /hello.txt\nRange: bytes=0-4", 206, "hello", fields{"Content-Range": "bytes 0-4/12", "Content-Length": "5",
		"Content-Type": "text/plain; charset=utf-8", "Etag": hello}},
	{"GET /hello.txt\nRange: Bytes=6-", 206, "world\n", fields{"Content-Range": "bytes 6-11/12"}},
	{"GET /hello.txt\nRange: bytes=-6", 206, "world\n", nil},
	{"GET /hello.txt\nRange: bytes=-100", 206, "hello world\n", fields{"Content-Range": "bytes 0-11/12"}},
	{"GET /hello.txt\nRange: bytes=6-99999999999999999999", 206, "world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-0,100-", 206, "h", fields{"Content-Range": "bytes 0-0/12"}},
	{"GET /hello.txt\nRange: bytes=12-", 416, "*", fields{"Content-Range": "bytes */12"}},
	{"GET /hello.txt\nRange: bytes=-0", 416, "*", nil},
	{"GET /hello.txt\nRange: bytes=99999999999999999999-", 416, "*", nil},
	{"GET /big.bin\nRange: bytes=" + strconv.Itoa(len(big)) + "-", 416, "*", nil},
	{"GET /empty.txt\nRange: bytes=0-", 416, "*", fields{"Content-Range": "bytes */0"}},
	{"GET /hello.txt\nRange: bytes=4-2", 200, "hello world\n", fields{"Content-Range": ""}},
	{"GET /hello.txt\nRange: lines=0-4", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=-", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=+1-2", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-4,3-6", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-1" + strings.Repeat(",3-3", maxRanges), 200, "hello world\n", nil},
	{"HEAD /hello.txt\nRange: bytes=0-4", 200, "", fields{"Content-Length": "12"}},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-Range: " + hello, 206, "hello", nil},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-Range: W/" + hello, 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-Range: \"other\"", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-Range: " + lastModified, 206, "hello", nil},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-Range: Fri, 03 Jan 2020 03:04:05 GMT", 200, "hello world\n", nil},
	{"GET /hello.txt\nRange: bytes=0-4\nIf-None-Match: " + hello, 304, "", nil},
	{"GET /big.bin\nRange: bytes=1000-40999", 206, big[1000:41000], fields{"Content-Range": fmt.Sprintf("bytes 1000-40999/%d", len(big))}},
	{"GET /big.bin\nRange: bytes=-1", 206, big[len(big)-1:], nil},
}

func (g *rig) run(list []exchange) {
	for _, e := range list {
		name := e.request
		if len(name) > 120 {
			name = name[:120] + "..."
		}
		resp, body := g.get(e.request)
		if resp.StatusCode != e.status {
			g.t.Errorf("%s: status %d, want %d", name, resp.StatusCode, e.status)
		}
		if strings.Contains(body, secret) {
			g.t.Errorf("%s: served the file outside", name)
		}
		if body != e.body && e.body != "*" {
			g.t.Errorf("%s: body of %d bytes %.60q, want %d: %.60q", name, len(body), body, len(e.body), e.body)
		}
		if want := fmt.Sprintf("<title>%d ", e.status); e.body == "*" && !strings.Contains(body, want) {
			g.t.Errorf("%s: body %q", name, body)
		}
		for key, want := range e.header {
			if got := resp.Header.Get(key); got != want {
				g.t.Errorf("%s: %s: %q, want %q", name, key, got, want)
			}
		}
	}
}

func TestExchanges(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for _, sendfile := range []bool{false, true} {
			g := newRig(t, s, config(root, nil))
			g.sendfile = sendfile
			g.run(exchanges) // loads
			g.run(exchanges) // from the cache
			g.now = g.now.Add(2 * validity)
			g.run(exchanges) // looks again
		}
	})
}

func TestSiteOptions(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		newRig(t, s, config(root, func(c *confhcl.Site) { c.DotFiles = true })).run([]exchange{
			{"GET /.htpasswd", 200, "hidden", nil},
			{"GET /.git/config", 200, "hidden", nil},
			{"GET /.git", 301, "*", nil},
		})
		newRig(t, s, config(root, func(c *confhcl.Site) { c.FollowSymlinks = false })).run([]exchange{
			{"GET /link.txt", 404, "*", nil},
			{"GET /linkdir/", 404, "*", nil},
			{"GET /linkdir/x.svg", 404, "*", nil},
			{"GET /hello.txt", 200, "hello world\n", nil},
		})
		newRig(t, s, config(root, func(c *confhcl.Site) { c.DirectoryIndex = []string{"none.html", "f.txt"} })).run([]exchange{
			{"GET /dir/", 200, "f", fields{"Content-Type": "text/plain; charset=utf-8"}},
			{"GET /sub/", 403, "*", nil},
		})
		newRig(t, s, config(root, func(c *confhcl.Site) { c.DirectoryIndex = []string{"sub", "hello.txt"} })).run([]exchange{
			{"GET /", 200, "hello world\n", nil}, // an index that is a directory is none
		})
		newRig(t, s, config(root, func(c *confhcl.Site) {
			c.Headers = map[string]string{"x-frame-options": "DENY", "Server": "mine", "Content-Type": "text/x"}
		})).run([]exchange{
			{"GET /", 200, "home\n", fields{"X-Frame-Options": "DENY", "Server": "mine", "Content-Type": "text/x"}},
			{"GET /missing", 404, "*", fields{"X-Frame-Options": "DENY"}},
			{"GET /dir", 301, "*", fields{"X-Frame-Options": "DENY"}},
			{"GET /\nIf-None-Match: *", 304, "", fields{"X-Frame-Options": "DENY"}},
		})
		newRig(t, s, config("", nil)).run([]exchange{{"GET /", 599, "", nil}})
	})
}

// TestRootAsDocumentRoot serves a whole machine, as a jail is often served.
func TestRootAsDocumentRoot(t *testing.T) {
	backends["fake"](t, func(s sys.Sys, dir string) {
		root := makeTree(s, dir)
		must(s.Symlink(root+"/sub", "/current"))
		must(s.Symlink("/proc/self", "/me"))
		g := newRig(t, s, config("/", nil))
		g.run([]exchange{
			{"GET " + root + "/hello.txt", 200, "hello world\n", nil},
			{"GET /current/x.svg", 200, "<svg/>", nil},
			{"GET /current", 301, "*", fields{"Location": "/current/"}},
			{"GET /../hello.txt", 400, "*", nil},
			{"GET /", 403, "*", nil},
			{"GET /me/root" + root + "/hello.txt", 404, "*", nil}, // no magic links
		})
		g = newRig(t, s, config("/", func(c *confhcl.Site) { c.FollowSymlinks = false }))
		g.run([]exchange{
			{"GET " + root + "/hello.txt", 200, "hello world\n", nil},
			{"GET /current/x.svg", 404, "*", nil},
		})
	})
}

func TestMultipleRanges(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for _, sendfile := range []bool{false, true} {
			g := newRig(t, s, config(root, nil))
			g.sendfile = sendfile
			for _, c := range []struct {
				request     string
				contentType string
				parts       []string
				ranges      []string
			}{
				{"GET /hello.txt\nRange: bytes=0-4, ,6-10,99-", "text/plain; charset=utf-8",
					[]string{"hello", "world"}, []string{"bytes 0-4/12", "bytes 6-10/12"}},
				{"GET /big.bin\nRange: bytes=-2,0-39999", "application/octet-stream", []string{big[len(big)-2:], big[:40000]},
					[]string{fmt.Sprintf("bytes %d-%d/%d", len(big)-2, len(big)-1, len(big)), fmt.Sprintf("bytes 0-39999/%d", len(big))}},
			} {
				resp, body := g.get(c.request)
				if resp.StatusCode != 206 || resp.Header.Get("Content-Range") != "" {
					t.Errorf("%s: %d %q", c.request, resp.StatusCode, resp.Header)
				}
				kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
				if kind != "multipart/byteranges" || err != nil {
					t.Errorf("%s: Content-Type %q", c.request, resp.Header.Get("Content-Type"))
				}
				mr := multipart.NewReader(strings.NewReader(body), params["boundary"])
				for i := range c.parts {
					p, err := mr.NextPart()
					if err != nil {
						t.Errorf("%s: part %d: %v", c.request, i, err)
						break
					}
					data, _ := io.ReadAll(p)
					if string(data) != c.parts[i] || p.Header.Get("Content-Range") != c.ranges[i] || p.Header.Get("Content-Type") != c.contentType {
						t.Errorf("%s: part %d: %.40q %v", c.request, i, data, p.Header)
					}
				}
				if _, err := mr.NextPart(); err != io.EOF {
					t.Errorf("%s: after the last part: %v", c.request, err)
				}
			}
		}
	})
}

func TestKeepAlive(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for _, sendfile := range []bool{false, true} {
			g := newRig(t, s, config(root, nil))
			g.sendfile = sendfile
			const request = " HTTP/1.1\r\nHost: x\r\n\r\n"
			answer := string(g.raw("GET /hello.txt" + request + "GET /big.bin" + request + "HEAD /big.bin" + request + "GET /" + request))
			at := 0
			for _, want := range []string{"hello world\n", big, "HTTP/1.1 200", "home\n"} {
				i := strings.Index(answer[at:], want)
				if i < 0 {
					t.Errorf("sendfile %v: no %.20q after %d", sendfile, want, at)
					break
				}
				at += i + len(want)
			}
			if at != len(answer) || strings.Count(answer, "HTTP/1.1 200 OK\r\n") != 4 {
				t.Errorf("sendfile %v: %d bytes, %d responses", sendfile, len(answer), strings.Count(answer, "HTTP/1.1"))
			}
		}
	})
}

func TestTypesConfig(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		writeFile(s, dir+"/mime.types", "# types\ntext/x-y\txyz foo # comment\nimage/none\nnoslash bar\napplication/x-css CSS\n")
		cfg := config(root, nil)
		cfg.ServerRoot, cfg.TypesConfig.Value = dir, "mime.types"
		newRig(t, s, cfg).run([]exchange{
			{"GET /deep/er/x.xyz", 200, "xyz", fields{"Content-Type": "text/x-y; charset=utf-8"}},
			{"GET /medium.css", 200, medium, fields{"Content-Type": "application/x-css"}},
			{"GET /hello.txt", 200, "hello world\n", fields{"Content-Type": "text/plain; charset=utf-8"}},
		})
		cfg.TypesConfig.Value = "missing"
		_, err := Module{}.PreJail(s, &module.PreJail{Config: cfg})
		var pe *module.PathError
		if !errors.As(err, &pe) || pe.Path != dir+"/missing" || pe.Inside || pe.Err != sys.ENOENT {
			t.Errorf("PreJail: %v", err)
		}
	})
}

// broken is a kernel in which some calls fail.
type broken struct {
	sys.Sys
	openat2 func(path string, how sys.OpenHow) error
	pread   error
	random  error
	calls   int
}

func (b *broken) Openat2(dirfd int, path string, how sys.OpenHow) (int, error) {
	b.calls++
	if b.openat2 != nil {
		if err := b.openat2(path, how); err != nil {
			return -1, err
		}
	}
	return b.Sys.Openat2(dirfd, path, how)
}

func (b *broken) Pread(fd int, p []byte, off int64) (int, error) {
	b.calls++
	if b.pread != nil {
		return 0, b.pread
	}
	return b.Sys.Pread(fd, p, off)
}

func (b *broken) Getrandom(p []byte) (int, error) {
	if b.random != nil {
		return 0, b.random
	}
	return b.Sys.Getrandom(p)
}

func TestErrnoToStatus(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		g := newRig(t, s, config(makeTree(s, dir), nil))
		for errno, status := range map[error]int{
			sys.EACCES: 403, sys.EPERM: 403, sys.ENXIO: 403, sys.ENOENT: 404, sys.ENOTDIR: 404, sys.ELOOP: 404,
			sys.EXDEV: 404, sys.ENAMETOOLONG: 404, sys.EMFILE: 503, sys.ENFILE: 503, sys.EAGAIN: 503, sys.EIO: 500, sys.ENOMEM: 500,
		} {
			g.s = &broken{Sys: s, openat2: func(string, sys.OpenHow) error { return errno }}
			for _, path := range []string{"/hello.txt", "/"} {
				resp, body := g.get("GET " + path)
				if resp.StatusCode != status || !strings.Contains(body, strconv.Itoa(status)) {
					t.Errorf("%s: %v gives %d, want %d", path, errno, resp.StatusCode, status)
				}
				if after := resp.Header.Get("Retry-After"); (after != "") != (status == 503) {
					t.Errorf("%s: %v: Retry-After: %q", path, errno, after)
				}
			}
		}
		// A file that cannot be read is told from a directory that cannot.
		g.s = &broken{Sys: s, openat2: func(_ string, how sys.OpenHow) error {
			if how.Flags&sys.O_PATH == 0 {
				return sys.EACCES
			}
			return nil
		}}
		g.run([]exchange{
			{"GET /hello.txt", 403, "*", nil},
			{"GET /sub", 301, "*", fields{"Location": "/sub/"}},
			{"GET /sub/", 403, "*", nil},
		})
		g.s = &broken{Sys: s, pread: sys.EIO}
		g.run([]exchange{{"GET /hello.txt", 500, "*", nil}})
		g.s = &broken{Sys: s, random: sys.ENOSYS}
		g.run([]exchange{{"GET /hello.txt\nRange: bytes=0-1,4-5", 500, "*", nil}})
		interrupted := 0
		g.s = &broken{Sys: s, openat2: func(string, sys.OpenHow) error {
			if interrupted++; interrupted < 4 {
				return sys.EINTR
			}
			return nil
		}}
		g.run([]exchange{{"GET /hello.txt", 200, "hello world\n", nil}})
	})
}

func TestErrorsAreLogged(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		g := newRig(t, s, config(root, nil))
		var logged []string
		g.srv.logf = func(format string, args ...any) { logged = append(logged, fmt.Sprintf(format, args...)) }
		g.s = &broken{Sys: s, openat2: func(string, sys.OpenHow) error { return sys.EIO }}
		for range 3 {
			g.run([]exchange{{"GET /a%0A%22b", 500, "*", nil}})
		}
		g.now = g.now.Add(time.Minute)
		g.s = &broken{Sys: s, pread: sys.EIO}
		g.run([]exchange{{"GET /hello.txt", 500, "*", nil}})
		g.s = s
		g.run([]exchange{{"GET /missing", 404, "*", nil}, {"GET /fifo", 403, "*", nil}}) // the client's affair
		want := []string{
			fmt.Sprintf(`static: cannot open jail:"%s/a\n\"b": %v (and 0 such errors before)`, root, sys.EIO),
			fmt.Sprintf(`static: cannot read jail:"%s/hello.txt": %v (and 2 such errors before)`, root, sys.EIO),
		}
		if !slices.Equal(logged, want) {
			t.Errorf("logged %q\nwant   %q", logged, want)
		}
	})
}

// TestPermissions serves as a user who may not read everything.
func TestPermissions(t *testing.T) {
	backends["fake"](t, func(s sys.Sys, dir string) { // the real one would change this whole process
		root := makeTree(s, dir)
		must(s.Chmod(root+"/hello.txt", 0o600))
		must(s.Chmod(root+"/dir", 0o711))
		must(s.Chmod(root+"/sub", 0o700))
		must(s.Mkdir(dir+"/private", 0o700))
		must(s.Setgroups(nil))
		must(s.Setresgid(65534, 65534, 65534))
		must(s.Setresuid(65534, 65534, 65534))
		newRig(t, s, config(root, nil)).run([]exchange{
			{"GET /page.HTML", 200, "upper", nil},
			{"GET /hello.txt", 403, "*", nil},
			{"GET /dir", 301, "*", fields{"Location": "/dir/"}},
			{"GET /dir/f.txt", 200, "f", nil},
			{"GET /sub/", 403, "*", nil},
			{"GET /sub/x.svg", 403, "*", nil},
			{"GET /sub", 301, "*", nil}, // it is there; what it holds is not shown
		})
		cfg := config(dir+"/private", nil)
		_, err := Module{}.InJail(s, &module.InJail{Config: cfg, Logf: t.Logf})
		var pe *module.PathError
		if !errors.As(err, &pe) || pe.Err != sys.EACCES || !pe.Inside || pe.Path != dir+"/private" {
			t.Errorf("a document root that may not be entered: %v", err)
		}
	})
}

func TestDocumentRootErrors(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		inJail := func(s sys.Sys, root string) *module.PathError {
			cfg := config(root, nil)
			cfg.Sites[0].DocumentRoot.Range.Filename = "httpjail.hcl"
			_, err := Module{}.InJail(s, &module.InJail{Config: cfg, Logf: t.Logf})
			var pe *module.PathError
			if !errors.As(err, &pe) || !pe.Inside || pe.Path != root || pe.Where.String() != cfg.Sites[0].DocumentRoot.Range.String() {
				t.Errorf("InJail with %s: %v", root, err)
				return &module.PathError{}
			}
			return pe
		}
		if pe := inJail(s, root+"/missing"); pe.Err != sys.ENOENT {
			t.Errorf("missing: %v", pe.Err)
		}
		if pe := inJail(s, root+"/hello.txt"); pe.Err != sys.ENOTDIR {
			t.Errorf("a file: %v", pe.Err)
		}
		old := &broken{Sys: s, openat2: func(string, sys.OpenHow) error { return sys.ENOSYS }}
		if pe := inJail(old, root); pe.Err != sys.ENOSYS || !strings.Contains(pe.Mend, "openat2") {
			t.Errorf("without openat2: %v, to mend it %q", pe.Err, pe.Mend)
		}
	})
}

func TestWeakETag(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		g := newRig(t, s, config(root, nil))
		now := g.now.Add(-time.Second / 2)
		at := sys.Timespec{Sec: now.Unix(), Nsec: int64(now.Nanosecond())}
		must(s.Utimensat(root+"/hello.txt", at, at, 0))
		must(s.Utimensat(root+"/index.html", sys.Timespec{Sec: g.now.Unix() + 5000}, sys.Timespec{Sec: g.now.Unix() + 5000}, 0))
		tag := fmt.Sprintf(`"c-%x"`, now.UnixMicro())
		g.run([]exchange{
			{"GET /hello.txt", 200, "hello world\n", fields{"Etag": "W/" + tag}},
			{"GET /hello.txt\nIf-None-Match: " + tag, 304, "", nil},
			{"GET /hello.txt\nIf-Match: W/" + tag, 412, "*", nil},
			{"GET /hello.txt\nRange: bytes=0-1\nIf-Range: W/" + tag, 200, "hello world\n", nil},
			{"GET /", 200, "home\n", fields{"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}}, // not in the future
		})
		g.now = g.now.Add(2 * time.Second)
		g.run([]exchange{{"GET /hello.txt", 200, "hello world\n", fields{"Etag": tag}}})
	})
}
