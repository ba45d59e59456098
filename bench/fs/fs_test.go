package fs

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/real"
	"github.com/httpjail/httpjail/sys/thread"
)

var tmpfs = flag.String("tmpfs", "/dev/shm", "a directory of a tmpfs")

// files is a filesystem as one thread sees it.
type files interface {
	mkdir(name string)
	// create makes a file with that content.
	create(name string, data []byte)
	read(name string, buf []byte)
	stat(name string)
	list(name string) (entries int)
	rename(from, to string)
	remove(name string)
}

// kinds are the filesystems. run makes an empty one with a directory and calls
// body in so many threads at once; prepare runs before, in one.
var kinds = []struct {
	name string
	run  func(b *testing.B, threads int, prepare func(f files, dir string), body func(f files, dir string, thread int))
}{
	{"fake", func(b *testing.B, threads int, prepare func(files, string), body func(files, string, int)) {
		m := fake.Boot(fake.Config{Mode: fake.FreeRunning})
		defer m.Close()
		pid := m.StartFunc("bench", func(s sys.Sys) int {
			runSys(s, "/bench", threads, prepare, body)
			return 0
		})
		if status, err := m.Wait(pid); err != nil || status != 0 {
			b.Fatal(status, err)
		}
	}},
	{"MemMapFs", func(b *testing.B, threads int, prepare func(files, string), body func(files, string, int)) {
		runGo(aferoFiles{afero.NewMemMapFs()}, "/bench", threads, prepare, body)
	}},
	{"pebble", func(b *testing.B, threads int, prepare func(files, string), body func(files, string, int)) {
		runGo(pebbleFiles{vfs.NewMem()}, "/bench", threads, prepare, body)
	}},
	{"tmpfs", func(b *testing.B, threads int, prepare func(files, string), body func(files, string, int)) {
		dir, err := os.MkdirTemp(*tmpfs, "httpjail-bench-")
		if err != nil {
			b.Skipf("needs a tmpfs, see -tmpfs: %v", err)
		}
		defer os.RemoveAll(dir)
		runSys(real.New(), dir+"/bench", threads, prepare, body)
	}},
}

func runSys(s sys.Sys, dir string, threads int, prepare func(files, string), body func(files, string, int)) {
	f := sysFiles{s, new(sys.Stat)}
	f.mkdir(dir)
	prepare(f, dir)
	if threads == 1 {
		body(f, dir, 0)
		return
	}
	var done thread.WaitGroup
	done.Add(threads)
	for i := range threads {
		must(s.Go("bench", func(s sys.Sys) {
			defer done.Done(s)
			body(sysFiles{s, new(sys.Stat)}, dir, i)
		}))
	}
	done.Wait(s)
}

func runGo(f files, dir string, threads int, prepare func(files, string), body func(files, string, int)) {
	f.mkdir(dir)
	prepare(f, dir)
	var done sync.WaitGroup
	for i := range threads {
		done.Go(func() { body(f, dir, i) })
	}
	done.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func BenchmarkCreateWriteCloseUnlink(b *testing.B) {
	data := make([]byte, 4096)
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			k.run(b, 1, func(files, string) {}, func(f files, dir string, _ int) {
				name := dir + "/file"
				for b.Loop() {
					f.create(name, data)
					f.remove(name)
				}
			})
		})
	}
}

func BenchmarkOpenReadClose(b *testing.B) {
	buf := make([]byte, 4096)
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			k.run(b, 1, func(f files, dir string) { f.create(dir+"/file", buf) }, func(f files, dir string, _ int) {
				name := dir + "/file"
				for b.Loop() {
					f.read(name, buf)
				}
			})
		})
	}
}

// BenchmarkStat is of files 6 deep, in directories of 100 or 1000.
func BenchmarkStat(b *testing.B) {
	for _, each := range []int{100, 1000} {
		for _, k := range kinds {
			b.Run(fmt.Sprintf("%d files/%s", each*each, k.name), func(b *testing.B) {
				if each > 100 && testing.Short() {
					b.Skip("a million files take a while to make; not with -short")
				}
				b.ReportAllocs()
				var names []string
				k.run(b, 1, func(f files, dir string) {
					deep := dir
					for _, d := range []string{"srv", "www", "site"} {
						deep += "/" + d
						f.mkdir(deep)
					}
					for i := range each {
						d := fmt.Sprintf("%s/d%d", deep, i)
						f.mkdir(d)
						for j := range each {
							name := fmt.Sprintf("%s/f%d", d, j)
							f.create(name, nil)
							if (i*each+j)%(each*each/1000) == 0 {
								names = append(names, name)
							}
						}
					}
				}, func(f files, _ string, _ int) {
					for i := 0; b.Loop(); i++ {
						f.stat(names[i*7%len(names)])
					}
				})
			})
		}
	}
}

func BenchmarkReaddir(b *testing.B) {
	const entries = 1000
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			k.run(b, 1, func(f files, dir string) {
				for i := range entries {
					f.create(fmt.Sprintf("%s/f%d", dir, i), nil)
				}
			}, func(f files, dir string, _ int) {
				for b.Loop() {
					if n := f.list(dir); n != entries {
						b.Fatalf("%d entries", n)
					}
				}
			})
		})
	}
}

