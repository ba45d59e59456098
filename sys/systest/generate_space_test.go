package systest

// spaceGens make calls about room, extended attributes and the newer calls on
// names.
var spaceGens = []commandGen{
	{"rename2", "names", 4, func(g *generator) {
		g.emit("rename2 %s %s %s", g.path(), g.path(), g.pick("noreplace", "exchange", "exchange", "noreplace|exchange", "badflag", "-"))
	}},
	{"linkat", "names", 3, func(g *generator) {
		g.emit("linkat %s %s %s %s %s", g.dirFd(), g.atPath(), g.dirFd(), g.path(), g.pick("-", "follow", "empty", "badflag"))
	}},
	{"fstatat", "names", 3, func(g *generator) { g.emit("fstatat %s %s %s", g.dirFd(), g.atPath(), g.statFlags()) }},
	{"statx", "names", 3, func(g *generator) {
		g.emit("statx %s %s %s %s", g.dirFd(), g.atPath(), g.statFlags(), g.pick("basic", "basic|btime", "size", "mtime|ctime", "mnt", "basic|unique", "-", "reserved"))
	}},
	{"statxsame", "names", 2, func(g *generator) { g.emit("statxsame %s %s %s", g.dirFd(), g.atPath(), g.statFlags()) }},
	{"samemount", "names", 1, func(g *generator) {
		if a, b := g.strictFd("file", "dir", "r", "stream", "memfd"), g.strictFd("file", "dir", "w", "pair", "memfd"); a != "" && b != "" {
			g.emit("samemount %s %s", a, b)
		}
	}},
	{"futimens", "attrs", 2, func(g *generator) {
		g.emit("futimens %s %s %s", g.anyFd(), g.pick("5", "now", "omit", "7.1000000000"), g.pick("6", "now", "omit", "8.5"))
	}},
	{"fallocate", "space", 6, func(g *generator) {
		fd := g.fd("file", "file", "file", "dir", "r", "pair")
		if g.maybeMemfd(fd) {
			return // see seek
		}
		g.emit("fallocate %s %s %d %d", fd, g.pick("-", "-", "keep", "keep|punch", "keep|punch", "punch", "collapse", "zero", "insert", "unshare"),
			g.offset(), g.choose(0, -1, 1, 100, 4096, 5000, 20_000))
	}},
	{"room", "space", 4, func(g *generator) {
		if fd := g.strictFd("file"); fd != "" && !g.maybeMemfd(fd) {
			g.emit("room %s", fd)
		}
	}},
	{"statfs", "space", 1, func(g *generator) { g.emit("statfs %s", g.path()) }},
	{"fstatfs", "space", 1, func(g *generator) {
		if fd := g.strictFd("file", "dir", "path", "r", "w", "stream", "pair", "epoll"); fd != "" {
			g.emit("fstatfs %s", fd)
		}
	}},
	{"setxattr", "xattrs", 6, func(g *generator) {
		g.emit("setxattr %s %s %s %s %s", g.path(), g.xattr(), g.xattrText(), g.xattrFlags(), g.pick("-", "-", "nofollow"))
	}},
	{"fsetxattr", "xattrs", 3, func(g *generator) {
		g.emit("fsetxattr %s %s %s %s", g.xattrFd(), g.xattr(), g.xattrText(), g.xattrFlags())
	}},
	{"getxattr", "xattrs", 4, func(g *generator) {
		g.emit("getxattr %s %s %d %s", g.path(), g.xattr(), g.choose(0, 1, 100, 5000), g.pick("-", "nofollow"))
	}},
	{"fgetxattr", "xattrs", 2, func(g *generator) { g.emit("fgetxattr %s %s %d", g.xattrFd(), g.xattr(), g.choose(0, 1, 100, 5000)) }},
	{"listxattr", "xattrs", 3, func(g *generator) { g.emit("listxattr %s %s", g.path(), g.pick("-", "nofollow")) }},
	{"flistxattr", "xattrs", 2, func(g *generator) { g.emit("flistxattr %s", g.xattrFd()) }},
	{"removexattr", "xattrs", 3, func(g *generator) { g.emit("removexattr %s %s %s", g.path(), g.xattr(), g.pick("-", "nofollow")) }},
	{"fremovexattr", "xattrs", 2, func(g *generator) { g.emit("fremovexattr %s %s", g.xattrFd(), g.xattr()) }},
}

func (g *generator) dirFd() string { return g.pick("cwd", "cwd", g.fd(dirKinds...), g.anyFd()) }

// atPath is a path of a call that knows AT_EMPTY_PATH.
func (g *generator) atPath() string {
	if g.one(4) {
		return "''"
	}
	return g.path()
}

func (g *generator) statFlags() string {
	return g.pick("-", "-", "nofollow", "empty", "empty|nofollow", "badflag")
}

// xattrFd is any descriptor: but AT_FDCWD is EBADF in some versions of Linux, and the
// working directory in others.
func (g *generator) xattrFd() string {
	if fd := g.anyFd(); fd != "cwd" {
		return fd
	}
	return "bad"
}

func (g *generator) xattr() string {
	// security.capability has a format of its own, and is not simulated.
	return g.pick("user.a", "user.a", "user.b", "user.", "user", "trusted.a", "security.a", "system.a", "other.a", "''", "user.{n*250}", "user.{n*251}")
}

func (g *generator) xattrText() string { return g.pick("x", "hello", "''", "{y*1000}", "{z*70000}") }
func (g *generator) xattrFlags() string {
	return g.pick("-", "-", "create", "replace", "create|replace", "badflag")
}
