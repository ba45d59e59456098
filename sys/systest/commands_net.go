package systest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

var (
	domains = map[string]int{"unix": sys.AF_UNIX, "inet": sys.AF_INET, "inet6": sys.AF_INET6, "bad": 77}
	types   = map[string]int{"stream": sys.SOCK_STREAM, "dgram": sys.SOCK_DGRAM, "seqpacket": sys.SOCK_SEQPACKET,
		"nonblock": sys.SOCK_NONBLOCK, "cloexec": sys.SOCK_CLOEXEC, "bad": 9}
	levels   = map[string]int{"socket": sys.SOL_SOCKET, "tcp": sys.IPPROTO_TCP, "ipv6": sys.IPPROTO_IPV6, "ip": sys.IPPROTO_IP}
	sockopts = map[string]int{
		"REUSEADDR": sys.SO_REUSEADDR, "TYPE": sys.SO_TYPE, "ERROR": sys.SO_ERROR, "KEEPALIVE": sys.SO_KEEPALIVE,
		"REUSEPORT": sys.SO_REUSEPORT, "RCVTIMEO": sys.SO_RCVTIMEO, "SNDTIMEO": sys.SO_SNDTIMEO, "ACCEPTCONN": sys.SO_ACCEPTCONN,
		"V6ONLY": sys.IPV6_V6ONLY, "NODELAY": sys.TCP_NODELAY, "CORK": sys.TCP_CORK, "DEFER_ACCEPT": sys.TCP_DEFER_ACCEPT,
	}
	shutdowns = map[string]int{"rd": sys.SHUT_RD, "wr": sys.SHUT_WR, "rdwr": sys.SHUT_RDWR, "bad": 5}
	msgFlags  = map[string]int{"peek": sys.MSG_PEEK, "dontwait": sys.MSG_DONTWAIT, "nosignal": sys.MSG_NOSIGNAL,
		"more": sys.MSG_MORE, "cloexec": sys.MSG_CMSG_CLOEXEC, "ctrunc": sys.MSG_CTRUNC, "trunc": sys.MSG_TRUNC}
)

// addr is an address: 127.0.0.1:80, [::1]:80, @abstract, or a path.
func (a *agent) addr(s string) sys.SockAddr {
	if name, ok := strings.CutPrefix(s, "@"); ok {
		return sys.UnixAddr(a.abstract() + name)
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return sys.InetAddr(ap)
	}
	switch {
	case strings.Contains(s, "$"):
		panic(scriptError("unknown, a name is known on the next line: " + s))
	case s == "none":
		return sys.SockAddr{}
	case s == "unnamed":
		return sys.UnixAddr("")
	}
	return sys.UnixAddr(s)
}

// abstract begins this case's abstract names, which all cases share.
func (a *agent) abstract() string { return "@systest." + strconv.Itoa(a.keys) + "." }

// addrString is an address with the port by name.
func (a *agent) addrString(s sys.SockAddr) string {
	switch s.Family {
	case sys.AF_INET, sys.AF_INET6:
		if s.Addr.Port() < 1024 {
			return s.Addr.String()
		}
		return strings.TrimSuffix(s.Addr.String(), strconv.Itoa(int(s.Addr.Port()))) + fmt.Sprintf("<port %d>", s.Addr.Port())
	case sys.AF_UNIX:
		if s.Path == "" {
			return "unnamed"
		}
		if name, ok := strings.CutPrefix(s.Path, a.abstract()); ok {
			return "@" + name
		}
		if strings.HasPrefix(s.Path, "@") {
			return "@autobound"
		}
		return s.Path
	}
	return "none"
}

