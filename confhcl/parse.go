package confhcl

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits on what is parsed at all. hclsyntax is a recursive descent parser
// without limits of its own, and Go ends the whole process when a stack grows
// over its maximum.
const (
	maxSource      = 1 << 20 // bytes of a file
	maxLine        = 1 << 14 // bytes of a line: a diagnostic prints whole lines
	maxLines       = 20000   // of a file: each diagnostic is printed by scanning them all
	maxNesting     = 32      // brackets and braces open at once
	maxOperators   = 512     // operators in a file, each of which may recurse
	maxDiagnostics = 20      // reported for a file
)

// Parse reads a configuration from source text. The filename only labels the
// ranges. The Config is nil if and only if the diagnostics hold an error;
// warnings may come with a Config. Diagnostics are in the order of the file.
func Parse(filename string, src []byte) (*Config, hcl.Diagnostics) {
	file, diags := parseSyntax(filename, src)
	if file == nil {
		return nil, diags
	}
	d := &decoder{src: src, diags: diags, partial: diags.HasErrors()}
	c := d.config(file.Body.(*hclsyntax.Body))
	c.File = filename

	// The parser and the decoder each report in their own order, and some
	// of it comes out of maps.
	slices.SortStableFunc(d.diags, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
			cmp.Compare(a.Subject.End.Byte, b.Subject.End.Byte),
		)
	})
	if d.diags.HasErrors() {
		return nil, shorten(d.diags)
	}
	return c, shorten(d.diags)
}

// shorten keeps the first diagnostics of a file that has too many, errors
// before warnings.
func shorten(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) <= maxDiagnostics {
		return diags
	}
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		return cmp.Compare(a.Severity, b.Severity)
	})
	return append(diags[:maxDiagnostics:maxDiagnostics], &hcl.Diagnostic{
		Severity: diags[maxDiagnostics].Severity,
		Summary:  "Too many problems",
		Detail:   fmt.Sprintf("%d more are not shown.", len(diags)-maxDiagnostics),
		Subject:  diags[maxDiagnostics].Subject,
	})
}

// parseSyntax parses within the limits. The file is nil when a limit is
// exceeded; otherwise it holds what could be parsed despite the errors.
func parseSyntax(filename string, src []byte) (*hcl.File, hcl.Diagnostics) {
	for _, check := range []func(string, []byte) *hcl.Diagnostic{checkSize, checkText, checkTokens} {
		if diag := check(filename, src); diag != nil {
			return nil, hcl.Diagnostics{diag}
		}
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	return file, slices.CompactFunc(diags, unclosed)
}

// unclosed reports whether two diagnostics are about the same string: one
// that is never closed is reported on each line to the end of the file.
func unclosed(a, b *hcl.Diagnostic) bool {
	const summary = "Invalid multi-line string"
	return a.Summary == summary && b.Summary == summary
}

func refuse(at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &at,
	}
}

// checkSize finds a source that is too much to read or to print.
func checkSize(filename string, src []byte) *hcl.Diagnostic {
	at := hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos}
	if len(src) > maxSource {
		return refuse(at, "File too large", "A configuration may have %d bytes; this one has %d.", maxSource, len(src))
	}
	for line := range bytes.Lines(src) {
		if len(line) > maxLine {
			at.End = at.Start
			return refuse(at, "Line too long", "A line may have %d bytes; this one has %d.", maxLine, len(line))
		}
		at.Start.Line++
		at.Start.Byte += len(line)
	}
	if lines := bytes.Count(src, []byte("\n")); lines > maxLines {
		at.Start = at.End
		return refuse(at, "Too many lines", "A configuration may have %d lines; this one has %d.", maxLines, lines)
	}
	return nil
}

// checkText finds what is not text: no editor shows it as it is, and it would
// go from a value into logs and headers.
func checkText(filename string, src []byte) *hcl.Diagnostic {
	at := hcl.InitialPos
	for at.Byte < len(src) {
		r, size := utf8.DecodeRune(src[at.Byte:])
		end := hcl.Pos{Line: at.Line, Column: at.Column + 1, Byte: at.Byte + size}
		rng := hcl.Range{Filename: filename, Start: at, End: end}
		switch {
		case r == utf8.RuneError && size == 1:
			return refuse(rng, "Not UTF-8", "A configuration is text in UTF-8; this is the byte %#02x.", src[at.Byte])
		case r == '\n':
			end.Line, end.Column = at.Line+1, 1
		case unicode.IsControl(r) && r != '\t' && r != '\r':
			return refuse(rng, "Control character", `This is the control character %U. In a string it can be written as "\u%04x".`, r, r)
		}
		at = end
	}
	return nil
}

// checkTokens finds what the parser would recurse on too often.
func checkTokens(filename string, src []byte) *hcl.Diagnostic {
	// A closing token that does not match its opening one makes the parser
	// give up on all that is open, so one counter is enough.
	depth, operators := 0, 0
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos) // its errors come again with the parse
	for _, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen:
			depth = max(0, depth-1)
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenStringLit, hclsyntax.TokenQuotedLit,
			hclsyntax.TokenOQuote, hclsyntax.TokenCQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenEqual, hclsyntax.TokenComma, hclsyntax.TokenNewline, hclsyntax.TokenComment,
			hclsyntax.TokenEOF:
		default: // the beginning and the end of a template among them
			operators++
		}
		if depth > maxNesting {
			return refuse(token.Range, "Nested too deeply",
				"No more than %d brackets and braces may be open at once.", maxNesting)
		}
		if operators > maxOperators {
			return refuse(token.Range, "Too many operators",
				"A configuration consists of literal values; more than %d operators are not read.", maxOperators)
		}
	}
	return nil
}
