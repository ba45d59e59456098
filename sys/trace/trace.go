// Package trace shows the calls of a [sys.Sys] as strace(1) does, one a line:
//
//	httpd[12/12] open("/run/httpd.pid", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3
//	httpd[12/12] unlink("/run/old") = -1 ENOENT (no such file or directory)
//
// The line of a call is written when it returns, so that in a trace of several
// threads a call that waited comes after those that let it go on. A call that
// never returns because its process is killed leaves no line; exit_group, which
// never returns either, is written when it is called, with "= ?".
//
// Nothing in here makes a call. On a backend that is sys.Observed, intercept.Wrap
// makes none either, and a run is the same with and without a trace.
package trace

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/intercept"
)

// Options say what a trace shows.
type Options struct {
	// Ops are the operations to show; nil: all but clock_gettime, which strace
	// does not see either where it is in the vDSO.
	Ops []string
	// Time puts the monotonic time in seconds before each line.
	Time bool
}

// Writer writes a line a call.
type Writer struct {
	opts Options

	mu  sync.Mutex
	w   io.Writer
	err error
}

// New is an interceptor that writes a line for each call to w, in one Write.
func New(w io.Writer, opts Options) *Writer { return &Writer{opts: opts, w: w} }

var (
	_ intercept.Interceptor = (*Writer)(nil)
	_ intercept.Interceptor = (*Recorder)(nil)
)

// Around has the call made and writes its line.
func (t *Writer) Around(c *sys.Call, next func()) {
	if !t.shows(c.Op) {
		next()
		return
	}
	if c.Op == "exit_group" {
		t.write(c)
		next()
		return
	}
	next()
	t.write(c)
}

func (t *Writer) shows(op string) bool {
	if t.opts.Ops == nil {
		return op != "clock_gettime"
	}
	return slices.Contains(t.opts.Ops, op)
}

func (t *Writer) write(c *sys.Call) {
	line := Format(c) + "\n"
	if t.opts.Time {
		line = fmt.Sprintf("%.6f ", c.Time.Seconds()) + line
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		_, t.err = io.WriteString(t.w, line)
	}
}

// Err is the first error of writing. Nothing is written after it.
func (t *Writer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Recorder keeps the calls it sees. The zero Recorder is ready.
type Recorder struct {
	mu    sync.Mutex
	calls []sys.Call
}

// Around has the call made and keeps a copy of it, buffers and structs
// included. A call that does not return (see the package's comment) is not
// kept, but for exit_group.
func (r *Recorder) Around(c *sys.Call, next func()) {
	if c.Op == "exit_group" {
		r.keep(c)
		next()
		return
	}
	next()
	r.keep(c)
}

func (r *Recorder) keep(c *sys.Call) {
	kept := *c
	kept.Args = copyArgs(c.Args)
	kept.Ret = copyArgs(c.Ret)
	r.mu.Lock()
	r.calls = append(r.calls, kept)
	r.mu.Unlock()
}

// Calls are the calls so far, in the order in which they returned.
func (r *Recorder) Calls() []sys.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Lines are the calls so far as Format writes them.
func (r *Recorder) Lines() []string {
	var lines []string
	for _, c := range r.Calls() {
		lines = append(lines, Format(&c))
	}
	return lines
}

func copyArgs(args []sys.Arg) []sys.Arg {
	args = slices.Clone(args)
	for i := range args {
		args[i].Value = copyValue(args[i].Value)
	}
	return args
}

// copyValue is v without what the caller may change after the call.
func copyValue(v any) any {
	switch v := v.(type) {
	case [][]byte:
		bufs := make([][]byte, len(v))
		for i, b := range v {
			bufs[i] = slices.Clone(b)
		}
		return bufs
	case *uint32:
		return (*uint32)(nil) // a futex: other threads write it
	case sys.Mem:
		return v
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice:
		c := reflect.MakeSlice(rv.Type(), rv.Len(), rv.Len())
		reflect.Copy(c, rv)
		return c.Interface()
	case reflect.Pointer:
		if !rv.IsNil() {
			c := reflect.New(rv.Type().Elem())
			c.Elem().Set(rv.Elem())
			return c.Interface()
		}
	}
	return v
}
