package systest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// openFlags are the flags of open(2), pipe2(2) and their kin.
var openFlags = map[string]int{
	"r": sys.O_RDONLY, "w": sys.O_WRONLY, "rw": sys.O_RDWR, "3": sys.O_ACCMODE,
	"creat": sys.O_CREAT, "excl": sys.O_EXCL, "trunc": sys.O_TRUNC, "append": sys.O_APPEND,
	"dir": sys.O_DIRECTORY, "nofollow": sys.O_NOFOLLOW, "path": sys.O_PATH, "nonblock": sys.O_NONBLOCK,
	"noatime": sys.O_NOATIME, "tmpfile": sys.O_TMPFILE, "cloexec": sys.O_CLOEXEC,
	"sync": sys.O_SYNC, "dsync": sys.O_DSYNC, "noctty": sys.O_NOCTTY, "badflag": 1 << 30,
}

// resolveFlags are those of openat2(2).
var resolveFlags = map[string]int{
	"beneath": sys.RESOLVE_BENEATH, "inroot": sys.RESOLVE_IN_ROOT, "nosym": sys.RESOLVE_NO_SYMLINKS,
	"nomagic": sys.RESOLVE_NO_MAGICLINKS, "noxdev": sys.RESOLVE_NO_XDEV, "badresolve": 1 << 20,
}

var whences = map[string]int{
	"set": sys.SEEK_SET, "cur": sys.SEEK_CUR, "end": sys.SEEK_END, "data": sys.SEEK_DATA, "hole": sys.SEEK_HOLE, "bad": 9,
}

// oLargefile is set by the kernel on 64-bit machines: an implementation detail.
const oLargefile = 0x8000

