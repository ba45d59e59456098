// Package prefork is the MPM in which a child is one process that serves one
// connection at a time.
package prefork

import "github.com/httpjail/httpjail/mpm"

// Topology is prefork's.
var Topology = mpm.Topology{Name: "prefork", Run: run}

func run(c *mpm.Child) int {
	s, w := c.Sys, c.Worker(0)
	limit := c.Config().MaxRequestsPerChild
	for served := 1; ; served++ {
		w.Set(mpm.Ready)
		fd, peer, err := c.Accept(s)
		if mpm.Ended(err) {
			return mpm.ExitOK
		}
		if err != nil {
			c.Logf("cannot accept connections: %v", err)
			return mpm.ExitFatal
		}
		w.Connected()
		c.Serve(s, fd, peer, w)
		if served == limit || c.Surplus(s) {
			return mpm.ExitOK
		}
	}
}
