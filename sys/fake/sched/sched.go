// Package sched runs the threads of the simulated kernel, in one of two modes.
//
// In [Deterministic] mode threads are coroutines that run one at a time, under
// one hub goroutine. A thread runs until its next switch point: [Thread.Switch]
// (the kernel calls it at each system call) or [Thread.Sleep]. There a seeded
// generator picks the next thread among the runnable, so that equal seeds give
// equal runs. Time is virtual: it moves by [CallTime] a call and jumps to the
// next deadline when all threads sleep. When there is no next deadline either,
// [Sched.Run] returns a [*Deadlock] that says who waits for what.
//
// In [FreeRunning] mode each thread is a goroutine and time is real.
//
// Threads wait in [Queue]s, which are Linux's wait queues (include/linux/wait.h):
//
//	mu.Lock()
//	defer mu.Unlock()
//	for !condition {
//		if err := q.Wait(t, &mu, deadline); err != nil {
//			return err
//		}
//	}
//
// # Death
//
// [Thread.Kill] ends a thread: it unwinds with runtime.Goexit at its next
// switch point, or from the sleep it is in. Goexit runs deferred functions and
// nothing can recover from it, so code that holds a lock across a sleep
// releases it with defer. In deterministic mode killed threads unwind before
// any other thread runs: nobody sees a process that is half dead.
//
// # Locks
//
// A subsystem of the kernel may hold its own mutex when it calls Queue.Wake,
// Add and Remove, which take the queue's lock and nothing else. No mutex is
// held across Switch or Sleep: in deterministic mode the next thread that wants
// it would stop the hub for ever.
package sched

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is how threads run.
type Mode int

const (
	// Deterministic runs one thread at a time, chosen by the seed.
	Deterministic Mode = iota
	// FreeRunning runs every thread in a goroutine of its own.
	FreeRunning
)

// String is the mode's name.
func (m Mode) String() string {
	if m == FreeRunning {
		return "free-running"
	}
	return "deterministic"
}

// Forever is the deadline of a sleep without one.
const Forever = time.Duration(math.MaxInt64)

// CallTime is how far virtual time moves at each system call.
const CallTime = time.Microsecond

// ErrSteps is what Run returns when the step limit is reached.
var ErrSteps = errors.New("sched: step limit reached")

// ErrMode is what Run returns in free-running mode, where threads need no Run.
var ErrMode = errors.New("sched: Run is for deterministic mode")

// Sched runs threads.
type Sched struct {
	mode  Mode
	start time.Time // free-running: when Now was 0

	// Free-running mode.
	mu      sync.Mutex
	threads map[*Thread]struct{}
	stopped bool // threads start killed
	idle    sync.WaitGroup

	// Deterministic mode; touched only by the thread that runs, the hub
	// between threads, and the owner between runs.
	rng      *rand.Rand
	now      time.Duration
	live     []*Thread // all that have not ended, by id
	runnable []*Thread // by id
	dying    []*Thread // killed and not yet unwound, by id
	timers   []*Thread // sleeping with a deadline, by deadline and id
	alarms   []alarm   // by time, and in order of At
	current  atomic.Pointer[Thread]
	steps    uint64
	limit    uint64
	cond     func() bool // of the Run in progress
	chosen   choice      // by the thread that gave way, for the hub
}

// New makes a scheduler without threads. seed is used in deterministic mode.
func New(mode Mode, seed uint64) *Sched {
	return &Sched{
		mode:    mode,
		start:   time.Now(),
		threads: map[*Thread]struct{}{},
		rng:     rand.New(rand.NewPCG(seed, 0x5eed)),
	}
}

// Mode is the mode given to New.
func (s *Sched) Mode() Mode { return s.mode }

// Now is the monotonic time since the scheduler was made.
func (s *Sched) Now() time.Duration {
	if s.mode == FreeRunning {
		return time.Since(s.start)
	}
	return s.now
}

// Steps is how many times a thread was picked, in deterministic mode.
func (s *Sched) Steps() uint64 { return s.steps }

// SetStepLimit makes Run return ErrSteps after n more steps; 0: no limit.
func (s *Sched) SetStepLimit(n uint64) {
	if s.limit = 0; n > 0 {
		s.limit = s.steps + n
	}
}

// Current is the thread that runs now, in deterministic mode; nil between runs.
func (s *Sched) Current() *Thread { return s.current.Load() }

// Run runs threads, in deterministic mode, until cond is true, none is left, all
// wait for ever (*Deadlock) or the step limit is reached (ErrSteps). cond is
// asked before each step, in another goroutine than the caller's: it looks, and
// neither runs nor stops threads. nil is never.
func (s *Sched) Run(cond func() bool) error {
	if s.mode != Deterministic {
		return ErrMode
	}
	if s.current.Load() != nil {
		panic("sched: Run called by a simulated thread")
	}
	s.cond = cond
	done := make(chan error, 1)
	go s.hub(done)
	return <-done
}

// hub is the goroutine from which coroutines are resumed. A thread that ends by
// Goexit ends it too (iter.Pull passes Goexit on), so it starts its successor.
func (s *Sched) hub(done chan<- error) {
	finished := false
	defer func() {
		if !finished {
			s.current.Store(nil)
			go s.hub(done)
		}
	}()
	err := s.loop()
	finished = true
	done <- err
}

