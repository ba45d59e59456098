package ipc

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// Futexes are the machine's futexes, shared and private alike: all mappings of
// one object are the same memory here, so the word's address names it.
type Futexes struct {
	buckets [64]futexBucket
}

// NewFutexes makes an empty table.
func NewFutexes() *Futexes { return &Futexes{} }

type futexBucket struct {
	mu     sync.Mutex
	queues map[*uint32]*futexQueue // only of words that somebody waits on
}

type futexQueue struct {
	sched.Queue
	waiters int // threads in Wait, woken ones included
}

func (f *Futexes) bucket(word *uint32) *futexBucket {
	return &f.buckets[uintptr(unsafe.Pointer(word))/4%uintptr(len(f.buckets))]
}

// Wait is FUTEX_WAIT: it sleeps while *word holds val, until it is woken (nil,
// possibly spurious), the deadline on t's clock is reached (ETIMEDOUT) or a
// signal arrives (EINTR). EAGAIN: *word holds something else.
func (f *Futexes) Wait(t *sched.Thread, word *uint32, val uint32, deadline time.Duration) error {
	b := f.bucket(word)
	b.mu.Lock()
	defer b.mu.Unlock()
	if atomic.LoadUint32(word) != val {
		return sys.EAGAIN
	}
	q := b.queues[word]
	if q == nil {
		if b.queues == nil {
			b.queues = map[*uint32]*futexQueue{}
		}
		q = &futexQueue{Queue: sched.Queue{Name: "futex"}}
		b.queues[word] = q
	}
	q.waiters++
	defer func() {
		if q.waiters--; q.waiters == 0 {
			delete(b.queues, word)
		}
	}()
	return q.Wait(t, &b.mu, deadline)
}

// Wake is FUTEX_WAKE: it wakes at most n waiters, the longest waiting first, and
// says how many.
func (f *Futexes) Wake(word *uint32, n int) int {
	b := f.bucket(word)
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[word]; q != nil {
		return q.Queue.Wake(n)
	}
	return 0
}
