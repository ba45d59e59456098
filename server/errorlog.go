package server

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

// errorLog writes lines to the error log as httpd does, each with one write:
//
//	[Tue Nov 24 14:45:55 2026] [mpm] [pid 12] message
type errorLog struct {
	fd    int
	phase Phase
}

// printf returns a Logf bound to a thread. A line that cannot be written is
// lost: there is nowhere to say so.
func (l *errorLog) printf(s sys.Sys) func(format string, args ...any) {
	return func(format string, args ...any) {
		line := fmt.Sprintf("[%s] [%s] [pid %d] %s\n",
			s.Now().Format("Mon Jan _2 15:04:05 2006"), l.phase, s.Getpid(), fmt.Sprintf(format, args...))
		_ = sys.WriteAll(s, l.fd, []byte(line))
	}
}
