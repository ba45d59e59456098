package static

import (
	"testing"
)

// FuzzRange holds what parseRange makes of a field against a file's bounds.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-4", "bytes=-1,2-", "bytes=9223372036854775807-", "bytes=0-0, 2-3,\t5-", "lines=1-2", "bytes=,", "bytes=--1"} {
		f.Add(s, int64(12))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		ranges, status := parseRange(value, size)
		if (status == 206) != (len(ranges) > 0) || status != 0 && status != 206 && status != 416 || len(ranges) > maxRanges {
			t.Fatalf("%q: status %d, %d ranges", value, status, len(ranges))
		}
		var sum int64
		for i, r := range ranges {
			if r.off < 0 || r.n <= 0 || r.off > size-r.n {
				t.Fatalf("%q of %d bytes: range %+v", value, size, r)
			}
			for _, other := range ranges[:i] {
				if r.off < other.off+other.n && other.off < r.off+r.n {
					t.Fatalf("%q: %+v and %+v overlap", value, r, other)
				}
			}
			sum += r.n
		}
		if sum > size {
			t.Fatalf("%q asks for %d of %d bytes", value, sum, size)
		}
	})
}
