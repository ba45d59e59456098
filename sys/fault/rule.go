// Package fault makes calls fail: rules of one line each say which call of
// which process, and what happens to it.
//
//	open("/var/run/*") = ENOSPC              every such open, in every process
//	httpjail*: fsync #1 = EIO                the first fsync of each such process
//	"httpjail: worker": write #3 short 10    10 bytes at most are written
//	semtimedop #1 = EINTR                    once, and the retry succeeds
//	write #20+ = ENOSPC                      the 20th and all that follow
//
// Nothing here is random, and a rule counts the calls that it matches for each
// process label (argv[0]) on its own: the same rules hit the same calls however
// the processes are scheduled against each other, and whatever else is injected.
package fault

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/intercept"
)

// Rule says which calls have which fault. Its text form is
//
//	[PROC:] OP[("PATH")] [#N | #N+] = ERRNO
//	[PROC:] OP[("PATH")] [#N | #N+] short BYTES
//
// PROC and PATH are patterns of [path.Match]: "*" does not match a "/". A PROC
// of other than letters, digits and ./_-*?[]^ is quoted as a Go string, and so
// is every PATH.
type Rule struct {
	Proc  string    // pattern of argv[0]; "": every process
	Op    string    // the operation, see intercept.Ops
	Path  string    // pattern of the call's path; "": any call
	Nth   int       // of the matching calls, from 1; 0: all of them
	From  bool      // with Nth: that one and all that follow
	Errno sys.Errno // the error instead of the call; or 0
	Short int       // with Errno 0: at most so many bytes are transferred
}

// bareProc are the patterns that need no quotes.
var bareProc = regexp.MustCompile(`^[A-Za-z0-9./_*?\[\]^-]+$`)

// String is the rule's canonical text, which Parse reads.
func (r Rule) String() string {
	var b strings.Builder
	switch {
	case r.Proc == "":
	case bareProc.MatchString(r.Proc):
		b.WriteString(r.Proc + ": ")
	default:
		b.WriteString(strconv.Quote(r.Proc) + ": ")
	}
	b.WriteString(r.Op)
	if r.Path != "" {
		b.WriteString("(" + strconv.Quote(r.Path) + ")")
	}
	if r.Nth > 0 {
		fmt.Fprintf(&b, " #%d", r.Nth)
		if r.From {
			b.WriteByte('+')
		}
	}
	if r.Errno != 0 {
		b.WriteString(" = " + sys.ErrnoName(r.Errno))
	} else {
		fmt.Fprintf(&b, " short %d", r.Short)
	}
	return b.String()
}

// ParseError says where in a rule's text what is wrong.
type ParseError struct {
	Text   string
	Offset int // in bytes
	Msg    string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("fault %q, column %d: %s", e.Text, e.Offset+1, e.Msg)
}

// Parse reads a rule. Its error is a *ParseError.
func Parse(text string) (Rule, error) {
	p := parser{text: text}
	r, ok := p.rule()
	if !ok {
		return Rule{}, &ParseError{Text: text, Offset: p.at, Msg: p.msg}
	}
	return r, nil
}

