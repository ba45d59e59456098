package static

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/valyala/fasthttp"
)

// backends run a test in a process of each kernel, with the path of an empty
// directory. The test must not end its goroutine: no t.Fatal.
var backends = map[string]func(t testing.TB, test func(s sys.Sys, dir string)){
	"fake":              onFake(fake.Deterministic),
	"fake free-running": onFake(fake.FreeRunning),
}

func onFake(mode sched.Mode) func(t testing.TB, test func(s sys.Sys, dir string)) {
	return func(t testing.TB, test func(s sys.Sys, dir string)) {
		m := fake.Boot(fake.Config{Mode: mode})
		defer m.Close()
		m.MkdirAll("/test", 0o755, 0, 0)
		status, err := m.Wait(m.StartFunc("test", func(s sys.Sys) int {
			test(s, "/test")
			return 0
		}))
		if err != nil || status != 0 {
			t.Errorf("the test's process: status %v, %v", status, err)
		}
	}
}

func onEach(t *testing.T, test func(t *testing.T, s sys.Sys, dir string)) {
	for name, run := range backends {
		t.Run(name, func(t *testing.T) {
			run(t, func(s sys.Sys, dir string) { test(t, s, dir) })
		})
	}
}

// must is for what prepares a test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// written is the mtime of the files that tests serve.
var written = sys.Timespec{Sec: 1577934245, Nsec: 678901234} // Thu, 02 Jan 2020 03:04:05 GMT

const lastModified = "Thu, 02 Jan 2020 03:04:05 GMT"

func writeFile(s sys.Sys, path, content string) {
	fd, err := s.Open(path, sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC|sys.O_CLOEXEC, 0o644)
	must(err)
	must(sys.WriteAll(s, fd, []byte(content)))
	must(s.Close(fd))
	must(s.Utimensat(path, written, written, 0))
}

// pattern is content of n bytes in which each place can be told from others.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), i%7+1))
	}
	return b.String()[:n]
}

var (
	big    = pattern(bodyMax + 20000)
	medium = pattern(bodyMax)
)

const secret = "the secret outside"

// makeTree makes the document root dir/www and a file outside of it.
func makeTree(s sys.Sys, dir string) (root string) {
	root = dir + "/www"
	for _, d := range []string{"", "/dir", "/sub", "/.well-known", "/.git", "/x y", "/deep", "/deep/er"} {
		must(s.Mkdir(root+d, 0o755))
	}
	must(s.Mkdir(dir+"/outside", 0o755))
	writeFile(s, dir+"/outside/secret", secret)
	for name, content := range map[string]string{
		"index.html": "home\n", "hello.txt": "hello world\n", "empty.txt": "", "big.bin": big, "medium.css": medium,
		"a b.txt": "blank", `back\slash.txt`: "backslash", ".htpasswd": "hidden", ".git/config": "hidden",
		".well-known/acme": "seen", ".well-known/.x": "hidden", "dir/f.txt": "f", "sub/index.html": "sub index\n",
		"sub/x.svg": "<svg/>", "noext": "?", "page.HTML": "upper", "100%.txt": "percent", "deep/er/x.xyz": "xyz",
		"\xff.txt": "not UTF-8",
	} {
		writeFile(s, root+"/"+name, content)
	}
	for link, target := range map[string]string{
		"link.txt": "hello.txt", "linkdir": "sub", "up": "../outside/secret", "updir": "../outside",
		"abs": dir + "/outside/secret", "loop": "loop", "dir/up.txt": "../hello.txt", "nowhere": "missing",
		"proc": "/proc/self/root",
	} {
		must(s.Symlink(target, root+"/"+link))
	}
	must(s.Mknod(root+"/fifo", sys.S_IFIFO|0o644, 0))
	return root
}

// rig serves one document root in the calling thread.
type rig struct {
	t    *testing.T
	s    sys.Sys
	srv  *server
	http fasthttp.Server
	now  time.Time // of the next request
	body int64     // BodyBytes of the last
	// sendfile serves over a socket of the kernel, and not over memory.
	sendfile bool
}

func config(root string, change func(*confhcl.Site)) *confhcl.Config {
	cfg := confhcl.Default()
	cfg.Sites[0].DocumentRoot.Value = root
	if change != nil {
		change(&cfg.Sites[0])
	}
	return cfg
}

func newRig(t *testing.T, s sys.Sys, cfg *confhcl.Config) *rig {
	st, err := Module{}.PreJail(s, &module.PreJail{Config: cfg, Logf: t.Logf})
	must(err)
	srv, err := newServer(s, &module.InJail{Config: cfg, State: st, Logf: t.Logf})
	must(err)
	g := &rig{t: t, s: s, srv: srv, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	g.http = fasthttp.Server{
		NoDefaultDate: true, NoDefaultContentType: true, NoDefaultServerHeader: true, Concurrency: 1 << 20,
		ReadBufferSize: 16 << 10, WriteBufferSize: 36 << 10,
		Handler: func(ctx *fasthttp.RequestCtx) {
			r := &module.Request{RequestCtx: ctx, Sys: g.s, Now: g.now}
			if !srv.handle(r) {
				ctx.SetStatusCode(599)
			}
			g.body = r.BodyBytes
		},
	}
	return g
}

// memory is a connection whose other end has said all and only listens.
type memory struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error)  { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error) { return m.out.Write(p) }
func (m *memory) Close() error                { return nil }
func (m *memory) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }
func (m *memory) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 80} }

// raw sends bytes and returns what comes back until the end.
func (g *rig) raw(request string) []byte {
	if !g.sendfile {
		m := &memory{in: strings.NewReader(request)}
		_ = g.http.ServeConn(m)
		return m.out.Bytes()
	}
	client, server, err := g.s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	must(err)
	must(sys.WriteAll(g.s, client, []byte(request)))
	must(g.s.Shutdown(client, sys.SHUT_WR))
	c := conn.New(g.s, server, sys.UnixAddr(""), sys.UnixAddr(""))
	_ = g.http.ServeConn(c)
	_ = c.Close()
	answer, err := sys.ReadAll(g.s, client, 1<<20)
	must(err)
	must(g.s.Close(client))
	return answer
}

// get sends a request, "METHOD target" and fields each on a line of its own,
// and returns the response with its body.
func (g *rig) get(request string) (*http.Response, string) {
	line, fields, _ := strings.Cut(request, "\n")
	method, target, _ := strings.Cut(line, " ")
	if fields != "" {
		fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
	}
	answer := bufio.NewReader(bytes.NewReader(g.raw(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n")))
	resp, err := http.ReadResponse(answer, &http.Request{Method: method})
	if err != nil {
		g.t.Errorf("%.120s: %v", request, err)
		return &http.Response{}, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Errorf("%.120s: body: %v", request, err)
	}
	if rest, _ := io.ReadAll(answer); len(rest) > 0 {
		g.t.Errorf("%.120s: %d bytes after the response: %.100q", request, len(rest), rest)
	}
	if int64(len(body)) != g.body {
		g.t.Errorf("%.120s: BodyBytes is %d, %d bytes came", request, g.body, len(body))
	}
	return resp, string(body)
}
