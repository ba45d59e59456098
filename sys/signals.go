package sys

import "strconv"

// Signals are the calls on signals.
type Signals interface {
	// Kill is kill(2): pid > 0 that process, 0 the caller's group, -1 all, < -1
	// group -pid; sig 0 only checks. ESRCH, EPERM.
	Kill(pid int, sig Signal) error
	// Signalfd is signalfd(2) with SFD_CLOEXEC and SFD_NONBLOCK as flags: from
	// now on the named signals no longer have their default action, and each
	// that is delivered can be read from fd. It differs from Linux in one way,
	// because the Go runtime owns the real handlers: each signal is read as one
	// byte, its number, instead of a struct signalfd_siginfo.
	Signalfd(sigs []Signal, flags int) (fd int, err error)
	// Sigaction sets the disposition of sig to SIG_DFL or SIG_IGN. There are no
	// flags: SIGCHLD comes also when a child is stopped or continued, as without
	// SA_NOCLDSTOP.
	Sigaction(sig Signal, disposition int) error
}

// Signal is a Linux signal number.
type Signal int

// Dispositions for [Signals.Sigaction].
const (
	SIG_DFL = 0
	SIG_IGN = 1
)

// Flags of signalfd(2).
const (
	SFD_CLOEXEC  = O_CLOEXEC
	SFD_NONBLOCK = O_NONBLOCK
)

// Signals of Linux, see signal(7).
const (
	SIGHUP   Signal = 1
	SIGINT   Signal = 2
	SIGQUIT  Signal = 3
	SIGILL   Signal = 4
	SIGTRAP  Signal = 5
	SIGABRT  Signal = 6
	SIGBUS   Signal = 7
	SIGFPE   Signal = 8
	SIGKILL  Signal = 9
	SIGUSR1  Signal = 10
	SIGSEGV  Signal = 11
	SIGUSR2  Signal = 12
	SIGPIPE  Signal = 13
	SIGALRM  Signal = 14
	SIGTERM  Signal = 15
	SIGCHLD  Signal = 17
	SIGCONT  Signal = 18
	SIGSTOP  Signal = 19
	SIGTSTP  Signal = 20
	SIGTTIN  Signal = 21
	SIGTTOU  Signal = 22
	SIGURG   Signal = 23
	SIGXCPU  Signal = 24
	SIGXFSZ  Signal = 25
	SIGWINCH Signal = 28
	SIGIO    Signal = 29
	SIGPWR   Signal = 30
	SIGSYS   Signal = 31
)

var signalNames = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
	9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
	17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG",
	24: "SIGXCPU", 25: "SIGXFSZ", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}

// String is the signal's name, as in signal(7).
func (s Signal) String() string {
	if s > 0 && int(s) < len(signalNames) && signalNames[s] != "" {
		return signalNames[s]
	}
	return "SIG" + strconv.Itoa(int(s))
}
