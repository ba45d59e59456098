package systest

import (
	"encoding/gob"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/httpjail/httpjail/sys/fake/vfs"
	"github.com/httpjail/httpjail/sys/real"
)

var (
	fuzzFor  = flag.Duration("systest.fuzz", 0, "for how long random programs are compared; 0 is a few programs")
	fuzzSeed = flag.Uint64("systest.fuzzseed", 1, "the first program; 0 is another one each time")
	fuzzSize = flag.Int("systest.fuzzsize", 150, "about how many calls a program has")
)

// TestFuzz makes the calls of random programs on the simulated kernel and on this
// machine's, and compares what each returns. A program that differs is reduced to
// the calls it needs and printed as a case.
func TestFuzz(t *testing.T) {
	needs(t, true)
	first := *fuzzSeed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	f := &fuzzer{t: t, host: thisHost(t), until: time.Now().Add(*fuzzFor), last: math.MaxUint64}
	if *fuzzFor == 0 {
		f.until, f.last = time.Now().Add(20*time.Second), first+fuzzFew-1
	}
	f.next.Store(first)
	var wg sync.WaitGroup
	for range fuzzWorkers {
		box, err := newSandbox(t)
		if err != nil {
			t.Skipf("no namespaces to run in: %v", err)
		}
		defer box.close()
		wg.Go(func() {
			for time.Now().Before(f.until) && f.reported.Load() < fuzzReports {
				seed := f.next.Add(1) - 1
				if seed > f.last {
					break
				}
				f.compare(box, seed)
			}
		})
	}
	wg.Wait()
	t.Logf("%d programs, %d calls compared, from -systest.fuzzseed=%d", f.programs.Load(), f.calls.Load(), first)
	t.Logf("%d programs differed only sometimes", f.flaky.Load())
}

const (
	fuzzWorkers = 2
	fuzzFew     = 50 // programs without a duration
	fuzzReports = 10 // after so many differences it is over
)

type fuzzer struct {
	t                                *testing.T
	host                             *host
	until                            time.Time
	last                             uint64
	next                             atomic.Uint64
	programs, calls, flaky, reported atomic.Int64
	reporting                        sync.Mutex
}

// compare compares one program.
func (f *fuzzer) compare(box *sandbox, seed uint64) {
	p := generate(seed, *fuzzSize)
	d, n := f.differs(box, p)
	f.programs.Add(1)
	f.calls.Add(int64(n))
	if d == nil {
		return
	}
	f.reporting.Lock()
	defer f.reporting.Unlock()
	for range 3 {
		if d, _ = f.differs(box, p); d == nil {
			f.flaky.Add(1)
			return
		}
	}
	small := f.reduce(box, p, d)
	for range 5 {
		if again, _ := f.differs(box, small); again != nil {
			d = again
			break
		}
	}
	f.reported.Add(1)
	f.t.Errorf("-systest.fuzzseed=%d: %s\n%s", seed, d.what, small.text(d))
}

// difference is where a program differs: behind its last call.
type difference struct {
	what  string
	calls []played // with Linux's results
}

// last is what differs, roughly: the command and both results.
func (d *difference) last() string {
	if len(d.calls) == 0 {
		return d.what
	}
	c := d.calls[len(d.calls)-1]
	name, _, _ := strings.Cut(c.cmd, " ")
	if len(c.result) > 20 {
		return name
	}
	return name + c.result + d.what
}

// differs runs a program on both. n is how many calls were made.
func (f *fuzzer) differs(box *sandbox, p program) (d *difference, n int) {
	made, err := p.play(f.host)
	if err != nil {
		return &difference{what: "the simulated kernel: " + err.Error()}, 0
	}
	script := p.header()
	for _, s := range made {
		kind := ""
		if s.result == "blocks" {
			kind = "blocks"
		}
		fmt.Fprintf(script, "step\t%s\t%s\t%s\n", kind, s.proc, s.cmd)
	}
	results, err := box.run(script.Bytes())
	linux := slices.Clone(made)
	for i, r := range results[:min(len(results), len(made))] {
		linux[i].result = r
		if linux[i].comparable() != made[i].comparable() {
			return &difference{
				what:  fmt.Sprintf("simulated: %s", made[i].result),
				calls: linux[:i+1],
			}, i + 1
		}
	}
	if err != nil || len(results) < len(made) {
		return &difference{what: fmt.Sprintf("%d of %d results: %v", len(results), len(made), err), calls: linux[:min(len(results), len(made))]}, len(results)
	}
	return nil, len(made)
}

