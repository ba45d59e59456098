package confhcl

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/text/width"
)

// Print writes diagnostics for people: the file and line, the source text and
// what is wrong with it. src holds the source by file name, as given to
// Parse. With color the text at fault is underlined by the terminal, without
// it by a line of carets. Details are wrapped at columns; 0 does not wrap.
//
// Control characters in the source and in the messages are written as "?":
// a configuration from somebody else must not command the terminal.
func Print(w io.Writer, src map[string][]byte, diags hcl.Diagnostics, color bool, columns int) {
	files := map[string]*hcl.File{}
	// any order: the files go into a map.
	for name, text := range src {
		if checkSize(name, text) != nil {
			continue // the writer says that there is no source
		}
		// Parsing again lets the writer say which block a line is in. The
		// ranges stay right because printable keeps every byte's place.
		file, _ := parseSyntax(name, text)
		if file == nil {
			file = &hcl.File{}
		}
		file.Bytes = printable(text)
		files[string(printable([]byte(name)))] = file
	}
	for _, diag := range diags {
		files, clean := files, *diag
		clean.Summary = string(printable([]byte(diag.Summary)))
		clean.Detail = string(printable([]byte(diag.Detail)))
		if diag.Subject != nil {
			clean.Subject = new(*diag.Subject)
			clean.Subject.Filename = string(printable([]byte(diag.Subject.Filename)))
		}
		if at := clean.Subject; at != nil && at.Empty() && at.Start.Byte == 0 {
			// About the whole file, not the block that happens to come first.
			if file := files[at.Filename]; file != nil {
				files = map[string]*hcl.File{at.Filename: {Bytes: file.Bytes}}
			}
		}
		var text bytes.Buffer
		hcl.NewDiagnosticTextWriter(&text, files, uint(max(0, columns)), color).WriteDiagnostic(&clean)
		out := text.Bytes()
		if !color && clean.Subject != nil {
			if file := files[clean.Subject.Filename]; file != nil {
				out = underline(out, file.Bytes, *clean.Subject)
			}
		}
		if _, err := w.Write(out); err != nil {
			return // nowhere to report it
		}
	}
}

// underline adds a line of carets after the source line that a range starts
// on, in the text that the writer made of a diagnostic.
func underline(text, src []byte, at hcl.Range) []byte {
	start := min(at.Start.Byte, len(src))
	lineStart := bytes.LastIndexByte(src[:start], '\n') + 1
	line, _, _ := bytes.Cut(src[lineStart:], []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	before := line[:min(start-lineStart, len(line))]
	marked := line[len(before):]
	if at.End.Line == at.Start.Line {
		marked = marked[:max(0, min(at.End.Byte-at.Start.Byte, len(marked)))]
	}

	var caret strings.Builder
	for _, r := range string(before) {
		if r == '\t' {
			caret.WriteByte('\t') // as wide as the one above
		} else {
			caret.WriteString(strings.Repeat(" ", cells(r)))
		}
	}
	n := 0
	for _, r := range string(marked) {
		n += cells(r)
	}
	caret.WriteString(strings.Repeat("^", max(1, n)))

	prefix := fmt.Sprintf("%4d: ", at.Start.Line)
	snippet := fmt.Sprintf("\n%s%s\n", prefix, line)
	before, after, found := bytes.Cut(text, []byte(snippet))
	if !found {
		return text // the range starts after the last line
	}
	return fmt.Appendf(nil, "%s%s%*s%s\n%s", before, snippet, len(prefix), "", caret.String(), after)
}

// cells is the number of columns that a terminal gives a character.
func cells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	return 1
}

// printable replaces what a terminal would not show as a character by
// question marks, as many as it has bytes. Among it are the characters that
// change the direction of the text.
func printable(text []byte) []byte {
	clean := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n', r == '\t', r == '\r' && bytes.HasPrefix(text, []byte("\r\n")),
			unicode.IsPrint(r) && (r != utf8.RuneError || size > 1):
			clean = append(clean, text[:size]...)
		default:
			clean = append(clean, "????"[:size]...)
		}
		text = text[size:]
	}
	return clean
}
