package simtests

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
)

// topology is an MPM whose directives other than the mutex's are small.
type topology struct{ mpm, rest string }

var (
	leaderFew     = topology{"leader", fewThreads}
	threadpoolFew = topology{"threadpool", fewThreads}
	perchildFew   = topology{"perchild", "num_servers = 2\n start_threads = 2\n min_spare_threads = 2\n max_spare_threads = 4\n max_threads_per_child = 8\n  "}
	beosFew       = topology{"beos", "start_threads = 2\n min_spare_threads = 1\n max_spare_threads = 3\n max_requests_per_thread = 3\n  "}
	winntFew      = topology{"mpm_winnt", "threads_per_child = 3\n  "}
	os2Few        = topology{"mpmt_os2", "start_servers = 2\n min_spare_threads = 2\n max_spare_threads = 4\n  "}
)

// conf is seed for t; mutex "" leaves out what chooses one.
func (t topology) conf(mutex string) string {
	switch mutex {
	case "":
		return strings.Replace(fmt.Sprintf(seed, t.mpm, "", t.rest), "accept_mutex    = \"\"\n", "", 1)
	case "flock", "fcntl":
		return fmt.Sprintf(seed, t.mpm, mutex, t.rest+seedFiles)
	}
	return fmt.Sprintf(seed, t.mpm, mutex, t.rest)
}

func topologyScenarios() []scenario {
	var all []scenario
	for _, t := range []struct {
		topology
		mutex string
	}{
		{leaderFew, "flock"}, {threadpoolFew, "sysvsem"}, {beosFew, ""}, {os2Few, "sysvsem"}, {winntFew, ""}, {perchildFew, "flock"},
	} {
		conf := t.conf(t.mutex)
		orphaned := conf
		if t.mutex == "sysvsem" { // a parent that is killed leaves its semaphore
			orphaned = t.conf("flock")
		}
		all = append(all,
			scenario{"serve and stop/" + t.mpm, func(o *operator) { serveAndStop(o, conf) }},
			scenario{"kill a child/" + t.mpm, func(o *operator) { killChild(o, conf) }},
			scenario{"restart gracefully/" + t.mpm, func(o *operator) { restart(o, conf, sys.SIGUSR1, o.restarts) }},
			scenario{"restart/" + t.mpm + " " + t.mutex, func(o *operator) { restart(o, conf, sys.SIGHUP, 2) }},
			scenario{"stop gracefully/" + t.mpm, func(o *operator) { stopGracefully(o, conf) }},
			scenario{"kill the parent/" + t.mpm, func(o *operator) { killParent(o, orphaned) }},
		)
	}
	for _, t := range []struct {
		topology
		mutex string
	}{{os2Few, "sysvsem"}, {leaderFew, "flock"}, {perchildFew, "flock"}} {
		conf := twoListeners(t.conf(t.mutex))
		all = append(all, scenario{"kill a child/" + t.mpm + " two listeners", func(o *operator) { killChild(o, conf) }})
	}
	twoListeners := twoListeners(os2Few.conf("sysvsem"))
	return append(all,
		scenario{"serve and stop/mpmt_os2 two listeners", func(o *operator) { serveAndStop(o, twoListeners) }},
		scenario{"last in, first out/leader", func(o *operator) { lastInFirstOut(o, "leader") }},
		scenario{"last in, first out/threadpool", func(o *operator) { lastInFirstOut(o, "threadpool") }},
		scenario{"threads come and go/beos", func(o *operator) {
			threadsComeAndGo(o, topology{"beos", "start_threads = 1\n min_spare_threads = 1\n max_spare_threads = 2\n"}.conf(""), 1, 2, 3)
		}},
		scenario{"threads come and go/perchild", func(o *operator) {
			threadsComeAndGo(o, topology{"perchild", "num_servers = 1\n start_threads = 1\n min_spare_threads = 1\n max_spare_threads = 2\n"}.conf("flock"), 1, 2, 3)
		}},
		scenario{"threads come and go/mpmt_os2", func(o *operator) {
			threadsComeAndGo(o, topology{"mpmt_os2", "start_servers = 1\n min_spare_threads = 1\n max_spare_threads = 2\n"}.conf("sysvsem"), 1, 2, 3)
		}},
		scenario{"replacement without a gap/mpm_winnt", replacement},
		scenario{"exactly start_servers/mpmt_os2", exactly},
		scenario{"a user for each site/perchild", userForEachSite},
		scenario{"read again/perchild", usersReadAgain},
		scenario{"restart gracefully/perchild with users", func(o *operator) { passing(o, func(conf string) { restart(o, conf, sys.SIGUSR1, o.restarts) }) }},
		scenario{"kill a child/perchild with users", func(o *operator) { passing(o, func(conf string) { o.kills = 1; killChild(o, conf) }) }},
		scenario{"does not start/perchild as root", perchildAsRoot},
	)
}