// reduce leaves out of a program what is not needed for the difference. Each
// attempt must differ twice: some things differ by chance.
func (f *fuzzer) reduce(box *sandbox, p program, d *difference) program {
	give := time.Now().Add(time.Minute)
	last := d.last()
	if n := len(d.calls); n > 0 && d.calls[n-1].call > 0 {
		p.calls = p.calls[:d.calls[n-1].call+1]
	}
	try := func(calls []line) bool {
		q := program{procs: p.procs, calls: calls}
		for range 2 {
			if got, _ := f.differs(box, q); got == nil || got.last() != last {
				return false
			}
		}
		return true
	}
	for _, decl := range p.procs {
		name, _, _ := strings.Cut(decl, " ")
		calls := slices.DeleteFunc(slices.Clone(p.calls), func(c line) bool { return c.proc == name })
		if len(calls) > 0 && try(calls) {
			p.calls = calls
		}
	}
	for size := len(p.calls) / 2; size > 0; {
		shorter := false
		for at := len(p.calls) - size; at >= 0 && time.Now().Before(give); at -= size {
			calls := slices.Concat(p.calls[:at], p.calls[at+size:])
			if len(calls) > 0 && try(calls) {
				p.calls = calls
				shorter = true
			}
			at = min(at, len(p.calls))
		}
		if size > 1 || !shorter {
			size /= 2
		}
	}
	return p
}

// text is the program as a case.
func (p program) text(d *difference) string {
	var b strings.Builder
	b.WriteString("case found from MANUAL(2)\n")
	for _, decl := range p.procs {
		name, _, _ := strings.Cut(decl, " ")
		if slices.ContainsFunc(d.calls, func(c played) bool { return c.proc == name }) {
			fmt.Fprintf(&b, "proc %s\n", decl)
		}
	}
	for _, c := range d.calls {
		fmt.Fprintln(&b, c)
	}
	if len(d.calls) == 0 {
		for _, c := range p.calls {
			fmt.Fprintln(&b, played{proc: c.proc, cmd: c.cmd, result: "?"})
		}
	}
	return b.String()
}

