package thread

import "github.com/httpjail/httpjail/sys"

// A Stack hands values to threads that wait for them, to the one that came
// last first: its memory is the one that is still in the caches. It is what
// Apache's leader and threadpool MPMs keep their idle threads in. The zero
// Stack is ready. It must not be copied.
type Stack[T any] struct {
	mu     Mutex
	more   Cond     // somebody waits, or the Stack is closed
	top    *Seat[T] // of those who wait
	kept   []T      // put while nobody waited
	closed bool
}

// A Seat is the place of one thread in a Stack, and belongs to that thread.
// The zero Seat is ready.
type Seat[T any] struct {
	below *Seat[T]
	wake  Cond
	given bool
	value T
}

// Get waits for a value. Values that were put while nobody waited come in
// their order. Errors: ErrClosed.
func (st *Stack[T]) Get(s sys.Threads, me *Seat[T]) (v T, err error) {
	// No deferred Unlock: on the simulated kernel a killed thread unwinds here,
	// without the lock.
	st.mu.Lock(s)
	switch {
	case st.closed:
		err = ErrClosed
	case len(st.kept) > 0:
		v = st.kept[0]
		st.kept = append(st.kept[:0], st.kept[1:]...)
	default:
		v, err = st.sit(s, me)
	}
	st.mu.Unlock(s)
	return v, err
}

// sit waits in a seat, on top of the others.
func (st *Stack[T]) sit(s sys.Threads, me *Seat[T]) (v T, err error) {
	me.given = false
	me.below, st.top = st.top, me
	st.more.Signal(s)
	for !me.given {
		if st.closed && st.remove(me) {
			return v, ErrClosed
		}
		me.wake.Wait(s, &st.mu)
	}
	v, me.value = me.value, v
	return v, nil
}

// remove takes a seat out, and says whether it was there: one that is reserved
// is not, and gets its value.
func (st *Stack[T]) remove(me *Seat[T]) bool {
	for at := &st.top; *at != nil; at = &(*at).below {
		if *at == me {
			*at, me.below = me.below, nil
			return true
		}
	}
	return false
}

func (st *Stack[T]) pop() *Seat[T] {
	seat := st.top
	if seat != nil {
		st.top, seat.below = seat.below, nil
	}
	return seat
}

func (st *Stack[T]) give(s sys.Threads, seat *Seat[T], v T) {
	seat.value, seat.given = v, true
	seat.wake.Signal(s)
}

// Put gives v to the thread that came last, or keeps it for the next to come.
func (st *Stack[T]) Put(s sys.Threads, v T) {
	st.mu.Lock(s)
	if seat := st.pop(); seat != nil {
		st.give(s, seat, v)
	} else {
		st.kept = append(st.kept, v)
	}
	st.mu.Unlock(s)
}

// PutWaiting gives v to the thread that came last, and says whether one waited.
func (st *Stack[T]) PutWaiting(s sys.Threads, v T) bool {
	st.mu.Lock(s)
	seat := st.pop()
	if seat != nil {
		st.give(s, seat, v)
	}
	st.mu.Unlock(s)
	return seat != nil
}

// Reserve waits until a thread waits and takes it out, for Give. Close does not
// end the wait of a thread that is reserved. Errors: ErrClosed.
func (st *Stack[T]) Reserve(s sys.Threads) (*Seat[T], error) {
	st.mu.Lock(s)
	for st.top == nil && !st.closed {
		st.more.Wait(s, &st.mu)
	}
	var seat *Seat[T]
	if !st.closed {
		seat = st.pop()
	}
	st.mu.Unlock(s)
	if seat == nil {
		return nil, ErrClosed
	}
	return seat, nil
}

// Give ends the wait of a reserved thread.
func (st *Stack[T]) Give(s sys.Threads, seat *Seat[T], v T) {
	st.mu.Lock(s)
	st.give(s, seat, v)
	st.mu.Unlock(s)
}

// Close ends all waits, but those of reserved threads, and lets nobody wait
// any more. Closing twice is allowed.
func (st *Stack[T]) Close(s sys.Threads) {
	st.mu.Lock(s)
	st.closed = true
	for seat := st.top; seat != nil; seat = seat.below {
		seat.wake.Signal(s)
	}
	st.more.Broadcast(s)
	st.mu.Unlock(s)
}
