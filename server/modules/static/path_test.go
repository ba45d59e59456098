package static

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		raw, path string
		status    int
	}{
		{"", "/", 0},
		{"/", "/", 0},
		{"//", "/", 0},
		{"/.", "/", 0},
		{"/./", "/", 0},
		{"/a", "/a", 0},
		{"/a/", "/a/", 0},
		{"/a//", "/a/", 0},
		{"/a//b", "/a/b", 0},
		{"/a/./b", "/a/b", 0},
		{"/a/.", "/a/", 0},
		{"/a/..", "/", 0},
		{"/a/../", "/", 0},
		{"/a/b/..", "/a/", 0},
		{"/a/b/../c", "/a/c", 0},
		{"/a/b/../../c", "/c", 0},
		{"/a/...", "/a/...", 0},
		{"/..a", "/..a", 0},
		{"/a%2e%2E", "/a..", 0},
		{"/%41%2F", "", 404},
		{"/%2e%2e", "", 400},
		{"/a/../..", "", 400},
		{"/a/../../a", "", 400},
		{"//..", "", 400},
		{"/%00", "", 400},
		{"/a\x00", "", 400},
		{"/%1", "", 400},
		{"/%g1", "", 400},
		{"a", "", 400},
		{"*", "", 400},
		{"..", "", 400},
	} {
		path, status := clean(nil, []byte(c.raw))
		if string(path) != c.path || status != c.status {
			t.Errorf("clean(%q) = %q, %d; want %q, %d", c.raw, path, status, c.path, c.status)
		}
	}
}

func TestHidden(t *testing.T) {
	for path, want := range map[string]bool{
		"/": false, "/a.b/c.d": false, "/.a": true, "/a/.b": true, "/a/.b/c": true, "/.well-known": false,
		"/.well-known/": false, "/.well-known/x": false, "/.well-known/.x": true, "/.well-known.x": true, "/a/.well-known/x": true,
	} {
		if got := hidden([]byte(path)); got != want {
			t.Errorf("hidden(%q) = %v", path, got)
		}
	}
}

// FuzzClean holds clean against what a path must be after it, and against
// net/url's way to decode.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"/", "/a/../b//./c", "/%2e%2e/%2f", "/%", "/.well-known/x", "//a\\..", "/a/b/../../..", "/\xff%ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, status := clean(nil, []byte(raw))
		if status != 0 {
			if path != nil || status != 400 && status != 404 {
				t.Fatalf("clean(%q) = %q, %d", raw, path, status)
			}
			return
		}
		if path[0] != '/' || bytes.IndexByte(path, 0) >= 0 {
			t.Fatalf("clean(%q) = %q", raw, path)
		}
		segments := strings.Split(string(path[1:]), "/")
		for i, s := range segments {
			if s == "." || s == ".." || s == "" && i < len(segments)-1 {
				t.Fatalf("clean(%q) = %q has the segment %q", raw, path, s)
			}
		}
		// Once clean, it stays as it is when it is not decoded again.
		again, status := normalise(slices.Clone(path))
		if status != 0 || !bytes.Equal(again, path) {
			t.Fatalf("normalise(%q) = %q, %d", path, again, status)
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("clean(%q) = %q, but net/url says %v", raw, path, err)
		}
		if raw != "" && plain([]byte(raw)) && decoded != string(path) {
			t.Fatalf("clean(%q) = %q, net/url says %q", raw, path, decoded)
		}
		// A Location made of it is a path on this server, and the same one.
		to := string(escapePath(nil, path))
		u, err := url.Parse(to)
		if err != nil || u.Host != "" || u.Scheme != "" || u.Path != string(path) || strings.HasPrefix(to, "//") || strings.Contains(to, `\`) {
			t.Fatalf("Location %q of %q: %v %v", to, path, u, err)
		}
	})
}

// FuzzTarget sends targets to a document root with links that lead out of it.
func FuzzTarget(f *testing.F) {
	for _, e := range exchanges {
		line, _, _ := strings.Cut(e.request, "\n")
		_, target, _ := strings.Cut(line, " ")
		if len(target) < 200 {
			f.Add(target)
		}
	}
	for name, run := range backends {
		if name == "real" {
			// On the real kernel, whose openat2 it is all about.
			run(f, func(s sys.Sys, dir string) {
				root := makeTree(s, dir)
				f.Fuzz(func(t *testing.T, target string) { checkTarget(t, s, root, target) })
			})
			return
		}
	}
	f.Skip("this system has no real backend")
}

func checkTarget(t *testing.T, s sys.Sys, root, target string) {
	g := newRig(t, s, config(root, nil))
	defer func() { must(s.Close(g.srv.sites[0].root)); g.srv.cache.removeOpen(s) }()
	answer := g.raw("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if bytes.Contains(answer, []byte(secret)) {
		t.Fatalf("%q serves the file outside", target)
	}
	if bytes.Contains(answer, []byte("hidden")) {
		t.Fatalf("%q serves a dot file", target)
	}
	if i := bytes.Index(answer, []byte("Location: ")); i >= 0 {
		to := answer[i+len("Location: "):]
		if to[0] != '/' || to[1] == '/' || to[1] == '\\' {
			t.Fatalf("%q redirects to %.40q", target, to)
		}
	}
}
