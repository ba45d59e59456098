package intercept

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/mock/gomock"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/mocksys"
)

// newSys is a mock whose pid is 10 and tid 11, at one second.
func newSys(t *testing.T) *mocksys.MockSys {
	m := mocksys.NewMockSys(gomock.NewController(t))
	m.EXPECT().Getpid().Return(10).AnyTimes()
	m.EXPECT().Gettid().Return(11).AnyTimes()
	m.EXPECT().Monotonic().Return(time.Second).AnyTimes()
	return m
}

// recorder keeps the calls it sees.
type recorder struct{ calls []sys.Call }

func (r *recorder) Around(c *sys.Call, next func()) {
	next()
	r.calls = append(r.calls, *c)
}

func TestWrapWithoutInterceptorsIsTheSys(t *testing.T) {
	m := mocksys.NewMockSys(gomock.NewController(t))
	if s := Wrap(m, "p"); s != sys.Sys(m) {
		t.Errorf("Wrap = %T", s)
	}
}

// Each method reaches the same method of the wrapped Sys once, and is seen as
// an operation that Ops lists.
func TestEveryMethodIsSeen(t *testing.T) {
	typ := reflect.TypeFor[sys.Sys]()
	seen := map[string]bool{}
	for i := range typ.NumMethod() {
		method := typ.Method(i)
		t.Run(method.Name, func(t *testing.T) {
			ctrl := gomock.NewController(t)
			m := mocksys.NewMockSys(ctrl)
			var matchers []any
			var args []reflect.Value
			for j := range method.Type.NumIn() {
				arg := reflect.New(method.Type.In(j)).Elem()
				if arg.Type() == reflect.TypeFor[*sys.SpawnAttr]() {
					arg.Set(reflect.ValueOf(&sys.SpawnAttr{}))
				}
				args = append(args, arg)
				matchers = append(matchers, gomock.Any())
			}
			ctrl.RecordCallWithMethodType(m, method.Name, method.Type, matchers...).Times(1)
			var r recorder
			s := Wrap(observed{m}, "p", &r)
			reflect.ValueOf(s).MethodByName(method.Name).Call(args)
			if len(r.calls) != 1 {
				t.Fatalf("%d calls were seen", len(r.calls))
			}
			c := r.calls[0]
			op, ok := LookupOp(c.Op)
			if !ok {
				t.Errorf("%q is not in Ops", c.Op)
			}
			n := method.Type.NumOut()
			fails := n > 0 && method.Type.Out(n-1) == reflect.TypeFor[error]()
			if op.Fails != fails {
				t.Errorf("Fails = %v", op.Fails)
			}
			if fails {
				n--
			}
			if len(c.Ret) != n {
				t.Errorf("Ret = %v, want %d results", c.Ret, n)
			}
			seen[c.Op] = true
		})
	}
	for _, op := range Ops() {
		if !seen[op.Name] {
			t.Errorf("no method is %q", op.Name)
		}
	}
}

func TestCallValue(t *testing.T) {
	m := newSys(t)
	m.EXPECT().Open("/a", sys.O_RDWR, uint32(0o644)).Return(3, nil)
	m.EXPECT().Symlink("target", "/link").Return(sys.EEXIST)
	m.EXPECT().Bind(3, sys.UnixAddr("/run/s")).Return(nil)
	var r recorder
	s := Wrap(m, "httpd", &r)
	_, _ = s.Open("/a", sys.O_RDWR, 0o644)
	_ = s.Symlink("target", "/link")
	_ = s.Bind(3, sys.UnixAddr("/run/s"))
	want := []sys.Call{
		{Proc: "httpd", Pid: 10, Tid: 11, Seq: 1, Op: "open", Path: "/a", FD: -1, Time: time.Second,
			Args: []sys.Arg{{Name: "path", Value: "/a"}, {Name: "flags", Value: sys.O_RDWR}, {Name: "mode", Value: uint32(0o644)}},
			Ret:  []sys.Arg{{Name: "fd", Value: 3}}},
		{Proc: "httpd", Pid: 10, Tid: 11, Seq: 2, Op: "symlink", Path: "/link", FD: -1, Time: time.Second,
			Args:  []sys.Arg{{Name: "target", Value: "target"}, {Name: "linkpath", Value: "/link"}},
			Errno: sys.EEXIST},
		{Proc: "httpd", Pid: 10, Tid: 11, Seq: 3, Op: "bind", Path: "/run/s", FD: 3, Time: time.Second,
			Args: []sys.Arg{{Name: "fd", Value: 3}, {Name: "addr", Value: sys.UnixAddr("/run/s")}}},
	}
	if !reflect.DeepEqual(r.calls, want) {
		t.Errorf("calls are\n%+v\nwant\n%+v", r.calls, want)
	}
}

func TestProgramIsNamedByArgv0(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{{[]string{"httpd", "-x"}, "httpd"}, {nil, ""}} {
		m := newSys(t)
		m.EXPECT().Fsync(1).Return(nil)
		var r recorder
		prog := Program(func(s sys.Sys, argv, env []string) int {
			_ = s.Fsync(1)
			return len(argv)
		}, &r)
		if status := prog(m, c.argv, nil); status != len(c.argv) {
			t.Errorf("status %d", status)
		}
		if len(r.calls) != 1 || r.calls[0].Proc != c.want {
			t.Errorf("calls %+v", r.calls)
		}
	}
}

