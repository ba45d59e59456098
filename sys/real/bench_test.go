package real

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// A hotCall is a call of the request path, through sys.Sys and bare.
type hotCall struct {
	name      string
	sys, unix func() error
}

// hotCalls prepares each call so that it can be repeated for ever.
func hotCalls(t testing.TB) []hotCall {
	s := New()
	page := make([]byte, 4096)
	file := openRW(t, s, create(t, string(page)))
	null, err := s.Open("/dev/null", sys.O_RDWR|sys.O_CLOEXEC, 0)
	ok(t, err)
	zero, err := s.Open("/dev/zero", sys.O_RDWR|sys.O_CLOEXEC, 0)
	ok(t, err)
	r, w, err := s.Pipe2(sys.O_CLOEXEC)
	ok(t, err)
	_, err = s.Write(w, page[:1]) // r stays readable
	ok(t, err)
	closing(t, s, null, zero, r, w)
	a, b, err := s.Socketpair(sys.AF_UNIX, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
	ok(t, err)
	closing(t, s, a, b)

	three := [][]byte{page[:200], page[:1], page}
	fds, ufds := []sys.PollFd{{Fd: int32(r), Events: sys.POLLIN}}, []unix.PollFd{{Fd: int32(r), Events: unix.POLLIN}}
	ep, err := s.EpollCreate1(sys.EPOLL_CLOEXEC)
	ok(t, err)
	closing(t, s, ep)
	ok(t, s.EpollCtl(ep, sys.EPOLL_CTL_ADD, r, sys.EpollEvent{Events: sys.EPOLLIN, Fd: int32(r)}))
	evs, uevs := make([]sys.EpollEvent, 16), make([]unix.EpollEvent, 16)

	sem, err := s.Semget(sys.IPC_PRIVATE, 1, sys.IPC_CREAT|0o600)
	ok(t, err)
	t.Cleanup(func() { s.SemRmid(sem) })
	ok(t, s.SemSetval(sem, 0, 1))
	down := []sys.Sembuf{{Op: -1, Flg: sys.SEM_UNDO}}
	up := []sys.Sembuf{{Op: 1, Flg: sys.SEM_UNDO}}
	semop := func(ops []sys.Sembuf) error {
		_, _, e := unix.Syscall6(unix.SYS_SEMTIMEDOP, uintptr(sem), uintptr(unsafe.Pointer(&ops[0])), 1, 0, 0, 0)
		return errOf(e)
	}
	mem, _ := shared(t, s)
	words := unsafe.Slice((*uint32)(unsafe.Pointer(&mem.Bytes()[0])), 1)
	word := new(uint32)

	var st sys.Stat
	var ust unix.Stat_t
	var stx sys.Statx
	var ustx unix.Statx_t
	lk, ulk := &sys.Flock{}, &unix.Flock_t{}
	buf, ubuf := make([]byte, 1), make([]byte, 1)
	return []hotCall{
		{"Read", func() error { _, err := s.Read(zero, page); return err }, func() error { _, err := unix.Read(zero, page); return err }},
		{"Write", func() error { _, err := s.Write(null, page); return err }, func() error { _, err := unix.Write(null, page); return err }},
		{"Writev", func() error { _, err := s.Writev(null, three); return err }, func() error { _, err := unix.Writev(null, three); return err }},
		{"Pread", func() error { _, err := s.Pread(file, page, 0); return err }, func() error { _, err := unix.Pread(file, page, 0); return err }},
		{"Sendfile", func() error { _, err := s.Sendfile(null, file, 0, 4096); return err },
			func() error { off := int64(0); _, err := unix.Sendfile(null, file, &off, 4096); return err }},
		{"SendRecv", func() error {
			if _, err := s.Send(a, buf, sys.MSG_NOSIGNAL); err != nil {
				return err
			}
			_, err := s.Recv(b, buf, 0)
			return err
		}, func() error {
			if err := unix.Sendto(a, ubuf, unix.MSG_NOSIGNAL, nil); err != nil {
				return err
			}
			_, _, err := unix.Recvfrom(b, ubuf, 0)
			return err
		}},
		{"Poll", func() error { _, err := s.Poll(fds, time.Second); return err },
			func() error { ts := unix.Timespec{Sec: 1}; _, err := unix.Ppoll(ufds, &ts, nil); return err }},
		{"EpollWait", func() error { _, err := s.EpollWait(ep, evs, time.Second); return err }, func() error { _, err := unix.EpollWait(ep, uevs, 1000); return err }},
		{"EpollCtl", func() error {
			return s.EpollCtl(ep, sys.EPOLL_CTL_MOD, r, sys.EpollEvent{Events: sys.EPOLLIN, Fd: int32(r)})
		},
			func() error {
				return unix.EpollCtl(ep, unix.EPOLL_CTL_MOD, r, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r)})
			}},
		{"Flock", func() error {
			if err := s.Flock(file, sys.LOCK_EX); err != nil {
				return err
			}
			return s.Flock(file, sys.LOCK_UN)
		}, func() error {
			if err := unix.Flock(file, unix.LOCK_EX); err != nil {
				return err
			}
			return unix.Flock(file, unix.LOCK_UN)
		}},
		{"FcntlFlock", func() error {
			lk.Type = sys.F_WRLCK
			if err := s.FcntlFlock(file, sys.F_OFD_SETLKW, lk); err != nil {
				return err
			}
			lk.Type = sys.F_UNLCK
			return s.FcntlFlock(file, sys.F_OFD_SETLKW, lk)
		}, func() error {
			ulk.Type = unix.F_WRLCK
			if err := unix.FcntlFlock(uintptr(file), unix.F_OFD_SETLKW, ulk); err != nil {
				return err
			}
			ulk.Type = unix.F_UNLCK
			return unix.FcntlFlock(uintptr(file), unix.F_OFD_SETLKW, ulk)
		}},
		{"Semtimedop", func() error {
			if err := s.Semtimedop(sem, down, -1); err != nil {
				return err
			}
			return s.Semtimedop(sem, up, -1)
		}, func() error {
			if err := semop(down); err != nil {
				return err
			}
			return semop(up)
		}},
		{"Stat", func() error { return s.Stat("/proc/self/exe", &st) }, func() error { return unix.Stat("/proc/self/exe", &ust) }},
		{"Statx", func() error { return s.Statx(sys.AT_FDCWD, "/proc/self/exe", 0, sys.STATX_BASIC_STATS, &stx) },
			func() error {
				return unix.Statx(unix.AT_FDCWD, "/proc/self/exe", 0, unix.STATX_BASIC_STATS, &ustx)
			}},
		{"Fstat", func() error { return s.Fstat(file, &st) }, func() error { return unix.Fstat(file, &ust) }},
		{"OpenClose", func() error {
			fd, err := s.Open("/dev/null", sys.O_RDONLY|sys.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return s.Close(fd)
		}, func() error {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}},
		{"Mem", func() error { mem.Store32(0, mem.Load32(0)+1); return nil },
			func() error { words[0]++; return nil }}, // not atomic: the least that it could cost
		{"Monotonic", func() error { s.Monotonic(); return nil },
			func() error { var ts unix.Timespec; return unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) }},
		{"FutexWakePrivate", func() error { s.FutexWakePrivate(word, 1); return nil }, nil},
	}
}

