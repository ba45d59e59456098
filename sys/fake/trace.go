package fake

import (
	"errors"

	"github.com/httpjail/httpjail/sys"
)

// traceHash is the running FNV-1a hash over all calls of a deterministic run:
// equal hashes, equal runs.
type traceHash struct {
	on  bool
	sum uint64
}

// FNV-1a of 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (h *traceHash) word(v uint64) {
	for range 8 {
		h.sum = (h.sum ^ v&0xff) * fnvPrime
		v >>= 8
	}
}

func (h *traceHash) string(s string) {
	if !h.on {
		return
	}
	for i := range len(s) {
		h.sum = (h.sum ^ uint64(s[i])) * fnvPrime
	}
	h.word(uint64(len(s)))
}

func (h *traceHash) enter(t *thread, op string, fd int, args []uint64) {
	if !h.on {
		return
	}
	h.string(t.p.name())
	h.word(uint64(t.tid))
	h.string(op)
	h.word(uint64(fd))
	for _, a := range args {
		h.word(a)
	}
	h.word(uint64(t.sched.Now()))
}

func (h *traceHash) leave(ret *int, err *error) {
	if !h.on {
		return
	}
	if ret != nil {
		h.word(uint64(*ret))
	}
	var errno sys.Errno
	errors.As(*err, &errno)
	h.word(uint64(errno))
}
