package static

import (
	"errors"
	"io"

	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// part is a part of a file, after bytes that introduce it.
type part struct {
	head   []byte
	off, n int64
}

// sender is a connection that takes a file's bytes from the kernel, as
// *conn.Conn of sys/conn does.
type sender interface {
	io.Writer
	SendFile(fd int, off, n int64) error
}

// fileBody is a response's body that comes from an open file. fasthttp's
// writer buffers; that of a sender is passed by, which is right only since the
// header is flushed first (ImmediateHeaderFlush).
type fileBody struct {
	sys   sys.Sys
	conn  sender // nil: the connection is of another kind
	file  *file
	parts []part
	tail  []byte

	detached bool // from its response
}

// setFileBody makes the parts of f the body, of size bytes altogether. The body
// gives f back when it is closed.
func setFileBody(r *module.Request, f *file, size int64, parts []part, tail []byte) {
	b := &fileBody{sys: r.Sys, file: f, parts: parts, tail: tail}
	if c, ok := r.Conn().(sender); ok {
		b.conn = c
		r.Response.ImmediateHeaderFlush = true
	}
	r.Response.SetBodyStream(b, int(size))
	r.BodyBytes = size
}

var (
	_ io.WriterTo     = (*fileBody)(nil)
	_ module.FileBody = (*fileBody)(nil)
)

// WriteTo sends the body, in the thread of the connection.
func (b *fileBody) WriteTo(w io.Writer) (n int64, err error) {
	if b.conn != nil {
		w = b.conn
	}
	for _, p := range b.parts {
		if len(p.head) > 0 {
			m, err := w.Write(p.head)
			n += int64(m)
			if err != nil {
				return n, err
			}
		}
		if b.conn != nil {
			if err := b.conn.SendFile(b.file.fd, p.off, p.n); err != nil {
				return n, err
			}
		} else if err := b.copy(w, p); err != nil {
			return n, err
		}
		n += p.n
	}
	if len(b.tail) == 0 {
		return n, nil
	}
	m, err := w.Write(b.tail)
	return n + int64(m), err
}

// copy writes a part to a connection that cannot send files.
func (b *fileBody) copy(w io.Writer, p part) error {
	buf := make([]byte, min(p.n, 64<<10))
	for p.n > 0 {
		buf = buf[:min(p.n, int64(len(buf)))]
		n, err := b.sys.Pread(b.file.fd, buf, p.off)
		switch {
		case err == sys.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF // the file has become shorter
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		p.off += int64(n)
		p.n -= int64(n)
	}
	return nil
}

// Read is there because fasthttp's streams are io.Readers; it uses WriteTo.
func (b *fileBody) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Detach implements module.FileBody.
func (b *fileBody) Detach() { b.detached = true }

// Part implements module.FileBody.
func (b *fileBody) Part() (p []byte, fd int, off, n int64) {
	for len(b.parts) > 0 {
		next := &b.parts[0]
		if len(next.head) > 0 {
			return next.head, -1, 0, 0
		}
		if next.n > 0 {
			return nil, b.file.fd, next.off, next.n
		}
		b.parts = b.parts[1:]
	}
	return b.tail, -1, 0, 0
}

// Sent implements module.FileBody.
func (b *fileBody) Sent(n int64) {
	switch {
	case len(b.parts) == 0:
		b.tail = b.tail[n:]
	case len(b.parts[0].head) > 0:
		b.parts[0].head = b.parts[0].head[n:]
	default:
		b.parts[0].off += n
		b.parts[0].n -= n
	}
}

// Close gives the file back. fasthttp calls it once, sent or not, and whoever
// has detached the body once more.
func (b *fileBody) Close() error {
	if b.detached {
		b.detached = false
		return nil
	}
	b.file.release(b.sys)
	return nil
}
