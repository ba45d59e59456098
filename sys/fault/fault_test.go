package fault

import (
	"errors"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/intercept"
)

var update = flag.Bool("update", false, "write the golden file anew")

// testdata/rules has on each line a rule, and below it its canonical form or
// the error.
func TestParseGolden(t *testing.T) {
	const file = "testdata/rules"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '\t' {
			continue
		}
		r, err := Parse(line)
		answer := "error: "
		if err == nil {
			answer = r.String()
			if again, err := Parse(answer); err != nil || again != r {
				t.Errorf("%s does not round-trip: %+v, %v", answer, again, err)
			}
		} else {
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("%T is not a *ParseError", err)
			}
			answer += err.Error()
		}
		got.WriteString(line + "\n\t" + answer + "\n\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(data) {
		t.Errorf("%s differs; got\n%s", file, got.String())
	}
}

func TestEveryRuleRoundTrips(t *testing.T) {
	var ops []intercept.Op
	for _, op := range intercept.Ops() {
		if op.Fails {
			ops = append(ops, op)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		op := rapid.SampledFrom(ops).Draw(t, "op")
		pattern := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return !strings.ContainsRune(`[]\`, r) }), 0, 12, -1)
		r := Rule{Op: op.Name, Proc: pattern.Draw(t, "proc"), Nth: rapid.IntRange(0, 1000).Draw(t, "nth")}
		if r.Nth > 0 {
			r.From = rapid.Bool().Draw(t, "from")
		}
		if op.Path {
			r.Path = pattern.Draw(t, "path")
		}
		if op.Transfers && rapid.Bool().Draw(t, "transfer") {
			r.Short = rapid.IntRange(1, 1<<20).Draw(t, "short")
		} else {
			r.Errno = rapid.SampledFrom([]sys.Errno{sys.EIO, sys.EINTR, sys.EAGAIN, sys.ENOSPC}).Draw(t, "errno")
		}
		got, err := Parse(r.String())
		if err != nil || got != r {
			t.Fatalf("%+v became %s, and that %+v, %v", r, r, got, err)
		}
	})
}

func TestParseAll(t *testing.T) {
	rules, err := ParseAll("# a comment\n\n  fsync = EIO\nwrite #2 short 1\n")
	if err != nil || len(rules) != 2 || rules[1].Short != 1 {
		t.Errorf("%v, %v", rules, err)
	}
	if _, err := ParseAll("fsync = EIO\nfsync = EWHAT\n"); err == nil {
		t.Error("no error")
	}
}

// disk is a Sys whose calls all succeed.
type disk struct {
	sys.Sys
	made int
}

func (d *disk) Getpid() int                           { return 1 }
func (d *disk) Gettid() int                           { return 1 }
func (d *disk) Caller() (int, int, time.Duration)     { return 1, 1, 0 }
func (d *disk) Open(string, int, uint32) (int, error) { d.made++; return 3, nil }
func (d *disk) Fsync(int) error                       { d.made++; return nil }
func (d *disk) Write(_ int, p []byte) (int, error)    { d.made++; return len(p), nil }

func injector(t *testing.T, text string) *Injector {
	t.Helper()
	rules, err := ParseAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return New(rules...)
}

func TestErrnoInsteadOfTheCall(t *testing.T) {
	j := injector(t, `httpjail*: open("/var/run/*") #2 = ENOSPC`)
	var d disk
	s := intercept.Wrap(&d, "httpjail-worker", j)
	other := intercept.Wrap(&d, "logger", j)
	for i, c := range []struct {
		s    sys.Sys
		path string
		want error
	}{
		{s, "/var/run/a", nil},
		{other, "/var/run/a", nil},
		{s, "/etc/passwd", nil},
		{s, "/var/run/deep/a", nil}, // * does not match a slash
		{s, "/var/run/b", sys.ENOSPC},
		{s, "/var/run/b", nil},
	} {
		if _, err := c.s.Open(c.path, 0, 0); err != c.want {
			t.Errorf("%d: open(%s) = %v, want %v", i, c.path, err, c.want)
		}
	}
	if d.made != 5 {
		t.Errorf("%d calls were made, want 5", d.made)
	}
	hits := j.Hits()
	if len(hits) != 1 || hits[0].Call.Path != "/var/run/b" || hits[0].Call.Proc != "httpjail-worker" {
		t.Errorf("hits %+v", hits)
	}
}

func TestCountsAreKeptByLabelAndRule(t *testing.T) {
	j := injector(t, "fsync #2 = EIO\nfsync #3 = ENOSPC")
	results := func(s sys.Sys) (errs []error) {
		for range 4 {
			errs = append(errs, s.Fsync(3))
		}
		return errs
	}
	for _, proc := range []string{"a", "b"} {
		got := results(intercept.Wrap(&disk{}, proc, j))
		want := []error{nil, sys.EIO, sys.ENOSPC, nil}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", proc, got, want)
				break
			}
		}
	}
	// A new process with a label that is known goes on counting.
	for _, err := range results(intercept.Wrap(&disk{}, "a", j)) {
		if err != nil {
			t.Errorf("the successor got %v", err)
		}
	}
}

func TestFromAndStop(t *testing.T) {
	j := injector(t, "fsync #2+ = EIO")
	s := intercept.Wrap(&disk{}, "a", j)
	for i, want := range []error{nil, sys.EIO, sys.EIO} {
		if err := s.Fsync(1); err != want {
			t.Errorf("%d: %v, want %v", i, err, want)
		}
	}
	j.Stop()
	if err := s.Fsync(1); err != nil {
		t.Errorf("after Stop: %v", err)
	}
}

func TestShort(t *testing.T) {
	j := injector(t, "write #1 short 10\nwrite short 4")
	s := intercept.Wrap(&disk{}, "a", j)
	for i, want := range []int{10, 4, 4} {
		if n, err := s.Write(1, make([]byte, 20)); n != want || err != nil {
			t.Errorf("%d: write = %d, %v, want %d", i, n, err, want)
		}
	}
}

func TestThreadsAtOnce(t *testing.T) {
	j := injector(t, "fsync #50 = EIO")
	var failed [4]int
	var wg sync.WaitGroup
	for i := range failed {
		wg.Go(func() {
			s := intercept.Wrap(&disk{}, "a", j)
			for range 25 {
				if s.Fsync(1) != nil {
					failed[i]++
				}
			}
		})
	}
	wg.Wait()
	if n := failed[0] + failed[1] + failed[2] + failed[3]; n != 1 {
		t.Errorf("%d of 100 calls failed, want 1", n)
	}
}

// What Parse takes, it writes and takes again; what it does not take has an
// error within the text.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/rules")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Add(strings.TrimSpace(line))
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Offset < 0 || pe.Offset > len(text) || pe.Msg == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		if again, err := Parse(r.String()); err != nil || again != r {
			t.Fatalf("%q became %s, and that %+v, %v", text, r, again, err)
		}
	})
}
