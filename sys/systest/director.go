package systest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Names of the processes, in argv[0].
const (
	directorName = "systest"
	agentName    = "systest-agent"
)

// Environ is what the Go runtime of a spawned Program needs so that it opens no
// descriptors of its own: the cases count them.
func Environ() []string {
	return []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0", marker + "=1"}
}

// tellBegin before a line asks for the same as an answer when the last call of the
// line begins: on a busy machine a process that has not come to its call yet looks
// as if it were blocked in it.
const tellBegin = "!"

// marker is an environment variable by which a test binary knows that it is to be
// Program.
const marker = "SYSTEST_PROGRAM"

// Program is the interpreter of the cases, see the package's doc. It is for
// Kernel.Exec; argv[0] says which part it plays. A program that stands in for
// others as well, such as a test binary, looks for Environ in its environment.
func Program(s sys.Sys, argv, env []string) int {
	switch {
	case len(argv) == 0:
	case argv[0] == directorName:
		return direct(s, argv, env)
	case argv[0] == agentName:
		return act(s, argv)
	}
	return 2
}

// director runs a script: it makes the processes of each case and tells them
// what to call.
type director struct {
	s             sys.Sys
	env           []string
	exe, null     int
	base          string // the working directory
	uid           int
	patience      time.Duration
	blockPatience time.Duration

	dir    string // of the case
	procs  map[string]*actor
	all    []*actor // the dead too, in order of birth
	decls  map[string][]string
	failed bool              // the last call of a process did
	names  map[string]string // "<port 40123>" to "port1"
	count  map[string]int
	sems   []int
	shms   []int
	keys   int // base of the case's System V keys
}

// actor is a process of a case.
type actor struct {
	name    string
	pid     int
	ctl     int    // our end of its socket
	buf     []byte // read from ctl
	blocked bool   // a call has not returned
	gone    bool
	buried  bool // its death has been told
	ours    bool // a child of the director
}

func direct(s sys.Sys, argv, env []string) int {
	d := &director{s: s, env: env}
	fail := func(what string, err error) int {
		sys.WriteAll(s, 2, []byte(fmt.Sprintf("systest: %s: %v\n", what, err)))
		return 1
	}
	if len(argv) != 3 {
		return fail("arguments", sys.EINVAL)
	}
	d.patience = millis(argv[1])
	d.blockPatience = millis(argv[2])
	d.uid, _, _ = s.Getresuid()
	var err error
	if d.base, err = s.Getcwd(); err != nil {
		return fail("getcwd", err)
	}
	if d.exe, err = s.Open("/proc/self/exe", sys.O_RDONLY|sys.O_CLOEXEC, 0); err != nil {
		return fail("/proc/self/exe", err)
	}
	if d.null, err = s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0); err != nil {
		return fail("/dev/null", err)
	}
	s.Umask(0)
	script, err := sys.ReadAll(s, 0, 64<<20)
	if err != nil {
		return fail("script", err)
	}
	d.keys = 0x5e000000 | s.Getpid()<<8&0xffff00
	for line := range strings.Lines(string(script)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "case":
			d.endCase()
			if err := d.beginCase(f[1], f[2]); err != nil {
				return fail("case "+f[1], err)
			}
		case "proc":
			d.decls[f[1]] = f[1:]
		case "step":
			out := d.name(d.step(f[1], f[2], f[3]))
			// A batch that broke off has but one result.
			for strings.Count(out, batchEnd) < strings.Count(f[3], batchEnd) {
				out += batchEnd + "script: broken off"
			}
			out = strings.ReplaceAll(out, batchEnd, "\n") + "\n"
			if err := sys.WriteAll(s, 1, []byte(out)); err != nil {
				return fail("result", err)
			}
		}
	}
	d.endCase()
	return 0
}

func millis(s string) time.Duration {
	n, _ := strconv.Atoi(s)
	return time.Duration(n) * time.Millisecond
}

func (d *director) beginCase(name, owner string) error {
	d.dir = d.base + "/" + name
	d.procs = map[string]*actor{}
	d.all = nil
	d.decls = map[string][]string{}
	d.names = map[string]string{}
	d.count = map[string]int{}
	d.keys += 16
	if err := d.s.Mkdir(d.dir, 0o755); err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner)
	if d.uid == uid {
		return nil
	}
	return d.s.Chown(d.dir, uid, uid)
}

