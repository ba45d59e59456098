package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/real"
)

// TestMain: executed as daytimed, the test binary is the daemon.
func TestMain(m *testing.M) {
	if os.Args[0] == "daytimed" {
		syscall.Exit(Program(real.New(), os.Args, os.Environ()))
	}
	os.Exit(m.Run())
}

// TestLiveAndDieOnLinux is TestLiveAndDie on the kernel below.
func TestLiveAndDieOnLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: chroot(2) and another user")
	}
	s := real.New()
	if _, _, e := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); e == sys.ENOTSUP {
		t.Skip("needs CGO_ENABLED=0: a cgo program, as the race detector makes one, cannot set no_new_privs in all threads")
	}
	jail := t.TempDir()
	run := filepath.Join(jail, runDir)
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, user, user); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(jail, 0o755); err != nil { // t.TempDir may be 0700 to others
		t.Fatal(err)
	}
	w := world{s: s, exe: "/proc/self/exe", jail: jail, addr: freePort(t), user: user}
	if err := liveAndDie(w); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
