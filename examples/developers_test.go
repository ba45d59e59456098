package examples

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/aferofs"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
	"github.com/httpjail/httpjail/sys/fault"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/thread"
)

// hostname is a program: it says where it runs.
func hostname(s sys.Sys, argv, env []string) int {
	name, err := sys.ReadFile(s, "/proc/sys/kernel/hostname", 256)
	if err != nil {
		_ = sys.WriteAll(s, 2, fmt.Appendf(nil, "%s: %v\n", argv[0], err))
		return 1
	}
	_ = sys.WriteAll(s, 1, name)
	return 0
}

func Example_program() {
	m := fake.Boot(fake.Config{Hostname: "castle", Image: func(m *fake.Machine) {
		m.Install("/bin/hostname", 0o755, hostname)
	}})
	defer m.Close()

	var out bytes.Buffer
	pid, err := m.Start(fake.ProcSpec{Path: "/bin/hostname", Stdout: &out})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := m.Wait(pid)
	fmt.Printf("%q, exit status %d, %v\n", out.String(), status.ExitStatus(), err)
	// Output:
	// "castle\n", exit status 0, <nil>
}

func Example_image() {
	onHost := afero.NewMemMapFs() // or afero.NewBasePathFs(afero.NewOsFs(), "/var/www")
	afero.WriteFile(onHost, "/index.html", []byte("hello"), 0o644)

	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: "etc/motd", Mode: 0o644, Size: 3})
	w.Write([]byte("hi\n"))
	w.Close()

	m := fake.Boot(fake.Config{Image: func(m *fake.Machine) {
		m.MkdirAll("/var/log", 0o755, 0, 0)
		m.WriteFile("/etc/passwd", []byte("root:x:0:0::/:/bin/sh\n"), 0o644, 0, 0)
		m.Symlink("/var/www/run/httpd.pid", "/httpd.pid")
		m.Device("/dev/full", 1, 7) // each write is ENOSPC

		limits := aferofs.Limits{Files: 1000, Bytes: 1 << 20}
		_, err := aferofs.Load(m, onHost, "/var/www", limits)
		_, err2 := aferofs.LoadTar(m, &archive, "/", limits)
		_, err3 := aferofs.LoadFS(m, fstest.MapFS{"a": {Data: []byte("b"), Mode: 0o644}}, "/fs", limits)
		if err := errors.Join(err, err2, err3); err != nil {
			panic(err)
		}
	}})
	defer m.Close()

	// The other way round: a process's view as an afero.Fs.
	m.StartFunc("reader", func(s sys.Sys) int {
		fs := aferofs.New(s)
		for _, name := range []string{"/var/www/index.html", "/etc/motd", "/fs/a"} {
			data, err := afero.ReadFile(fs, name)
			fmt.Printf("%s: %q, %v\n", name, data, err)
		}
		return 0
	})
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// /var/www/index.html: "hello", <nil>
	// /etc/motd: "hi\n", <nil>
	// /fs/a: "b", <nil>
}

// watchdog sleeps for an hour at a time.
func watchdog(s sys.Sys, argv, env []string) int {
	for range 24 {
		if err := sys.Retry(func() error { return s.Nanosleep(time.Hour) }); err != nil {
			return 1
		}
	}
	return 0
}

