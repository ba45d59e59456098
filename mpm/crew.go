package mpm

import (
	"fmt"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Crew is the serving threads of a child, each with a slot on the scoreboard.
// There are at most Config.MaxThreads.
type Crew struct {
	child *Child
	work  func(s sys.Sys, w Worker) (again bool)

	mu    thread.Mutex
	taken []bool // slots
	n     int    // of them taken
	over  bool   // End was called
	ended thread.Cond
	done  thread.WaitGroup

	spares spares
}

// NewCrew makes a crew without threads. work is the life of one; when it
// returns true another thread takes its place.
func NewCrew(c *Child, work func(s sys.Sys, w Worker) (again bool)) *Crew {
	return &Crew{child: c, work: work, taken: make([]bool, c.Config().MaxThreads)}
}

// Start starts the first n threads. When that fails the child is to end, as
// one that is out of resources.
func (cr *Crew) Start(s sys.Sys, n int) bool {
	for range n {
		if err := cr.add(s); err != nil {
			cr.child.Logf("cannot start a worker thread: %v", err)
			cr.child.Quit()
			cr.child.status.Store(ExitSick)
			return false
		}
	}
	return true
}

// Add starts at most n more threads.
func (cr *Crew) Add(s sys.Sys, n int) {
	for range n {
		if err := cr.add(s); err != nil {
			if err != errFull {
				cr.child.Logf("cannot start a worker thread: %v", err)
			}
			return
		}
	}
}

var errFull = fmt.Errorf("there are max_threads_per_child threads: %w", sys.EAGAIN)

func (cr *Crew) add(s sys.Sys) error {
	cr.mu.Lock(s)
	slot := 0
	for slot < len(cr.taken) && cr.taken[slot] {
		slot++
	}
	if slot == len(cr.taken) || cr.over {
		cr.mu.Unlock(s)
		return errFull
	}
	cr.taken[slot] = true
	cr.n++
	cr.mu.Unlock(s)

	cr.child.Worker(slot).Set(Starting)
	cr.done.Add(1)
	err := s.Go(fmt.Sprintf("worker %d", slot), func(s sys.Sys) {
		again := cr.work(s, cr.child.Worker(slot))
		cr.leave(s, slot)
		if again {
			cr.Add(s, 1)
		}
		cr.done.Done(s)
	})
	if err != nil {
		cr.leave(s, slot)
		cr.done.Done(s)
	}
	return err
}

func (cr *Crew) leave(s sys.Sys, slot int) {
	cr.child.Worker(slot).Set(Dead)
	cr.mu.Lock(s)
	cr.taken[slot] = false
	cr.n--
	cr.mu.Unlock(s)
}

// Balance is one tick of the spare arithmetic over the crew's threads instead
// of the server's children. It reports that one idle thread is to end.
func (cr *Crew) Balance(s sys.Sys) (surplus bool) {
	cr.mu.Lock(s)
	free := len(cr.taken) - cr.n
	cr.mu.Unlock(s)
	start, surplus := cr.spares.tick(cr.child.Config(), cr.child.Idle(), free, "threads", cr.child.Logf)
	cr.Add(s, start)
	return surplus
}

// Sleep sleeps for d, the time between two looks at the crew. It returns false
// as soon as End was called.
func (cr *Crew) Sleep(s sys.Sys, d time.Duration) bool {
	until := s.Monotonic() + d
	cr.mu.Lock(s)
	for !cr.over {
		left := until - s.Monotonic()
		if left <= 0 {
			break
		}
		_ = cr.ended.WaitTimeout(s, &cr.mu, left)
	}
	over := cr.over
	cr.mu.Unlock(s)
	return !over
}

// End says that no thread is to be started any more.
func (cr *Crew) End(s sys.Sys) {
	cr.mu.Lock(s)
	cr.over = true
	cr.mu.Unlock(s)
	cr.ended.Broadcast(s)
}

// Join waits until all threads have ended, which somebody must make them do,
// and returns the child's exit status.
func (cr *Crew) Join(s sys.Sys) int {
	cr.done.Wait(s)
	return cr.child.Status()
}
