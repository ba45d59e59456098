package sys

// Jail are the calls that decide what of the filesystem a process can name.
type Jail interface {
	// Chroot is chroot(2). It leaves the working directory where it is, which
	// is the oldest way out: Chdir before and after. EPERM without
	// CAP_SYS_CHROOT.
	Chroot(path string) error
	// Chdir is chdir(2).
	Chdir(path string) error
	// Fchdir is fchdir(2).
	Fchdir(fd int) error
	// Getcwd is getcwd(2). A working directory outside the root is reported
	// with the prefix "(unreachable)", as Linux does; ENOENT: it was removed.
	Getcwd() (string, error)
}
