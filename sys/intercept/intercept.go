// Package intercept shows each call of a [sys.Sys] as one [sys.Call] value to
// interceptors: what traces, fault injection, statistics and conformance tests
// are made of. The wrapper itself is generated from the interfaces of package
// sys.
//
// With no interceptor there is no wrapper, and so no cost.
package intercept

import (
	"fmt"
	"slices"
	"time"

	"github.com/httpjail/httpjail/sys"
)

//go:generate go run ../internal/gen

// An Interceptor stands around calls. Around is called by the calling thread,
// and by several threads at once: what it keeps, it guards. It must not make
// calls itself, and it must not keep c or the buffers in its arguments, which
// belong to the caller.
//
// It calls next, once, to have the call made; c.Ret and c.Errno then hold the
// outcome. Before that it may set c.Limit: at most so many bytes are then
// transferred. Instead of next it may set c.Errno: the caller gets that error
// and the call is not made. Set after next, c.Errno replaces the error of a call
// that has been made; what it did stays done.
//
// A call that cannot fail (getpid, see [Op]) is made whatever Around does, and
// its Errno is ignored. Next does not return from exit_group, nor from any call
// of a process that is killed in it.
type Interceptor interface {
	Around(c *sys.Call, next func())
}

// Func is a function as an Interceptor.
type Func func(c *sys.Call, next func())

// Around calls f.
func (f Func) Around(c *sys.Call, next func()) { f(c, next) }

// Wrap is s with interceptors around each call, the first outermost. proc is
// the process's argv[0]. A thread that it starts has the same interceptors, and
// counts its calls itself.
func Wrap(s sys.Sys, proc string, around ...Interceptor) sys.Sys {
	if len(around) == 0 {
		return s
	}
	return newHandle(s, proc, around)
}

// Program is prog with interceptors around each of its calls, under the name
// that its process was started with. It works on every backend: what is
// installed in a simulated machine, or called by main, is the wrapped program.
func Program(prog sys.Program, around ...Interceptor) sys.Program {
	return func(s sys.Sys, argv, env []string) int {
		proc := ""
		if len(argv) > 0 { // execve(2) allows none
			proc = argv[0]
		}
		return prog(Wrap(s, proc, around...), argv, env)
	}
}

// handle is a thread's Sys with interceptors.
type handle struct {
	s        sys.Sys
	observed sys.Observed // nil: s is not
	proc     string
	pid, tid int // when not observed
	seq      uint64
	around   []Interceptor
}

func newHandle(s sys.Sys, proc string, around []Interceptor) *handle {
	h := &handle{s: s, proc: proc, around: around}
	if o, ok := s.(sys.Observed); ok {
		h.observed = o
	} else {
		h.pid, h.tid = s.Getpid(), s.Gettid()
	}
	return h
}

// Caller makes a wrapped Sys sys.Observed too.
func (h *handle) Caller() (pid, tid int, now time.Duration) {
	if h.observed != nil {
		return h.observed.Caller()
	}
	return h.pid, h.tid, h.s.Monotonic()
}

// thread is fn for a new thread of the same process.
func (h *handle) thread(fn func(sys.Sys)) func(sys.Sys) {
	return func(s sys.Sys) { fn(newHandle(s, h.proc, h.around)) }
}

func (h *handle) call(op, path string, fd int) *sys.Call {
	h.seq++
	c := &sys.Call{Proc: h.proc, Seq: h.seq, Op: op, Path: path, FD: fd}
	c.Pid, c.Tid, c.Time = h.Caller()
	return c
}

// do takes a call that can fail through the interceptors.
func (h *handle) do(c *sys.Call, made func()) {
	called := false
	h.run(0, c, func() { called = true; made() })
	if !called && c.Errno == 0 {
		panic("intercept: an interceptor of " + c.Op + " neither called next nor set Errno")
	}
}

// must takes a call that cannot fail through the interceptors.
func (h *handle) must(c *sys.Call, made func()) {
	called := false
	h.run(0, c, func() { called = true; made() })
	if !called {
		made()
	}
}

func (h *handle) run(i int, c *sys.Call, made func()) {
	if i == len(h.around) {
		made()
		return
	}
	h.around[i].Around(c, func() { h.run(i+1, c, made) })
}

// limit is p, shortened to c.Limit.
func limit(c *sys.Call, p []byte) []byte {
	if c.Limit > 0 && c.Limit < len(p) {
		return p[:c.Limit]
	}
	return p
}

// limitAll is bufs, shortened to c.Limit bytes together.
func limitAll(c *sys.Call, bufs [][]byte) [][]byte {
	if c.Limit <= 0 {
		return bufs
	}
	left := c.Limit
	for i, b := range bufs {
		if len(b) >= left {
			short := slices.Clone(bufs[:i+1]) // bufs is the caller's
			short[i] = b[:left]
			return short
		}
		left -= len(b)
	}
	return bufs
}

// errno is a backend's error as a number. The contract of package sys allows no
// other error.
func errno(err error) sys.Errno {
	switch err := err.(type) {
	case nil:
		return 0
	case sys.Errno:
		return err
	}
	panic(fmt.Sprintf("intercept: the backend returned a %T, and not a sys.Errno: %v", err, err))
}

func fail(c *sys.Call) error {
	if c.Errno == 0 {
		return nil
	}
	return c.Errno
}

// Op describes an operation, one of the names that Call.Op can have.
type Op struct {
	Name      string // "open"
	Role      string // the interface of package sys that has it: "Files"
	Fails     bool   // it can fail, and so can be made to
	Path      bool   // it has a path, or a socket address that may be one
	Transfers bool   // it moves bytes, and Call.Limit shortens it
}

// Ops are all operations, in the order of package sys.
func Ops() []Op { return slices.Clone(ops) }

// LookupOp finds an operation by its name.
func LookupOp(name string) (Op, bool) {
	for _, op := range ops {
		if op.Name == name {
			return op, true
		}
	}
	return Op{}, false
}
