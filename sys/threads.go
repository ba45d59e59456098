package sys

import "time"

// Threads are the calls on threads of this process. On the real backend a
// thread is a goroutine: it shares the process's descriptors, credentials and
// root, and a blocking call blocks it alone.
type Threads interface {
	// Go starts a thread that runs fn with a Sys of its own. name is what
	// traces call it. EAGAIN: out of threads.
	Go(name string, fn func(Sys)) error
	// Gettid is the caller's thread id; the first thread's is the process id.
	Gettid() int
	// FutexWaitPrivate is futex(2) FUTEX_WAIT_PRIVATE: it sleeps while *addr
	// holds val, at most for timeout, for ever when negative. EAGAIN: *addr
	// holds another value; ETIMEDOUT. A nil return may be spurious. sys/thread
	// builds Mutex, Cond, Queue and WaitGroup on it.
	FutexWaitPrivate(addr *uint32, val uint32, timeout time.Duration) error
	// FutexWakePrivate is FUTEX_WAKE_PRIVATE: it wakes at most n waiters and
	// says how many.
	FutexWakePrivate(addr *uint32, n int) int
}
