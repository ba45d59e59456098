package simtests

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// scenario is one row of the table that every kernel must pass.
type scenario struct {
	name string
	run  func(o *operator)
}

// page is what the site serves.
const page = "<!DOCTYPE html><title>jail</title>\n"

// site prepares a jail like the seed's, with what its files need.
func (o *operator) site() {
	o.mkdirs("jail/var/run")
	o.writeFile("jail/index.html", page)
	o.freePort()
}

// seed is the configuration of the project's first example; %s are the MPM,
// and further directives of it.
const seed = `listen = ["127.0.0.1:PORT"]
jail {
  root  = "JAIL"
  USER
}
mpm %q {
  pid_file        = "/var/run/httpd.pid"
  accept_mutex    = %q
  %s
}
site {
  document_root = "/"
}
`

// seedFiles are the seed's LockFile and ScoreBoardFile.
const seedFiles = `lock_file = "/var/run/httpd.lock"
  scoreboard_file = "/var/run/httpd.scoreboard"`

// few keeps the number of processes small.
const few = "start_servers = 2\n  min_spare_servers = 1\n  max_spare_servers = 3\n  max_clients = 4\n  "
const fewThreads = "start_servers = 2\n  threads_per_child = 3\n  min_spare_threads = 2\n  max_spare_threads = 9\n  max_clients = 9\n  "

// mutexes are all accept mutexes.
var mutexes = []string{"flock", "fcntl", "posixsem", "sysvsem", "pthread", "none"}

func scenarios() []scenario {
	var all []scenario
	for _, m := range []struct{ mpm, mutex, rest string }{
		{"prefork", "flock", few + seedFiles},
		{"prefork", "fcntl", few + seedFiles},
		{"prefork", "sysvsem", few},
		{"prefork", "posixsem", few},
		{"prefork", "pthread", few},
		{"prefork", "none", few},
		{"worker", "flock", fewThreads + seedFiles},
		{"worker", "fcntl", fewThreads + seedFiles},
		{"worker", "sysvsem", fewThreads},
		{"worker", "posixsem", fewThreads},
		{"worker", "pthread", fewThreads},
		{"worker", "none", fewThreads},
	} {
		conf := fmt.Sprintf(seed, m.mpm, m.mutex, m.rest)
		all = append(all,
			scenario{"serve and stop/" + m.mpm + " " + m.mutex, func(o *operator) { serveAndStop(o, conf) }},
			scenario{"kill a child/" + m.mpm + " " + m.mutex, func(o *operator) { killChild(o, conf) }},
			scenario{"kill the parent/" + m.mpm + " " + m.mutex, func(o *operator) { killParent(o, conf) }},
			scenario{"restart without traffic/" + m.mpm + " " + m.mutex, func(o *operator) { restartIdle(o, conf) }},
			scenario{"restart/" + m.mpm + " " + m.mutex, func(o *operator) { restart(o, conf, sys.SIGHUP, 2) }},
			scenario{"restart gracefully/" + m.mpm + " " + m.mutex, func(o *operator) { restart(o, conf, sys.SIGUSR1, o.restarts) }},
		)
	}
	all = append(all, eventScenarios()...)
	all = append(all, topologyScenarios()...)
	all = append(all, matrixScenarios()...)
	prefork := fmt.Sprintf(seed, "prefork", "flock", few+seedFiles)
	worker := fmt.Sprintf(seed, "worker", "sysvsem", fewThreads)
	all = append(all,
		scenario{"stop gracefully/prefork", func(o *operator) { stopGracefully(o, prefork) }},
		scenario{"stop gracefully/worker", func(o *operator) { stopGracefully(o, worker) }},
		scenario{"access log", accessLog},
		scenario{"jail order/apache13", orderApache13},
		scenario{"jail order/per-child", orderPerChild},
		scenario{"service manager", serviceManager},
		scenario{"control/killed", killed},
		scenario{"control/prefork", func(o *operator) { control(o, "prefork", few) }},
		scenario{"control/worker", func(o *operator) { control(o, "worker", fewThreads) }},
	)
	return append(all, startFailures()...)
}

