package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/real"
)

// envFault has a fault rule for the daemon.
const envFault = "DAYTIMED_TEST_FAULT"

// TestMain: executed as daytimed, the test binary is the daemon.
func TestMain(m *testing.M) {
	if os.Args[0] == "daytimed" {
		program := sys.Program(Program)
		if rule, err := fault.Parse(os.Getenv(envFault)); err == nil {
			program = intercept.Program(program, fault.New(rule))
		}
		syscall.Exit(program(real.New(), os.Args, os.Environ()))
	}
	os.Exit(m.Run())
}

// realJail makes a jail on the kernel below.
func realJail(t *testing.T) (jail string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: chroot(2) and another user")
	}
	if _, _, e := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); e == sys.ENOTSUP {
		t.Skip("needs CGO_ENABLED=0: a cgo program, as the race detector makes one, cannot set no_new_privs in all threads")
	}
	jail = t.TempDir()
	run := filepath.Join(jail, runDir)
	if err := errors.Join(os.Mkdir(run, 0o755), os.Chown(run, user, user)); err != nil {
		t.Fatal(err)
	}
	return jail
}

// TestLiveAndDieOnLinux is TestLiveAndDie on the kernel below.
func TestLiveAndDieOnLinux(t *testing.T) {
	w := world{jail: realJail(t), s: real.New(), exe: "/proc/self/exe", addr: freePort(t), user: user}
	if err := liveAndDie(w); err != nil {
		t.Error(err)
	}
}

// TestEveryStartUpErrorOnLinux is TestEveryStartUpError there.
func TestEveryStartUpErrorOnLinux(t *testing.T) {
	jail := realJail(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	everyStartUpError(t, func(t *testing.T, rule fault.Rule) outcome {
		var said bytes.Buffer
		cmd := exec.Command(self)
		cmd.Args = []string{"daytimed", freePort(t).String(), jail, strconv.Itoa(user)}
		cmd.Env = append(os.Environ(), envFault+"="+rule.String())
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It ends by itself, unless the failure went unseen.
		serves := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer serves.Stop()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		o := outcome{status: cmd.ProcessState.ExitCode(), said: said.String(), hits: -1}
		if _, err := os.Lstat(jail + pidFile); !errors.Is(err, os.ErrNotExist) {
			o.left = "a PidFile"
		}
		return o
	})
}

func freePort(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