// twoListeners gives the server a second address.
func twoListeners(conf string) string {
	return strings.Replace(conf, `"127.0.0.1:PORT"`, `"127.0.0.1:PORT", "127.0.0.2:PORT"`, 1)
}

// TestTopologiesSameSeedSameTrace is TestSameSeedSameTrace of MPMs with shared
// parts that worker has not.
func TestTopologiesSameSeedSameTrace(t *testing.T) {
	for _, m := range []struct {
		topology
		mutex string
	}{{leaderFew, "flock"}, {threadpoolFew, "fcntl"}, {beosFew, ""}, {winntFew, ""}, {os2Few, "sysvsem"}, {perchildFew, "pthread"}} {
		conf := m.conf(m.mutex)
		sameTrace(t, 5, scenario{"serve and stop/" + m.mpm, func(o *operator) { serveAndStop(o, conf) }})
		sameTrace(t, 2, scenario{"kill a child/" + m.mpm, func(o *operator) { o.kills = 1; killChild(o, conf) }})
	}
}

// workers are the slots of the scoreboard in the jail that are taken.
func (o *operator) workers() []mpm.WorkerStats {
	fd, err := o.s.Open(o.jail()+"/var/run/httpd.scoreboard", sys.O_RDONLY|sys.O_CLOEXEC, 0)
	o.must("open the scoreboard", err)
	defer o.s.Close(fd)
	score, err := mpm.ReadScoreboard(o.s, fd)
	o.must("read the scoreboard", err)
	defer score.Close(o.s)
	return slices.DeleteFunc(score.Workers(), func(w mpm.WorkerStats) bool { return w.Status == mpm.Dead })
}

// withScoreboard adds the file that workers reads.
func withScoreboard(conf string) string {
	if strings.Contains(conf, "scoreboard_file") {
		return conf
	}
	return strings.Replace(conf, "pid_file ", "scoreboard_file = \"/var/run/httpd.scoreboard\"\n  pid_file ", 1)
}

