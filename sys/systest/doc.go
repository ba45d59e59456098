// Package systest is the conformance suite of package sys: what Linux does, as
// cases that any backend can be held against with [Run].
//
// The cases are text files in testdata, one a concern. Their expected results
// are recorded from Linux, on tmpfs and ext4, and from nothing else.
//
// # The language
//
// A case names the manual pages that its rules come from, and gives one call a
// line, behind "->" what it returns. A call without "->" returns ok. The word
// before the colon is the process that makes the call:
//
//	case sticky from unlink(2), inode(7)
//	proc owner as 1000:1000
//	root:   mkdir tmp 1777
//	owner:  put tmp/f 644 hello; chmod tmp/f 600
//	nobody: unlink tmp/f -> EPERM
//
// The processes root and nobody are there. Others are declared: with ids,
// supplementary groups, and capabilities, where the real user stays root:
//
//	proc a as root
//	proc c as 1000:1000 groups 5,6 caps chown,fowner
//
// Each case begins with an empty directory, which is the working directory of
// all and, for processes that began as root, their root directory. Several calls
// in one line, separated by ";", have several results. Files and descriptors have names, not
// numbers. A word may hold {x*255}, which is 255 times x, and ” is the empty
// word.
//
// "thread" before a call has a new thread of the process make it.
//
// A call that does not return has the result "blocks". Later its process is
// waited for:
//
//	a: flock f ex
//	b: flock f ex -> blocks
//	still b       -> blocks
//	a: close f
//	wait b        -> ok
//
// "fresh b" has the next call of b made by a new process. "reap b" waits for the
// end of a process that was declared, and "dead b" for that of any.
//
// What one filesystem does differently stands behind a bar:
//
//	root: read fd 0 -> "" | ext4 EINVAL
//
// A table multiplies. Each setup line is run before each cell, and must succeed;
// the cell holds what the do lines return. The last "for" makes the columns:
//
//	table search permission
//	setup root: rm d; mkdir d; put d/f 644
//	setup root: chmod d $D
//	for D: 0 100 700
//	for P: d d/f d/none
//	do nobody: access $P 0
//	----
//	     d   d/f     d/none
//	0    ok  EACCES  EACCES
//	...
//
// # How it runs
//
// [Program] is the interpreter, a program that needs nothing but a sys.Sys. It
// runs as the process that directs the others, which are spawned from its own
// executable and are told by a socket what to call. [Run] feeds it with the
// cases and compares what it writes.
package systest
