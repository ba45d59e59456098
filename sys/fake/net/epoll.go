package net

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// Events of an item that are no events, EP_PRIVATE_BITS, and what an exclusive
// item may ask for, EPOLLEXCLUSIVE_OK_BITS.
const (
	epollWakeup    = 1 << 29
	epollPrivate   = epollWakeup | sys.EPOLLONESHOT | sys.EPOLLET | sys.EPOLLEXCLUSIVE
	epollExclusive = sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLERR | sys.EPOLLHUP | epollWakeup | sys.EPOLLET | sys.EPOLLEXCLUSIVE
)

// maxNests is EP_MAX_NESTS: how deep epolls may watch epolls.
const maxNests = 4

// epoll is struct eventpoll. It implements vfs.File.
type epoll struct {
	ino uint64
	q   sched.Queue // those who poll it, and epolls that watch it: poll_wait
	wq  sched.Queue // those in epoll_wait

	mu    sync.Mutex
	items map[epollKey]*epollItem

	lock  sync.Mutex   // may be taken under any file's lock
	ready []*epollItem // in the order of becoming ready
}

// epollKey is struct epoll_filefd: the same file may be in the set by several
// descriptors.
type epollKey struct {
	fd int
	d  *vfs.Description
}

// epollItem is struct epitem.
type epollItem struct {
	ep   *epoll
	key  epollKey
	data sys.EpollEvent // what epoll_ctl gave; its Events are below

	// Guarded by ep.lock.
	events uint32
	queued bool
	dead   bool
}

// EpollCreate is epoll_create1(2).
func (n *Net) EpollCreate() *vfs.Description {
	n.mu.Lock()
	n.inode++
	ino := n.inode
	n.mu.Unlock()
	return n.tree.NewAnon(&epoll{ino: ino, items: map[epollKey]*epollItem{}}, sys.O_RDWR)
}

// EpollCtl is epoll_ctl(2) on the descriptor fd, whose description is target.
func (n *Net) EpollCtl(t *vfs.Task, epd *vfs.Description, op, fd int, target *vfs.Description, ev sys.EpollEvent) error {
	if epd.IsPath() || target.IsPath() {
		return sys.EBADF
	}
	if target.File.Queue() == nil {
		return sys.EPERM // it is always ready: no poll operation
	}
	ep, ok := epd.File.(*epoll)
	inner, nested := target.File.(*epoll)
	if !ok || ep == inner {
		return sys.EINVAL
	}
	if ev.Events&sys.EPOLLEXCLUSIVE != 0 {
		if op == sys.EPOLL_CTL_MOD || op == sys.EPOLL_CTL_ADD && (nested || ev.Events&^uint32(epollExclusive) != 0) {
			return sys.EINVAL
		}
	}
	if op == sys.EPOLL_CTL_ADD && nested {
		n.nest.Lock()
		defer n.nest.Unlock()
		if depth := inner.depth(ep); depth < 0 || depth+ep.height(n) > maxNests {
			return sys.ELOOP
		}
	}

	ep.mu.Lock()
	defer ep.mu.Unlock()
	key := epollKey{fd, target}
	it := ep.items[key]
	switch op {
	case sys.EPOLL_CTL_ADD:
		if it != nil {
			return sys.EEXIST
		}
		it = &epollItem{ep: ep, key: key, data: ev, events: ev.Events | sys.EPOLLERR | sys.EPOLLHUP}
		ep.items[key] = it
		target.File.Queue().Watch(it, ev.Events&sys.EPOLLEXCLUSIVE != 0)
	case sys.EPOLL_CTL_DEL:
		if it == nil {
			return sys.ENOENT
		}
		ep.remove(it)
		return nil
	case sys.EPOLL_CTL_MOD:
		if it == nil {
			return sys.ENOENT
		}
		ep.lock.Lock()
		exclusive := it.events&sys.EPOLLEXCLUSIVE != 0
		if !exclusive {
			it.data, it.events = ev, ev.Events|sys.EPOLLERR|sys.EPOLLHUP
		}
		ep.lock.Unlock()
		if exclusive {
			return sys.EINVAL
		}
	default:
		return sys.EINVAL
	}
	if it.poll() != 0 && !it.isQueued() {
		it.Notify(0)
	}
	return nil
}

func (it *epollItem) isQueued() bool {
	it.ep.lock.Lock()
	defer it.ep.lock.Unlock()
	return it.queued
}

// remove is ep_remove. ep.mu is held.
func (ep *epoll) remove(it *epollItem) {
	delete(ep.items, it.key)
	it.key.d.File.Queue().Unwatch(it)
	ep.lock.Lock()
	defer ep.lock.Unlock()
	it.dead = true
	if it.queued {
		ep.ready = slices.DeleteFunc(ep.ready, func(x *epollItem) bool { return x == it })
	}
}

// Released implements vfs.ReleaseWatcher: eventpoll_release_file.
func (it *epollItem) Released(d *vfs.Description) {
	if d != it.key.d {
		return // another description of the same file
	}
	ep := it.ep
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.items[it.key] == it {
		ep.remove(it)
	}
}

// depth is how many levels of epolls are below and including ep; negative when
// it reaches root.
func (ep *epoll) depth(root *epoll) int {
	if ep == root {
		return -1
	}
	ep.mu.Lock()
	var inner []*epoll
	for k := range ep.items {
		if e, ok := k.d.File.(*epoll); ok {
			inner = append(inner, e)
		}
	}
	ep.mu.Unlock()
	deepest := 0
	for _, e := range inner {
		d := e.depth(root)
		if d < 0 {
			return d
		}
		deepest = max(deepest, d)
	}
	return deepest + 1
}

