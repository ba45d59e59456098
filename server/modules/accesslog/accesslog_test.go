package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
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
		m := fake.Boot(fake.Config{Mode: mode, Image: func(m *fake.Machine) {
			m.MkdirAll("/test", 0o755, 0, 0)
			m.WriteFile("/etc/localtime", zone, 0o644, 0, 0)
		}})
		defer m.Close()
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

// zone is a time zone of 3 hours and a half behind UTC, as in tzfile(5): one
// type of local time, no changes.
var zone = []byte("TZif2" + strings.Repeat("\x00", 15) +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04" + "\xff\xff\xce\xc8\x00\x00" + "XXX\x00" +
	"TZif2" + strings.Repeat("\x00", 15) +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04" + "\xff\xff\xce\xc8\x00\x00" + "XXX\x00" +
	"\n<XXX>3:30\n")

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// config has a site for each path; "" is a site without a log.
func config(paths ...string) *confhcl.Config {
	cfg := confhcl.Default()
	cfg.Sites = nil
	for i, p := range paths {
		site := confhcl.Site{}
		if p != "" {
			site.AccessLog = &confhcl.AccessLog{Path: confhcl.Located{Value: p, Set: true}, Format: confhcl.FormatCommon}
			site.AccessLog.Path.Range.Filename = "httpjail.hcl"
			site.AccessLog.Path.Range.Start.Line = i + 1
		}
		cfg.Sites = append(cfg.Sites, site)
	}
	return cfg
}

// start is PreJail and InJail, with the state carried over as JSON.
func start(s sys.Sys, cfg *confhcl.Config, logf func(string, ...any)) (module.Instance, module.State) {
	st, err := Module{}.PreJail(s, &module.PreJail{Config: cfg, Logf: logf})
	must(err)
	carried, err := json.Marshal(st)
	must(err)
	st = module.State{}
	must(json.Unmarshal(carried, &st))
	inst, err := Module{}.InJail(s, &module.InJail{Config: cfg, State: st, Logf: logf})
	must(err)
	return inst, st
}

type client struct {
	net.Conn
	in   io.Reader
	addr net.Addr
}

func (c client) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c client) Write(p []byte) (int, error) { return len(p), nil }
func (c client) Close() error                { return nil }
func (c client) RemoteAddr() net.Addr        { return c.addr }
func (c client) LocalAddr() net.Addr         { return c.addr }

var now = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// visit sends bytes to a server that answers status with size bytes of body.
func visit(s sys.Sys, inst module.Instance, site int, addr net.Addr, request string, status int, size int64) {
	server := fasthttp.Server{Concurrency: 1 << 20, NoDefaultDate: true, SecureErrorLogMessage: true, Logger: silent{}}
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		ctx.SetStatusCode(status)
		inst.Log(&module.Request{RequestCtx: ctx, Sys: s, Site: site, Now: now, BodyBytes: size})
	}
	server.ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) {
		ctx.SetStatusCode(400)
		inst.Log(&module.Request{RequestCtx: ctx, Sys: s, Now: now, BodyBytes: 9})
	}
	_ = server.ServeConn(client{in: strings.NewReader(request), addr: addr})
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func readLog(s sys.Sys, path string) string {
	data, err := sys.ReadFile(s, path, 1<<20)
	must(err)
	return string(data)
}

func TestLines(t *testing.T) {
	v4 := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}
	for _, c := range []struct {
		name     string
		combined bool
		addr     net.Addr
		request  string
		status   int
		size     int64
		want     string // %t is T
	}{
		{"common", false, v4, "GET /a?b=c HTTP/1.1\r\nHost: x\r\nReferer: r\r\n\r\n", 200, 12, `192.0.2.7 - - T "GET /a?b=c HTTP/1.1" 200 12`},
		{"no body", false, v4, "HEAD / HTTP/1.0\r\n\r\n", 304, 0, `192.0.2.7 - - T "HEAD / HTTP/1.0" 304 -`},
		{"IPv6", false, &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, 3, `2001:db8::1 - - T "GET / HTTP/1.1" 404 3`},
		{"mapped", false, &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1").To16()}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, 3, `192.0.2.1 - - T "GET / HTTP/1.1" 200 3`},
		{"unix", false, &net.UnixAddr{Net: "unix"}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, 3, `- - - T "GET / HTTP/1.1" 200 3`},
		{"combined", true, v4, "GET / HTTP/1.1\r\nHost: x\r\nReferer: http://r/?\"q\"\r\nUser-Agent: a\\b\tc\xe9\r\n\r\n", 200, 5000000000,
			`192.0.2.7 - - T "GET / HTTP/1.1" 200 5000000000 "http://r/?\"q\"" "a\\b\tc\xe9"`},
		{"no fields", true, v4, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, 1, `192.0.2.7 - - T "GET / HTTP/1.1" 200 1 "-" "-"`},
		{"quotes in the target", false, v4, "GET /\"\\ HTTP/1.1\r\nHost: x\r\n\r\n", 200, 1, `192.0.2.7 - - T "GET /\"\\ HTTP/1.1" 200 1`},
		{"no request", true, v4, "\x16\x03\x01\x02\r\n\r\n", 0, 0, `192.0.2.7 - - T "-" 400 9 "-" "-"`},
		{"bad field", true, v4, "GET /x HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 0, 0, `192.0.2.7 - - T "-" 400 9 "-" "-"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s sys.Sys, dir string) {
				cfg := config(dir + "/log")
				if c.combined {
					cfg.Sites[0].AccessLog.Format = confhcl.FormatCombined
				}
				inst, st := start(s, cfg, t.Logf)
				visit(s, inst, 0, c.addr, c.request, c.status, c.size)
				stamp := now.In(location(st)).Format("[02/Jan/2006:15:04:05 -0700]")
				want := strings.Replace(c.want, " T ", " "+stamp+" ", 1) + "\n"
				if got := readLog(s, dir+"/log"); got != want {
					t.Errorf("\n got %q\nwant %q", got, want)
				}
			})
		})
	}
}

