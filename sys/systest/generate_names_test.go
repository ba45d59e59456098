package systest

import "slices"

var nameGens = []commandGen{
	{"stat", "names", 3, func(g *generator) { g.emit("stat %s", g.path()) }},
	{"lstat", "names", 3, func(g *generator) { g.emit("lstat %s", g.path()) }},
	{"mode", "names", 1, func(g *generator) { g.emit("mode %s", g.path()) }},
	{"exists", "names", 1, func(g *generator) { g.emit("exists %s", g.path()) }},
	{"size", "names", 1, func(g *generator) { g.emit("size %s", g.path()) }},
	{"owner", "names", 1, func(g *generator) { g.emit("owner %s", g.path()) }},
	{"same", "names", 1, func(g *generator) { g.emit("same %s %s", g.path(), g.path()) }},
	{"tree", "names", 1, func(g *generator) { g.emit("tree %s", g.pick("a", "b", "a/b", ".")) }},
	{"mkdir", "names", 6, func(g *generator) { g.emit("mkdir %s %s", g.path(), g.mode()) }},
	{"rmdir", "names", 3, func(g *generator) { g.emit("rmdir %s", g.path()) }},
	{"unlink", "names", 4, func(g *generator) { g.emit("unlink %s", g.path()) }},
	{"rename", "names", 7, func(g *generator) { g.emit("rename %s %s", g.path(), g.path()) }},
	{"link", "names", 4, func(g *generator) { g.emit("link %s %s", g.path(), g.path()) }},
	{"symlink", "names", 4, func(g *generator) { g.emit("symlink %s %s", g.path(), g.path()) }},
	{"readlink", "names", 2, func(g *generator) { g.emit("readlink %s", g.path()) }},
	{"mknod", "names", 3, func(g *generator) {
		// No device but those: a program that leaves its jail could do harm.
		g.emit("mknod %s %s", g.path(), g.pick("fifo 666", "fifo 600", "sock 666", "file 644", "none 644", "chr 666 0x103", "chr 666 0xff07",
			"dir 755", "link 777", "bad 644", "blk 666 0xff07", "file 4755"))
	}},
	{"rm", "names", 1, func(g *generator) {
		// In what order it goes is the filesystem's affair: it must not fail halfway.
		if g.cur.root {
			g.emit("rm %s", g.pick("a", "b", "c", "d", "a/b", "b/a"))
		}
	}},
	{"make", "names", 3, func(g *generator) {
		g.emit("make %s %s", g.pick("a", "b", "c", "d", "a/b", "a/c", "b/a", "b/c", "b/d"),
			g.pick("none", "file", "exec", "empty", "dir", "full", "link", "tofile", "todir", "dangling", "loop", "fifo", "sock", "null", "nodev"))
	}},
	{"chroot", "names", 1, func(g *generator) { g.emit("chroot %s", g.path()) }},
	{"cd", "names", 4, func(g *generator) { g.emit("cd %s", g.path()) }},
	{"fchdir", "names", 2, func(g *generator) { g.emit("fchdir %s", g.fd(dirKinds...)) }},
	{"pwd", "names", 1, func(g *generator) { g.emit("pwd") }},
	{"chmod", "attrs", 5, func(g *generator) { g.emit("chmod %s %s", g.path(), g.mode()) }},
	{"fchmod", "attrs", 2, func(g *generator) { g.emit("fchmod %s %s", g.anyFd(), g.mode()) }},
	{"chown", "attrs", 5, func(g *generator) { g.emit("chown %s %s %s", g.path(), g.id(), g.id()) }},
	{"lchown", "attrs", 2, func(g *generator) { g.emit("lchown %s %s %s", g.path(), g.id(), g.id()) }},
	{"fchown", "attrs", 2, func(g *generator) { g.emit("fchown %s %s %s", g.anyFd(), g.id(), g.id()) }},
	{"utimes", "attrs", 2, func(g *generator) {
		g.emit("utimes %s %s %s %s", g.path(), g.pick("5", "now", "omit", "7.1000000000"), g.pick("6", "now", "omit", "8.5"), g.pick("-", "-", "nofollow", "badflag"))
	}},
	// Absolute times are those of utimensat(2), else they differ.
	{"times", "attrs", 1, func(g *generator) {
		p := g.path()
		g.emit("utimes %s %s %s nofollow", p, g.pick("5", "5.7"), g.pick("6", "4"))
		g.then("times %s", p)
	}},
	{"order", "attrs", 1, func(g *generator) {
		p := g.path()
		g.emit("utimes %s %s %s nofollow", p, g.pick("5", "7"), g.pick("6", "5"))
		g.then("order %s", p)
	}},
	{"mark", "attrs", 1, genTouched},
	{"touched", "attrs", 1, genTouched},
	{"access", "attrs", 4, func(g *generator) {
		g.emit("access %s %s %s", g.path(), g.pick("f", "r", "w", "x", "r|w", "r|x", "r|w|x", "8"), g.pick("-", "-", "eaccess", "nofollow", "badflag"))
	}},
	{"umask", "attrs", 1, func(g *generator) { g.emit("umask %s", g.pick("0", "022", "077", "027")) }},
}

// genTouched asks which times of a file a call changes. At first they differ from
// each other, and from the time of the call, by more than the clock's ticks: what
// happens within one tick is chance.
func genTouched(g *generator) {
	if g.one(2) { // it takes long
		return
	}
	p := g.path()
	g.emit("utimes %s %s now nofollow", p, g.pick("5", "4000000000"))
	g.then("mark %s", p)
	n := len(g.p.calls)
	for len(g.p.calls) == n {
		c := commandGens[g.IntN(len(commandGens))]
		if slices.Contains([]string{"files", "names", "attrs"}, c.concern) && c.name != "mark" && c.name != "touched" {
			c.make(g)
		}
	}
	g.emit("touched %s", p)
}
