package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/sys"
)

// firstListenFd is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstListenFd = 3

// serviceVariables are what a service manager tells this process alone: a
// child must not take them for its own.
var serviceVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// service is the service manager's side of the server, see sd_notify(3). Its
// socket is connected before the jail closes: inside there is no path to it.
type service struct {
	fd       int           // -1: nobody wants to be notified
	watchdog time.Duration // how often to say that we live; 0: never
	last     time.Duration // when it was said, on the monotonic clock
}

// connectService connects to NOTIFY_SOCKET, where there is one.
func connectService(s sys.Sys, env []string) (service, error) {
	sv := service{fd: -1}
	name := getenv(env, "NOTIFY_SOCKET")
	if name == "" {
		return sv, nil
	}
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return sv, fmt.Errorf("NOTIFY_SOCKET=%q is neither a path nor an abstract name", name)
	}
	fd, err := s.Socket(sys.AF_UNIX, sys.SOCK_DGRAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return sv, fmt.Errorf("cannot make a socket for NOTIFY_SOCKET: %w", err)
	}
	if err := s.Connect(fd, sys.UnixAddr(name)); err != nil {
		s.Close(fd)
		return sv, fmt.Errorf("cannot connect to NOTIFY_SOCKET=%s: %w", name, err)
	}
	sv.fd = fd
	usec, err := strconv.ParseInt(getenv(env, "WATCHDOG_USEC"), 10, 64)
	pid := getenv(env, "WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(s.Getpid())) {
		// Half of it, as sd_watchdog_enabled(3) recommends.
		sv.watchdog = time.Duration(usec) * time.Microsecond / 2
	}
	return sv, nil
}

// notify sends a state. A manager that does not listen is its own problem.
func (sv *service) notify(s sys.Messages, state string) {
	if sv.fd >= 0 {
		_, _ = s.Send(sv.fd, []byte(state), sys.MSG_NOSIGNAL|sys.MSG_DONTWAIT)
	}
}

// alive feeds the watchdog from the parent's loop, so that a parent that hangs
// does not.
func (sv *service) alive(s sys.Sys) {
	if sv.watchdog == 0 {
		return
	}
	if now := s.Monotonic(); now-sv.last >= sv.watchdog || sv.last == 0 {
		sv.last = now
		sv.notify(s, "WATCHDOG=1")
	}
}

// activated are the sockets that the service manager has opened for us, by
// address, see sd_listen_fds(3).
func activated(s sys.Sys, env []string, logf func(string, ...any)) (map[string]int, error) {
	if getenv(env, "LISTEN_PID") != strconv.Itoa(s.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv(env, "LISTEN_FDS"))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is not a number", getenv(env, "LISTEN_FDS"))
	}
	sockets := map[string]int{}
	for fd := firstListenFd; fd < firstListenFd+n; fd++ {
		if _, err := s.Fcntl(fd, sys.F_SETFD, sys.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", fd, err)
		}
		addr, err := s.Getsockname(fd)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", fd, err)
		}
		if listening, err := s.GetsockoptInt(fd, sys.SOL_SOCKET, sys.SO_ACCEPTCONN); err != nil || listening == 0 {
			logf("warning: descriptor %d of LISTEN_FDS is no listening socket; ignored", fd)
			continue
		}
		flags, err := s.Fcntl(fd, sys.F_GETFL, 0)
		if err == nil {
			_, err = s.Fcntl(fd, sys.F_SETFL, flags|sys.O_NONBLOCK)
		}
		if err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", fd, err)
		}
		sockets[addr.String()] = fd
	}
	return sockets, nil
}

// adopt finds the activated socket for an address of the configuration, or -1.
func adopt(s sys.Sys, cfg *confhcl.Config, sockets map[string]int, l confhcl.Listen) (fd int, err error) {
	addr, err := listenAddr(l.Address)
	if err != nil {
		return -1, &directiveError{"listen", l.Range, err, ""}
	}
	fd, ok := sockets[addr.String()]
	if !ok {
		return -1, nil
	}
	delete(sockets, addr.String())
	if err := setListenerOptions(s, cfg, fd); err != nil {
		return -1, &directiveError{"listen", l.Range, fmt.Errorf("cannot use the service manager's socket for %s: %w", l.Address, err), ""}
	}
	return fd, nil
}
