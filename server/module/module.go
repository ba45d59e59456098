// Package module is what a module of the server is: a part that prepares
// itself outside the jail and works inside it. Each module has a folder of its
// own under server/modules; package server holds the list.
package module

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// Module is one part of the server.
type Module interface {
	// Name names the module in logs and errors.
	Name() string
	// PreJail runs once, in the parent, in the phase prejail: outside the jail,
	// with the whole machine in view and the parent's privileges. Whatever the
	// module needs later that is not in the jail it opens or reads now.
	PreJail(s sys.Sys, env *PreJail) (State, error)
	// InJail runs once in each child, after the child has given up its
	// privileges, with what PreJail returned.
	InJail(s sys.Sys, env *InJail) (Instance, error)
}

// State is what a module carries from PreJail to InJail, over an exec.
type State struct {
	Data  json.RawMessage // the module's own
	Files []int           // descriptors; the child's InJail sees them under its own numbers
}

// PreJail is a module's view of the server outside the jail.
type PreJail struct {
	Config *confhcl.Config
	// Logf writes a line to the error log.
	Logf func(format string, args ...any)
}

// InJail is a module's view of the server in a child.
type InJail struct {
	Config *confhcl.Config
	State  State
	Logf   func(format string, args ...any)
}

// Instance is a module at work in one child. Its functions are called by all
// threads of the child at once, each with its own Request. Each may be nil.
type Instance struct {
	// Handle answers r and returns true, or returns false to leave it to the
	// next module. Where no module answers, the server does, with 404.
	Handle func(r *Request) bool
	// MayWait says before Handle that it may wait for r, for something other
	// than a file. The MPM event then calls Handle in a worker thread. Nil: it
	// never does.
	MayWait func(r *Request) bool
	// Log is called when the response stands and is about to be sent.
	Log func(r *Request)
}

// FileBody is a body stream that comes from an open file. The MPM event sends
// it in steps, as the connection takes it; elsewhere fasthttp writes the
// stream.
type FileBody interface {
	io.ReadCloser
	// Detach takes the body away from its response, which then no longer closes
	// it: whoever sends it does.
	Detach()
	// Part is what is to be sent next: p, or else n bytes of the file fd from
	// off on. At the end p is empty and n is 0.
	Part() (p []byte, fd int, off, n int64)
	// Sent says that n bytes of Part were sent.
	Sent(n int64)
}

// Request is one request on its way through the modules.
type Request struct {
	*fasthttp.RequestCtx
	// Sys is the serving thread's.
	Sys sys.Sys
	// Site is the index in Config.Sites of the site that the Host header chose.
	Site int
	// Now is the time of the request, by the kernel that the server runs on.
	Now time.Time
	// BodyBytes is the number of body bytes that the response will send; a
	// module that sets a body stream or answers HEAD sets it.
	BodyBytes int64
}

// PathError says that a call on a path failed, and all that is needed to mend
// it: from which side of the jail the path was seen and which line of the
// configuration named it.
type PathError struct {
	Op     string // what was tried, in words: "open the access log"
	Path   string
	Inside bool         // the path was resolved inside the jail
	Where  fmt.Stringer // the configuration's line (an hcl.Range), or nil
	Mend   string       // what to do, where the module knows better than the server
	Err    error
}

func (e *PathError) Error() string {
	side := "outside"
	if e.Inside {
		side = "jail"
	}
	return fmt.Sprintf("cannot %s: %s:%s: %v", e.Op, side, e.Path, e.Err)
}

func (e *PathError) Unwrap() error { return e.Err }
