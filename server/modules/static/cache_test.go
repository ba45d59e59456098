package static

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// descriptors counts the process's open descriptors, by asking for each.
func descriptors(s sys.Sys) (n int) {
	for fd := range 1024 {
		if _, err := s.Fcntl(fd, sys.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// direct is a rig without HTTP around it: one request answered again and again.
type direct struct {
	srv  *server
	http fasthttp.RequestCtx
	req  module.Request
}

func newDirect(s sys.Sys, root, target string) *direct {
	cfg := config(root, nil)
	st, err := openSite(s, cfg, &cfg.Sites[0])
	must(err)
	d := &direct{srv: &server{sites: []*site{st}, types: typeTable(nil), logf: func(string, ...any) {}}}
	d.http.Init(&fasthttp.Request{}, nil, nil)
	d.http.Request.SetRequestURI(target)
	d.req = module.Request{RequestCtx: &d.http, Sys: s, Now: s.Now()}
	return d
}

// answer makes one response and throws it away as the server would.
func (d *direct) answer() int64 {
	d.req.BodyBytes = 0
	d.srv.handle(&d.req)
	d.http.Response.Reset()
	return d.req.BodyBytes
}

func TestCacheHitMakesNoCall(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for _, target := range []string{"/", "/hello.txt", "/medium.css", "/sub/../hello.txt", "/big.bin"} {
			d := newDirect(s, root, target)
			now := d.req.Now
			d.answer()
			d.req.Sys = nil // any call is a panic; no lock is waited for
			d.req.Now = now.Add(validity - 1)
			d.answer()
			d.req.Sys = s
			b := &broken{Sys: s}
			d.req.Sys, d.req.Now = b, now.Add(validity)
			d.answer()
			if b.calls != 1 {
				t.Errorf("%s: looked again with %d openat2 and pread, want 1", target, b.calls)
			}
		}
	})
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for target, allowed := range map[string]float64{
			"/": 0, "/hello.txt": 0, "/medium.css": 0, "/a%20b.txt": 0,
			"/big.bin": 2, // the body stream and its part
		} {
			d := newDirect(s, root, target)
			if n := d.answer(); n == 0 {
				t.Errorf("%s: no body", target)
			}
			if n := testing.AllocsPerRun(100, func() { d.answer() }); n > allowed {
				t.Errorf("%s allocates %v times", target, n)
			}
		}
	})
}

func TestChangesAreSeen(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		g := newRig(t, s, config(root, nil))
		next := func() { g.now = g.now.Add(validity) }
		g.run([]exchange{{"GET /hello.txt", 200, "hello world\n", nil}, {"GET /big.bin", 200, big, nil}, {"GET /sub/", 200, "sub index\n", nil}})

		writeFile(s, root+"/hello.txt", "Hello World\n") // same size, same mtime, another ctime
		writeFile(s, root+"/big.bin", big+"!")
		must(s.Unlink(root + "/sub/index.html"))
		g.run([]exchange{{"GET /hello.txt", 200, "hello world\n", nil}}) // within the validity
		next()
		g.run([]exchange{{"GET /hello.txt", 200, "Hello World\n", nil}, {"GET /big.bin", 200, big + "!", nil}, {"GET /sub/", 403, "*", nil}})

		writeFile(s, root+"/new", "renamed over\n")
		must(s.Rename(root+"/new", root+"/hello.txt"))
		must(s.Unlink(root + "/big.bin"))
		writeFile(s, root+"/sub/index.html", "again\n")
		g.run([]exchange{{"GET /sub/", 200, "again\n", nil}}) // what is not there is not cached
		next()
		g.run([]exchange{{"GET /hello.txt", 200, "renamed over\n", nil}, {"GET /big.bin", 404, "*", nil}})

		g.now = g.now.Add(-10 * validity) // the clock is set back
		must(s.Unlink(root + "/hello.txt"))
		g.run([]exchange{{"GET /hello.txt", 404, "*", nil}})
	})
}

// TestShrinkingFile looks at a file that becomes shorter than it said.
func TestShrinkingFile(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for _, sendfile := range []bool{false, true} {
			writeFile(s, root+"/big.bin", big)
			g := newRig(t, s, config(root, nil))
			g.sendfile = sendfile
			g.run([]exchange{{"HEAD /big.bin", 200, "", nil}})
			writeFile(s, root+"/big.bin", big[:len(big)/2])
			answer := string(g.raw("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			_, body, _ := strings.Cut(answer, "\r\n\r\n")
			if strings.Count(answer, "HTTP/1.1 ") > 1 || len(body) > len(big)/2 {
				t.Errorf("sendfile %v: the connection must end within the response, and came %d bytes of body and %.80q", sendfile, len(body), answer)
			}
		}
	})
}