// location is the zone that PreJail found: the real machine has its own.
func location(st module.State) *time.Location {
	var data state
	must(json.Unmarshal(st.Data, &data))
	if len(data.Zone) == 0 {
		return time.UTC
	}
	l, err := time.LoadLocationFromTZData("Local", data.Zone)
	must(err)
	return l
}

func TestZone(t *testing.T) {
	backends["fake"](t, func(s sys.Sys, dir string) {
		inst, _ := start(s, config(dir+"/log"), t.Logf)
		line := func() string {
			visit(s, inst, 0, &net.UnixAddr{}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, 1)
			text := readLog(s, dir+"/log")
			must(s.Unlink(dir + "/log"))
			return text
		}
		if got := line(); !strings.Contains(got, " [01/Jan/2026:23:34:05 -0330] ") {
			t.Errorf("in the zone: %q", got)
		}
		var logged []string
		logf := func(format string, args ...any) { logged = append(logged, fmt.Sprintf(format, args...)) }
		must(s.Unlink("/etc/localtime"))
		inst, _ = start(s, config(dir+"/log"), logf)
		if got := line(); !strings.Contains(got, " [02/Jan/2026:03:04:05 +0000] ") || len(logged) != 0 {
			t.Errorf("without a zone: %q, logged %q", got, logged)
		}
		must(s.Mkdir("/etc/localtime", 0o755))
		inst, _ = start(s, config(dir+"/log"), logf)
		if got := line(); !strings.Contains(got, " +0000] ") || len(logged) != 1 || !strings.Contains(logged[0], "outside:/etc/localtime") {
			t.Errorf("with a bad zone: %q, logged %q", got, logged)
		}
	})
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain ~": "plain ~", `"`: `\"`, `\`: `\\`, "\b\n\r\t\v": `\b\n\r\t\v`, "\x00\a\f\x1b\x7f\x80\xff": `\x00\x07\x0c\x1b\x7f\x80\xff`,
	} {
		if got := string(appendEscaped(nil, []byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestSitesShareAFile(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		cfg := config("one", "", dir+"/two", dir+"/one")
		cfg.ServerRoot = dir
		cfg.Sites[3].AccessLog.Format = confhcl.FormatCombined
		inst, st := start(s, cfg, t.Logf)
		if len(st.Files) != 2 {
			t.Errorf("%d descriptors for two paths", len(st.Files))
		}
		var stat sys.Stat
		must(s.Stat(dir+"/one", &stat))
		flags, err := s.Fcntl(st.Files[0], sys.F_GETFD, 0)
		if stat.Mode&0o777 != 0o644 || flags != sys.FD_CLOEXEC || err != nil {
			t.Errorf("mode %o, descriptor flags %d, %v", stat.Mode, flags, err)
		}
		for site := range cfg.Sites {
			visit(s, inst, site, &net.UnixAddr{}, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", site), 200, 1)
		}
		one, two := readLog(s, dir+"/one"), readLog(s, dir+"/two")
		if strings.Count(one, "\n") != 2 || !strings.Contains(one, "GET /0 ") || !strings.Contains(one, `GET /3 HTTP/1.1" 200 1 "-" "-"`) ||
			strings.Count(two, "\n") != 1 || !strings.Contains(two, "GET /2 ") {
			t.Errorf("one: %q\ntwo: %q", one, two)
		}
		// A second server appends.
		inst, _ = start(s, config(dir+"/two"), t.Logf)
		visit(s, inst, 0, &net.UnixAddr{}, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 200, 1)
		if got := readLog(s, dir+"/two"); !strings.HasPrefix(got, two) || strings.Count(got, "\n") != 2 {
			t.Errorf("two: %q", got)
		}
	})
}

func TestNoLogNoInstance(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		if inst, st := start(s, config("", ""), t.Logf); inst.Log != nil || inst.Handle != nil || len(st.Files) != 0 {
			t.Error("sites without a log have an instance")
		}
	})
}