// socketCommands are the calls of sys.Net.
var socketCommands = map[string]command{
	// socket NAME DOMAIN TYPE [PROTO]
	"socket": func(a *agent, w args) string {
		fd, err := a.s.Socket(w.flags(1, domains), w.flags(2, types), w.optNum(3, 0))
		return a.newFd(w.str(0), fd, err)
	},
	"bind": func(a *agent, w args) string { return ok(a.s.Bind(a.fd(w.str(0)), a.addr(w.str(1)))) },
	// bindto FD OTHER binds to the address of another socket.
	"bindto": func(a *agent, w args) string {
		addr, err := a.s.Getsockname(a.fd(w.str(1)))
		if err != nil {
			return "sockname " + errName(err)
		}
		return ok(a.s.Bind(a.fd(w.str(0)), addr))
	},
	"listen": func(a *agent, w args) string { return ok(a.s.Listen(a.fd(w.str(0)), w.optNum(1, 16))) },
	// accept NAME FD [FLAGS]
	"accept": func(a *agent, w args) string {
		fd, peer, err := a.s.Accept4(a.fd(w.str(1)), w.optFlags(2, types))
		if err == nil {
			a.fds[w.str(0)] = fd
		}
		return val(a.addrString(peer), err)
	},
	"connect": func(a *agent, w args) string { return ok(a.s.Connect(a.fd(w.str(0)), a.addr(w.str(1)))) },
	"sockname": func(a *agent, w args) string {
		s, err := a.s.Getsockname(a.fd(w.str(0)))
		return val(a.addrString(s), err)
	},
	"peername": func(a *agent, w args) string {
		s, err := a.s.Getpeername(a.fd(w.str(0)))
		return val(a.addrString(s), err)
	},
	// setopt FD LEVEL OPTION VALUE
	"setopt": func(a *agent, w args) string {
		return ok(a.s.SetsockoptInt(a.fd(w.str(0)), w.flags(1, levels), w.flags(2, sockopts), w.num(3)))
	},
	"getopt": func(a *agent, w args) string {
		v, err := a.s.GetsockoptInt(a.fd(w.str(0)), w.flags(1, levels), w.flags(2, sockopts))
		if w.str(2) == "ERROR" && err == nil && v != 0 {
			return sys.ErrnoName(sys.Errno(v))
		}
		return val(v, err)
	},
	// timeo FD OPTION TIMEOUT
	"timeo": func(a *agent, w args) string {
		return ok(a.s.SetsockoptTimeval(a.fd(w.str(0)), sys.SOL_SOCKET, w.flags(1, sockopts), duration(w.str(2))))
	},
	"shutdown": func(a *agent, w args) string { return ok(a.s.Shutdown(a.fd(w.str(0)), w.flags(1, shutdowns))) },
	// socketpair A B DOMAIN TYPE
	"socketpair": func(a *agent, w args) string {
		x, y, err := a.s.Socketpair(w.flags(2, domains), w.flags(3, types), w.optNum(4, 0))
		if err == nil {
			a.fds[w.str(0)], a.fds[w.str(1)] = x, y
		}
		return ok(err)
	},
}

// messageCommands are the calls of sys.Messages.
var messageCommands = map[string]command{
	// sendfile OUT IN OFF COUNT
	"sendfile": func(a *agent, w args) string {
		return val(a.s.Sendfile(a.fd(w.str(0)), a.fd(w.str(1)), int64(w.num(2)), w.num(3)))
	},
	"send": func(a *agent, w args) string {
		return val(a.s.Send(a.fd(w.str(0)), []byte(w.str(1)), w.optFlags(2, msgFlags)))
	},
	"recv": func(a *agent, w args) string {
		p := make([]byte, w.num(1))
		n, err := a.s.Recv(a.fd(w.str(0)), p, w.optFlags(2, msgFlags))
		return data(p, n, err)
	},
	// recvtimeout FD SIZE TIMEOUT
	"recvtimeout": func(a *agent, w args) string {
		p := make([]byte, w.num(1))
		n, err := a.s.RecvTimeout(a.fd(w.str(0)), p, duration(w.str(2)))
		return data(p, n, err)
	},
	// sendmsg FD TEXT FD,FD... [FLAGS]
	"sendmsg": func(a *agent, w args) string {
		var fds []int
		if w.str(2) != "-" {
			for name := range strings.SplitSeq(w.str(2), ",") {
				fds = append(fds, a.fd(name))
			}
		}
		return val(a.s.Sendmsg(a.fd(w.str(0)), []byte(w.str(1)), fds, w.optFlags(3, msgFlags)))
	},
	// recvmsg FD SIZE NAME,NAME... [FLAGS]: so many descriptors are received at most.
	"recvmsg": func(a *agent, w args) string {
		var names []string
		if w.str(2) != "-" {
			names = strings.Split(w.str(2), ",")
		}
		fds := make([]int, len(names))
		p := make([]byte, w.num(1))
		n, nfds, flags, err := a.s.Recvmsg(a.fd(w.str(0)), p, fds, w.optFlags(3, msgFlags))
		if err != nil {
			return errName(err)
		}
		for i := range nfds {
			a.fds[names[i]] = fds[i]
		}
		s := fmt.Sprintf("%q %d fds", p[:n], nfds)
		if flags&sys.MSG_TRUNC != 0 {
			s += " trunc"
		}
		if flags&sys.MSG_CTRUNC != 0 {
			s += " ctrunc"
		}
		return s
	},
}

