package net

import (
	"slices"
	"sync"
)

// watcher is told of events on a socket or epoll: an epoll item or a bridge.
type watcher interface {
	// notify tells of events that became true; 0 means that any may have. It
	// says whether a sleeping thread was woken. It may not take other locks
	// than those listed below watchers.mu.
	notify(events int16) bool
}

// watchers are the wait queue entries with a function of their own. (A
// sched.Queue wakes threads; it knows nothing of events, which edge-triggered
// epoll needs.)
type watchers struct {
	mu   sync.Mutex
	list []watch
}

type watch struct {
	w         watcher
	exclusive bool // EPOLLEXCLUSIVE: one of these is enough
}

func (ws *watchers) add(w watcher, exclusive bool) {
	ws.mu.Lock()
	ws.list = append(ws.list, watch{w, exclusive})
	ws.mu.Unlock()
}

func (ws *watchers) remove(w watcher) {
	ws.mu.Lock()
	ws.list = slices.DeleteFunc(ws.list, func(x watch) bool { return x.w == w })
	ws.mu.Unlock()
}

func (ws *watchers) notify(events int16) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	taken := false
	for _, x := range ws.list {
		if x.exclusive && taken {
			continue
		}
		if x.w.notify(events) && x.exclusive {
			taken = true
		}
	}
}

// take removes and returns all.
func (ws *watchers) take() []watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	list := ws.list
	ws.list = nil
	return list
}
