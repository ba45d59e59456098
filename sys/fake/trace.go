package fake

import "github.com/httpjail/httpjail/sys"

// traceHash is a running hash over all calls of a deterministic run: equal
// hashes, equal runs. It is FNV-1a, a word at a time.
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
	h.sum = (h.sum ^ v) * fnvPrime
	h.sum ^= h.sum >> 32 // or the high bits of v would never reach the low ones
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
	errno, _ := (*err).(sys.Errno)
	h.word(uint64(errno))
}