// endCase ends the processes of the case and removes what outlives them.
func (d *director) endCase() {
	for _, a := range d.all {
		if !a.gone {
			d.s.Kill(a.pid, sys.SIGKILL)
		}
		d.s.Close(a.ctl)
	}
	for _, a := range d.all {
		if a.ours {
			sys.Retry(func() error { _, _, err := d.s.Wait4(a.pid, 0); return err })
		}
	}
	for _, id := range d.sems {
		d.s.SemRmid(id)
	}
	for _, id := range d.shms {
		d.s.ShmRmid(id)
	}
	d.all, d.sems, d.shms = nil, nil, nil
}

// step makes one call and returns its result. kind holds "blocks" when that is
// what is expected, "cell" in a table, where a process that blocks is replaced, and
// "needs" if it is not made when the call before failed.
func (d *director) step(kind, proc, cmd string) string {
	if proc == "" {
		return d.call(kind, proc, cmd)
	}
	if d.failed && strings.Contains(kind, "needs") {
		return "script: the call before failed"
	}
	result := d.call(kind, proc, cmd)
	d.failed = failed(result)
	return result
}

// call makes the call of step.
func (d *director) call(kind, proc, cmd string) string {
	timeout := d.patience
	if strings.Contains(kind, "blocks") {
		timeout = d.blockPatience
	}
	if proc == "" {
		return d.ownCommand(cmd, timeout)
	}
	a := d.procs[proc]
	if a != nil && strings.HasPrefix(kind, "cell") && (a.blocked || a.gone) {
		d.replace(a)
		a = nil
	}
	if a == nil {
		var err error
		if a, err = d.start(proc); err != nil {
			return "script: " + proc + " does not start: " + errName(err)
		}
	}
	if a.blocked {
		return "script: " + proc + " is still blocked"
	}
	if a.gone {
		return "script: " + proc + " is dead"
	}
	if !strings.Contains(cmd, batchEnd) {
		cmd = d.expand(cmd)
	}
	if w := strings.Fields(cmd); len(w) > 1 && w[0] == "spawn" {
		return d.spawnBy(a, w[1], cmd, timeout)
	}
	blocks := strings.Contains(kind, "blocks")
	if blocks {
		cmd = tellBegin + cmd
	}
	if err := sys.WriteAll(d.s, a.ctl, []byte(cmd+"\n")); err != nil {
		return "script: " + proc + ": " + errName(err)
	}
	if blocks {
		switch line, err := d.readLine(a, d.patience); {
		case err != nil, line != tellBegin: // an earlier call of the line did not return
			a.blocked = err == sys.ETIMEDOUT
			a.gone = err == sys.EPIPE
			return "script: " + proc + " did not begin its last call"
		}
	}
	return d.reply(a, timeout)
}

// replace ends a child, so that the next call of its name starts another.
func (d *director) replace(a *actor) {
	if a.ours {
		d.s.Kill(a.pid, sys.SIGKILL)
		sys.Retry(func() error { _, _, err := d.s.Wait4(a.pid, 0); return err })
	}
	a.gone, a.ours = true, false
	delete(d.procs, a.name)
}

// ownCommand is a line without a process.
func (d *director) ownCommand(cmd string, timeout time.Duration) string {
	w := strings.Fields(cmd)
	if len(w) != 2 {
		return "script: usage: wait|still|dead|reap|fresh PROCESS"
	}
	a := d.procs[w[1]]
	if w[0] == "fresh" { // the next call is made by a new process of that name
		if a != nil {
			d.replace(a)
		}
		return "ok"
	}
	if a == nil {
		return "script: no process " + w[1]
	}
	switch w[0] {
	case "wait", "still":
		if !a.blocked {
			return "script: " + w[1] + " is not blocked"
		}
		return d.reply(a, timeout)
	case "dead":
		return d.dead(a, timeout)
	}
	// reap: how a child of ours ended
	for deadline := d.s.Monotonic() + timeout; ; {
		pid, status, err := d.s.Wait4(a.pid, sys.WNOHANG)
		switch {
		case err == sys.EINTR:
		case err != nil:
			return errName(err)
		case pid != 0:
			a.ours, a.gone = false, true
			return fmt.Sprintf("<pid %d> %s", pid, statusString(status))
		case d.s.Monotonic() > deadline:
			return "blocks"
		default:
			d.s.Nanosleep(time.Millisecond)
		}
	}
}

