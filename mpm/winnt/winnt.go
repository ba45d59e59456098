// Package winnt is the MPM mpm_winnt: the parent is a control process, and one
// child serves, with one listener thread, its first, and threads_per_child
// worker threads. A connection goes to the worker that came last, as a
// completion port hands it out and threadpool does.
//
// What are named objects on Windows are here:
//
//	ap<pid>_shutdown        SIGTERM to the parent
//	ap<pid>_restart         SIGHUP or SIGUSR1 to the parent
//	the child's exit event  the pipe of death
//	max_requests event      a word of the child's on the scoreboard, at which the
//	                        parent looks at each tick
//	start mutex             a POSIX lock that the serving child holds, see
//	                        mpm/mutex_start.go
//
// A child that has had max_requests_per_child connections goes on until its
// replacement is there and waits for the start mutex, so that at any time some
// child accepts or is about to.
package winnt

import (
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/mpm/threadpool"
)

// Topology is mpm_winnt's.
var Topology = mpm.Topology{Name: "mpm_winnt", Run: run, Fixed: true, Mutex: "start"}

// run is threadpool's, under the start mutex: the child takes it before its
// first connection and leaves it after its last.
func run(c *mpm.Child) int {
	c.Relief = true
	return threadpool.Topology.Run(c)
}
