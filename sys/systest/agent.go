package systest

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/httpjail/httpjail/sys"
)

// agent is a process of a case: it reads lines of calls from its socket, makes
// them, and writes back one line of results each.
type agent struct {
	s    sys.Sys
	name string
	dir  string // the case's directory, as seen from the machine's root
	base string // what getcwd(2) said there
	keys int    // base of the case's System V keys
	ctl  int
	exe  int // Program: a new root directory may hide it

	fds   map[string]int
	mems  map[string]sys.Mem
	ids   map[string]int // of System V objects
	marks map[string]sys.Stat
	notes []string // for the director, see director.reply
	gift  int      // descriptor that came with the line, or -1
	argv  []string // of the process to spawn
}

// ctlFd is above what cases use.
const ctlFd = 200

// scriptError is a mistake of whoever wrote the case.
type scriptError string

func act(s sys.Sys, argv []string) int {
	a := &agent{
		s: s, name: argv[1], dir: argv[2], gift: -1,
		fds: map[string]int{"cwd": sys.AT_FDCWD, "bad": 199, "minus": -1}, mems: map[string]sys.Mem{}, ids: map[string]int{}, marks: map[string]sys.Stat{},
	}
	a.keys, _ = strconv.Atoi(argv[3])
	// What we were given is moved out of the way of the cases.
	for fd, to := range []*int{3: &a.ctl, 4: &a.exe} {
		if to == nil {
			continue
		}
		n, err := s.Fcntl(fd, sys.F_DUPFD_CLOEXEC, ctlFd)
		if err != nil {
			return 3
		}
		s.Close(fd)
		*to = n
	}
	if len(argv) > 4 {
		if what, err := a.become(argv[4:]); err != nil {
			a.write(what + ": " + errName(err))
			return 3
		}
	}
	a.base, _ = s.Getcwd()
	a.write("hello")
	var buf []byte
	for {
		i := strings.IndexByte(string(buf), '\n')
		if i < 0 {
			p := make([]byte, 8192)
			fds := []int{-1}
			n, nfds, _, err := s.Recvmsg(a.ctl, p, fds, sys.MSG_CMSG_CLOEXEC)
			if err == sys.EINTR {
				continue
			}
			if err != nil || n == 0 {
				return 0
			}
			if nfds == 1 {
				a.gift = fds[0]
			}
			buf = append(buf, p[:n]...)
			continue
		}
		line := string(buf[:i])
		buf = buf[i+1:]
		a.write(a.line(line))
		if a.gift >= 0 {
			s.Close(a.gift)
			a.gift = -1
		}
	}
}

func (a *agent) write(line string) { sys.WriteAll(a.s, a.ctl, []byte(line+"\n")) }

// become makes the process what was declared: chroot|stay UID GID GROUPS CAPS.
// The directory is its root only if it can be.
func (a *agent) become(decl []string) (what string, err error) {
	s := a.s
	s.Umask(0)
	if decl[0] == "chroot" {
		if err := s.Chroot(a.dir); err != nil {
			return "chroot", err
		}
		if err := s.Chdir("/"); err != nil {
			return "chdir", err
		}
	} else if err := s.Chdir(a.dir); err != nil {
		return "chdir", err
	}
	uid, _ := strconv.Atoi(decl[1])
	gid, _ := strconv.Atoi(decl[2])
	if self, _, _ := s.Getresuid(); self != 0 {
		if uid != self {
			return "not root", sys.EPERM
		}
		return "", nil
	}
	groups := []int{}
	if decl[3] != "-" {
		for g := range strings.SplitSeq(decl[3], ",") {
			n, _ := strconv.Atoi(g)
			groups = append(groups, n)
		}
	}
	if err := s.Setgroups(groups); err != nil {
		return "setgroups", err
	}
	if err := s.Setresgid(gid, gid, gid); err != nil {
		return "setresgid", err
	}
	if decl[4] == "all" || decl[4] == "-" {
		return "setresuid", s.Setresuid(uid, uid, uid)
	}
	// The real user stays root, so that the permitted set is not cleared.
	if err := s.Setresuid(0, uid, 0); err != nil {
		return "setresuid", err
	}
	caps, err := capSet(decl[4])
	if err != nil {
		return "capabilities", err
	}
	return "capset", s.Capset(sys.CapSets{Effective: caps, Permitted: caps})
}

// line makes the calls of a line, or of a batch of lines. Behind a tab are the arguments of a spawn.
func (a *agent) line(line string) string {
	line, tell := strings.CutPrefix(line, tellBegin)
	line, rest, _ := strings.Cut(line, "\t")
	a.argv = strings.Split(rest, "\t")
	a.notes = nil
	var lines []string
	for line := range strings.SplitSeq(line, batchEnd) {
		var results []string
		calls := strings.Split(line, ";")
		for i, call := range calls {
			if tell && i == len(calls)-1 {
				a.write(tellBegin)
			}
			results = append(results, a.call(strings.TrimSpace(call)))
		}
		lines = append(lines, strings.Join(results, "; "))
	}
	out := strings.Join(lines, batchEnd)
	for _, n := range a.notes {
		out += "\t" + n
	}
	return out
}

