package trace

import (
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// names are the values of an argument, or the bits of a set of flags. Of flags
// that contain each other (O_SYNC has O_DSYNC in it) the larger comes first.
type names []struct {
	value int64 // wide enough for EPOLLET where int has 32 bits
	name  string
}

// name is one value.
func (ns names) name(v int64) string {
	for _, n := range ns {
		if n.value == v {
			return n.name
		}
	}
	return strconv.FormatInt(v, 10)
}

// format is a set of flags.
func (ns names) format(v int64) string {
	if v == 0 {
		for _, n := range ns {
			if n.value == 0 {
				return n.name
			}
		}
		return "0"
	}
	var parts []string
	for _, n := range ns {
		if n.value != 0 && v&n.value == n.value {
			parts = append(parts, n.name)
			v &^= n.value
		}
	}
	if v != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(uint64(v), 16))
	}
	return strings.Join(parts, "|")
}

// withMode is a set of flags with permissions in its low nine bits.
func (ns names) withMode(v int) string {
	perm := octal(uint32(v & 0o777))
	if v &^= 0o777; v == 0 {
		return perm
	}
	return ns.format(int64(v)) + "|" + perm
}

func openFlags(v int) string {
	s := accessNames.name(int64(v & sys.O_ACCMODE))
	if rest := v &^ sys.O_ACCMODE; rest != 0 {
		s += "|" + openBits.format(int64(rest))
	}
	return s
}

func socketType(v int) string {
	s := socketTypes.name(int64(v &^ (sys.SOCK_CLOEXEC | sys.SOCK_NONBLOCK)))
	if rest := v & (sys.SOCK_CLOEXEC | sys.SOCK_NONBLOCK); rest != 0 {
		s += "|" + socketBits.format(int64(rest))
	}
	return s
}

func fd(v int) string {
	if v == sys.AT_FDCWD {
		return "AT_FDCWD"
	}
	return strconv.Itoa(v)
}

func oneOf(ns names) func(*sys.Call, int) string {
	return func(_ *sys.Call, v int) string { return ns.name(int64(v)) }
}

func bits(ns names) func(*sys.Call, int) string {
	return func(_ *sys.Call, v int) string { return ns.format(int64(v)) }
}

func plain(f func(int) string) func(*sys.Call, int) string {
	return func(_ *sys.Call, v int) string { return f(v) }
}

// decoders format an int argument, by operation and name. Others are numbers.
var decoders = map[string]func(c *sys.Call, v int) string{
	"open.flags":            plain(openFlags),
	"openat2.dirfd":         plain(fd),
	"renameat2.flags":       bits(renameFlags),
	"setxattr.flags":        bits(xattrFlags),
	"setxattr.atflags":      bits(atFlags),
	"fsetxattr.flags":       bits(xattrFlags),
	"getxattr.atflags":      bits(atFlags),
	"listxattr.atflags":     bits(atFlags),
	"removexattr.atflags":   bits(atFlags),
	"linkat.olddirfd":       plain(fd),
	"linkat.newdirfd":       plain(fd),
	"linkat.flags":          bits(statFlags),
	"newfstatat.dirfd":      plain(fd),
	"newfstatat.flags":      bits(statFlags),
	"statx.dirfd":           plain(fd),
	"statx.flags":           bits(statFlags),
	"lseek.whence":          oneOf(whences),
	"dup3.flags":            bits(openBits),
	"pipe2.flags":           bits(openBits),
	"close_range.flags":     bits(closeRangeFlags),
	"fcntl.cmd":             oneOf(fcntlCommands),
	"fcntl.arg":             fcntlArg,
	"fcntl_flock.cmd":       oneOf(fcntlCommands),
	"utimensat.flags":       bits(atFlags),
	"faccessat2.flags":      bits(atFlags),
	"umask.mask":            func(_ *sys.Call, v int) string { return octal(uint32(v)) },
	"flock.how":             bits(flockOps),
	"mount.flags":           bits(mountFlags),
	"umount2.flags":         bits(umountFlags),
	"unshare.flags":         bits(cloneFlags),
	"wait4.options":         bits(waitOptions),
	"getrlimit.resource":    oneOf(rlimits),
	"setrlimit.resource":    oneOf(rlimits),
	"prctl.option":          oneOf(prctlOptions),
	"signalfd.flags":        bits(socketBits),
	"sigaction.disposition": oneOf(dispositions),
	"semget.key":            plain(ipcKey),
	"semget.flags":          plain(ipcFlags.withMode),
	"shmget.key":            plain(ipcKey),
	"shmget.flags":          plain(ipcFlags.withMode),
	"shmat.flags":           bits(shmatFlags),
	"mmap.prot":             bits(protections),
	"mmap.flags":            bits(mapFlags),
	"memfd_create.flags":    bits(memfdFlags),
	"socket.domain":         oneOf(families),
	"socket.typ":            plain(socketType),
	"socket.proto":          oneOf(protocols),
	"socketpair.domain":     oneOf(families),
	"socketpair.typ":        plain(socketType),
	"socketpair.proto":      oneOf(protocols),
	"accept4.flags":         bits(socketBits),
	"setsockopt.level":      oneOf(levels),
	"setsockopt.opt":        sockopt,
	"getsockopt.level":      oneOf(levels),
	"getsockopt.opt":        sockopt,
	"shutdown.how":          oneOf(shutdowns),
	"sendto.flags":          bits(msgFlags),
	"recvfrom.flags":        bits(msgFlags),
	"sendmsg.flags":         bits(msgFlags),
	"recvmsg.flags":         bits(msgFlags),
	"epoll_create1.flags":   bits(epollFlags),
	"epoll_ctl.op":          oneOf(epollOps),
}

