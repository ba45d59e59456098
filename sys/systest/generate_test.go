package systest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// program is a random program in the suite's language.
type program struct {
	procs []string // declarations
	calls []line
}

// line is one call.
type line struct {
	proc, cmd string
	// needs says that the call is only made if the one before it returned
	// something else than an error: its result would depend on the clock, or it
	// would wait for what does not come.
	needs bool
}

// generator makes a random program. It knows roughly what the calls before have
// made, so that most calls find something to work on; whether they do, the kernels
// say.
type generator struct {
	*rand.Rand
	p       program
	procs   []*genProc
	cur     *genProc
	weights []int // of commandGens, this program's choice
	total   int
	counts  map[string]int // names given out, by prefix
	paths   int            // how deep paths get
	reuse   bool           // ports are shared: nobody connects, who is reached would be chance
	small   bool           // files are limited to a few pages, for some process
	ports   int            // at least so many have been named
}

// genProc is what is known of a process.
type genProc struct {
	name     string
	root     bool // began as root
	parent   *genProc
	dead     bool
	limited  bool // has few descriptors left: what it spawned would not start
	signals  bool // has a signalfd, which takes another number of descriptors on Linux
	fds      []genFd
	mems     []genMem
	sems     []string
	shms     []string
	children []*genProc
}

type genFd struct{ name, kind string }

// genMem is a mapping of at least a page that lies inside of its file: elsewhere a
// process would die of SIGBUS on Linux.
type genMem struct {
	name   string
	prot   string // r, rw; none: it is never touched
	shm    bool
	shared bool
}

// actors are the processes that take part in programs, some in each.
var actors = []string{
	"root as root", "r as root", "u as 1000:1000", "v as 1001:1001 groups 1000", "nobody as nobody",
	"c as 1000:1000 caps chown,fowner", "d as 1002:1002 caps dac_override,kill", "e as 1003:1003 groups 1000,1001 caps dac_read_search,fsetid",
	"f as 1001:1000 caps setuid,setgid,sys_chroot,mknod,ipc_owner,net_bind_service",
}

// generate makes a program of about n calls. asNobody leaves out all that needs
// root.
func generate(seed uint64, n int) program {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0xf022)), counts: map[string]int{}, paths: 3}
	g.reuse = g.IntN(4) == 0
	for _, i := range g.Perm(len(actors))[:2+g.IntN(4)] {
		name, _, _ := strings.Cut(actors[i], " ")
		g.p.procs = append(g.p.procs, actors[i])
		g.procs = append(g.procs, &genProc{name: name, root: strings.HasSuffix(actors[i], "root")})
	}
	g.cur = g.procs[0]
	g.weigh()
	g.image()
	for len(g.p.calls) < n {
		if g.IntN(4) == 0 || g.cur.dead {
			g.cur = g.someone()
		}
		x := g.IntN(g.total)
		for i, w := range g.weights {
			if x -= w; x < 0 {
				commandGens[i].make(g)
				break
			}
		}
	}
	for _, p := range g.procs {
		g.cur = p
		g.emit("pwd")
		g.emit("umask 0")
		g.emit("caps")
		if !p.signals {
			g.emit("fds")
		}
	}
	g.p.procs = append(g.p.procs, "end as root")
	g.p.calls = append(g.p.calls, line{proc: "end", cmd: "tree ."})
	return g.p
}

// weigh chooses what this program is about: of each concern much, little or
// nothing, and of its commands some.
func (g *generator) weigh() {
	concern := map[string]int{}
	for {
		g.weights, g.total = nil, 0
		for _, c := range commandGens {
			if _, ok := concern[c.concern]; !ok {
				concern[c.concern] = g.choose(0, 0, 1, 3, 10)
			}
			w := c.weight * concern[c.concern]
			if g.IntN(5) == 0 {
				w = 0
			}
			g.weights = append(g.weights, w)
			g.total += w
		}
		if g.total > 0 {
			return
		}
		clear(concern)
	}
}

