package fake_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// mix runs programs that contend for locks, talk over pipes and sockets, share
// memory and get killed.
func mix(t *testing.T, seed uint64) (hash uint64, now time.Duration) {
	m := fake.Boot(fake.Config{Seed: seed})
	defer m.Close()
	m.MkdirAll("/run", 0o777, 0, 0)
	m.Install("/bin/worker", 0o755, func(s sys.Sys, argv, env []string) int {
		var rnd [1]byte
		s.Getrandom(rnd[:])
		fd, err := s.Open("/run/lock", sys.O_RDWR|sys.O_CREAT|sys.O_CLOEXEC, 0o600)
		if err != nil {
			return 1
		}
		for i := range 3 + int(rnd[0]%5) {
			if err := s.Flock(fd, sys.LOCK_EX); err != nil {
				return 2
			}
			s.Nanosleep(time.Duration(rnd[0]) * time.Microsecond)
			sys.WriteAll(s, 0, []byte(argv[1]))
			s.Flock(fd, sys.LOCK_UN)
			if i == 2 && rnd[0]%3 == 0 {
				s.Kill(s.Getpid(), sys.SIGTERM)
			}
		}
		return 0
	})
	m.StartFunc("parent", func(s sys.Sys) int {
		exe, _ := s.Open("/bin/worker", sys.O_PATH|sys.O_CLOEXEC, 0)
		r, w, _ := s.Pipe2(sys.O_CLOEXEC)
		mem, err := s.Mmap(-1, 0, 64, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED|sys.MAP_ANONYMOUS)
		if err != nil {
			return 1
		}
		var pids []int
		for i := range 5 {
			pid, err := s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"worker", fmt.Sprint(i)}, Files: []int{w}})
			if err != nil {
				return 2
			}
			pids = append(pids, pid)
		}
		s.Go("killer", func(s sys.Sys) {
			for _, pid := range pids[:3] {
				s.Nanosleep(300 * time.Microsecond)
				s.Kill(pid, sys.SIGKILL)
				mem.Add32(0, 1)
			}
		})
		s.Close(w)
		buf := make([]byte, 100)
		for {
			n, err := s.Read(r, buf)
			if n == 0 || err != nil {
				break
			}
			s.Write(1, buf[:n])
		}
		for range pids {
			if _, _, err := s.Wait4(-1, 0); err != nil {
				return 3
			}
		}
		for mem.Load32(0) < 3 { // spins: memory is no call
		}
		return 0
	})
	if err := m.Run(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return m.TraceHash(), m.Monotonic()
}

func TestSameSeedSameRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	hashes := map[uint64]bool{}
	for seed := range uint64(10) {
		hash, now := mix(t, seed)
		hashes[hash] = true
		for i := range 10 {
			runtime.GOMAXPROCS(1 + i%2)
			if h, n := mix(t, seed); h != hash || n != now {
				t.Fatalf("seed %d: hash %x at %v, then %x at %v", seed, hash, now, h, n)
			}
		}
	}
	if len(hashes) != 10 {
		t.Errorf("10 seeds gave %d different runs", len(hashes))
	}
}

// Two processes that add to a word without an atomic addition lose updates, and
// MemorySwitch finds it.
func TestMemorySwitchFindsRaces(t *testing.T) {
	sum := func(every int) uint32 {
		m := boot(t, fake.Config{MemorySwitch: every})
		m.Install("/bin/adder", 0o755, func(s sys.Sys, argv, env []string) int {
			mem, _ := s.Mmap(0, 0, 8, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
			for range 100 {
				mem.Store32(0, mem.Load32(0)+1)
			}
			return 0
		})
		var sum uint32
		exits(t, m, func(s sys.Sys) int {
			fd, _ := s.MemfdCreate("sum", 0)
			s.Ftruncate(fd, 8)
			exe, _ := s.Open("/bin/adder", sys.O_PATH, 0)
			for range 2 {
				s.Spawn(&sys.SpawnAttr{Exe: exe, Argv: []string{"adder"}, Files: []int{fd}})
			}
			for range 2 {
				s.Wait4(-1, 0)
			}
			mem, _ := s.Mmap(fd, 0, 8, sys.PROT_READ, sys.MAP_SHARED)
			sum = mem.Load32(0)
			return 0
		})
		return sum
	}
	if n := sum(0); n != 200 {
		t.Errorf("without switches: %d, want 200", n)
	}
	if n := sum(1); n >= 200 {
		t.Errorf("a switch at each access: %d, want lost updates", n)
	}
}
