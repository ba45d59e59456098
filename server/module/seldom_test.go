package module

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var l Seldom
	for _, c := range []struct {
		after  time.Duration
		ok     bool
		missed int64
	}{
		{0, true, 0}, {0, false, 0}, {time.Minute - 1, false, 0}, {1, true, 2}, {time.Second, false, 0},
		{-time.Hour, true, 1}, {time.Second, false, 0}, {time.Hour, true, 1},
	} {
		at = at.Add(c.after)
		if ok, missed := l.Allow(at); ok != c.ok || missed != c.missed {
			t.Errorf("at %v: %v, %d; want %v, %d", at, ok, missed, c.ok, c.missed)
		}
	}
}