// image is what the program finds in its directory.
func (g *generator) image() {
	i := slices.IndexFunc(g.procs, func(p *genProc) bool { return p.root })
	if i < 0 {
		return // there is an empty directory of root's
	}
	defer func(p *genProc) { g.cur = p }(g.cur)
	g.cur = g.procs[i]
	for _, cmd := range []string{
		"chmod . 777", "mkdir a 777", "mkdir a/b 2777", "put a/c 666 x", "mkdir b 1777", "symlink ../a b/c", "put b/a 6777 xy",
		"put c 666 xyz", "chown b/a 1000 1001", "mkdir a/a 777", "put a/a/b 644 x", "chown a/a 1000 1000", "make d null", "make a/d fifo",
	} {
		if g.IntN(6) > 0 {
			g.emit("%s", cmd)
		}
	}
}

func (g *generator) emit(format string, args ...any) {
	g.p.calls = append(g.p.calls, line{proc: g.cur.name, cmd: fmt.Sprintf(format, args...)})
}

// then emits a call that is made only if the one before succeeded.
func (g *generator) then(format string, args ...any) {
	g.emit(format, args...)
	g.p.calls[len(g.p.calls)-1].needs = true
}

// as emits a call of another process.
func (g *generator) as(p *genProc, f func()) {
	old := g.cur
	g.cur = p
	f()
	g.cur = old
}

func (g *generator) choose(of ...int) int     { return of[g.IntN(len(of))] }
func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }
func (g *generator) one(in int) bool          { return g.IntN(in) == 0 }

// some joins up to n of the words by a bar, "-" if there are none.
func (g *generator) some(n int, of ...string) string {
	var words []string
	for range g.IntN(n + 1) {
		words = append(words, g.pick(of...))
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, "|")
}

// fresh is a name that was not given out before.
func (g *generator) fresh(prefix string) string {
	g.counts[prefix]++
	return fmt.Sprint(prefix, g.counts[prefix])
}

// someone is a process that is not known to be dead.
func (g *generator) someone() *genProc {
	for range 20 {
		if p := g.procs[g.IntN(len(g.procs))]; !p.dead {
			return p
		}
	}
	return g.procs[0]
}

func (g *generator) path() string {
	parts := make([]string, g.choose(1, 1, 2, 2, g.paths))
	for i := range parts {
		parts[i] = g.pick("a", "b", "a", "b", "a", "b", "c", "c", "d", "..", ".")
	}
	p := g.pick("", "", "/", "") + strings.Join(parts, "/") + g.pick("", "", "", "", "", "", "", "/")
	switch g.IntN(60) {
	case 0:
		return "''"
	case 1:
		return p + "/{n*255}"
	case 2:
		return "{n*256}"
	}
	return p
}

func (g *generator) mode() string {
	return g.pick("777", "777", "777", "666", "644", "755", "700", "1777", "2777", "4755", "6755", "2664", "0", "111", "444", "070", "007")
}

func (g *generator) id() string { return g.pick("-1", "0", "1000", "1000", "1001", "1002", "65534") }

func (g *generator) text() string { return g.pick("x", "hello", "hello", "{y*5000}", "''", "{z*100}") }

func (g *generator) offset() int {
	switch g.IntN(6) {
	case 0:
		return -1 - g.IntN(5)
	case 1:
		return g.choose(4095, 4096, 4097, 8192, 1<<20)
	case 2:
		return g.IntN(9000)
	}
	return g.IntN(20)
}

// newFd names a descriptor that the next call makes.
func (g *generator) newFd(kind string) string {
	name := g.fresh("f")
	g.cur.fds = append(g.cur.fds, genFd{name, kind})
	return name
}

// dupOf names a descriptor of the same file as another one.
func (g *generator) dupOf(fd string) string {
	for _, f := range g.cur.fds {
		if f.name == fd {
			return g.newFd(f.kind)
		}
	}
	return g.newFd("other")
}