// fileCommands are the calls of sys.Files and sys.Descriptors.
var fileCommands = map[string]command{
	// open NAME PATH FLAGS [MODE]
	"open": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(1), w.flags(2, openFlags), w.optOct(3, 0))
		return a.newFd(w.str(0), fd, err)
	},
	// try PATH FLAGS [MODE] opens and closes.
	"try": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(0), w.flags(1, openFlags), w.optOct(2, 0))
		if err == nil {
			a.s.Close(fd)
		}
		return ok(err)
	},
	// openat2 NAME DIRFD PATH FLAGS RESOLVE [MODE]
	"openat2": func(a *agent, w args) string {
		fd, err := a.s.Openat2(a.fd(w.str(1)), w.str(2), sys.OpenHow{
			Flags: w.flags(3, openFlags), Resolve: w.flags(4, resolveFlags), Mode: w.optOct(5, 0)})
		return a.newFd(w.str(0), fd, err)
	},
	// look DIR PATH FLAGS RESOLVE [MODE] opens PATH from DIR with openat2 and says
	// what was opened: its content, if it is a file.
	"look": func(a *agent, w args) string {
		dir, err := a.s.Open(w.str(0), sys.O_PATH|sys.O_DIRECTORY, 0)
		if err != nil {
			return "dir " + errName(err)
		}
		defer a.s.Close(dir)
		fd, err := a.s.Openat2(dir, w.str(1), sys.OpenHow{
			Flags: w.flags(2, openFlags), Resolve: w.flags(3, resolveFlags), Mode: w.optOct(4, 0)})
		if err != nil {
			return errName(err)
		}
		defer a.s.Close(fd)
		var st sys.Stat
		if err := a.s.Fstat(fd, &st); err != nil {
			return "fstat " + errName(err)
		}
		if !st.IsRegular() {
			return string(modeString(&st)[0])
		}
		p := make([]byte, 64)
		n, err := a.s.Read(fd, p)
		if err == sys.EBADF { // O_PATH or O_WRONLY
			return "f"
		}
		return data(p, n, err)
	},
	"close": func(a *agent, w args) string {
		err := a.s.Close(a.fd(w.str(0)))
		if _, named := a.fds[w.str(0)]; named && err == nil {
			a.fds[w.str(0)] = -1
		}
		return ok(err)
	},
	"read": func(a *agent, w args) string {
		p := make([]byte, w.num(1))
		n, err := a.s.Read(a.fd(w.str(0)), p)
		return data(p, n, err)
	},
	"pread": func(a *agent, w args) string {
		p := make([]byte, w.num(1))
		n, err := a.s.Pread(a.fd(w.str(0)), p, int64(w.num(2)))
		return data(p, n, err)
	},
	"write": func(a *agent, w args) string { return val(a.s.Write(a.fd(w.str(0)), []byte(w.str(1)))) },
	"pwrite": func(a *agent, w args) string {
		return val(a.s.Pwrite(a.fd(w.str(0)), []byte(w.str(1)), int64(w.num(2))))
	},
	"writev": func(a *agent, w args) string {
		var bufs [][]byte
		for i := 1; i < len(w); i++ {
			bufs = append(bufs, []byte(w.str(i)))
		}
		return val(a.s.Writev(a.fd(w.str(0)), bufs))
	},
	// fill FD writes until nothing more fits (the descriptor is non-blocking), and
	// says only that something did: how much is the kernel's choice.
	"fill": func(a *agent, w args) string {
		p, total := make([]byte, 4096), 0
		for {
			n, err := a.s.Write(a.fd(w.str(0)), p)
			if err != nil {
				return fmt.Sprintf("%t %s", total > 0, errName(err))
			}
			total += n
		}
	},
	// drain FD reads until there is nothing more.
	"drain": func(a *agent, w args) string {
		p, total := make([]byte, 65536), 0
		for {
			n, err := a.s.Read(a.fd(w.str(0)), p)
			if n <= 0 || err != nil {
				return fmt.Sprintf("%t %s", total > 0, val("end", err))
			}
			total += n
		}
	},
	"seek": func(a *agent, w args) string {
		return val(a.s.Lseek(a.fd(w.str(0)), int64(w.num(1)), w.flags(2, whences)))
	},
	"ftruncate": func(a *agent, w args) string { return ok(a.s.Ftruncate(a.fd(w.str(0)), int64(w.num(1)))) },
	"fsync":     func(a *agent, w args) string { return ok(a.s.Fsync(a.fd(w.str(0)))) },
	"fstat": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Fstat(a.fd(w.str(0)), &st)
		return val(statLine(&st), err)
	},
	"fgetdents": func(a *agent, w args) string {
		_, err := a.s.Getdents(a.fd(w.str(0)))
		return ok(err)
	},
	// ls PATH lists names and types in the order of names.
	"ls": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(0), sys.O_RDONLY|sys.O_DIRECTORY, 0)
		if err != nil {
			return errName(err)
		}
		defer a.s.Close(fd)
		var names []string
		for {
			entries, err := a.s.Getdents(fd)
			if err != nil {
				return errName(err)
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				names = append(names, fmt.Sprintf("%s:%d", e.Name, e.Type))
			}
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	},
	"cat": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(0), sys.O_RDONLY, 0)
		if err != nil {
			return errName(err)
		}
		defer a.s.Close(fd)
		p := make([]byte, 4096)
		n, err := a.s.Read(fd, p)
		return data(p, n, err)
	},
	// put PATH MODE [TEXT] writes a file.
	"put": func(a *agent, w args) string {
		fd, err := a.s.Open(w.str(0), sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC, w.oct(1))
		if err != nil {
			return errName(err)
		}
		defer a.s.Close(fd)
		return ok(sys.WriteAll(a.s, fd, []byte(w.opt(2, ""))))
	},
	"getfl": func(a *agent, w args) string {
		fl, err := a.s.Fcntl(a.fd(w.str(0)), sys.F_GETFL, 0)
		return val(flagNames(fl&^oLargefile), err)
	},
	"setfl": func(a *agent, w args) string {
		_, err := a.s.Fcntl(a.fd(w.str(0)), sys.F_SETFL, w.flags(1, openFlags))
		return ok(err)
	},
	"getfd": func(a *agent, w args) string { return val(a.s.Fcntl(a.fd(w.str(0)), sys.F_GETFD, 0)) },
	"setfd": func(a *agent, w args) string {
		_, err := a.s.Fcntl(a.fd(w.str(0)), sys.F_SETFD, w.num(1))
		return ok(err)
	},
	"seal": func(a *agent, w args) string {
		_, err := a.s.Fcntl(a.fd(w.str(0)), sys.F_ADD_SEALS, w.flags(1, map[string]int{
			"seal": sys.F_SEAL_SEAL, "shrink": sys.F_SEAL_SHRINK, "grow": sys.F_SEAL_GROW, "write": sys.F_SEAL_WRITE}))
		return ok(err)
	},
	// dup NAME FD [LOWEST] [cloexec]
	"dup": func(a *agent, w args) string {
		cmd := sys.F_DUPFD
		if w.opt(3, "") == "cloexec" {
			cmd = sys.F_DUPFD_CLOEXEC
		}
		fd, err := a.s.Fcntl(a.fd(w.str(1)), cmd, w.optNum(2, 0))
		return a.newFd(w.str(0), fd, err)
	},
	// dup3 OLD NEW [FLAGS]
	"dup3": func(a *agent, w args) string {
		return ok(a.s.Dup3(a.fd(w.str(0)), a.fd(w.str(1)), w.optFlags(2, openFlags)))
	},
	// number FD is the descriptor's number; fds are said to be new names.
	"number": func(a *agent, w args) string { return strconv.Itoa(a.fd(w.str(0))) },
	"alias": func(a *agent, w args) string {
		a.fds[w.str(0)] = a.fd(w.str(1))
		return "ok"
	},
	"pipe": func(a *agent, w args) string {
		r, wr, err := a.s.Pipe2(w.optFlags(2, openFlags))
		if err != nil {
			return errName(err)
		}
		a.fds[w.str(0)], a.fds[w.str(1)] = r, wr
		return "ok"
	},
	"closerange": func(a *agent, w args) string {
		return ok(a.s.CloseRange(uint(w.num(0)), uint(w.num(1)), w.optFlags(2, map[string]int{"cloexec": sys.CLOSE_RANGE_CLOEXEC})))
	},
	// memfd NAME TEXT [FLAGS [SIZE]]
	"memfd": func(a *agent, w args) string {
		fd, err := a.s.MemfdCreate(w.str(1), w.optFlags(2, map[string]int{"cloexec": sys.MFD_CLOEXEC, "sealing": sys.MFD_ALLOW_SEALING}))
		if err == nil && len(w) > 3 {
			if err = a.s.Ftruncate(fd, int64(w.num(3))); err != nil {
				a.s.Close(fd)
			}
		}
		return a.newFd(w.str(0), fd, err)
	},
	// fdtypes lists the open descriptors below 100 of this process.
	"openfds": func(a *agent, w args) string {
		var open []string
		for fd := range 100 {
			if fl, err := a.s.Fcntl(fd, sys.F_GETFD, 0); err == nil {
				open = append(open, strconv.Itoa(fd)+strings.Repeat("c", fl&sys.FD_CLOEXEC))
			}
		}
		return strings.Join(open, " ")
	},
	"sleep": func(a *agent, w args) string { return ok(a.sleep(duration(w.str(0)))) },
}

