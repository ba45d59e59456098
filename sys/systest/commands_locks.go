package systest

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

var flockOps = map[string]int{"sh": sys.LOCK_SH, "ex": sys.LOCK_EX, "un": sys.LOCK_UN, "nb": sys.LOCK_NB, "bad": 64}

var lockTypes = map[string]int{"rd": sys.F_RDLCK, "wr": sys.F_WRLCK, "un": sys.F_UNLCK, "bad": 7}

// lockCommands are the calls of sys.Locks. Locks of fcntl(2) are given as
//
//	setlk FD TYPE [START LEN [WHENCE]]
var lockCommands = map[string]command{
	"flock":    func(a *agent, w args) string { return ok(a.s.Flock(a.fd(w.str(0)), w.flags(1, flockOps))) },
	"setlk":    fcntlLock(sys.F_SETLK),
	"setlkw":   fcntlLock(sys.F_SETLKW),
	"getlk":    fcntlLock(sys.F_GETLK),
	"ofdlk":    fcntlLock(sys.F_OFD_SETLK),
	"ofdlkw":   fcntlLock(sys.F_OFD_SETLKW),
	"ofdgetlk": fcntlLock(sys.F_OFD_GETLK),
}

func fcntlLock(cmd int) command {
	return func(a *agent, w args) string {
		lk := sys.Flock{
			Type: int16(w.flags(1, lockTypes)), Start: int64(w.optNum(2, 0)), Len: int64(w.optNum(3, 0)),
			Whence: int16(w.optFlags(4, whences)),
		}
		err := a.s.FcntlFlock(a.fd(w.str(0)), cmd, &lk)
		if err != nil || cmd != sys.F_GETLK && cmd != sys.F_OFD_GETLK {
			return ok(err)
		}
		switch {
		case lk.Type == sys.F_UNLCK:
			return "free"
		case lk.Pid == -1:
			return fmt.Sprintf("%s %d+%d ofd", lockName(lk.Type), lk.Start, lk.Len)
		}
		return fmt.Sprintf("%s %d+%d <pid %d>", lockName(lk.Type), lk.Start, lk.Len, lk.Pid)
	}
}

func lockName(t int16) string {
	for name, v := range lockTypes {
		if int(t) == v {
			return name
		}
	}
	return fmt.Sprint(t)
}
