package simtests

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
	"github.com/httpjail/httpjail/sys/thread"
)

// operator is who runs the server in a scenario: a process outside the jail
// that does everything through Sys, so that a scenario is the same on every
// kernel.
type operator struct {
	s    sys.Sys
	dir  string   // a directory of the scenario's own, empty at start
	exe  string   // the server's executable
	user string   // whom children become; "" where there is nobody else to become
	env  []string // of the server, besides the backend
	port uint16
	// sockets are handed to the server as a service manager does: from
	// descriptor 3 on, and LISTEN_PID is its pid.
	sockets []int
	// kills is how many children killChild kills: each costs a second of the
	// kernel's clock.
	kills int
	// restarts is how many graceful restarts a load must survive.
	restarts int
}

// patience is how long an operator waits for what must come. It is no
// assertion about speed: only a scenario that fails waits so long.
const patience = 20 * time.Second

// failf ends the scenario.
func (o *operator) failf(format string, args ...any) {
	sys.WriteAll(o.s, 2, fmt.Appendf(nil, "FAIL: "+format+"\n", args...))
	o.s.Exit(1)
}

func (o *operator) must(what string, err error) {
	if err != nil {
		o.failf("%s: %v", what, err)
	}
}

// jail is the jail's root.
func (o *operator) jail() string { return o.dir + "/jail" }

// mkdirs makes directories below the scenario's own.
func (o *operator) mkdirs(names ...string) {
	for _, name := range names {
		at := o.dir
		for part := range strings.SplitSeq(name, "/") {
			at += "/" + part
			if err := o.s.Mkdir(at, 0o755); err != nil && err != sys.EEXIST {
				o.failf("mkdir %s: %v", at, err)
			}
		}
	}
}

func (o *operator) writeFile(name, content string) {
	fd, err := o.s.Open(o.dir+"/"+name, sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC|sys.O_CLOEXEC, 0o644)
	o.must("open "+name, err)
	o.must("write "+name, sys.WriteAll(o.s, fd, []byte(content)))
	o.must("close "+name, o.s.Close(fd))
}

func (o *operator) readFile(name string) string {
	data, err := sys.ReadFile(o.s, o.dir+"/"+name, 1<<20)
	o.must("read "+name, err)
	return string(data)
}

