package systest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/httpjail/httpjail/sys"
)

// nameCommands are the calls of sys.Dirs and sys.Jail.
var nameCommands = map[string]command{
	"stat": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Stat(w.str(0), &st)
		return val(statLine(&st), err)
	},
	"lstat": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Lstat(w.str(0), &st)
		return val(statLine(&st), err)
	},
	// fstatat DIRFD PATH [FLAGS]
	"fstatat": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Fstatat(a.fd(w.str(0)), w.str(1), &st, w.optFlags(2, atFlags))
		return val(statLine(&st), err)
	},
	// statx DIRFD PATH FLAGS MASK says which fields and attributes came back.
	"statx": func(a *agent, w args) string {
		var st sys.Statx
		err := a.s.Statx(a.fd(w.str(0)), w.str(1), w.flags(2, atFlags), uint32(w.flags(3, statxMasks)), &st)
		const fields = sys.STATX_BASIC_STATS | sys.STATX_BTIME | sys.STATX_MNT_ID | sys.STATX_MNT_ID_UNIQUE
		const attrs = sys.STATX_ATTR_IMMUTABLE | sys.STATX_ATTR_APPEND | sys.STATX_ATTR_NODUMP | sys.STATX_ATTR_AUTOMOUNT |
			sys.STATX_ATTR_MOUNT_ROOT | sys.STATX_ATTR_DAX // newer kernels know more
		return val(fmt.Sprintf("%#x %#x/%#x", st.Mask&fields, st.Attributes&attrs, st.AttributesMask&attrs), err)
	},
	// statxsame DIRFD PATH [FLAGS] holds statx against fstatat, field by field.
	"statxsame": func(a *agent, w args) string {
		var st sys.Stat
		var x sys.Statx
		flags := w.optFlags(2, atFlags)
		if err := a.s.Fstatat(a.fd(w.str(0)), w.str(1), &st, flags); err != nil {
			return errName(err)
		}
		if err := a.s.Statx(a.fd(w.str(0)), w.str(1), flags, sys.STATX_BASIC_STATS, &x); err != nil {
			return errName(err)
		}
		from := sys.Stat{
			Dev: x.Dev, Ino: x.Ino, Nlink: uint64(x.Nlink), Mode: x.Mode, Uid: x.Uid, Gid: x.Gid, Rdev: x.Rdev,
			Size: x.Size, Blksize: int64(x.Blksize), Blocks: x.Blocks, Atim: x.Atime, Mtim: x.Mtime, Ctim: x.Ctime,
		}
		if from != st || x.Btime != (sys.Timespec{}) {
			return fmt.Sprintf("%+v %+v", st, x)
		}
		return "ok"
	},
	// born PATH compares the time of birth with that of the last change.
	"born": func(a *agent, w args) string {
		var st sys.Statx
		err := a.s.Statx(sys.AT_FDCWD, w.str(0), sys.AT_SYMLINK_NOFOLLOW, sys.STATX_BASIC_STATS|sys.STATX_BTIME, &st)
		switch {
		case err != nil:
			return errName(err)
		case st.Btime == st.Ctime:
			return "b=c"
		case st.Btime.Sec < st.Ctime.Sec || st.Btime.Sec == st.Ctime.Sec && st.Btime.Nsec < st.Ctime.Nsec:
			return "b<c"
		}
		return "b>c"
	},
	// samemount FD FD: are they on one mount?
	"samemount": func(a *agent, w args) string {
		var ids [2][2]uint64
		for i := range ids {
			for j, mask := range []uint32{sys.STATX_MNT_ID, sys.STATX_MNT_ID_UNIQUE} {
				var st sys.Statx
				if err := a.s.Statx(a.fd(w.str(i)), "", sys.AT_EMPTY_PATH, mask, &st); err != nil {
					return errName(err)
				}
				ids[i][j] = st.MntId
			}
		}
		return fmt.Sprint(ids[0][0] == ids[1][0], ids[0][1] == ids[1][1], ids[0][0] != ids[0][1])
	},
	// type PATH is the mode alone, of a symlink itself.
	"mode": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Lstat(w.str(0), &st)
		return val(modeString(&st), err)
	},
	// exists PATH: lstat(2) succeeds.
	"exists": func(a *agent, w args) string {
		var st sys.Stat
		return ok(a.s.Stat(w.str(0), &st))
	},
	// size PATH is the size of a regular file: others' is the filesystem's affair.
	"size": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Stat(w.str(0), &st)
		if err == nil && !st.IsRegular() {
			return "-"
		}
		return val(st.Size, err)
	},
	"owner": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Lstat(w.str(0), &st)
		return val(fmt.Sprintf("%d:%d", st.Uid, st.Gid), err)
	},
	// same A B: are they one inode?
	"same": func(a *agent, w args) string {
		var x, y sys.Stat
		if err := a.s.Lstat(w.str(0), &x); err != nil {
			return errName(err)
		}
		err := a.s.Lstat(w.str(1), &y)
		return val(x.Ino == y.Ino && x.Dev == y.Dev, err)
	},
	"mkdir":  func(a *agent, w args) string { return ok(a.s.Mkdir(w.str(0), w.optOct(1, 0o777))) },
	"rmdir":  func(a *agent, w args) string { return ok(a.s.Rmdir(w.str(0))) },
	"unlink": func(a *agent, w args) string { return ok(a.s.Unlink(w.str(0))) },
	"rename": func(a *agent, w args) string { return ok(a.s.Rename(w.str(0), w.str(1))) },
	"rename2": func(a *agent, w args) string {
		return ok(a.s.Renameat2(w.str(0), w.str(1), uint(w.flags(2, renameFlags))))
	},
	"link": func(a *agent, w args) string { return ok(a.s.Link(w.str(0), w.str(1))) },
	// linkat DIRFD PATH DIRFD PATH [FLAGS]
	"linkat": func(a *agent, w args) string {
		return ok(a.s.Linkat(a.fd(w.str(0)), w.str(1), a.fd(w.str(2)), w.str(3), w.optFlags(4, atFlags)))
	},
	"symlink":  func(a *agent, w args) string { return ok(a.s.Symlink(w.str(0), w.str(1))) },
	"readlink": func(a *agent, w args) string { return val(a.s.Readlink(w.str(0))) },
	// mknod PATH TYPE|MODE MODE [DEV]
	"mknod": func(a *agent, w args) string {
		types := map[string]int{"file": sys.S_IFREG, "fifo": sys.S_IFIFO, "chr": sys.S_IFCHR, "blk": sys.S_IFBLK,
			"sock": sys.S_IFSOCK, "dir": sys.S_IFDIR, "link": sys.S_IFLNK, "none": 0, "bad": 0o150000}
		return ok(a.s.Mknod(w.str(0), uint32(w.flags(1, types))|w.oct(2), uint64(w.optNum(3, 0))))
	},
	// rm PATH removes a tree; there may be none.
	"rm": func(a *agent, w args) string { return ok(a.remove(w.str(0))) },
	// make PATH KIND makes one of each kind of file, for tables.
	"make":   func(a *agent, w args) string { return ok(a.make(w.str(0), w.str(1))) },
	"chroot": func(a *agent, w args) string { return ok(a.s.Chroot(w.str(0))) },
	"cd":     func(a *agent, w args) string { return ok(a.s.Chdir(w.str(0))) },
	"fchdir": func(a *agent, w args) string { return ok(a.s.Fchdir(a.fd(w.str(0)))) },
	// pwd says where the working directory is in the case's directory.
	"pwd": func(a *agent, w args) string {
		p, err := a.s.Getcwd()
		if err != nil {
			return errName(err)
		}
		p, outside := strings.CutPrefix(p, "(unreachable)")
		switch {
		case outside && strings.HasPrefix(a.dir+"/", strings.TrimSuffix(p, "/")+"/") && p != a.dir:
			return "(unreachable) above"
		case outside:
			return "(unreachable)" + strings.TrimPrefix(p, a.dir)
		case a.base != "/":
			p = strings.TrimPrefix(p, a.base)
		}
		if p == "" {
			p = "/"
		}
		return p
	},
}