// accept is apart: it takes a connection each time.
func accept(t testing.TB, domain int) (bySys, byUnix func() error) {
	s := New()
	addr := sys.InetAddr(netip.MustParseAddrPort("127.0.0.1:0"))
	if domain == sys.AF_UNIX {
		addr = sys.UnixAddr("")
	}
	l, at := listen(t, s, addr)
	connect := func() (int, error) {
		c, err := s.Socket(domain, sys.SOCK_STREAM|sys.SOCK_CLOEXEC, 0)
		if err != nil {
			return c, err
		}
		return c, s.Connect(c, at)
	}
	bySys = func() error {
		c, err := connect()
		if err != nil {
			return err
		}
		fd, _, err := s.Accept4(l, sys.SOCK_CLOEXEC)
		s.Close(c)
		s.Close(fd)
		return err
	}
	byUnix = func() error {
		c, err := connect()
		if err != nil {
			return err
		}
		fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		s.Close(c)
		s.Close(fd)
		return err
	}
	return bySys, byUnix
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	calls := hotCalls(t)
	inet, _ := accept(t, sys.AF_INET)
	local, _ := accept(t, sys.AF_UNIX)
	calls = append(calls, hotCall{"Accept4/inet", inet, nil}, hotCall{"Accept4/unix", local, nil})
	for _, c := range calls {
		var err error
		n := testing.AllocsPerRun(100, func() {
			if e := c.sys(); e != nil && e != sys.EINTR {
				err = e
			}
		})
		if n != 0 || err != nil {
			t.Errorf("%s: %v allocations, error %v", c.name, n, err)
		}
	}
	s := New()
	if n := testing.AllocsPerRun(100, func() { s.Read(-1, nil) }); n != 0 {
		t.Errorf("an error costs %v allocations", n)
	}
}

func BenchmarkCalls(b *testing.B) {
	calls := hotCalls(b)
	bySys, byUnix := accept(b, sys.AF_INET)
	for _, c := range append(calls, hotCall{"Accept4", bySys, byUnix}) {
		for _, v := range []struct {
			name string
			call func() error
		}{{"sys", c.sys}, {"unix", c.unix}} {
			if v.call == nil {
				continue
			}
			b.Run(c.name+"/"+v.name, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					if err := v.call(); err != nil && err != unix.EINTR {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkFutexPrivateHandover(b *testing.B) {
	s := New()
	ping, pong := new(uint32), new(uint32)
	b.ReportAllocs()
	done := make(chan bool)
	ok(b, s.Go("pong", func(s sys.Sys) {
		for i := range uint32(b.N) {
			for s.FutexWaitPrivate(ping, i, -1) == nil {
			}
			atomic.StoreUint32(pong, i+1)
			s.FutexWakePrivate(pong, 1)
		}
		done <- true
	}))
	for i := range uint32(b.N) {
		atomic.StoreUint32(ping, i+1)
		s.FutexWakePrivate(ping, 1)
		for s.FutexWaitPrivate(pong, i, -1) == nil {
		}
	}
	<-done
}
