package systest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys/fake"
)

var (
	randomSeed = flag.Uint64("random.seed", 1, "the first seed of random cases")
	randomRuns = flag.Int("random.runs", 6, "how many random cases there are")
)

// TestRandomMounts makes random calls about mounts on both kernels, by two
// processes, and wants the same results and the same mounts after each.
func TestRandomMounts(t *testing.T) {
	t.Parallel()
	needs(t, true)
	dir, ok := filesystems(t)["tmpfs"]
	if !ok {
		t.Skip("needs /dev/shm as tmpfs")
	}
	for seed := *randomSeed; seed < *randomSeed+uint64(*randomRuns); seed++ {
		f, err := parse("random", randomMounts(rand.New(rand.NewPCG(seed, 0))))
		if err != nil {
			t.Fatal(err)
		}
		results := func(k Kernel) (steps []step, results []string) {
			p := f.plan(k, false)
			results, err := p.exec(k, patience, blockPatience)
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			return p.steps, results
		}
		steps, real := results(realKernel("tmpfs", dir, 0))
		_, simulated := results(simulated(fake.Deterministic, 0))
		for i := range min(len(real), len(simulated)) {
			if neutral(real[i]) != neutral(simulated[i]) {
				var calls strings.Builder
				for j := range i + 1 {
					fmt.Fprintf(&calls, "\n%s -> %s", steps[j].text(), real[j])
				}
				t.Errorf("seed %d: the simulated kernel says %s%s", seed, simulated[i], calls.String())
				break
			}
		}
	}
}

var (
	ofBase = regexp.MustCompile(`/systest\d+/|/scratch/`)
	ofSize = regexp.MustCompile(`,size=\d+k`)
)

// neutral is a result without what it says of the filesystem below the case.
func neutral(s string) string {
	return ofSize.ReplaceAllString(ofBase.ReplaceAllString(s, "/base/"), "")
}

// randomMounts is a case.
func randomMounts(r *rand.Rand) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	place := func() string {
		if r.IntN(3) > 0 {
			return pick("/d", "/e", "/d/m", "/e/m", "/d/n", "/e/n", "/d/m/k", "/f", "/d/f")
		}
		return pick("d", "e", "m", "n", "k", "f", "d/m", "d/m/k", "e/m", "d/f", "d/m/f", ".", "..", "/", "d/m/k/..", "e/..", "d/l", "l", "../d", "d/none")
	}
	calls := []func() string{
		func() string {
			return "mount x " + place() + " tmpfs " + pick("-", "ro", "nosuid", "noexec|nodev", "noatime")
		},
		func() string {
			return "mount " + place() + " " + place() + " '' " + pick("bind", "bind|rec", "bind|ro")
		},
		func() string { return "mount " + place() + " " + place() + " '' bind" },
		func() string { return "mount " + place() + " " + place() + " '' move" },
		func() string { return "umount " + place() + pick("", "", " detach", " nofollow", " expire") },
		func() string {
			return "mount none " + place() + " '' " + pick("remount", "remount|ro", "remount|bind", "remount|bind|ro",
				"remount|bind|nosuid", "private", "private|rec", "slave", "unbindable", "unbindable|rec")
		},
		func() string { return "pivot " + place() + " " + place() },
		func() string { return pick("unshare newns", "unshare fs", "chroot "+place(), "cd "+place()) },
		func() string { return pick("mkdir ", "rmdir ", "unlink ", "cat ", "ls ", "stat ") + place() },
		func() string { return pick("rename ", "link ") + place() + " " + place() },
		func() string { return "put " + place() + " 644 " + pick("one", "two", "three") },
		func() string { return "open x " + place() + " " + pick("r", "rw", "path", "r|dir", "w|creat") + " 644" },
		func() string { return pick("fchdir x", "close x", "access "+place()+" w") },
	}
	lines := []string{
		"case random from mount(2), umount(2), pivot_root(2), unshare(2)",
		"proc a as root",
		"proc b as root",
		"root: mkdir t; mount t t tmpfs; mkdir t/proc; mount proc t/proc proc; mkdir t/d; mkdir t/e; mkdir t/d/m; mkdir t/d/n; mkdir t/e/m; mkdir t/e/n; mkdir t/d/m/k",
		"root: put t/f 644 0; put t/d/f 644 1; put t/e/f 644 2; put t/d/m/f 644 3; symlink m t/d/l; symlink d t/l",
		"a: chroot t; cd /; unshare " + pick("-", "newns"),
		"b: chroot t; cd /",
	}
	for range 60 {
		who := pick("a: ", "a: ", "b: ")
		lines = append(lines, who+calls[r.IntN(len(calls))](),
			who+"pwd; ls /; ls .; mountinfo /proc/thread-self/mountinfo; parents /proc/thread-self/mountinfo")
	}
	return strings.Join(lines, "\n")
}
