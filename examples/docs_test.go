package examples

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/sys/fault"
)

// documents are those that these tests hold against the code.
var documents = []string{"operators.md", "developers.md", "scenarios.md", "testing-your-daemon.md"}

// block is a fenced code block.
type block struct {
	file, lang string
	line       int // of its first line
	text       string
}

func (b block) String() string { return fmt.Sprintf("docs/%s:%d", b.file, b.line) }

func blocks(t *testing.T) (all []block) {
	for _, name := range documents {
		data, err := os.ReadFile("../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var b *block
		for i, line := range strings.Split(string(data), "\n") {
			switch {
			case !strings.HasPrefix(line, "```"):
				if b != nil {
					b.text += line + "\n"
				}
			case b == nil:
				b = &block{file: name, lang: line[3:], line: i + 2}
			default:
				all = append(all, *b)
				b = nil
			}
		}
		if b != nil {
			t.Errorf("%v does not end", *b)
		}
	}
	return all
}

// TestGoSnippets: each Go snippet is part of a file that is compiled, at
// whatever indentation. A line that is "// ..." stands for what is left out.
func TestGoSnippets(t *testing.T) {
	sources := map[string]string{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		data, err := os.ReadFile(name)
		sources[name] = flat(string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range blocks(t) {
		if b.lang != "go" {
			continue
		}
		n++
		found := false
		for _, src := range sources {
			found = found || holds(src, strings.Split(flat(b.text), "\n// ...\n"))
		}
		if !found {
			t.Errorf("%v: no file holds this:\n%s", b, b.text)
		}
	}
	if n < 10 {
		t.Errorf("%d Go snippets only", n)
	}
}

// holds reports whether parts are in src, in their order.
func holds(src string, parts []string) bool {
	for _, part := range parts {
		part = "\n" + strings.Trim(part, "\n") + "\n"
		i := strings.Index(src, part)
		if i < 0 {
			return false
		}
		src = src[i+len(part)-1:]
	}
	return true
}

// flat is text without indentation.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return "\n" + strings.Join(lines, "\n")
}

// TestConfigurations: what the documentation and deploy configure is valid,
// without a warning.
func TestConfigurations(t *testing.T) {
	example, err := os.ReadFile("../deploy/httpjail.hcl")
	if err != nil {
		t.Fatal(err)
	}
	all := append(blocks(t), block{file: "../deploy/httpjail.hcl", lang: "hcl", line: 1, text: string(example)})
	for _, b := range all {
		if b.lang != "hcl" {
			continue
		}
		if _, diags := confhcl.Parse(b.file, []byte(b.text)); len(diags) > 0 {
			t.Errorf("%v: %v", b, diags)
		}
	}
}

// TestRules: so are the fault rules.
func TestRules(t *testing.T) {
	for _, b := range blocks(t) {
		if b.lang != "fault" {
			continue
		}
		if _, err := fault.ParseAll(b.text); err != nil {
			t.Errorf("%v: %v", b, err)
		}
	}
}

var linkRE = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)

// TestLinks: a link to a file of the repository leads there.
func TestLinks(t *testing.T) {
	for _, name := range documents {
		data, err := os.ReadFile("../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range linkRE.FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../docs", m[1])); err != nil {
				t.Errorf("docs/%s: %v", name, err)
			}
		}
	}
}