func TestEvictionClosesDescriptors(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		for i := range 3 * cacheFds / 2 {
			must(s.Link(root+"/big.bin", fmt.Sprintf("%s/big%d", root, i)))
		}
		g := newRig(t, s, config(root, nil))
		before := descriptors(s)
		for i := range 3 * cacheFds / 2 {
			g.run([]exchange{{fmt.Sprintf("GET /big%d", i), 200, big, nil}})
		}
		if n := descriptors(s) - before; n != cacheFds {
			t.Errorf("%d descriptors are kept, want %d", n, cacheFds)
		}
		// Out of descriptors, the cache gives up its own and the request is served.
		failed := false
		g.s = &broken{Sys: s, openat2: func(string, sys.OpenHow) error {
			if failed {
				return nil
			}
			failed = true
			return sys.EMFILE
		}}
		g.run([]exchange{{"GET /hello.txt", 200, "hello world\n", nil}})
		g.s = s
		if n := descriptors(s) - before; n != 0 {
			t.Errorf("%d descriptors are kept after EMFILE", n)
		}
		// Where nothing helps, what is open is served still.
		g.run([]exchange{{"GET /big.bin", 200, big, nil}})
		g.s = &broken{Sys: s, openat2: func(string, sys.OpenHow) error { return sys.EMFILE }}
		g.now = g.now.Add(validity)
		g.run([]exchange{{"GET /big.bin", 200, big, nil}, {"GET /page.HTML", 503, "*", nil}})
	})
}

func TestCacheBounds(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		const files = cacheBytes/bodyMax + 20
		for i := range files {
			must(s.Link(root+"/medium.css", fmt.Sprintf("%s/m%d", root, i)))
		}
		d := newDirect(s, root, "/")
		get := func(i int) {
			d.http.Request.SetRequestURI(fmt.Sprintf("/m%d", i))
			d.answer()
		}
		for i := range files {
			get(i)
			get(0) // used all the time
		}
		c, site := &d.srv.cache, d.srv.sites[0]
		if c.bytes > cacheBytes || int64(c.files.Len())*bodyMax != c.bytes || len(site.files) != c.files.Len() {
			t.Errorf("%d bytes in %d files, %d by path", c.bytes, c.files.Len(), len(site.files))
		}
		if site.files["/m0"] == nil || site.files["/m1"] != nil {
			t.Error("not the file that was used last is kept")
		}
	})
}

// TestEvictedWhileSending evicts a file while a response with it is on its way.
func TestEvictedWhileSending(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		d := newDirect(s, root, "/big.bin")
		before := descriptors(s)
		d.srv.handle(&d.req)
		d.srv.cache.removeOpen(s)
		if n := descriptors(s) - before; n != 1 {
			t.Errorf("%d descriptors while the response is on its way", n)
		}
		var b strings.Builder
		if n, err := d.http.Response.BodyStream().(io.WriterTo).WriteTo(&b); n != int64(len(big)) || err != nil || b.String() != big {
			t.Errorf("WriteTo: %d, %v", n, err)
		}
		d.http.Response.Reset()
		if n := descriptors(s) - before; n != 0 {
			t.Errorf("%d descriptors after the response", n)
		}
	})
}

// TestThreads has threads load, hit, look again and evict at once.
func TestThreads(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		root := makeTree(s, dir)
		const links, threads, rounds = cacheFds + 20, 4, 2
		for i := range links {
			must(s.Link(root+"/big.bin", fmt.Sprintf("%s/big%d", root, i)))
		}
		before := descriptors(s)
		d := newDirect(s, root, "/")
		r, w, err := s.Pipe2(sys.O_CLOEXEC)
		must(err)
		for thread := range threads {
			must(s.Go("worker", func(s sys.Sys) {
				ctx := &fasthttp.RequestCtx{}
				ctx.Init(&fasthttp.Request{}, nil, nil)
				bad := byte(0)
				answer := func(target, want string) {
					ctx.Request.SetRequestURI(target)
					d.srv.handle(&module.Request{RequestCtx: ctx, Sys: s, Now: s.Now().Add(time.Duration(thread) * validity)})
					body := string(ctx.Response.Body())
					if b, ok := ctx.Response.BodyStream().(*fileBody); ok {
						var out strings.Builder
						_, _ = b.WriteTo(&out)
						body = out.String()
					}
					ctx.Response.Reset()
					if body != want {
						bad = 1
					}
				}
				for range rounds {
					for i := range links {
						answer(fmt.Sprintf("/big%d", (i+thread*40)%links), big)
						answer("/hello.txt", "hello world\n")
					}
				}
				_, err := s.Write(w, []byte{bad})
				must(err)
			}))
		}
		for range threads {
			var p [1]byte
			_, err := s.Read(r, p[:])
			must(err)
			if p[0] != 0 {
				t.Error("a thread got a wrong body")
			}
		}
		must(s.Close(r))
		must(s.Close(w))
		c := &d.srv.cache
		if n := descriptors(s) - before - 1; n != c.fds || n > cacheFds {
			t.Errorf("%d descriptors are open, the cache knows of %d", n, c.fds)
		}
		c.removeOpen(s)
		if n := descriptors(s) - before - 1; n != 0 {
			t.Errorf("%d descriptors are left", n)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	for name, run := range backends {
		for _, target := range []string{"/hello.txt", "/medium.css", "/big.bin"} {
			b.Run(name+target, func(b *testing.B) {
				b.ReportAllocs()
				run(b, func(s sys.Sys, dir string) {
					d := newDirect(s, makeTree(s, dir), target)
					for b.Loop() {
						d.answer()
					}
				})
			})
		}
	}
}
