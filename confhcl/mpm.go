package confhcl

import (
	"fmt"
	"math"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// defaultMPM takes the least CPU time a request, and needs no accept mutex.
const defaultMPM = "event"

// mpms are the names an mpm block can have.
var mpms = []string{
	"prefork", "worker", "leader", "threadpool", "perchild", "beos", "mpm_winnt", "mpmt_os2", "event",
}

// mutexes are the values of accept_mutex. "default" leaves the choice to the
// server.
var mutexes = []string{"default", "flock", "fcntl", "posixsem", "sysvsem", "pthread", "none"}

// fileless are the mutexes that no file belongs to, so that a lock_file means
// nothing (APR, locks/unix/proc_mutex.c).
var fileless = []string{"posixsem", "sysvsem", "pthread", "none"}

// locked are the MPMs with an accept mutex between processes. Apache's
// mpmt_os2 has one without directives to choose it by; here they do.
var locked = []string{"prefork", "worker", "leader", "threadpool", "perchild", "mpmt_os2"}

// hybrid are the MPMs with several processes of ThreadsPerChild threads each.
var hybrid = []string{"worker", "leader", "threadpool", "event"}

// serverLimitMax is MAX_SERVER_LIMIT and MAX_THREAD_LIMIT in the Unix MPMs
// (server/mpm/*/*.c); nothing counted in processes or threads goes over it.
const serverLimitMax = 20000

// threadsMax is the most threads, and so clients, there can be in all.
const threadsMax = serverLimitMax * serverLimitMax

// number is a numeric directive.
type number struct {
	name     string
	field    func(*MPM) *int
	least    int
	most     int
	bounds   map[string]int // where an MPM's own most is another
	defaults map[string]int // of each MPM that has the directive
}

// numbers lists the numeric directives with Apache's defaults (the
// mpm_default.h of each MPM).
var numbers = []number{
	{name: "start_servers", field: func(m *MPM) *int { return &m.StartServers }, least: 1, most: serverLimitMax,
		bounds: map[string]int{"mpmt_os2": 10}, // HARD_SERVER_LIMIT
		defaults: map[string]int{"prefork": 5, "worker": 3, "leader": 3, "threadpool": 3, "mpmt_os2": 2,
			"event": 3}},
	{name: "min_spare_servers", field: func(m *MPM) *int { return &m.MinSpareServers }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"prefork": 5}},
	{name: "max_spare_servers", field: func(m *MPM) *int { return &m.MaxSpareServers }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"prefork": 10}},
	{name: "max_clients", field: func(m *MPM) *int { return &m.MaxClients }, least: 1, most: threadsMax,
		bounds: map[string]int{"beos": 50}, // HARD_SERVER_LIMIT
		defaults: map[string]int{"prefork": 256, "worker": 400, "leader": 400, "threadpool": 400, "beos": 50,
			"event": 400}},
	{name: "server_limit", field: func(m *MPM) *int { return &m.ServerLimit }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"prefork": 256, "worker": 16, "leader": 16, "threadpool": 16, "perchild": 8,
			"event": 16}},
	{name: "thread_limit", field: func(m *MPM) *int { return &m.ThreadLimit }, least: 1, most: serverLimitMax,
		bounds: map[string]int{"mpm_winnt": 15000}, // MAX_THREAD_LIMIT
		defaults: map[string]int{"worker": 64, "leader": 64, "threadpool": 64, "perchild": 64, "mpm_winnt": 1920,
			"event": 64}},
	{name: "threads_per_child", field: func(m *MPM) *int { return &m.ThreadsPerChild }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"worker": 25, "leader": 25, "threadpool": 25, "mpm_winnt": 64, "event": 25}},
	{name: "min_spare_threads", field: func(m *MPM) *int { return &m.MinSpareThreads }, least: 1, most: threadsMax,
		defaults: map[string]int{"worker": 75, "leader": 75, "threadpool": 75, "perchild": 5, "beos": 1,
			"mpmt_os2": 5, "event": 75}},
	{name: "max_spare_threads", field: func(m *MPM) *int { return &m.MaxSpareThreads }, least: 1, most: threadsMax,
		defaults: map[string]int{"worker": 250, "leader": 250, "threadpool": 250, "perchild": 10, "beos": 50,
			"mpmt_os2": 10, "event": 250}},
	{name: "max_requests_per_child", field: func(m *MPM) *int { return &m.MaxRequestsPerChild }, least: 0, most: math.MaxInt32,
		defaults: map[string]int{"prefork": 10000, "worker": 10000, "leader": 10000, "threadpool": 10000,
			"perchild": 10000, "mpm_winnt": 0, "mpmt_os2": 10000, "event": 10000}},
	{name: "listen_backlog", field: func(m *MPM) *int { return &m.ListenBacklog }, least: 1, most: math.MaxInt32,
		defaults: map[string]int{"prefork": 511, "worker": 511, "leader": 511, "threadpool": 511, "perchild": 511,
			"beos": 511, "mpm_winnt": 511, "mpmt_os2": 511, "event": 511}},
	{name: "num_servers", field: func(m *MPM) *int { return &m.NumServers }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"perchild": 2}},
	{name: "start_threads", field: func(m *MPM) *int { return &m.StartThreads }, least: 1, most: serverLimitMax,
		bounds:   map[string]int{"beos": 50},
		defaults: map[string]int{"perchild": 5, "beos": 10}},
	{name: "max_threads_per_child", field: func(m *MPM) *int { return &m.MaxThreadsPerChild }, least: 1, most: serverLimitMax,
		defaults: map[string]int{"perchild": 64}},
	{name: "max_requests_per_thread", field: func(m *MPM) *int { return &m.MaxRequestsPerThread }, least: 0, most: math.MaxInt32,
		defaults: map[string]int{"beos": 0}},
}