// strictFd is a descriptor of one of the kinds, or "".
func (g *generator) strictFd(kinds ...string) string {
	var found []string
	for _, f := range g.cur.fds {
		if slices.Contains(kinds, f.kind) {
			found = append(found, f.name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	// The youngest are the most likely to be open.
	return found[len(found)-1-min(g.IntN(len(found)), g.IntN(len(found)))]
}

// fd is a descriptor, as a rule of one of the kinds.
func (g *generator) fd(kinds ...string) string {
	if !g.one(12) && len(kinds) > 0 {
		if fd := g.strictFd(kinds...); fd != "" {
			return fd
		}
	}
	switch {
	case g.one(30):
		return g.pick("bad", "minus", "cwd")
	case len(g.cur.fds) == 0:
		return g.pick("0", "1")
	}
	return g.cur.fds[g.IntN(len(g.cur.fds))].name
}

// anyFd is any descriptor.
func (g *generator) anyFd() string { return g.fd() }

// Kinds of descriptors.
var (
	fileKinds   = []string{"file", "file", "memfd"}
	dirKinds    = []string{"dir", "path"}
	streamKinds = []string{"stream", "pair"}
	sockKinds   = []string{"stream", "pair", "listen", "dgram", "udp", "tcp", "seq"}
	readKinds   = []string{"file", "r", "stream", "pair", "dgram", "udp", "tcp", "seq", "memfd", "gift"}
	writeKinds  = []string{"file", "w", "stream", "pair", "dgram", "udp", "tcp", "seq", "memfd", "gift"}
)

// commandGen makes calls of one command.
type commandGen struct {
	name    string
	concern string
	weight  int
	make    func(g *generator)
}

// notGenerated are the commands that programs do not use, with the reason.
var notGenerated = map[string]string{
	"in":    "a command on commands, for tables",
	"run":   "a command on commands, for tables",
	"quiet": "a command on commands, for tables",
	"on":    "a command on commands, for tables",
	"born":  "whether a change comes within the tick of the birth is chance",

	"mount":     ofMounts,
	"umount":    ofMounts,
	"pivot":     ofMounts,
	"unshare":   ofMounts,
	"mounts":    ofMounts,
	"mountinfo": ofMounts,
	"parents":   ofMounts,
}

const ofMounts = "TestRandomMounts makes random calls about mounts"

// commandGens are all. They are set here because genTouched refers to them.
var commandGens []commandGen

func init() {
	commandGens = slices.Concat(fileGens, nameGens, spaceGens, processGens, ipcGens, socketGens)
}

func (g *generator) nb() string {
	return g.pick("|nonblock", "|nonblock", "|nonblock", "|nonblock", "")
}

// openFlagsOf are flags of open(2).
func (g *generator) openFlagsOf() (flags, kind string) {
	if g.one(4) {
		return g.pick("r|dir", "path|dir", "path", "r|dir|nofollow", "path|nofollow"), "dir"
	}
	flags = g.pick("r", "w", "rw", "rw", "path", "3", "-")
	if g.one(2) {
		flags += "|" + g.some(3, "creat", "creat", "excl", "trunc", "append", "dir", "nofollow", "noatime", "path", "cloexec", "sync", "dsync", "noctty", "badflag")
	}
	return flags + g.nb(), "file"
}

func (g *generator) resolve() string {
	return g.pick("-", "beneath", "inroot", "nosym", "noxdev", "nomagic", "beneath|nosym", "inroot|noxdev", "inroot|nosym", "beneath|inroot", "badresolve")
}

// lockRange is the end of a lock's line.
func (g *generator) lockRange() string {
	if g.one(4) {
		return ""
	}
	s := fmt.Sprintf(" %d %d", g.IntN(22)-1, g.IntN(12)-3)
	if g.one(3) {
		s += " " + g.pick("set", "cur", "end", "bad")
	}
	return s
}

func genLock(name string) func(g *generator) {
	return func(g *generator) {
		fd := g.fd(fileKinds...)
		if g.kind(fd) == "epoll" || g.kind(fd) == "gift" { // see flock
			return
		}
		g.emit("%s %s %s%s", name, fd, g.pick("rd", "wr", "wr", "un", "un", "bad", "rd", "wr", "rd"), g.lockRange())
	}
}

var fileGens = []commandGen{
	{"open", "files", 12, func(g *generator) {
		flags, kind := g.openFlagsOf()
		path := g.path()
		g.emit("open %s %s %s %s", g.newFd(kind), path, flags, g.mode())
	}},
	{"try", "files", 3, func(g *generator) {
		flags, _ := g.openFlagsOf()
		g.emit("try %s %s %s", g.path(), flags, g.mode())
	}},
	{"openat2", "files", 4, func(g *generator) {
		flags, kind := g.openFlagsOf()
		dir := g.pick("cwd", g.fd(dirKinds...))
		mode := "0"
		if strings.Contains(flags, "creat") != g.one(20) {
			mode = g.mode()
		}
		g.emit("openat2 %s %s %s %s %s %s", g.newFd(kind), dir, g.path(), flags, g.resolve(), mode)
	}},
	{"look", "files", 2, func(g *generator) {
		g.emit("look %s %s %s %s", g.path(), g.path(), g.pick("r|nonblock", "rw|nonblock", "path", "r|dir", "w|nonblock", "r|nofollow|nonblock"), g.resolve())
	}},
	{"close", "files", 5, func(g *generator) {
		// The standard files stay: programs that are spawned have them, and the Go
		// runtime opens others if they are non-blocking.
		if fd := g.anyFd(); fd != "0" && fd != "1" {
			g.emit("close %s", fd)
		}
	}},
	{"read", "files", 5, func(g *generator) { g.emit("read %s %d", g.fd(readKinds...), g.choose(0, 1, 3, 100, 9000)) }},
	{"pread", "files", 2, func(g *generator) {
		g.emit("pread %s %d %d", g.fd(fileKinds...), g.choose(0, 1, 3, 100, 9000), g.offset())
	}},
	{"write", "files", 6, func(g *generator) { g.emit("write %s %s", g.fd(writeKinds...), g.text()) }},
	{"pwrite", "files", 2, func(g *generator) { g.emit("pwrite %s %s %d", g.fd(fileKinds...), g.text(), g.offset()) }},
	{"writev", "files", 2, func(g *generator) {
		g.emit("writev %s%s", g.fd(writeKinds...), g.pick("", " a", " a bc", " '' x", " {p*4096} {q*4096} r"))
	}},
	{"fill", "files", 1, func(g *generator) {
		// Only what gets full, and is non-blocking at first.
		if fd := g.strictFd("w", "pair"); fd != "" {
			g.emit("setfl %s nonblock", fd)
			g.then("fill %s", fd)
		}
	}},
	{"drain", "files", 1, func(g *generator) {
		if fd := g.strictFd("r", "pair", "file", "stream"); fd != "" {
			g.emit("drain %s", fd)
		}
	}},
	{"seek", "files", 3, func(g *generator) {
		fd, whence := g.fd(fileKinds...), g.pick("set", "cur", "end", "data", "hole", "bad", "set", "cur")
		if g.maybeMemfd(fd) && (whence == "data" || whence == "hole") {
			return // the simulated kernel takes a mapped hole for data
		}
		g.emit("seek %s %d %s", fd, g.offset(), whence)
	}},
	{"ftruncate", "files", 2, func(g *generator) {
		off := g.offset()
		fd := g.fd("file")
		if g.maybeMemfd(fd) {
			off = g.choose(8192, 8193, 12288)
		}
		g.emit("ftruncate %s %d", fd, off)
	}},
	{"fsync", "files", 1, func(g *generator) { g.emit("fsync %s", g.anyFd()) }},
	{"fstat", "files", 2, func(g *generator) { g.emit("fstat %s", g.anyFd()) }},
	{"fgetdents", "files", 1, func(g *generator) { g.emit("fgetdents %s", g.fd(dirKinds...)) }},
	{"ls", "files", 3, func(g *generator) { g.emit("ls %s", g.path()) }},
	{"cat", "files", 2, func(g *generator) { g.emit("cat %s", g.path()) }},
	{"put", "files", 5, func(g *generator) { g.emit("put %s %s %s", g.path(), g.mode(), g.text()) }},
	{"getfl", "files", 2, func(g *generator) { g.emit("getfl %s", g.anyFd()) }},
	{"setfl", "files", 2, func(g *generator) {
		fd := g.anyFd()
		if k := g.kind(fd); k == "" || k == "other" {
			return // what the director gave to all
		}
		g.emit("setfl %s %s", fd, g.pick("nonblock", "nonblock|append", "nonblock|noatime", "-", "append", "sync|nonblock", "creat|trunc|nonblock"))
	}},
	{"getfd", "files", 1, func(g *generator) { g.emit("getfd %s", g.anyFd()) }},
	{"setfd", "files", 1, func(g *generator) { g.emit("setfd %s %d", g.anyFd(), g.choose(0, 1, 1, 2, 3)) }},
	{"seal", "files", 2, func(g *generator) {
		fd := g.strictFd("memfd", "memfd", "r", "w", "pair", "dir")
		if fd == "" { // of files, tmpfs says something else
			return
		}
		g.emit("seal %s %s", fd, g.some(2, "seal", "shrink", "grow", "grow"))
	}},
	{"dup", "files", 3, func(g *generator) {
		fd := g.anyFd()
		lowest := ""
		if !g.cur.signals && g.one(2) {
			lowest = fmt.Sprintf(" %d%s", g.choose(0, 3, 10, 50, 2, -1), g.pick("", " cloexec"))
		}
		g.emit("dup %s %s%s", g.dupOf(fd), fd, lowest)
	}},
	{"dup3", "files", 2, func(g *generator) {
		fd := g.anyFd()
		g.emit("dup3 %s %s%s", fd, g.pick("60", "61", "62", fd, "minus"), g.pick("", " cloexec", " -", " append"))
	}},
	{"number", "files", 1, func(g *generator) {
		if !g.cur.signals {
			g.emit("number %s", g.anyFd())
		}
	}},
	{"alias", "files", 1, func(g *generator) {
		fd := g.anyFd()
		g.emit("alias %s %s", g.dupOf(fd), fd)
	}},
	{"pipe", "sockets", 6, func(g *generator) {
		r, w := g.newFd("r"), g.newFd("w")
		g.emit("pipe %s %s %s", r, w, g.pick("-", "nonblock", "nonblock", "nonblock|cloexec", "nonblock", "append"))
	}},
	{"closerange", "files", 1, func(g *generator) {
		if !g.cur.signals {
			g.emit("closerange %d %d%s", g.choose(3, 4, 5, 7, 60), g.choose(4, 5, 6, 8, 60, 99, 2), g.pick("", "", " cloexec", " 1"))
		}
	}},
	{"memfd", "memory", 3, func(g *generator) {
		fd := g.newFd("memfd")
		g.emit("memfd %s name %s 8192", fd, g.pick("-", "sealing", "sealing", "cloexec"))
	}},
	{"openfds", "files", 1, func(g *generator) {
		if !g.cur.signals {
			g.emit("openfds")
		}
	}},
	{"fds", "files", 1, func(g *generator) {
		if !g.cur.signals {
			g.emit("fds")
		}
	}},
	{"sleep", "files", 1, func(g *generator) {
		if g.one(5) {
			g.emit("sleep 1ms")
		}
	}},
	{"flock", "locks", 6, func(g *generator) {
		// All epolls of the machine have one inode, and so one set of locks.
		fd := g.anyFd()
		if g.kind(fd) == "epoll" || g.kind(fd) == "gift" {
			return
		}
		g.emit("flock %s %s", fd, g.pick("sh|nb", "ex|nb", "ex|nb", "un", "un", "sh", "ex", "bad", "nb"))
	}},
	{"setlk", "locks", 5, genLock("setlk")},
	{"setlkw", "locks", 2, genLock("setlkw")},
	{"getlk", "locks", 3, genLock("getlk")},
	{"ofdlk", "locks", 4, genLock("ofdlk")},
	{"ofdlkw", "locks", 2, genLock("ofdlkw")},
	{"ofdgetlk", "locks", 2, genLock("ofdgetlk")},
}

// maybeMemfd reports whether fd may be a memory file, which must not shrink: some
// are mapped.
func (g *generator) maybeMemfd(fd string) bool {
	for _, f := range g.cur.fds {
		if f.name == fd {
			return f.kind == "memfd" || f.kind == "gift" || f.kind == "other"
		}
	}
	return true
}
