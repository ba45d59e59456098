package aferofs_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// problems collects what is wrong. A *testing.T would end the goroutine, which
// in a simulated process is the kernel's.
type problems []error

func (p *problems) addf(format string, args ...any) {
	*p = append(*p, fmt.Errorf(format, args...))
}

// onBackends runs fn on each backend, with a directory that is empty and its
// own. newReal is nil where there is no real one.
func onBackends(t *testing.T, fn func(p *problems, s sys.Sys, dir string)) {
	for _, mode := range []struct {
		name string
		cfg  fake.Config
	}{
		{"fake", fake.Config{Mode: fake.Deterministic}},
		{"fake free-running", fake.Config{Mode: fake.FreeRunning}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			m := fake.Boot(mode.cfg)
			defer m.Close()
			m.MkdirAll("/work", 0o777, 0, 0)
			p := problems{errors.New("it did not end")}
			pid := m.StartFunc("test", func(s sys.Sys) int {
				var found problems
				fn(&found, s, "/work")
				p = found
				return 0
			})
			if status, err := m.Wait(pid); err != nil || status != 0 {
				t.Errorf("status %v, %v", status, err)
			}
			for _, err := range p {
				t.Error(err)
			}
		})
	}
	if newReal == nil {
		return
	}
	t.Run("real", func(t *testing.T) {
		var p problems
		fn(&p, newReal(), t.TempDir())
		for _, err := range p {
			t.Error(err)
		}
	})
}