func fcntlArg(c *sys.Call, v int) string {
	switch intArg(c, "cmd") {
	case sys.F_SETFD:
		return fdFlags.format(int64(v))
	case sys.F_SETFL:
		return openFlags(v)
	case sys.F_ADD_SEALS:
		return seals.format(int64(v))
	}
	return strconv.Itoa(v)
}

func ipcKey(v int) string {
	if v == sys.IPC_PRIVATE {
		return "IPC_PRIVATE"
	}
	return "0x" + strconv.FormatUint(uint64(uint32(v)), 16)
}

func sockopt(c *sys.Call, v int) string {
	switch intArg(c, "level") {
	case sys.SOL_SOCKET:
		return socketOptions.name(int64(v))
	case sys.IPPROTO_TCP:
		return tcpOptions.name(int64(v))
	case sys.IPPROTO_IPV6:
		return ipv6Options.name(int64(v))
	}
	return strconv.Itoa(v)
}

var (
	accessNames = names{{sys.O_RDONLY, "O_RDONLY"}, {sys.O_WRONLY, "O_WRONLY"}, {sys.O_RDWR, "O_RDWR"}}
	openBits    = names{
		{sys.O_TMPFILE, "O_TMPFILE"}, {sys.O_SYNC, "O_SYNC"},
		{sys.O_CREAT, "O_CREAT"}, {sys.O_EXCL, "O_EXCL"}, {sys.O_NOCTTY, "O_NOCTTY"}, {sys.O_TRUNC, "O_TRUNC"},
		{sys.O_APPEND, "O_APPEND"}, {sys.O_NONBLOCK, "O_NONBLOCK"}, {sys.O_DSYNC, "O_DSYNC"}, {sys.O_DIRECT, "O_DIRECT"},
		{sys.O_DIRECTORY, "O_DIRECTORY"}, {sys.O_NOFOLLOW, "O_NOFOLLOW"}, {sys.O_NOATIME, "O_NOATIME"},
		{sys.O_CLOEXEC, "O_CLOEXEC"}, {sys.O_PATH, "O_PATH"},
	}
	resolveFlags = names{
		{sys.RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV"}, {sys.RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS"},
		{sys.RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS"}, {sys.RESOLVE_BENEATH, "RESOLVE_BENEATH"},
		{sys.RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT"},
	}
	atFlags     = names{{sys.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {sys.AT_EACCESS, "AT_EACCESS"}, {sys.AT_EMPTY_PATH, "AT_EMPTY_PATH"}}
	accessModes = names{{sys.F_OK, "F_OK"}, {sys.R_OK, "R_OK"}, {sys.W_OK, "W_OK"}, {sys.X_OK, "X_OK"}}
	fileTypes   = names{
		{sys.S_IFREG, "S_IFREG"}, {sys.S_IFDIR, "S_IFDIR"}, {sys.S_IFLNK, "S_IFLNK"}, {sys.S_IFIFO, "S_IFIFO"},
		{sys.S_IFSOCK, "S_IFSOCK"}, {sys.S_IFCHR, "S_IFCHR"}, {sys.S_IFBLK, "S_IFBLK"}, {0, "S_IFREG"}, // mknod(2): 0 is S_IFREG
	}
	fallocModes = names{
		{sys.FALLOC_FL_KEEP_SIZE, "FALLOC_FL_KEEP_SIZE"}, {sys.FALLOC_FL_PUNCH_HOLE, "FALLOC_FL_PUNCH_HOLE"},
		{sys.FALLOC_FL_COLLAPSE_RANGE, "FALLOC_FL_COLLAPSE_RANGE"}, {sys.FALLOC_FL_ZERO_RANGE, "FALLOC_FL_ZERO_RANGE"},
		{sys.FALLOC_FL_INSERT_RANGE, "FALLOC_FL_INSERT_RANGE"}, {sys.FALLOC_FL_UNSHARE_RANGE, "FALLOC_FL_UNSHARE_RANGE"},
	}
	filesystems = names{
		{sys.TMPFS_MAGIC, "TMPFS_MAGIC"}, {sys.EXT4_SUPER_MAGIC, "EXT4_SUPER_MAGIC"}, {sys.PROC_SUPER_MAGIC, "PROC_SUPER_MAGIC"},
		{sys.PIPEFS_MAGIC, "PIPEFS_MAGIC"}, {sys.SOCKFS_MAGIC, "SOCKFS_MAGIC"}, {sys.ANON_INODE_FS_MAGIC, "ANON_INODE_FS_MAGIC"},
	}
	fsFlags = names{
		{sys.ST_RDONLY, "ST_RDONLY"}, {sys.ST_NOSUID, "ST_NOSUID"}, {sys.ST_NODEV, "ST_NODEV"}, {sys.ST_NOEXEC, "ST_NOEXEC"},
		{sys.ST_NOATIME, "ST_NOATIME"}, {sys.ST_NODIRATIME, "ST_NODIRATIME"}, {sys.ST_RELATIME, "ST_RELATIME"},
		{sys.ST_NOSYMFOLLOW, "ST_NOSYMFOLLOW"}, {sys.ST_VALID, "ST_VALID"},
	}
	statFlags = names{
		{sys.AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"},
		{sys.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {sys.AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {sys.AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT"},
		{sys.AT_STATX_FORCE_SYNC, "AT_STATX_FORCE_SYNC"}, {sys.AT_STATX_DONT_SYNC, "AT_STATX_DONT_SYNC"},
	}
	statxFields = names{
		{sys.STATX_BASIC_STATS, "STATX_BASIC_STATS"}, {sys.STATX_TYPE, "STATX_TYPE"}, {sys.STATX_MODE, "STATX_MODE"},
		{sys.STATX_NLINK, "STATX_NLINK"}, {sys.STATX_UID, "STATX_UID"}, {sys.STATX_GID, "STATX_GID"}, {sys.STATX_ATIME, "STATX_ATIME"},
		{sys.STATX_MTIME, "STATX_MTIME"}, {sys.STATX_CTIME, "STATX_CTIME"}, {sys.STATX_INO, "STATX_INO"}, {sys.STATX_SIZE, "STATX_SIZE"},
		{sys.STATX_BLOCKS, "STATX_BLOCKS"}, {sys.STATX_BTIME, "STATX_BTIME"}, {sys.STATX_MNT_ID, "STATX_MNT_ID"},
		{sys.STATX_MNT_ID_UNIQUE, "STATX_MNT_ID_UNIQUE"},
	}
	xattrFlags  = names{{sys.XATTR_CREATE, "XATTR_CREATE"}, {sys.XATTR_REPLACE, "XATTR_REPLACE"}}
	renameFlags = names{
		{sys.RENAME_NOREPLACE, "RENAME_NOREPLACE"}, {sys.RENAME_EXCHANGE, "RENAME_EXCHANGE"},
		{sys.RENAME_WHITEOUT, "RENAME_WHITEOUT"},
	}
	direntTypes = names{
		{sys.DT_UNKNOWN, "DT_UNKNOWN"}, {sys.DT_FIFO, "DT_FIFO"}, {sys.DT_CHR, "DT_CHR"}, {sys.DT_DIR, "DT_DIR"},
		{sys.DT_BLK, "DT_BLK"}, {sys.DT_REG, "DT_REG"}, {sys.DT_LNK, "DT_LNK"}, {sys.DT_SOCK, "DT_SOCK"},
	}
	whences = names{
		{sys.SEEK_SET, "SEEK_SET"}, {sys.SEEK_CUR, "SEEK_CUR"}, {sys.SEEK_END, "SEEK_END"},
		{sys.SEEK_DATA, "SEEK_DATA"}, {sys.SEEK_HOLE, "SEEK_HOLE"},
	}
	fcntlCommands = names{
		{sys.F_DUPFD, "F_DUPFD"}, {sys.F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"}, {sys.F_GETFD, "F_GETFD"}, {sys.F_SETFD, "F_SETFD"},
		{sys.F_GETFL, "F_GETFL"}, {sys.F_SETFL, "F_SETFL"}, {sys.F_ADD_SEALS, "F_ADD_SEALS"}, {sys.F_GETLK, "F_GETLK"},
		{sys.F_SETLK, "F_SETLK"}, {sys.F_SETLKW, "F_SETLKW"}, {sys.F_OFD_GETLK, "F_OFD_GETLK"},
		{sys.F_OFD_SETLK, "F_OFD_SETLK"}, {sys.F_OFD_SETLKW, "F_OFD_SETLKW"},
	}
	fdFlags = names{{sys.FD_CLOEXEC, "FD_CLOEXEC"}}
	seals   = names{
		{sys.F_SEAL_SEAL, "F_SEAL_SEAL"}, {sys.F_SEAL_SHRINK, "F_SEAL_SHRINK"}, {sys.F_SEAL_GROW, "F_SEAL_GROW"},
		{sys.F_SEAL_WRITE, "F_SEAL_WRITE"},
	}
	closeRangeFlags = names{{sys.CLOSE_RANGE_CLOEXEC, "CLOSE_RANGE_CLOEXEC"}}
	flockOps        = names{{sys.LOCK_SH, "LOCK_SH"}, {sys.LOCK_EX, "LOCK_EX"}, {sys.LOCK_UN, "LOCK_UN"}, {sys.LOCK_NB, "LOCK_NB"}}
	lockTypes       = names{{sys.F_RDLCK, "F_RDLCK"}, {sys.F_WRLCK, "F_WRLCK"}, {sys.F_UNLCK, "F_UNLCK"}}
	mountFlags      = names{
		{sys.MS_RDONLY, "MS_RDONLY"}, {sys.MS_NOSUID, "MS_NOSUID"}, {sys.MS_NODEV, "MS_NODEV"}, {sys.MS_NOEXEC, "MS_NOEXEC"}, {sys.MS_REMOUNT, "MS_REMOUNT"}, {sys.MS_NOSYMFOLLOW, "MS_NOSYMFOLLOW"}, {sys.MS_NOATIME, "MS_NOATIME"}, {sys.MS_NODIRATIME, "MS_NODIRATIME"}, {sys.MS_BIND, "MS_BIND"}, {sys.MS_MOVE, "MS_MOVE"}, {sys.MS_REC, "MS_REC"}, {sys.MS_SILENT, "MS_SILENT"}, {sys.MS_UNBINDABLE, "MS_UNBINDABLE"}, {sys.MS_PRIVATE, "MS_PRIVATE"}, {sys.MS_SLAVE, "MS_SLAVE"}, {sys.MS_SHARED, "MS_SHARED"}, {sys.MS_RELATIME, "MS_RELATIME"}, {sys.MS_STRICTATIME, "MS_STRICTATIME"},
	}
	umountFlags = names{{sys.MNT_FORCE, "MNT_FORCE"}, {sys.MNT_DETACH, "MNT_DETACH"}, {sys.MNT_EXPIRE, "MNT_EXPIRE"}, {sys.UMOUNT_NOFOLLOW, "UMOUNT_NOFOLLOW"}}
	cloneFlags  = names{
		{sys.CLONE_VM, "CLONE_VM"}, {sys.CLONE_FS, "CLONE_FS"}, {sys.CLONE_FILES, "CLONE_FILES"}, {sys.CLONE_SIGHAND, "CLONE_SIGHAND"}, {sys.CLONE_THREAD, "CLONE_THREAD"}, {sys.CLONE_NEWNS, "CLONE_NEWNS"}, {sys.CLONE_SYSVSEM, "CLONE_SYSVSEM"}, {sys.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {sys.CLONE_NEWUTS, "CLONE_NEWUTS"}, {sys.CLONE_NEWIPC, "CLONE_NEWIPC"}, {sys.CLONE_NEWUSER, "CLONE_NEWUSER"}, {sys.CLONE_NEWPID, "CLONE_NEWPID"}, {sys.CLONE_NEWNET, "CLONE_NEWNET"}, {sys.CLONE_NEWTIME, "CLONE_NEWTIME"},
	}
	waitOptions = names{{sys.WNOHANG, "WNOHANG"}, {sys.WUNTRACED, "WUNTRACED"}, {sys.WCONTINUED, "WCONTINUED"}}
	rlimits     = names{
		{sys.RLIMIT_FSIZE, "RLIMIT_FSIZE"}, {sys.RLIMIT_CORE, "RLIMIT_CORE"}, {sys.RLIMIT_NPROC, "RLIMIT_NPROC"},
		{sys.RLIMIT_NOFILE, "RLIMIT_NOFILE"},
	}
	prctlOptions = names{
		{sys.PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG"}, {sys.PR_GET_DUMPABLE, "PR_GET_DUMPABLE"},
		{sys.PR_SET_DUMPABLE, "PR_SET_DUMPABLE"}, {sys.PR_CAPBSET_READ, "PR_CAPBSET_READ"},
		{sys.PR_CAPBSET_DROP, "PR_CAPBSET_DROP"}, {sys.PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"},
		{sys.PR_GET_NO_NEW_PRIVS, "PR_GET_NO_NEW_PRIVS"}, {sys.PR_CAP_AMBIENT, "PR_CAP_AMBIENT"},
	}
	dispositions = names{{sys.SIG_DFL, "SIG_DFL"}, {sys.SIG_IGN, "SIG_IGN"}}
	ipcFlags     = names{{sys.IPC_CREAT, "IPC_CREAT"}, {sys.IPC_EXCL, "IPC_EXCL"}}
	semFlags     = names{{sys.IPC_NOWAIT, "IPC_NOWAIT"}, {sys.SEM_UNDO, "SEM_UNDO"}}
	shmatFlags   = names{{sys.SHM_RDONLY, "SHM_RDONLY"}}
	protections  = names{{0, "PROT_NONE"}, {sys.PROT_READ, "PROT_READ"}, {sys.PROT_WRITE, "PROT_WRITE"}}
	mapFlags     = names{{sys.MAP_SHARED, "MAP_SHARED"}, {sys.MAP_PRIVATE, "MAP_PRIVATE"}, {sys.MAP_ANONYMOUS, "MAP_ANONYMOUS"}}
	memfdFlags   = names{{sys.MFD_CLOEXEC, "MFD_CLOEXEC"}, {sys.MFD_ALLOW_SEALING, "MFD_ALLOW_SEALING"}}
	families     = names{{sys.AF_UNSPEC, "AF_UNSPEC"}, {sys.AF_UNIX, "AF_UNIX"}, {sys.AF_INET, "AF_INET"}, {sys.AF_INET6, "AF_INET6"}}
	socketTypes  = names{{sys.SOCK_STREAM, "SOCK_STREAM"}, {sys.SOCK_DGRAM, "SOCK_DGRAM"}, {sys.SOCK_SEQPACKET, "SOCK_SEQPACKET"}}
	socketBits   = names{{sys.SOCK_NONBLOCK, "SOCK_NONBLOCK"}, {sys.SOCK_CLOEXEC, "SOCK_CLOEXEC"}}
	protocols    = names{{sys.IPPROTO_TCP, "IPPROTO_TCP"}}
	levels       = names{{sys.SOL_SOCKET, "SOL_SOCKET"}, {sys.IPPROTO_IP, "IPPROTO_IP"}, {sys.IPPROTO_TCP, "IPPROTO_TCP"}, {sys.IPPROTO_IPV6, "IPPROTO_IPV6"}}

	socketOptions = names{
		{sys.SO_REUSEADDR, "SO_REUSEADDR"}, {sys.SO_TYPE, "SO_TYPE"}, {sys.SO_ERROR, "SO_ERROR"}, {sys.SO_SNDBUF, "SO_SNDBUF"},
		{sys.SO_RCVBUF, "SO_RCVBUF"}, {sys.SO_KEEPALIVE, "SO_KEEPALIVE"}, {sys.SO_LINGER, "SO_LINGER"},
		{sys.SO_REUSEPORT, "SO_REUSEPORT"}, {sys.SO_RCVTIMEO, "SO_RCVTIMEO"}, {sys.SO_SNDTIMEO, "SO_SNDTIMEO"},
		{sys.SO_ACCEPTCONN, "SO_ACCEPTCONN"},
	}
	tcpOptions  = names{{sys.TCP_NODELAY, "TCP_NODELAY"}, {sys.TCP_CORK, "TCP_CORK"}, {sys.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"}}
	ipv6Options = names{{sys.IPV6_V6ONLY, "IPV6_V6ONLY"}}
	shutdowns   = names{{sys.SHUT_RD, "SHUT_RD"}, {sys.SHUT_WR, "SHUT_WR"}, {sys.SHUT_RDWR, "SHUT_RDWR"}}
	msgFlags    = names{
		{sys.MSG_PEEK, "MSG_PEEK"}, {sys.MSG_CTRUNC, "MSG_CTRUNC"}, {sys.MSG_TRUNC, "MSG_TRUNC"},
		{sys.MSG_DONTWAIT, "MSG_DONTWAIT"}, {sys.MSG_NOSIGNAL, "MSG_NOSIGNAL"}, {sys.MSG_MORE, "MSG_MORE"},
		{sys.MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC"},
	}
	pollEvents = names{
		{sys.POLLIN, "POLLIN"}, {sys.POLLPRI, "POLLPRI"}, {sys.POLLOUT, "POLLOUT"}, {sys.POLLERR, "POLLERR"},
		{sys.POLLHUP, "POLLHUP"}, {sys.POLLNVAL, "POLLNVAL"}, {sys.POLLRDHUP, "POLLRDHUP"},
	}
	epollFlags  = names{{sys.EPOLL_CLOEXEC, "EPOLL_CLOEXEC"}}
	epollOps    = names{{sys.EPOLL_CTL_ADD, "EPOLL_CTL_ADD"}, {sys.EPOLL_CTL_DEL, "EPOLL_CTL_DEL"}, {sys.EPOLL_CTL_MOD, "EPOLL_CTL_MOD"}}
	epollEvents = names{
		{sys.EPOLLIN, "EPOLLIN"}, {sys.EPOLLOUT, "EPOLLOUT"}, {sys.EPOLLERR, "EPOLLERR"}, {sys.EPOLLHUP, "EPOLLHUP"},
		{sys.EPOLLRDHUP, "EPOLLRDHUP"}, {sys.EPOLLEXCLUSIVE, "EPOLLEXCLUSIVE"}, {sys.EPOLLONESHOT, "EPOLLONESHOT"},
		{sys.EPOLLET, "EPOLLET"},
	}
)
