package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// startWait is how long ctl start waits for a server that neither serves nor
// ends.
const startWait = 30 * time.Second

// errNotRunning says that no server answers behind a PidFile.
var errNotRunning = errors.New("not running")

// ctl is apachectl: it runs outside the jail, as root.
type ctl struct {
	*parent // for its phases configure and prejail
	pidFile string
}

// runCtl is `httpjail ctl VERB -c FILE`. The exit status is 0 when the verb was
// carried out.
func runCtl(s sys.Sys, verb, file string, env []string) int {
	p := newParent(s, file, env)
	c := &ctl{parent: p}
	fail := func(err error) int {
		p.report(err)
		return exitError
	}
	p.log.phase = PhaseConfigure
	if err := p.configure(); err != nil {
		return fail(err)
	}
	if verb == "configtest" {
		printf(s, 1, "Syntax OK\n")
		return exitOK
	}
	c.pidFile = c.outside(p.cfg.MPM.PidFile.Value)
	status, err := c.ask(verbStatus, nil)
	if err != nil && !errors.Is(err, errNotRunning) {
		return fail(err)
	}
	running := err == nil
	switch verb {
	case "start":
		if running {
			printf(s, 1, "httpjail (pid %d) already running\n", status.Pid)
			return exitOK
		}
		err = c.start()
	case "status", "fullstatus":
		if !running {
			printf(s, 1, "httpjail %v\n", err)
			if last, err := c.lastStatus(); err != nil {
				printf(s, 1, "%v\n", err)
			} else if last != nil {
				printf(s, 1, "The server with pid %d, started %v, has left its scoreboard, generation %d:\n%s",
					last.Pid, last.Started.Format(time.DateTime), last.Generation, last.scoreboard(verb == "fullstatus"))
			}
			return exitError
		}
		printf(s, 1, "%s", status.text(verb == "fullstatus"))
		return exitOK
	case verbStop, verbGracefulStop:
		if !running {
			printf(s, 1, "httpjail %v\n", err)
			return exitOK
		}
		_, err = c.ask(verb, nil)
	case verbRestart, verbGraceful:
		if !running {
			printf(s, 1, "httpjail %v, trying to start\n", err)
			err = c.start()
		} else {
			err = c.restart(verb, status)
		}
	default:
		printf(s, 2, "usage: httpjail ctl start|stop|restart|graceful|graceful-stop|status|fullstatus|configtest -c FILE\n")
		return exitUsage
	}
	if err != nil {
		return fail(err)
	}
	return exitOK
}

// outside is the name of a file of the mpm block outside the jail.
func (c *ctl) outside(name string) string {
	name = c.cfg.Path(name)
	if parentJailed(c.cfg) {
		name = path.Join(c.cfg.Jail.Root, name)
	}
	return name
}

// lastStatus is what the ScoreBoardFile tells of a server that was killed; nil
// if there is none: a server that ends in order removes it.
func (c *ctl) lastStatus() (*Status, error) {
	s, where := c.sys, c.cfg.MPM.ScoreBoardFile
	if where.Value == "" {
		return nil, nil
	}
	file := c.outside(where.Value)
	fd, err := s.Open(file, sys.O_RDONLY|sys.O_NOFOLLOW|sys.O_NONBLOCK|sys.O_CLOEXEC, 0)
	if err == sys.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, &module.PathError{Op: "open the scoreboard", Path: file, Where: where.Range, Err: err}
	}
	defer s.Close(fd)
	score, err := mpm.ReadScoreboard(s, fd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer score.Close(s)
	return &Status{Pid: score.Parent(), Generation: score.Generation(), Started: score.Started(), Now: s.Now(), Workers: score.Workers()}, nil
}