// list is a directory's entries, sorted by the kernel's leave.
func (o *operator) list(name string) map[string]bool {
	fd, err := o.s.Open(name, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	o.must("open "+name, err)
	defer o.s.Close(fd)
	found := map[string]bool{}
	for {
		ents, err := o.s.Getdents(fd)
		o.must("getdents "+name, err)
		if len(ents) == 0 {
			return found
		}
		for _, e := range ents {
			if e.Name != "." && e.Name != ".." {
				found[e.Name] = true
			}
		}
	}
}

// freePort finds a port that nobody listens on, where none is given. It is none
// that connect(2) would choose (32768 and up, ip_local_port_range): the load of
// another scenario could have it by the time that the server binds it.
func (o *operator) freePort() {
	if o.port != 0 {
		return
	}
	var r [2]byte
	_, err := o.s.Getrandom(r[:])
	o.must("getrandom", err)
	for port := 10000 + (uint16(r[0])<<8|uint16(r[1]))%20000; ; port++ {
		fd, err := o.s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
		o.must("socket", err)
		o.port = port
		err = o.s.Bind(fd, o.address())
		o.s.Close(fd)
		if err == nil {
			return
		}
		if err != sys.EADDRINUSE {
			o.failf("bind: %v", err)
		}
	}
}

// configure writes httpjail.hcl: PORT, JAIL, DIR and USER are replaced.
func (o *operator) configure(text string) {
	user := ""
	if o.user != "" {
		user = fmt.Sprintf("user  = %q\n  group = %q", o.user, o.user)
	}
	o.writeFile("httpjail.hcl", strings.NewReplacer(
		"PORT", strconv.Itoa(int(o.port)), "JAIL", o.jail(), "DIR", o.dir, "USER", user).Replace(text))
}

// running is a server process, and what it prints.
type running struct {
	o     *operator
	pid   int
	mu    thread.Mutex
	more  thread.Cond
	text  []byte
	ended bool
}

// activated puts the process's own pid into LISTEN_PID, where a scenario wrote
// "self": a service manager does that between fork and exec.
func activated(program sys.Program) sys.Program {
	return func(s sys.Sys, argv, env []string) int {
		for i, kv := range env {
			if kv == "LISTEN_PID=self" {
				env[i] = "LISTEN_PID=" + strconv.Itoa(s.Getpid())
			}
		}
		return program(s, argv, env)
	}
}

// start starts the server with the configuration.
func (o *operator) start() *running {
	s := o.s
	env := append([]string{"HTTPJAIL_BACKEND=test"}, o.env...)
	exe, err := s.Open(o.exe, sys.O_PATH|sys.O_CLOEXEC, 0)
	o.must("open the server's executable", err)
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	o.must("open /dev/null", err)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	o.must("pipe", err)
	pid, err := s.Spawn(&sys.SpawnAttr{
		Exe: exe, Argv: []string{"httpjail", "run", "-c", o.dir + "/httpjail.hcl"},
		Env: env, Files: append([]int{null, w, w}, o.sockets...),
		Pdeathsig: sys.SIGKILL, // a scenario that fails leaves nobody behind
	})
	o.must("start the server", err)
	for _, fd := range []int{exe, null, w} {
		s.Close(fd)
	}
	srv := &running{o: o, pid: pid}
	o.must("start a thread", s.Go("reader", func(s sys.Sys) { srv.read(s, r) }))
	return srv
}

// read keeps what the server prints, until it and its children are gone.
func (r *running) read(s sys.Sys, fd int) {
	buf := make([]byte, 4096)
	for {
		n, err := s.Read(fd, buf)
		if err == sys.EINTR {
			continue
		}
		r.mu.Lock(s)
		r.text = append(r.text, buf[:n]...)
		r.ended = err != nil || n == 0
		ended := r.ended
		r.mu.Unlock(s)
		r.more.Broadcast(s)
		if ended {
			s.Close(fd)
			return
		}
	}
}

// output waits until the server has printed want, or, with "", until nobody is
// left who could print more.
func (r *running) output(want string) string {
	s := r.o.s
	until := s.Monotonic() + patience
	r.mu.Lock(s)
	for !r.ended && (want == "" || !strings.Contains(string(r.text), want)) {
		left := until - s.Monotonic()
		if left <= 0 {
			break
		}
		_ = r.more.WaitTimeout(s, &r.mu, left)
	}
	text := string(r.text)
	ended := r.ended
	r.mu.Unlock(s)
	if want != "" && !strings.Contains(text, want) || want == "" && !ended {
		r.o.failf("the server has not printed %q (ended: %v), but:\n%s", want, ended, text)
	}
	return text
}

// ready waits until the server serves.
func (r *running) ready() *running {
	r.output("resuming normal operations")
	return r
}

// wait waits for the server's end.
func (r *running) wait() sys.WaitStatus {
	for {
		pid, status, err := r.o.s.Wait4(r.pid, 0)
		if err == sys.EINTR {
			continue
		}
		r.o.must("wait4", err)
		if pid == r.pid {
			return status
		}
	}
}

// process is what /proc tells of a process.
type process struct {
	pid, ppid int
	state     byte
}

func (o *operator) processes() (all []process) {
	for _, name := range slices.Sorted(maps.Keys(o.list("/proc"))) {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		data, err := sys.ReadFile(o.s, "/proc/"+name+"/stat", 4096)
		if err != nil {
			continue // it is gone
		}
		// pid (comm) state ppid ...; comm may hold anything.
		after := data[bytes.LastIndexByte(data, ')')+1:]
		p := process{pid: pid}
		if _, err := fmt.Sscanf(string(after), " %c %d", &p.state, &p.ppid); err != nil {
			o.failf("/proc/%d/stat: %q: %v", pid, data, err)
		}
		all = append(all, p)
	}
	return all
}

// children are the pids of the server's living children.
func (r *running) children() map[int]bool {
	found := map[int]bool{}
	for _, p := range r.o.processes() {
		if p.ppid == r.pid && p.state != 'Z' && p.state != 'X' {
			found[p.pid] = true
		}
	}
	return found
}

// replaced reports whether there are children, and none of old is among them.
func (r *running) replaced(old map[int]bool) bool {
	now := r.children()
	for pid := range old {
		if now[pid] {
			return false
		}
	}
	return len(now) > 0
}

// hasNew reports whether there is a child that is not among old.
func (r *running) hasNew(old map[int]bool) bool {
	for pid := range r.children() {
		if !old[pid] {
			return true
		}
	}
	return false
}

// eventually asks cond until it is true.
func (o *operator) eventually(what string, cond func() bool) {
	for until := o.s.Monotonic() + patience; !cond(); {
		if o.s.Monotonic() > until {
			o.failf("it never came that %s", what)
		}
		_ = o.s.Nanosleep(10 * time.Millisecond)
	}
}

// address is where the server listens.
func (o *operator) address() sys.SockAddr {
	return sys.InetAddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), o.port))
}

// dial connects to the server.
func (o *operator) dial(s sys.Sys) (*conn.Conn, error) {
	fd, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	addr := o.address()
	if err := s.Connect(fd, addr); err != nil {
		s.Close(fd)
		return nil, err
	}
	c := conn.New(s, fd, sys.SockAddr{}, addr)
	c.SetReadTimeout(patience)
	c.SetWriteTimeout(patience)
	return c, nil
}

// response is an HTTP response.
type response struct {
	status int
	header http.Header
	body   string
}

// exchange sends a request over a connection and reads the answer.
func exchange(c *conn.Conn, br *bufio.Reader, method, target string, extra ...string) (response, error) {
	req := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	for _, h := range extra {
		req += h + "\r\n"
	}
	if _, err := io.WriteString(c, req+"\r\n"); err != nil {
		return response{}, err
	}
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return response{}, err
	}
	body, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(body)}, err
}

// get makes one request over a connection of its own.
func (o *operator) get(s sys.Sys, target string) (response, error) {
	c, err := o.dial(s)
	if err != nil {
		return response{}, err
	}
	defer c.Close()
	return exchange(c, bufio.NewReader(c), "GET", target, "Connection: close")
}

// mustGet is get of what must be answered with status.
func (o *operator) mustGet(target string, status int) response {
	r, err := o.get(o.s, target)
	if err != nil {
		o.failf("GET %s: %v", target, err)
	}
	if r.status != status {
		o.failf("GET %s: %d %q, want %d", target, r.status, r.body, status)
	}
	return r
}

// exists reports whether a path below the scenario's directory is there.
func (o *operator) exists(name string) bool {
	var st sys.Stat
	err := o.s.Lstat(path.Join(o.dir, name), &st)
	if err != nil && err != sys.ENOENT {
		o.failf("lstat %s: %v", name, err)
	}
	return err == nil
}
