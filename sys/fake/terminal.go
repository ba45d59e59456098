package fake

import (
	"io"
	"strconv"
	"sync"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// terminals are the character devices that lead out of the machine: what is
// behind a process's standard descriptors. They have names, so that /dev/stderr
// can be opened, which leads through /proc/self/fd to the name.
type terminals struct {
	mu  sync.Mutex
	all [maxTerminals]*terminal
}

const (
	ptsMajor     = 136 // UNIX98_PTY_SLAVE_MAJOR
	maxTerminals = 64
)

func ptsName(n int) string { return "/dev/pts/" + strconv.Itoa(n) }

// makeTerminals registers the driver.
func (m *Machine) makeTerminals() {
	for n := range maxTerminals {
		m.tree.RegisterDevice(sys.S_IFCHR, ptsMajor, uint64(n), func(*vfs.Task, *vfs.Inode, int) (vfs.File, error) {
			ts := &m.terminals
			ts.mu.Lock()
			defer ts.mu.Unlock()
			if ts.all[n] == nil {
				return nil, sys.EIO
			}
			ts.all[n].opens++
			return ts.all[n], nil
		})
	}
}

// stdFiles are the open files of the descriptors 0, 1 and 2 of a process of uid.
func (m *Machine) stdFiles(spec ProcSpec) (std [3]*vfs.Description) {
	std[0] = m.stdFile(&terminal{r: spec.Stdin}, sys.O_RDONLY, spec.Uid)
	std[1] = m.stdFile(&terminal{w: spec.Stdout}, sys.O_WRONLY, spec.Uid)
	if same(spec.Stdout, spec.Stderr) {
		std[2] = std[1]
		std[2].Incref()
	} else {
		std[2] = m.stdFile(&terminal{w: spec.Stderr}, sys.O_WRONLY, spec.Uid)
	}
	return std
}

// same is interfaceEqual of os/exec: writers that cannot be compared differ.
func same(a, b io.Writer) (eq bool) {
	defer func() {
		if recover() != nil {
			eq = false
		}
	}()
	return a == b
}

// stdFile opens a terminal, or /dev/null for one that leads nowhere. Where the
// image lacks the directory or the file it has no name.
func (m *Machine) stdFile(t *terminal, flags, uid int) *vfs.Description {
	open := func(path string) (*vfs.Description, error) {
		return m.tree.Open(m.init.task(nil), vfs.Path{}, path, vfs.BuildOpenHow(flags, 0))
	}
	if t.r == nil && t.w == nil {
		if d, err := open("/dev/null"); err == nil {
			return d
		}
	} else if n := m.terminals.add(t, m); n >= 0 {
		img := m.tree.Image()
		img.Mknod(ptsName(n), sys.S_IFCHR|0o620, ptsMajor, uint64(n))
		img.Lchown(ptsName(n), uid, 0)
		d, err := open(ptsName(n))
		t.Release(nil) // add's
		if err == nil {
			return d
		}
		t.m = nil
	}
	return vfs.NewDescription(t, flags)
}

// add gives t a number, and one opening, or -1 when there are too many.
func (ts *terminals) add(t *terminal, m *Machine) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for n := range ts.all {
		if ts.all[n] == nil {
			ts.all[n] = t
			t.m, t.n, t.opens = m, n, 1
			return n
		}
	}
	return -1
}

// terminal is the file behind a standard descriptor.
type terminal struct {
	m     *Machine // nil: it has no name
	n     int
	opens int // guarded by terminals.mu

	mu sync.Mutex
	r  io.Reader
	w  io.Writer
}

func (f *terminal) Read(_ *vfs.Task, _ *vfs.Description, p []byte) (int, error) {
	if f.r == nil {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.r.Read(p)
	if err != nil && n == 0 && err != io.EOF {
		return 0, sys.EIO
	}
	return n, nil
}

func (f *terminal) Write(_ *vfs.Task, _ *vfs.Description, p []byte) (int, error) {
	if f.w == nil {
		return len(p), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.w.Write(p); err != nil {
		return 0, sys.EIO
	}
	return len(p), nil
}

func (f *terminal) Stat(_ *vfs.Task, st *sys.Stat) error {
	*st = sys.Stat{Mode: sys.S_IFCHR | 0o620, Nlink: 1, Blksize: 1024, Rdev: ptsMajor<<8 | uint64(f.n)}
	return nil
}

func (f *terminal) Ready() int16        { return sys.POLLIN | sys.POLLOUT }
func (f *terminal) Queue() *sched.Queue { return nil }

// Release takes the name away with the last opening, as devpts does when the
// other side of a terminal closes.
func (f *terminal) Release(*vfs.Task) {
	if f.m == nil {
		return
	}
	ts := &f.m.terminals
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if f.opens--; f.opens > 0 {
		return
	}
	// Before another terminal can take the number. An error means that somebody
	// has removed the name already.
	f.m.tree.Image().Remove(ptsName(f.n))
	ts.all[f.n] = nil
}