// dead waits until a process has died, somebody's child or not: its end may come
// after the call that killed it has returned.
func (d *director) dead(a *actor, timeout time.Duration) string {
	if a.buried {
		return "script: " + a.name + " is dead"
	}
	deadline := d.s.Monotonic() + timeout
	left := func() time.Duration { return max(0, deadline-d.s.Monotonic()) }
	for {
		fds := []sys.PollFd{{Fd: int32(a.ctl), Events: sys.POLLRDHUP}}
		n, err := d.s.Poll(fds, left())
		switch {
		case err == sys.EINTR:
			continue
		case err != nil:
			return errName(err)
		case n == 0:
			return "lives"
		}
		break
	}
	a.blocked, a.gone, a.buried = false, true, true
	// Its files are closed before its parent is told, which is when no other thread
	// is left; and init has to reap it.
	const state, ppid, threads = 0, 1, 17 // proc_pid_stat(5), counted from the state
	for {
		stat, err := sys.ReadFile(d.s, fmt.Sprintf("/proc/%d/stat", a.pid), 4096)
		_, rest, _ := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest)
		if err != nil || len(f) > threads && f[state] == "Z" && f[ppid] != "1" && f[threads] <= "1" || left() == 0 {
			return "ok"
		}
		d.s.Nanosleep(100 * time.Microsecond)
	}
}

// reply waits for the result of a's call.
func (d *director) reply(a *actor, timeout time.Duration) string {
	line, err := d.readLine(a, timeout)
	switch {
	case err == sys.ETIMEDOUT:
		a.blocked = true
		return "blocks"
	case err != nil:
		a.blocked, a.gone = false, true
		return "died"
	}
	a.blocked = false
	results := strings.Split(line, "\t")
	for _, note := range results[1:] { // what is to be removed at the case's end
		kind, id, _ := strings.Cut(note, " ")
		n, _ := strconv.Atoi(id)
		if kind == "sem" {
			d.sems = append(d.sems, n)
		} else {
			d.shms = append(d.shms, n)
		}
	}
	return results[0]
}

// readLine reads a line from a's socket. ETIMEDOUT; EPIPE: a is dead.
func (d *director) readLine(a *actor, timeout time.Duration) (string, error) {
	deadline := d.s.Monotonic() + timeout
	for {
		if i := strings.IndexByte(string(a.buf), '\n'); i >= 0 {
			line := string(a.buf[:i])
			a.buf = a.buf[i+1:]
			return line, nil
		}
		fds := []sys.PollFd{{Fd: int32(a.ctl), Events: sys.POLLIN}}
		n, err := d.s.Poll(fds, max(0, deadline-d.s.Monotonic()))
		if err == sys.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			return "", sys.ETIMEDOUT
		}
		buf := make([]byte, 4096)
		n, err = d.s.Read(a.ctl, buf)
		if err == sys.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return "", sys.EPIPE
		}
		a.buf = append(a.buf, buf[:n]...)
	}
}

// agentArgv is the argv of a process; decl is what "proc" declared, or nil for a
// process that stays as its parent made it.
func (d *director) agentArgv(name string, decl []string) []string {
	argv := []string{agentName, name, d.dir, strconv.Itoa(d.keys)}
	if decl == nil {
		return argv
	}
	chroot := "stay"
	if d.uid == 0 {
		chroot = "chroot"
	}
	return append(append(argv, chroot), decl[1:]...)
}

// start starts a declared process.
func (d *director) start(name string) (*actor, error) {
	decl := d.decls[name]
	if decl == nil {
		return nil, sys.ENOENT
	}
	ours, theirs, err := d.s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	pid, err := d.s.Spawn(&sys.SpawnAttr{
		Exe: d.exe, Argv: d.agentArgv(name, decl), Env: d.env, Files: []int{d.null, d.null, 2, theirs, d.exe},
	})
	d.s.Close(theirs)
	if err != nil {
		d.s.Close(ours)
		return nil, err
	}
	a := &actor{name: name, pid: pid, ctl: ours, ours: true}
	return a, d.greet(a)
}

