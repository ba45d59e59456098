package net

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
)

// step is one call of a random script; which of its numbers mean what is the
// call's.
type step struct {
	Op      string
	A, B, N int
}

func (st step) String() string { return fmt.Sprintf("%s %d %d %d", st.Op, st.A, st.B, st.N) }

var ops = []string{
	"conn", "conn", "unix", "seqpacket", "listener",
	"send", "send", "send", "recv", "recv", "peek", "shutdown", "close", "poll", "poll", "error", "linger",
	"connect", "connect", "accept", "accept", "names", "sendfd", "recvfd",
	"add", "add", "mod", "del", "wait", "wait", "wait",
}

func steps() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Op: rapid.SampledFrom(ops).Draw(t, "op"),
			A:  rapid.IntRange(0, 7).Draw(t, "a"),
			B:  rapid.IntRange(0, 7).Draw(t, "b"),
			N:  rapid.IntRange(0, 7).Draw(t, "n"),
		}
	}), 10, 80)
}

// play runs random steps on a kernel: on two epolls and whatever sockets the
// steps make.
func play(s *script, list []step) {
	var fds []int
	pick := func(n int) (int, bool) {
		if len(fds) == 0 {
			return 0, false
		}
		return fds[n%len(fds)], true
	}
	made := 0
	add := func(new ...int) {
		for _, fd := range new {
			if fd < 0 {
				continue
			}
			s.names[fd] = fmt.Sprint("s", made)
			made++
			fds = append(fds, fd)
		}
	}
	eps := [2]int{s.k.EpollCreate(), s.k.EpollCreate()}
	s.names[eps[0]], s.names[eps[1]] = "ep0", "ep1"
	var to []sys.SockAddr
	text := 0

	for _, st := range list {
		switch st.Op {
		case "conn":
			c, a := s.conn()
			add(c, a)
			continue
		case "unix":
			a, b := s.pair(sys.SOCK_STREAM)
			add(a, b)
			continue
		case "seqpacket":
			a, b := s.pair(sys.SOCK_SEQPACKET)
			add(a, b)
			continue
		case "listener":
			var l int
			var a sys.SockAddr
			if st.B%2 == 0 {
				l, a = s.server("l", 8)
			} else {
				a = sys.UnixAddr(fmt.Sprintf("@%s-%d", s.tag, made))
				l = s.socket("l", sys.AF_UNIX, sys.SOCK_STREAM)
				s.bind(l, a)
				s.listen(l, 8)
			}
			add(l)
			to = append(to, a)
			continue
		case "connect":
			if len(to) > 0 {
				a := to[st.A%len(to)]
				fd := s.blocking("new", a.Family, sys.SOCK_STREAM)
				add(fd)
				s.noDelay(fd)
				s.connect(fd, a)
			}
			continue
		case "wait":
			s.wait(eps[st.A%2], 1+st.N)
			continue
		}
		fd, ok := pick(st.A)
		if !ok {
			continue
		}
		switch st.Op {
		case "send":
			text++
			s.send(fd, strings.Repeat(fmt.Sprintf("<%d>", text), st.N))
		case "recv":
			s.recv(fd, 1+3*st.N)
		case "peek":
			s.peek(fd, 1+3*st.N)
		case "shutdown":
			s.shutdown(fd, st.N%3)
		case "close":
			s.close(fd)
			for i := range fds {
				if fds[i] == fd {
					fds = append(fds[:i:i], fds[i+1:]...)
					break
				}
			}
		case "poll":
			s.poll(fd)
		case "error":
			s.soError(fd)
		case "linger":
			s.result("linger", s.k.SetLinger(fd, st.N%2 == 0, 0))
		case "accept":
			new := s.accept(fd, "new")
			if add(new); new >= 0 {
				s.noDelay(new)
			}
		case "names":
			s.name(fd)
			s.peer(fd)
		case "sendfd":
			if other, ok := pick(st.B); ok && other != fd { // a socket in its own queue would never be released
				s.sendmsg(fd, "fd", eps[0])
			}
		case "recvfd":
			for _, got := range s.recvmsg(fd, 1+3*st.N, st.B%3, 0) {
				s.k.Close(got)
			}
		case "add", "mod", "del":
			op := map[string]int{"add": sys.EPOLL_CTL_ADD, "mod": sys.EPOLL_CTL_MOD, "del": sys.EPOLL_CTL_DEL}[st.Op]
			ev := []uint32{sys.EPOLLIN, sys.EPOLLOUT, sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP, sys.EPOLLIN | sys.EPOLLET,
				sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET, sys.EPOLLIN | sys.EPOLLONESHOT, 0, sys.EPOLLRDHUP}[st.N]
			s.ctl(eps[st.B%2], op, fd, ev)
		}
	}
}

// TestRandomScripts plays random scripts on both kernels.
func TestRandomScripts(t *testing.T) {
	if newHostKernel(t) == nil {
		t.Skip("there is no kernel to compare with")
	}
	rapid.Check(t, func(rt *rapid.T) {
		list := steps().Draw(rt, "steps")
		var simulated string
		onFake(t, func(k *fakeKernel) {
			s := newScript(k)
			play(s, list)
			simulated = s.log.String()
		})
		real := onReal(t, simulated, func(s *script) { play(s, list) })
		if d := cmp.Diff(strings.Split(real, "\n"), strings.Split(simulated, "\n")); d != "" {
			rt.Errorf("-real +simulated:\n%s\n%v", d, list)
		}
	})
}
