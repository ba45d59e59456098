package fake_test

import (
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/sched"
)

func BenchmarkCalls(b *testing.B) {
	for _, mode := range []sched.Mode{fake.Deterministic, fake.FreeRunning} {
		for _, bm := range []struct {
			name string
			call func(s sys.Sys, fd int, buf []byte)
		}{
			{"getpid", func(s sys.Sys, fd int, buf []byte) { s.Getpid() }},
			{"pread", func(s sys.Sys, fd int, buf []byte) { s.Pread(fd, buf, 0) }},
			{"stat", func(s sys.Sys, fd int, buf []byte) { var st sys.Stat; s.Stat("/srv/www/index.html", &st) }},
			{"open+close", func(s sys.Sys, fd int, buf []byte) {
				fd, _ = s.Open("/srv/www/index.html", sys.O_RDONLY, 0)
				s.Close(fd)
			}},
		} {
			b.Run(mode.String()+"/"+bm.name, func(b *testing.B) {
				b.ReportAllocs()
				m := fake.Boot(fake.Config{Mode: mode})
				defer m.Close()
				m.WriteFile("/srv/www/index.html", make([]byte, 1024), 0o644, 0, 0)
				pid := m.StartFunc("bench", func(s sys.Sys) int {
					fd, _ := s.Open("/srv/www/index.html", sys.O_RDONLY, 0)
					buf := make([]byte, 1024)
					b.ResetTimer()
					for range b.N {
						bm.call(s, fd, buf)
					}
					return 0
				})
				m.Wait(pid)
			})
		}
	}
}
