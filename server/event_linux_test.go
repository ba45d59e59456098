package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/real"
)

// newTestAsync is the async of a child on this kernel that serves dir.
func newTestAsync(tb testing.TB, dir string) (sys.Sys, *async) {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	s := real.New()
	cfg, diags := confhcl.Parse("test.hcl", fmt.Appendf(nil, "listen = [\":80\"]\nmax_keep_alive_requests = 0\nmpm \"event\" {}\nsite { document_root = %q }\n", dir))
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	h := &handover{Config: cfg}
	for _, m := range modules {
		st, err := m.PreJail(s, &module.PreJail{Config: cfg, Logf: tb.Logf})
		must(err)
		h.Modules = append(h.Modules, st)
	}
	_, fd, err := mpm.CreateScoreboard(s, &mpm.Config{ServerLimit: 1, ThreadLimit: 2})
	must(err)
	child, err := mpm.NewChild(s, mpm.ChildState{Scoreboard: fd, Mutex: mpm.MutexState{Method: "none", Fd: -1}}, tb.Logf)
	must(err)
	w, err := newWeb(s, h, child, tb.Logf)
	must(err)
	tb.Cleanup(func() { s.Close(fd) })
	return s, newAsync(s, w)
}

// pair is a client's descriptor, and the server's connection.
func pair(tb testing.TB, s sys.Sys) (client int, c *mpm.AsyncConn) {
	tb.Helper()
	client, fd, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_NONBLOCK|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close(client); s.Close(fd) })
	return client, &mpm.AsyncConn{Fd: fd, Peer: sys.UnixAddr("")}
}

const kibRequest = "GET /1k.html HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

// exchangeOnce makes one request, whose response fits into buf.
func exchangeOnce(tb testing.TB, s sys.Sys, a *async, client int, c *mpm.AsyncConn, request, buf []byte, now time.Time) []byte {
	if _, err := s.Write(client, request); err != nil {
		tb.Fatal(err)
	}
	if want := a.Step(c, now); want != mpm.WantRequest || c.State != nil {
		tb.Fatalf("after a request the connection wants %d, with the state %v", want, c.State)
	}
	n, err := s.Read(client, buf)
	if err != nil {
		tb.Fatal(err)
	}
	return buf[:n]
}

func serveKiB(tb testing.TB) string {
	dir := tb.TempDir()
	if err := os.WriteFile(dir+"/1k.html", []byte(strings.Repeat("x", 1024)), 0o644); err != nil {
		tb.Fatal(err)
	}
	// A file that has just been written has a weak ETag, and is looked at again.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir+"/1k.html", old, old); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// TestStepAllocatesNothing: a request for what is in the cache, on a connection
// that is kept alive, allocates nothing, and leaves nothing with it.
func TestStepAllocatesNothing(t *testing.T) {
	s, a := newTestAsync(t, serveKiB(t))
	client, c := pair(t, s)
	request, buf := []byte(kibRequest), make([]byte, 4096)
	now := s.Now()
	got := string(exchangeOnce(t, s, a, client, c, request, buf, now))
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || len(body) != 1024 || strings.Count(head, "\r\nDate: "+now.Format(httpTime)) != 1 {
		t.Fatalf("the response is %q", got)
	}
	if n := testing.AllocsPerRun(1000, func() { exchangeOnce(t, s, a, client, c, request, buf, now) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkStep(b *testing.B) {
	s, a := newTestAsync(b, serveKiB(b))
	client, c := pair(b, s)
	request, buf := []byte(kibRequest), make([]byte, 4096)
	now := s.Now()
	b.ReportAllocs()
	for b.Loop() {
		exchangeOnce(b, s, a, client, c, request, buf, now)
	}
}
