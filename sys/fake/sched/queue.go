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
	entries []entry // waiters FIFO
}

// entry is struct wait_queue_entry: a waiter or a watcher.
type entry struct {
	w         *Waiter
	watcher   Watcher
	exclusive bool
}

// Watcher is an entry that no thread sleeps behind but which is called: a
// wait_queue_func_t, as epoll's.
type Watcher interface {
	// Notify is called by each wake-up, with the queue locked: it may lock
	// nothing that is held when a queue is used. events are those of poll(2)
	// that became true; 0: any may have. It says whether it woke a thread, which
	// counts for an exclusive entry.
	Notify(events int16) bool
}

// Add enters w: every Wake wakes it, until Remove.
func (q *Queue) Add(w *Waiter) { q.add(w, false) }

// AddExclusive enters w behind the others: a Wake wakes at most its n of the
// exclusive ones and takes those off the queue, as autoremove_wake_function
// does in Linux.
func (q *Queue) AddExclusive(w *Waiter) { q.add(w, true) }

func (q *Queue) add(w *Waiter, exclusive bool) {
	q.mu.Lock()
	q.entries = append(q.entries, entry{w: w, exclusive: exclusive})
	q.mu.Unlock()
}

// Watch enters a watcher, until Unwatch: in front, as add_wait_queue does, or when
// it is exclusive at the end. An exclusive one is not called once the wake-up has
// reached as many exclusive entries as it is for.
func (q *Queue) Watch(w Watcher, exclusive bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := 0
	if exclusive {
		at = len(q.entries)
	}
	q.entries = slices.Insert(q.entries, at, entry{watcher: w, exclusive: exclusive})
}

// Unwatch takes a watcher off.
func (q *Queue) Unwatch(w Watcher) {
	q.mu.Lock()
	q.entries = slices.DeleteFunc(q.entries, func(e entry) bool { return e.watcher == w })
	q.mu.Unlock()
}

// Watchers are those on the queue, in order.
func (q *Queue) Watchers() (ws []Watcher) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if e.watcher != nil {
			ws = append(ws, e.watcher)
		}
	}
	return ws
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
func (q *Queue) Wake(n int) (woken int) { return q.WakeEvents(n, 0) }

// WakeEvents is Wake that tells watchers which events of poll(2) became true: the
// key of __wake_up.
func (q *Queue) WakeEvents(n int, events int16) (woken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 {
		return 0
	}
	kept := q.entries[:0]
	for _, e := range q.entries {
		switch {
		case e.exclusive && woken >= n:
		case e.watcher != nil:
			if e.watcher.Notify(events) && e.exclusive {
				woken++
			}
		case !e.exclusive:
			e.w.Wake()
		case e.w.Wake():
			woken++
			continue
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