// ParseAll reads one rule a line; empty lines and those that start with "#" are
// skipped.
func ParseAll(text string) ([]Rule, error) {
	var rules []Rule
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := Parse(line)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

type parser struct {
	text string
	pos  int
	at   int // of the error
	msg  string
}

// fail notes an error at an offset; it returns false for the caller to return.
func (p *parser) fail(at int, format string, args ...any) bool {
	p.at, p.msg = at, fmt.Sprintf(format, args...)
	return false
}

func (p *parser) space() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

// accept takes s if it comes next.
func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.text[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

// word takes the bytes up to one of stop or the end.
func (p *parser) word(stop string) string {
	rest := p.text[p.pos:]
	if i := strings.IndexAny(rest, stop); i >= 0 {
		rest = rest[:i]
	}
	p.pos += len(rest)
	return rest
}

// pattern takes a quoted pattern.
func (p *parser) pattern(what string) (string, bool) {
	start := p.pos
	q, err := strconv.QuotedPrefix(p.text[p.pos:])
	if err != nil || q[0] == '\'' {
		return "", p.fail(start, "%s must be a string in double quotes", what)
	}
	p.pos += len(q)
	s, err := strconv.Unquote(q)
	if err != nil || s == "" {
		return "", p.fail(start, "%s is empty", what)
	}
	return s, p.checkPattern(start, what, s)
}

func (p *parser) checkPattern(at int, what, s string) bool {
	if _, err := path.Match(s, ""); err != nil {
		return p.fail(at, "%s is not a pattern: %q", what, s)
	}
	return true
}

func (p *parser) number(what string) (int, bool) {
	start := p.pos
	for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		p.pos++
	}
	n, err := strconv.Atoi(p.text[start:p.pos])
	if err != nil || n < 1 {
		p.pos = start
		return 0, p.fail(start, "%s must be a number from 1", what)
	}
	return n, true
}

func (p *parser) rule() (r Rule, ok bool) {
	p.space()
	start := p.pos
	var op string
	if strings.HasPrefix(p.text[p.pos:], `"`) {
		if r.Proc, ok = p.pattern("the process"); !ok {
			return r, false
		}
		if !p.accept(":") {
			return r, p.fail(p.pos, `":" must follow the process`)
		}
		p.space()
		start = p.pos
		op = p.word(" \t(#=:")
	} else if op = p.word(" \t(#=:"); p.accept(":") {
		r.Proc = op
		if !bareProc.MatchString(r.Proc) {
			return r, p.fail(start, "the process must be a pattern, quoted if it holds more than letters, digits and ./_-*?[]^")
		}
		if !p.checkPattern(start, "the process", r.Proc) {
			return r, false
		}
		p.space()
		start = p.pos
		op = p.word(" \t(#=:")
	}
	if op == "" {
		return r, p.fail(start, "an operation must come here, for instance open")
	}
	known, found := intercept.LookupOp(op)
	switch {
	case !found:
		return r, p.fail(start, "no operation is called %q%s", op, nearest(op))
	case !known.Fails:
		return r, p.fail(start, "%s cannot fail", op)
	}
	r.Op = op
	if at := p.pos; p.accept("(") {
		if !known.Path {
			return r, p.fail(at, "%s has no path", op)
		}
		if r.Path, ok = p.pattern("the path"); !ok {
			return r, false
		}
		if !p.accept(")") {
			return r, p.fail(p.pos, `")" must follow the path`)
		}
	}
	p.space()
	if p.accept("#") {
		if r.Nth, ok = p.number("what follows #"); !ok {
			return r, false
		}
		r.From = p.accept("+")
		p.space()
	}
	start = p.pos
	switch {
	case p.accept("="):
		p.space()
		start = p.pos
		name := p.word(" \t")
		if r.Errno, ok = sys.ErrnoByName(name); !ok {
			return r, p.fail(start, "no error is called %q", name)
		}
	case p.accept("short"):
		if !known.Transfers {
			return r, p.fail(start, "%s transfers no bytes", op)
		}
		p.space()
		if r.Short, ok = p.number("the bytes after short"); !ok {
			return r, false
		}
	default:
		return r, p.fail(start, `"= ERRNO" or "short BYTES" must come here`)
	}
	p.space()
	if p.pos < len(p.text) {
		return r, p.fail(p.pos, "nothing may follow, but %q does", p.text[p.pos:])
	}
	return r, true
}

// nearest suggests the operation that op may have been meant to be.
func nearest(op string) string {
	best, name := 3, "" // more than two letters away is a guess
	for _, o := range intercept.Ops() {
		if d := levenshtein.Distance(op, o.Name, nil); d < best {
			best, name = d, o.Name
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf("; is it %q?", name)
}
