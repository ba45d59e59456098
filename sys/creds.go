package sys

// Creds are the process's credentials. Where Linux keeps them per thread
// (setresuid, capset, most of prctl), both backends apply them to all threads
// of the process, as POSIX demands and glibc does; see nptl(7).
type Creds interface {
	Getresuid() (ruid, euid, suid int)
	Getresgid() (rgid, egid, sgid int)
	Getgroups() ([]int, error)
	// Setgroups is setgroups(2). EPERM without CAP_SETGID, and in a user
	// namespace whose /proc/PID/setgroups says deny.
	Setgroups(gids []int) error
	// Setresuid is setresuid(2); -1 leaves an id as it is. EPERM; EINVAL: an id
	// that the user namespace does not map; EAGAIN: RLIMIT_NPROC.
	Setresuid(ruid, euid, suid int) error
	// Setresgid is setresgid(2).
	Setresgid(rgid, egid, sgid int) error
	// Capget is capget(2) of the calling thread.
	Capget() (CapSets, error)
	// Capset is capset(2).
	Capset(c CapSets) error
	// Prctl is prctl(2) for the options listed in this package; EINVAL for others.
	Prctl(option int, arg2, arg3, arg4, arg5 uintptr) (int, error)
}

// CapSets are a thread's capability sets; bit n is capability n, see
// capabilities(7).
type CapSets struct{ Effective, Permitted, Inheritable uint64 }

// Capabilities.
const (
	CAP_CHOWN            = 0
	CAP_DAC_OVERRIDE     = 1
	CAP_DAC_READ_SEARCH  = 2
	CAP_FOWNER           = 3
	CAP_FSETID           = 4
	CAP_KILL             = 5
	CAP_SETGID           = 6
	CAP_SETUID           = 7
	CAP_SETPCAP          = 8
	CAP_NET_BIND_SERVICE = 10
	CAP_IPC_OWNER        = 15
	CAP_SYS_CHROOT       = 18
	CAP_SYS_PTRACE       = 19
	CAP_SYS_ADMIN        = 21
	CAP_SYS_RESOURCE     = 24
	CAP_MKNOD            = 27
	CAP_LAST_CAP         = 40
)

// Options of prctl(2).
const (
	PR_SET_PDEATHSIG         = 1
	PR_GET_DUMPABLE          = 3
	PR_SET_DUMPABLE          = 4
	PR_CAPBSET_READ          = 23
	PR_CAPBSET_DROP          = 24
	PR_SET_NO_NEW_PRIVS      = 38
	PR_GET_NO_NEW_PRIVS      = 39
	PR_CAP_AMBIENT           = 47
	PR_CAP_AMBIENT_CLEAR_ALL = 4
)
