package trace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// maxString is how many bytes of a buffer are shown: strace's own -s 32.
const maxString = 32

// Format is a call as a line of the trace, without the newline.
func Format(c *sys.Call) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s[%d/%d] %s(", c.Proc, c.Pid, c.Tid, c.Op)
	sep := ""
	for _, a := range c.Args {
		s, ok := argument(c, a)
		if !ok {
			continue
		}
		b.WriteString(sep)
		b.WriteString(s)
		sep = ", "
	}
	b.WriteString(") = ")
	b.WriteString(result(c))
	return b.String()
}

func result(c *sys.Call) string {
	switch {
	case c.Op == "exit_group":
		return "?"
	case c.Errno != 0:
		return fmt.Sprintf("-1 %s (%s)", sys.ErrnoName(c.Errno), c.Errno.Error())
	case len(c.Ret) == 0:
		return "0"
	}
	var b strings.Builder
	for i, r := range c.Ret {
		if i > 0 {
			b.WriteString(", " + r.Name + "=")
		}
		b.WriteString(returned(c, r))
	}
	return b.String()
}

func returned(c *sys.Call, r sys.Arg) string {
	switch v := r.Value.(type) {
	case int:
		switch {
		case c.Op == "fcntl" && intArg(c, "cmd") == sys.F_GETFL:
			return openFlags(v)
		case c.Op == "umask":
			return octal(uint32(v))
		case r.Name == "msgflags":
			return msgFlags.format(int64(v))
		}
	}
	return value(r.Value)
}

// intArg is the int argument of that name, or 0.
func intArg(c *sys.Call, name string) int {
	for _, a := range c.Args {
		if a.Name == name {
			n, _ := a.Value.(int)
			return n
		}
	}
	return 0
}

// transferred is how many bytes the call has moved.
func transferred(c *sys.Call) int {
	if len(c.Ret) == 0 || c.Errno != 0 {
		return 0
	}
	n, _ := c.Ret[0].Value.(int)
	return n
}

// argument is an argument as text; false: it is not shown.
func argument(c *sys.Call, a sys.Arg) (string, bool) {
	switch v := a.Value.(type) {
	case int:
		if f, ok := decoders[c.Op+"."+a.Name]; ok {
			return f(c, v), true
		}
	case uint:
		if f, ok := decoders[c.Op+"."+a.Name]; ok {
			return f(c, int(v)), true
		}
	case uint32:
		switch c.Op + "." + a.Name {
		case "open.mode":
			if intArg(c, "flags")&(sys.O_CREAT|sys.O_TMPFILE&^sys.O_DIRECTORY) == 0 {
				return "", false
			}
			return octal(v), true
		case "faccessat2.mode":
			return accessModes.format(int64(v)), true
		case "statx.mask":
			return statxFields.format(int64(v)), true
		case "fallocate.mode":
			return fallocModes.format(int64(v)), true
		case "mknod.mode":
			return mode(v), true
		case "futex_wait.val", "futex_wait_private.val":
			return strconv.FormatUint(uint64(v), 10), true
		}
		return octal(v), true
	case []byte:
		switch c.Op {
		case "read", "pread", "recvfrom", "recv_timeout", "recvmsg", "getxattr", "fgetxattr":
			// What was read; before the call the buffer says nothing.
			return quote(v[:min(max(transferred(c), 0), len(v))]) + ", " + strconv.Itoa(len(v)), true
		case "getrandom":
			return strconv.Itoa(len(v)), true
		}
		return quote(v) + ", " + strconv.Itoa(len(v)), true
	case []int:
		if c.Op == "recvmsg" {
			n := 0
			if len(c.Ret) > 1 && c.Errno == 0 {
				n, _ = c.Ret[1].Value.(int)
			}
			v = v[:min(max(n, 0), len(v))]
		}
		return value(v), true
	case []sys.EpollEvent:
		return value(v[:min(max(transferred(c), 0), len(v))]), true
	case []sys.PollFd:
		var parts []string
		for _, p := range v {
			s := fmt.Sprintf("{%d %s", p.Fd, pollEvents.format(int64(uint16(p.Events))))
			if c.Errno == 0 && p.Revents != 0 {
				s += " -> " + pollEvents.format(int64(uint16(p.Revents)))
			}
			parts = append(parts, s+"}")
		}
		return "[" + strings.Join(parts, ", ") + "]", true
	case *sys.Stat:
		if c.Errno != 0 || v == nil {
			return "", false
		}
		return stat(v), true
	case *sys.Statx:
		if c.Errno != 0 || v == nil {
			return "", false
		}
		return statx(v), true
	case *sys.Statfs:
		if c.Errno != 0 || v == nil {
			return "", false
		}
		return statfs(v), true
	case *uint32:
		return "", false // an address: different in each run
	case uintptr:
		return "0x" + strconv.FormatUint(uint64(v), 16), true
	}
	return value(a.Value), true
}