// BenchmarkRename is of a directory with 10 thousand files in it, and of a file
// beside as many.
func BenchmarkRename(b *testing.B) {
	prepare := func(f files, dir string) {
		f.mkdir(dir + "/d")
		for i := range 10_000 {
			f.create(fmt.Sprintf("%s/d/f%d", dir, i), nil)
		}
	}
	for _, of := range []struct{ what, a, b string }{{"file", "/d/f0", "/d/g0"}, {"directory", "/d", "/e"}} {
		for _, k := range kinds {
			b.Run(of.what+"/"+k.name, func(b *testing.B) {
				k.run(b, 1, prepare, func(f files, dir string, _ int) {
					names := [2]string{dir + of.a, dir + of.b}
					for i := 0; b.Loop(); i++ {
						f.rename(names[i&1], names[i&1^1])
					}
				})
			})
		}
	}
}

// BenchmarkThreads is create, write, close, open, read, close, stat and unlink,
// each thread in a directory of its own. ns/op is for one of each, whoever did
// it: two threads halve it where they do not wait for each other.
func BenchmarkThreads(b *testing.B) {
	for _, threads := range []int{1, 2} {
		for _, k := range kinds {
			b.Run(fmt.Sprintf("%d/%s", threads, k.name), func(b *testing.B) {
				k.run(b, threads, func(f files, dir string) {
					for i := range threads {
						f.mkdir(fmt.Sprintf("%s/%d", dir, i))
					}
					b.ResetTimer()
				}, func(f files, dir string, thread int) {
					name := fmt.Sprintf("%s/%d/file", dir, thread)
					data := make([]byte, 4096)
					for range (b.N + thread) / threads {
						f.create(name, data)
						f.read(name, data)
						f.stat(name)
						f.remove(name)
					}
				})
			})
		}
	}
}

// sysFiles is a kernel's.
type sysFiles struct {
	s  sys.Sys
	st *sys.Stat
}

func (f sysFiles) mkdir(name string) { must(f.s.Mkdir(name, 0o755)) }

func (f sysFiles) create(name string, data []byte) {
	fd, err := f.s.Open(name, sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC|sys.O_CLOEXEC, 0o644)
	must(err)
	if len(data) > 0 {
		_, err = f.s.Write(fd, data)
		must(err)
	}
	must(f.s.Close(fd))
}

func (f sysFiles) read(name string, buf []byte) {
	fd, err := f.s.Open(name, sys.O_RDONLY|sys.O_CLOEXEC, 0)
	must(err)
	_, err = f.s.Read(fd, buf)
	must(err)
	must(f.s.Close(fd))
}

func (f sysFiles) stat(name string) { must(f.s.Stat(name, f.st)) }

func (f sysFiles) list(name string) (n int) {
	fd, err := f.s.Open(name, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	must(err)
	for {
		ents, err := f.s.Getdents(fd)
		must(err)
		if len(ents) == 0 {
			must(f.s.Close(fd))
			return n - 2 // . and ..
		}
		n += len(ents)
	}
}

func (f sysFiles) rename(from, to string) { must(f.s.Rename(from, to)) }
func (f sysFiles) remove(name string)     { must(f.s.Unlink(name)) }

type aferoFiles struct{ fs afero.Fs }

func (f aferoFiles) mkdir(name string) { must(f.fs.Mkdir(name, 0o755)) }

func (f aferoFiles) create(name string, data []byte) {
	file, err := f.fs.Create(name)
	must(err)
	if len(data) > 0 {
		_, err = file.Write(data)
		must(err)
	}
	must(file.Close())
}

func (f aferoFiles) read(name string, buf []byte) {
	file, err := f.fs.Open(name)
	must(err)
	_, err = file.Read(buf)
	must(err)
	must(file.Close())
}

func (f aferoFiles) stat(name string) {
	_, err := f.fs.Stat(name)
	must(err)
}

func (f aferoFiles) list(name string) int {
	file, err := f.fs.Open(name)
	must(err)
	names, err := file.Readdirnames(-1)
	must(err)
	must(file.Close())
	return len(names)
}

func (f aferoFiles) rename(from, to string) { must(f.fs.Rename(from, to)) }
func (f aferoFiles) remove(name string)     { must(f.fs.Remove(name)) }

type pebbleFiles struct{ fs *vfs.MemFS }

func (f pebbleFiles) mkdir(name string) { must(f.fs.MkdirAll(name, 0o755)) }

func (f pebbleFiles) create(name string, data []byte) {
	file, err := f.fs.Create(name, vfs.WriteCategoryUnspecified)
	must(err)
	if len(data) > 0 {
		_, err = file.Write(data)
		must(err)
	}
	must(file.Close())
}

func (f pebbleFiles) read(name string, buf []byte) {
	file, err := f.fs.Open(name)
	must(err)
	_, err = file.Read(buf)
	must(err)
	must(file.Close())
}

func (f pebbleFiles) stat(name string) {
	_, err := f.fs.Stat(name)
	must(err)
}

func (f pebbleFiles) list(name string) int {
	names, err := f.fs.List(name)
	must(err)
	return len(names)
}

func (f pebbleFiles) rename(from, to string) { must(f.fs.Rename(from, to)) }
func (f pebbleFiles) remove(name string)     { must(f.fs.Remove(name)) }
