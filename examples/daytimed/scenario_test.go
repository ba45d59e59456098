package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/conn"
)

// world is where a scenario runs: on which kernel is up to s.
type world struct {
	s    sys.Sys
	exe  string // the daemon's executable
	jail string
	addr netip.AddrPort
	user int
}

// liveAndDie starts the daemon, looks at it, asks it, and ends it.
func liveAndDie(w world) error {
	pid, err := w.start()
	if err != nil {
		return err
	}
	if err := w.serves(pid); err != nil {
		return err
	}
	root, err := w.s.Readlink(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil || root != w.jail {
		return fmt.Errorf("the root of %d is %q, %v, and not the jail", pid, root, err)
	}
	status, err := sys.ReadFile(w.s, fmt.Sprintf("/proc/%d/status", pid), 64<<10)
	if err != nil {
		return err
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", w.user), "CapPrm:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(string(status), want) {
			return fmt.Errorf("/proc/%d/status lacks %q:\n%s", pid, want, status)
		}
	}
	if err := w.s.Kill(pid, sys.SIGTERM); err != nil {
		return err
	}
	if status, err := w.wait(pid); err != nil || status != 0 {
		return fmt.Errorf("the daemon ended with %#x, %v", uint32(status), err)
	}
	var st sys.Stat
	if err := w.s.Stat(w.jail+pidFile, &st); err != sys.ENOENT {
		return fmt.Errorf("the PidFile after the end: %v", err)
	}
	return nil
}

// start executes the daemon.
func (w world) start() (pid int, err error) {
	exe, err := w.s.Open(w.exe, sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer w.s.Close(exe)
	return w.s.Spawn(&sys.SpawnAttr{
		Exe: exe, Argv: []string{"daytimed", w.addr.String(), w.jail, strconv.Itoa(w.user)}, Files: []int{0, 1, 2},
	})
}

// serves waits for the PidFile, and then asks for the time. It gives up when
// the daemon ends, or after 20 seconds of the kernel's clock.
func (w world) serves(pid int) error {
	want := strconv.Itoa(pid) + "\n"
	for until := w.s.Monotonic() + 20*time.Second; ; {
		got, err := sys.ReadFile(w.s, w.jail+pidFile, 64)
		if string(got) == want {
			break
		}
		if wpid, status, err := w.s.Wait4(pid, sys.WNOHANG); wpid == pid {
			return fmt.Errorf("the daemon ended with %#x, %v", uint32(status), err)
		}
		if w.s.Monotonic() > until {
			return fmt.Errorf("the PidFile holds %q, %v; the daemon is %d", got, err, pid)
		}
		_ = w.s.Nanosleep(5 * time.Millisecond)
	}
	answer, err := w.ask(w.s)
	if err != nil {
		return err
	}
	if _, err := time.Parse(daytime, answer); err != nil {
		return fmt.Errorf("the answer is no time: %w", err)
	}
	return nil
}

func (w world) ask(s sys.Sys) (answer string, err error) {
	fd, err := s.Socket(sys.AF_INET, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	c := conn.New(s, fd, sys.SockAddr{}, sys.InetAddr(w.addr))
	defer c.Close()
	if err := s.Connect(fd, c.Peer()); err != nil {
		return "", err
	}
	c.SetReadTimeout(20 * time.Second)
	data, err := io.ReadAll(c)
	return string(data), err
}

func (w world) wait(pid int) (status sys.WaitStatus, err error) {
	err = sys.Retry(func() error { _, status, err = w.s.Wait4(pid, 0); return err })
	return status, err
}
