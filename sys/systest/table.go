package systest

import (
	"fmt"
	"regexp"
	"strings"
)

// parseTable parses the table whose first line is f.lines[start].
func (f *file) parseTable(start int) (*table, error) {
	t := &table{want: map[string]expected{}}
	i := start + 1
	fail := func(format string, args ...any) (*table, error) {
		return nil, fmt.Errorf("%s:%d: %s", f.name, i+1, fmt.Sprintf(format, args...))
	}
	for ; ; i++ {
		if i == len(f.lines) {
			return fail("a table without ----")
		}
		line := strings.TrimSpace(f.lines[i])
		if line == "----" {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "setup", "do":
			p, err := parseCall(strings.TrimSpace(rest))
			if err != nil {
				return fail("%v", err)
			}
			p.line = i
			if word == "do" {
				t.do = append(t.do, p)
			} else {
				t.setup = append(t.setup, p)
			}
		case "for":
			name, values, ok := strings.Cut(rest, ":")
			if !ok {
				return fail("usage: for NAME: VALUES")
			}
			t.vars = append(t.vars, tableVar{strings.TrimSpace(name), strings.Fields(values)})
		default:
			return fail("setup, for, do or ----, not %q", word)
		}
	}
	if len(t.vars) == 0 || len(t.do) == 0 {
		return fail("a table needs for and do")
	}
	t.grid = i + 1
	for t.end = t.grid; t.end < len(f.lines) && strings.TrimSpace(f.lines[t.end]) != ""; t.end++ {
	}
	t.parseGrid(f.lines[t.grid:t.end])
	return t, nil
}

// columns are the values of the last variable.
func (t *table) columns() []string { return t.vars[len(t.vars)-1].values }

// parseGrid reads the cells below the grid's first line, which repeats the
// columns.
func (t *table) parseGrid(lines []string) {
	if len(lines) == 0 {
		return
	}
	keys := len(t.vars) - 1
	heads := strings.Fields(lines[0])
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) != keys+len(heads) {
			continue // the cells of this line have no expectation, and fail
		}
		for c, head := range heads {
			key := strings.Join(append(fields[:keys:keys], head), " ")
			t.want[key] = parseExpected(fields[keys+c], "|", ":")
		}
	}
}

// cell is how a result stands in a table, where spaces separate cells. The
// results of several do lines are joined by "&".
func cell(result string) string {
	return strings.ReplaceAll(strings.ReplaceAll(result, "; ", ";"), " ", ",")
}

// wanted is the expected result of the i'th do line in a cell.
func (t *table) wanted(key string, i int) expected {
	e := expected{}
	for fs, cell := range t.want[key] {
		parts := strings.Split(cell, "&")
		if i < len(parts) {
			e[fs] = parts[i]
		}
	}
	return e
}

// rows calls f for each combination of all variables but the last.
func (t *table) rows(f func(values []string)) {
	var walk func(values []string)
	walk = func(values []string) {
		if len(values) == len(t.vars)-1 {
			f(values)
			return
		}
		for _, v := range t.vars[len(values)].values {
			walk(append(values[:len(values):len(values)], v))
		}
	}
	walk(nil)
}

var variable = regexp.MustCompile(`\$[A-Z]`)

// each calls f for each cell, in order, with what fills in the variables.
func (t *table) each(f func(key string, replace func(string) string)) {
	t.rows(func(values []string) {
		for _, col := range t.columns() {
			all := append(values[:len(values):len(values)], col)
			f(strings.Join(all, " "), func(s string) string {
				return variable.ReplaceAllStringFunc(s, func(v string) string {
					for i, tv := range t.vars {
						if tv.name == v[1:] {
							return all[i]
						}
					}
					return v
				})
			})
		}
	})
}
