package trace_test

import (
	"fmt"
	"os"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/trace"
)

// A program runs on the simulated kernel, with a disk that is full from its
// second write on, and its calls are printed.
func Example() {
	program := func(s sys.Sys, argv, env []string) int {
		fd, err := s.Open("/tmp/log", sys.O_WRONLY|sys.O_CREAT|sys.O_APPEND|sys.O_CLOEXEC, 0o640)
		if err != nil {
			return 1
		}
		for _, line := range []string{"one\n", "two\n"} {
			if err := sys.WriteAll(s, fd, []byte(line)); err != nil {
				return 2
			}
		}
		return 0
	}
	rules, err := fault.ParseAll(`logger: write #2+ = ENOSPC`)
	if err != nil {
		fmt.Println(err)
		return
	}

	m := fake.Boot(fake.Config{Mode: fake.Deterministic})
	defer m.Close()
	_, err = m.Start(fake.ProcSpec{
		Argv:    []string{"logger"},
		Program: intercept.Program(program, trace.New(os.Stdout, trace.Options{}), fault.New(rules...)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// logger[2/2] open("/tmp/log", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0640) = 3
	// logger[2/2] write(3, "one\n", 4) = 4
	// logger[2/2] write(3, "two\n", 4) = -1 ENOSPC (no space left on device)
}
