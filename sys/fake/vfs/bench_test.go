package vfs

import (
	"fmt"
	"testing"

	"github.com/httpjail/httpjail/sys"
)

func benchTree(b *testing.B) (*Tree, *Task) {
	b.ReportAllocs()
	k, t := newTree()
	t.image = false
	k.Image().MkdirAll("/var/www/html", 0o755)
	k.Image().WriteFile("/var/www/html/index.html", make([]byte, 64<<10), 0o644)
	for i := range 1000 {
		k.Image().WriteFile(fmt.Sprintf("/var/www/html/%d", i), nil, 0o644)
	}
	return k, t
}

const benchFile = "/var/www/html/index.html"

func BenchmarkStat(b *testing.B) {
	k, t := benchTree(b)
	var st sys.Stat
	for b.Loop() {
		k.Stat(t, benchFile, &st)
	}
}

func BenchmarkStatParallel(b *testing.B) {
	k, t := benchTree(b)
	b.RunParallel(func(pb *testing.PB) {
		var st sys.Stat
		for pb.Next() {
			k.Stat(t, benchFile, &st)
		}
	})
}

func BenchmarkOpenClose(b *testing.B) {
	k, t := benchTree(b)
	for b.Loop() {
		d, _ := k.Open(t, Path{}, benchFile, BuildOpenHow(sys.O_RDONLY, 0))
		d.Decref(t)
	}
}

func BenchmarkCreateUnlink(b *testing.B) {
	k, t := benchTree(b)
	for b.Loop() {
		d, _ := k.Open(t, Path{}, "/var/www/html/new", BuildOpenHow(sys.O_RDWR|sys.O_CREAT, 0o644))
		d.Decref(t)
		k.Unlink(t, "/var/www/html/new")
	}
}

func BenchmarkRename(b *testing.B) {
	k, t := benchTree(b)
	names := [2]string{"/var/www/html/0", "/var/www/html/zero"}
	i := 0
	for b.Loop() {
		k.Rename(t, names[i&1], names[i&1^1], 0)
		i++
	}
}

func BenchmarkPread(b *testing.B) {
	for _, size := range []int{100, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k, t := benchTree(b)
			d, _ := k.Open(t, Path{}, benchFile, BuildOpenHow(sys.O_RDONLY, 0))
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				d.Pread(t, buf, 0)
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{100, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k, t := benchTree(b)
			d, _ := k.Open(t, Path{}, "/log", BuildOpenHow(sys.O_WRONLY|sys.O_CREAT|sys.O_APPEND, 0o644))
			buf := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if d.Inode().size.Load() > 64<<20 {
					d.Truncate(t, 0)
				}
				d.Write(t, buf)
			}
		})
	}
}

func BenchmarkGetdents(b *testing.B) {
	k, t := benchTree(b)
	d, _ := k.Open(t, Path{}, "/var/www/html", BuildOpenHow(sys.O_RDONLY, 0))
	for b.Loop() {
		d.Lseek(t, 0, sys.SEEK_SET)
		for {
			if ents, _ := d.Getdents(t); len(ents) == 0 {
				break
			}
		}
	}
}

func BenchmarkFlock(b *testing.B) {
	k, t := benchTree(b)
	d, _ := k.Open(t, Path{}, benchFile, BuildOpenHow(sys.O_RDONLY, 0))
	for b.Loop() {
		k.Flock(t, d, sys.LOCK_EX)
		k.Flock(t, d, sys.LOCK_UN)
	}
}

func BenchmarkPipe(b *testing.B) {
	k, t := benchTree(b)
	r, w, _ := k.NewPipe(t, 0)
	var buf [64]byte
	for b.Loop() {
		w.Write(t, buf[:])
		r.Read(t, buf[:])
	}
}