// others lists the directives of an mpm block that are not in numbers, and
// the MPMs that have them.
var others = []struct {
	name string
	mpms []string
}{
	{"pid_file", mpms},
	{"accept_mutex", locked},
	{"lock_file", locked},
	{"scoreboard_file", mpms},
	{"core_dump_directory", mpms},
	{"async_request_worker_factor", []string{"event"}},
	{"graceful_shutdown_timeout", mpms},
}

func mpmAttributes() []string {
	var names []string
	for _, o := range others {
		names = append(names, o.name)
	}
	for _, n := range numbers {
		names = append(names, n.name)
	}
	return names
}

// having lists the MPMs that have a directive; nil for an unknown one.
func having(directive string) []string {
	for _, o := range others {
		if o.name == directive {
			return o.mpms
		}
	}
	for _, n := range numbers {
		if n.name == directive {
			return slices.DeleteFunc(slices.Clone(mpms), func(m string) bool { _, ok := n.defaults[m]; return !ok })
		}
	}
	return nil
}

// mpmDefaults is an MPM with nothing set.
func mpmDefaults(name, serverRoot string) MPM {
	m := MPM{
		Name:              name,
		PidFile:           Located{Value: "logs/httpd.pid"},
		CoreDumpDirectory: Located{Value: serverRoot},
	}
	if slices.Contains(locked, name) {
		m.AcceptMutex.Value = "default"
		m.LockFile.Value = "logs/accept.lock"
	}
	for _, n := range numbers {
		*n.field(&m) = n.defaults[name]
	}
	if name == "event" {
		m.AsyncRequestWorkerFactor = 2
	}
	return m
}

func (d *decoder) mpm(body *hclsyntax.Body, serverRoot string) MPM {
	m := mpmDefaults(defaultMPM, serverRoot)
	b := d.block(body, "mpm")
	if b == nil {
		return m
	}
	at := b.DefRange()
	switch {
	case len(b.Labels) == 0:
		d.errorf(at, "Missing name", "An mpm block carries the name of its MPM, such as mpm %q. The known ones are %s.",
			defaultMPM, list(mpms))
		return MPM{} // what it would have is not known
	case len(b.Labels) > 1:
		d.errorf(b.LabelRanges[1], "Unexpected label", "An mpm block has one label, the name of its MPM.")
	}
	if !slices.Contains(mpms, b.Labels[0]) {
		d.errorf(b.LabelRanges[0], "Unknown MPM", "There is no MPM %q.%s The known ones are %s.",
			b.Labels[0], didYouMean(b.Labels[0], mpms), list(mpms))
		return MPM{}
	}

	m = mpmDefaults(b.Labels[0], serverRoot)
	m.Range = at
	for _, v := range []*Located{&m.PidFile, &m.AcceptMutex, &m.LockFile, &m.ScoreBoardFile, &m.CoreDumpDirectory} {
		v.Range = at
	}
	// any order: diagnostics are sorted by their place in the file.
	for name, a := range b.Body.Attributes {
		if has := having(name); has != nil && !slices.Contains(has, m.Name) {
			d.errorf(a.NameRange, "Not in this MPM", "%s has no %s. %s.", m.Name, name, only(has))
		}
	}

	d.located(b.Body, "pid_file", &m.PidFile)
	d.located(b.Body, "lock_file", &m.LockFile)
	d.located(b.Body, "scoreboard_file", &m.ScoreBoardFile)
	d.located(b.Body, "core_dump_directory", &m.CoreDumpDirectory)
	if d.word(b.Body, "accept_mutex", mutexes, &m.AcceptMutex.Value) {
		m.AcceptMutex.Range, m.AcceptMutex.Set = b.Body.Attributes["accept_mutex"].Expr.Range(), true
	}
	d.duration(b.Body, "graceful_shutdown_timeout", 0, &m.GracefulShutdownTimeout)
	d.factor(b.Body, &m.AsyncRequestWorkerFactor)

	set := map[string]hcl.Range{}
	for _, n := range numbers {
		most := n.most
		if own, ok := n.bounds[m.Name]; ok {
			most = own
		}
		if d.count(b.Body, n.name, n.least, most, n.field(&m)) {
			set[n.name] = b.Body.Attributes[n.name].Expr.Range()
		}
	}
	d.acceptMutex(&m)
	adjuster{d, &m, set}.adjust()
	d.childPerUserID(b, &m)
	return m
}

