package thread

import (
	"testing"
)

// sitter waits once in a Stack and notes what it gets.
type sitter struct {
	seat Seat[int]
	got  int
	err  error
}

// sitDown starts n threads that wait in st, one after the other.
func sitDown(f *futexes, st *Stack[int], n int) []*sitter {
	all := make([]*sitter, n)
	for i := range all {
		w := &sitter{}
		all[i] = w
		before := f.asleep.Load()
		f.run(func(s Sys) { w.got, w.err = st.Get(s, &w.seat) })
		f.untilAsleep(before + 1)
	}
	return all
}

func TestStackIsLastInFirstOut(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	var st Stack[int]
	all := sitDown(f, &st, 3)
	for v := 1; v <= 3; v++ {
		st.Put(s, v)
	}
	f.threads.Wait()
	for i, w := range all {
		if want := 3 - i; w.got != want || w.err != nil {
			t.Errorf("thread %d got %d, %v, want %d", i, w.got, w.err, want)
		}
	}
}

func TestStackKeepsInOrderWhatNobodyWaitsFor(t *testing.T) {
	s := handle{f: newFutexes()}
	var st Stack[int]
	if st.PutWaiting(s, 7) {
		t.Error("PutWaiting said that somebody waited")
	}
	st.Put(s, 1)
	st.Put(s, 2)
	var seat Seat[int]
	for want := 1; want <= 2; want++ {
		if v, err := st.Get(s, &seat); v != want || err != nil {
			t.Errorf("Get = %d, %v, want %d", v, err, want)
		}
	}
	if n := s.f.calls.Load(); n != 0 {
		t.Errorf("%d calls where nobody waits", n)
	}
}

func TestStackReserve(t *testing.T) {
	f := newFutexes()
	s := handle{f: f}
	var st Stack[int]
	all := sitDown(f, &st, 3)
	last, err := st.Reserve(s)
	if err != nil || last != &all[2].seat {
		t.Fatalf("Reserve = %p, %v, want the last to come, %p", last, err, &all[2].seat)
	}
	st.Put(s, 1) // for the one below
	st.Close(s)
	st.Close(s)
	st.Give(s, last, 2) // reserved: Close has not woken it
	f.threads.Wait()
	if all[2].got != 2 || all[2].err != nil || all[1].got != 1 || all[1].err != nil || all[0].err != ErrClosed {
		t.Errorf("got %d %v, %d %v, %d %v", all[0].got, all[0].err, all[1].got, all[1].err, all[2].got, all[2].err)
	}
	var seat Seat[int]
	if _, err := st.Get(s, &seat); err != ErrClosed {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := st.Reserve(s); err != ErrClosed {
		t.Errorf("Reserve after Close: %v", err)
	}
}

func TestStackReserveWaits(t *testing.T) {
	f := newFutexes()
	var st Stack[int]
	var errs [2]error
	f.run(func(s Sys) {
		seat, err := st.Reserve(s)
		if errs[0] = err; err == nil {
			st.Give(s, seat, 1)
		}
		_, errs[1] = st.Reserve(s)
	})
	f.untilAsleep(1)
	var seat Seat[int]
	s := handle{f: f}
	if v, err := st.Get(s, &seat); v != 1 || err != nil {
		t.Errorf("Get = %d, %v", v, err)
	}
	f.untilAsleep(1)
	st.Close(s)
	f.threads.Wait()
	if errs[0] != nil || errs[1] != ErrClosed {
		t.Errorf("Reserve: %v, %v", errs[0], errs[1])
	}
}

// TestStackPassesEachValueOnce has many threads that take and put; the race
// detector watches what a value stands for.
func TestStackPassesEachValueOnce(t *testing.T) {
	f := newFutexes()
	var st Stack[*int]
	turn := new(int)
	const threads, rounds = 6, 300
	for range threads {
		f.run(func(s Sys) {
			var seat Seat[*int]
			for range rounds {
				n, err := st.Get(s, &seat)
				if err != nil {
					t.Error(err)
					return
				}
				*n++
				st.Put(s, n)
			}
		})
	}
	st.Put(handle{f: f}, turn)
	f.threads.Wait()
	if *turn != threads*rounds {
		t.Errorf("%d turns, want %d", *turn, threads*rounds)
	}
}
