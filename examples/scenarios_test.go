package examples

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/intercept"
	"github.com/httpjail/httpjail/sys/trace"
)

// sloppy counts in shared memory as counter does, with a race: between Load32
// and Store32 another process may count.
func sloppy(s sys.Sys, argv, env []string) int {
	mem, err := s.Mmap(3, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	if err != nil {
		return 1
	}
	mem.Store32(0, mem.Load32(0)+1)
	return 0
}

// count runs program in two processes that share memory, and returns what they
// have counted.
func count(seed uint64, program sys.Program) (sum uint32, hash uint64, err error) {
	m := fake.Boot(fake.Config{
		Seed:         seed,
		MemorySwitch: 1, // each access to shared memory is a switch point, as each call is
		StepLimit:    100_000,
		Image:        func(m *fake.Machine) { m.Install("/bin/count", 0o755, program) },
	})
	defer m.Close()
	m.StartFunc("parent", func(s sys.Sys) int {
		exe, _ := s.Open("/bin/count", sys.O_PATH|sys.O_CLOEXEC, 0)
		fd, _ := s.MemfdCreate("count", sys.MFD_CLOEXEC)
		_ = s.Ftruncate(fd, 4096)
		mem, err := s.Mmap(fd, 0, 4096, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
		if err != nil {
			return 1
		}
		for i := range 2 {
			_, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{fmt.Sprintf("count %d", i)}, Files: []int{0, 1, 2, fd}})
			if err != nil {
				return 1
			}
		}
		for range 2 {
			_, _, _ = s.Wait4(-1, 0)
		}
		sum = mem.Load32(0)
		return 0
	})
	err = m.Run()
	return sum, m.TraceHash(), err
}

// TestSeedsFindARace: some seed loses an update, and does so again.
func TestSeedsFindARace(t *testing.T) {
	for seed := range uint64(1000) {
		sum, hash, err := count(seed, sloppy)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if sum == 2 {
			continue
		}
		t.Logf("seed %d: the sum is %d", seed, sum)
		again, hashAgain, err := count(seed, sloppy)
		if err != nil || again != sum || hashAgain != hash {
			t.Errorf("seed %d again: %d, %v, trace hash %#x, which was %#x", seed, again, err, hashAgain, hash)
		}
		return
	}
	t.Error("no seed has found the race")
}

// TestNoSeedFindsOne is how the test of a correct program looks.
func TestNoSeedFindsOne(t *testing.T) {
	for seed := range uint64(200) {
		if sum, _, err := count(seed, counter); sum != 2 || err != nil {
			t.Fatalf("seed %d: the sum is %d, %v", seed, sum, err)
		}
	}
}

// traceOf runs a scenario with a seed, and returns the calls of its processes.
func traceOf(t *testing.T, seed uint64) map[string][]string {
	var text bytes.Buffer
	_, _, err := count(seed, intercept.Program(counter, trace.New(&text, trace.Options{})))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return trace.ByProcess(strings.Split(text.String(), "\n"))
}

// TestSeedsAgree: however the processes are scheduled, each does the same.
func TestSeedsAgree(t *testing.T) {
	want := traceOf(t, 1)
	if len(want) != 2 {
		t.Fatalf("%d processes", len(want))
	}
	for seed := uint64(2); seed < 20; seed++ {
		got := traceOf(t, seed)
		for proc, lines := range want {
			if diff := cmp.Diff(trace.Normalise(lines), trace.Normalise(got[proc])); diff != "" {
				t.Errorf("%s: seed 1 (-) and %d (+) differ:\n%s", proc, seed, diff)
			}
		}
	}
}