// value is a value that needs to know nothing of its call.
func value(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []byte:
		return quote(v)
	case []string:
		return fmt.Sprintf("%q", v)
	case [][]byte:
		var parts []string
		for _, b := range v {
			parts = append(parts, quote(b))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []int:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case time.Duration:
		if v < 0 {
			return "-1"
		}
		return v.String()
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case sys.SockAddr:
		return sockaddr(v)
	case sys.Signal:
		return v.String()
	case sys.WaitStatus:
		return waitStatus(v)
	case sys.OpenHow:
		return fmt.Sprintf("{%s, %s, %s}", openFlags(v.Flags), octal(v.Mode), resolveFlags.format(int64(v.Resolve)))
	case sys.Mem:
		return fmt.Sprintf("mem(%d)", v.Len())
	case *sys.Flock:
		if v == nil {
			return "NULL"
		}
		return fmt.Sprintf("{l_type=%s, l_whence=%s, l_start=%d, l_len=%d, l_pid=%d}",
			lockTypes.name(int64(v.Type)), whences.name(int64(v.Whence)), v.Start, v.Len, v.Pid)
	case *sys.SpawnAttr:
		if v == nil {
			return "NULL"
		}
		s := fmt.Sprintf("{exe=%d, argv=%q, envc=%d, files=%s", v.Exe, v.Argv, len(v.Env), value(v.Files))
		if v.Setpgid {
			s += ", setpgid"
		}
		if v.Pdeathsig != 0 {
			s += ", pdeathsig=" + v.Pdeathsig.String()
		}
		return s + "}"
	case []sys.Sembuf:
		var parts []string
		for _, o := range v {
			parts = append(parts, fmt.Sprintf("{%d, %d, %s}", o.Num, o.Op, semFlags.format(int64(o.Flg))))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case sys.EpollEvent:
		return fmt.Sprintf("{%s, %d}", epollEvents.format(int64(v.Events)), v.Fd)
	case []sys.EpollEvent:
		var parts []string
		for _, e := range v {
			parts = append(parts, value(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []sys.Dirent:
		return dirents(v)
	case []sys.Signal:
		var parts []string
		for _, s := range v {
			parts = append(parts, s.String())
		}
		return "[" + strings.Join(parts, " ") + "]"
	case sys.Timespec:
		switch v.Nsec {
		case sys.UTIME_NOW:
			return "UTIME_NOW"
		case sys.UTIME_OMIT:
			return "UTIME_OMIT"
		}
		return fmt.Sprintf("%d.%09d", v.Sec, v.Nsec)
	case sys.Rlimit:
		return fmt.Sprintf("{rlim_cur=%s, rlim_max=%s}", rlim(v.Cur), rlim(v.Max))
	case sys.CapSets:
		return fmt.Sprintf("{effective=%#x, permitted=%#x, inheritable=%#x}", v.Effective, v.Permitted, v.Inheritable)
	case sys.IpcPerm:
		return ipcPerm(v)
	case sys.SemidDs:
		return fmt.Sprintf("{%s, sem_nsems=%d}", ipcPerm(v.Perm), v.Nsems)
	case sys.ShmidDs:
		return fmt.Sprintf("{%s, shm_segsz=%d, shm_nattch=%d}", ipcPerm(v.Perm), v.Segsz, v.Nattch)
	}
	return fmt.Sprint(v)
}

// quote is a buffer as a string literal, its end cut off where it is long.
func quote(b []byte) string {
	if len(b) > maxString {
		return strconv.QuoteToASCII(string(b[:maxString])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}

func octal(m uint32) string {
	if m == 0 {
		return "0"
	}
	return "0" + strconv.FormatUint(uint64(m), 8)
}

func mode(m uint32) string {
	return fileTypes.name(int64(m&sys.S_IFMT)) + "|" + octal(m&^sys.S_IFMT)
}

// stat leaves out what depends on the filesystem and not on what the program
// did: block counts, and the size of a directory.
func stat(st *sys.Stat) string {
	s := fmt.Sprintf("{st_dev=%d, st_ino=%d, st_mode=%s, st_nlink=%d, st_uid=%d, st_gid=%d",
		st.Dev, st.Ino, mode(st.Mode), st.Nlink, st.Uid, st.Gid)
	if !st.IsDir() {
		s += fmt.Sprintf(", st_size=%d", st.Size)
	}
	return s + "}"
}

// statx shows what stat does, by the names that it has there: they are known to
// Normalise.
func statx(st *sys.Statx) string {
	return fmt.Sprintf("{stx_mask=%s, %s", statxFields.format(int64(st.Mask)), stat(&sys.Stat{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Nlink: uint64(st.Nlink), Uid: st.Uid, Gid: st.Gid, Size: st.Size,
	})[1:])
}

// statfs leaves out how much is free: it is others' doing too.
func statfs(st *sys.Statfs) string {
	return fmt.Sprintf("{f_type=%s, f_bsize=%d, f_namelen=%d, f_flags=%s}",
		filesystems.name(st.Type), st.Bsize, st.Namelen, fsFlags.format(st.Flags))
}

// dirents are sorted, for their order means nothing, and cut off where they are
// many.
func dirents(ds []sys.Dirent) string {
	ds = slices.Clone(ds)
	slices.SortFunc(ds, func(a, b sys.Dirent) int { return strings.Compare(a.Name, b.Name) })
	var parts []string
	for i, d := range ds {
		if i == maxString {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, direntTypes.name(int64(d.Type))+" "+strconv.Quote(d.Name))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func sockaddr(a sys.SockAddr) string {
	switch a.Family {
	case 0:
		return "NULL"
	case sys.AF_UNIX:
		return fmt.Sprintf("{AF_UNIX %q}", a.Path)
	}
	return fmt.Sprintf("{%s %s}", families.name(int64(a.Family)), a.Addr)
}

func waitStatus(w sys.WaitStatus) string {
	switch {
	case w.Exited():
		return fmt.Sprintf("{exited %d}", w.ExitStatus())
	case w.Signaled():
		s := "{killed by " + w.Signal().String()
		if w.CoreDump() {
			s += ", core dumped"
		}
		return s + "}"
	}
	return fmt.Sprintf("%#x", uint32(w))
}

func rlim(n uint64) string {
	if n == sys.RLIM_INFINITY {
		return "RLIM_INFINITY"
	}
	return strconv.FormatUint(n, 10)
}

func ipcPerm(p sys.IpcPerm) string {
	return fmt.Sprintf("{uid=%d, gid=%d, mode=%s}", p.Uid, p.Gid, octal(p.Mode))
}