// height is how many levels of epolls watch ep.
func (ep *epoll) height(n *Net) int {
	highest := 0
	for _, w := range ep.q.Watchers() {
		if it, ok := w.(*epollItem); ok {
			highest = max(highest, it.ep.height(n)+1)
		}
	}
	return highest
}

// poll are the events of the item that are true now. No lock that the file needs
// is held.
func (it *epollItem) poll() uint32 {
	it.ep.lock.Lock()
	want := it.events
	it.ep.lock.Unlock()
	if want&^uint32(epollPrivate) == 0 {
		return 0 // disabled by EPOLLONESHOT
	}
	return uint32(uint16(it.key.d.Ready())) & want
}

// Notify implements sched.Watcher: ep_poll_callback.
func (it *epollItem) Notify(events int16) bool {
	ep := it.ep
	ep.lock.Lock()
	want := it.events &^ uint32(epollPrivate)
	if it.dead || want == 0 || events != 0 && uint32(uint16(events))&want == 0 {
		ep.lock.Unlock()
		return false
	}
	if !it.queued {
		it.queued = true
		ep.ready = append(ep.ready, it)
	}
	ep.lock.Unlock()
	woken := ep.wq.Wake(1) > 0
	ep.q.WakeEvents(1, sys.POLLIN)
	return woken
}

// EpollWait is epoll_wait(2) until an absolute deadline; one that is past makes
// it look once.
func (n *Net) EpollWait(t *vfs.Task, epd *vfs.Description, events []sys.EpollEvent, deadline time.Duration) (int, error) {
	if epd.IsPath() {
		return 0, sys.EBADF
	}
	if len(events) == 0 {
		return 0, sys.EINVAL
	}
	ep, ok := epd.File.(*epoll)
	if !ok {
		return 0, sys.EINVAL
	}
	if got := ep.collect(events); got > 0 || t.Thread.Now() >= deadline {
		return got, nil
	}
	for {
		got, err := ep.await(t, events, deadline)
		if got > 0 || err != nil {
			if errors.Is(err, sys.ETIMEDOUT) {
				return ep.collect(events), nil
			}
			return got, err
		}
	}
}

// await sleeps until there may be something, unless there is something at once.
func (ep *epoll) await(t *vfs.Task, events []sys.EpollEvent, deadline time.Duration) (int, error) {
	w := t.Thread.NewWaiter()
	ep.wq.AddExclusive(w)
	defer ep.wq.Remove(w)
	if got := ep.collect(events); got > 0 {
		return got, nil
	}
	if err := t.Thread.Sleep(w, deadline); err != nil {
		return 0, err
	}
	return ep.collect(events), nil
}

// collect is ep_send_events: it fills events from the ready list.
func (ep *epoll) collect(events []sys.EpollEvent) (n int) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.lock.Lock()
	ready := ep.ready
	ep.ready = nil
	ep.lock.Unlock()
	var again []*epollItem // level-triggered: to be looked at next time
	for len(ready) > 0 && n < len(events) {
		it := ready[0]
		ready = ready[1:]
		ep.lock.Lock()
		it.queued = false
		ep.lock.Unlock()
		got := it.poll()
		if got == 0 {
			continue
		}
		ev := it.data
		ev.Events = got
		events[n] = ev
		n++
		ep.lock.Lock()
		switch {
		case it.events&sys.EPOLLONESHOT != 0:
			it.events &= epollPrivate
		case it.events&sys.EPOLLET == 0 && !it.queued:
			it.queued = true
			again = append(again, it)
		}
		ep.lock.Unlock()
	}
	ep.lock.Lock()
	ep.ready = slices.Concat(ready, ep.ready, again)
	more := len(ep.ready) > 0
	ep.lock.Unlock()
	if more {
		ep.wq.Wake(1) // ep_done_scan: the next sleeper may have the rest
	}
	return n
}

// Ready implements vfs.File: an epoll is readable when an item is ready.
func (ep *epoll) Ready() int16 {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.lock.Lock()
	items := slices.Clone(ep.ready)
	ep.lock.Unlock()
	for _, it := range items {
		if it.poll() != 0 {
			return sys.POLLIN
		}
	}
	return 0
}

// Queue implements vfs.File.
func (ep *epoll) Queue() *sched.Queue { return &ep.q }

// Read implements vfs.File: EINVAL, there is nothing to read.
func (ep *epoll) Read(*vfs.Task, *vfs.Description, []byte) (int, error) { return 0, sys.EINVAL }

// Write implements vfs.File: EINVAL.
func (ep *epoll) Write(*vfs.Task, *vfs.Description, []byte) (int, error) { return 0, sys.EINVAL }

// Seek implements vfs.Seeker: noop_llseek.
func (ep *epoll) Seek(_ *vfs.Task, pos, _ int64, _ int) (int64, error) { return pos, nil }

// Stat implements vfs.File: an anonymous inode.
func (ep *epoll) Stat(t *vfs.Task, st *sys.Stat) error {
	*st = sys.Stat{Dev: 13, Ino: ep.ino, Nlink: 1, Mode: 0o600, Blksize: 4096}
	return nil
}

// Release implements vfs.File.
func (ep *epoll) Release(t *vfs.Task) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	for _, it := range ep.items {
		ep.remove(it)
	}
}
