package fake_test

import (
	"fmt"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// A parent spawns a child in a jail that does not hold its binary any more, and
// waits for it: an hour of virtual time.
func Example() {
	m := fake.Boot(fake.Config{Seed: 42})
	defer m.Close()

	m.MkdirAll("/srv/jail", 0o755, 0, 0)
	m.Install("/usr/sbin/child", 0o755, func(s sys.Sys, argv, env []string) int {
		cwd, err := s.Getcwd()
		fmt.Println("child: cwd", cwd, err)
		s.Nanosleep(time.Hour)
		return 3
	})
	m.StartFunc("parent", func(s sys.Sys) int {
		exe, err := s.Open("/usr/sbin/child", sys.O_PATH|sys.O_CLOEXEC, 0)
		if err != nil {
			return 1
		}
		s.Chroot("/srv/jail")
		s.Chdir("/")
		var st sys.Stat
		fmt.Println("parent: stat:", s.Stat("/usr/sbin/child", &st))
		pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"child"}})
		if err != nil {
			return 1
		}
		_, status, _ := s.Wait4(pid, 0)
		fmt.Println("parent: child exited with", status.ExitStatus(), "after", s.Monotonic().Truncate(time.Second))
		return 0
	})
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// parent: stat: no such file or directory
	// child: cwd / <nil>
	// parent: child exited with 3 after 1h0m0s
}
