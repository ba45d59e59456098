package net

import (
	"errors"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// PollItem is struct pollfd with the description of the descriptor. Desc is nil
// for a descriptor that is not open: its event is POLLNVAL. (Negative
// descriptors, which poll ignores, have no item.)
type PollItem struct {
	Desc    *vfs.Description
	Events  int16
	Revents int16
}

// Poll is ppoll(2) without a signal mask: it fills Revents and says how many
// items have some. deadline is absolute; one that is past makes it look once. It
// is here and not in vfs because it is one of the three ways to wait for
// sockets.
func Poll(t *vfs.Task, items []PollItem, deadline time.Duration) (n int, err error) {
	if n = check(items); n > 0 || t.Thread.Now() >= deadline {
		return n, nil
	}
	w := t.Thread.NewWaiter()
	queues := make([]*sched.Queue, 0, len(items))
	for _, it := range items {
		if q := it.Desc.File.Queue(); q != nil {
			queues = append(queues, q)
		}
	}
	for _, q := range queues {
		q.Add(w)
	}
	defer func() {
		for _, q := range queues {
			q.Remove(w)
		}
	}()
	for {
		if n = check(items); n > 0 {
			return n, nil
		}
		if err := t.Thread.Sleep(w, deadline); errors.Is(err, sys.ETIMEDOUT) {
			return check(items), nil
		} else if err != nil {
			return 0, err
		}
	}
}

func check(items []PollItem) (n int) {
	for i := range items {
		it := &items[i]
		it.Revents = sys.POLLNVAL
		if it.Desc != nil && !it.Desc.IsPath() {
			it.Revents = it.Desc.Ready() & (it.Events | sys.POLLERR | sys.POLLHUP)
		}
		if it.Revents != 0 {
			n++
		}
	}
	return n
}
