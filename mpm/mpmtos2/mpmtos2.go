// Package mpmtos2 is the MPM mpmt_os2: the parent keeps exactly start_servers
// children. A child's first thread accepts, whoever is idle, and puts
// connections into a queue; worker threads take them out, and their number
// follows the load.
//
// Where there are several listeners the accept mutex is held for poll(2) only
// and accept(2) comes after it: another child may have been quicker.
package mpmtos2

import (
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Topology is mpmt_os2's.
var Topology = mpm.Topology{Name: "mpmt_os2", Run: run, Fixed: true}

// maintenance is the period of the look at the number of idle threads.
const maintenance = 500 * time.Millisecond

// pending is how many connections may wait for a worker. OS/2's queues have no
// limit; here the rest stays in the listener's backlog.
const pending = 256

type child struct {
	*mpm.Child
	crew  *mpm.Crew
	queue *thread.Queue[mpm.Conn]
}

func run(mc *mpm.Child) int {
	mc.PollMutex = true
	c := &child{Child: mc, queue: thread.NewQueue[mpm.Conn](pending)}
	c.crew = mpm.NewCrew(mc, c.work)
	s := c.Sys
	var upkeep thread.WaitGroup
	if c.crew.Start(s, c.Config().ThreadsPerChild) {
		upkeep.Add(1)
		if err := s.Go("maintenance", func(s sys.Sys) {
			c.maintain(s)
			upkeep.Done(s)
		}); err != nil {
			upkeep.Done(s)
			c.Logf("cannot start the maintenance thread: %v; there will be no more than %d worker threads",
				err, c.Config().ThreadsPerChild)
		}
		c.listen(s)
	}
	c.crew.End(s)
	upkeep.Wait(s)
	c.queue.Close(s)
	return c.crew.Join(s)
}

// listen accepts until the child is to end.
func (c *child) listen(s sys.Sys) {
	for more := true; more; {
		var conn mpm.Conn
		conn, more = c.Next(s)
		if conn.Fd >= 0 {
			_ = c.queue.Put(s, conn, -1) // the queue is closed later, by this thread
		}
	}
}

// maintain starts and ends worker threads.
func (c *child) maintain(s sys.Sys) {
	cfg := c.Config()
	for c.crew.Sleep(s, maintenance) {
		idle, waiting := c.Idle(), c.queue.Len(s)
		c.crew.Add(s, max(0, cfg.MinSpare-idle+waiting))
		if idle-waiting > cfg.MaxSpare {
			_ = c.queue.Put(s, mpm.NoConn, 0) // a full queue wants no thread to end
		}
	}
}

func (c *child) work(s sys.Sys, w mpm.Worker) (again bool) {
	for {
		w.Set(mpm.Ready)
		conn, err := c.queue.Get(s, -1)
		if err != nil || conn.Fd < 0 { // thread.ErrClosed
			return false
		}
		w.Connected()
		c.Serve(s, conn.Fd, conn.Peer, w)
	}
}
