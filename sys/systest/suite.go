package systest

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed testdata/*.txt
var testdata embed.FS

// file is one file of cases.
type file struct {
	name  string
	lines []string
	cases []*testCase
}

type testCase struct {
	name   string
	procs  []procDecl
	parts  []part
	nobody bool // all processes are nobody: no root is needed
}

// procDecl declares a process.
type procDecl struct {
	name     string
	uid, gid string
	groups   string // "-": none
	caps     string // "-": none; "all"
}

// part is a call or a table: exactly one is set.
type part struct {
	line  int // of the call, counted from 0
	proc  string
	cmd   string
	want  expected
	table *table
}

// table is a table: see the package's doc.
type table struct {
	setup, do []part // without expectations
	vars      []tableVar
	grid      int // first line of the grid, counted from 0
	end       int // the line behind its last
	want      map[string]expected
}

type tableVar struct {
	name   string
	values []string
}

// expected is a result by filesystem; "" is the filesystem that is not named.
type expected map[string]string

func (e expected) on(fs string) string {
	if v, ok := e[fs]; ok {
		return v
	}
	return e[""]
}

// parseExpected parses "ok | ext4 EINVAL", or in a table "ok|ext4:EINVAL".
func parseExpected(s, bar, sep string) expected {
	e := expected{}
	for i, alt := range strings.Split(s, bar) {
		if i == 0 {
			e[""] = alt
			continue
		}
		fs, v, ok := strings.Cut(alt, sep)
		if !ok || fs != "ext4" && fs != "tmpfs" {
			return expected{"": s} // a bar in a text that was read
		}
		e[fs] = v
	}
	return e
}

// load parses all files.
func load() ([]*file, error) {
	names, err := fs.Glob(testdata, "testdata/*.txt")
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, name := range names {
		text, err := testdata.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parse(strings.TrimPrefix(name, "testdata/"), string(text))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// parse parses a file.
func parse(name, text string) (*file, error) {
	f := &file{name: name, lines: strings.Split(text, "\n")}
	var c *testCase
	for i := 0; i < len(f.lines); i++ {
		line := strings.TrimSpace(f.lines[i])
		fail := func(format string, args ...any) (*file, error) {
			return nil, fmt.Errorf("%s:%d: %s", name, i+1, fmt.Sprintf(format, args...))
		}
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case word == "case":
			title, source, ok := strings.Cut(rest, " from ")
			if !ok || source == "" {
				return fail("a case says where its rules come from: case NAME from PAGE(2), ...")
			}
			if strings.ContainsAny(title, " /\t") {
				return fail("a case's name is one word: it is its directory's")
			}
			c = &testCase{name: title}
			f.cases = append(f.cases, c)
		case c == nil:
			return fail("no case has begun")
		case word == "proc":
			p, err := parseProc(rest)
			if err != nil {
				return fail("%v", err)
			}
			c.procs = append(c.procs, p)
		case word == "table":
			tab, err := f.parseTable(i)
			if err != nil {
				return nil, err
			}
			c.parts = append(c.parts, part{line: i, table: tab})
			i = tab.end - 1
		default:
			cmd, want, found := strings.Cut(line, " -> ")
			if !found {
				want = okResults(cmd)
			}
			p, err := parseCall(strings.TrimSpace(cmd))
			if err != nil {
				return fail("%v", err)
			}
			p.line, p.want = i, parseExpected(strings.TrimSpace(want), " | ", " ")
			c.parts = append(c.parts, p)
		}
	}
	for _, c := range f.cases {
		if err := c.resolve(); err != nil {
			return nil, fmt.Errorf("%s: %s: %v", name, c.name, err)
		}
	}
	return f, nil
}

// okResults is what a line without "->" returns: ok for each of its calls.
func okResults(line string) string {
	return "ok" + strings.Repeat("; ok", strings.Count(line, ";"))
}

// parseCall parses "PROC: CALL", "wait PROC" and its like, which have no
// process.
func parseCall(s string) (part, error) {
	word, rest, _ := strings.Cut(s, " ")
	if name, ok := strings.CutSuffix(word, ":"); ok {
		return part{proc: name, cmd: strings.TrimSpace(rest)}, nil
	}
	switch word {
	case "wait", "still", "dead", "reap", "fresh":
		return part{cmd: s}, nil
	}
	return part{}, fmt.Errorf("no process: %s", s)
}

// parseProc parses what follows "proc".
func parseProc(s string) (procDecl, error) {
	words := strings.Fields(s)
	if len(words) < 3 || words[1] != "as" || len(words)%2 == 0 {
		return procDecl{}, fmt.Errorf("usage: proc NAME as root|nobody|UID:GID [groups G,...] [caps C,...]")
	}
	p := procDecl{name: words[0], groups: "-", caps: "-"}
	switch words[2] {
	case "root":
		p.uid, p.gid, p.caps = "0", "0", "all"
	case "nobody":
		p.uid, p.gid = nobody, nobody
	default:
		var ok bool
		if p.uid, p.gid, ok = strings.Cut(words[2], ":"); !ok {
			return p, fmt.Errorf("no such user: %s", words[2])
		}
	}
	for w := words[3:]; len(w) > 0; w = w[2:] {
		switch w[0] {
		case "groups":
			p.groups = w[1]
		case "caps":
			p.caps = w[1]
		default:
			return p, fmt.Errorf("unknown: %s", w[0])
		}
	}
	return p, nil
}

// nobody is the user and group id of nobody.
const nobody = "65534"

// resolve declares root and nobody where they are used.
func (c *testCase) resolve() error {
	spawned := map[string]bool{}
	each := func(p part) {
		for cmd := range strings.SplitSeq(p.cmd, ";") {
			if w := strings.Fields(cmd); len(w) > 1 && w[0] == "spawn" {
				spawned[w[1]] = true
			}
		}
		declared := func(d procDecl) bool { return d.name == p.proc }
		if p.proc == "" || spawned[p.proc] || slices.ContainsFunc(c.procs, declared) {
			return
		}
		d, err := parseProc(p.proc + " as " + p.proc)
		if err == nil {
			c.procs = append(c.procs, d)
		} else {
			c.procs = append(c.procs, procDecl{name: p.proc})
		}
	}
	for _, p := range c.parts {
		if p.table == nil {
			each(p)
			continue
		}
		for _, q := range slices.Concat(p.table.setup, p.table.do) {
			if !strings.HasPrefix(q.proc, "$") {
				each(q)
				continue
			}
			for _, v := range p.table.vars { // a variable's values are processes
				for _, value := range v.values {
					if v.name == q.proc[1:] {
						each(part{proc: value, cmd: q.cmd})
					}
				}
			}
		}
	}
	c.nobody = true
	for _, d := range c.procs {
		if d.uid == "" {
			return fmt.Errorf("no such process: %s", d.name)
		}
		c.nobody = c.nobody && d.uid == nobody && d.caps == "-"
	}
	return nil
}

// plan is what the director is told, and what is expected of it.
type plan struct {
	script  bytes.Buffer
	steps   []step
	skipped int // cases that need root

	batchProc string   // the process of the calls that were not written yet
	batch     []string // see add
}

// batchEnd separates the calls of a batch, and their results.
const batchEnd = "\x01"

// add adds a step to the script. Successive calls of a process in a table are told
// to it in one message, if they cannot block and only it is concerned: most of the
// suite's time would be spent on messages.
func (p *plan) add(s step, blocks, together bool) {
	p.steps = append(p.steps, s)
	kind := ""
	if s.table != nil {
		kind = "cell"
	}
	alone := blocks || !together || s.table == nil || s.proc == "" ||
		strings.Contains(s.cmd, "pid") || strings.Contains(s.cmd, "spawn") || strings.Contains(s.cmd, "$")
	if alone || s.proc != p.batchProc || len(p.batch) == batchSize {
		p.flush()
	}
	if blocks {
		kind += "blocks"
	}
	if alone {
		fmt.Fprintf(&p.script, "step\t%s\t%s\t%s\n", kind, s.proc, s.cmd)
		return
	}
	p.batchProc = s.proc
	p.batch = append(p.batch, s.cmd)
}

const batchSize = 32

// flush writes the batch.
func (p *plan) flush() {
	if len(p.batch) > 0 {
		fmt.Fprintf(&p.script, "step\tcell\t%s\t%s\n", p.batchProc, strings.Join(p.batch, batchEnd))
	}
	p.batchProc, p.batch = "", nil
}

// step is a call that the director makes.
type step struct {
	in    string // the case
	line  int    // counted from 1
	proc  string
	cmd   string
	setup bool
	want  expected
	table *table
	key   string // of the table's cell
}

func (s *step) where() string {
	if s.key == "" {
		return s.in
	}
	return s.in + " [" + s.key + "]"
}

func (s *step) text() string {
	if s.proc == "" {
		return s.cmd
	}
	return s.proc + ": " + s.cmd
}

// plan lists the steps of all cases that k can run. together allows batches.
func (f *file) plan(k Kernel, together bool) *plan {
	p := &plan{}
	for _, c := range f.cases {
		if !c.nobody && !k.Root {
			p.skipped++
			continue
		}
		owner := "0"
		if c.nobody {
			owner = nobody
		}
		fmt.Fprintf(&p.script, "case\t%s\t%s\n", c.name, owner)
		for _, d := range c.procs {
			fmt.Fprintf(&p.script, "proc\t%s\t%s\t%s\t%s\t%s\n", d.name, d.uid, d.gid, d.groups, d.caps)
		}
		add := func(s step) {
			s.in = c.name
			p.add(s, strings.Contains(s.want.on(k.FS), "blocks"), together)
		}
		for _, q := range c.parts {
			if q.table == nil {
				add(step{line: q.line + 1, proc: q.proc, cmd: q.cmd, want: q.want})
				continue
			}
			q.table.each(func(key string, replace func(string) string) {
				for _, s := range q.table.setup {
					add(step{line: s.line + 1, proc: replace(s.proc), cmd: replace(s.cmd), setup: true, table: q.table, key: key})
				}
				for i, s := range q.table.do {
					st := step{line: s.line + 1, proc: replace(s.proc), cmd: replace(s.cmd), table: q.table, key: key}
					st.want = q.table.wanted(key, i)
					add(st)
				}
			})
		}
		p.flush()
	}
	return p
}
