package thread_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/thread"
)

// exercise uses all of the package from threads of a backend, and says what was
// wrong.
func exercise(s sys.Sys) error {
	const workers, values = 4, 200
	var (
		mu    thread.Mutex
		cond  thread.Cond
		wg    thread.WaitGroup
		queue = thread.NewQueue[int](3)
		sum   int // guarded by mu
		ready int // guarded by mu
		start bool
	)
	wg.Add(workers)
	for i := range workers {
		err := s.Go(fmt.Sprintf("worker %d", i), func(s sys.Sys) {
			defer wg.Done(s)
			mu.Lock(s)
			ready++
			cond.Broadcast(s)
			for !start {
				cond.Wait(s, &mu)
			}
			mu.Unlock(s)
			for {
				v, err := queue.Get(s, -1)
				if err != nil {
					return // ErrClosed: it can have no other
				}
				mu.Lock(s)
				sum += v
				mu.Unlock(s)
			}
		})
		if err != nil {
			return fmt.Errorf("Go: %w", err)
		}
	}
	mu.Lock(s)
	for ready < workers {
		cond.Wait(s, &mu)
	}
	start = true
	mu.Unlock(s)
	cond.Broadcast(s)
	want := 0
	for v := range values {
		want += v
		if err := queue.Put(s, v, -1); err != nil {
			return fmt.Errorf("Put: %w", err)
		}
	}
	queue.Close(s)
	wg.Wait(s)
	if sum != want {
		return fmt.Errorf("sum is %d, want %d", sum, want)
	}

	const limit = 5 * time.Millisecond
	before := s.Monotonic()
	if _, err := thread.NewQueue[int](1).Get(s, limit); !errors.Is(err, sys.ETIMEDOUT) {
		return fmt.Errorf("Get of an empty queue: %v", err)
	}
	if took := s.Monotonic() - before; took < limit {
		return fmt.Errorf("a wait of %v took %v", limit, took)
	}
	mu.Lock(s)
	err := cond.WaitTimeout(s, &mu, limit)
	for err == nil { // spurious
		err = cond.WaitTimeout(s, &mu, limit)
	}
	mu.Unlock(s)
	if !errors.Is(err, sys.ETIMEDOUT) {
		return fmt.Errorf("WaitTimeout: %v", err)
	}
	return nil
}

func TestOnSimulatedKernel(t *testing.T) {
	for seed := range uint64(20) {
		m := fake.Boot(fake.Config{Mode: fake.Deterministic, Seed: seed})
		var err error
		pid := m.StartFunc("test", func(s sys.Sys) int { err = exercise(s); return 0 })
		if rerr := m.Run(); rerr != nil {
			t.Errorf("seed %d: %v", seed, rerr)
		}
		if status, werr := m.Wait(pid); werr != nil || status != 0 || err != nil {
			t.Errorf("seed %d: %v, status %v, %v", seed, err, status, werr)
		}
		m.Close()
	}
}

// Futex waits that end early, by a signal or for no reason, change nothing.
func TestInterruptedWaits(t *testing.T) {
	for seed := range uint64(10) {
		m := fake.Boot(fake.Config{Mode: fake.Deterministic, Seed: seed})
		err := errors.New("it did not end")
		n := 0
		early := intercept.Func(func(c *sys.Call, next func()) {
			if c.Op == "futex_wait_private" {
				switch n++; n % 3 {
				case 0:
					c.Errno = sys.EINTR
					return
				case 1:
					next()
					c.Errno = 0 // spurious, or too late
					return
				}
			}
			next()
		})
		m.StartFunc("test", func(s sys.Sys) int { err = exercise(intercept.Wrap(s, "test", early)); return 0 })
		if rerr := m.Run(); rerr != nil || err != nil {
			t.Errorf("seed %d: %v, %v", seed, err, rerr)
		}
		if n == 0 {
			t.Errorf("seed %d: nobody waited", seed)
		}
		m.Close()
	}
}

func TestOnSimulatedKernelFreeRunning(t *testing.T) {
	m := fake.Boot(fake.Config{Mode: fake.FreeRunning})
	defer m.Close()
	var err error
	pid := m.StartFunc("test", func(s sys.Sys) int { err = exercise(s); return 0 })
	if status, werr := m.Wait(pid); werr != nil || status != 0 || err != nil {
		t.Errorf("%v, status %v, %v", err, status, werr)
	}
}
