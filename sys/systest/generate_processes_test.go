package systest

import (
	"fmt"
	"slices"
	"strings"
)

func (g *generator) capNames() string {
	if g.one(3) {
		return g.pick("none", "all")
	}
	names := []string{g.pick("chown", "fowner", "kill", "setuid")}
	for _, c := range capNames {
		if g.one(3) && c.name != names[0] {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ",")
}

func (g *generator) capName() string { return capNames[g.IntN(len(capNames))].name }

// process is somebody, as an argument.
func (g *generator) process() string {
	p := g.procs[g.IntN(len(g.procs))]
	if c := g.cur.children; len(c) > 0 && g.one(2) {
		p = c[g.IntN(len(c))]
	}
	return p.name
}

// harmless are signals that kill nobody.
var harmless = []string{"0", "0", "CHLD", "CONT", "WINCH", "URG"}

// deadly are signals that kill, or may.
var deadly = []string{"TERM", "KILL", "HUP", "INT"}

func (g *generator) family() []string {
	return []string{"0", "pid:" + g.process(), "pid:" + g.process()}
}

var processGens = []commandGen{
	{"ids", "creds", 1, func(g *generator) { g.emit("ids") }},
	{"uids", "creds", 1, func(g *generator) { g.emit("uids") }},
	{"gids", "creds", 1, func(g *generator) { g.emit("gids") }},
	{"setresuid", "creds", 2, func(g *generator) { g.emit("setresuid %s %s %s", g.id(), g.id(), g.id()) }},
	{"setresgid", "creds", 2, func(g *generator) { g.emit("setresgid %s %s %s", g.id(), g.id(), g.id()) }},
	{"groups", "creds", 1, func(g *generator) { g.emit("groups") }},
	{"setgroups", "creds", 1, func(g *generator) { g.emit("setgroups%s", g.pick("", " 1000", " 1001 1002", " 0 5 5", " -1")) }},
	{"caps", "creds", 1, func(g *generator) { g.emit("caps") }},
	{"capset", "creds", 2, func(g *generator) {
		e := g.capNames()
		g.emit("capset %s %s %s", e, g.pick(e, e, e, "all", g.capNames()), g.pick("none", "none", e, g.capNames()))
	}},
	{"bounding", "creds", 1, func(g *generator) { g.emit("bounding %s", g.pick(g.capName(), g.capName(), "63", "64")) }},
	{"drop", "creds", 1, func(g *generator) { g.emit("drop %s", g.pick(g.capName(), g.capName(), "64")) }},
	{"prctl", "creds", 2, func(g *generator) {
		g.emit("prctl %s", g.pick("PR_GET_DUMPABLE", "PR_SET_DUMPABLE 0", "PR_SET_DUMPABLE 1", "PR_SET_DUMPABLE 2", "PR_SET_NO_NEW_PRIVS 1",
			"PR_SET_NO_NEW_PRIVS 0", "PR_GET_NO_NEW_PRIVS", "PR_GET_NO_NEW_PRIVS 1", "PR_SET_PDEATHSIG 15", "PR_SET_PDEATHSIG 0", "PR_SET_PDEATHSIG 99"))
	}},
	{"getpid", "procs", 1, func(g *generator) { g.emit("getpid") }},
	{"gettid", "procs", 1, func(g *generator) { g.emit("gettid") }},
	{"getppid", "procs", 1, func(g *generator) { g.emit("getppid") }},
	{"spawn", "procs", 3, func(g *generator) { g.spawn("") }},
	{"program", "procs", 1, func(g *generator) {
		if !g.one(8) || g.small { // a copy of a few MB
			return
		}
		p := "prog" + g.fresh("")
		fd := g.fresh("f") // nothing else is done with it: its size is not the simulated one's
		g.emit("program %s %s", p, g.pick("755", "4755", "2755", "6755", "700", "644"))
		g.emit("chown %s %s %s", p, g.id(), g.id())
		g.emit("chmod %s %s", p, g.pick("755", "4755", "2755", "6755", "711"))
		g.emit("open %s %s %s", fd, p, g.pick("path", "r", "path|cloexec"))
		g.spawn(" exe " + fd)
		g.emit("close %s", fd)
		g.emit("unlink %s", p)
	}},
	{"waitpid", "procs", 3, func(g *generator) {
		g.emit("waitpid %s%s", g.pick("any", "any", "pid:"+g.process(), "0", "pgrp:"+g.process()), g.pick(" nohang", " nohang", ""))
	}},
	{"exit", "procs", 1, func(g *generator) {
		if len(g.procs) > 2 && g.one(2) {
			g.emit("exit %d", g.choose(0, 1, 3, 255, 256))
			g.died(g.cur)
		}
	}},
	{"setpgid", "procs", 2, func(g *generator) {
		g.emit("setpgid %s %s", g.pick(g.family()...), g.pick(append(g.family(), "pgrp:"+g.process(), "-1")...))
	}},
	{"getpgid", "procs", 1, func(g *generator) { g.emit("getpgid %s", g.pick(g.family()...)) }},
	{"setsid", "procs", 1, func(g *generator) { g.emit("setsid") }},
	{"getrlimit", "procs", 1, func(g *generator) { g.emit("getrlimit %s", g.pick("fsize", "core", "nproc", "nofile", "99")) }},
	{"setrlimit", "procs", 1, func(g *generator) {
		switch g.IntN(4) {
		case 0:
			if !g.cur.signals {
				g.cur.limited = true
				n := g.choose(3, 6, 8, 12, 20)
				g.emit("setrlimit nofile %d %s", n, g.pick("=", fmt.Sprint(n), "2", "inf"))
			}
		case 1: // memory files have 8192 bytes
			g.small = true
			g.emit("setrlimit fsize %s %s", g.pick("9000", "10000", "inf"), g.pick("=", "20000", "inf"))
		case 2:
			g.emit("setrlimit core %s %s", g.pick("0", "1000", "inf"), g.pick("=", "2000"))
		case 3: // the Go runtime needs its threads
			g.emit("setrlimit nproc = =")
		}
	}},
	{"kill", "signals", 4, func(g *generator) {
		to, sig := g.process(), g.pick(harmless...)
		switch g.IntN(8) {
		case 0:
			g.emit("kill 0 %s", sig) // the director's group, as a rule
		case 1:
			g.emit("kill pid:%s %s", to, g.pick("65", "-1"))
		case 2, 3:
			if g.one(2) {
				sig = "KILL"
			}
			g.emit("kill pgrp:%s %s", to, sig)
		case 4:
			sig = g.pick(deadly...)
			if to == g.cur.name || g.hasSignalfd(to) {
				sig = "KILL" // of others it dies when the Go runtime gets to it, or reads two in any order
			}
			g.emit("kill pid:%s %s", to, sig)
			g.emitOwn("reap " + to)
		default:
			g.emit("kill pid:%s %s", to, sig)
		}
	}},
	{"signalfd", "signals", 1, genSignalfd},
	{"readsig", "signals", 1, genSignalfd},
	{"sigaction", "signals", 2, func(g *generator) {
		g.emit("sigaction %s %s", g.pick("TERM", "HUP", "INT", "USR1", "USR2", "CHLD", "WINCH", "KILL", "65"), g.pick("ign", "ign", "dfl"))
	}},
}

// emitOwn emits a line of the director's.
func (g *generator) emitOwn(cmd string) { g.p.calls = append(g.p.calls, line{cmd: cmd}) }

// died is told when a process has probably ended. Its children live on.
func (g *generator) died(p *genProc) {
	p.dead = true
	if p.parent == nil {
		g.emitOwn("reap " + p.name)
	} else if g.one(2) {
		g.as(p.parent, func() { g.emit("waitpid pid:%s nohang", p.name) })
	}
}

// spawn emits a spawn, with further words.
func (g *generator) spawn(words string) {
	if len(g.procs) > 7 || g.cur.limited {
		return
	}
	child := &genProc{name: g.fresh("p"), parent: g.cur}
	if g.one(4) {
		words += " setpgid"
	}
	if g.one(6) {
		words += " deathsig " + g.pick("KILL", "TERM", "HUP")
	}
	for n := range g.IntN(4) {
		if fd := g.anyFd(); g.kind(fd) != "" {
			words += " file " + fd
			child.fds = append(child.fds, genFd{fmt.Sprint(5 + n), g.kind(fd)})
		}
	}
	g.emit("spawn %s%s", child.name, words)
	g.procs = append(g.procs, child)
	g.cur.children = append(g.cur.children, child)
}

// kind is a named descriptor's.
func (g *generator) kind(fd string) string {
	for _, f := range g.cur.fds {
		if f.name == fd {
			return f.kind
		}
	}
	return ""
}

func (g *generator) hasSignalfd(process string) bool {
	return slices.ContainsFunc(g.procs, func(p *genProc) bool { return p.name == process && p.signals })
}

// genSignalfd has a process read a signal that it is sent. On Linux signals arrive
// in their own time: each is waited for.
func genSignalfd(g *generator) {
	p := g.cur
	const fd = "signals" // in no list: on Linux it is a pipe, see sys.Signals
	if p.limited {       // it may have one left, and a pipe takes two
		return
	}
	if !p.signals {
		p.signals = true
		p.fds = nil // the number of one that was closed may become the pipe's
		g.emit("signalfd %s USR1,USR2,TERM %s", fd, g.pick("nonblock", "nonblock|cloexec"))
		return
	}
	g.as(g.someone(), func() {
		g.emit("kill pid:%s USR1", p.name)
		g.cur = p
		g.then("poll %s:in 200ms", fd)
		g.emit("readsig %s", fd)
	})
}
