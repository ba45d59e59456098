package vfs

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/httpjail/httpjail/sys"
)

// TestRandomPipeAgainstLinux compares how much fits into a pipe, and when it is
// ready, write by write.
func TestRandomPipeAgainstLinux(t *testing.T) {
	linux := newRealMachine(t)
	if linux == nil {
		t.Skip("there is no real kernel to compare with")
	}
	real, fake := newInterp(linux), newInterp(newFakeMachine(t))
	rapid.Check(t, func(rt *rapid.T) {
		same := func(call string) {
			if a, b := fake.do(call), real.do(call); a != b {
				rt.Fatalf("%s\n\there  %s\n\tlinux %s", call, a, b)
			}
		}
		same("pipe r w nonblock")
		defer same("close w")
		defer same("close r")
		sizes := rapid.OneOf(rapid.IntRange(0, 9000), rapid.SampledFrom([]int{1, 4095, 4096, 4097, 8191, 65536, 70000}))
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			n := sizes.Draw(rt, "size")
			switch rapid.SampledFrom([]string{"write", "write", "read", "ready"}).Draw(rt, "op") {
			case "write":
				same(fmt.Sprintf("write w {x*%d}", n))
			case "read":
				same(fmt.Sprintf("read r %d", n))
			default:
				same("ready r")
				same("ready w")
			}
		}
	})
}

// TestRandomData compares the pages of a file, some of them mapped, with a plain
// slice.
func TestRandomData(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const limit = 40_000
		k, task := newTree()
		d, err := k.Open(task, Path{}, "/f", BuildOpenHow(sys.O_RDWR|sys.O_CREAT, 0o600))
		if err != nil {
			rt.Fatal(err)
		}
		type mapping struct {
			off int
			mem []byte
		}
		var want []byte // the file
		var maps []mapping
		offset := rapid.OneOf(rapid.IntRange(0, limit), rapid.Map(rapid.IntRange(0, 9), func(i int) int { return i * PageSize }))
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			off := offset.Draw(rt, "offset")
			n := rapid.IntRange(1, 9000).Draw(rt, "size")
			switch rapid.SampledFrom([]string{"write", "write", "truncate", "map", "store"}).Draw(rt, "op") {
			case "write":
				p := bytes.Repeat([]byte{byte(1 + rapid.IntRange(0, 250).Draw(rt, "byte"))}, n)
				if got, err := d.Pwrite(task, p, int64(off)); got != n || err != nil {
					rt.Fatalf("pwrite: %d, %v", got, err)
				}
				if end := off + n; end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
				copy(want[off:], p)
			case "truncate":
				if err := d.Truncate(task, int64(off)); err != nil {
					rt.Fatal(err)
				}
				if off <= len(want) {
					want = want[:off:off]
				} else {
					want = append(want, make([]byte, off-len(want))...)
				}
			case "map":
				off = off / PageSize * PageSize
				mem, err := d.Mmap(task, int64(off), n, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
				if err == nil {
					maps = append(maps, mapping{off, mem})
				} else if err != sys.ENOMEM || len(maps) == 0 {
					rt.Fatal(err)
				}
			case "store":
				for _, m := range maps {
					if m.off < len(want) { // beyond the end it would be SIGBUS
						m.mem[0]++
						want[m.off]++
					}
				}
			}
			got := make([]byte, len(want)+10)
			if n, _ := d.Pread(task, got, 0); n != len(want) || !bytes.Equal(got[:n], want) {
				rt.Fatalf("the file differs (%d bytes, want %d)", n, len(want))
			}
			for _, m := range maps {
				for i, c := range m.mem {
					in := byte(0)
					if m.off+i < len(want) {
						in = want[m.off+i]
					}
					if c != in {
						rt.Fatalf("mapping at %d: byte %d is %d, want %d", m.off, i, c, in)
					}
				}
			}
			pages := 0
			for i := range int64(2 * limit / PageSize) {
				if d.Inode().data.allocated(i) != nil {
					pages++
				}
			}
			if used := k.RootFS().Used(); used != int64(pages)*PageSize {
				rt.Fatalf("%d bytes in use, %d pages", used, pages)
			}
		}
	})
}
