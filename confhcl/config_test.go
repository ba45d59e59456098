package confhcl

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
)

func TestDefault(t *testing.T) {
	c := Default()
	checkJSON(t, c)
	// The same written out, apart from where it stands.
	parsed, diags := Parse("", []byte("listen = [\"127.0.0.1:8080\"]\nmpm \"event\" {}\nsite {\n  document_root = \"/\"\n}\n"))
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(c, parsed, cmpopts.IgnoreTypes(hcl.Range{}), cmpopts.IgnoreFields(Located{}, "Set")); diff != "" {
		t.Errorf("-Default +parsed:\n%s", diff)
	}
}

// TestMPMDefaults holds each MPM's defaults against Apache's manual, as one
// line an MPM so that they can be read beside it.
func TestMPMDefaults(t *testing.T) {
	want := map[string]string{
		"prefork": "start_servers=5 min_spare_servers=5 max_spare_servers=10 max_clients=256 server_limit=256 " +
			"max_requests_per_child=10000 listen_backlog=511",
		"worker": "start_servers=3 max_clients=400 server_limit=16 thread_limit=64 threads_per_child=25 " +
			"min_spare_threads=75 max_spare_threads=250 max_requests_per_child=10000 listen_backlog=511",
		"perchild": "server_limit=8 thread_limit=64 min_spare_threads=5 max_spare_threads=10 " +
			"max_requests_per_child=10000 listen_backlog=511 num_servers=2 start_threads=5 max_threads_per_child=64",
		"beos": "max_clients=50 min_spare_threads=1 max_spare_threads=50 listen_backlog=511 start_threads=10 " +
			"max_requests_per_thread=0",
		"mpm_winnt": "thread_limit=1920 threads_per_child=64 max_requests_per_child=0 listen_backlog=511",
		"mpmt_os2": "start_servers=2 min_spare_threads=5 max_spare_threads=10 max_requests_per_child=10000 " +
			"listen_backlog=511",
	}
	for _, same := range []string{"leader", "threadpool", "event"} {
		want[same] = want["worker"]
	}
	for _, name := range mpms {
		src := fmt.Sprintf("listen = [\"8080\"]\nmpm %q {}\nsite {\n  document_root = \"/\"\n}\n", name)
		c, diags := Parse("a.hcl", []byte(src))
		if len(diags) != 0 {
			t.Fatalf("%s: %v", name, diags)
		}
		var got []string
		for _, n := range numbers {
			if slices.Contains(having(n.name), name) {
				got = append(got, fmt.Sprintf("%s=%d", n.name, *n.field(&c.MPM)))
			} else if *n.field(&c.MPM) != 0 {
				t.Errorf("%s has no %s, but it is %d", name, n.name, *n.field(&c.MPM))
			}
		}
		if diff := cmp.Diff(strings.Fields(want[name]), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if has := c.MPM.AcceptMutex.Value != ""; has != slices.Contains(locked, name) {
			t.Errorf("%s: accept mutex %q", name, c.MPM.AcceptMutex.Value)
		}
	}
}

// TestMPMDirectives sets each directive in each MPM: it is stored by those
// that have it and refused by name by the others.
func TestMPMDirectives(t *testing.T) {
	for _, name := range mpms {
		for _, directive := range mpmAttributes() {
			value := `"flock"` // good as a path as well
			if slices.ContainsFunc(numbers, func(n number) bool { return n.name == directive }) ||
				strings.HasSuffix(directive, "_factor") || strings.HasSuffix(directive, "_timeout") {
				value = "7"
			}
			src := fmt.Sprintf("listen = [\"8080\"]\nmpm %q {\n  %s = %s\n}\nsite {\n  document_root = \"/\"\n}\n", name, directive, value)
			c, diags := Parse("a.hcl", []byte(src))
			if slices.Contains(having(directive), name) {
				if diags.HasErrors() {
					t.Errorf("%s in %s: %v", directive, name, diags)
				} else if cmp.Equal(c.MPM, mpmDefaults(name, "/"), cmpopts.IgnoreTypes(hcl.Range{})) {
					t.Errorf("%s in %s changes nothing", directive, name)
				}
				continue
			}
			if len(diags) != 1 || diags[0].Summary != "Not in this MPM" || diags[0].Subject.Start.Line != 3 {
				t.Errorf("%s in %s: %v", directive, name, diags)
				continue
			}
			for _, has := range having(directive) {
				if !strings.Contains(diags[0].Detail, has) {
					t.Errorf("%s in %s: %s is not named in %q", directive, name, has, diags[0].Detail)
				}
			}
		}
	}
}

func TestPath(t *testing.T) {
	c := &Config{ServerRoot: "/srv/www"}
	for given, want := range map[string]string{
		"logs/httpd.pid":     "/srv/www/logs/httpd.pid",
		"./a/../b":           "/srv/www/./a/../b",
		"/var/run/httpd.pid": "/var/run/httpd.pid",
		"/a/../b":            "/a/../b", // a may be a link
		"":                   "",
	} {
		if got := c.Path(given); got != want {
			t.Errorf("Path(%q) = %q, want %q", given, got, want)
		}
	}
	if got := Default().Path("logs/httpd.pid"); got != "/logs/httpd.pid" {
		t.Errorf("under a ServerRoot of /: %q", got)
	}
}

func TestFormat(t *testing.T) {
	got := string(Format([]byte("listen=[\"8080\"]\nsite{\ndocument_root=\"/\"\n}\n")))
	want := "listen = [\"8080\"]\nsite {\n  document_root = \"/\"\n}\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}

// TestDocumentation checks that the reference has a section for each block
// and an entry in it for each argument, each MPM, mutex, order and format.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	for _, s := range schemas {
		title := "`" + s.block + "`"
		if s.block == "" {
			title = "The server"
		}
		section, ok := sections[title]
		if !ok {
			t.Errorf("no section %q", title)
		}
		for _, name := range s.attributes {
			if !strings.Contains(section, "\n| `"+name+"` |") {
				t.Errorf("section %q has no entry for %q", title, name)
			}
		}
		for _, name := range s.blocks {
			if !strings.Contains(section, "[`"+name+"`]") {
				t.Errorf("section %q has no link to the block %q", title, name)
			}
		}
	}
	for _, word := range slices.Concat(mpms, mutexes, []string{
		OrderApache2, OrderApache13, OrderPerChild, FormatCommon, FormatCombined}) {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("%q is not documented", word)
		}
	}
	// What is documented of a numeric directive is what is checked.
	for _, n := range numbers {
		_, row, _ := strings.Cut(sections["`mpm`"], "\n| `"+n.name+"` |")
		row, _, _ = strings.Cut(row, "\n")
		for _, bound := range append([]int{n.least, n.most}, values(n.bounds)...) {
			if !strings.Contains(row, fmt.Sprint(bound)) {
				t.Errorf("the bound %d of %s is not documented", bound, n.name)
			}
		}
		for _, name := range having(n.name) {
			if !strings.Contains(row, name) || !strings.Contains(row, fmt.Sprint(n.defaults[name])) {
				t.Errorf("%s of %s is not documented with its default %d", n.name, name, n.defaults[name])
			}
		}
	}
}

func values(m map[string]int) []int {
	var all []int
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