// connect reaches the server behind the PidFile, by the file's name outside the
// jail: no symlink is needed. What proves that the pid is the server's, and not
// another process's since, is that somebody holds the control socket.
func (c *ctl) connect() (fd int, err error) {
	s := c.sys
	pid, err := mpm.ReadPidFile(s, c.pidFile)
	switch {
	case err == sys.ENOENT:
		return -1, fmt.Errorf("%w (no pid file %s)", errNotRunning, c.pidFile)
	case err == sys.EINVAL:
		return -1, fmt.Errorf("the pid file %s holds no pid", c.pidFile)
	case err != nil:
		return -1, &module.PathError{Op: "read the pid file", Path: c.pidFile, Where: c.cfg.MPM.PidFile.Range, Err: err}
	}
	fd, err = s.Socket(sys.AF_UNIX, sys.SOCK_SEQPACKET|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = sys.Retry(func() error { return s.Connect(fd, sys.UnixAddr(c.pidFile+controlSuffix)) })
	switch err {
	case nil:
		return fd, nil
	case sys.ENOENT, sys.ECONNREFUSED:
		err = fmt.Errorf("%w (pid file %s with pid %d is stale)", errNotRunning, c.pidFile, pid)
	default:
		err = &module.PathError{Op: "connect to the control socket", Path: c.pidFile + controlSuffix, Err: err}
	}
	s.Close(fd)
	return -1, err
}

// ask sends a verb and descriptors, and waits for the answer; for a stop, until
// the server is gone.
func (c *ctl) ask(verb string, fds []int) (*Status, error) {
	s := c.sys
	fd, err := c.connect()
	if err != nil {
		return nil, err
	}
	defer s.Close(fd)
	data, err := json.Marshal(controlRequest{verb})
	if err != nil {
		return nil, err
	}
	err = sys.Retry(func() error {
		_, err := s.Sendmsg(fd, data, fds, sys.MSG_NOSIGNAL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot send ctl %s to the server: %w", verb, err)
	}
	buf := make([]byte, controlMessage)
	n, err := c.recv(fd, buf)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("the server does not answer ctl %s: %w", verb, errors.Join(err, sys.ECONNRESET))
	}
	var reply controlReply
	if err := json.Unmarshal(buf[:n], &reply); err != nil {
		return nil, fmt.Errorf("the server's answer to ctl %s: %w", verb, err)
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("the server refuses (ctl %s) and goes on as it was: %s", verb, reply.Error)
	}
	if verb == verbStop || verb == verbGracefulStop {
		if n, err := c.recv(fd, buf); err != nil || n != 0 {
			return nil, fmt.Errorf("waiting for the server's end: %w", errors.Join(err, sys.EIO))
		}
	}
	return reply.Status, nil
}

func (c *ctl) recv(fd int, p []byte) (n int, err error) {
	err = sys.Retry(func() error {
		n, err = c.sys.Recv(fd, p, 0)
		return err
	})
	return n, err
}

// restart reads the configuration and opens what it names, outside, and hands
// it all in. The server refuses what it cannot use and goes on as it was.
func (c *ctl) restart(verb string, running *Status) error {
	h, err := c.prepare(func(address string) (int, bool) { return -1, slices.Contains(running.Listen, address) })
	if err != nil {
		return err
	}
	d := descriptors{files: []int{-1}} // the memfd's place
	h.descriptors(func(fd *int) { *fd = d.add(*fd) })
	if d.files[0], err = memfdOf(c.sys, "httpjail handoff", h); err != nil {
		return fmt.Errorf("handoff: %w", err)
	}
	if len(d.files) > controlFds {
		return fmt.Errorf("%d logs and sockets are too many to hand in; stop and start the server", len(d.files)-1)
	}
	_, err = c.ask(verb, d.files)
	return err
}

// start starts the server and returns when it serves. It leaves the terminal's
// process group, and writes to ctl's standard error what goes nowhere else.
func (c *ctl) start() error {
	s := c.sys
	exe, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		return &module.PathError{Op: "open this program", Path: "/proc/self/exe", Err: err}
	}
	defer s.Close(exe)
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	if err != nil {
		return &module.PathError{Op: "open the server's standard input", Path: "/dev/null", Err: err}
	}
	defer s.Close(null)
	pid, err := s.Spawn(&sys.SpawnAttr{
		Exe: exe, Argv: []string{"httpjail", "run", "-c", c.file}, Env: c.env, Files: []int{null, 1, 2}, Setpgid: true,
	})
	if err != nil {
		return fmt.Errorf("cannot start the server: %w", err)
	}
	for until := s.Monotonic() + startWait; s.Monotonic() < until; {
		if _, err := c.ask(verbStatus, nil); err == nil {
			return nil
		}
		ended, status, err := s.Wait4(pid, sys.WNOHANG)
		if err == nil && ended == pid {
			return fmt.Errorf("the server did not start (exit status %d)", status.ExitStatus())
		}
		_ = s.Nanosleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the server (pid %d) has not begun to serve within %v", pid, startWait)
}

// text is the status for a person, in the manner of mod_status.
func (st *Status) text(full bool) string {
	return fmt.Sprintf("httpjail (pid %d) running\nMPM: %s, generation %d\nJail: %s\nListen: %s\nUptime: %v\n%s",
		st.Pid, st.MPM, st.Generation, st.Jail, strings.Join(st.Listen, " "), st.Now.Sub(st.Started).Round(time.Second), st.scoreboard(full))
}

func (st *Status) scoreboard(full bool) string {
	var b strings.Builder
	var accesses, bytes uint64
	busy, idle := 0, 0
	letters := make([]byte, 0, len(st.Workers))
	for _, w := range st.Workers {
		accesses += w.Accesses
		bytes += w.Bytes
		switch w.Status {
		case mpm.Dead:
		case mpm.Ready:
			idle++
		default:
			busy++
		}
		letters = append(letters, w.Status.Letter())
	}
	fmt.Fprintf(&b, "Total accesses: %d\nTotal bytes: %d\nBusy workers: %d\nIdle workers: %d\n", accesses, bytes, busy, idle)
	for len(letters) > 0 {
		n := min(64, len(letters))
		fmt.Fprintf(&b, "%s\n", letters[:n])
		letters = letters[n:]
	}
	if full {
		fmt.Fprintf(&b, "\n%-5s %-7s %-7s %1s %10s %12s %10s %s\n", "slot", "pid", "thread", "M", "accesses", "bytes", "conns", "last request")
		for _, w := range st.Workers {
			last := "never"
			if w.Last != 0 {
				last = st.Now.Sub(time.Unix(0, int64(w.Last))).Round(time.Second).String() + " ago"
			}
			fmt.Fprintf(&b, "%-5d %-7d %-7d %c %10d %12d %10d %s\n", w.Slot, w.Pid, w.Thread, w.Status.Letter(), w.Accesses, w.Bytes, w.Conns, last)
		}
	}
	return b.String()
}