var events = []struct {
	name string
	bit  int
}{
	{"in", sys.POLLIN}, {"pri", sys.POLLPRI}, {"out", sys.POLLOUT}, {"err", sys.POLLERR}, {"hup", sys.POLLHUP},
	{"nval", sys.POLLNVAL}, {"rdhup", sys.POLLRDHUP},
	{"et", sys.EPOLLET}, {"oneshot", sys.EPOLLONESHOT}, {"exclusive", sys.EPOLLEXCLUSIVE},
}

var eventBits = func() map[string]int {
	m := map[string]int{}
	for _, e := range events {
		m[e.name] = e.bit
	}
	return m
}()

func eventString(bits int) string {
	var names []string
	for _, e := range events {
		if bits&e.bit != 0 {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "|")
}

// pollCommands are the calls of sys.Poller.
var pollCommands = map[string]command{
	// poll FD:EVENTS... TIMEOUT, "inf" for none
	"poll": func(a *agent, w args) string {
		fds := make([]sys.PollFd, len(w)-1)
		for i := range fds {
			name, ev, _ := strings.Cut(w.str(i), ":")
			fds[i] = sys.PollFd{Fd: int32(a.fd(name)), Events: int16(flagsOf(ev, eventBits))}
		}
		var n int
		err := sys.Retry(func() (err error) { // a signal may be what is waited for
			n, err = a.s.Poll(fds, timeoutOf(w.str(len(w)-1)))
			return err
		})
		if err != nil {
			return errName(err)
		}
		s := strconv.Itoa(n)
		for i := range fds {
			name, _, _ := strings.Cut(w.str(i), ":")
			if fds[i].Revents != 0 {
				s += " " + name + ":" + eventString(int(uint16(fds[i].Revents)))
			}
		}
		return s
	},
	// ready FD is all that poll(2) says of it at once.
	"ready": func(a *agent, w args) string {
		fds := []sys.PollFd{{Fd: int32(a.fd(w.str(0))), Events: sys.POLLIN | sys.POLLPRI | sys.POLLOUT | sys.POLLRDHUP}}
		_, err := a.s.Poll(fds, 0)
		return val(eventString(int(uint16(fds[0].Revents))), err)
	},
}

func timeoutOf(s string) time.Duration {
	if s == "inf" {
		return -1
	}
	return duration(s)
}

// epollCommands are the calls of sys.Epoll.
var epollCommands = map[string]command{
	"epoll": func(a *agent, w args) string {
		fd, err := a.s.EpollCreate1(w.optFlags(1, openFlags))
		return a.newFd(w.str(0), fd, err)
	},
	// epollctl EP add|mod|del FD EVENTS
	"epollctl": func(a *agent, w args) string {
		op := w.flags(1, map[string]int{"add": sys.EPOLL_CTL_ADD, "mod": sys.EPOLL_CTL_MOD, "del": sys.EPOLL_CTL_DEL, "bad": 9})
		fd := a.fd(w.str(2))
		return ok(a.s.EpollCtl(a.fd(w.str(0)), op, fd, sys.EpollEvent{Events: uint32(w.optFlags(3, eventBits)), Fd: int32(fd)}))
	},
	// epollwait EP MAX TIMEOUT
	"epollwait": func(a *agent, w args) string {
		ev := make([]sys.EpollEvent, w.num(1))
		n, err := a.s.EpollWait(a.fd(w.str(0)), ev, timeoutOf(w.str(2)))
		if err != nil {
			return errName(err)
		}
		words := []string{strconv.Itoa(n)}
		for _, e := range ev[:n] {
			words = append(words, a.fdName(int(e.Fd))+":"+eventString(int(e.Events)))
		}
		slices.Sort(words[1:]) // their order is nobody's promise
		return strings.Join(words, " ")
	},
}

// fdName is the first name, in alphabetical order, of a descriptor.
func (a *agent) fdName(fd int) string {
	best := strconv.Itoa(fd)
	found := false
	for name, n := range a.fds {
		if n == fd && (!found || name < best) {
			best, found = name, true
		}
	}
	return best
}
