package vfs

import (
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

// pipeSlots is PIPE_DEF_BUFFERS: how many pages a pipe holds. Its capacity in
// bytes is up to 64 KiB; how much fits depends on how the writes fall into
// pages, as on Linux. A write of up to PIPE_BUF, a page, needs one slot and is
// therefore atomic.
const pipeSlots = 16

// pipe is struct pipe_inode_info: a pipe, or a fifo that somebody opened.
type pipe struct {
	mu      sync.Mutex
	bufs    [pipeSlots]pipeBuf
	tail, n int // the first used slot, and how many are used
	spare   []byte

	readers, writers int
	rdwr             int // ends opened with O_RDWR: they poll for both on rd
	// Opens so far: a fifo's open waits for the other's to move.
	rcount, wcount uint64

	rd, wr   sched.Queue // who waits to read, to write
	partners sched.Queue // who waits in open
}

type pipeBuf struct {
	page     []byte
	off, len int
}

func newPipe() *pipe {
	p := &pipe{}
	p.rd.Name, p.wr.Name, p.partners.Name = "pipe to read", "pipe to write", "open of a fifo"
	return p
}

// pipeEnd is the File of one open end, or of both.
type pipeEnd struct {
	anonymous
	p           *pipe
	read, write bool
	version     uint64 // wcount at a non-blocking open: until it moves, no POLLHUP
}

// NewPipe is pipe2(2). flags: O_NONBLOCK; O_CLOEXEC and O_DIRECT are ignored.
// EINVAL: others.
func (k *Tree) NewPipe(t *Task, flags int) (r, w *Description, err error) {
	if flags&^(sys.O_NONBLOCK|sys.O_CLOEXEC|sys.O_DIRECT) != 0 {
		return nil, nil, sys.EINVAL
	}
	ino := k.anon.fs.newInode(sys.S_IFIFO|0o600, t.Cred.Uid, t.Cred.Gid, k.now(t))
	ino.pipe = newPipe()
	p := ino.pipe
	p.readers, p.writers, p.rcount, p.wcount = 1, 1, 1, 1
	path := Path{k.anon, &Dentry{name: anonName("pipe", ino.ino), inode: ino}}
	end := func(read bool, mode int) *Description {
		d := &Description{File: &pipeEnd{anonymous: anonymous{ino}, p: p, read: read, write: !read}, Path: path}
		d.flags.Store(int32(mode | flags&sys.O_NONBLOCK))
		d.refs.Store(1)
		path.Hold()
		return d
	}
	return end(true, sys.O_RDONLY), end(false, sys.O_WRONLY), nil
}

// openFifo is fifo_open.
func openFifo(t *Task, ino *Inode, flags int) (File, error) {
	ino.mu.Lock()
	if ino.pipe == nil {
		ino.pipe = newPipe()
	}
	p := ino.pipe
	ino.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	f := &pipeEnd{anonymous: anonymous{ino}, p: p}
	nonblock := flags&sys.O_NONBLOCK != 0
	anon := ino.fs == ino.fs.tree.anon.fs // /proc/PID/fd/N of a pipe
	switch flags & sys.O_ACCMODE {
	case sys.O_RDONLY:
		f.read = true
		p.rcount++
		if p.readers++; p.readers == 1 {
			p.partners.WakeAll()
		}
		if !anon && p.writers == 0 {
			if nonblock {
				f.version = p.wcount
			} else if err := f.waitPartner(t, &p.wcount); err != nil {
				return nil, err
			}
		}
	case sys.O_WRONLY:
		if !anon && nonblock && p.readers == 0 {
			return nil, sys.ENXIO
		}
		f.write = true
		p.wcount++
		if p.writers++; p.writers == 1 {
			p.partners.WakeAll()
		}
		if !anon && p.readers == 0 {
			if err := f.waitPartner(t, &p.rcount); err != nil {
				return nil, err
			}
		}
	case sys.O_RDWR:
		f.read, f.write = true, true
		p.readers++
		p.writers++
		p.rdwr++
		p.rcount++
		p.wcount++
		p.partners.WakeAll()
	default:
		return nil, sys.EINVAL
	}
	return f, nil
}

// waitPartner is wait_for_partner: until the other end is opened, even if it was
// closed again meanwhile. When the wait ends otherwise the end is released.
func (f *pipeEnd) waitPartner(t *Task, count *uint64) error {
	opened := false
	defer func() {
		if !opened {
			f.release()
		}
	}()
	for was := *count; *count == was; {
		if err := f.p.partners.Wait(t.Thread, &f.p.mu, sched.Forever); err != nil {
			return err
		}
	}
	opened = true
	return nil
}

// Release closes the end.
func (f *pipeEnd) Release(*Task) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.release()
}

