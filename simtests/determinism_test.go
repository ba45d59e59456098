package simtests

import (
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/httpjail/httpjail/sys/fake"
)

var repeats = flag.Int("repeats", 100, "how often TestSameSeedSameTrace repeats a run; one in ten is under load")

// TestSameSeedSameTrace runs the server again and again with one seed, also
// under load with a child killed: every call of every process must be the same,
// with the same result at the same virtual time, whatever the Go scheduler does.
func TestSameSeedSameTrace(t *testing.T) {
	for _, conf := range []string{
		fmt.Sprintf(seed, "prefork", "flock", few+seedFiles),
		fmt.Sprintf(seed, "worker", "sysvsem", fewThreads),
		eventConf(fewThreads),
	} {
		sameTrace(t, *repeats, scenario{"serve and stop", func(o *operator) { serveAndStop(o, conf) }})
		sameTrace(t, max(1, *repeats/10), scenario{"kill a child", func(o *operator) { o.kills = 1; killChild(o, conf) }})
	}
}

func sameTrace(t *testing.T, times int, sc scenario) {
	want := runFake(t, sc, fake.Deterministic, 42)
	for i := range times {
		old := runtime.GOMAXPROCS(1 + i%2)
		got := runFake(t, sc, fake.Deterministic, 42)
		runtime.GOMAXPROCS(old)
		if got != want {
			t.Fatalf("%s: run %d at GOMAXPROCS %d has the trace hash %#x, the first %#x", sc.name, i, 1+i%2, got, want)
		}
	}
	if other := runFake(t, sc, fake.Deterministic, 43); other == want {
		t.Errorf("%s: another seed has the same trace hash %#x: chance decides nothing", sc.name, want)
	}
}

var seeds = flag.Int("seeds", 2, "with how many seeds TestKillsAtManyMoments kills children")

// TestKillsAtManyMoments kills children at moments that differ from seed to
// seed, also while they own the accept mutex or are about to: the others must go
// on, and nothing may be lost but what the killed were answering.
func TestKillsAtManyMoments(t *testing.T) {
	for _, m := range mutexes {
		conf := fmt.Sprintf(seed, "prefork", m, few)
		if m == "flock" || m == "fcntl" {
			conf = fmt.Sprintf(seed, "prefork", m, few+seedFiles)
		}
		sc := scenario{"kill children", func(o *operator) { killChild(o, conf) }}
		for i := range *seeds {
			t.Run(fmt.Sprintf("%s seed %d", m, i), func(t *testing.T) { runFake(t, sc, fake.Deterministic, uint64(i)) })
		}
	}
}
