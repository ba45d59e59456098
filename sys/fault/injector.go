package fault

import (
	"path"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/intercept"
)

// Injector makes the calls fail that its rules name. Where several rules hit
// one call, the first decides; all that match count it.
type Injector struct {
	rules []Rule

	mu      sync.Mutex
	stopped bool
	counts  map[key]int
	hits    []Hit
}

// key is what a rule counts by. Not the pid: a process that is started anew
// under the same label continues the count, or #1 would kill each successor of
// a child that #1 has killed.
type key struct {
	rule int
	proc string
}

// Hit is one call that a rule has changed.
type Hit struct {
	Rule int // its index
	Call sys.Call
}

// New is an Injector with rules, as Parse makes them.
func New(rules ...Rule) *Injector {
	return &Injector{rules: rules, counts: map[key]int{}}
}

var _ intercept.Interceptor = (*Injector)(nil)

// Around applies the rules to a call.
func (j *Injector) Around(c *sys.Call, next func()) {
	if r := j.match(c); r != nil {
		if r.Errno != 0 {
			c.Errno = r.Errno
			return
		}
		if c.Limit == 0 || r.Short < c.Limit {
			c.Limit = r.Short
		}
	}
	next()
}

// match counts c for all rules and returns the one that hits it, or nil.
func (j *Injector) match(c *sys.Call) *Rule {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return nil
	}
	var hit *Rule
	for i := range j.rules {
		r := &j.rules[i]
		if !r.matches(c) {
			continue
		}
		k := key{i, c.Proc}
		j.counts[k]++
		n := j.counts[k]
		if hit == nil && (r.Nth == 0 || n == r.Nth || (r.From && n > r.Nth)) {
			hit = r
			seen := *c
			seen.Args = nil // they hold the caller's buffers
			j.hits = append(j.hits, Hit{i, seen})
		}
	}
	return hit
}

func (r *Rule) matches(c *sys.Call) bool {
	if r.Op != c.Op {
		return false
	}
	// Parse has checked the patterns: they do not fail.
	if r.Proc != "" {
		if ok, _ := path.Match(r.Proc, c.Proc); !ok {
			return false
		}
	}
	if r.Path == "" {
		return true
	}
	ok, _ := path.Match(r.Path, c.Path)
	return ok
}

// Stop ends all injection: what then still does not work is not the fault's
// doing.
func (j *Injector) Stop() {
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
}

// Hits are the calls that were changed so far, without their arguments: a test
// that injects asserts that they came, and that each surfaced.
func (j *Injector) Hits() []Hit {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Hit(nil), j.hits...)
}
