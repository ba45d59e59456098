package sys

import "time"

// Call is one call through a Sys, seen as a value: what traces print, faults
// match and conformance compares. sys/intercept builds it.
type Call struct {
	Proc  string        // the process's argv[0]
	Pid   int           // of the caller
	Tid   int           // of the calling thread
	Seq   uint64        // counts the thread's calls from 1
	Op    string        // the system call's name: "open", "semtimedop"
	Path  string        // the first path argument, or ""
	FD    int           // the first descriptor argument, or -1
	Args  []Arg         // all arguments in order
	Limit int           // when > 0: at most so many bytes may be transferred
	Ret   []Arg         // the results, without the error
	Errno Errno         // 0: success
	Time  time.Duration // the backend's monotonic clock at the call's start
}

// Arg is a named argument or result of a Call.
type Arg struct {
	Name  string
	Value any
}

// Observed is what a backend may offer to interceptors: facts about the calling
// thread that it can look up without making a call. On a backend where each
// call is a point at which another thread may run, it is what lets a run be
// watched without being changed.
type Observed interface {
	// Caller is the process and thread of this Sys, and the time of its
	// Monotonic.
	Caller() (pid, tid int, now time.Duration)
}
