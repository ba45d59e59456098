package vfs

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
)

// data are the bytes of a regular file, in pages; a page that is missing is a
// hole and reads as zeros. Inode.mu guards it.
//
// Once a part of the file is mapped shared, its pages lie in a region, whose
// memory the mappers have too: from then on every access is made of atomic
// words, as those of sys.Mem are.
type data struct {
	near    []page         // the first nearPages
	far     map[int64]page // what is behind them: sparse files
	pages   atomic.Int64   // how many there are; stat reads it without the lock
	regions []region       // not empty: mapped
	fresh   []byte         // room for the next pages of a file that grows
}

// page is up to PageSize bytes; what is missing at its end is zeros. One without
// any takes space and was never written to. A page in a region is whole.
type page []byte

const nearPages = 1 << 16

// region is a piece of the file that was mapped, from page first on.
type region struct {
	first int64
	mem   []byte
}

func (r *region) pages() int64 { return int64(len(r.mem) / PageSize) }

// alignedBytes makes zeroed memory whose first byte is 8-byte aligned.
func alignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
}

// page is what there is to read of page i, nil for a hole. A hole that is mapped
// may have been written to.
func (d *data) page(i int64) page {
	if pg := d.allocated(i); pg != nil || len(d.regions) == 0 {
		return pg
	}
	return d.regionPage(i)
}

// allocated is page i if it was written to by other means than a mapping, and
// takes space.
func (d *data) allocated(i int64) page {
	if i < int64(len(d.near)) {
		return d.near[i]
	}
	if i < nearPages {
		return nil
	}
	return d.far[i]
}

func (d *data) setPage(i int64, p page) {
	if i >= nearPages {
		if d.far == nil {
			d.far = make(map[int64]page)
		}
		d.far[i] = p
		return
	}
	for int64(len(d.near)) <= i {
		d.near = append(d.near, nil)
	}
	d.near[i] = p
}

