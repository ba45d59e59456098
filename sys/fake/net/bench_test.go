package net

import (
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// benchmark runs fn in one thread of a free-running machine.
func benchmark(b *testing.B, fn func(t *vfs.Task, n *Net)) {
	s := sched.New(sched.FreeRunning, 1)
	tree := vfs.New(time.Unix(0, 0))
	n := New(tree)
	done := make(chan struct{})
	s.Go(1, "bench", nil, func(th *sched.Thread) {
		defer close(done)
		fn(newTask(th, tree, 1), n)
	})
	<-done
	s.Stop()
}

// BenchmarkWriteRead is one KiB through a socket, without a switch of threads.
func BenchmarkWriteRead(b *testing.B) {
	benchmark(b, func(t *vfs.Task, n *Net) {
		x, y, err := n.Socketpair(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
		if err != nil {
			b.Error(err)
			return
		}
		p := make([]byte, 1024)
		b.ReportAllocs()
		b.SetBytes(1024)
		for b.Loop() {
			x.Write(t, p)
			y.Read(t, p)
		}
	})
}

// BenchmarkConnection is connect, accept, a byte, and close of both ends.
func BenchmarkConnection(b *testing.B) {
	benchmark(b, func(t *vfs.Task, n *Net) {
		l, _ := n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
		if err := n.Bind(t, l, at(80)); err != nil {
			b.Error(err)
		}
		if err := n.Listen(t, l, 16); err != nil {
			b.Error(err)
		}
		p := make([]byte, 1)
		b.ReportAllocs()
		for b.Loop() {
			c, _ := n.Socket(t, sys.AF_INET, sys.SOCK_STREAM, 0)
			if err := n.Connect(t, c, at(80)); err != nil {
				b.Error(err)
				return
			}
			a, _, _ := n.Accept(t, l, 0)
			c.Write(t, p)
			a.Read(t, p)
			c.Decref(t)
			a.Decref(t)
		}
	})
}

// BenchmarkEpoll is a byte that makes one of a thousand sockets ready.
func BenchmarkEpoll(b *testing.B) {
	benchmark(b, func(t *vfs.Task, n *Net) {
		ep := n.EpollCreate()
		var ends, others []*vfs.Description
		for i := range 1000 {
			x, y, _ := n.Socketpair(t, sys.AF_UNIX, sys.SOCK_STREAM, 0)
			if err := n.EpollCtl(t, ep, sys.EPOLL_CTL_ADD, i, x, sys.EpollEvent{Events: sys.EPOLLIN, Fd: int32(i)}); err != nil {
				b.Error(err)
			}
			ends, others = append(ends, x), append(others, y)
		}
		p, evs := make([]byte, 1), make([]sys.EpollEvent, 8)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 7) % 1000
			others[i].Write(t, p)
			if k, err := n.EpollWait(t, ep, evs, sched.Forever); k != 1 || err != nil {
				b.Error(k, err)
				return
			}
			ends[evs[0].Fd].Read(t, p)
			n.EpollWait(t, ep, evs, 0)
		}
	})
}
