package simtests

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// ctl runs `httpjail ctl VERB` and returns its exit status and what it and the
// servers that it starts print until its end.
func (o *operator) ctl(verb string) (status int, out string) {
	s := o.s
	exe, err := s.Open(o.exe, sys.O_PATH|sys.O_CLOEXEC, 0)
	o.must("open the server's executable", err)
	defer s.Close(exe)
	fd, err := s.Open(o.dir+"/ctl.out", sys.O_RDWR|sys.O_CREAT|sys.O_TRUNC|sys.O_APPEND|sys.O_CLOEXEC, 0o600)
	o.must("open ctl.out", err)
	defer s.Close(fd)
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	o.must("open /dev/null", err)
	defer s.Close(null)
	pid, err := s.Spawn(&sys.SpawnAttr{
		Exe: exe, Argv: []string{"httpjail", "ctl", verb, "-c", o.dir + "/httpjail.hcl"},
		Env: append([]string{"HTTPJAIL_BACKEND=test"}, o.env...), Files: []int{null, fd, fd},
	})
	o.must("start ctl", err)
	for {
		got, w, err := s.Wait4(pid, 0)
		if err == sys.EINTR {
			continue
		}
		o.must("wait for ctl", err)
		if got == pid {
			return w.ExitStatus(), o.readFile("ctl.out")
		}
	}
}

func (o *operator) mustCtl(verb string, want int, texts ...string) {
	status, out := o.ctl(verb)
	if status != want {
		o.failf("ctl %s: exit status %d, want %d:\n%s", verb, status, want, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			o.failf("ctl %s does not say %q, but:\n%s", verb, text, out)
		}
	}
}

// control is the life of a server under ctl: it starts, tells of itself, takes
// a changed configuration in, refuses one that it cannot use, and stops.
func control(o *operator, mpm, rest string) {
	o.site()
	o.mkdirs("jail/other", "log")
	o.writeFile("jail/other/index.html", "other\n")
	conf := fmt.Sprintf(seed, mpm, "sysvsem", rest)
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")

	o.mustCtl("configtest", 0, "Syntax OK")
	o.mustCtl("status", 1, "not running")
	o.mustCtl("stop", 0, "not running")
	o.mustCtl("start", 0)
	o.mustCtl("start", 0, "already running")
	pid, err := strconv.Atoi(strings.TrimSpace(o.readFile("jail/var/run/httpd.pid")))
	o.must("read the PidFile", err)
	if r := o.mustGet("/", 200); r.body != page {
		o.failf("the site serves %q", r.body)
	}
	o.mustCtl("status", 0, fmt.Sprintf("(pid %d) running", pid), "MPM: "+mpm+", generation 0", "Jail: "+o.jail(), "Total accesses: 1")
	o.mustCtl("fullstatus", 0, "last request")

	// Another document root, an access log outside, and one more port.
	port := o.port
	o.port = 0
	o.freePort()
	second := o.port
	o.port = port
	changed := strings.NewReplacer(
		`"127.0.0.1:PORT"`, fmt.Sprintf(`"127.0.0.1:PORT", "127.0.0.1:%d"`, second),
		`document_root = "/"`, `document_root = "/other"
  access_log { path = "DIR/log/access.log" }`).Replace(conf)
	for i, verb := range []string{"graceful", "restart"} {
		o.configure(changed)
		o.mustCtl(verb, 0)
		for _, p := range []uint16{port, second} {
			o.port = p
			o.eventually("the changed configuration serves", func() bool {
				r, err := o.get(o.s, "/")
				return err == nil && r.body == "other\n"
			})
		}
		o.port = port
		if !strings.Contains(o.readFile("log/access.log"), `"GET / HTTP/1.1" 200 6`) {
			o.failf("the access log holds %q", o.readFile("log/access.log"))
		}
		o.mustCtl("status", 0, fmt.Sprintf("(pid %d) running", pid), fmt.Sprintf("generation %d", 2*i+1))
		// And back: the second port is closed again.
		o.configure(conf)
		o.mustCtl(verb, 0)
		o.eventually("the first configuration serves again", func() bool {
			r, err := o.get(o.s, "/")
			return err == nil && r.body == page
		})
		o.eventually("the second port is closed", func() bool {
			o.port = second
			_, err := o.get(o.s, "/")
			o.port = port
			return err != nil
		})
	}

	// What cannot be used is refused, outside or inside, and nothing changes.
	o.configure(strings.Replace(conf, "document_root", "documnt_root", 1))
	o.mustCtl("graceful", 1, "document_root")
	o.configure(strings.Replace(conf, `document_root = "/"`, `document_root = "/nowhere"`, 1))
	o.mustCtl("graceful", 1, "refuses", "/nowhere")
	// The jail of a server cannot move; its PidFile is looked for in the new one.
	o.mkdirs("jail2")
	o.configure(strings.Replace(conf, `"JAIL"`, `"DIR/jail2"`, 1))
	o.mustCtl("status", 1, "not running")
	o.configure(conf)
	if r := o.mustGet("/", 200); r.body != page {
		o.failf("after the refusals the site serves %q", r.body)
	}

	o.mustCtl("graceful-stop", 0)
	o.gone(pid)
	o.nothingLeft(before)

	// A PidFile that a killed server left, and a pid that is another's by now.
	o.writeFile("jail/var/run/httpd.pid", fmt.Sprintf("%d\n", o.s.Getpid()))
	o.mustCtl("status", 1, "stale")
	o.mustCtl("restart", 0, "trying to start")
	o.mustGet("/", 200)
	pid, err = strconv.Atoi(strings.TrimSpace(o.readFile("jail/var/run/httpd.pid")))
	o.must("read the PidFile", err)
	o.mustCtl("stop", 0)
	o.gone(pid)
	o.nothingLeft(before)
}

// killed: what a server that is killed leaves behind tells ctl what it did, and
// the next start puts it away.
func killed(o *operator) {
	o.site()
	o.configure(fmt.Sprintf(seed, "worker", "pthread", fewThreads+"scoreboard_file = \"/var/run/httpd.scoreboard\""))
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	for range 3 {
		o.mustGet("/", 200)
	}
	o.mustCtl("status", 0, "running", "Total accesses: 3")
	o.must("kill -9", o.s.Kill(srv.pid, sys.SIGKILL))
	srv.wait()
	srv.output("") // ends when the last child has ended
	o.mustCtl("status", 1, "stale", fmt.Sprintf("pid %d", srv.pid), "has left its scoreboard", "Total accesses: 3")
	o.mustCtl("fullstatus", 1, "last request", " ago")
	again := o.start().ready()
	o.mustCtl("status", 0, "running", "Total accesses: 0")
	o.must("kill -TERM", o.s.Kill(again.pid, sys.SIGTERM))
	o.stopped(again, before)
}

// gone waits for the end of a process that is nobody's child here.
func (o *operator) gone(pid int) {
	o.eventually("the server is gone", func() bool {
		for _, p := range o.processes() {
			if p.pid == pid && p.state != 'Z' && p.state != 'X' {
				return false
			}
		}
		return true
	})
}
