package real

import (
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func TestGettid(t *testing.T) {
	s := New()
	if s.Gettid() != os.Getpid() || s.Getpid() != os.Getpid() || s.Getppid() != os.Getppid() {
		t.Errorf("tid %d, pid %d, ppid %d", s.Gettid(), s.Getpid(), s.Getppid())
	}
	tids := make(chan int)
	for range 2 {
		ok(t, s.Go("t", func(s sys.Sys) { tids <- s.Gettid() }))
	}
	if a, b := <-tids, <-tids; a == b || a <= s.Gettid() || b <= s.Gettid() {
		t.Errorf("tids %d, %d of process %d", a, b, s.Getpid())
	}
}

func TestFutexPrivate(t *testing.T) {
	s := New()
	word := new(uint32)
	fails(t, s.FutexWaitPrivate(word, 1, -1), sys.EAGAIN)
	fails(t, s.FutexWaitPrivate(word, 0, time.Millisecond), sys.ETIMEDOUT)
	fails(t, s.FutexWaitPrivate(word, 0, 0), sys.ETIMEDOUT)
	if n := s.FutexWakePrivate(word, 1); n != 0 {
		t.Errorf("woke %d of nobody", n)
	}
	const waiting = 200
	before := osThreads(t)
	var woken atomic.Int32
	for i := range waiting {
		timeout := time.Duration(-1)
		if i%2 == 0 {
			timeout = time.Hour
		}
		ok(t, s.Go("waiter", func(s sys.Sys) {
			if err := s.FutexWaitPrivate(word, 0, timeout); err != nil {
				t.Error(err)
			}
			woken.Add(1)
		}))
	}
	b := bucketOf(word)
	for queued := 0; queued < waiting; runtime.Gosched() {
		b.mu.Lock()
		queued = len(b.waiters)
		b.mu.Unlock()
	}
	if now := osThreads(t); now > before+waiting/2 {
		t.Errorf("%d waiters cost %d OS threads", waiting, now-before)
	}
	if n := s.FutexWakePrivate(new(uint32), 1000); n != 0 {
		t.Errorf("woke %d waiters of another word", n)
	}
	if n := s.FutexWakePrivate(word, 3); n != 3 {
		t.Errorf("woke %d, want 3", n)
	}
	if n := s.FutexWakePrivate(word, 1000); n != waiting-3 {
		t.Errorf("woke %d, want %d", n, waiting-3)
	}
	for woken.Load() < waiting {
		runtime.Gosched()
	}
}

// TestFutexPrivateMutex is the mutex of Drepper's "Futexes Are Tricky", with
// timeouts: a wake-up that gets lost hangs it.
func TestFutexPrivateMutex(t *testing.T) {
	var word, count uint32
	done := make(chan bool)
	s := New()
	for i := range 8 {
		ok(t, s.Go("locker", func(s sys.Sys) {
			for j := range 2000 {
				if !atomic.CompareAndSwapUint32(&word, 0, 1) {
					for atomic.SwapUint32(&word, 2) != 0 {
						timeout := time.Duration(-1)
						if i%2 == 0 {
							timeout = time.Duration(j) * time.Microsecond / 10
						}
						s.FutexWaitPrivate(&word, 2, timeout)
					}
				}
				count++ // not atomic: the mutex is what is tested
				if atomic.SwapUint32(&word, 0) == 2 {
					s.FutexWakePrivate(&word, 1)
				}
			}
			done <- true
		}))
	}
	for range 8 {
		<-done
	}
	if count != 16000 {
		t.Errorf("count %d", count)
	}
}

func osThreads(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/task")
	ok(t, err)
	return len(list)
}

func init() {
	children["exit"] = func(s sys.Sys) int {
		defer println("deferred")
		s.Exit(0)
		return 1
	}
}

func TestExit(t *testing.T) {
	if out := runChild(t, "exit"); strings.Contains(out, "deferred") {
		t.Error("Exit ran a deferred function")
	}
}

func TestClock(t *testing.T) {
	s := New()
	now := s.Now()
	if now.Location() != time.UTC || strings.Contains(now.String(), "m=") {
		t.Errorf("Now is %v", now)
	}
	if d := time.Since(now); d < 0 || d > time.Minute {
		t.Errorf("Now is %v away", d)
	}
	var before, after unix.Timespec
	ok(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
	start := s.Monotonic()
	ok(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
	if start < time.Duration(before.Nano()) || start > time.Duration(after.Nano()) {
		t.Errorf("Monotonic %d is not between %d and %d", start, before.Nano(), after.Nano())
	}
	if err := s.Nanosleep(time.Millisecond); err == nil && s.Monotonic()-start < time.Millisecond {
		t.Errorf("slept %v", s.Monotonic()-start)
	}
	ok(t, s.Nanosleep(-1))
	p := make([]byte, 32)
	if n, err := s.Getrandom(p); n != 32 || err != nil || [32]byte(p) == [32]byte{} {
		t.Error(n, err)
	}
}

func TestRlimit(t *testing.T) {
	s := New()
	lim, err := s.Getrlimit(sys.RLIMIT_CORE)
	ok(t, err)
	ok(t, s.Setrlimit(sys.RLIMIT_CORE, sys.Rlimit{Cur: 0, Max: lim.Max}))
	got, err := s.Getrlimit(sys.RLIMIT_CORE)
	if got.Cur != 0 || got.Max != lim.Max || err != nil {
		t.Error(got, err)
	}
	ok(t, s.Setrlimit(sys.RLIMIT_CORE, lim))
	_, err = s.Getrlimit(999)
	fails(t, err, sys.EINVAL)
	fails(t, s.Setrlimit(sys.RLIMIT_CORE, sys.Rlimit{Cur: 2, Max: 1}), sys.EINVAL)
}