// thisHost is this machine.
func thisHost(t *testing.T) *host {
	s := real.New()
	caps, err := s.Capget()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{bounding: caps.Permitted, protect: protections}
	for i, r := range limited {
		if h.limits[i], err = s.Getrlimit(r); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// protections gives a simulated tree this machine's fs.protected_*.
func protections(tree *vfs.Tree) {
	level := func(name string) int {
		text, _ := os.ReadFile("/proc/sys/fs/protected_" + name)
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	tree.ProtectedSymlinks, tree.ProtectedHardlinks = level("symlinks") != 0, level("hardlinks") != 0
	tree.ProtectedFifos, tree.ProtectedRegular = level("fifos"), level("regular")
}

// sandbox is a process of this test that is alone in its namespaces of processes,
// networks, System V objects and mounts. It runs directors.
type sandbox struct {
	cmd *exec.Cmd
	in  io.Closer
	enc *gob.Encoder
	dec *gob.Decoder
}

type (
	sandboxRequest struct{ Script []byte }
	sandboxReply   struct {
		Out []byte
		Err string
	}
)

// In the environment of a sandbox, and of its directors, is a directory to mount
// on.
const (
	sandboxMarker = "SYSTEST_SANDBOX"
	jailMarker    = "SYSTEST_JAIL"
)

func newSandbox(t *testing.T) (*sandbox, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(Environ(), sandboxMarker+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	box := &sandbox{cmd: cmd, in: in, enc: gob.NewEncoder(in), dec: gob.NewDecoder(out)}
	var hello sandboxReply
	if err := box.dec.Decode(&hello); err != nil {
		box.close()
		return nil, err
	}
	return box, nil
}

func (b *sandbox) close() {
	b.in.Close()
	b.cmd.Wait()
}

// run runs a script.
func (b *sandbox) run(script []byte) ([]string, error) {
	if err := b.enc.Encode(sandboxRequest{script}); err != nil {
		return nil, err
	}
	var r sandboxReply
	if err := b.dec.Decode(&r); err != nil {
		return nil, err
	}
	var err error
	if r.Err != "" {
		err = fmt.Errorf("%s", r.Err)
	}
	return strings.Split(strings.TrimSuffix(string(r.Out), "\n"), "\n"), err
}

// serveSandbox is the sandbox's process.
func serveSandbox() error {
	dir := os.Getenv(sandboxMarker)
	// Whoever started the test may have ignored them; a handler ends with execve(2).
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	enc, dec := gob.NewEncoder(os.Stdout), gob.NewDecoder(os.Stdin)
	enc.Encode(sandboxReply{})
	for {
		var req sandboxRequest
		if err := dec.Decode(&req); err != nil {
			return nil // the test has ended
		}
		r, err := runDirector(dir, req.Script)
		if err != nil {
			r.Err = err.Error()
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
}

// runDirector runs a script in a new director, and is init for its processes.
func runDirector(dir string, script []byte) (r sandboxReply, err error) {
	var files [3]*os.File // standard input, output and error
	for i := range files {
		fd, err := unix.MemfdCreate("std", unix.MFD_CLOEXEC)
		if err != nil {
			return r, err
		}
		files[i] = os.NewFile(uintptr(fd), "std")
		defer files[i].Close()
	}
	if _, err := files[0].WriteAt(script, 0); err != nil {
		return r, err
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{directorName, "2000", "3"}, &syscall.ProcAttr{
		Env:   append(Environ(), jailMarker+"="+dir),
		Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Setpgid: true},
	})
	if err != nil {
		return r, err
	}
	stop := time.AfterFunc(2*time.Minute, func() { unix.Kill(pid, unix.SIGKILL) })
	defer stop.Stop()
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil: // all have ended
			r.Out = contents(files[1])
			if text := contents(files[2]); len(text) > 0 {
				r.Err += string(text)
			}
			return r, nil
		case got == pid:
			if status != 0 {
				r.Err = fmt.Sprintf("status %#x\n", status)
			}
			unix.Kill(-1, unix.SIGKILL)
		}
	}
}

// contents are a file's.
func contents(f *os.File) []byte {
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	return text
}

// loopbackUp sets a new network namespace's interface up.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// enterJail gives a director a mount namespace with nothing in it but a new tmpfs
// like the simulated machine's root: a program that leaves its directory finds the
// same on both, and nothing of the host.
func enterJail(dir string) error {
	at := func(name string) string { return dir + "/" + name }
	steps := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755") },
		func() error { return unix.Mkdir(at("bin"), 0o755) },
		func() error { return unix.Mkdir(at("dev"), 0o755) },
		func() error { return unix.Mkdir(at("dev/pts"), 0o755) },
		func() error { return unix.Mkdir(at("proc"), 0o555) },
		func() error { return unix.Mkdir(at("tmp"), 0o777) },
		func() error { return unix.Chmod(at("tmp"), 0o1777) },
		func() error { return unix.Mkdir(at("scratch"), 0o755) },
		func() error { return unix.Mkdir(at("old"), 0o700) },
		func() error { return os.WriteFile(at("bin/systest"), nil, 0o755) },
		func() error { return unix.Mount("/proc", at("proc"), "", unix.MS_BIND, "") },
		func() error { return unix.Mknod(at("dev/null"), unix.S_IFCHR|0o666, 0x103) },
		func() error { return unix.Chmod(at("dev/null"), 0o666) },
		func() error { return unix.PivotRoot(dir, at("old")) },
		func() error { return unix.Chdir("/scratch") },
		func() error { return unix.Unmount("/old", unix.MNT_DETACH) },
		func() error { return unix.Rmdir("/old") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d into the jail: %w", i, err)
		}
	}
	return nil
}

// asProgram is what the test binary is in the processes that the tests start.
func asProgram() int {
	signal.Ignore(unix.SIGXFSZ, unix.SIGPIPE) // the cases want EFBIG and EPIPE
	switch {
	case os.Getenv(sandboxMarker) != "":
		if err := serveSandbox(); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			return 1
		}
		return 0
	case os.Getenv(jailMarker) != "":
		if err := enterJail(os.Getenv(jailMarker)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if os.Args[0] == agentName {
		hidePoller()
	}
	return Program(real.New(), os.Args, Environ())
}

// hidePoller has the Go runtime open the descriptors of its network poller now,
// above those of the cases, which count theirs.
func hidePoller() {
	var held []int
	for fd := range ctlFd {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == unix.EBADF {
			if err := unix.Dup3(0, fd, unix.O_CLOEXEC); err == nil {
				held = append(held, fd)
			}
		}
	}
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	for _, fd := range held {
		unix.Close(fd)
	}
}