func (f *pipeEnd) release() {
	p := f.p
	if f.read {
		p.readers--
	}
	if f.write {
		p.writers--
	}
	if f.read && f.write {
		p.rdwr--
	}
	switch {
	case p.readers == 0 && p.writers == 0:
		// What nobody has read is lost, also in a fifo.
		p.bufs, p.tail, p.n, p.spare = [pipeSlots]pipeBuf{}, 0, 0, nil
	case p.readers == 0 || p.writers == 0:
		p.rd.WakeAll()
		p.wr.WakeAll()
	}
}

// wakeReaders and wakeWriters wake one of those that read or write, and all that
// poll.
func (p *pipe) wakeReaders() { p.rd.WakeEvents(1, sys.POLLIN) }

func (p *pipe) wakeWriters() {
	p.wr.WakeEvents(1, sys.POLLOUT)
	if p.rdwr > 0 {
		p.rd.WakeEvents(0, sys.POLLOUT)
	}
}

// Read is pipe_read.
func (f *pipeEnd) Read(t *Task, d *Description, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	waited := false
	defer func() {
		// The wake-up was for one reader; what it leaves is for the next.
		if waited && p.n > 0 {
			p.wakeReaders()
		}
	}()
	for p.n == 0 {
		if p.writers == 0 {
			return 0, nil
		}
		if d.Nonblock() {
			return 0, sys.EAGAIN
		}
		waited = true
		if err := p.rd.Wait(t.Thread, &p.mu, sched.Forever); err != nil {
			return 0, err
		}
	}
	total, freed := 0, false
	wasFull := p.n == pipeSlots // else nobody waits for room
	for p.n > 0 && total < len(b) {
		buf := &p.bufs[p.tail]
		n := copy(b[total:], buf.page[buf.off:buf.off+buf.len])
		total += n
		buf.off += n
		if buf.len -= n; buf.len == 0 {
			p.spare, *buf = buf.page, pipeBuf{}
			p.tail = (p.tail + 1) % pipeSlots
			p.n--
			freed = true
		}
	}
	if freed && wasFull {
		p.wakeWriters()
	}
	f.ino.atime.Store(f.ino.fs.tree.now(t))
	return total, nil
}

// Write is pipe_write.
func (f *pipeEnd) Write(t *Task, d *Description, b []byte) (total int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	waited := false
	defer func() {
		if total > 0 {
			f.ino.touchMC(f.ino.fs.tree.now(t))
			err = nil
		}
		if waited && p.n < pipeSlots {
			p.wakeWriters()
		}
	}()
	if p.readers == 0 {
		return 0, sys.EPIPE
	}
	// What is over a whole number of pages goes into the last page, if it fits.
	if over := len(b) % PageSize; over > 0 && p.n > 0 {
		last := &p.bufs[(p.tail+p.n-1)%pipeSlots]
		if end := last.off + last.len; end+over <= PageSize {
			copy(last.page[end:], b[:over])
			last.len += over
			total = over
			p.wakeReaders()
		}
	}
	for total < len(b) {
		if p.readers == 0 {
			return total, sys.EPIPE
		}
		if p.n < pipeSlots {
			page := p.spare
			if p.spare = nil; page == nil {
				page = make([]byte, PageSize)
			}
			n := copy(page, b[total:])
			p.bufs[(p.tail+p.n)%pipeSlots] = pipeBuf{page, 0, n}
			p.n++
			total += n
			p.wakeReaders()
			continue
		}
		if d.Nonblock() {
			return total, sys.EAGAIN
		}
		waited = true
		if err := p.wr.Wait(t.Thread, &p.mu, sched.Forever); err != nil {
			return total, err
		}
	}
	return total, nil
}

// Ready is pipe_poll.
func (f *pipeEnd) Ready() (events int16) {
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.read {
		if p.n > 0 {
			events |= sys.POLLIN
		}
		if p.writers == 0 && f.version != p.wcount {
			events |= sys.POLLHUP
		}
	}
	if f.write {
		if p.n < pipeSlots {
			events |= sys.POLLOUT
		}
		if p.readers == 0 {
			events |= sys.POLLERR
		}
	}
	return events
}

func (f *pipeEnd) Queue() *sched.Queue {
	if f.read {
		return &f.p.rd
	}
	return &f.p.wr
}