func only(has []string) string {
	if len(has) == 1 {
		return "Only " + has[0] + " has it"
	}
	return "The MPMs that have it are " + list(has)
}

// factor stores async_request_worker_factor, which Apache 2.4's event takes
// with decimals.
func (d *decoder) factor(body *hclsyntax.Body, to *float64) {
	const name = "async_request_worker_factor"
	a := body.Attributes[name]
	if a == nil {
		return
	}
	v, ok := d.typed(name, a.Expr, cty.Number)
	if !ok {
		return
	}
	if f, _ := v.AsBigFloat().Float64(); f > 0 && f <= 1000 {
		*to = f
	} else {
		d.errorf(a.Expr.Range(), "Out of range", "%s has to be more than 0 and at most 1000.", name)
	}
}

func (d *decoder) acceptMutex(m *MPM) {
	if slices.Contains(fileless, m.AcceptMutex.Value) {
		if m.LockFile.Set {
			d.warnf(m.LockFile.Range, "Unused lock_file", "The accept mutex %s (line %d) uses no file.",
				m.AcceptMutex.Value, m.AcceptMutex.Range.Start.Line)
		}
		m.LockFile.Value = ""
	}
	if m.Name == "perchild" && m.AcceptMutex.Value == "sysvsem" {
		// Its children run as different users, and a semaphore has one owner.
		d.errorf(m.AcceptMutex.Range, "Contradiction",
			"perchild cannot use sysvsem: its children run as different users, and a semaphore belongs to one.")
	}
}

// adjuster changes numbers that do not fit each other as Apache does, with a
// warning where the changed one is in the file and silently where it is a
// default.
type adjuster struct {
	d   *decoder
	m   *MPM
	set map[string]hcl.Range // the numbers that are in the file
}

func (a adjuster) adjust() {
	m := a.m
	switch {
	case m.Name == "prefork":
		a.lower("max_clients", &m.MaxClients, "server_limit", m.ServerLimit)
		a.lower("start_servers", &m.StartServers, "max_clients", m.MaxClients)
		a.spare("max_spare_servers", &m.MaxSpareServers, "min_spare_servers", m.MinSpareServers, 1)
	case slices.Contains(hybrid, m.Name):
		a.lower("threads_per_child", &m.ThreadsPerChild, "thread_limit", m.ThreadLimit)
		a.maxClients()
		a.lower("start_servers", &m.StartServers, "server_limit", m.ServerLimit)
		a.spare("max_spare_threads", &m.MaxSpareThreads, "min_spare_threads", m.MinSpareThreads, m.ThreadsPerChild)
	case m.Name == "perchild":
		a.lower("num_servers", &m.NumServers, "server_limit", m.ServerLimit)
		a.lower("max_threads_per_child", &m.MaxThreadsPerChild, "thread_limit", m.ThreadLimit)
		a.lower("start_threads", &m.StartThreads, "max_threads_per_child", m.MaxThreadsPerChild)
		a.spare("max_spare_threads", &m.MaxSpareThreads, "min_spare_threads", m.MinSpareThreads, 1)
	case m.Name == "beos":
		a.lower("start_threads", &m.StartThreads, "max_clients", m.MaxClients)
		a.spare("max_spare_threads", &m.MaxSpareThreads, "min_spare_threads", m.MinSpareThreads, 1)
	case m.Name == "mpm_winnt":
		a.lower("threads_per_child", &m.ThreadsPerChild, "thread_limit", m.ThreadLimit)
	case m.Name == "mpmt_os2":
		a.spare("max_spare_threads", &m.MaxSpareThreads, "min_spare_threads", m.MinSpareThreads, 1)
	}
}