// serveAndStop is the life of a server: boot, jail, serve, stop.
func serveAndStop(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()

	if got := o.readFile("jail/var/run/httpd.pid"); got != strconv.Itoa(srv.pid)+"\n" {
		o.failf("the PidFile holds %q, the server is %d", got, srv.pid)
	}
	want := 2
	if strings.Contains(conf, `"beos"`) || strings.Contains(conf, `"mpm_winnt"`) {
		want = 1
	}
	o.eventually("the children live", func() bool { return len(srv.children()) >= want })
	pids := append(slices.Sorted(maps.Keys(srv.children())), srv.pid)
	for _, pid := range pids {
		root, err := o.s.Readlink(fmt.Sprintf("/proc/%d/root", pid))
		o.must("readlink /proc/PID/root", err)
		if root != o.jail() {
			o.failf("the root of %d is %q, not the jail", pid, root)
		}
	}
	// A child gives up its privileges before it serves.
	o.mustGet("/", 200)
	for _, pid := range pids[:len(pids)-1] {
		o.eventually("a child has no privileges", func() bool { return o.unprivileged(pid) })
	}

	c, err := o.dial(o.s)
	o.must("connect", err)
	br := bufio.NewReader(c)
	for i := range 3 {
		r, err := exchange(c, br, "GET", "/index.html")
		if err != nil || r.status != 200 || r.body != page {
			o.failf("request %d of a connection: %+v, %v", i, r, err)
		}
		if dates := r.header.Values("Date"); len(dates) != 1 {
			o.failf("the response has the Dates %q", dates)
		}
	}
	r, err := exchange(c, br, "HEAD", "/index.html", "Connection: close")
	if err != nil || r.status != 200 || r.body != "" || r.header.Get("Content-Length") != strconv.Itoa(len(page)) {
		o.failf("HEAD: %+v, %v", r, err)
	}
	c.Close()
	o.mustGet("/nothing", 404)
	o.mustGet("/../../../../etc/passwd", 400)
	o.mustGet("/%2e%2e/%2e%2e/httpjail.hcl", 400)

	pid, err := strconv.Atoi(strings.TrimSpace(o.readFile("jail/var/run/httpd.pid")))
	o.must("read the pid", err)
	o.must("kill -TERM", o.s.Kill(pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// unprivileged reports whether /proc shows a process without capabilities and,
// where children become somebody else, without root's ids.
func (o *operator) unprivileged(pid int) bool {
	data, err := sys.ReadFile(o.s, fmt.Sprintf("/proc/%d/status", pid), 64<<10)
	o.must("read /proc/PID/status", err)
	facts := map[string]string{}
	for line := range strings.Lines(string(data)) {
		k, v, _ := strings.Cut(line, ":")
		facts[k] = strings.Join(strings.Fields(v), " ")
	}
	const none = "0000000000000000"
	ids := o.user == "" || facts["Uid"] == "33 33 33 33" && facts["Gid"] == "33 33 33 33" && facts["Groups"] == "33"
	return ids && facts["CapEff"] == none && facts["CapPrm"] == none && facts["CapInh"] == none && facts["CapBnd"] == none &&
		facts["NoNewPrivs"] == "1"
}

// stopped waits for an orderly end, after which nothing is left.
func (o *operator) stopped(srv *running, before map[string]bool) {
	if status := srv.wait(); !status.Exited() || status.ExitStatus() != 0 {
		o.failf("the server ended with %#x:\n%s", uint32(status), srv.output(""))
	}
	text := srv.output("") // until the last child has closed it
	if !strings.Contains(text, "stopped") {
		o.failf("the server did not say that it stopped:\n%s", text)
	}
	o.nothingLeft(before)
}

// nothingLeft checks that the jail is as it was and nobody listens.
func (o *operator) nothingLeft(before map[string]bool) {
	if after := o.list(o.jail() + "/var/run"); !maps.Equal(before, after) {
		o.failf("left behind in the jail's /var/run: %v, before %v", after, before)
	}
	if _, err := o.get(o.s, "/"); err == nil {
		o.failf("somebody still answers")
	}
}

// load is clients at work.
type load struct {
	stop     atomic.Bool
	answered atomic.Int64
	failed   atomic.Int64 // connections that ended without an answer
	wrong    atomic.Int64 // answers other than the page
	done     thread.WaitGroup
}

// load starts clients, which pause for so long after each answer.
func (o *operator) load(clients int, pause ...time.Duration) *load {
	l := &load{}
	l.done.Add(clients)
	for i := range clients {
		o.must("start a client", o.s.Go(fmt.Sprintf("client %d", i), func(s sys.Sys) {
			defer l.done.Done(s)
			for !l.stop.Load() {
				// Two clients without a pause would take the machine from
				// whatever else is tested.
				_ = s.Nanosleep(time.Millisecond)
				r, err := o.get(s, "/")
				switch {
				case err != nil:
					l.failed.Add(1)
				case r.status != 200 || r.body != page:
					l.wrong.Add(1)
				default:
					l.answered.Add(1)
				}
				for _, d := range pause {
					_ = s.Nanosleep(d)
				}
			}
		}))
	}
	return l
}

func (l *load) end(o *operator) {
	l.stop.Store(true)
	l.done.Wait(o.s)
}

// killChild kills a child with SIGKILL under load: only what it was answering
// is lost, and there is another child within the parent's next tick.
func killChild(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	l := o.load(2)
	for range o.kills {
		n := l.answered.Load()
		o.eventually("the load goes on", func() bool { return l.answered.Load() > n+5 })
		old := srv.children()
		var victim int
		o.eventually("there is a child to kill", func() bool {
			old = srv.children()
			victim = slices.Min(append(slices.Collect(maps.Keys(old)), 1<<30))
			return len(old) > 0
		})
		o.must("kill -9", o.s.Kill(victim, sys.SIGKILL))
		o.eventually("a new child lives", func() bool { return srv.hasNew(old) })
	}
	n := l.answered.Load()
	o.eventually("the load goes on", func() bool { return l.answered.Load() > n+5 })
	l.end(o)
	// Each kill loses at most the connections that the child had: one for each
	// client.
	if failed, wrong := l.failed.Load(), l.wrong.Load(); failed > int64(o.kills)*2 || wrong > 0 {
		o.failf("%d connections failed and %d answers were wrong, of %d", failed, wrong, l.answered.Load())
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	if text := srv.output("shutting down"); !strings.Contains(text, "exit signal SIGKILL") {
		o.failf("the server does not say that a child was killed:\n%s", text)
	}
	o.stopped(srv, before)
}

// restart restarts the server under load. A graceful restart loses no request;
// the other cuts off what is being answered.
func restart(o *operator, conf string, sig sys.Signal, times int) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	l := o.load(2)
	for i := range times {
		old := srv.children()
		o.must("kill", o.s.Kill(srv.pid, sig))
		o.eventually("the old generation is gone and another serves", func() bool { return srv.replaced(old) })
		n := l.answered.Load()
		o.eventually(fmt.Sprintf("the load goes on after restart %d", i+1), func() bool { return l.answered.Load() > n+2 })
	}
	l.end(o)
	failed, wrong := l.failed.Load(), l.wrong.Load()
	if sig == sys.SIGUSR1 && failed > 0 || wrong > 0 {
		o.failf("%d connections failed and %d answers were wrong, of %d", failed, wrong, l.answered.Load())
	}
	if got := o.readFile("jail/var/run/httpd.pid"); got != strconv.Itoa(srv.pid)+"\n" {
		o.failf("the PidFile holds %q, the server is %d", got, srv.pid)
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// restartIdle restarts gracefully where nobody connects, twice in a row: the
// children of the first restart are still starting at the second, and may come
// to wait for the accept mutex behind a child that is to stay. They go all the
// same.
func restartIdle(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	generations := func() int {
		return strings.Count(srv.output("resuming normal operations"), "resuming normal operations")
	}
	graceful := func() {
		n := generations()
		o.must("kill -USR1", o.s.Kill(srv.pid, sys.SIGUSR1))
		o.eventually("the next generation has been started", func() bool { return generations() > n })
	}
	for range 2 * o.kills {
		graceful()
		old := srv.children()
		graceful()
		o.eventually("the old generations are gone", func() bool { return srv.replaced(old) })
	}
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// stopGracefully is SIGWINCH: a connection that is open gets its answer, new
// ones are refused.
func stopGracefully(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	c, err := o.dial(o.s)
	o.must("connect", err)
	br := bufio.NewReader(c)
	if r, err := exchange(c, br, "GET", "/"); err != nil || r.status != 200 {
		o.failf("before the stop: %+v, %v", r, err)
	}
	o.must("kill -WINCH", o.s.Kill(srv.pid, sys.SIGWINCH))
	o.eventually("the PidFile is gone", func() bool { return !o.exists("jail/var/run/httpd.pid") })
	r, err := exchange(c, br, "GET", "/")
	if err != nil || r.status != 200 || r.body != page {
		o.failf("an open connection during the stop: %+v, %v", r, err)
	}
	c.Close()
	o.stopped(srv, before)
}

// killParent kills the parent with SIGKILL: the children notice and end, and
// the next server starts although a PidFile and a LockFile are left.
func killParent(o *operator, conf string) {
	o.site()
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.mustGet("/", 200)
	o.must("kill -9", o.s.Kill(srv.pid, sys.SIGKILL))
	if status := srv.wait(); status.Signal() != sys.SIGKILL {
		o.failf("the server ended with %#x", uint32(status))
	}
	srv.output("") // ends when the last child has ended
	again := o.start().ready()
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(again.pid, sys.SIGTERM))
	if text := again.output("shutting down"); !strings.Contains(text, "Unclean shutdown of previous run?") {
		o.failf("the second server does not warn about the PidFile:\n%s", text)
	}
	o.stopped(again, before)
}

// accessLog: opened outside, written inside.
func accessLog(o *operator) {
	o.site()
	o.mkdirs("log")
	conf := fmt.Sprintf(seed, "prefork", "sysvsem", few)
	o.configure(strings.Replace(conf, `document_root = "/"`, `document_root = "/"
  access_log {
    path   = "DIR/log/access.log"
    format = "common"
  }`, 1))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.mustGet("/", 200)
	o.mustGet("/nothing", 404)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
	lines := strings.Split(strings.TrimSpace(o.readFile("log/access.log")), "\n")
	if len(lines) != 2 ||
		!strings.HasPrefix(lines[0], "127.0.0.1 - - [") || !strings.HasSuffix(lines[0], fmt.Sprintf(`"GET / HTTP/1.1" 200 %d`, len(page))) ||
		!strings.Contains(lines[1], `"GET /nothing HTTP/1.1" 404 `) {
		o.failf("the access log holds:\n%s", strings.Join(lines, "\n"))
	}
}

// ordered is the seed's configuration with another order, and an access log.
func ordered(order, log string) string {
	conf := strings.Replace(fmt.Sprintf(seed, "prefork", "flock", few+seedFiles), "USER", "order = \""+order+"\"\n  USER", 1)
	return strings.Replace(conf, `document_root = "/"`, `document_root = "/"
  access_log { path = "`+log+`" }`, 1)
}

// orderApache13: the jail is one module among the others; those after it find
// their files inside, those before it outside.
func orderApache13(o *operator) {
	o.site()
	o.mkdirs("log", "jail/log")
	for _, c := range []struct{ order, path, file string }{
		{"apache13", "/log/access.log", "jail/log/access.log"},
		{"apache13\"\n  after = [\"accesslog\"]\n  #", "DIR/log/access.log", "log/access.log"},
	} {
		o.configure(ordered(c.order, c.path))
		before := o.list(o.jail() + "/var/run")
		srv := o.start().ready()
		o.mustGet("/", 200)
		root, err := o.s.Readlink(fmt.Sprintf("/proc/%d/root", srv.pid))
		if err != nil || root != o.jail() {
			o.failf("the root of the parent is %q, %v", root, err)
		}
		o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
		o.stopped(srv, before)
		if log := o.readFile(c.file); !strings.Contains(log, `"GET / HTTP/1.1" 200`) {
			o.failf("%s holds %q", c.file, log)
		}
	}
	o.configure(ordered("apache13", "/nolog/access.log"))
	srv := o.start()
	if status, text := srv.wait(), srv.output(""); status.ExitStatus() != 1 || !strings.Contains(text, o.jail()+"/nolog/access.log") {
		o.failf("without its directory in the jail the log gives %#x:\n%s", uint32(status), text)
	}
}

// orderPerChild: the parent stays outside, and with it the PidFile, the lock
// and the scoreboard; it reads its configuration again at a restart.
func orderPerChild(o *operator) {
	o.site()
	o.mkdirs("log", "run", "jail/other")
	o.writeFile("jail/other/index.html", "other\n")
	conf := strings.ReplaceAll(ordered("per-child", "DIR/log/access.log"), `"/var/run/`, `"DIR/run/`)
	o.configure(conf)
	before := o.list(o.dir + "/run")
	srv := o.start().ready()
	o.mustGet("/", 200)
	o.eventually("a child is in the jail, without privileges", func() bool {
		for pid := range srv.children() {
			root, err := o.s.Readlink(fmt.Sprintf("/proc/%d/root", pid))
			if err != nil || root != o.jail() || !o.unprivileged(pid) {
				return false
			}
		}
		return true
	})
	if root, err := o.s.Readlink(fmt.Sprintf("/proc/%d/root", srv.pid)); err != nil || root != "/" {
		o.failf("the root of the parent is %q, %v", root, err)
	}
	if got := o.readFile("run/httpd.pid"); got != strconv.Itoa(srv.pid)+"\n" {
		o.failf("the PidFile holds %q", got)
	}
	o.configure(strings.Replace(conf, `document_root = "/"`, `document_root = "/other"`, 1))
	o.must("kill -HUP", o.s.Kill(srv.pid, sys.SIGHUP))
	o.eventually("the changed configuration serves", func() bool {
		r, err := o.get(o.s, "/")
		return err == nil && r.body == "other\n"
	})
	o.configure("listen = [")
	o.must("kill -USR1", o.s.Kill(srv.pid, sys.SIGUSR1))
	srv.output("restarting with the configuration that the server has")
	o.eventually("the server goes on", func() bool {
		r, err := o.get(o.s, "/")
		return err == nil && r.body == "other\n"
	})
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	if status := srv.wait(); !status.Exited() || status.ExitStatus() != 0 {
		o.failf("the server ended with %#x", uint32(status))
	}
	srv.output("")
	if after := o.list(o.dir + "/run"); !maps.Equal(before, after) {
		o.failf("left behind: %v", after)
	}
}

// serviceManager is a start as systemd does it: the listening socket is handed
// in, and the server tells of itself over a socket that it connected to before
// the jail closed.
func serviceManager(o *operator) {
	o.site()
	s := o.s
	notify, err := s.Socket(sys.AF_UNIX, sys.SOCK_DGRAM|sys.SOCK_CLOEXEC, 0)
	if err == sys.EPROTONOSUPPORT {
		sys.WriteAll(s, 1, []byte("SKIP: this kernel has no datagram sockets\n"))
		return
	}
	o.must("socket", err)
	o.must("bind", s.Bind(notify, sys.UnixAddr(o.dir+"/notify")))
	next := func(want string) {
		buf := make([]byte, 4096)
		n, err := s.Recv(notify, buf, 0)
		for err == sys.EINTR {
			n, err = s.Recv(notify, buf, 0)
		}
		o.must("recv", err)
		if !strings.HasPrefix(string(buf[:n]), want) {
			o.failf("the server notifies %q, want %q", buf[:n], want)
		}
	}
	listener, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	o.must("socket", err)
	o.must("bind", s.Bind(listener, o.address()))
	o.must("listen", s.Listen(listener, 16))

	o.configure(fmt.Sprintf(seed, "prefork", "sysvsem", few))
	before := o.list(o.jail() + "/var/run")
	o.env = append(o.env, "NOTIFY_SOCKET="+o.dir+"/notify", "WATCHDOG_USEC=2000000", "LISTEN_PID=self", "LISTEN_FDS=1")
	o.sockets = []int{listener}
	srv := o.start()
	next("READY=1\nMAINPID=" + strconv.Itoa(srv.pid))
	o.mustGet("/", 200) // a port that is bound already could not be bound again
	next("WATCHDOG=1")
	next("WATCHDOG=1")
	o.must("kill -HUP", s.Kill(srv.pid, sys.SIGHUP))
	next("RELOADING=1\nMONOTONIC_USEC=")
	next("READY=1")
	o.must("kill -TERM", s.Kill(srv.pid, sys.SIGTERM))
	next("STOPPING=1")
	s.Close(listener)
	o.stopped(srv, before)
}

// startFailures are the ways in which the seed's configuration does not start,
// each with one error that names both views, the line and the mend.
func startFailures() []scenario {
	conf := fmt.Sprintf(seed, "prefork", "flock", few+seedFiles)
	with := func(line string) string { return strings.Replace(conf, "pid_file ", line+"\n  pid_file ", 1) }
	all := []struct {
		name    string
		conf    string
		prepare func(o *operator)
		want    []string
	}{
		{"no directory for the PidFile", strings.Replace(conf, "/var/run/httpd.pid", "/var/pid/httpd.pid", 1), nil,
			[]string{"PidFile", "/var/pid/httpd.pid", "JAIL/var/pid/httpd.pid", "DIR/httpjail.hcl:", "mkdir -p JAIL/var/pid"}},
		{"no directory for the LockFile", strings.Replace(conf, "/var/run/httpd.lock", "/var/lock/httpd.lock", 1), nil,
			[]string{"LockFile", "/var/lock/httpd.lock", "JAIL/var/lock/httpd.lock", "DIR/httpjail.hcl:", "mkdir -p JAIL/var/lock"}},
		{"no directory for the ScoreBoardFile", strings.Replace(conf, "/var/run/httpd.scoreboard", "/var/score/httpd.scoreboard", 1), nil,
			[]string{"ScoreBoardFile", "/var/score/httpd.scoreboard", "JAIL/var/score/httpd.scoreboard", "DIR/httpjail.hcl:", "mkdir -p JAIL/var/score"}},
		{"CoreDumpDirectory missing outside", with(`core_dump_directory = "DIR/core"`), func(o *operator) { o.mkdirs("jail" + o.dir + "/core") },
			[]string{"core_dump_directory", "DIR/core", "DIR/httpjail.hcl:", "mkdir -p DIR/core"}},
		{"CoreDumpDirectory missing in the jail", with(`core_dump_directory = "DIR/core"`), func(o *operator) { o.mkdirs("core") },
			[]string{"core_dump_directory", "in the jail", "JAILDIR/core", "DIR/httpjail.hcl:", "mkdir -p JAILDIR/core"}},
		{"unknown user", strings.Replace(conf, "USER", "user = \"nosuchuser\"", 1), nil,
			[]string{"jail.user", "nosuchuser", "/etc/passwd", "DIR/httpjail.hcl:", "adduser"}},
		{"port in use", conf, func(o *operator) {
			fd, err := o.s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
			o.must("socket", err)
			o.must("bind", o.s.Bind(fd, o.address()))
			o.must("listen", o.s.Listen(fd, 1))
		}, []string{"listen", "address already in use", "DIR/httpjail.hcl:1", "ss -ltnp"}},
		{"the LockFile is a symlink", conf, func(o *operator) {
			o.must("symlink", o.s.Symlink("elsewhere", o.jail()+"/var/run/httpd.lock"))
		}, []string{"LockFile", "/var/run/httpd.lock", "JAIL/var/run/httpd.lock", "DIR/httpjail.hcl:", "symbolic link"}},
		{"no directory for the error_log", "error_log = \"DIR/log/error.log\"\n" + conf, nil,
			[]string{"error_log", "DIR/log/error.log", "DIR/httpjail.hcl:1", "mkdir -p DIR/log"}},
		{"no types_config", "types_config = \"DIR/mime.types\"\n" + conf, nil,
			[]string{"types_config", "DIR/mime.types", "DIR/httpjail.hcl:1", "create DIR/mime.types"}},
		{"no jail", strings.Replace(conf, `"JAIL"`, `"DIR/nojail"`, 1), nil,
			[]string{"jail", "DIR/nojail", "DIR/httpjail.hcl:3", "no such file or directory"}},
		{"no document_root", strings.Replace(conf, `document_root = "/"`, `document_root = "/htdocs"`, 1), nil,
			[]string{"document_root", "JAIL/htdocs", "DIR/httpjail.hcl:", "create JAIL/htdocs"}},
	}
	var scenarios []scenario
	for _, f := range all {
		scenarios = append(scenarios, scenario{"does not start/" + f.name, func(o *operator) {
			o.site()
			if f.prepare != nil {
				f.prepare(o)
			}
			o.configure(f.conf)
			before := o.list(o.jail() + "/var/run")
			srv := o.start()
			status := srv.wait()
			text := srv.output("")
			if !status.Exited() || status.ExitStatus() != 1 {
				o.failf("the server ended with %#x:\n%s", uint32(status), text)
			}
			for _, want := range f.want {
				want = strings.NewReplacer("JAIL", o.jail(), "DIR", o.dir).Replace(want)
				if !strings.Contains(text, want) {
					o.failf("the error lacks %q:\n%s", want, text)
				}
			}
			if n := strings.Count(text, "httpjail: "); n != 1 {
				o.failf("%d errors instead of one:\n%s", n, text)
			}
			if after := o.list(o.jail() + "/var/run"); !maps.Equal(before, after) {
				o.failf("left behind: %v", after)
			}
		}})
	}
	return scenarios
}
