package confhcl

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// printed parses and prints a source text without its blank lines.
func printed(src string, color bool) string {
	_, diags := Parse("a.hcl", []byte(src))
	var out bytes.Buffer
	Print(&out, map[string][]byte{"a.hcl": []byte(src)}, diags, color, 0)
	return strings.ReplaceAll(out.String(), "\n\n", "\n")
}

func TestPrint(t *testing.T) {
	const good = "listen = [\"8080\"]\nsite {\n\tdocument_root = \"/\"\n}\n"
	tests := []struct {
		name, src string
		color     bool
		want      string
	}{
		{"plain", good + "timeout = 0\n", false, `Error: Out of range
  on a.hcl line 5:
   5: timeout = 0
                ^
timeout has to be from 1ms to 24h.
`},
		{"color", good + "timeout = 0\n", true, "\x1b[31mError\x1b[0m: Out of range\n" +
			"  on a.hcl line 5:\n   5: timeout = \x1b[1;4m0\x1b[0m\ntimeout has to be from 1ms to 24h.\n"},
		{"tab", good + "jail {\n\troot = \t\"\"\n}\n", false, `Error: Empty path
  on a.hcl line 6, in jail:
   6: 	root = 	""
      	       	^^
root is empty, and an empty path names nothing.
`},
		{"wide and combining characters", good + "server_name = \"名e\u0301\"\n", false, `Error: Invalid host name
  on a.hcl line 5:
   5: server_name = "名e` + "\u0301" + `"
                    ^^^^^
server_name is a host name of at most 253 letters, digits, dots and hyphens, without scheme or port; an alias can have * and ? as well.
`},
		{"after wide characters", good + "/* 名 */ timeout = 0\n", false, `Error: Out of range
  on a.hcl line 5:
   5: /* 名 */ timeout = 0
                         ^
timeout has to be from 1ms to 24h.
`},
		{"CRLF", "timeout = 0\r\n" + good, false, `Error: Out of range
  on a.hcl line 1:
   1: timeout = 0
                ^
timeout has to be from 1ms to 24h.
`},
		{"several lines", good + "jail {\n  root = [\n    1,\n  ]\n}\n", false, `Error: Wrong type
  on a.hcl line 6, in jail:
   6:   root = [
               ^
   7:     1,
   8:   ]
root is a string, not a list.
`},
		{"escape sequence", good + "# \u202e\x1b]0;x\a\"\n", false, `Error: Control character
  on a.hcl line 5:
   5: # ????]0;x?"
           ^
This is the control character U+001B. In a string it can be written as "\u001b".
`},
		{"escape sequence shown", good + "timeout = \"\u202e[2J\" # \u202e\n", false, `Error: Invalid duration
  on a.hcl line 5:
   5: timeout = "???[2J" # ???
                ^^^^^^^^
timeout is a number of seconds, or a string like "300s", "1m30s" or "500ms".
`},
		{"not UTF-8", good + "# \xff\n", false, `Error: Not UTF-8
  on a.hcl line 5:
   5: # ?
        ^
A configuration is text in UTF-8; this is the byte 0xff.
`},
		{"escape sequence in a label", good + "mpm \"\\u001b[2J\" {}\n", false, `Error: Unknown MPM
  on a.hcl line 5, in mpm "\x1b[2J":
   5: mpm "\u001b[2J" {}
          ^^^^^^^^^^^
There is no MPM "\x1b[2J". The known ones are prefork, worker, leader, threadpool, perchild, beos, mpm_winnt, mpmt_os2 and event.
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, printed(test.src, test.color)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestPrintWithoutSource prints what there is when the source is not at hand,
// is too large to show, or there is no place at all.
func TestPrintWithoutSource(t *testing.T) {
	long := []byte("a = 1\nb = \"" + strings.Repeat("b", maxLine) + "\"\n")
	_, diags := Parse("a.hcl", long)
	diags = append(diags,
		&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Elsewhere", Subject: &hcl.Range{Filename: "\x1bb.hcl", Start: hcl.InitialPos, End: hcl.InitialPos}},
		&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Nowhere"},
	)
	var out bytes.Buffer
	Print(&out, map[string][]byte{"a.hcl": long}, diags, false, 0)
	want := `Error: Line too long

  on a.hcl line 2:
  (source code not available)

A line may have 16384 bytes; this one has 16391.

Error: Elsewhere

  on ?b.hcl line 1:
  (source code not available)

Warning: Nowhere

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

type brokenWriter struct{ writes int }

func (b *brokenWriter) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("broken pipe")
}

func TestPrintStopsWithItsWriter(t *testing.T) {
	_, diags := Parse("a.hcl", nil)
	var w brokenWriter
	Print(&w, nil, diags, false, 0)
	if len(diags) < 2 || w.writes != 1 {
		t.Errorf("%d writes for %d diagnostics", w.writes, len(diags))
	}
}
