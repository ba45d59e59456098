package simtests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// orders are the values of jail.order.
var orders = []string{"apache2", "apache13", "per-child"}

// matrixScenarios are all MPMs with all accept mutexes in all jail orders. A
// pair that the configuration refuses says so.
func matrixScenarios() []scenario {
	preforkFew, workerFew := topology{"prefork", few}, topology{"worker", fewThreads}
	var all []scenario
	for _, t := range []topology{preforkFew, workerFew, leaderFew, threadpoolFew, perchildFew, os2Few} {
		for _, mutex := range append([]string{"default"}, mutexes...) {
			for _, order := range orders {
				conf := ordering(t.conf(mutex), order)
				name := t.mpm + " " + mutex + " " + order
				if t.mpm == "perchild" && mutex == "sysvsem" {
					all = append(all, scenario{"refused/" + name, func(o *operator) { refused(o, conf, "perchild", "sysvsem") }})
				} else {
					all = append(all, scenario{"life/" + name, func(o *operator) { life(o, conf) }})
				}
			}
		}
	}
	for _, t := range []topology{beosFew, winntFew, {"event", fewThreads}} {
		for _, order := range orders {
			conf := ordering(t.conf(""), order)
			all = append(all, scenario{"life/" + t.mpm + " " + order, func(o *operator) { life(o, conf) }})
			for _, mutex := range append([]string{"default"}, mutexes...) {
				conf := ordering(t.conf(mutex), order)
				all = append(all, scenario{"refused/" + t.mpm + " " + mutex + " " + order, func(o *operator) { refused(o, conf, t.mpm, "accept_mutex") }})
			}
		}
	}
	return all
}

// ordering is conf with a jail.order. Where the parent stays outside, so do the
// files of the mpm block.
func ordering(conf, order string) string {
	conf = strings.Replace(conf, "USER", fmt.Sprintf("order = %q\n  USER", order), 1)
	if order == "per-child" {
		conf = strings.ReplaceAll(conf, `"/var/run/`, `"DIR/run/`)
	}
	return conf
}

// life is what a server lives through: under load it serves 200 requests, loses
// a child, restarts gracefully and stops.
func life(o *operator, conf string) {
	o.site()
	o.mkdirs("run")
	o.configure(conf)
	before := o.list(o.jail() + "/var/run")
	srv := o.start().ready()
	l := o.load(2)
	o.eventually("200 requests are answered", func() bool { return l.answered.Load() >= 200 })
	if failed := l.failed.Load(); failed > 0 {
		o.failf("%d connections failed", failed)
	}

	old := srv.children()
	var r [1]byte
	_, err := o.s.Getrandom(r[:])
	o.must("getrandom", err)
	victim := slices.Sorted(maps.Keys(old))[int(r[0])%len(old)]
	o.must("kill -9", o.s.Kill(victim, sys.SIGKILL))
	o.eventually("a new child lives", func() bool { return srv.hasNew(old) })
	n := l.answered.Load()
	o.eventually("the load goes on", func() bool { return l.answered.Load() > n+5 })
	failed := l.failed.Load()
	if failed > 2 {
		o.failf("a child that was killed had %d connections of two clients", failed)
	}

	old = srv.children()
	o.must("kill -USR1", o.s.Kill(srv.pid, sys.SIGUSR1))
	o.eventually("the old generation is gone and another serves", func() bool { return srv.replaced(old) })
	n = l.answered.Load()
	o.eventually("the load goes on after the restart", func() bool { return l.answered.Load() > n+5 })
	l.end(o)
	if lost, wrong := l.failed.Load()-failed, l.wrong.Load(); lost > 0 || wrong > 0 {
		o.failf("%d connections were lost in the restart, %d answers wrong", lost, wrong)
	}

	o.must("kill -TERM", o.s.Kill(srv.pid, sys.SIGTERM))
	o.stopped(srv, before)
	if left := o.list(o.dir + "/run"); len(left) > 0 {
		o.failf("left behind outside of the jail: %v", left)
	}
}

// refused: a configuration that cannot be ends with an error that has its line
// and the words want.
func refused(o *operator, conf string, want ...string) {
	o.site()
	o.mkdirs("run")
	o.configure(conf)
	srv := o.start()
	status, text := srv.wait(), srv.output("")
	if !status.Exited() || status.ExitStatus() != 1 {
		o.failf("the server ended with %#x:\n%s", uint32(status), text)
	}
	for _, want := range append(want, "httpjail.hcl line ", "^^^") {
		if !strings.Contains(text, want) {
			o.failf("the error lacks %q:\n%s", want, text)
		}
	}
	if len(o.list(o.dir+"/run")) > 0 || o.exists("jail/var/run/httpd.pid") {
		o.failf("something is left behind")
	}
}