func (a *agent) call(text string) (result string) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(scriptError)
			if !ok {
				panic(r)
			}
			result = "script: " + text + ": " + string(e)
		}
	}()
	words := strings.Fields(text)
	if len(words) == 0 {
		panic(scriptError("no call"))
	}
	if words[0] == "thread" {
		return a.inThread(strings.Join(words[1:], " "))
	}
	for _, commands := range append(allCommands[:len(allCommands):len(allCommands)], tableCommands()) {
		if f := commands[words[0]]; f != nil {
			// On Linux any call that waits may be interrupted: the Go runtime
			// sends signals to itself. No case is about EINTR.
			for result = "EINTR"; result == "EINTR"; {
				result = f(a, args(words[1:]))
			}
			return result
		}
	}
	panic(scriptError("unknown call"))
}

// inThread makes a call in a new thread of the process.
func (a *agent) inThread(text string) (result string) {
	done := new(uint32)
	err := a.s.Go("call", func(s sys.Sys) {
		b := *a
		b.s = s
		result = b.call(text)
		atomic.StoreUint32(done, 1)
		s.FutexWakePrivate(done, 1)
	})
	if err != nil {
		return errName(err)
	}
	for atomic.LoadUint32(done) == 0 {
		a.s.FutexWaitPrivate(done, 0, -1)
	}
	return result
}

// command makes a call and says what it returned.
type command func(a *agent, args args) string

// allCommands are the commands by concern.
var allCommands = []map[string]command{
	fileCommands, spaceCommands, xattrCommands, nameCommands, attrCommands, lockCommands, credCommands, procCommands, signalCommands,
	semCommands, shmCommands, memoryCommands, socketCommands, messageCommands, pollCommands, epollCommands,
	mountCommands, wholeCommands,
}

// args are a call's words.
type args []string

// str is the i'th word.
func (w args) str(i int) string {
	if i >= len(w) {
		panic(scriptError(fmt.Sprintf("argument %d is missing", i+1)))
	}
	return repeat(w[i])
}

// opt is the i'th word, or def.
func (w args) opt(i int, def string) string {
	if i >= len(w) {
		return def
	}
	return repeat(w[i])
}

func (w args) num(i int) int { return number(w.str(i)) }

func (w args) optNum(i, def int) int {
	if i >= len(w) {
		return def
	}
	return w.num(i)
}

func number(s string) int {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(s, 0, 64)
		if uerr != nil {
			panic(scriptError("not a number: " + s))
		}
		return int(u)
	}
	return int(n)
}

// oct is the i'th word as an octal number.
func (w args) oct(i int) uint32 { return octal(w.str(i)) }

func (w args) optOct(i int, def uint32) uint32 {
	if i >= len(w) {
		return def
	}
	return w.oct(i)
}

func octal(s string) uint32 {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		panic(scriptError("not an octal number: " + s))
	}
	return uint32(n)
}

// flags is the i'th word, "a|b|c", by names. "-" is none.
func (w args) flags(i int, names map[string]int) int { return flagsOf(w.str(i), names) }

func (w args) optFlags(i int, names map[string]int) int {
	if i >= len(w) {
		return 0
	}
	return w.flags(i, names)
}

func flagsOf(s string, names map[string]int) int {
	flags := 0
	for f := range strings.SplitSeq(s, "|") {
		v, ok := names[f]
		switch {
		case f == "-" || f == "":
		case ok:
			flags |= v
		default:
			flags |= number(f)
		}
	}
	return flags
}

// repeat turns {x*3} into xxx, and ” into nothing.
func repeat(s string) string {
	if s == "''" {
		return ""
	}
	for {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return s
		}
		end := strings.IndexByte(s, '}')
		what, n, ok := strings.Cut(s[open+1:max(end, open+1)], "*")
		if !ok {
			panic(scriptError("not {text*times}: " + s))
		}
		s = s[:open] + strings.Repeat(what, number(n)) + s[end+1:]
	}
}

// fd is the descriptor with that name.
func (a *agent) fd(name string) int {
	if fd, ok := a.fds[name]; ok {
		return fd
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	panic(scriptError("no descriptor " + name))
}

// newFd names the descriptor that a call returned.
func (a *agent) newFd(name string, fd int, err error) string {
	if err != nil {
		return errName(err)
	}
	a.fds[name] = fd
	return "ok"
}

// ok is the result of a call that returns nothing.
func ok(err error) string {
	if err != nil {
		return errName(err)
	}
	return "ok"
}

// val is the result of a call that returns v.
func val(v any, err error) string {
	if err != nil {
		return errName(err)
	}
	return fmt.Sprint(v)
}

// data is the result of a call that read n bytes into p.
func data(p []byte, n int, err error) string {
	if err != nil {
		return errName(err)
	}
	if n > 100 {
		return strconv.Itoa(n) + " bytes"
	}
	if n > len(p) { // MSG_TRUNC: how long it was
		return fmt.Sprintf("%q of %d", p, n)
	}
	return strconv.Quote(string(p[:n]))
}
