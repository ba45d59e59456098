package server

import "testing"

// TestHasHead gives hasHead a head in two parts, as reads may: it must see the
// end whatever was seen before, and no end where there is none.
func TestHasHead(t *testing.T) {
	for _, head := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\n\r\n"} {
		for i := range len(head) {
			if hasHead([]byte(head[:i]), 0) {
				t.Errorf("%q has an end after %d bytes", head, i)
			}
			if !hasHead([]byte(head), i) {
				t.Errorf("%q has no end when %d bytes were there before", head, i)
			}
			if !hasHead([]byte(head+"next"), i) {
				t.Errorf("%q and more has no end when %d bytes were there before", head, i)
			}
		}
	}
}
