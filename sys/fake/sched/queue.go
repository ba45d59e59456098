package sched

import (
	"slices"
	"sync"
	"time"
)

// Queue is a wait queue. The zero value is ready.
type Queue struct {
	Name string // for deadlock reports; set before the first use

	mu      sync.Mutex
	entries []entry // FIFO
}

type entry struct {
	w         *Waiter
	exclusive bool
}

// Add enters w: every Wake wakes it, until Remove.
func (q *Queue) Add(w *Waiter) { q.add(w, false) }

// AddExclusive enters w behind the others: a Wake wakes at most its n of the
// exclusive ones and takes those off the queue, as autoremove_wake_function
// does in Linux.
func (q *Queue) AddExclusive(w *Waiter) { q.add(w, true) }

func (q *Queue) add(w *Waiter, exclusive bool) {
	q.mu.Lock()
	q.entries = append(q.entries, entry{w, exclusive})
	q.mu.Unlock()
}

// Remove takes w off. When an exclusive wake-up reached w and no Sleep returned
// it (the thread was killed meanwhile), it goes to the next in the queue.
func (q *Queue) Remove(w *Waiter) {
	q.mu.Lock()
	i := slices.IndexFunc(q.entries, func(e entry) bool { return e.w == w })
	if i >= 0 {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 && w.woken.Swap(false) {
		q.Wake(1)
	}
}

// Wake wakes all non-exclusive waiters and at most n exclusive ones, the longest
// waiting first, and says how many exclusive ones it woke.
func (q *Queue) Wake(n int) (woken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return 0
	}
	kept := q.entries[:0]
	for _, e := range q.entries {
		if e.exclusive && woken < n && e.w.Wake() {
			woken++
			continue
		}
		if !e.exclusive {
			e.w.Wake()
		}
		kept = append(kept, e)
	}
	clear(q.entries[len(kept):])
	q.entries = kept
	return woken
}

// WakeAll wakes every waiter.
func (q *Queue) WakeAll() { q.Wake(int(^uint(0) >> 1)) }

// Len is how many waiters there are.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// Wait is an exclusive wait: it enters q, unlocks mu, sleeps and locks mu again.
// nil may be spurious: check the condition in a loop. ETIMEDOUT, EINTR. When t
// was killed, mu is locked and the goroutine unwinds.
func (q *Queue) Wait(t *Thread, mu sync.Locker, deadline time.Duration) error {
	w := t.NewWaiter()
	q.AddExclusive(w)
	defer mu.Lock() // runs last, after the queue was left
	defer q.Remove(w)
	mu.Unlock()
	t.queue = q.Name
	err := t.Sleep(w, deadline)
	t.queue = ""
	return err
}
