package server

import (
	"fmt"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// Exit statuses of the parent.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// childArg is the argument that tells a child from a parent.
const childArg = "child"

// IsChild reports whether argv is that of a child, which Program must then run
// whatever else the executable can do.
func IsChild(argv []string) bool { return len(argv) == 2 && argv[1] == childArg }

// Program is the server as a program:
//
//	httpjail run -c FILE    the parent, in the foreground
//	httpjail ctl VERB -c FILE
//	httpjail child          a child, started by a parent only
//
// The environment variable HTTPJAIL_BACKEND names the backend in the first
// line of output. A child has HTTPJAIL_CHILDREN, the number of children that
// share the processors.
func Program(s sys.Sys, argv, env []string) int {
	switch {
	case IsChild(argv):
		return runChild(s)
	case len(argv) == 4 && argv[1] == "run" && argv[2] == "-c":
		return runParent(s, argv[3], env)
	}
	if len(argv) == 5 && argv[1] == "ctl" && argv[3] == "-c" {
		return runCtl(s, argv[2], argv[4], env)
	}
	printf(s, 2, "usage: httpjail run -c FILE | ctl VERB -c FILE\n")
	return exitUsage
}

// printf writes to a standard descriptor, where nobody can be told of an error.
func printf(s sys.Files, fd int, format string, args ...any) {
	_ = sys.WriteAll(s, fd, []byte(fmt.Sprintf(format, args...)))
}

// getenv is the value of a variable of env, or "".
func getenv(env []string, name string) string {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v
		}
	}
	return ""
}
