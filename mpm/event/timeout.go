package event

import "time"

// The queues of connections that wait, as httpd's event has them: in each, all
// have the same timeout, so that who comes last ends last, and a queue is a
// list in the order of its deadlines.
const (
	noQueue int8 = iota - 1
	reading
	writing
	keepAlive
	lingering
	queues
)

// queue is one list.
type queue struct {
	timeout    time.Duration
	head, tail *conn
	n          int
}

// append puts c at the end of a queue, from now on.
func (l *loop) append(c *conn, queue int8) {
	q := &l.queues[queue]
	c.queue = queue
	c.deadline = l.now + q.timeout
	c.prev = q.tail
	if q.tail != nil {
		q.tail.next = c
	} else {
		q.head = c
	}
	q.tail = c
	q.n++
}

// remove takes c out of its queue, if it is in one.
func (l *loop) remove(c *conn) {
	if c.queue == noQueue {
		return
	}
	q := &l.queues[c.queue]
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.tail = c.prev
	}
	c.prev, c.next, c.queue = nil, nil, noQueue
	q.n--
}

// patience is how long the next turn may wait for events; negative: for ever.
func (l *loop) patience() time.Duration {
	until := time.Duration(-1)
	if l.pausedTil != 0 {
		until = l.pausedTil
	}
	for i := range l.queues {
		if c := l.queues[i].head; c != nil && (until < 0 || c.deadline < until) {
			until = c.deadline
		}
	}
	if until < 0 {
		return -1
	}
	return max(0, until-l.now) + granularity
}

// expire ends what has waited too long.
func (l *loop) expire() {
	if l.pausedTil != 0 && l.pausedTil <= l.now {
		l.pausedTil = 0
	}
	for i := range l.queues {
		for {
			c := l.queues[i].head
			if c == nil || c.deadline > l.now {
				break
			}
			if int8(i) == reading && c.State != nil {
				// Something of a request is there.
				l.settle(c, l.Async.Late(&c.AsyncConn, l.wall))
			} else {
				l.close(c)
			}
		}
	}
}
