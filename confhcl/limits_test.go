package confhcl

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// fill repeats text, in lines, far over every limit but those on the size of
// the source.
func fill(text string) string {
	return strings.Repeat(strings.Repeat(text, 1000)+"\n", 20)
}

// TestLimits gives the parser what a recursive descent without limits would
// overflow its stack on, or an evaluation would never end on.
func TestLimits(t *testing.T) {
	items := strings.Repeat("1234567,\n", 1000)
	tests := []struct {
		name, src, want string
	}{
		{"size", strings.Repeat("a", maxSource+1), "File too large"},
		{"line", "a = 1\nb = " + strings.Repeat("1", maxLine), "Line too long"},
		{"lines", strings.Repeat("\n", maxLines+1), "Too many lines"},
		{"parentheses", "a = " + fill("("), "Nested too deeply"},
		{"brackets", "a = " + fill("["), "Nested too deeply"},
		{"objects", "a = " + fill("{a="), "Nested too deeply"},
		{"blocks", strings.Repeat("a {\n", maxLines), "Nested too deeply"},
		{"labelled blocks", strings.Repeat("a \"b\" {\n", maxLines), "Nested too deeply"},
		{"calls", "a = " + fill("f("), "Nested too deeply"},
		{"for", "a = " + fill("[for a in "), "Nested too deeply"},
		{"mismatched", "a = " + fill("([)"), "Nested too deeply"},
		{"templates", "a = " + fill("\"${"), "Too many operators"},
		{"if", "a = <<E\n" + fill("%{ if true }"), "Too many operators"},
		{"not", "a = (" + fill("!"), "Too many operators"},
		{"minus", "a = (" + fill("-"), "Too many operators"},
		{"plus", "a = (1" + fill("+1"), "Too many operators"},
		{"conditional", "a = (" + fill("a?b:"), "Too many operators"},
		{"splat", "a = (b" + fill(".*"), "Too many operators"},
		{"full splat", "a = (b" + fill("[*]"), "Too many operators"},
		{"index", "server_name = (b" + fill("[c]") + ")", "Not a literal value"},
		{"number", "timeout = 1e999999", "Out of range"},
		{"larger number", "max_keep_alive_requests = 1e999999999999", "Invalid number literal"},
		{"path", "error_log = \"/" + strings.Repeat("a", pathMax) + "\"", "Path too long"},
		{"key", "site {\nheaders = { 1e999999999 = \"\" }\n}", "Wrong type"},
		{"template of a number", "server_name = \"${1e999999999}\"", "Not a literal value"},
		{"nested for", "server_name = [for a in [" + items + "]: [for b in [" + items + "]: [for c in [" + items + "]: 1]]]",
			"Not a literal value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, diags := Parse("x", []byte(test.src))
			if c != nil || !diags.HasErrors() {
				t.Fatal("accepted")
			}
			for _, diag := range diags {
				if diag.Summary == test.want {
					return
				}
			}
			t.Errorf("no %q among: %v", test.want, diags)
		})
	}
}

// TestManyProblems checks that of a file full of errors only the first are
// reported, and that there is a word about the others.
func TestManyProblems(t *testing.T) {
	for _, line := range []string{"a\n", "a=1\n", "a{}\n", "site{}\n", "jail{}\n", "jail=1\n"} {
		src := []byte(strings.Repeat(line, 2000))
		c, diags := Parse("x", src)
		if c != nil || !diags.HasErrors() {
			t.Fatalf("%q accepted", line)
		}
		if len(diags) != maxDiagnostics+1 {
			t.Errorf("%q: %d diagnostics", line, len(diags))
		} else if last := diags[maxDiagnostics]; last.Summary != "Too many problems" {
			t.Errorf("%q: the last diagnostic is %v", line, last)
		}
	}
}

// TestErrorsBeforeWarnings checks that many warnings do not hide an error.
func TestErrorsBeforeWarnings(t *testing.T) {
	src := "listen = [\"8080\"]\n"
	for i := range maxDiagnostics + 5 {
		src += fmt.Sprintf("site {\n  server_name   = \"s%d.example\"\n  document_root = \"/e\u0301\"\n}\n", i)
	}
	c, diags := Parse("x", []byte(src))
	if c == nil || len(diags) != maxDiagnostics+1 || diags.HasErrors() {
		t.Fatalf("warnings alone: %v", diags)
	}
	c, diags = Parse("x", []byte(src+"timeout = 0\n"))
	if c != nil || diags[0].Summary != "Out of range" {
		t.Fatalf("with an error: %v", diags)
	}
}

func FuzzParse(f *testing.F) {
	for _, src := range goldenSources(f) {
		f.Add(src)
	}
	for _, src := range []string{
		"", "\ufefflisten = []", "a = <<E\n", "a = \"\\", "a = 0x", "a = {(", "a \"b\" c {", "a = -null", "a={a:}",
		"a = b.0.1.2", "a = [for k, v in x : k => v...]", "a = \"%{ for x in y }%{ endfor }\"", "# \r\n\t", "site { x = 1",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, diags := Parse("fuzz.hcl", src)
		if (c == nil) != diags.HasErrors() {
			t.Errorf("Config %v with %v", c, diags)
		}
		for _, diag := range diags {
			checkRange(t, src, diag.Subject)
		}
		if c != nil {
			checkJSON(t, c)
			if len(c.Listen) == 0 || len(c.Sites) == 0 || c.MPM.Name == "" {
				t.Errorf("incomplete: %+v", c)
			}
			for _, n := range numbers {
				if v := *n.field(&c.MPM); v < 0 || v > n.most+threadsMax {
					t.Errorf("%s = %d", n.name, v)
				}
			}
		}
		var plain, color bytes.Buffer
		Print(&plain, map[string][]byte{"fuzz.hcl": src}, diags, false, 78)
		Print(&color, map[string][]byte{"fuzz.hcl": src}, diags, true, 78)
		if bytes.ContainsAny(plain.Bytes(), "\x1b\a\b") {
			t.Errorf("control characters in %q", plain.Bytes())
		}
		if len(src) <= 4096 && checkTokens("fuzz.hcl", src) == nil {
			Format(src)
		}
	})
}

func checkRange(t *testing.T, src []byte, rng *hcl.Range) {
	t.Helper()
	switch {
	case rng == nil:
		t.Error("a diagnostic without a place")
	case rng.Filename != "fuzz.hcl" || rng.Start.Line < 1 || rng.Start.Byte > rng.End.Byte || rng.End.Byte > len(src):
		t.Errorf("range %#v of %d bytes", rng, len(src))
	}
}
