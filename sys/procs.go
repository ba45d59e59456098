package sys

// Procs are the calls on processes.
type Procs interface {
	Getpid() int
	Getppid() int
	// Spawn is fork(2) followed by execveat(2) of attr.Exe in the child, with
	// the child's set-up between them. An errno of any step in the child comes
	// back from Spawn, and no child is left.
	Spawn(attr *SpawnAttr) (pid int, err error)
	// Wait4 is wait4(2): pid > 0 that child, -1 any, 0 any of the caller's
	// group, < -1 any of group -pid. options are of WNOHANG, WUNTRACED, which also
	// waits for children that a signal stopped, and WCONTINUED, for those that
	// SIGCONT continued. With WNOHANG and nobody to report it returns pid 0. ECHILD:
	// no such child. EINTR.
	Wait4(pid, options int) (wpid int, status WaitStatus, err error)
	// Exit is exit_group(2). It does not return.
	Exit(status int)
	// Setpgid is setpgid(2).
	Setpgid(pid, pgid int) error
	// Getpgid is getpgid(2).
	Getpgid(pid int) (int, error)
	// Setsid is setsid(2). EPERM: the caller leads a process group.
	Setsid() (int, error)
	// Getrlimit is getrlimit(2).
	Getrlimit(resource int) (Rlimit, error)
	// Setrlimit is setrlimit(2).
	Setrlimit(resource int, lim Rlimit) error
}

// SpawnAttr says what the child of [Procs.Spawn] is.
type SpawnAttr struct {
	// Exe is a descriptor of the executable, opened with O_PATH|O_CLOEXEC (for
	// instance of /proc/self/exe, before a chroot hides it).
	Exe int
	// Argv and Env are execve(2)'s. Argv[0] is the name that ps(1) shows and
	// that traces and faults know the process by.
	Argv, Env []string
	// Files are the child's descriptors: its descriptor i is a duplicate of
	// Files[i]; every other descriptor is closed in the child.
	Files []int
	// Setpgid puts the child into a process group of its own.
	Setpgid bool
	// Pdeathsig, when not 0, is sent to the child when the thread that spawned
	// it dies, see PR_SET_PDEATHSIG in prctl(2).
	Pdeathsig Signal
}

// WaitStatus is the status word of wait4(2).
type WaitStatus uint32

// Exited reports a normal exit; see ExitStatus.
func (w WaitStatus) Exited() bool { return w&0x7f == 0 }

// ExitStatus is the status passed to exit(2), or -1 when not Exited.
func (w WaitStatus) ExitStatus() int {
	if !w.Exited() {
		return -1
	}
	return int(w>>8) & 0xff
}

// Signaled reports death by a signal.
func (w WaitStatus) Signaled() bool { return w&0x7f != 0 && w&0x7f != 0x7f }

// Signal is the signal that killed the process, or 0.
func (w WaitStatus) Signal() Signal {
	if !w.Signaled() {
		return 0
	}
	return Signal(w & 0x7f)
}

// CoreDump reports that a core was dumped.
func (w WaitStatus) CoreDump() bool { return w.Signaled() && w&0x80 != 0 }

// Stopped reports that a signal stopped the process; see StopSignal.
func (w WaitStatus) Stopped() bool { return w&0xff == 0x7f }

// StopSignal is the signal that stopped the process, or 0.
func (w WaitStatus) StopSignal() Signal {
	if !w.Stopped() {
		return 0
	}
	return Signal(w>>8) & 0xff
}

// Continued reports that SIGCONT continued the process.
func (w WaitStatus) Continued() bool { return w == 0xffff }

// Options of wait4(2).
const (
	WNOHANG    = 1
	WUNTRACED  = 2
	WCONTINUED = 8
)

// Rlimit is struct rlimit.
type Rlimit struct{ Cur, Max uint64 }

// RLIM_INFINITY is no limit.
const RLIM_INFINITY = ^uint64(0)

// Resources of getrlimit(2).
const (
	RLIMIT_FSIZE  = 1
	RLIMIT_CORE   = 4
	RLIMIT_NPROC  = 6
	RLIMIT_NOFILE = 7
)
