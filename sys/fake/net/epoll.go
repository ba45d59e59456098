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
	ino   uint64
	watch watchers    // epolls that watch this one
	q     sched.Queue // those who wait for it

	mu      sync.Mutex
	items   map[epollKey]*epollItem
	foreign []*epollItem // items without watchers, in order of addition

	lock  sync.Mutex   // may be taken under any socket.mu
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
	seen uint32         // foreign and edge-triggered: the events reported last

	// Guarded by ep.lock.
	events uint32
	queued bool
	dead   bool
}

// watchable is a file that tells its watchers of each event.
type watchable interface{ watchersOf() *watchers }

func (s *socket) watchersOf() *watchers { return &s.watch }
func (ep *epoll) watchersOf() *watchers { return &ep.watch }

// EpollCreate is epoll_create1(2).
func (n *Net) EpollCreate() *vfs.Description {
	n.mu.Lock()
	n.inode++
	ino := n.inode
	n.mu.Unlock()
	return vfs.NewDescription(&epoll{ino: ino, items: map[epollKey]*epollItem{}}, sys.O_RDWR)
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
		if w, ok := target.File.(watchable); ok {
			w.watchersOf().add(it, ev.Events&sys.EPOLLEXCLUSIVE != 0)
		} else {
			ep.foreign = append(ep.foreign, it)
		}
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
			it.data, it.seen, it.events = ev, 0, ev.Events|sys.EPOLLERR|sys.EPOLLHUP
		}
		ep.lock.Unlock()
		if exclusive {
			return sys.EINVAL
		}
	default:
		return sys.EINVAL
	}
	if it.poll() != 0 {
		it.notify(0)
	} else if ep.isForeign(it) {
		ep.q.Wake(1) // so that a sleeper enters the new file's queue
	}
	return nil
}

func (ep *epoll) isForeign(it *epollItem) bool { return slices.Contains(ep.foreign, it) }

// remove is ep_remove. ep.mu is held.
func (ep *epoll) remove(it *epollItem) {
	delete(ep.items, it.key)
	if w, ok := it.key.d.File.(watchable); ok {
		w.watchersOf().remove(it)
	} else {
		ep.foreign = slices.DeleteFunc(ep.foreign, func(x *epollItem) bool { return x == it })
	}
	ep.lock.Lock()
	defer ep.lock.Unlock()
	it.dead = true
	if it.queued {
		ep.ready = slices.DeleteFunc(ep.ready, func(x *epollItem) bool { return x == it })
	}
}

// forget is eventpoll_release: the item's file is gone.
func (ep *epoll) forget(it *epollItem) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.remove(it)
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
	ep.watch.mu.Lock()
	list := slices.Clone(ep.watch.list)
	ep.watch.mu.Unlock()
	highest := 0
	for _, x := range list {
		if it, ok := x.w.(*epollItem); ok {
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

// notify implements watcher: ep_poll_callback.
func (it *epollItem) notify(events int16) bool {
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
	woken := ep.q.Wake(1) > 0
	ep.watch.notify(sys.POLLIN)
	return woken
}

// EpollWait is epoll_wait(2) until an absolute deadline; one that is past makes
// it look once.
func (n *Net) EpollWait(t *vfs.Task, epd *vfs.Description, events []sys.EpollEvent, deadline time.Duration) (int, error) {
	if len(events) == 0 {
		return 0, sys.EINVAL
	}
	if epd.IsPath() {
		return 0, sys.EBADF
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
	ep.q.AddExclusive(w)
	defer ep.q.Remove(w)
	ep.mu.Lock()
	queues := make([]*sched.Queue, 0, len(ep.foreign))
	for _, it := range ep.foreign {
		queues = append(queues, it.key.d.File.Queue())
	}
	ep.mu.Unlock()
	for _, q := range queues {
		q.Add(w)
	}
	defer func() {
		for _, q := range queues {
			q.Remove(w)
		}
	}()
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
	ep.pollForeign()

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
		ep.q.Wake(1) // ep_done_scan: the next sleeper may have the rest
	}
	return n
}

// pollForeign looks at the files that have no watchers. ep.mu is held.
func (ep *epoll) pollForeign() {
	for _, it := range slices.Clone(ep.foreign) {
		if it.key.d.Refs() == 0 {
			ep.remove(it) // eventpoll_release
			continue
		}
		got := it.poll()
		isNew := got&^it.seen != 0
		it.seen = 0
		ep.lock.Lock()
		if it.events&sys.EPOLLET != 0 {
			it.seen = got
		}
		if isNew && !it.queued {
			it.queued = true
			ep.ready = append(ep.ready, it)
		}
		ep.lock.Unlock()
	}
}

// Ready implements vfs.File: an epoll is readable when an item is ready.
func (ep *epoll) Ready() int16 {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.lock.Lock()
	items := slices.Clone(ep.ready)
	ep.lock.Unlock()
	for _, it := range slices.Concat(items, ep.foreign) {
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

// Stat implements vfs.File: an anonymous inode.
func (ep *epoll) Stat(t *vfs.Task, st *sys.Stat) error {
	*st = sys.Stat{Dev: 13, Ino: ep.ino, Nlink: 1, Mode: 0o600, Blksize: 4096}
	return nil
}

// Release implements vfs.File.
func (ep *epoll) Release(t *vfs.Task) {
	for _, x := range ep.watch.take() {
		if it, ok := x.w.(*epollItem); ok {
			it.ep.forget(it)
		}
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	for _, it := range ep.items {
		ep.remove(it)
	}
}
