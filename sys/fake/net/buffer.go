package net

import (
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// buffer is a receive queue: bytes and, in Unix sockets, marks that tell a write
// from its neighbours: a record of SOCK_SEQPACKET, or descriptors that go with
// bytes.
type buffer struct {
	b     []byte
	off   int    // b[off:] is unread
	pos   uint64 // how many bytes were read since ever
	marks []mark // in order
}

// mark is one write, in positions of the stream.
type mark struct {
	start, end uint64
	fds        []*vfs.Description
}

// keep is how much capacity an empty buffer holds on to.
const keep = 64 << 10

func (b *buffer) len() int { return len(b.b) - b.off }

// write appends p.
func (b *buffer) write(p []byte) {
	if b.off > 0 && len(b.b)+len(p) > cap(b.b) && b.off >= len(b.b)/2 {
		n := copy(b.b, b.b[b.off:])
		b.b, b.off = b.b[:n], 0
	}
	b.b = append(b.b, p...)
}

// mark notes that the next n bytes to be written are one write.
func (b *buffer) mark(n int, fds []*vfs.Description) {
	start := b.pos + uint64(b.len())
	b.marks = append(b.marks, mark{start, start + uint64(n), fds})
}

// skip reads n bytes without looking.
func (b *buffer) skip(n int) {
	b.off += n
	b.pos += uint64(n)
	if b.off == len(b.b) {
		b.off = 0
		if b.b = b.b[:0]; cap(b.b) > keep {
			b.b = nil
		}
	}
}

// drop empties the buffer and returns the descriptors that were in it.
func (b *buffer) drop() (fds []*vfs.Description) {
	for _, m := range b.marks {
		fds = append(fds, m.fds...)
	}
	b.skip(b.len())
	b.b, b.marks = nil, nil
	return fds
}

// read reads into p. In a stream it goes across marks but stops at the end of
// the first write that carries descriptors, which it returns
// (unix_stream_read_generic); of a record it returns what fits, and how long it
// is, and forgets the rest. A peek leaves everything and returns the same descriptors, which stay
// the buffer's.
func (b *buffer) read(p []byte, records, peek bool) (n, size int, fds []*vfs.Description) {
	if records {
		m := b.marks[0]
		size = int(m.end - m.start)
		n = copy(p, b.b[b.off:b.off+size])
		if !peek {
			b.skip(size)
			b.marks = b.marks[1:]
		}
		return n, size, m.fds
	}
	n = min(len(p), b.len())
	for i := range b.marks {
		m := &b.marks[i]
		if m.start >= b.pos+uint64(max(n, 1)) { // who reads nothing gets the descriptors
			break
		}
		if m.fds != nil {
			n = min(n, int(m.end-b.pos))
			fds = m.fds
			if !peek {
				m.fds = nil
			}
			break
		}
	}
	copy(p, b.b[b.off:b.off+n])
	if !peek {
		b.skip(n)
		for len(b.marks) > 0 && b.marks[0].end <= b.pos {
			b.marks = b.marks[1:]
		}
	}
	return n, n, fds
}