func TestInjectionInsteadOfTheCall(t *testing.T) {
	s := Wrap(newSys(t), "p", Func(func(c *sys.Call, next func()) { c.Errno = sys.EMFILE }))
	if fd, err := s.Open("/a", 0, 0); fd != -1 || err != sys.EMFILE {
		t.Errorf("Open = %d, %v", fd, err)
	}
	if r, w, err := s.Pipe2(0); r != -1 || w != -1 || err != sys.EMFILE {
		t.Errorf("Pipe2 = %d, %d, %v", r, w, err)
	}
	if n, err := s.Read(0, make([]byte, 3)); n != 0 || err != sys.EMFILE {
		t.Errorf("Read = %d, %v", n, err)
	}
	if pid := s.Getpid(); pid != 10 {
		t.Errorf("Getpid = %d: a call that cannot fail must be made", pid)
	}
}

func TestErrnoReplacedAfterTheCall(t *testing.T) {
	m := newSys(t)
	m.EXPECT().Write(3, []byte("abc")).Return(3, nil)
	m.EXPECT().Fsync(3).Return(sys.EIO)
	s := Wrap(m, "p", Func(func(c *sys.Call, next func()) {
		next()
		if c.Op == "write" {
			c.Errno = sys.EIO
		} else {
			c.Errno = 0
		}
	}))
	if n, err := s.Write(3, []byte("abc")); n != 0 || err != sys.EIO {
		t.Errorf("Write = %d, %v", n, err)
	}
	if err := s.Fsync(3); err != nil {
		t.Errorf("Fsync = %v", err)
	}
}

func TestForgettingNextIsNoticed(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_ = Wrap(newSys(t), "p", Func(func(*sys.Call, func()) {})).Fsync(1)
}

func TestLimit(t *testing.T) {
	m := newSys(t)
	m.EXPECT().Write(1, []byte("ab")).Return(2, nil)
	m.EXPECT().Read(0, gomock.Len(2)).Return(2, nil)
	m.EXPECT().Sendfile(1, 0, int64(0), 2).Return(2, nil)
	m.EXPECT().Writev(1, [][]byte{[]byte("a"), []byte("b")}).Return(2, nil)
	m.EXPECT().Write(1, []byte("x")).Return(1, nil)
	s := Wrap(m, "p", Func(func(c *sys.Call, next func()) { c.Limit = 2; next() }))
	bufs := [][]byte{[]byte("a"), []byte("bcd"), []byte("e")}
	for _, call := range []func() (int, error){
		func() (int, error) { return s.Write(1, []byte("abc")) },
		func() (int, error) { return s.Read(0, make([]byte, 8)) },
		func() (int, error) { return s.Sendfile(1, 0, 0, 100) },
		func() (int, error) { return s.Writev(1, bufs) },
	} {
		if n, err := call(); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if string(bufs[1]) != "bcd" {
		t.Errorf("the caller's buffers became %q", bufs)
	}
	if n, err := s.Write(1, []byte("x")); n != 1 || err != nil {
		t.Errorf("shorter than the limit: %d, %v", n, err)
	}
}

func TestOrder(t *testing.T) {
	m := newSys(t)
	var order []string
	note := func(name string) Interceptor {
		return Func(func(c *sys.Call, next func()) {
			order = append(order, name)
			next()
			order = append(order, name)
		})
	}
	m.EXPECT().Fsync(1).Do(func(int) error { order = append(order, "call"); return nil })
	_ = Wrap(m, "p", note("outer"), note("inner")).Fsync(1)
	if want := []string{"outer", "inner", "call", "inner", "outer"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestThreadsHaveTheInterceptorsAndTheirOwnSeq(t *testing.T) {
	m := newSys(t)
	thread := mocksys.NewMockSys(gomock.NewController(t))
	thread.EXPECT().Getpid().Return(10)
	thread.EXPECT().Gettid().Return(12)
	thread.EXPECT().Monotonic().AnyTimes()
	thread.EXPECT().Fsync(1).Return(nil).AnyTimes()
	m.EXPECT().Fsync(1).Return(nil).AnyTimes()
	var wg sync.WaitGroup
	m.EXPECT().Go("w", gomock.Any()).DoAndReturn(func(_ string, fn func(sys.Sys)) error {
		wg.Go(func() { fn(thread) })
		return nil
	})
	var mu sync.Mutex
	seen := map[int][]uint64{}
	s := Wrap(m, "p", Func(func(c *sys.Call, next func()) {
		next()
		mu.Lock()
		defer mu.Unlock()
		seen[c.Tid] = append(seen[c.Tid], c.Seq)
	}))
	if err := s.Go("w", func(s sys.Sys) { _ = s.Fsync(1); _ = s.Fsync(1) }); err != nil {
		t.Fatal(err)
	}
	_ = s.Fsync(1)
	wg.Wait()
	if want := map[int][]uint64{11: {1, 2}, 12: {1, 2}}; !reflect.DeepEqual(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

// observed tells who calls without a call.
type observed struct{ *mocksys.MockSys }

func (observed) Caller() (int, int, time.Duration) { return 1, 2, 3 }

func TestObservedBackendIsNotCalled(t *testing.T) {
	m := mocksys.NewMockSys(gomock.NewController(t)) // Getpid and its like would fail the test
	m.EXPECT().Fsync(1).Return(nil)
	var inner, outer recorder
	s := Wrap(Wrap(observed{m}, "p", &inner), "p", &outer)
	_ = s.Fsync(1)
	for _, r := range []recorder{inner, outer} {
		if c := r.calls[0]; len(r.calls) != 1 || c.Pid != 1 || c.Tid != 2 || c.Time != 3 {
			t.Errorf("calls %+v", r.calls)
		}
	}
}
