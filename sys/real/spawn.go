package real

import (
	"syscall"
	"unsafe" // also for go:linkname

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// Spawn cannot be syscall.ForkExec: that executes a path, and in an empty jail
// there is none. It works the same way, though, and leans on the same hooks of
// the runtime, which keeps them for gVisor's pkg/sentry/platform.
//
// The child shares our memory (CLONE_VM) and our thread waits until it has
// executed or exited (CLONE_VFORK): no page table is copied, however large our
// heap is, and the child can simply store its errno in our memory.
//
// Until it executes, the child has no exit signal: a child that fails sends no
// SIGCHLD and is invisible to anybody's Wait4 but ours with __WCLONE. execve
// gives it SIGCHLD (de_thread in the kernel's fs/exec.c).

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// vfork is clone(2) with CLONE_VM|CLONE_VFORK on our own stack, in assembly:
// the child overwrites everything below our stack frame, the return address of
// vfork included.
func vfork() (pid uintptr, errno syscall.Errno)

// child is what the child needs, allocated before the fork.
type child struct {
	exe        int
	argv, envp *unsafe.Pointer // NULL-terminated
	files      []int
	setpgid    bool
	pdeathsig  uintptr
	parent     uintptr       // our process id
	errno      syscall.Errno // of the step that failed, stored by the child
}

var emptyPath byte // "" in C

// Spawn needs Linux 5.11 for CLOSE_RANGE_CLOEXEC. With Pdeathsig the signal comes
// when the OS thread that ran Spawn ends, which the Go runtime does only when a
// goroutine locked to its thread returns.
func (*thread) Spawn(attr *sys.SpawnAttr) (int, error) {
	argv, err := cstrings(attr.Argv)
	if err != nil {
		return -1, err
	}
	envp, err := cstrings(attr.Env)
	if err != nil {
		return -1, err
	}
	c := &child{
		exe: attr.Exe, argv: &argv[0], envp: &envp[0], files: append([]int(nil), attr.Files...),
		setpgid: attr.Setpgid, pdeathsig: uintptr(attr.Pdeathsig), parent: uintptr(unix.Getpid()),
	}
	// The lock is held by those who open descriptors without O_CLOEXEC.
	syscall.ForkLock.Lock()
	pid, errno := fork(c)
	syscall.ForkLock.Unlock()
	if errno != 0 {
		return -1, errno
	}
	if c.errno != 0 {
		for {
			if _, err := unix.Wait4(int(pid), nil, unix.WCLONE, nil); err != unix.EINTR {
				break
			}
		}
		return -1, c.errno
	}
	return int(pid), nil
}

// cstrings is the NULL-terminated array that execve(2) wants.
func cstrings(ss []string) ([]unsafe.Pointer, error) {
	list := make([]unsafe.Pointer, 0, len(ss)+1)
	for _, s := range ss {
		p, err := unix.BytePtrFromString(s)
		if err != nil {
			return nil, err
		}
		list = append(list, unsafe.Pointer(p))
	}
	return append(list, nil), nil
}

// fork is apart from forkChild so that the parent, after the child has run on
// forkChild's frame, returns from that at once and goes on in this one.
//
//go:norace
func fork(c *child) (pid uintptr, errno syscall.Errno) {
	pid, errno = forkChild(c)
	afterFork()
	return pid, errno
}

// forkChild forks and, in the child, sets up and executes. Between beforeFork
// and the execution nothing may be allocated, locked or scheduled, and no
// function called that grows the stack: RawSyscall alone.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkChild(c *child) (pid uintptr, errno syscall.Errno) {
	var (
		i     int
		moved uintptr
		n     = len(c.files)
	)
	beforeFork()
	pid, errno = vfork()
	if errno != 0 || pid != 0 {
		return pid, errno
	}

	// In the child.
	if c.setpgid {
		if _, _, errno = syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0); errno != 0 {
			goto failed
		}
	}
	afterForkInChild() // resets handlers and the signal mask
	if c.pdeathsig != 0 {
		if _, _, errno = syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, c.pdeathsig, 0); errno != 0 {
			goto failed
		}
		// The parent may have died before.
		if pid, _, _ = syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); pid != c.parent {
			pid, _, _ = syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
			if _, _, errno = syscall.RawSyscall(unix.SYS_KILL, pid, c.pdeathsig, 0); errno != 0 {
				goto failed
			}
		}
	}

	// First move out of the way what the second pass would overwrite before it
	// is used: to the lowest free descriptors above all targets.
	if c.exe >= 0 && c.exe < n {
		if moved, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(c.exe), unix.F_DUPFD_CLOEXEC, uintptr(n)); errno != 0 {
			goto failed
		}
		c.exe = int(moved)
	}
	for i = 0; i < n; i++ {
		if c.files[i] >= 0 && c.files[i] < i {
			if moved, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(c.files[i]), unix.F_DUPFD_CLOEXEC, uintptr(n)); errno != 0 {
				goto failed
			}
			c.files[i] = int(moved)
		}
	}
	for i = 0; i < n; i++ {
		if c.files[i] == i { // dup3 refuses it; only the flag has to go
			_, _, errno = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(i), unix.F_SETFD, 0)
		} else {
			_, _, errno = syscall.RawSyscall(unix.SYS_DUP3, uintptr(c.files[i]), uintptr(i), 0)
		}
		if errno != 0 {
			goto failed
		}
	}
	// Close the rest by the execution, and not before: exe is among it.
	if _, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, uintptr(n), 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); errno != 0 {
		goto failed
	}
	_, _, errno = syscall.RawSyscall6(unix.SYS_EXECVEAT, uintptr(c.exe), uintptr(unsafe.Pointer(&emptyPath)),
		uintptr(unsafe.Pointer(c.argv)), uintptr(unsafe.Pointer(c.envp)), unix.AT_EMPTY_PATH, 0)

failed:
	c.errno = errno
	for {
		syscall.RawSyscall(unix.SYS_EXIT, 253, 0, 0)
	}
}