func TestPathErrors(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		free := func() int {
			fd, err := s.Open("/dev/null", sys.O_RDONLY, 0)
			must(err)
			must(s.Close(fd))
			return fd
		}
		before := free()
		for path, want := range map[string]error{dir + "/missing/log": sys.ENOENT, dir: sys.EISDIR} {
			cfg := config(dir+"/log", path)
			_, err := Module{}.PreJail(s, &module.PreJail{Config: cfg, Logf: t.Logf})
			var pe *module.PathError
			if !errors.As(err, &pe) || pe.Path != path || pe.Inside || pe.Err != want || pe.Where != cfg.Sites[1].AccessLog.Path.Range {
				t.Errorf("%s: %#v", path, err)
			}
		}
		if after := free(); after != before {
			t.Errorf("the lowest free descriptor is %d after failed starts, was %d", after, before)
		}
	})
}

func TestBadState(t *testing.T) {
	cfg := config("/log", "")
	for _, data := range []string{"", "[]", `{"Logs":[0]}`, `{"Logs":[1,-1]}`, `{"Logs":[0,-1],"Zone":"eHg="}`} {
		_, err := Module{}.InJail(nil, &module.InJail{Config: cfg, State: module.State{Data: []byte(data), Files: []int{5}}})
		if err == nil {
			t.Errorf("%s: no error", data)
		}
	}
}

// full is a kernel whose disk is full, or that writes short.
type full struct {
	sys.Sys
	n   int
	err error
	got int
}

func (f *full) Write(fd int, p []byte) (int, error) {
	f.got++
	if f.err == sys.EINTR && f.got > 1 {
		return f.Sys.Write(fd, p)
	}
	return f.n, f.err
}

func TestFailedWrites(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		var logged []string
		logf := func(format string, args ...any) { logged = append(logged, fmt.Sprintf(format, args...)) }
		inst, _ := start(s, config(dir+"/log"), logf)
		at := now
		line := func(s sys.Sys) {
			ctx := &fasthttp.RequestCtx{}
			ctx.Init(&fasthttp.Request{}, nil, silent{})
			inst.Log(&module.Request{RequestCtx: ctx, Sys: s, Now: at, BodyBytes: 1})
		}
		for range 5 {
			line(&full{Sys: s, n: -1, err: sys.ENOSPC})
		}
		at = at.Add(time.Minute)
		line(&full{Sys: s, n: 3})
		want := []string{
			"accesslog: cannot write to outside:" + dir + "/log: " + sys.ENOSPC.Error() + " (and 0 lines before)",
			"accesslog: cannot write to outside:" + dir + "/log: 3 of ",
		}
		if len(logged) != 2 || logged[0] != want[0] || !strings.HasPrefix(logged[1], want[1]) || !strings.HasSuffix(logged[1], "(and 4 lines before)") {
			t.Errorf("logged %q", logged)
		}
		line(&full{Sys: s, err: sys.EINTR})
		if got := readLog(s, dir+"/log"); strings.Count(got, "\n") != 1 || len(logged) != 2 {
			t.Errorf("after EINTR: %q, logged %q", got, logged)
		}
	})
}

func TestLogDoesNotAllocate(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		inst, _ := start(s, config(dir+"/log"), t.Logf)
		ctx := &fasthttp.RequestCtx{}
		ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}, silent{})
		r := &module.Request{RequestCtx: ctx, Sys: &full{Sys: s, n: 79}, Now: now, BodyBytes: 1}
		inst.Log(r)
		if n := testing.AllocsPerRun(100, func() { inst.Log(r) }); n != 0 {
			t.Errorf("a line allocates %v times", n)
		}
	})
}

// TestOneWriteALine has several threads log at once.
func TestOneWriteALine(t *testing.T) {
	onEach(t, func(t *testing.T, s sys.Sys, dir string) {
		inst, _ := start(s, config(dir+"/log"), t.Logf)
		const threads, lines = 4, 50
		r, w, err := s.Pipe2(sys.O_CLOEXEC)
		must(err)
		for i := range threads {
			must(s.Go("client", func(s sys.Sys) {
				for range lines {
					request := fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat(string(rune('a'+i)), 40*i+1))
					visit(s, inst, 0, &net.UnixAddr{}, request, 200, 1)
				}
				_, err := s.Write(w, []byte{1})
				must(err)
			}))
		}
		for range threads {
			_, err := s.Read(r, make([]byte, 1))
			must(err)
		}
		count := map[string]int{}
		for line := range strings.Lines(readLog(s, dir+"/log")) {
			count[line]++
		}
		if len(count) != threads {
			t.Errorf("%d different lines, want %d", len(count), threads)
		}
		for line, n := range count {
			if n != lines {
				t.Errorf("%d times %q", n, line)
			}
		}
	})
}