// readAt copies to p what is at off; the caller has cut p at the file's end.
func (d *data) readAt(p []byte, off int64) {
	for len(p) > 0 {
		pg, at := d.page(off/PageSize), int(off%PageSize)
		if pg == nil {
			pg = d.regionPage(off / PageSize) // a hole that a mapper may have written to
		}
		n := min(len(p), PageSize-at)
		switch {
		case len(d.regions) > 0 && pg != nil:
			loadBytes(p[:n], pg[at:])
		case at < len(pg):
			clear(p[copy(p[:n], pg[at:]):n])
		default:
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// writeAt copies p to off in a file, one page after another. It stops when there
// is no room.
func (ino *Inode) writeAt(t *Task, p []byte, off int64) (n int, err error) {
	d := &ino.data
	for n < len(p) {
		i, at := off/PageSize, int(off%PageSize)
		c := min(len(p)-n, PageSize-at)
		pg, err := ino.room(t, i, at+c)
		if err != nil {
			return n, err
		}
		if len(d.regions) > 0 {
			storeBytes(pg[at:at+c], p[n:n+c])
		} else {
			copy(pg[at:], p[n:n+c])
		}
		n, off = n+c, off+int64(c)
	}
	return n, nil
}

// room is page i with at least need bytes; it fills a hole.
func (ino *Inode) room(t *Task, i int64, need int) (page, error) {
	d := &ino.data
	pg := d.allocated(i)
	if pg == nil {
		if err := ino.reservePages(t, 1); err != nil {
			return nil, err
		}
		d.pages.Add(1)
		if pg = d.regionPage(i); pg != nil {
			d.setPage(i, pg)
			return pg, nil
		}
		if len(d.regions) > 0 {
			need = PageSize
		}
	}
	if need <= len(pg) {
		return pg, nil
	}
	switch {
	case need <= cap(pg):
		pg = pg[:need]
	case i > 0 && pg == nil:
		pg = d.freshPage()
	default: // a small file need not take a whole page of memory
		size := 64
		for size < need {
			size *= 2
		}
		var grown page
		if size == PageSize {
			grown = newPage()[:need]
		} else {
			grown = alignedBytes(size)[:need]
		}
		copy(grown, pg)
		pg = grown
	}
	d.setPage(i, pg)
	return pg, nil
}

// freshPage is a page of zeros. The more pages the file has the more of them are
// allocated at once.
func (d *data) freshPage() page {
	if len(d.fresh) == 0 {
		d.fresh = alignedBytes(int(min(max(d.pages.Load(), 1), 64)) * PageSize)
	}
	pg := page(d.fresh[:PageSize:PageSize])
	d.fresh = d.fresh[PageSize:]
	return pg
}

// freePages are pages of files that are gone, for the next ones: short-lived files
// are what tests make most.
var freePages sync.Pool

// newPage is a page of zeros.
func newPage() page {
	if p, ok := freePages.Get().(*[PageSize]byte); ok {
		*p = [PageSize]byte{}
		return p[:]
	}
	return alignedBytes(PageSize)
}

// free gives the pages of a file to others that is gone. Those that were mapped
// the mappers may still have.
func (d *data) free() {
	if len(d.regions) == 0 {
		for _, pg := range d.near {
			if cap(pg) == PageSize {
				freePages.Put((*[PageSize]byte)(pg[:PageSize]))
			}
		}
	}
	d.near, d.far, d.fresh = nil, nil, nil
}

// regionPage is the memory of page i in a region, nil when it is in none.
func (d *data) regionPage(i int64) page {
	for j := range d.regions {
		if r := &d.regions[j]; i >= r.first && i < r.first+r.pages() {
			at := (i - r.first) * PageSize
			return r.mem[at : at+PageSize : at+PageSize]
		}
	}
	return nil
}

// dropBehind drops what is behind size.
func (ino *Inode) dropBehind(size int64) {
	d := &ino.data
	keep := (size + PageSize - 1) / PageSize
	dropped := int64(0)
	if keep < int64(len(d.near)) {
		for _, pg := range d.near[keep:] {
			if pg != nil {
				dropped++
			}
		}
		clear(d.near[keep:])
		d.near = d.near[:keep]
		if keep == 0 {
			d.near, d.fresh = nil, nil
		}
	}
	for i := range d.far {
		if i >= keep {
			dropped++
			delete(d.far, i)
		}
	}
	d.pages.Add(-dropped)
	ino.reservePages(nil, -dropped)
	// What is behind the end must read as zeros when the file grows again.
	if at := int(size % PageSize); at > 0 {
		if pg := d.allocated(size / PageSize); at < len(pg) {
			d.clear(pg[at:])
		}
	}
	for i := range d.regions {
		r := &d.regions[i]
		for cut := max(size-r.first*PageSize, 0); cut < int64(len(r.mem)); {
			n := PageSize - cut%PageSize
			d.clear(r.mem[cut : cut+n])
			cut += n
		}
	}
}

// clear zeros a part of a page.
func (d *data) clear(p []byte) {
	if len(d.regions) > 0 {
		storeBytes(p, zeros[:len(p)])
	} else {
		clear(p)
	}
}

var zeros [PageSize]byte

// mmap is the memory of length bytes from off, a multiple of PageSize.
func (d *data) mmap(off int64, length int) ([]byte, error) {
	first := off / PageSize
	n := (int64(length) + PageSize - 1) / PageSize
	for i := range d.regions {
		r := &d.regions[i]
		if first >= r.first+r.pages() || first+n <= r.first {
			continue
		}
		if first < r.first || first+n > r.first+r.pages() {
			return nil, sys.ENOMEM // see the package's comment
		}
		at := off - r.first*PageSize
		return r.mem[at : at+int64(length) : at+n*PageSize], nil
	}
	size := n * 2 // room to grow, up to the next region
	for i := range d.regions {
		if r := &d.regions[i]; r.first > first {
			size = min(size, r.first-first)
		}
	}
	d.regions = append(d.regions, region{first, alignedBytes(int(size * PageSize))})
	if len(d.regions) == 1 {
		d.wholePages()
	}
	mem := d.regions[len(d.regions)-1].mem
	for i := range size {
		if pg := d.allocated(first + i); pg != nil {
			shared := page(mem[i*PageSize : (i+1)*PageSize : (i+1)*PageSize])
			copy(shared, pg) // nobody else has it yet
			d.setPage(first+i, shared)
		}
	}
	return mem[: length : n*PageSize], nil
}

// wholePages makes every page whole, which the accesses to a mapped file rely on.
func (d *data) wholePages() {
	whole := func(pg page) page {
		if pg == nil || len(pg) == PageSize {
			return pg
		}
		p := page(alignedBytes(PageSize))
		copy(p, pg)
		return p
	}
	for i := range d.near {
		d.near[i] = whole(d.near[i])
	}
	for i := range d.far {
		d.far[i] = whole(d.far[i])
	}
}

// loadBytes copies from memory that others may store to; src is inside a page.
func loadBytes(dst, src []byte) {
	src = src[:len(dst)]
	for len(dst) > 0 {
		w, skip := wordOf(src)
		v := atomic.LoadUint64(w)
		n := copy(dst, (*[8]byte)(unsafe.Pointer(&v))[skip:])
		dst, src = dst[n:], src[n:]
	}
}

// storeBytes copies to memory that others may load from and store to.
func storeBytes(dst, src []byte) {
	for len(src) > 0 {
		w, skip := wordOf(dst)
		n := min(len(src), 8-skip)
		if n == 8 {
			atomic.StoreUint64(w, *(*uint64)(unsafe.Pointer(unsafe.SliceData(src))))
		} else {
			for {
				old := atomic.LoadUint64(w)
				v := old
				copy((*[8]byte)(unsafe.Pointer(&v))[skip:], src[:n])
				if atomic.CompareAndSwapUint64(w, old, v) {
					break
				}
			}
		}
		dst, src = dst[n:], src[n:]
	}
}

// wordOf is the aligned word that holds the first byte of p, and which of its
// bytes that is. A page is a multiple of words, so the word is inside it.
func wordOf(p []byte) (w *uint64, skip int) {
	first := unsafe.Pointer(unsafe.SliceData(p))
	skip = int(uintptr(first) & 7)
	return (*uint64)(unsafe.Add(first, -skip)), skip
}