func (a adjuster) change(name, how string, value *int, to int, why string, args ...any) {
	if at, ok := a.set[name]; ok {
		a.d.warnf(at, name+" "+how, "%s = %d %s. It is %d now.", name, *value, fmt.Sprintf(why, args...), to)
	}
	*value = to
}

func (a adjuster) lower(name string, value *int, limitName string, limit int) {
	if *value > limit {
		a.change(name, "lowered", value, limit, "exceeds %s = %d", limitName, limit)
	}
}

// spare keeps the most idle ones far enough above the least that adding step
// of them does not lead to killing some at once.
func (a adjuster) spare(name string, value *int, leastName string, least, step int) {
	if *value < least+step {
		a.change(name, "raised", value, least+step, "is less than %s = %d plus %d", leastName, least, step)
	}
}

// maxClients makes max_clients a multiple of threads_per_child that
// server_limit processes can reach (worker.c, set_max_clients). Unset, it is
// 16 times threads_per_child, as Apache's manual has it.
func (a adjuster) maxClients() {
	const name = "max_clients"
	per, most := a.m.ThreadsPerChild, a.m.ServerLimit
	at, ok := a.set[name]
	if !ok {
		a.m.MaxClients = per * min(16, most)
		return
	}
	clients := &a.m.MaxClients
	if threads, both := a.set["threads_per_child"]; both && *clients < per {
		a.d.errorf(at, "Contradiction",
			"max_clients = %d is less than threads_per_child = %d (line %d): not even one child could use its threads.",
			*clients, per, threads.Start.Line)
		return
	}
	switch children := *clients / per; {
	case children == 0:
		a.change(name, "raised", clients, per, "is less than threads_per_child = %d", per)
	case children > most:
		a.change(name, "lowered", clients, per*most, "needs %d children, more than server_limit = %d", children, most)
	case *clients%per != 0:
		a.change(name, "lowered", clients, children*per, "is not a multiple of threads_per_child = %d", per)
	}
}

func (d *decoder) childPerUserID(b *hclsyntax.Block, m *MPM) {
	servers := 0
	for _, u := range d.blocks(b.Body, "child_per_user_id") {
		at := u.DefRange()
		if m.Name != "perchild" {
			d.errorf(at, "Not in this MPM", "%s has no child_per_user_id. %s.", m.Name, only([]string{"perchild"}))
			continue
		}
		c := ChildPerUserID{Servers: 1, Range: at}
		for _, account := range []struct {
			name string
			to   *string
		}{{"user", &c.User}, {"group", &c.Group}} {
			if d.account(u.Body, account.name, account.to) && superuser(*account.to) {
				d.errorf(u.Body.Attributes[account.name].Expr.Range(), "Contradiction",
					"perchild does not run children as root.")
			}
		}
		d.count(u.Body, "servers", 1, serverLimitMax, &c.Servers)
		for _, other := range m.ChildPerUserID {
			if c.User != "" && c.User == other.User && c.Group == other.Group {
				d.errorf(at, "Duplicate block", "User %q and group %q have their children by line %d already.",
					c.User, c.Group, other.Range.Start.Line)
			}
		}
		if servers += c.Servers; servers > m.NumServers {
			d.errorf(at, "Contradiction", "The child_per_user_id blocks up to here need %d servers, more than num_servers = %d.",
				servers, m.NumServers)
		}
		m.ChildPerUserID = append(m.ChildPerUserID, c)
	}
}

// assignments checks that each site's user has children to serve it.
func (d *decoder) assignments(c *Config) {
	for _, s := range c.Sites {
		u := s.AssignUserID
		switch {
		case u == nil, c.MPM.Name == "":
		case c.MPM.Name != "perchild":
			d.errorf(u.Range, "Not in this MPM", "%s has no assign_user_id. %s.", c.MPM.Name, only([]string{"perchild"}))
		case u.User != "" && u.Group != "" && !slices.ContainsFunc(c.MPM.ChildPerUserID, func(p ChildPerUserID) bool {
			return p.User == u.User && p.Group == u.Group
		}):
			d.errorf(u.Range, "Contradiction", "No child_per_user_id block in the mpm block has user %q and group %q.",
				u.User, u.Group)
		}
	}
}
