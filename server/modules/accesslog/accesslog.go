// Package accesslog writes a line for each request into the access log of its
// site, in Apache's common or combined format.
//
// The logs and the local time zone are opened and read outside the jail. A line
// is one write(2) to a descriptor in append mode, so lines of several children
// do not mix.
package accesslog

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/thread"
)

// Module is the module.
type Module struct{}

var _ module.Module = Module{}

// Name implements module.Module.
func (Module) Name() string { return "accesslog" }

// state is what the children need besides the descriptors.
type state struct {
	Logs []int  // per site: the index in State.Files, or -1
	Zone []byte // the local time zone, as in tzfile(5); empty: UTC
}

// localtime is the local time zone, see localtime(5).
const localtime = "/etc/localtime"

// zoneMax bounds a tzfile(5), in bytes; real ones have some thousand.
const zoneMax = 1 << 20

// PreJail opens the logs, each path once. It implements module.Module.
func (Module) PreJail(s sys.Sys, env *module.PreJail) (module.State, error) {
	var st module.State
	data := state{}
	opened := map[string]int{}
	for i := range env.Config.Sites {
		log := env.Config.Sites[i].AccessLog
		if log == nil {
			data.Logs = append(data.Logs, -1)
			continue
		}
		path := env.Config.Path(log.Path.Value)
		n, ok := opened[path]
		if !ok {
			fd, err := openLog(s, path)
			if err != nil {
				for _, fd := range st.Files {
					_ = s.Close(fd)
				}
				return module.State{}, &module.PathError{Op: "open the access log", Path: path, Where: log.Path.Range, Err: err}
			}
			n = len(st.Files)
			opened[path] = n
			st.Files = append(st.Files, fd)
		}
		data.Logs = append(data.Logs, n)
	}
	if len(st.Files) > 0 {
		data.Zone = readZone(s, env.Logf)
	}
	var err error
	st.Data, err = json.Marshal(data)
	return st, err
}

func openLog(s sys.Sys, path string) (fd int, err error) {
	err = sys.Retry(func() error {
		fd, err = s.Open(path, sys.O_WRONLY|sys.O_APPEND|sys.O_CREAT|sys.O_CLOEXEC|sys.O_NOCTTY, 0o644)
		return err
	})
	return fd, err
}

// readZone reads the local time zone. A machine without one is in UTC.
func readZone(s sys.Sys, logf func(string, ...any)) []byte {
	zone, err := sys.ReadFile(s, localtime, zoneMax)
	if err == sys.ENOENT {
		return nil
	}
	if err == nil {
		_, err = time.LoadLocationFromTZData("Local", zone)
	}
	if err != nil {
		logf("accesslog: cannot read the time zone outside:%s, times are UTC: %v", localtime, err)
		return nil
	}
	return zone
}

// InJail takes the logs over. It implements module.Module.
func (Module) InJail(s sys.Sys, env *module.InJail) (module.Instance, error) {
	var data state
	if err := json.Unmarshal(env.State.Data, &data); err != nil {
		return module.Instance{}, fmt.Errorf("the state from outside the jail: %w", err)
	}
	if len(data.Logs) != len(env.Config.Sites) {
		return module.Instance{}, fmt.Errorf("the state from outside the jail has %d sites, the configuration %d",
			len(data.Logs), len(env.Config.Sites))
	}
	if len(env.State.Files) == 0 {
		return module.Instance{}, nil
	}
	l := &logger{zone: time.UTC, logf: env.Logf}
	if len(data.Zone) > 0 {
		zone, err := time.LoadLocationFromTZData("Local", data.Zone)
		if err != nil {
			return module.Instance{}, fmt.Errorf("the time zone from outside the jail: %w", err)
		}
		l.zone = zone
	}
	for i, n := range data.Logs {
		log := siteLog{fd: -1}
		if n >= 0 {
			if n >= len(env.State.Files) {
				return module.Instance{}, fmt.Errorf("the state from outside the jail has no file %d", n)
			}
			c := env.Config.Sites[i].AccessLog
			log = siteLog{fd: env.State.Files[n], path: env.Config.Path(c.Path.Value), combined: c.Format == confhcl.FormatCombined}
		}
		l.sites = append(l.sites, log)
	}
	return module.Instance{Log: l.log}, nil
}

// siteLog is the log of one site.
type siteLog struct {
	fd       int // -1: none
	path     string
	combined bool
}

// logger is the module at work in one child.
type logger struct {
	sites []siteLog
	zone  *time.Location
	stamp atomic.Pointer[stamp]
	logf  func(format string, args ...any)
	noise module.Seldom

	// Lines being built: a buffer given to write(2) cannot stay on the stack.
	mu      thread.Mutex
	buffers [][]byte
}

// stamp is %t of one second.
type stamp struct {
	second int64
	text   string
}

func (l *logger) log(r *module.Request) {
	site := &l.sites[r.Site]
	if site.fd < 0 {
		return
	}
	buf := l.buffer(r.Sys)
	buf = l.appendLine(buf[:0], r, site.combined)
	n, err := write(r.Sys, site.fd, buf)
	if n != len(buf) {
		// A second write could land behind another child's line.
		if ok, missed := l.noise.Allow(r.Now); ok {
			if err == nil {
				err = fmt.Errorf("%d of %d bytes were written", n, len(buf))
			}
			l.logf("accesslog: cannot write to outside:%s: %v (and %d lines before)", site.path, err, missed)
		}
	}
	l.giveBack(r.Sys, buf)
}

func write(s sys.Files, fd int, p []byte) (n int, err error) {
	for {
		n, err = s.Write(fd, p)
		if err != sys.EINTR {
			return n, err
		}
	}
}

// Bounds of the buffers kept: as many as threads write at once, and none that
// one long request has grown.
const (
	buffersMax = 64
	bufferMax  = 4 << 10
)

func (l *logger) buffer(s sys.Threads) []byte {
	l.mu.Lock(s)
	defer l.mu.Unlock(s)
	if n := len(l.buffers); n > 0 {
		buf := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return buf
	}
	return make([]byte, 0, 512)
}

func (l *logger) giveBack(s sys.Threads, buf []byte) {
	if cap(buf) > bufferMax {
		return
	}
	l.mu.Lock(s)
	defer l.mu.Unlock(s)
	if len(l.buffers) < buffersMax {
		l.buffers = append(l.buffers, buf)
	}
}