// renameFlags are those of renameat2(2).
var renameFlags = map[string]int{
	"noreplace": sys.RENAME_NOREPLACE, "exchange": sys.RENAME_EXCHANGE, "whiteout": sys.RENAME_WHITEOUT, "badflag": 8,
}

// make makes a file of a kind at path.
func (a *agent) make(path, kind string) error {
	s := a.s
	switch kind {
	case "none":
		return nil
	case "file":
		return a.put(path, 0o666, "hello")
	case "exec":
		return a.put(path, 0o777, "hello")
	case "empty":
		return a.put(path, 0o666, "")
	case "dir":
		return s.Mkdir(path, 0o777)
	case "full": // a directory that is not empty
		if err := s.Mkdir(path, 0o777); err != nil {
			return err
		}
		return a.put(path+"/in", 0o666, "hello")
	case "link", "tofile":
		if err := a.put(path+".target", 0o666, "hello"); err != nil {
			return err
		}
		return s.Symlink(lastOf(path)+".target", path)
	case "todir":
		if err := s.Mkdir(path+".target", 0o777); err != nil {
			return err
		}
		return s.Symlink(lastOf(path)+".target", path)
	case "dangling":
		return s.Symlink(lastOf(path)+".none", path)
	case "loop":
		return s.Symlink(lastOf(path), path)
	case "fifo":
		return s.Mknod(path, sys.S_IFIFO|0o666, 0)
	case "sock":
		return s.Mknod(path, sys.S_IFSOCK|0o666, 0)
	case "null":
		return s.Mknod(path, sys.S_IFCHR|0o666, 0x103)
	case "nodev": // a device without a driver
		return s.Mknod(path, sys.S_IFCHR|0o666, 0xff07)
	}
	panic(scriptError("unknown kind " + kind))
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (a *agent) put(path string, mode uint32, text string) error {
	fd, err := a.s.Open(path, sys.O_WRONLY|sys.O_CREAT|sys.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer a.s.Close(fd)
	return sys.WriteAll(a.s, fd, []byte(text))
}

// remove removes a tree.
func (a *agent) remove(path string) error {
	err := a.s.Unlink(path)
	switch err {
	case nil, sys.ENOENT:
		return nil
	case sys.EISDIR:
	default:
		return err
	}
	a.s.Chmod(path, 0o700)
	fd, err := a.s.Open(path, sys.O_RDONLY|sys.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	var names []string
	for {
		entries, err := a.s.Getdents(fd)
		if err != nil || len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
		}
	}
	a.s.Close(fd)
	for _, n := range names {
		if err := a.remove(path + "/" + n); err != nil {
			return err
		}
	}
	return a.s.Rmdir(path)
}

// attrCommands are the calls of sys.Attrs.
var attrCommands = map[string]command{
	"chmod":  func(a *agent, w args) string { return ok(a.s.Chmod(w.str(0), w.oct(1))) },
	"fchmod": func(a *agent, w args) string { return ok(a.s.Fchmod(a.fd(w.str(0)), w.oct(1))) },
	"chown":  func(a *agent, w args) string { return ok(a.s.Chown(w.str(0), w.num(1), w.num(2))) },
	"lchown": func(a *agent, w args) string { return ok(a.s.Lchown(w.str(0), w.num(1), w.num(2))) },
	"fchown": func(a *agent, w args) string { return ok(a.s.Fchown(a.fd(w.str(0)), w.num(1), w.num(2))) },
	// utimes PATH ATIME MTIME [FLAGS]
	"utimes": func(a *agent, w args) string {
		return ok(a.s.Utimensat(w.str(0), stamp(w.str(1)), stamp(w.str(2)), w.optFlags(3, atFlags)))
	},
	// futimens FD ATIME MTIME
	"futimens": func(a *agent, w args) string {
		return ok(a.s.Futimens(a.fd(w.str(0)), stamp(w.str(1)), stamp(w.str(2))))
	},
	"times": func(a *agent, w args) string {
		var st sys.Stat
		err := a.s.Lstat(w.str(0), &st)
		return val(fmt.Sprintf("a%d.%d m%d.%d", st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec), err)
	},
	// access PATH MODE [FLAGS]
	"access": func(a *agent, w args) string {
		return ok(a.s.Faccessat(w.str(0), uint32(w.flags(1, accessModes)), w.optFlags(2, atFlags)))
	},
	"umask": func(a *agent, w args) string { return fmt.Sprintf("%03o", a.s.Umask(int(w.oct(0)))) },
	// mark PATHS remembers their times, and lets time pass.
	"mark": func(a *agent, w args) string {
		for i := range w {
			var st sys.Stat
			if err := a.s.Lstat(w.str(i), &st); err != nil {
				return errName(err)
			}
			a.marks[w.str(i)] = st
		}
		return ok(a.sleep(tick))
	},
	// touched PATHS says which of their times changed since the mark.
	"touched": func(a *agent, w args) string {
		var words []string
		for i := range w {
			var st sys.Stat
			if err := a.s.Lstat(w.str(i), &st); err != nil {
				words = append(words, w.str(i)+":gone")
				continue
			}
			was, marked := a.marks[w.str(i)]
			if !marked {
				panic(scriptError(w.str(i) + " was not marked"))
			}
			s := w.str(i) + ":"
			if st.Atim != was.Atim {
				s += "a"
			}
			if st.Mtim != was.Mtim {
				s += "m"
			}
			if st.Ctim != was.Ctim {
				s += "c"
			}
			words = append(words, s)
		}
		return strings.Join(words, " ")
	},
	// order PATH puts the inode's three times into an order: "a=m<c".
	"order": func(a *agent, w args) string {
		var st sys.Stat
		if err := a.s.Lstat(w.str(0), &st); err != nil {
			return errName(err)
		}
		type named struct {
			name string
			at   sys.Timespec
		}
		ts := []named{{"a", st.Atim}, {"m", st.Mtim}, {"c", st.Ctim}}
		slices.SortStableFunc(ts, func(x, y named) int {
			if x.at.Sec != y.at.Sec {
				return int(x.at.Sec - y.at.Sec)
			}
			return int(x.at.Nsec - y.at.Nsec)
		})
		s := ts[0].name
		for i := 1; i < len(ts); i++ {
			if ts[i].at == ts[i-1].at {
				s += "=" + ts[i].name
			} else {
				s += "<" + ts[i].name
			}
		}
		return s
	},
}

// tick is longer than the coarse clock of inode times takes to move, at 100 Hz.
const tick = 11 * time.Millisecond

var atFlags = map[string]int{
	"nofollow": sys.AT_SYMLINK_NOFOLLOW, "eaccess": sys.AT_EACCESS, "empty": sys.AT_EMPTY_PATH, "automount": sys.AT_NO_AUTOMOUNT,
	"force": sys.AT_STATX_FORCE_SYNC, "dont": sys.AT_STATX_DONT_SYNC, "follow": sys.AT_SYMLINK_FOLLOW, "badflag": 1 << 18,
}

var statxMasks = map[string]int{
	"basic": sys.STATX_BASIC_STATS, "btime": sys.STATX_BTIME, "mtime": sys.STATX_MTIME, "ctime": sys.STATX_CTIME, "size": sys.STATX_SIZE,
	"mnt": sys.STATX_MNT_ID, "unique": sys.STATX_MNT_ID_UNIQUE, "reserved": 1 << 31,
}

var accessModes = map[string]int{"f": sys.F_OK, "x": sys.X_OK, "w": sys.W_OK, "r": sys.R_OK}

// stamp is now, omit, or seconds with nanoseconds behind a point.
func stamp(s string) sys.Timespec {
	switch s {
	case "now":
		return sys.Timespec{Nsec: sys.UTIME_NOW}
	case "omit":
		return sys.Timespec{Nsec: sys.UTIME_OMIT}
	}
	sec, nsec, _ := strings.Cut(s, ".")
	ts := sys.Timespec{Sec: int64(number(sec))}
	if nsec != "" {
		ts.Nsec = int64(number(nsec))
	}
	return ts
}
