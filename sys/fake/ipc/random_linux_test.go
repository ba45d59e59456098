//go:build linux && amd64

package ipc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
)

// TestRandomScripts plays random calls on one set on both kernels. As nobody
// else changes the set, no call sleeps for longer than its timeout.
func TestRandomScripts(t *testing.T) {
	ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sys.Sembuf {
		return sys.Sembuf{
			Num: uint16(rapid.IntRange(0, 2).Draw(t, "num")),
			Op:  rapid.SampledFrom([]int16{0, 0, 1, 1, 2, -1, -1, -2, 20000, -20000, 32767, -32768}).Draw(t, "op"),
			Flg: rapid.SampledFrom([]int16{0, sys.IPC_NOWAIT, sys.SEM_UNDO, sys.SEM_UNDO | sys.IPC_NOWAIT}).Draw(t, "flg"),
		}
	}), 0, 4)
	vals := rapid.SampledFrom([]int{0, 1, 2, 32766, 32767, 32768, -1})
	if !onHost(t, func(kernel) {}) {
		t.Skip("there is no kernel to compare with")
	}
	rapid.Check(t, func(rt *rapid.T) {
		var calls []func(s *script, id int)
		for range rapid.IntRange(1, 30).Draw(rt, "calls") {
			if rapid.IntRange(0, 4).Draw(rt, "kind") == 0 {
				num, val := rapid.IntRange(0, 3).Draw(rt, "num"), vals.Draw(rt, "val")
				calls = append(calls, func(s *script, id int) { s.setval(id, num, val) })
				continue
			}
			list := ops.Draw(rt, "ops")
			calls = append(calls, func(s *script, id int) {
				s.op(id, list...)
				s.vals(id, 3)
			})
		}
		play := func(k kernel) string {
			s := script{k: k}
			id := s.semget(0, 3, 0o600)
			for _, c := range calls {
				c(&s, id)
			}
			s.semstat(id)
			s.semrm(id)
			return s.log.String()
		}
		var real, simulated string
		onHost(t, func(k kernel) { real = play(k) })
		onFake(t, func(k *fakeKernel) { simulated = play(k) })
		if d := cmp.Diff(strings.Split(real, "\n"), strings.Split(simulated, "\n")); d != "" {
			rt.Errorf("-real +simulated:\n%s", d)
		}
	})
}