// lastInFirstOut: of many idle threads the last to become idle serves next, so
// that under a small load most have never had a connection.
func lastInFirstOut(o *operator, name string) {
	o.site()
	o.configure(topology{name, "start_servers = 1\n threads_per_child = 8\n min_spare_threads = 1\n max_spare_threads = 9\n max_clients = 8\n"}.conf("flock"))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.eventually("all threads are idle", func() bool {
		ready := 0
		for _, w := range o.workers() {
			if w.Status == mpm.Ready {
				ready++
			}
		}
		return ready == 8
	})
	const connections = 20
	for range connections {
		o.mustGet("/", 200)
		_ = o.s.Nanosleep(10 * time.Millisecond) // the thread becomes idle again
	}
	used, total := 0, uint64(0)
	for _, w := range o.workers() {
		total += w.Conns
		if w.Conns > 0 {
			used++
		}
	}
	// One thread waits for the next connection while another serves; on a busy
	// machine a third.
	if total != connections || used < 2 || used > 4 {
		o.failf("%d threads of 8 had %d connections of %d: %+v", used, total, connections, o.workers())
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// threadsComeAndGo opens connections and keeps them: each holds a thread, and
// there are still idle ones for others. When they are closed threads end.
func threadsComeAndGo(o *operator, conf string, least, most, held int) {
	o.site()
	o.configure(withScoreboard(conf))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	var open []*conn.Conn
	for i := range held {
		c, err := o.dial(o.s)
		o.must("connect", err)
		if r, err := exchange(c, bufio.NewReader(c), "GET", "/"); err != nil || r.status != 200 {
			o.failf("connection %d: %+v, %v", i, r, err)
		}
		open = append(open, c)
	}
	idle := func() (idle, all int) {
		for _, w := range o.workers() {
			all++
			if w.Status == mpm.Ready {
				idle++
			}
		}
		return idle, all
	}
	o.eventually("there are idle threads beside the busy ones", func() bool {
		i, all := idle()
		return i >= least && all >= held+least
	})
	o.mustGet("/", 200)
	if n := len(srv.children()); n != 1 {
		o.failf("there are %d children", n)
	}
	for _, c := range open {
		c.Close()
	}
	o.eventually("surplus threads end", func() bool {
		i, all := idle()
		return i == all && all <= most
	})
	o.mustGet("/", 200)
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// replacement: mpm_winnt's child is replaced again and again at
// max_requests_per_child, and no client notices.
func replacement(o *operator) {
	o.site()
	o.configure(topology{"mpm_winnt", "threads_per_child = 3\n max_requests_per_child = 10\n"}.conf(""))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	l := o.load(2, 5*time.Millisecond)
	seen := map[int]bool{}
	o.eventually("the child is replaced twice", func() bool {
		maps.Copy(seen, srv.children())
		if len(srv.children()) > 2 {
			o.failf("there are the children %v", srv.children())
		}
		return len(seen) >= 3
	})
	n := l.answered.Load()
	o.eventually("the load goes on", func() bool { return l.answered.Load() > n+5 })
	l.end(o)
	if failed, wrong := l.failed.Load(), l.wrong.Load(); failed > 0 || wrong > 0 {
		o.failf("%d connections failed and %d answers were wrong, of %d", failed, wrong, l.answered.Load())
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// exactly: mpmt_os2 has start_servers children, whatever the load, and again
// when one is gone.
func exactly(o *operator) {
	o.site()
	o.configure(topology{"mpmt_os2", "start_servers = 3\n min_spare_threads = 1\n max_spare_threads = 2\n max_requests_per_child = 0\n"}.conf("sysvsem"))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.eventually("there are three children", func() bool { return len(srv.children()) == 3 })
	first := srv.children()
	l := o.load(6)
	n := l.answered.Load()
	o.eventually("the load goes on", func() bool { return l.answered.Load() > n+50 })
	_ = o.s.Nanosleep(1100 * time.Millisecond) // a tick of the parent goes by
	l.end(o)
	if now := srv.children(); !maps.Equal(first, now) {
		o.failf("the children were %v and are %v", first, now)
	}
	victim := slices.Min(slices.Collect(maps.Keys(first)))
	o.must("kill -9", o.s.Kill(victim, sys.SIGKILL))
	o.eventually("the child is replaced", func() bool { return len(srv.children()) == 3 && !srv.children()[victim] })
	kept := 0
	for pid := range srv.children() {
		if first[pid] {
			kept++
		}
	}
	if kept != 2 {
		o.failf("%d of the other two children are left", kept)
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// perchildConf is perchild with a user for two of its three sites.
const perchildConf = `listen = ["127.0.0.1:PORT"]
jail {
  root = "JAIL"
  USER
}
mpm "perchild" {
  pid_file = "/var/run/httpd.pid"
  accept_mutex = "fcntl"
  lock_file = "/var/run/httpd.lock"
  num_servers = 4
  start_threads = 3
  min_spare_threads = 2
  max_spare_threads = 4
  child_per_user_id {
    user = "#1001"
    group = "#1001"
    servers = 2
  }
  child_per_user_id {
    user = "#1002"
    group = "#1002"
  }
}
site {
  server_name = "alice.test"
  document_root = "/alice"
  assign_user_id {
    user = "#1001"
    group = "#1001"
  }
}
site {
  server_name = "bob.test"
  document_root = "/bob"
  assign_user_id {
    user = "#1002"
    group = "#1002"
  }
}
site {
  document_root = "/public"
}
`

// ask writes the head of a request to a site.
func ask(host, target string, extra ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(extra, "", ""), "\r\n")
}

// severalUsers reports whether children can become different users.
func (o *operator) severalUsers() bool {
	if o.user != "" {
		return true
	}
	sys.WriteAll(o.s, 1, []byte("SKIP: needs several users: a user namespace without helpers has one\n"))
	return false
}

// passing runs a scenario in which three of four processes pass what they
// accept: the load is for jail.user's site.
func passing(o *operator, run func(conf string)) {
	if o.severalUsers() {
		o.mkdirs("jail/alice", "jail/bob")
		run(strings.Replace(perchildConf, `"/public"`, `"/"`, 1))
	}
}

// usersReadAgain: a parent outside the jail reads its configuration again when a
// signal makes it restart. Children still become perchild's users, and a
// configuration that is refused, as often as it may be, leaves nothing open.
func usersReadAgain(o *operator) {
	if !o.severalUsers() {
		return
	}
	o.site()
	o.mkdirs("jail/alice", "jail/bob", "jail/public", "run")
	conf := strings.ReplaceAll(strings.Replace(perchildConf, "USER", "order = \"per-child\"\n  USER", 1), `"/var/run/`, `"DIR/run/`)
	o.configure(conf)
	srv := o.start().ready()
	users := func() (uids [3]int) {
		for pid := range srv.children() {
			switch o.uid(pid) {
			case 1001:
				uids[0]++
			case 1002:
				uids[1]++
			case 33:
				uids[2]++
			}
		}
		return uids
	}
	want := [3]int{2, 1, 1}
	o.eventually("each user has its processes", func() bool { return users() == want })
	// What is open in the parent with the configuration that stays.
	fds := func() int { return len(o.list(fmt.Sprintf("/proc/%d/fd", srv.pid))) }
	before := fds()
	o.configure(strings.Replace(conf, `"127.0.0.1:PORT"`, `"127.0.0.1:PORT", "192.0.2.1:PORT"`, 1)) // nobody has that address
	for i := range 3 {
		o.must("kill -USR1", o.s.Kill(srv.pid, sys.SIGUSR1))
		o.eventually("the server has restarted", func() bool {
			return strings.Count(srv.output("restarting with the configuration that the server has"), "resuming normal operations") > i+1
		})
	}
	// The pipe of death of the last generation closes when its children run.
	o.eventually("a refused configuration leaves nothing open", func() bool { return fds() == before })
	o.configure(conf)
	o.must("kill -HUP", o.s.Kill(srv.pid, sys.SIGHUP))
	o.eventually("the server has restarted", func() bool { return strings.Count(srv.output("SIGHUP"), "resuming normal operations") > 4 })
	o.eventually("each user has its processes again", func() bool { return users() == want })
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	if status := srv.wait(); !status.Exited() || status.ExitStatus() != 0 {
		o.failf("the server ended with %#x:\n%s", uint32(status), srv.output(""))
	}
	srv.output("")
}

// userForEachSite: whichever process accepts, a request is served by one of the
// site's user, also on a connection that others have used before, and with what
// else was sent already.
func userForEachSite(o *operator) {
	if !o.severalUsers() {
		return
	}
	o.site()
	const alice, bob = 1001, 1002
	for dir, uid := range map[string]int{"alice": alice, "bob": bob} {
		o.mkdirs("jail/" + dir)
		for name, owner := range map[string]int{"index.html": uid, "other.html": alice + bob - uid} {
			o.writeFile("jail/"+dir+"/"+name, dir+"\n")
			path := o.jail() + "/" + dir + "/" + name
			o.must("chmod", o.s.Chmod(path, 0o400))
			o.must("chown", o.s.Chown(path, owner, owner))
		}
	}
	o.mkdirs("jail/public")
	o.writeFile("jail/public/index.html", "public\n")
	o.configure(perchildConf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	o.eventually("there are four children", func() bool { return len(srv.children()) == 4 })

	hosts := []string{"alice.test", "bob.test", "localhost"}
	body := map[string]string{"alice.test": "alice\n", "bob.test": "bob\n", "localhost": "public\n"}
	get := func(br *bufio.Reader, status int, want string) {
		res, err := http.ReadResponse(br, nil)
		o.must("read a response", err)
		text, err := io.ReadAll(res.Body)
		o.must("read a body", err)
		if res.StatusCode != status || want != "" && string(text) != want {
			o.failf("%d %q, want %d %q", res.StatusCode, text, status, want)
		}
	}
	for i := range 4 {
		// One request after the other, on one connection.
		c, err := o.dial(o.s)
		o.must("connect", err)
		br := bufio.NewReader(c)
		for j := range 5 {
			host := hosts[(i+j)%3]
			// In two parts: a process has read the first when it decides.
			text := ask(host, "/")
			_, err = io.WriteString(c, text[:len(text)/2])
			o.must("write", err)
			_, err = io.WriteString(c, text[len(text)/2:])
			o.must("write", err)
			get(br, 200, body[host])
		}
		for _, host := range hosts[:2] {
			_, err = io.WriteString(c, ask(host, "/other.html"))
			o.must("write", err)
			get(br, 403, "") // the file is the other user's
		}
		// All at once, with a body in between.
		var text, want string
		for j := range 6 {
			host := hosts[(i+j)%3]
			text += ask(host, "/", "X-Padding: "+strings.Repeat("x", 1000))
			want += body[host]
		}
		post := "POST / HTTP/1.1\r\nHost: bob.test\r\nContent-Length: 9\r\n\r\nabcdefghi"
		_, err = io.WriteString(c, post+text)
		o.must("write", err)
		get(br, 405, "")
		for j := range 6 {
			get(br, 200, body[hosts[(i+j)%3]])
		}
		// What comes after a body of unknown length is not served here.
		post = "POST / HTTP/1.1\r\nHost: bob.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		_, err = io.WriteString(c, post+ask("alice.test", "/"))
		o.must("write", err)
		get(br, 405, "")
		if n, err := br.Read(make([]byte, 1)); err == nil {
			o.failf("%d bytes came on a connection that should be closed", n)
		}
		c.Close()
	}

	// Each user's processes are known by the files that they may read; a user
	// whose only process is killed is served again.
	for range o.kills {
		old := srv.children()
		victim := 0
		for pid := range old {
			if o.uid(pid) == bob {
				victim = pid
			}
		}
		if victim == 0 {
			o.failf("no child is user %d", bob)
		}
		o.must("kill -9", o.s.Kill(victim, sys.SIGKILL))
		o.eventually("bob has a process again", func() bool {
			for pid := range srv.children() {
				if !old[pid] && o.uid(pid) == bob {
					return true
				}
			}
			return false
		})
		c, err := o.dial(o.s)
		o.must("connect", err)
		_, err = io.WriteString(c, ask("bob.test", "/"))
		o.must("write", err)
		get(bufio.NewReader(c), 200, "bob\n")
		c.Close()
	}
	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
}

// uid is the user of a process, -1 when it is gone.
func (o *operator) uid(pid int) int {
	data, err := sys.ReadFile(o.s, fmt.Sprintf("/proc/%d/status", pid), 64<<10)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(data)) {
		var uid int
		if n, _ := fmt.Sscanf(line, "Uid: %d", &uid); n == 1 {
			return uid
		}
	}
	return -1
}

// perchildAsRoot: a user database may have names for number 0.
func perchildAsRoot(o *operator) {
	o.site()
	o.mkdirs("jail/alice", "jail/bob", "jail/public")
	o.configure(strings.ReplaceAll(perchildConf, "#1002", "root"))
	srv := o.start()
	status, text := srv.wait(), srv.output("")
	if status.ExitStatus() != 1 || !strings.Contains(text, "httpjail.hcl:") && !strings.Contains(text, "httpjail.hcl line") || !strings.Contains(text, "root") {
		o.failf("the server ended with %#x:\n%s", uint32(status), text)
	}
}
