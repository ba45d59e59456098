// Package mutexbench measures the accept mutexes beside each other: how long a
// lock and its unlock take, alone and while other processes want the same.
package mutexbench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
)

// childArg tells a contender from the program that starts it.
const childArg = "bench-mutex-child"

// contenders are with how many processes each mutex is measured.
var contenders = []int{1, 2, 8}

// A contender's descriptors.
const (
	contenderState  = 0
	contenderResult = 1
	contenderStart  = 3 // its end says go
	contenderShared = 4 // the mutex's, or /dev/null
)

// state is what a contender is told.
type state struct {
	Mutex mpm.MutexState
	Slot  int
	Score int
	For   time.Duration
}

// IsChild reports whether argv is a contender's, which Program must run.
func IsChild(argv []string) bool { return len(argv) == 2 && argv[1] == childArg }

// Program prints a table on standard output; argv[1] is a directory for lock
// files, argv[2] how long each cell is measured.
func Program(s sys.Sys, argv, env []string) int {
	if IsChild(argv) {
		return report(s, contend(s))
	}
	if len(argv) != 3 {
		return report(s, fmt.Errorf("usage: DIR DURATION"))
	}
	d, err := time.ParseDuration(argv[2])
	if err == nil {
		err = table(s, argv[1], d)
	}
	return report(s, err)
}

func report(s sys.Files, err error) int {
	if err != nil {
		_ = sys.WriteAll(s, 2, fmt.Appendf(nil, "bench mutex: %v\n", err))
		return 1
	}
	return 0
}

func table(s sys.Sys, dir string, d time.Duration) error {
	print := func(format string, args ...any) { _ = sys.WriteAll(s, 1, fmt.Appendf(nil, format, args...)) }
	print("ns for a lock and its unlock, all contenders together\n%-10s", "mutex")
	for _, n := range contenders {
		print(" %11d", n)
	}
	print("  processes\n")
	for _, method := range mpm.MutexMethods() {
		if method == "default" {
			continue
		}
		print("%-10s", method)
		for _, n := range contenders {
			pairs, err := measure(s, dir, method, n, d)
			if err != nil {
				return fmt.Errorf("%s, %d processes: %w", method, n, err)
			}
			print(" %11.0f", float64(d.Nanoseconds())/float64(max(1, pairs)))
		}
		print("\n")
	}
	return nil
}

// measure lets n processes lock and unlock for d and returns how often they did.
func measure(s sys.Sys, dir, method string, n int, d time.Duration) (pairs int, err error) {
	cfg := &mpm.Config{AcceptMutex: method, LockFile: dir + "/lock", ServerLimit: n, ThreadLimit: 1, Uid: -1, Gid: -1}
	owner, err := mpm.CreateMutex(s, cfg)
	if err != nil {
		return 0, err
	}
	defer owner.Destroy(s)
	score, scoreFd, err := mpm.CreateScoreboard(s, cfg)
	if err != nil {
		return 0, err
	}
	defer s.Close(scoreFd)
	defer score.Close(s)
	exe, err := s.Open("/proc/self/exe", sys.O_PATH|sys.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer s.Close(exe)
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer s.Close(null)
	resultR, resultW, err := s.Pipe2(sys.O_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer s.Close(resultR)
	startR, startW, err := s.Pipe2(sys.O_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer s.Close(startR)

	st := state{Mutex: owner.State(), For: d, Score: contenderShared + 1}
	shared := null
	if st.Mutex.Fd >= 0 {
		shared, st.Mutex.Fd = st.Mutex.Fd, contenderShared
	}
	for i := range n {
		st.Slot = i
		data, err := json.Marshal(st)
		if err != nil {
			return 0, err
		}
		memfd, err := s.MemfdCreate("contender", sys.MFD_CLOEXEC)
		if err != nil {
			return 0, err
		}
		if err = sys.WriteAll(s, memfd, data); err == nil {
			_, err = s.Lseek(memfd, 0, sys.SEEK_SET)
		}
		if err == nil {
			_, err = s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"httpjail: contender " + strconv.Itoa(i), childArg},
				Files: []int{memfd, resultW, 2, startR, shared, scoreFd}, Pdeathsig: sys.SIGKILL})
		}
		s.Close(memfd)
		if err != nil {
			return 0, err
		}
	}
	s.Close(resultW)
	s.Close(startW) // go
	data, err := sys.ReadAll(s, resultR, 1<<16)
	if err != nil {
		return 0, err
	}
	lines := 0
	for _, line := range strings.Fields(string(data)) {
		k, err := strconv.Atoi(line)
		if err != nil {
			return 0, err
		}
		pairs += k
		lines++
	}
	for range n {
		if _, _, err := s.Wait4(-1, 0); err != nil && err != sys.EINTR {
			return 0, err
		}
	}
	if lines != n {
		return 0, fmt.Errorf("%d of %d contenders have answered", lines, n)
	}
	return pairs, nil
}

// contend is a contender: it waits for the start and counts.
func contend(s sys.Sys) error {
	data, err := sys.ReadAll(s, contenderState, 1<<16)
	if err != nil {
		return err
	}
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return err
	}
	score, err := mpm.OpenScoreboard(s, st.Score)
	if err != nil {
		return err
	}
	mutex, err := mpm.AttachMutex(s, st.Mutex, score.LockState(st.Slot))
	if err != nil {
		return err
	}
	if _, err := sys.ReadAll(s, contenderStart, 1); err != nil {
		return err
	}
	pairs := 0
	const batch = 64 // between looks at the clock
	for until := s.Monotonic() + st.For; s.Monotonic() < until; {
		for range batch {
			for {
				err := mutex.Lock(s)
				if err == nil {
					break
				}
				if err != sys.ETIMEDOUT {
					return err
				}
			}
			if err := mutex.Unlock(s); err != nil {
				return err
			}
			pairs++
		}
	}
	return sys.WriteAll(s, contenderResult, fmt.Appendf(nil, "%d\n", pairs))
}
