package systest

import (
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

var mountFlags = map[string]int{
	"ro": sys.MS_RDONLY, "nosuid": sys.MS_NOSUID, "nodev": sys.MS_NODEV, "noexec": sys.MS_NOEXEC,
	"remount": sys.MS_REMOUNT, "nosymfollow": sys.MS_NOSYMFOLLOW, "noatime": sys.MS_NOATIME,
	"nodiratime": sys.MS_NODIRATIME, "bind": sys.MS_BIND, "move": sys.MS_MOVE, "rec": sys.MS_REC,
	"silent": sys.MS_SILENT, "unbindable": sys.MS_UNBINDABLE, "private": sys.MS_PRIVATE, "slave": sys.MS_SLAVE,
	"shared": sys.MS_SHARED, "relatime": sys.MS_RELATIME, "strictatime": sys.MS_STRICTATIME,
}

var umountFlags = map[string]int{
	"force": sys.MNT_FORCE, "detach": sys.MNT_DETACH, "expire": sys.MNT_EXPIRE, "nofollow": sys.UMOUNT_NOFOLLOW,
	"badflag": 1 << 10,
}

var unshareFlags = map[string]int{
	"newns": sys.CLONE_NEWNS, "fs": sys.CLONE_FS, "files": sys.CLONE_FILES, "newipc": sys.CLONE_NEWIPC,
	"newuts": sys.CLONE_NEWUTS, "newnet": sys.CLONE_NEWNET, "newuser": sys.CLONE_NEWUSER, "newpid": sys.CLONE_NEWPID,
	"vm": sys.CLONE_VM, "thread": sys.CLONE_THREAD, "sighand": sys.CLONE_SIGHAND, "badflag": 1,
}

// mountCommands are the calls of sys.Mounts.
var mountCommands = map[string]command{
	// mount SOURCE TARGET TYPE [FLAGS] [DATA]
	"mount": func(a *agent, w args) string {
		return ok(a.s.Mount(w.str(0), w.str(1), w.str(2), w.optFlags(3, mountFlags), w.opt(4, "")))
	},
	"umount": func(a *agent, w args) string { return ok(a.s.Umount2(w.str(0), w.optFlags(1, umountFlags))) },
	// pivot NEW_ROOT PUT_OLD
	"pivot":   func(a *agent, w args) string { return ok(a.s.PivotRoot(w.str(0), w.str(1))) },
	"unshare": func(a *agent, w args) string { return ok(a.s.Unshare(w.flags(0, unshareFlags))) },
	// mounts FILE lists what a file like /proc/self/mounts says, without the first
	// word (the source) and the last two.
	"mounts": func(a *agent, w args) string {
		return a.mountLines(w.str(0), func(f []string) string { return strings.Join(f[1:4], " ") })
	},
	// mountinfo FILE lists what a file like /proc/self/mountinfo says: the root in
	// the filesystem, the place, the mount's flags, what it propagates, the type, the
	// source and the filesystem's options.
	"mountinfo": func(a *agent, w args) string {
		return a.mountLines(w.str(0), func(f []string) string { return strings.Join(f[3:], " ") })
	},
	// parents FILE says which mount of /proc/self/mountinfo is mounted on which:
	// their places.
	"parents": func(a *agent, w args) string {
		at := map[string]string{}
		a.mountLines(w.str(0), func(f []string) string { at[f[0]] = f[4]; return "" })
		return a.mountLines(w.str(0), func(f []string) string {
			on, known := at[f[1]]
			if !known {
				on = "?"
			}
			return f[4] + " on " + on
		})
	},
}

// mountLines are the lines of a file, each as show shows its words. The flags
// inode64 and their like, which depend on how the kernel was built, are left out.
func (a *agent) mountLines(path string, show func(words []string) string) string {
	fd, err := a.s.Open(path, sys.O_RDONLY, 0)
	if err != nil {
		return errName(err)
	}
	defer a.s.Close(fd)
	text, err := sys.ReadAll(a.s, fd, 1<<20)
	if err != nil {
		return errName(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		for i, w := range words {
			opts := strings.Split(w, ",")
			opts = slices.DeleteFunc(opts, func(o string) bool { return o == "inode64" || o == "inode32" })
			words[i] = strings.Join(opts, ",")
		}
		lines = append(lines, show(words))
	}
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, ", ")
}
