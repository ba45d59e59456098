package systest

import (
	"fmt"
	"slices"
	"strings"
)

// semop is one operation on a set of three.
func (g *generator) semop() string {
	op := fmt.Sprintf("%d:%d", g.choose(0, 0, 1, 2, 3), g.choose(0, 1, 1, 2, -1, -1, -2, 20000, -20000, 32767))
	return op + g.pick("", ":nowait", ":nowait", ":nowait|undo", ":undo")
}

func (g *generator) sem() string { return g.object(g.cur.sems) }
func (g *generator) shm() string { return g.object(g.cur.shms) }

func (g *generator) object(names []string) string {
	if len(names) == 0 || g.one(40) {
		return g.pick("-1", "99999999")
	}
	return names[g.IntN(len(names))]
}

func (g *generator) key() string { return g.pick("1", "1", "1", "2", "private") }

func (g *generator) ipcFlags() string {
	return g.pick("creat", "creat", "creat", "creat|excl", "-") + " " + g.pick("600", "600", "666", "660", "640", "400", "200", "0")
}

func (g *generator) newMem(m genMem) string {
	m.name = g.fresh("m")
	g.cur.mems = append(g.cur.mems, m)
	return m.name
}

// mem is the name of a mapping that may be read, or written too; or "".
func (g *generator) mem(write bool) string {
	var found []string
	for _, m := range g.cur.mems {
		if m.prot == "rw" || !write && m.prot == "r" {
			found = append(found, m.name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return found[g.IntN(len(found))]
}

func (g *generator) word() int { return g.choose(0, 0, 4, 8, 4092) }

// onMem emits a call on a mapping, if there is one.
func genMemory(write bool, call func(g *generator, mem string)) func(g *generator) {
	return func(g *generator) {
		if m := g.mem(write); m != "" {
			call(g, m)
		}
	}
}

var ipcGens = []commandGen{
	{"semget", "sem", 3, func(g *generator) {
		name := g.fresh("s")
		g.emit("semget %s %s %d %s", name, g.key(), g.choose(3, 3, 3, 1, 0, -1), g.ipcFlags())
		g.cur.sems = append(g.cur.sems, name)
	}},
	{"semop", "sem", 6, func(g *generator) {
		ops := g.semop()
		for g.one(3) {
			ops += " " + g.semop()
		}
		g.emit("semop %s %s%s", g.sem(), ops, g.pick("", " 1ms", " 0s"))
	}},
	{"semset", "sem", 2, func(g *generator) {
		g.emit("semset %s %d %d", g.sem(), g.choose(0, 1, 2, 3), g.choose(0, 1, 2, 32767, 32768, -1))
	}},
	{"semval", "sem", 2, func(g *generator) { g.emit("semval %s %d", g.sem(), g.choose(0, 1, 2, 3)) }},
	{"semperm", "sem", 1, func(g *generator) { g.emit("semperm %s %s %s %s", g.sem(), g.uid(), g.uid(), g.mode()) }},
	{"semstat", "sem", 1, func(g *generator) { g.emit("semstat %s", g.sem()) }},
	{"semrm", "sem", 1, func(g *generator) {
		if g.one(2) {
			g.emit("semrm %s", g.sem())
		}
	}},
	{"shmget", "shm", 3, func(g *generator) {
		name := g.fresh("h")
		g.emit("shmget %s %s %d %s", name, g.key(), g.choose(4096, 4096, 4096, 0, 5000), g.ipcFlags())
		g.cur.shms = append(g.cur.shms, name)
	}},
	{"shmat", "shm", 3, func(g *generator) {
		shm := g.shm()
		if g.one(3) {
			g.emit("shmat %s %s rdonly", g.newMem(genMem{prot: "r", shm: true, shared: true}), shm)
		} else {
			g.emit("shmat %s %s", g.newMem(genMem{prot: "rw", shm: true, shared: true}), shm)
		}
	}},
	{"shmdt", "shm", 1, func(g *generator) { g.unmap("shmdt", true) }},
	{"shmstat", "shm", 2, func(g *generator) { g.emit("shmstat %s", g.shm()) }},
	{"shmperm", "shm", 1, func(g *generator) { g.emit("shmperm %s %s %s %s", g.shm(), g.uid(), g.uid(), g.mode()) }},
	{"shmrm", "shm", 1, func(g *generator) { g.emit("shmrm %s", g.shm()) }},
	{"mmap", "memory", 4, func(g *generator) {
		switch fd := g.strictFd("memfd"); {
		case fd != "" && !g.one(4):
			prot := g.pick("rw", "rw", "r")
			sharing := g.pick("shared", "shared", "private")
			m := genMem{prot: prot, shared: sharing == "shared"}
			if !m.shared {
				m.prot = "none" // on Linux it shows what is written to the file later
			}
			g.emit("mmap %s %s %d %d %s %s", g.newMem(m), fd, g.choose(0, 0, 4096), 4096, prot, sharing)
		case g.one(2):
			g.emit("mmap %s minus 0 4096 rw %s", g.newMem(genMem{prot: "rw", shared: true}), g.pick("shared|anon", "private|anon"))
		default:
			// It may be any file, which is not touched.
			m := g.newMem(genMem{prot: "none"})
			fd := g.anyFd()
			if k := g.kind(fd); k == "tcp" || k == "other" || k == "gift" {
				return // tcp_mmap is not simulated
			}
			g.emit("mmap %s %s %d %d %s %s", m, fd, g.choose(0, 0, 4096, 1, -4096), g.choose(4096, 1, 0), g.pick("r", "rw", "w", "none"), g.pick("shared", "private", "-"))
		}
	}},
	{"munmap", "memory", 1, func(g *generator) { g.unmap("munmap", false) }},
	{"load", "memory", 3, genMemory(false, func(g *generator, m string) { g.emit("load %s %d", m, g.word()) })},
	{"store", "memory", 3, genMemory(true, func(g *generator, m string) { g.emit("store %s %d %d", m, g.word(), g.IntN(5)) })},
	{"add", "memory", 2, genMemory(true, func(g *generator, m string) { g.emit("add %s %d %d", m, g.word(), g.IntN(5)) })},
	{"cas", "memory", 2, genMemory(true, func(g *generator, m string) {
		g.emit("cas %s %d %d %d", m, g.word(), g.IntN(3), g.IntN(5))
	})},
	{"futexwait", "memory", 2, genMemory(false, func(g *generator, m string) {
		g.emit("futexwait %s %d %d%s", m, g.choose(0, 0, 4, 4092), g.IntN(4), g.pick(" 1ms", " 1ms", "", " 0s"))
	})},
	{"futexwake", "memory", 3, genMemory(false, func(g *generator, m string) {
		g.emit("futexwake %s %d %d", m, g.choose(0, 0, 4, 4092), g.choose(1, 1, 2, 9, 0))
	})},
}

func (g *generator) uid() string { return g.pick("0", "1000", "1000", "1001", "65534", "-1") }

// unmap emits the end of a mapping, after which nobody touches it.
func (g *generator) unmap(cmd string, shm bool) {
	i := slices.IndexFunc(g.cur.mems, func(m genMem) bool { return m.shm == shm })
	if i < 0 {
		return
	}
	g.emit("%s %s", cmd, g.cur.mems[i].name)
	g.cur.mems = slices.Delete(g.cur.mems, i, i+1)
}

// unixPath is where Unix sockets are.
func (g *generator) unixPath() string {
	return g.pick("@n", "@m", "s", "t", "a/s", "@n", "s", g.path(), "unnamed", "none")
}

func (g *generator) addr(fd string) string {
	switch g.kind(fd) {
	case "tcp", "udp":
		if g.reuse {
			return g.pick("127.0.0.1:0", "0.0.0.0:0")
		}
		return g.pick("127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0", "127.0.0.2:0", "10.255.255.1:0", "127.0.0.1:80", g.port("127.0.0.1"), g.port("127.0.0.1"),
			g.port("[::1]"), g.port("0.0.0.0"), g.port("[::ffff:127.0.0.1]"))
	}
	return g.unixPath()
}

// port is an address with a port that a result had before, if it did.
func (g *generator) port(host string) string { return fmt.Sprintf("%s:$port%d", host, 1+g.IntN(3)) }

func (g *generator) events() string {
	return g.pick("in", "in", "out", "in|out", "in|out|rdhup", "-", "pri", "rdhup", "in|out|hup|err")
}

func (g *generator) msg() string {
	return g.pick("-", "-", "dontwait", "dontwait", "dontwait", "nosignal|dontwait")
}

// opt is a socket option by level and name.
func (g *generator) opt() string {
	return g.pick("socket REUSEADDR", "socket KEEPALIVE", "tcp NODELAY", "ipv6 V6ONLY", "socket 9999", "9999 1", "socket ACCEPTCONN", "socket TYPE")
}

var socketGens = []commandGen{
	{"socket", "sockets", 8, func(g *generator) {
		switch g.IntN(8) {
		case 0, 1:
			g.emit("socket %s unix %s", g.newFd("stream"), g.pick("stream|nonblock", "stream|nonblock|cloexec", "stream", "seqpacket|nonblock"))
		case 2:
			g.emit("socket %s unix dgram%s", g.newFd("dgram"), g.pick("|nonblock", ""))
		case 3, 4:
			g.tcp(g.pick("inet", "inet", "inet6"))
		case 5:
			g.emit("socket %s %s dgram|nonblock", g.newFd("udp"), g.pick("inet", "inet6"))
		case 6:
			g.emit("socket %s %s %s %d", g.newFd("other"), g.pick("unix", "inet", "bad"), g.pick("stream", "dgram", "seqpacket", "bad"), g.choose(0, 0, 7, 6, 17))
		default:
			g.serve()
		}
	}},
	{"bind", "sockets", 4, func(g *generator) {
		fd := g.fd(sockKinds...)
		g.emit("bind %s %s", fd, g.addr(fd))
		if k := g.kind(fd); k == "tcp" || k == "udp" {
			g.emit("sockname %s", fd)
		}
	}},
	{"bindto", "sockets", 1, func(g *generator) { g.emit("bindto %s %s", g.fd(sockKinds...), g.fd(sockKinds...)) }},
	{"listen", "sockets", 3, func(g *generator) {
		g.emit("listen %s%s", g.fd("stream", "tcp", "listen"), g.pick("", "", " 0", " 1", " -1"))
	}},
	{"accept", "sockets", 4, func(g *generator) {
		fd := g.fd("listen", "stream", "tcp")
		kind := g.kind(fd)
		if kind == "" {
			kind = "other"
		}
		g.emit("accept %s %s %s", g.newFd(kind), fd, g.pick("nonblock", "nonblock|cloexec", "-", "nonblock"))
	}},
	{"connect", "sockets", 6, func(g *generator) {
		fd := g.fd(sockKinds...)
		if k := g.kind(fd); g.reuse && (k == "tcp" || k == "udp" || k == "other" || k == "gift" || k == "") {
			return
		}
		g.emit("connect %s %s", fd, g.addr(fd))
	}},
	{"sockname", "sockets", 2, func(g *generator) { g.emit("sockname %s", g.fd(sockKinds...)) }},
	{"peername", "sockets", 2, func(g *generator) { g.emit("peername %s", g.fd(sockKinds...)) }},
	{"setopt", "sockets", 2, func(g *generator) {
		fd, opt := g.fd(sockKinds...), g.opt()
		v := g.choose(0, 1, 2)
		switch {
		case strings.HasSuffix(opt, "NODELAY"):
			v = 1 // else it would depend on time what is received together
		case g.reuse && strings.HasSuffix(opt, "REUSEADDR"):
			opt = "socket REUSEPORT"
		}
		g.emit("setopt %s %s %d", fd, opt, v)
	}},
	{"getopt", "sockets", 2, func(g *generator) {
		g.emit("getopt %s %s", g.fd(sockKinds...), g.pick(g.opt(), "socket ERROR", "socket ERROR", "socket REUSEPORT", "tcp CORK"))
	}},
	{"timeo", "sockets", 1, func(g *generator) {
		g.emit("timeo %s %s %s", g.fd(sockKinds...), g.pick("RCVTIMEO", "SNDTIMEO", "RCVTIMEO"), g.pick("1ms", "2ms", "0s", "1ms"))
	}},
	{"shutdown", "sockets", 2, func(g *generator) {
		g.emit("shutdown %s %s", g.fd(sockKinds...), g.pick("rd", "wr", "rdwr", "bad", "wr"))
	}},
	{"socketpair", "sockets", 4, func(g *generator) {
		kind, typ := "pair", "stream"
		if g.one(3) {
			kind, typ = "seq", "seqpacket"
		}
		if g.one(4) {
			kind, typ = "dgram", "dgram"
		}
		if g.one(20) {
			kind, typ = "other", "bad"
		}
		g.emit("socketpair %s %s unix %s%s", g.newFd(kind), g.newFd(kind), typ, g.pick("|nonblock", "|nonblock", "|nonblock|cloexec", ""))
	}},
	{"sendfile", "sockets", 2, func(g *generator) {
		in := g.fd(fileKinds...)
		if slices.Contains(sockKinds, g.kind(in)) || g.kind(in) == "gift" || g.kind(in) == "other" {
			return // from a socket to a pipe is not simulated
		}
		g.emit("sendfile %s %s %d %d", g.fd(writeKinds...), in, g.choose(-1, -1, 0, 2, -5), g.choose(0, 1, 10, 5000))
	}},
	{"send", "sockets", 4, func(g *generator) { g.emit("send %s %s %s", g.fd(writeKinds[2:8]...), g.text(), g.msg()) }},
	{"recv", "sockets", 4, func(g *generator) {
		g.emit("recv %s %d %s", g.fd(sockKinds...), g.choose(0, 1, 3, 100, 9000), g.pick(g.msg(), "peek|dontwait", "trunc|dontwait", "dontwait"))
	}},
	{"recvtimeout", "sockets", 1, func(g *generator) {
		g.emit("recvtimeout %s %d %s", g.fd(sockKinds...), g.choose(1, 100), g.pick("1ms", "0s"))
	}},
	{"sendmsg", "sockets", 3, func(g *generator) {
		// Sockets in flight over sockets are collected when the kernel likes to.
		var fds []string
		for range g.IntN(4) {
			if fd := g.strictFd("file", "dir", "path", "memfd", "r", "w"); fd != "" {
				fds = append(fds, fd)
			}
		}
		if len(fds) == 0 {
			fds = append(fds, g.pick("-", "-", "bad"))
		}
		g.emit("sendmsg %s %s %s %s", g.fd("pair", "seq", "stream", "dgram"), g.text(), strings.Join(fds, ","), g.msg())
	}},
	{"recvmsg", "sockets", 3, func(g *generator) {
		var names []string
		fd := g.fd("pair", "seq", "stream", "dgram")
		for range g.IntN(4) {
			names = append(names, g.newFd("gift"))
		}
		if len(names) == 0 {
			names = append(names, "-")
		}
		g.emit("recvmsg %s %d %s %s", fd, g.choose(0, 1, 3, 100, 9000), strings.Join(names, ","), g.pick("dontwait", "dontwait", "dontwait|cloexec", "-", "dontwait|peek"))
	}},
	{"poll", "poll", 3, func(g *generator) {
		var fds []string
		for range 1 + g.IntN(4) {
			fds = append(fds, g.anyFd()+":"+g.events())
		}
		g.emit("poll %s %s", strings.Join(fds, " "), g.pick("0s", "0s", "0s", "1ms", "inf"))
	}},
	{"ready", "poll", 6, func(g *generator) { g.emit("ready %s", g.anyFd()) }},
	{"epoll", "poll", 2, func(g *generator) { g.emit("epoll %s%s", g.newFd("epoll"), g.pick("", "", " cloexec", " 5")) }},
	{"epollctl", "poll", 7, func(g *generator) {
		ev := g.events() + g.pick("", "", "", "|et", "|oneshot", "|et|oneshot", "|exclusive")
		g.emit("epollctl %s %s %s %s", g.fd("epoll"), g.pick("add", "add", "add", "mod", "del", "bad"), g.anyFd(), ev)
	}},
	{"epollwait", "poll", 6, func(g *generator) {
		g.emit("epollwait %s %s %s", g.fd("epoll"), g.pick("20", "20", "20", "20", "0", "10"), g.pick("0s", "0s", "1ms"))
	}},
}

// tcp emits a new TCP socket, which does not wait to send little.
func (g *generator) tcp(domain string) string {
	fd := g.newFd("tcp")
	g.emit("socket %s %s stream%s", fd, domain, g.pick("|nonblock", "|nonblock", ""))
	g.then("setopt %s tcp NODELAY 1", fd)
	return fd
}

// serve emits a listening socket, and often a connection to it.
func (g *generator) serve() {
	if g.one(2) {
		l := g.newFd("listen")
		name := g.pick("@n", "@m", "s", "t")
		g.emit("socket %s unix %s|nonblock", l, g.pick("stream", "stream", "seqpacket"))
		g.emit("bind %s %s", l, name)
		g.emit("listen %s", l)
		if g.one(2) {
			c, n := g.newFd("stream"), g.newFd("stream")
			g.emit("socket %s unix stream|nonblock", c)
			g.emit("connect %s %s", c, name)
			g.emit("accept %s %s nonblock", n, l)
		}
		return
	}
	l := g.tcp("inet")
	g.emit("bind %s 127.0.0.1:0", l)
	g.emit("sockname %s", l)
	g.emit("listen %s", l)
	if g.one(2) && !g.reuse {
		c, n := g.tcp("inet"), g.newFd("tcp")
		g.emit("connect %s 127.0.0.1:$port1", c)
		g.emit("accept %s %s nonblock", n, l)
	}
}
