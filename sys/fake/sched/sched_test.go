package sched

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// both runs a test in the two modes. run ends when all threads have.
func both(t *testing.T, test func(t *testing.T, s *Sched, run func())) {
	t.Run("deterministic", func(t *testing.T) {
		s := New(Deterministic, 1)
		test(t, s, func() {
			if err := s.Run(nil); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("free-running", func(t *testing.T) {
		s := New(FreeRunning, 0)
		test(t, s, func() { s.idle.Wait() })
	})
}

// run makes a few threads that contend, and returns the order of what they did.
func run(seed uint64) (order []int, now time.Duration) {
	s := New(Deterministic, seed)
	var mu sync.Mutex
	var q Queue
	free := true
	for id := range 5 {
		s.Go(id+1, fmt.Sprint("t", id), nil, func(t *Thread) {
			for range 10 {
				t.Switch()
				func() {
					mu.Lock()
					defer mu.Unlock()
					for !free {
						q.Wait(t, &mu, Forever)
					}
					free = false
				}()
				t.Switch()
				order = append(order, t.ID)
				mu.Lock()
				free = true
				q.Wake(1)
				mu.Unlock()
			}
		})
	}
	if err := s.Run(nil); err != nil {
		panic(err)
	}
	return order, s.Now()
}

func TestSameSeedSameOrder(t *testing.T) {
	first, now := run(7)
	for range 20 {
		if again, now2 := run(7); !slices.Equal(first, again) || now != now2 {
			t.Fatalf("seed 7 gave\n%v at %v, then\n%v at %v", first, now, again, now2)
		}
	}
	if other, _ := run(8); slices.Equal(first, other) {
		t.Errorf("seeds 7 and 8 gave the same order %v", first)
	}
}

func TestTimeJumpsToTheNextDeadline(t *testing.T) {
	s := New(Deterministic, 1)
	var woke []string
	for _, d := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
		s.Go(int(d/time.Hour), d.String(), nil, func(t *Thread) {
			if err := t.Sleep(t.NewWaiter(), d); err != sys.ETIMEDOUT {
				panic(err)
			}
			woke = append(woke, fmt.Sprint(t.Name, "@", t.Now()))
		})
	}
	if err := s.Run(nil); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(woke, " "), "1h0m0s@1h0m0s 2h0m0s@2h0m0s 3h0m0s@3h0m0s"; got != want {
		t.Errorf("woke %s, want %s", got, want)
	}
}

func TestDeadlockSaysWhoWaitsForWhat(t *testing.T) {
	s := New(Deterministic, 1)
	q := Queue{Name: "door"}
	for id := range 2 {
		s.Go(id+1, fmt.Sprint("guest", id), nil, func(t *Thread) {
			var mu sync.Mutex
			mu.Lock()
			defer mu.Unlock()
			t.Call = "knock(3)"
			q.Wait(t, &mu, Forever)
		})
	}
	err := s.Run(nil)
	var d *Deadlock
	if !errors.As(err, &d) || len(d.Waits) != 2 {
		t.Fatalf("Run: %v, want a deadlock of two", err)
	}
	if !strings.Contains(err.Error(), "guest1 in knock(3) on door") {
		t.Errorf("report: %v", err)
	}
	before := runtime.NumGoroutine()
	s.Stop()
	if after := runtime.NumGoroutine(); after > before-2 {
		t.Errorf("%d goroutines after Stop, %d before", after, before)
	}
}

func TestWakeIsExclusiveAndFIFO(t *testing.T) {
	s := New(Deterministic, 3)
	var mu sync.Mutex
	var q Queue
	var order []int
	for id := 1; id <= 3; id++ {
		s.Go(id, "waiter", nil, func(t *Thread) {
			mu.Lock()
			defer mu.Unlock()
			q.Wait(t, &mu, Forever)
			order = append(order, t.ID)
		})
		if err := s.Run(func() bool { return q.Len() == id }); err != nil {
			t.Fatal(err)
		}
	}
	for left := 2; left >= 0; left-- {
		if n := q.Wake(1); n != 1 {
			t.Fatalf("Wake(1) = %d", n)
		}
		if q.Len() != left {
			t.Fatalf("%d wait after a wake-up, want %d", q.Len(), left)
		}
		if err := s.Run(func() bool { return len(order) == 3-left }); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(order, []int{1, 2, 3}) {
		t.Errorf("woken in order %v", order)
	}
	if n := q.Wake(1); n != 0 {
		t.Errorf("Wake of an empty queue = %d", n)
	}
}

func TestKilledThreadUnwindsAndHandsItsWakeUpOn(t *testing.T) {
	both(t, func(t *testing.T, s *Sched, run func()) {
		var mu sync.Mutex
		var q Queue
		open := false
		unwound := make(chan string, 2)
		passed := make(chan string, 2)
		wait := func(th *Thread) {
			defer func() { unwound <- th.Name }()
			mu.Lock()
			defer mu.Unlock()
			for !open {
				q.Wait(th, &mu, Forever)
			}
			open = false
			passed <- th.Name
		}
		first := s.Go(1, "first", nil, wait)
		if s.Mode() == Deterministic {
			s.Run(func() bool { return q.Len() == 1 })
		}
		for q.Len() < 1 {
			runtime.Gosched()
		}
		s.Go(2, "second", nil, wait)
		s.Go(3, "killer", nil, func(th *Thread) {
			for q.Len() < 2 {
				th.Switch()
				runtime.Gosched()
			}
			mu.Lock()
			open = true
			q.Wake(1) // takes the first, which dies before it can use it
			first.Kill()
			mu.Unlock()
			if s.Mode() == FreeRunning {
				// The first may have been about to pass; let the second pass too.
				for len(unwound) == 0 {
					runtime.Gosched()
				}
				mu.Lock()
				open = true
				q.Wake(1)
				mu.Unlock()
			}
		})
		run()
		if got := <-passed; s.Mode() == Deterministic && got != "second" {
			t.Errorf("%s passed", got)
		}
		<-unwound
		<-unwound
	})
}

func TestInterruptAndTimeout(t *testing.T) {
	both(t, func(t *testing.T, s *Sched, run func()) {
		asleep := make(chan struct{}, 1)
		got := make(chan error, 3)
		th := s.Go(1, "sleeper", nil, func(th *Thread) {
			th.Switch()
			asleep <- struct{}{}
			got <- th.Sleep(th.NewWaiter(), Forever)
			got <- th.Sleep(th.NewWaiter(), th.Now()+time.Millisecond)
			w := th.NewWaiter()
			w.Wake()
			got <- th.Sleep(w, Forever)
		})
		s.Go(2, "signal", nil, func(t2 *Thread) {
			for len(asleep) == 0 {
				t2.Switch()
				runtime.Gosched()
			}
			th.Interrupt()
		})
		run()
		for _, want := range []error{sys.EINTR, sys.ETIMEDOUT, nil} {
			if err := <-got; err != want {
				t.Errorf("Sleep: %v, want %v", err, want)
			}
		}
	})
}

func TestDeferredCallsOfTheDeadUnwindAgain(t *testing.T) {
	s := New(Deterministic, 1)
	var ran []string
	th := s.Go(1, "dead", nil, func(t *Thread) {
		defer func() { ran = append(ran, "outer") }()
		defer func() {
			defer func() { recover() }()
			ran = append(ran, "inner")
			t.Switch()
			ran = append(ran, "never")
		}()
		t.Sleep(t.NewWaiter(), Forever)
		ran = append(ran, "never")
	})
	s.Go(2, "killer", nil, func(t *Thread) {
		t.Switch()
		th.Kill()
		t.Switch()
		ran = append(ran, "killer")
	})
	if err := s.Run(nil); err != nil {
		t.Fatal(err)
	}
	// Had the killer run before the dead unwound, it would come first.
	if got := strings.Join(ran, " "); got != "inner outer killer" {
		t.Errorf("ran %q", got)
	}
}

func TestStopLeavesNoGoroutine(t *testing.T) {
	both(t, func(t *testing.T, s *Sched, run func()) {
		before := runtime.NumGoroutine()
		for id := range 50 {
			s.Go(id+1, "t", nil, func(t *Thread) {
				t.Sleep(t.NewWaiter(), Forever)
			})
		}
		if s.Mode() == Deterministic {
			s.Run(func() bool { return s.Steps() > 25 })
		}
		s.Stop()
		run()
		for range 1000 { // the last goroutines may be about to return
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	})
}

func TestStepLimit(t *testing.T) {
	s := New(Deterministic, 1)
	s.Go(1, "spin", nil, func(t *Thread) {
		for {
			t.Switch()
		}
	})
	s.SetStepLimit(100)
	if err := s.Run(nil); err != ErrSteps {
		t.Errorf("Run: %v", err)
	}
	s.Stop()
}

func BenchmarkSwitch(b *testing.B) {
	s := New(Deterministic, 1)
	for id := range 4 {
		s.Go(id+1, "t", nil, func(t *Thread) {
			for range b.N / 4 {
				t.Switch()
			}
		})
	}
	s.Run(nil)
}

func TestOneWaiterInTwoQueues(t *testing.T) {
	s := New(Deterministic, 1)
	var a, b Queue
	var log []string
	s.Go(1, "poller", nil, func(t *Thread) {
		w := t.NewWaiter()
		a.Add(w)
		b.Add(w)
		defer a.Remove(w)
		defer b.Remove(w)
		for range 2 {
			if err := t.Sleep(w, Forever); err != nil {
				panic(err)
			}
			log = append(log, "woken")
		}
	})
	for id := 2; id <= 4; id++ {
		s.Go(id, "exclusive", nil, func(t *Thread) {
			var mu sync.Mutex
			mu.Lock()
			defer mu.Unlock()
			b.Wait(t, &mu, Forever)
			log = append(log, "exclusive")
		})
	}
	run := func(cond func() bool) {
		t.Helper()
		if err := s.Run(cond); err != nil {
			t.Fatal(err)
		}
	}
	run(func() bool { return a.Len() == 1 && b.Len() == 4 })
	if n := a.Wake(1); n != 0 { // counts exclusive waiters, of which a has none
		t.Errorf("Wake of a = %d", n)
	}
	run(func() bool { return len(log) == 1 })
	if n := b.Wake(1); n != 1 {
		t.Errorf("Wake of b = %d", n)
	}
	run(func() bool { return len(log) == 3 })
	b.WakeAll()
	run(nil)
	slices.Sort(log)
	if got := strings.Join(log, " "); got != "exclusive exclusive exclusive woken woken" {
		t.Errorf("log %q", got)
	}
	if a.Len() != 0 || b.Len() != 0 {
		t.Errorf("left in the queues: %d, %d", a.Len(), b.Len())
	}
}

func TestModesAreChecked(t *testing.T) {
	if err := New(FreeRunning, 0).Run(nil); err != ErrMode {
		t.Errorf("Run in free-running mode: %v", err)
	}
	s := New(Deterministic, 0)
	other := s.Go(2, "other", nil, func(t *Thread) { t.Sleep(t.NewWaiter(), time.Hour) })
	s.Go(1, "first", nil, func(th *Thread) {
		if !th.Running() || other.Running() || s.Current() != th {
			t.Errorf("running: %v %v %v", th.Running(), other.Running(), s.Current())
		}
		defer func() {
			if recover() == nil {
				t.Error("Run from inside did not panic")
			}
		}()
		s.Run(nil)
	})
	if err := s.Run(nil); err != nil {
		t.Fatal(err)
	}
	if s.Current() != nil || Deterministic.String() != "deterministic" || FreeRunning.String() != "free-running" {
		t.Error("names")
	}
}
