package sys

import "time"

// Clock is the time, and randomness: what makes two runs differ.
type Clock interface {
	// Now is clock_gettime(2) with CLOCK_REALTIME, in UTC, without a monotonic
	// reading.
	Now() time.Time
	// Monotonic is clock_gettime(2) with CLOCK_MONOTONIC.
	Monotonic() time.Duration
	// Nanosleep is clock_nanosleep(2) on CLOCK_MONOTONIC. EINTR.
	Nanosleep(d time.Duration) error
	// Getrandom is getrandom(2) without flags: it fills p.
	Getrandom(p []byte) (n int, err error)
}
