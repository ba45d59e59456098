package systest

import (
	"fmt"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// spaceCommands are the calls of sys.Space.
var spaceCommands = map[string]command{
	// fallocate FD MODE OFFSET LENGTH
	"fallocate": func(a *agent, w args) string {
		return ok(a.s.Fallocate(a.fd(w.str(0)), uint32(w.flags(1, fallocModes)), int64(w.num(2)), int64(w.num(3))))
	},
	// room FD is a file's size, how many pages of 4096 bytes it takes, and where its
	// data are.
	"room": func(a *agent, w args) string {
		fd := a.fd(w.str(0))
		var st sys.Stat
		if err := a.s.Fstat(fd, &st); err != nil {
			return errName(err)
		}
		if st.IsDir() {
			return "a directory" // whose size is the filesystem's affair
		}
		was, err := a.s.Lseek(fd, 0, sys.SEEK_CUR)
		if err != nil {
			return errName(err)
		}
		s := fmt.Sprintf("s%d p%d", st.Size, st.Blocks*512/4096)
		for off := int64(0); off < st.Size; {
			from, err := a.s.Lseek(fd, off, sys.SEEK_DATA)
			if err != nil {
				break
			}
			if off, err = a.s.Lseek(fd, from, sys.SEEK_HOLE); err != nil {
				return errName(err)
			}
			s += fmt.Sprintf(" %d-%d", from, off)
		}
		_, err = a.s.Lseek(fd, was, sys.SEEK_SET)
		return val(s, err)
	},
	// statfs PATH and fstatfs FD say what does not depend on the machine.
	"statfs": func(a *agent, w args) string {
		var st sys.Statfs
		err := a.s.Statfs(w.str(0), &st)
		return val(statfsLine(&st), err)
	},
	"fstatfs": func(a *agent, w args) string {
		var st sys.Statfs
		err := a.s.Fstatfs(a.fd(w.str(0)), &st)
		return val(statfsLine(&st), err)
	},
}

// fallocModes are those of fallocate(2).
var fallocModes = map[string]int{
	"keep": sys.FALLOC_FL_KEEP_SIZE, "punch": sys.FALLOC_FL_PUNCH_HOLE, "collapse": sys.FALLOC_FL_COLLAPSE_RANGE,
	"zero": sys.FALLOC_FL_ZERO_RANGE, "insert": sys.FALLOC_FL_INSERT_RANGE, "unshare": sys.FALLOC_FL_UNSHARE_RANGE,
}

func statfsLine(st *sys.Statfs) string {
	types := map[int64]string{
		sys.TMPFS_MAGIC: "tmpfs", sys.EXT4_SUPER_MAGIC: "ext4", sys.PROC_SUPER_MAGIC: "proc",
		sys.PIPEFS_MAGIC: "pipefs", sys.SOCKFS_MAGIC: "sockfs", sys.ANON_INODE_FS_MAGIC: "anon_inodefs",
	}
	words := []string{types[st.Type], fmt.Sprintf("b%d,%d n%d", st.Bsize, st.Frsize, st.Namelen)}
	if st.Flags&sys.ST_VALID != 0 {
		words = append(words, "valid")
	}
	if st.Flags&sys.ST_RDONLY != 0 {
		words = append(words, "ro")
	}
	if st.Bavail > st.Bfree || st.Bfree > st.Blocks || st.Ffree > st.Files {
		words = append(words, fmt.Sprintf("blocks=%d,%d,%d files=%d,%d", st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree))
	}
	return strings.Join(words, " ")
}