func (s *Sched) loop() error {
	for {
		// The thread that gave way has chosen its successor, unless it ended.
		n := s.chosen
		if s.chosen = (choice{}); n == (choice{}) {
			n = s.choose()
		}
		if n.stop || n.thread == nil {
			return n.err
		}
		s.current.Store(n.thread)
		n.thread.next() // until it gives way
		s.current.Store(nil)
	}
}

// choice is what happens next: a thread runs, or Run returns.
type choice struct {
	thread *Thread
	stop   bool
	err    error
}

// choose decides what happens next, and takes the thread that runs off the
// runnable ones.
func (s *Sched) choose() choice {
	if len(s.dying) > 0 {
		t := s.dying[0]
		s.dying = slices.Delete(s.dying, 0, 1)
		return choice{thread: t}
	}
	if len(s.live) == 0 || s.cond != nil && s.cond() {
		return choice{stop: true}
	}
	if s.limit > 0 && s.steps >= s.limit {
		return choice{stop: true, err: ErrSteps}
	}
	s.steps++
	for {
		if len(s.runnable) == 0 {
			if next := s.nextTimer(); next != Forever {
				s.now = max(s.now, next)
			}
		}
		for len(s.timers) > 0 && s.timers[0].deadline <= s.now {
			s.timers[0].ready()
		}
		if len(s.alarms) == 0 || s.alarms[0].when > s.now {
			break
		}
		f := s.alarms[0].f
		s.alarms = slices.Delete(s.alarms, 0, 1)
		f()
	}
	n := len(s.runnable)
	if n == 0 {
		return choice{stop: true, err: s.deadlock()}
	}
	i := 0
	if n > 1 {
		i = s.rng.IntN(n)
	}
	t := s.runnable[i]
	s.runnable = slices.Delete(s.runnable, i, i+1)
	return choice{thread: t}
}

// nextTimer is when a thread's sleep or an alarm is due.
func (s *Sched) nextTimer() time.Duration {
	next := Forever
	if len(s.timers) > 0 {
		next = s.timers[0].deadline
	}
	if len(s.alarms) > 0 {
		next = min(next, s.alarms[0].when)
	}
	return next
}

// alarm is struct timer_list.
type alarm struct {
	when time.Duration
	f    func()
}

// At calls f when the time has come, in nobody's context: f may not sleep. It is
// the kernel's own timer: in deterministic mode it does not keep Run from
// returning when no thread is left.
func (s *Sched) At(when time.Duration, f func()) {
	if s.mode == FreeRunning {
		time.AfterFunc(when-s.Now(), f)
		return
	}
	i, _ := slices.BinarySearchFunc(s.alarms, when, func(a alarm, when time.Duration) int {
		if a.when <= when {
			return -1 // behind its equals
		}
		return 1
	})
	s.alarms = slices.Insert(s.alarms, i, alarm{when, f})
}

// Stop kills all threads and returns when they have unwound.
func (s *Sched) Stop() {
	if s.mode == FreeRunning {
		s.mu.Lock()
		s.stopped = true
		for t := range s.threads {
			t.Kill()
		}
		s.mu.Unlock()
		s.idle.Wait()
		return
	}
	for _, t := range slices.Clone(s.live) {
		t.Kill()
	}
	s.Unwind()
}

// Unwind lets the killed threads unwind and runs no other, in deterministic
// mode. It is for the machine's owner, between runs.
func (s *Sched) Unwind() {
	if s.mode == Deterministic && len(s.dying) > 0 {
		s.Run(func() bool { return true })
	}
}

// Wait is one entry of a Deadlock.
type Wait struct {
	Thread *Thread
	Call   string // Thread.Call when it fell asleep
	Queue  string // the name of the queue, or ""
}

// Deadlock says that all threads wait and nothing will wake one.
type Deadlock struct {
	Now   time.Duration
	Waits []Wait // by thread id
}

func (d *Deadlock) Error() string {
	var b strings.Builder
	b.WriteString("deadlock at " + d.Now.String() + ": every thread waits")
	for _, w := range d.Waits {
		b.WriteString("\n\t" + w.String())
	}
	return b.String()
}

// String is "NAME in CALL on QUEUE".
func (w Wait) String() string {
	s := w.Thread.Name
	if w.Call != "" {
		s += " in " + w.Call
	}
	if w.Queue != "" {
		s += " on " + w.Queue
	}
	return s
}

func (s *Sched) deadlock() error {
	d := &Deadlock{Now: s.now}
	for _, t := range s.live {
		d.Waits = append(d.Waits, Wait{Thread: t, Call: t.Call, Queue: t.queue})
	}
	return d
}

func byID(a, b *Thread) int { return cmp.Compare(a.ID, b.ID) }

func byDeadline(a, b *Thread) int {
	return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.ID, b.ID))
}

// insert puts t into list, which order sorts.
func insert(list []*Thread, t *Thread, order func(a, b *Thread) int) []*Thread {
	i, _ := slices.BinarySearchFunc(list, t, order)
	list = append(list, t)
	copy(list[i+1:], list[i:])
	list[i] = t
	return list
}

// remove takes t off list, if it is there.
func remove(list []*Thread, t *Thread) []*Thread {
	if i := slices.Index(list, t); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