func Example_time() {
	m := fake.Boot(fake.Config{Start: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	defer m.Close()
	if _, err := m.Start(fake.ProcSpec{Argv: []string{"watchdog"}, Program: watchdog}); err != nil {
		fmt.Println(err)
	}
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(m.Now().Truncate(time.Minute))
	// Output:
	// 2030-01-02 00:00:00 +0000 UTC
}

func Example_threads() {
	m := fake.Boot(fake.Config{Seed: 1})
	defer m.Close()
	m.StartFunc("adder", func(s sys.Sys) int {
		numbers := thread.NewQueue[int](4)
		var (
			mu   thread.Mutex
			sum  int
			done thread.WaitGroup
		)
		done.Add(3)
		for i := range 3 {
			err := s.Go(fmt.Sprintf("worker %d", i), func(s sys.Sys) { // the thread's own s
				defer done.Done(s)
				for {
					n, err := numbers.Get(s, -1)
					if err != nil { // closed
						return
					}
					mu.Lock(s)
					sum += n
					mu.Unlock(s)
				}
			})
			if err != nil {
				return 1
			}
		}
		for n := range 101 {
			if err := numbers.Put(s, n, -1); err != nil {
				return 1
			}
		}
		numbers.Close(s)
		done.Wait(s)
		fmt.Println(sum)
		return 0
	})
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 5050
}

// counter is a child that counts in memory it shares with its parent.
func counter(s sys.Sys, argv, env []string) int {
	mem, err := s.Mmap(3, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	if err != nil {
		return 1
	}
	mem.Add32(0, 1)
	return 0
}

func Example_sharedMemory() {
	m := fake.Boot(fake.Config{Image: func(m *fake.Machine) { m.Install("/bin/counter", 0o755, counter) }})
	defer m.Close()
	m.StartFunc("parent", func(s sys.Sys) int {
		exe, err := s.Open("/bin/counter", sys.O_PATH|sys.O_CLOEXEC, 0)
		if err != nil {
			return 1
		}
		fd, err := s.MemfdCreate("count", sys.MFD_CLOEXEC)
		if err != nil {
			return 1
		}
		if err := s.Ftruncate(fd, 4096); err != nil {
			return 1
		}
		mem, err := s.Mmap(fd, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
		if err != nil {
			return 1
		}
		for range 3 {
			// The child's descriptors are 0, 1, 2 and, as 3, the memory.
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"counter"}, Files: []int{0, 1, 2, fd}})
			if err != nil {
				return 1
			}
			_, _, _ = s.Wait4(pid, 0)
		}
		fmt.Println(mem.Load32(0))
		return 0
	})
	if err := m.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 3
}

// calls counts calls by their names.
func calls(count map[string]int) intercept.Interceptor {
	return intercept.Func(func(c *sys.Call, next func()) {
		count[c.Op]++ // in deterministic mode one thread runs at a time
		next()
	})
}

func Example_interceptors() {
	rules, err := fault.ParseAll(`
# the name is not there, and neither is room to say so
host*: open("/proc/sys/kernel/*") #1 = ENOENT
host*: write #1+ = ENOSPC
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	inject, count := fault.New(rules...), map[string]int{}
	program := intercept.Program(hostname, calls(count), inject)

	m := fake.Boot(fake.Config{Image: func(m *fake.Machine) { m.Install("/bin/hostname", 0o755, program) }})
	defer m.Close()
	pid, err := m.Start(fake.ProcSpec{Path: "/bin/hostname", Argv: []string{"hostname"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := m.Wait(pid)
	fmt.Println(status.ExitStatus(), err, count)
	for _, hit := range inject.Hits() {
		fmt.Println(rules[hit.Rule], "hit", hit.Call.Op, "number", hit.Call.Seq)
	}
	// Output:
	// 1 <nil> map[open:1 write:1]
	// host*: open("/proc/sys/kernel/*") #1 = ENOENT hit open number 1
	// host*: write #1+ = ENOSPC hit write number 2
}

func Example_deadlock() {
	m := fake.Boot(fake.Config{})
	defer m.Close()
	m.StartFunc("reader", func(s sys.Sys) int {
		r, _, err := s.Pipe2(0)
		if err != nil {
			return 1
		}
		s.Read(r, make([]byte, 1)) // the write end is open, and nobody writes
		return 0
	})
	err := m.Run()
	var deadlock *sched.Deadlock
	fmt.Println(errors.As(err, &deadlock))
	fmt.Println(err)
	// Output:
	// true
	// deadlock at 2µs: every thread waits
	// 	reader[2] in read(3 pipe:[2]) on pipe to read
}
