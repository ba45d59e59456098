// Command daytimed tells whoever connects the time, see RFC 867:
//
//	daytimed ADDRESS JAIL USER
//
// It binds ADDRESS, which may be a low port, goes into the jail, becomes the
// user with the number USER and, in the jail, writes /run/daytimed.pid, which
// says that it serves. SIGTERM and SIGINT end it, and nothing is left.
//
// It is the running example of docs/testing-your-daemon.md: a daemon over
// sys.Sys that is not httpjail.
package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Paths in the jail. The directory must be the user's.
const (
	runDir  = "/run"
	pidFile = runDir + "/daytimed.pid"
)

// daytime is the form of the answer.
const daytime = "Monday, January 2, 2006 15:04:05-MST\r\n"

// Program is the daemon. It serves in the foreground.
func Program(s sys.Sys, argv, env []string) int {
	conf, err := parse(argv)
	if err != nil {
		return complain(s, 2, err)
	}
	d, err := start(s, conf)
	if err != nil {
		return complain(s, 1, err)
	}
	err = d.serve(s)
	if err := errors.Join(err, s.Unlink(pidFile)); err != nil {
		return complain(s, 1, err)
	}
	return 0
}

func complain(s sys.Files, status int, err error) int {
	_ = sys.WriteAll(s, 2, []byte("daytimed: "+err.Error()+"\n"))
	return status
}

type config struct {
	addr netip.AddrPort
	jail string
	user int // and the group of the same number
}

func parse(argv []string) (c config, err error) {
	if len(argv) != 4 {
		return c, errors.New("usage: daytimed ADDRESS JAIL USER")
	}
	if c.addr, err = netip.ParseAddrPort(argv[1]); err != nil {
		return c, err
	}
	c.jail = argv[2]
	if c.user, err = strconv.Atoi(argv[3]); err != nil || c.user <= 0 {
		return c, fmt.Errorf("%q is not the number of an unprivileged user", argv[3])
	}
	return c, nil
}

// daemon is what start has opened.
type daemon struct{ listener, signals int }

// start opens everything, each thing while it still can be, or fails and leaves
// nothing: what it has opened ends with the process, and the PidFile, which
// does not, comes last.
func start(s sys.Sys, c config) (d daemon, err error) {
	// Before the PidFile: from then on, somebody may send signals.
	d.signals, err = s.Signalfd([]sys.Signal{sys.SIGTERM, sys.SIGINT}, sys.SFD_CLOEXEC|sys.SFD_NONBLOCK)
	if err != nil {
		return d, fmt.Errorf("signalfd: %w", err)
	}
	if d.listener, err = listen(s, c.addr); err != nil {
		return d, fmt.Errorf("listen on %s: %w", c.addr, err)
	}
	if err = enter(s, c.jail); err != nil {
		return d, fmt.Errorf("enter the jail %s: %w", c.jail, err)
	}
	if err = become(s, c.user); err != nil {
		return d, fmt.Errorf("become user %d: %w", c.user, err)
	}
	if err = lock(s, runDir); err != nil {
		return d, fmt.Errorf("lock jail:%s: %w", runDir, err)
	}
	if err = writePidFile(s, pidFile); err != nil {
		return d, fmt.Errorf("write the PidFile jail:%s: %w", pidFile, err)
	}
	return d, nil
}

func listen(s sys.Net, addr netip.AddrPort) (fd int, err error) {
	a := sys.InetAddr(addr)
	fd, err = s.Socket(a.Family, sys.SOCK_STREAM|sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK, 0)
	if err == nil {
		err = s.SetsockoptInt(fd, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = s.Bind(fd, a)
	}
	if err == nil {
		err = s.Listen(fd, 64)
	}
	return fd, err
}

// enter goes into the jail. chroot(2) leaves the working directory where it is,
// so that it moves twice.
func enter(s sys.Jail, root string) error {
	if err := s.Chdir(root); err != nil {
		return err
	}
	if err := s.Chroot("."); err != nil {
		return err
	}
	return s.Chdir("/")
}

// become makes the process somebody else for good, and then looks whether it
// is: of this alone nothing would be seen if it failed.
func become(s sys.Creds, id int) error {
	if err := s.Setgroups([]int{id}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := s.Setresgid(id, id, id); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := s.Setresuid(id, id, id); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	if _, err := s.Prctl(sys.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	caps, err := s.Capget()
	if err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if r, e, u := s.Getresuid(); r != id || e != id || u != id || caps != (sys.CapSets{}) {
		return fmt.Errorf("the uids are %d %d %d and the capabilities %+v: %w", r, e, u, caps, sys.EPERM)
	}
	return nil
}

// lock takes the directory for this daemon alone. The kernel gives it back when
// the daemon ends, however it ends, so that no PidFile of a killed daemon is in
// the way. EWOULDBLOCK: another daemon lives.
func lock(s interface {
	sys.Files
	sys.Locks
}, dir string) error {
	fd, err := s.Open(dir, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return s.Flock(fd, sys.LOCK_EX|sys.LOCK_NB) // fd stays open, and with it the lock
}

// pidFiles are the roles that a PidFile takes.
type pidFiles interface {
	sys.Files
	sys.Descriptors
	sys.Dirs
	sys.Procs
}

// writePidFile writes the PidFile, or leaves none.
func writePidFile(s pidFiles, path string) error {
	fd, err := s.Open(path, sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC|sys.O_CLOEXEC|sys.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	err = sys.WriteAll(s, fd, fmt.Appendf(nil, "%d\n", s.Getpid()))
	if cerr := s.Close(fd); err == nil {
		err = cerr // close(2) may be the first to say that the disk is full
	}
	if err != nil {
		return errors.Join(err, s.Unlink(path))
	}
	return nil
}

// serve answers until a signal comes.
func (d daemon) serve(s sys.Sys) error {
	fds := []sys.PollFd{{Fd: int32(d.signals), Events: sys.POLLIN}, {Fd: int32(d.listener), Events: sys.POLLIN}}
	for {
		if _, err := s.Poll(fds, -1); err == sys.EINTR {
			continue
		} else if err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		if fds[0].Revents != 0 {
			return nil
		}
		switch fd, _, err := s.Accept4(d.listener, sys.SOCK_CLOEXEC); err {
		case nil:
			// An error is the client's: it went away.
			_ = sys.WriteAll(s, fd, []byte(s.Now().Format(daytime)))
			_ = s.Close(fd)
		case sys.EAGAIN, sys.EINTR, sys.ECONNABORTED: // it went away before
		case sys.EMFILE, sys.ENFILE, sys.ENOBUFS, sys.ENOMEM:
			_ = s.Nanosleep(100 * time.Millisecond) // until others give some back
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}
