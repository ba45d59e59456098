package real

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// usernsMarker is in the environment of a program that ReexecInUserNamespace has
// started, and of the programs that it spawns with its own environment.
const usernsMarker = "HTTPJAIL_USERNS"

// InUserNamespaceChild reports whether ReexecInUserNamespace has started this
// program.
func InUserNamespaceChild() bool { return os.Getenv(usernsMarker) != "" }

// usernsAttr makes new namespaces in which the caller's ids are 0. setgroups(2)
// has to be denied, or an unprivileged caller may not map its group: see
// user_namespaces(7).
func usernsAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// CanUserNamespace says why ReexecInUserNamespace would fail, or nil: EPERM (the
// caller is in a chroot, or the distribution forbids it), ENOSPC (the limit
// /proc/sys/user/max_user_namespaces), EINVAL or ENOSYS (the kernel has none).
// It makes the namespaces, writes the mappings and uses the new capabilities for
// a chroot to "/", because some distributions allow the first and deny the last.
func CanUserNamespace() error {
	attr := usernsAttr()
	attr.Chroot = "/"
	// The execution, the last step, shall fail, and in a way that no other step
	// does: through a file as if it were a directory.
	_, err := syscall.ForkExec("/proc/self/exe/x", []string{"x"}, &syscall.ProcAttr{Sys: attr})
	if err == unix.ENOTDIR {
		return nil
	}
	return err
}

// ReexecInUserNamespace is Reexec for running without root: the new program is
// root in a user, mount and ipc namespace of its own. It keeps the pid
// namespace, so that a PidFile of the program means the same to everybody.
//
// Inside there are no ids but 0: setgroups and ids other than 0 fail with EPERM
// and EINVAL, mknod of devices and ports below 1024 with EPERM and EACCES.
func ReexecInUserNamespace(argv []string) (exit int, err error) {
	return reexec(argv, append(os.Environ(), usernsMarker+"=1"), usernsAttr())
}

// Reexec starts this program again with other arguments and waits for its end.
// exit is its exit status, or 128 and the number of the signal that killed it, as
// a shell has it. Descriptors without FD_CLOEXEC are passed on, and so are the
// signals TERM, INT, HUP, USR1, USR2 and WINCH; one from the terminal's keyboard
// reaches the child twice, because the terminal sends it to both. The child dies
// when the caller does.
func Reexec(argv []string) (exit int, err error) {
	return reexec(argv, os.Environ(), &syscall.SysProcAttr{})
}

func reexec(argv, env []string, attr *syscall.SysProcAttr) (exit int, err error) {
	files, err := inheritable()
	if err != nil {
		return -1, err
	}
	runtime.LockOSThread() // Pdeathsig is the death of this thread
	defer runtime.UnlockOSThread()
	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	defer signal.Stop(sigs)

	attr.Pdeathsig = unix.SIGKILL
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{Env: env, Files: files, Sys: attr})
	if err != nil {
		return -1, err
	}
	ended := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case sig := <-sigs:
				syscall.Kill(pid, sig.(syscall.Signal))
			case <-ended:
				return
			}
		}
	}()
	// Wait without reaping first: while the child is a zombie its pid cannot
	// become another process's, and forwarding can end in peace.
	for {
		err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	close(ended)
	<-forwarded
	var status syscall.WaitStatus
	for err == nil {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			break
		}
		err = nil
	}
	switch {
	case err != nil:
		return -1, err
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// inheritable are the open descriptors without FD_CLOEXEC, each at its index;
// -1 where there is none.
func inheritable() ([]uintptr, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	files := make([]uintptr, 3, 8)
	for i := range files {
		files[i] = closed
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // the descriptor of the listing itself among them
		}
		for len(files) <= fd {
			files = append(files, closed)
		}
		files[fd] = uintptr(fd)
	}
	return files, nil
}

// closed is what syscall.ProcAttr takes for a descriptor to close.
const closed = ^uintptr(0)
