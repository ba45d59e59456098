package systest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Kernel is what the suite is held against.
type Kernel struct {
	// FS is the type of the filesystem that cases run on: "tmpfs" or "ext4". A
	// simulated one says what it resembles.
	FS string
	// Root says that Exec starts processes as root, with all capabilities.
	// Otherwise they are of the user 65534, and only the cases run whose
	// processes are all nobody.
	Root bool
	// Files are the files of testdata whose cases run; nil is all.
	Files []string
	// Skip are files of testdata whose cases do not run, with the reason: what they
	// are about depends on settings that this kernel has otherwise.
	Skip map[string]string
	// Exec starts [Program] as a process, the leader of its group, with the
	// given argv, in an empty
	// working directory that belongs to its user, with /dev/null and its own
	// /proc/self/exe in sight, and returns when it has ended what it wrote to
	// its standard output. The environment of what it spawns is its own.
	Exec func(argv []string, stdin []byte) (stdout []byte, err error)
}

// How long a call may take before it is said to block.
const (
	// patience is for calls that are expected to return.
	patience = 5 * time.Second
	// blockPatience is for calls that are expected to block: they cannot take
	// too long, so it need not cover a slow machine.
	blockPatience = 15 * time.Millisecond
)

// Run runs all cases on k, and logs how many checks were made.
func Run(t *testing.T, k Kernel) {
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	checks, skipped := 0, 0
	for _, f := range files {
		if k.Files != nil && !slices.Contains(k.Files, f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			if why := k.Skip[f.name]; why != "" {
				t.Skip(why)
			}
			n, left := f.run(t, k)
			checks += n
			skipped += left
		})
	}
	t.Logf("%d checks on %s", checks, k.FS)
	if skipped > 0 {
		t.Logf("%d cases were skipped: they need root", skipped)
	}
}

// run runs the cases of a file and reports every other result than expected.
func (f *file) run(t *testing.T, k Kernel) (checks, skipped int) {
	plan := f.plan(k, true)
	results, err := plan.exec(k, patience, blockPatience)
	if err != nil {
		t.Error(err)
	}
	told := map[*table]bool{} // a setup that fails once fails in every cell
	for i, s := range plan.steps[:len(results)] {
		got := results[i]
		if s.setup {
			if failed(got) && !told[s.table] {
				told[s.table] = true
				t.Errorf("%s:%d: %s: setup: %s: %s", f.name, s.line, s.where(), s.text(), got)
			}
			continue
		}
		if s.table != nil {
			got = cell(got)
		}
		if want := s.want.on(k.FS); got != want {
			t.Errorf("%s:%d: %s: %s\n     got %s\n    want %s", f.name, s.line, s.where(), s.text(), got, want)
		}
		checks++
	}
	return checks, plan.skipped
}

// failed reports whether one of the results of a line is an error.
func failed(results string) bool {
	for r := range strings.SplitSeq(results, "; ") {
		if len(r) > 1 && r[0] == 'E' && strings.ToUpper(r) == r || strings.HasPrefix(r, "script:") || r == "blocks" || r == "died" {
			return true
		}
	}
	return false
}

// exec runs the plan and returns the result of each step. With an error these
// are fewer.
func (p *plan) exec(k Kernel, patience, blockPatience time.Duration) ([]string, error) {
	if len(p.steps) == 0 {
		return nil, nil
	}
	argv := []string{directorName, fmt.Sprint(patience.Milliseconds()), fmt.Sprint(blockPatience.Milliseconds())}
	out, err := k.Exec(argv, p.script.Bytes())
	var results []string
	for line := range bytes.Lines(out) {
		results = append(results, strings.TrimSuffix(string(line), "\n"))
	}
	switch {
	case len(results) > len(p.steps):
		return nil, fmt.Errorf("%d results for %d steps: %s", len(results), len(p.steps), results[len(p.steps)])
	case len(results) < len(p.steps):
		s := p.steps[len(results)]
		err = fmt.Errorf("line %d: %s: %s: no result: %v", s.line, s.where(), s.text(), err)
	}
	return results, err
}