// greet enters a new process and waits until it listens.
func (d *director) greet(a *actor) error {
	d.procs[a.name] = a
	d.all = append(d.all, a)
	d.names[fmt.Sprintf("<pid %d>", a.pid)] = a.name
	line, err := d.readLine(a, 10*time.Second)
	if err == nil && line != "hello" {
		sys.WriteAll(d.s, 2, []byte(a.name+": "+line+"\n"))
		err = sys.EPROTO
	}
	return err
}

// spawnBy has a process spawn another: "spawn NAME ...". The new one's socket
// goes to its parent as a message.
func (d *director) spawnBy(a *actor, name, cmd string, timeout time.Duration) string {
	ours, theirs, err := d.s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return "script: socketpair: " + errName(err)
	}
	line := cmd + "\t" + strings.Join(d.agentArgv(name, nil), "\t") + "\n"
	_, err = d.s.Sendmsg(a.ctl, []byte(line), []int{theirs}, 0)
	d.s.Close(theirs)
	if err != nil {
		d.s.Close(ours)
		return "script: sendmsg: " + errName(err)
	}
	out := d.reply(a, timeout)
	pid, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(out, "<pid "), ">"))
	if err != nil {
		d.s.Close(ours)
		return out
	}
	b := &actor{name: name, pid: pid, ctl: ours}
	if err := d.greet(b); err != nil {
		return "script: " + name + " does not start: " + errName(err)
	}
	return "ok"
}

// expand fills in what only the director knows: pid:NAME, pid/NAME and pgrp:NAME, and
// $port1 and its like, which are numbers that appeared in results.
func (d *director) expand(cmd string) string {
	w := strings.Fields(strings.ReplaceAll(cmd, ";", " ; "))
	for i := range w {
		if name, ok := strings.CutPrefix(w[i], "pid:"); ok && d.procs[name] != nil {
			w[i] = strconv.Itoa(d.procs[name].pid)
		}
		if name, ok := strings.CutPrefix(w[i], "pgrp:"); ok && d.procs[name] != nil {
			w[i] = "-" + strconv.Itoa(d.procs[name].pid)
		}
		if before, name, ok := strings.Cut(w[i], "pid/"); ok { // in a table, where ":" separates words
			name, after, _ := strings.Cut(name, ":")
			if a := d.procs[name]; a != nil {
				w[i] = before + strconv.Itoa(a.pid) + ":" + after
			}
		}
		if !strings.Contains(w[i], "$") {
			continue
		}
		for number, name := range d.names { // no name is the beginning of another's reference below 10
			if kind, n, ok := strings.Cut(strings.Trim(number, "<>"), " "); ok && kind != "pid" {
				w[i] = strings.ReplaceAll(w[i], "$"+name, n)
			}
		}
	}
	return strings.Join(w, " ")
}

// name replaces the numbers in a result, which differ from run to run, by names:
// "<pid 4711>" by the process's, "<port 32768>" by port1, port2 as they appear.
func (d *director) name(result string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(result, '<')
		j := strings.IndexByte(result[max(i, 0):], '>')
		if i < 0 || j < 0 {
			return b.String() + result
		}
		ref := result[i : i+j+1]
		kind, _, ok := strings.Cut(ref[1:len(ref)-1], " ")
		if _, isNumber := strconv.Atoi(strings.TrimSuffix(ref[len(kind)+2:], ">")); !ok || isNumber != nil && ok {
			b.WriteString(result[:i+1])
			result = result[i+1:]
			continue
		}
		name, known := d.names[ref]
		switch {
		case known:
		case kind == "pid" && ref == fmt.Sprintf("<pid %d>", d.s.Getpid()):
			name = "director"
		case kind == "pid":
			name = "other"
		default:
			d.count[kind]++
			name = kind + strconv.Itoa(d.count[kind])
			d.names[ref] = name
		}
		b.WriteString(result[:i] + name)
		result = result[i+j+1:]
	}
}

// errName is an error number's name.
func errName(err error) string {
	if e, ok := err.(sys.Errno); ok {
		return sys.ErrnoName(e)
	}
	return err.Error()
}