// sleep is not cut short by signals, which the Go runtime sends to itself.
func (a *agent) sleep(d time.Duration) error {
	for end := a.s.Monotonic() + d; ; {
		err := a.s.Nanosleep(max(0, end-a.s.Monotonic()))
		if err != sys.EINTR {
			return err
		}
	}
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(scriptError(err.Error()))
	}
	return d
}

// timeout is the i'th word as a duration; without it there is none.
func (w args) timeout(i int) time.Duration {
	if i >= len(w) {
		return -1
	}
	return duration(w.str(i))
}

// flagNames are the flags of F_GETFL.
func flagNames(fl int) string {
	names := []string{[]string{"r", "w", "rw", "3"}[fl&sys.O_ACCMODE]}
	for _, f := range []string{"append", "nonblock", "sync", "dsync", "dir", "nofollow", "noatime", "path", "creat", "excl", "trunc", "noctty", "cloexec"} {
		if v := openFlags[f]; fl&v == v {
			names = append(names, f)
			fl &^= v
		}
	}
	if rest := fl &^ sys.O_ACCMODE; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return strings.Join(names, "|")
}

// modeString is the type and permissions: f0644.
func modeString(st *sys.Stat) string {
	const types = "?pc?d?b?f?l?s???"
	return fmt.Sprintf("%c%04o", types[st.Mode>>12&15], st.Mode&0o7777)
}

// statLine is what is comparable of st.
func statLine(st *sys.Stat) string {
	s := fmt.Sprintf("%s %d:%d n%d", modeString(st), st.Uid, st.Gid, st.Nlink)
	switch st.Mode & sys.S_IFMT {
	case sys.S_IFREG, sys.S_IFLNK:
		s += fmt.Sprintf(" s%d", st.Size)
	case sys.S_IFCHR, sys.S_IFBLK:
		s += fmt.Sprintf(" dev%#x", st.Rdev)
	}
	return s
}
