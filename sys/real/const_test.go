package real

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// number makes untyped constants, errnos and signals comparable.
func number(v any) (n uint64) {
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return uint64(r.Int())
	case r.CanUint():
		return r.Uint()
	}
	panic("not a number")
}

// TestConstants compares the constants of package sys with golang.org/x/sys/unix,
// or with the header where that has none, and makes sure that none is forgotten.
func TestConstants(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range constants {
		if number(c.sys) != number(c.unix) {
			t.Errorf("sys.%s = %v, Linux says %v", c.name, c.sys, c.unix)
		}
		if listed[c.name] {
			t.Errorf("%s is listed twice", c.name)
		}
		listed[c.name] = true
	}
	for _, name := range declared(t) {
		if !listed[name] {
			t.Errorf("sys.%s is not compared with Linux", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("sys.%s is compared but not declared", name)
	}
}

// declared are the names of the constants of package sys, from its source.
func declared(t *testing.T) (names []string) {
	files, err := filepath.Glob("../*.go")
	ok(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		ok(t, err)
		for _, d := range f.Decls {
			g, isGen := d.(*ast.GenDecl)
			if !isGen || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				for _, n := range spec.(*ast.ValueSpec).Names {
					if n.IsExported() {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	if len(names) < 300 {
		t.Fatalf("only %d constants found", len(names))
	}
	return names
}

// TestLayouts checks the structs that are passed to the kernel as they are.
func TestLayouts(t *testing.T) {
	for name, pair := range map[string][2][]uintptr{
		"Flock": {
			{unsafe.Sizeof(sys.Flock{}), unsafe.Offsetof(sys.Flock{}.Whence), unsafe.Offsetof(sys.Flock{}.Start), unsafe.Offsetof(sys.Flock{}.Len), unsafe.Offsetof(sys.Flock{}.Pid)},
			{unsafe.Sizeof(unix.Flock_t{}), unsafe.Offsetof(unix.Flock_t{}.Whence), unsafe.Offsetof(unix.Flock_t{}.Start), unsafe.Offsetof(unix.Flock_t{}.Len), unsafe.Offsetof(unix.Flock_t{}.Pid)},
		},
		"PollFd": {
			{unsafe.Sizeof(sys.PollFd{}), unsafe.Offsetof(sys.PollFd{}.Fd), unsafe.Offsetof(sys.PollFd{}.Events), unsafe.Offsetof(sys.PollFd{}.Revents)},
			{unsafe.Sizeof(unix.PollFd{}), unsafe.Offsetof(unix.PollFd{}.Fd), unsafe.Offsetof(unix.PollFd{}.Events), unsafe.Offsetof(unix.PollFd{}.Revents)},
		},
		"Timespec": {
			{unsafe.Sizeof(sys.Timespec{}), unsafe.Offsetof(sys.Timespec{}.Nsec)},
			{unsafe.Sizeof(unix.Timespec{}), unsafe.Offsetof(unix.Timespec{}.Nsec)},
		},
		"Rlimit": {
			{unsafe.Sizeof(sys.Rlimit{}), unsafe.Offsetof(sys.Rlimit{}.Max)},
			{unsafe.Sizeof(unix.Rlimit{}), unsafe.Offsetof(unix.Rlimit{}.Max)},
		},
		// struct sembuf of linux/sem.h: unsigned short, short, short.
		"Sembuf": {
			{unsafe.Sizeof(sys.Sembuf{}), unsafe.Offsetof(sys.Sembuf{}.Op), unsafe.Offsetof(sys.Sembuf{}.Flg)},
			{6, 2, 4},
		},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: size and offsets %v, Linux has %v", name, pair[0], pair[1])
		}
	}
	if sameEpollEvent {
		a := []uintptr{unsafe.Offsetof(sys.EpollEvent{}.Events), unsafe.Offsetof(sys.EpollEvent{}.Fd), unsafe.Offsetof(sys.EpollEvent{}.Pad)}
		b := []uintptr{unsafe.Offsetof(unix.EpollEvent{}.Events), unsafe.Offsetof(unix.EpollEvent{}.Fd), unsafe.Offsetof(unix.EpollEvent{}.Pad)}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("EpollEvent: offsets %v, Linux has %v", a, b)
		}
	}
}

var constants = []struct {
	name      string
	sys, unix any
}{
	{"CAP_CHOWN", sys.CAP_CHOWN, unix.CAP_CHOWN},
	{"CAP_DAC_OVERRIDE", sys.CAP_DAC_OVERRIDE, unix.CAP_DAC_OVERRIDE},
	{"CAP_DAC_READ_SEARCH", sys.CAP_DAC_READ_SEARCH, unix.CAP_DAC_READ_SEARCH},
	{"CAP_FOWNER", sys.CAP_FOWNER, unix.CAP_FOWNER},
	{"CAP_FSETID", sys.CAP_FSETID, unix.CAP_FSETID},
	{"CAP_KILL", sys.CAP_KILL, unix.CAP_KILL},
	{"CAP_SETGID", sys.CAP_SETGID, unix.CAP_SETGID},
	{"CAP_SETUID", sys.CAP_SETUID, unix.CAP_SETUID},
	{"CAP_SETPCAP", sys.CAP_SETPCAP, unix.CAP_SETPCAP},
	{"CAP_NET_BIND_SERVICE", sys.CAP_NET_BIND_SERVICE, unix.CAP_NET_BIND_SERVICE},
	{"CAP_IPC_OWNER", sys.CAP_IPC_OWNER, unix.CAP_IPC_OWNER},
	{"CAP_SYS_CHROOT", sys.CAP_SYS_CHROOT, unix.CAP_SYS_CHROOT},
	{"CAP_SYS_PTRACE", sys.CAP_SYS_PTRACE, unix.CAP_SYS_PTRACE},
	{"CAP_SYS_ADMIN", sys.CAP_SYS_ADMIN, unix.CAP_SYS_ADMIN},
	{"CAP_SYS_RESOURCE", sys.CAP_SYS_RESOURCE, unix.CAP_SYS_RESOURCE},
	{"CAP_MKNOD", sys.CAP_MKNOD, unix.CAP_MKNOD},
	{"CAP_LAST_CAP", sys.CAP_LAST_CAP, unix.CAP_LAST_CAP},
	{"PR_SET_PDEATHSIG", sys.PR_SET_PDEATHSIG, unix.PR_SET_PDEATHSIG},
	{"PR_GET_DUMPABLE", sys.PR_GET_DUMPABLE, unix.PR_GET_DUMPABLE},
	{"PR_SET_DUMPABLE", sys.PR_SET_DUMPABLE, unix.PR_SET_DUMPABLE},
	{"PR_CAPBSET_READ", sys.PR_CAPBSET_READ, unix.PR_CAPBSET_READ},
	{"PR_CAPBSET_DROP", sys.PR_CAPBSET_DROP, unix.PR_CAPBSET_DROP},
	{"PR_SET_NO_NEW_PRIVS", sys.PR_SET_NO_NEW_PRIVS, unix.PR_SET_NO_NEW_PRIVS},
	{"PR_GET_NO_NEW_PRIVS", sys.PR_GET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS},
	{"PR_CAP_AMBIENT", sys.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT},
	{"PR_CAP_AMBIENT_CLEAR_ALL", sys.PR_CAP_AMBIENT_CLEAR_ALL, unix.PR_CAP_AMBIENT_CLEAR_ALL},
	{"UTIME_NOW", sys.UTIME_NOW, unix.UTIME_NOW},
	{"UTIME_OMIT", sys.UTIME_OMIT, unix.UTIME_OMIT},
	{"F_OK", sys.F_OK, unix.F_OK},
	{"X_OK", sys.X_OK, 1 /* unistd.h */},
	{"W_OK", sys.W_OK, 2 /* unistd.h */},
	{"R_OK", sys.R_OK, 4 /* unistd.h */},
	{"AT_EACCESS", sys.AT_EACCESS, unix.AT_EACCESS},
	{"EPERM", sys.EPERM, unix.EPERM},
	{"ENOENT", sys.ENOENT, unix.ENOENT},
	{"ESRCH", sys.ESRCH, unix.ESRCH},
	{"EINTR", sys.EINTR, unix.EINTR},
	{"EIO", sys.EIO, unix.EIO},
	{"ENXIO", sys.ENXIO, unix.ENXIO},
	{"E2BIG", sys.E2BIG, unix.E2BIG},
	{"ENOEXEC", sys.ENOEXEC, unix.ENOEXEC},
	{"EBADF", sys.EBADF, unix.EBADF},
	{"ECHILD", sys.ECHILD, unix.ECHILD},
	{"EAGAIN", sys.EAGAIN, unix.EAGAIN},
	{"ENOMEM", sys.ENOMEM, unix.ENOMEM},
	{"EACCES", sys.EACCES, unix.EACCES},
	{"EFAULT", sys.EFAULT, unix.EFAULT},
	{"ENOTBLK", sys.ENOTBLK, unix.ENOTBLK},
	{"EBUSY", sys.EBUSY, unix.EBUSY},
	{"EEXIST", sys.EEXIST, unix.EEXIST},
	{"EXDEV", sys.EXDEV, unix.EXDEV},
	{"ENODEV", sys.ENODEV, unix.ENODEV},
	{"ENOTDIR", sys.ENOTDIR, unix.ENOTDIR},
	{"EISDIR", sys.EISDIR, unix.EISDIR},
	{"EINVAL", sys.EINVAL, unix.EINVAL},
	{"ENFILE", sys.ENFILE, unix.ENFILE},
	{"EMFILE", sys.EMFILE, unix.EMFILE},
	{"ENOTTY", sys.ENOTTY, unix.ENOTTY},
	{"ETXTBSY", sys.ETXTBSY, unix.ETXTBSY},
	{"EFBIG", sys.EFBIG, unix.EFBIG},
	{"ENOSPC", sys.ENOSPC, unix.ENOSPC},
	{"ESPIPE", sys.ESPIPE, unix.ESPIPE},
	{"EROFS", sys.EROFS, unix.EROFS},
	{"EMLINK", sys.EMLINK, unix.EMLINK},
	{"EPIPE", sys.EPIPE, unix.EPIPE},
	{"EDOM", sys.EDOM, unix.EDOM},
	{"ERANGE", sys.ERANGE, unix.ERANGE},
	{"EDEADLK", sys.EDEADLK, unix.EDEADLK},
	{"ENAMETOOLONG", sys.ENAMETOOLONG, unix.ENAMETOOLONG},
	{"ENOLCK", sys.ENOLCK, unix.ENOLCK},
	{"ENOSYS", sys.ENOSYS, unix.ENOSYS},
	{"ENOTEMPTY", sys.ENOTEMPTY, unix.ENOTEMPTY},
	{"ELOOP", sys.ELOOP, unix.ELOOP},
	{"ENOMSG", sys.ENOMSG, unix.ENOMSG},
	{"EIDRM", sys.EIDRM, unix.EIDRM},
	{"ENOSTR", sys.ENOSTR, unix.ENOSTR},
	{"ENODATA", sys.ENODATA, unix.ENODATA},
	{"ETIME", sys.ETIME, unix.ETIME},
	{"ENOSR", sys.ENOSR, unix.ENOSR},
	{"EREMOTE", sys.EREMOTE, unix.EREMOTE},
	{"ENOLINK", sys.ENOLINK, unix.ENOLINK},
	{"EPROTO", sys.EPROTO, unix.EPROTO},
	{"EMULTIHOP", sys.EMULTIHOP, unix.EMULTIHOP},
	{"EBADMSG", sys.EBADMSG, unix.EBADMSG},
	{"EOVERFLOW", sys.EOVERFLOW, unix.EOVERFLOW},
	{"EILSEQ", sys.EILSEQ, unix.EILSEQ},
	{"EUSERS", sys.EUSERS, unix.EUSERS},
	{"ENOTSOCK", sys.ENOTSOCK, unix.ENOTSOCK},
	{"EDESTADDRREQ", sys.EDESTADDRREQ, unix.EDESTADDRREQ},
	{"EMSGSIZE", sys.EMSGSIZE, unix.EMSGSIZE},
	{"EPROTOTYPE", sys.EPROTOTYPE, unix.EPROTOTYPE},
	{"ENOPROTOOPT", sys.ENOPROTOOPT, unix.ENOPROTOOPT},
	{"EPROTONOSUPPORT", sys.EPROTONOSUPPORT, unix.EPROTONOSUPPORT},
	{"ESOCKTNOSUPPORT", sys.ESOCKTNOSUPPORT, unix.ESOCKTNOSUPPORT},
	{"EOPNOTSUPP", sys.EOPNOTSUPP, unix.EOPNOTSUPP},
	{"EPFNOSUPPORT", sys.EPFNOSUPPORT, unix.EPFNOSUPPORT},
	{"EAFNOSUPPORT", sys.EAFNOSUPPORT, unix.EAFNOSUPPORT},
	{"EADDRINUSE", sys.EADDRINUSE, unix.EADDRINUSE},
	{"EADDRNOTAVAIL", sys.EADDRNOTAVAIL, unix.EADDRNOTAVAIL},
	{"ENETDOWN", sys.ENETDOWN, unix.ENETDOWN},
	{"ENETUNREACH", sys.ENETUNREACH, unix.ENETUNREACH},
	{"ENETRESET", sys.ENETRESET, unix.ENETRESET},
	{"ECONNABORTED", sys.ECONNABORTED, unix.ECONNABORTED},
	{"ECONNRESET", sys.ECONNRESET, unix.ECONNRESET},
	{"ENOBUFS", sys.ENOBUFS, unix.ENOBUFS},
	{"EISCONN", sys.EISCONN, unix.EISCONN},
	{"ENOTCONN", sys.ENOTCONN, unix.ENOTCONN},
	{"ESHUTDOWN", sys.ESHUTDOWN, unix.ESHUTDOWN},
	{"ETOOMANYREFS", sys.ETOOMANYREFS, unix.ETOOMANYREFS},
	{"ETIMEDOUT", sys.ETIMEDOUT, unix.ETIMEDOUT},
	{"ECONNREFUSED", sys.ECONNREFUSED, unix.ECONNREFUSED},
	{"EHOSTDOWN", sys.EHOSTDOWN, unix.EHOSTDOWN},
	{"EHOSTUNREACH", sys.EHOSTUNREACH, unix.EHOSTUNREACH},
	{"EALREADY", sys.EALREADY, unix.EALREADY},
	{"EINPROGRESS", sys.EINPROGRESS, unix.EINPROGRESS},
	{"ESTALE", sys.ESTALE, unix.ESTALE},
	{"EDQUOT", sys.EDQUOT, unix.EDQUOT},
	{"ECANCELED", sys.ECANCELED, unix.ECANCELED},
	{"EOWNERDEAD", sys.EOWNERDEAD, unix.EOWNERDEAD},
	{"ENOTRECOVERABLE", sys.ENOTRECOVERABLE, unix.ENOTRECOVERABLE},
	{"EWOULDBLOCK", sys.EWOULDBLOCK, unix.EWOULDBLOCK},
	{"ENOTSUP", sys.ENOTSUP, unix.ENOTSUP},
	{"O_RDONLY", sys.O_RDONLY, unix.O_RDONLY},
	{"O_WRONLY", sys.O_WRONLY, unix.O_WRONLY},
	{"O_RDWR", sys.O_RDWR, unix.O_RDWR},
	{"O_ACCMODE", sys.O_ACCMODE, unix.O_ACCMODE},
	{"O_CREAT", sys.O_CREAT, unix.O_CREAT},
	{"O_EXCL", sys.O_EXCL, unix.O_EXCL},
	{"O_NOCTTY", sys.O_NOCTTY, unix.O_NOCTTY},
	{"O_TRUNC", sys.O_TRUNC, unix.O_TRUNC},
	{"O_APPEND", sys.O_APPEND, unix.O_APPEND},
	{"O_NONBLOCK", sys.O_NONBLOCK, unix.O_NONBLOCK},
	{"O_DSYNC", sys.O_DSYNC, unix.O_DSYNC},
	{"O_DIRECT", sys.O_DIRECT, unix.O_DIRECT},
	{"O_DIRECTORY", sys.O_DIRECTORY, unix.O_DIRECTORY},
	{"O_NOFOLLOW", sys.O_NOFOLLOW, unix.O_NOFOLLOW},
	{"O_NOATIME", sys.O_NOATIME, unix.O_NOATIME},
	{"O_CLOEXEC", sys.O_CLOEXEC, unix.O_CLOEXEC},
	{"O_SYNC", sys.O_SYNC, unix.O_SYNC},
	{"O_PATH", sys.O_PATH, unix.O_PATH},
	{"O_TMPFILE", sys.O_TMPFILE, unix.O_TMPFILE},
	{"RESOLVE_NO_XDEV", sys.RESOLVE_NO_XDEV, unix.RESOLVE_NO_XDEV},
	{"RESOLVE_NO_MAGICLINKS", sys.RESOLVE_NO_MAGICLINKS, unix.RESOLVE_NO_MAGICLINKS},
	{"RESOLVE_NO_SYMLINKS", sys.RESOLVE_NO_SYMLINKS, unix.RESOLVE_NO_SYMLINKS},
	{"RESOLVE_BENEATH", sys.RESOLVE_BENEATH, unix.RESOLVE_BENEATH},
	{"RESOLVE_IN_ROOT", sys.RESOLVE_IN_ROOT, unix.RESOLVE_IN_ROOT},
	{"AT_FDCWD", sys.AT_FDCWD, unix.AT_FDCWD},
	{"AT_SYMLINK_NOFOLLOW", sys.AT_SYMLINK_NOFOLLOW, unix.AT_SYMLINK_NOFOLLOW},
	{"AT_REMOVEDIR", sys.AT_REMOVEDIR, unix.AT_REMOVEDIR},
	{"AT_EMPTY_PATH", sys.AT_EMPTY_PATH, unix.AT_EMPTY_PATH},
	{"S_IFMT", sys.S_IFMT, unix.S_IFMT},
	{"S_IFSOCK", sys.S_IFSOCK, unix.S_IFSOCK},
	{"S_IFLNK", sys.S_IFLNK, unix.S_IFLNK},
	{"S_IFREG", sys.S_IFREG, unix.S_IFREG},
	{"S_IFBLK", sys.S_IFBLK, unix.S_IFBLK},
	{"S_IFDIR", sys.S_IFDIR, unix.S_IFDIR},
	{"S_IFCHR", sys.S_IFCHR, unix.S_IFCHR},
	{"S_IFIFO", sys.S_IFIFO, unix.S_IFIFO},
	{"S_ISUID", sys.S_ISUID, unix.S_ISUID},
	{"S_ISGID", sys.S_ISGID, unix.S_ISGID},
	{"S_ISVTX", sys.S_ISVTX, unix.S_ISVTX},
	{"DT_UNKNOWN", sys.DT_UNKNOWN, unix.DT_UNKNOWN},
	{"DT_FIFO", sys.DT_FIFO, unix.DT_FIFO},
	{"DT_CHR", sys.DT_CHR, unix.DT_CHR},
	{"DT_DIR", sys.DT_DIR, unix.DT_DIR},
	{"DT_BLK", sys.DT_BLK, unix.DT_BLK},
	{"DT_REG", sys.DT_REG, unix.DT_REG},
	{"DT_LNK", sys.DT_LNK, unix.DT_LNK},
	{"DT_SOCK", sys.DT_SOCK, unix.DT_SOCK},
	{"SEEK_SET", sys.SEEK_SET, unix.SEEK_SET},
	{"SEEK_CUR", sys.SEEK_CUR, unix.SEEK_CUR},
	{"SEEK_END", sys.SEEK_END, unix.SEEK_END},
	{"SEEK_DATA", sys.SEEK_DATA, unix.SEEK_DATA},
	{"SEEK_HOLE", sys.SEEK_HOLE, unix.SEEK_HOLE},
	{"F_DUPFD", sys.F_DUPFD, unix.F_DUPFD},
	{"F_GETFD", sys.F_GETFD, unix.F_GETFD},
	{"F_SETFD", sys.F_SETFD, unix.F_SETFD},
	{"F_GETFL", sys.F_GETFL, unix.F_GETFL},
	{"F_SETFL", sys.F_SETFL, unix.F_SETFL},
	{"F_DUPFD_CLOEXEC", sys.F_DUPFD_CLOEXEC, unix.F_DUPFD_CLOEXEC},
	{"F_ADD_SEALS", sys.F_ADD_SEALS, unix.F_ADD_SEALS},
	{"FD_CLOEXEC", sys.FD_CLOEXEC, unix.FD_CLOEXEC},
	{"F_SEAL_SEAL", sys.F_SEAL_SEAL, unix.F_SEAL_SEAL},
	{"F_SEAL_SHRINK", sys.F_SEAL_SHRINK, unix.F_SEAL_SHRINK},
	{"F_SEAL_GROW", sys.F_SEAL_GROW, unix.F_SEAL_GROW},
	{"F_SEAL_WRITE", sys.F_SEAL_WRITE, unix.F_SEAL_WRITE},
	{"CLOSE_RANGE_CLOEXEC", sys.CLOSE_RANGE_CLOEXEC, unix.CLOSE_RANGE_CLOEXEC},
	{"NAME_MAX", sys.NAME_MAX, unix.NAME_MAX},
	{"PATH_MAX", sys.PATH_MAX, unix.PathMax},
	{"LOCK_SH", sys.LOCK_SH, unix.LOCK_SH},
	{"LOCK_EX", sys.LOCK_EX, unix.LOCK_EX},
	{"LOCK_NB", sys.LOCK_NB, unix.LOCK_NB},
	{"LOCK_UN", sys.LOCK_UN, unix.LOCK_UN},
	{"F_GETLK", sys.F_GETLK, unix.F_GETLK},
	{"F_SETLK", sys.F_SETLK, unix.F_SETLK},
	{"F_SETLKW", sys.F_SETLKW, unix.F_SETLKW},
	{"F_OFD_GETLK", sys.F_OFD_GETLK, unix.F_OFD_GETLK},
	{"F_OFD_SETLK", sys.F_OFD_SETLK, unix.F_OFD_SETLK},
	{"F_OFD_SETLKW", sys.F_OFD_SETLKW, unix.F_OFD_SETLKW},
	{"F_RDLCK", sys.F_RDLCK, unix.F_RDLCK},
	{"F_WRLCK", sys.F_WRLCK, unix.F_WRLCK},
	{"F_UNLCK", sys.F_UNLCK, unix.F_UNLCK},
	{"PROT_READ", sys.PROT_READ, unix.PROT_READ},
	{"PROT_WRITE", sys.PROT_WRITE, unix.PROT_WRITE},
	{"MAP_SHARED", sys.MAP_SHARED, unix.MAP_SHARED},
	{"MAP_PRIVATE", sys.MAP_PRIVATE, unix.MAP_PRIVATE},
	{"MAP_ANONYMOUS", sys.MAP_ANONYMOUS, unix.MAP_ANONYMOUS},
	{"MFD_CLOEXEC", sys.MFD_CLOEXEC, unix.MFD_CLOEXEC},
	{"MFD_ALLOW_SEALING", sys.MFD_ALLOW_SEALING, unix.MFD_ALLOW_SEALING},
	{"AF_UNSPEC", sys.AF_UNSPEC, unix.AF_UNSPEC},
	{"AF_UNIX", sys.AF_UNIX, unix.AF_UNIX},
	{"AF_INET", sys.AF_INET, unix.AF_INET},
	{"AF_INET6", sys.AF_INET6, unix.AF_INET6},
	{"SOCK_STREAM", sys.SOCK_STREAM, unix.SOCK_STREAM},
	{"SOCK_DGRAM", sys.SOCK_DGRAM, unix.SOCK_DGRAM},
	{"SOCK_SEQPACKET", sys.SOCK_SEQPACKET, unix.SOCK_SEQPACKET},
	{"SOCK_NONBLOCK", sys.SOCK_NONBLOCK, unix.SOCK_NONBLOCK},
	{"SOCK_CLOEXEC", sys.SOCK_CLOEXEC, unix.SOCK_CLOEXEC},
	{"SOL_SOCKET", sys.SOL_SOCKET, unix.SOL_SOCKET},
	{"SO_REUSEADDR", sys.SO_REUSEADDR, unix.SO_REUSEADDR},
	{"SO_TYPE", sys.SO_TYPE, unix.SO_TYPE},
	{"SO_ERROR", sys.SO_ERROR, unix.SO_ERROR},
	{"SO_SNDBUF", sys.SO_SNDBUF, unix.SO_SNDBUF},
	{"SO_RCVBUF", sys.SO_RCVBUF, unix.SO_RCVBUF},
	{"SO_KEEPALIVE", sys.SO_KEEPALIVE, unix.SO_KEEPALIVE},
	{"SO_LINGER", sys.SO_LINGER, unix.SO_LINGER},
	{"SO_REUSEPORT", sys.SO_REUSEPORT, unix.SO_REUSEPORT},
	{"SO_RCVTIMEO", sys.SO_RCVTIMEO, unix.SO_RCVTIMEO},
	{"SO_SNDTIMEO", sys.SO_SNDTIMEO, unix.SO_SNDTIMEO},
	{"SO_ACCEPTCONN", sys.SO_ACCEPTCONN, unix.SO_ACCEPTCONN},
	{"IPPROTO_IP", sys.IPPROTO_IP, unix.IPPROTO_IP},
	{"IPPROTO_TCP", sys.IPPROTO_TCP, unix.IPPROTO_TCP},
	{"IPPROTO_IPV6", sys.IPPROTO_IPV6, unix.IPPROTO_IPV6},
	{"IPV6_V6ONLY", sys.IPV6_V6ONLY, unix.IPV6_V6ONLY},
	{"TCP_NODELAY", sys.TCP_NODELAY, unix.TCP_NODELAY},
	{"TCP_CORK", sys.TCP_CORK, unix.TCP_CORK},
	{"TCP_DEFER_ACCEPT", sys.TCP_DEFER_ACCEPT, unix.TCP_DEFER_ACCEPT},
	{"SHUT_RD", sys.SHUT_RD, unix.SHUT_RD},
	{"SHUT_WR", sys.SHUT_WR, unix.SHUT_WR},
	{"SHUT_RDWR", sys.SHUT_RDWR, unix.SHUT_RDWR},
	{"SOMAXCONN", sys.SOMAXCONN, unix.SOMAXCONN},
	{"MSG_PEEK", sys.MSG_PEEK, unix.MSG_PEEK},
	{"MSG_CTRUNC", sys.MSG_CTRUNC, unix.MSG_CTRUNC},
	{"MSG_TRUNC", sys.MSG_TRUNC, unix.MSG_TRUNC},
	{"MSG_DONTWAIT", sys.MSG_DONTWAIT, unix.MSG_DONTWAIT},
	{"MSG_NOSIGNAL", sys.MSG_NOSIGNAL, unix.MSG_NOSIGNAL},
	{"MSG_MORE", sys.MSG_MORE, unix.MSG_MORE},
	{"MSG_CMSG_CLOEXEC", sys.MSG_CMSG_CLOEXEC, unix.MSG_CMSG_CLOEXEC},
	{"POLLIN", sys.POLLIN, unix.POLLIN},
	{"POLLPRI", sys.POLLPRI, unix.POLLPRI},
	{"POLLOUT", sys.POLLOUT, unix.POLLOUT},
	{"POLLERR", sys.POLLERR, unix.POLLERR},
	{"POLLHUP", sys.POLLHUP, unix.POLLHUP},
	{"POLLNVAL", sys.POLLNVAL, unix.POLLNVAL},
	{"POLLRDHUP", sys.POLLRDHUP, unix.POLLRDHUP},
	{"EPOLL_CLOEXEC", sys.EPOLL_CLOEXEC, unix.EPOLL_CLOEXEC},
	{"EPOLL_CTL_ADD", sys.EPOLL_CTL_ADD, unix.EPOLL_CTL_ADD},
	{"EPOLL_CTL_DEL", sys.EPOLL_CTL_DEL, unix.EPOLL_CTL_DEL},
	{"EPOLL_CTL_MOD", sys.EPOLL_CTL_MOD, unix.EPOLL_CTL_MOD},
	{"EPOLLIN", sys.EPOLLIN, unix.EPOLLIN},
	{"EPOLLOUT", sys.EPOLLOUT, unix.EPOLLOUT},
	{"EPOLLERR", sys.EPOLLERR, unix.EPOLLERR},
	{"EPOLLHUP", sys.EPOLLHUP, unix.EPOLLHUP},
	{"EPOLLRDHUP", sys.EPOLLRDHUP, unix.EPOLLRDHUP},
	{"EPOLLEXCLUSIVE", sys.EPOLLEXCLUSIVE, unix.EPOLLEXCLUSIVE},
	{"EPOLLONESHOT", sys.EPOLLONESHOT, unix.EPOLLONESHOT},
	{"EPOLLET", sys.EPOLLET, unix.EPOLLET},
	{"MS_RDONLY", sys.MS_RDONLY, unix.MS_RDONLY},
	{"MS_NOSUID", sys.MS_NOSUID, unix.MS_NOSUID},
	{"MS_NODEV", sys.MS_NODEV, unix.MS_NODEV},
	{"MS_NOEXEC", sys.MS_NOEXEC, unix.MS_NOEXEC},
	{"MS_REMOUNT", sys.MS_REMOUNT, unix.MS_REMOUNT},
	{"MS_NOSYMFOLLOW", sys.MS_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	{"MS_NOATIME", sys.MS_NOATIME, unix.MS_NOATIME},
	{"MS_NODIRATIME", sys.MS_NODIRATIME, unix.MS_NODIRATIME},
	{"MS_BIND", sys.MS_BIND, unix.MS_BIND},
	{"MS_MOVE", sys.MS_MOVE, unix.MS_MOVE},
	{"MS_REC", sys.MS_REC, unix.MS_REC},
	{"MS_SILENT", sys.MS_SILENT, unix.MS_SILENT},
	{"MS_UNBINDABLE", sys.MS_UNBINDABLE, unix.MS_UNBINDABLE},
	{"MS_PRIVATE", sys.MS_PRIVATE, unix.MS_PRIVATE},
	{"MS_SLAVE", sys.MS_SLAVE, unix.MS_SLAVE},
	{"MS_SHARED", sys.MS_SHARED, unix.MS_SHARED},
	{"MS_RELATIME", sys.MS_RELATIME, unix.MS_RELATIME},
	{"MS_STRICTATIME", sys.MS_STRICTATIME, unix.MS_STRICTATIME},
	{"MNT_FORCE", sys.MNT_FORCE, unix.MNT_FORCE},
	{"MNT_DETACH", sys.MNT_DETACH, unix.MNT_DETACH},
	{"MNT_EXPIRE", sys.MNT_EXPIRE, unix.MNT_EXPIRE},
	{"UMOUNT_NOFOLLOW", sys.UMOUNT_NOFOLLOW, unix.UMOUNT_NOFOLLOW},
	{"CLONE_VM", sys.CLONE_VM, unix.CLONE_VM},
	{"CLONE_FS", sys.CLONE_FS, unix.CLONE_FS},
	{"CLONE_FILES", sys.CLONE_FILES, unix.CLONE_FILES},
	{"CLONE_SIGHAND", sys.CLONE_SIGHAND, unix.CLONE_SIGHAND},
	{"CLONE_THREAD", sys.CLONE_THREAD, unix.CLONE_THREAD},
	{"CLONE_NEWNS", sys.CLONE_NEWNS, unix.CLONE_NEWNS},
	{"CLONE_SYSVSEM", sys.CLONE_SYSVSEM, unix.CLONE_SYSVSEM},
	{"CLONE_NEWCGROUP", sys.CLONE_NEWCGROUP, unix.CLONE_NEWCGROUP},
	{"CLONE_NEWUTS", sys.CLONE_NEWUTS, unix.CLONE_NEWUTS},
	{"CLONE_NEWIPC", sys.CLONE_NEWIPC, unix.CLONE_NEWIPC},
	{"CLONE_NEWUSER", sys.CLONE_NEWUSER, unix.CLONE_NEWUSER},
	{"CLONE_NEWPID", sys.CLONE_NEWPID, unix.CLONE_NEWPID},
	{"CLONE_NEWNET", sys.CLONE_NEWNET, unix.CLONE_NEWNET},
	{"CLONE_NEWTIME", sys.CLONE_NEWTIME, unix.CLONE_NEWTIME},
	{"WNOHANG", sys.WNOHANG, unix.WNOHANG},
	{"WUNTRACED", sys.WUNTRACED, unix.WUNTRACED},
	{"WCONTINUED", sys.WCONTINUED, unix.WCONTINUED},
	{"RLIM_INFINITY", sys.RLIM_INFINITY, uint64(unix.RLIM_INFINITY)},
	{"RLIMIT_FSIZE", sys.RLIMIT_FSIZE, unix.RLIMIT_FSIZE},
	{"RLIMIT_CORE", sys.RLIMIT_CORE, unix.RLIMIT_CORE},
	{"RLIMIT_NPROC", sys.RLIMIT_NPROC, unix.RLIMIT_NPROC},
	{"RLIMIT_NOFILE", sys.RLIMIT_NOFILE, unix.RLIMIT_NOFILE},
	{"SIG_DFL", sys.SIG_DFL, 0 /* asm-generic/signal-defs.h */},
	{"SIG_IGN", sys.SIG_IGN, 1 /* asm-generic/signal-defs.h */},
	{"SFD_CLOEXEC", sys.SFD_CLOEXEC, unix.SFD_CLOEXEC},
	{"SFD_NONBLOCK", sys.SFD_NONBLOCK, unix.SFD_NONBLOCK},
	{"SIGHUP", sys.SIGHUP, unix.SIGHUP},
	{"SIGINT", sys.SIGINT, unix.SIGINT},
	{"SIGQUIT", sys.SIGQUIT, unix.SIGQUIT},
	{"SIGILL", sys.SIGILL, unix.SIGILL},
	{"SIGTRAP", sys.SIGTRAP, unix.SIGTRAP},
	{"SIGABRT", sys.SIGABRT, unix.SIGABRT},
	{"SIGBUS", sys.SIGBUS, unix.SIGBUS},
	{"SIGFPE", sys.SIGFPE, unix.SIGFPE},
	{"SIGKILL", sys.SIGKILL, unix.SIGKILL},
	{"SIGUSR1", sys.SIGUSR1, unix.SIGUSR1},
	{"SIGSEGV", sys.SIGSEGV, unix.SIGSEGV},
	{"SIGUSR2", sys.SIGUSR2, unix.SIGUSR2},
	{"SIGPIPE", sys.SIGPIPE, unix.SIGPIPE},
	{"SIGALRM", sys.SIGALRM, unix.SIGALRM},
	{"SIGTERM", sys.SIGTERM, unix.SIGTERM},
	{"SIGCHLD", sys.SIGCHLD, unix.SIGCHLD},
	{"SIGCONT", sys.SIGCONT, unix.SIGCONT},
	{"SIGSTOP", sys.SIGSTOP, unix.SIGSTOP},
	{"SIGTSTP", sys.SIGTSTP, unix.SIGTSTP},
	{"SIGTTIN", sys.SIGTTIN, unix.SIGTTIN},
	{"SIGTTOU", sys.SIGTTOU, unix.SIGTTOU},
	{"SIGURG", sys.SIGURG, unix.SIGURG},
	{"SIGXCPU", sys.SIGXCPU, unix.SIGXCPU},
	{"SIGXFSZ", sys.SIGXFSZ, unix.SIGXFSZ},
	{"SIGWINCH", sys.SIGWINCH, unix.SIGWINCH},
	{"SIGIO", sys.SIGIO, unix.SIGIO},
	{"SIGPWR", sys.SIGPWR, unix.SIGPWR},
	{"SIGSYS", sys.SIGSYS, unix.SIGSYS},
	{"IPC_PRIVATE", sys.IPC_PRIVATE, unix.IPC_PRIVATE},
	{"IPC_CREAT", sys.IPC_CREAT, unix.IPC_CREAT},
	{"IPC_EXCL", sys.IPC_EXCL, unix.IPC_EXCL},
	{"IPC_NOWAIT", sys.IPC_NOWAIT, unix.IPC_NOWAIT},
	{"SEM_UNDO", sys.SEM_UNDO, 0x1000 /* linux/sem.h */},
	{"SHM_RDONLY", sys.SHM_RDONLY, unix.SHM_RDONLY},
	{"SHM_DEST", sys.SHM_DEST, 0o1000 /* linux/shm.h */},
	{"RENAME_NOREPLACE", sys.RENAME_NOREPLACE, unix.RENAME_NOREPLACE},
	{"RENAME_EXCHANGE", sys.RENAME_EXCHANGE, unix.RENAME_EXCHANGE},
	{"RENAME_WHITEOUT", sys.RENAME_WHITEOUT, unix.RENAME_WHITEOUT},
	{"FALLOC_FL_KEEP_SIZE", sys.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_KEEP_SIZE},
	{"FALLOC_FL_PUNCH_HOLE", sys.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_PUNCH_HOLE},
	{"FALLOC_FL_COLLAPSE_RANGE", sys.FALLOC_FL_COLLAPSE_RANGE, unix.FALLOC_FL_COLLAPSE_RANGE},
	{"FALLOC_FL_ZERO_RANGE", sys.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE},
	{"FALLOC_FL_INSERT_RANGE", sys.FALLOC_FL_INSERT_RANGE, unix.FALLOC_FL_INSERT_RANGE},
	{"FALLOC_FL_UNSHARE_RANGE", sys.FALLOC_FL_UNSHARE_RANGE, unix.FALLOC_FL_UNSHARE_RANGE},
	{"TMPFS_MAGIC", sys.TMPFS_MAGIC, unix.TMPFS_MAGIC},
	{"EXT4_SUPER_MAGIC", sys.EXT4_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC},
	{"PROC_SUPER_MAGIC", sys.PROC_SUPER_MAGIC, unix.PROC_SUPER_MAGIC},
	{"PIPEFS_MAGIC", sys.PIPEFS_MAGIC, unix.PIPEFS_MAGIC},
	{"SOCKFS_MAGIC", sys.SOCKFS_MAGIC, unix.SOCKFS_MAGIC},
	{"ANON_INODE_FS_MAGIC", sys.ANON_INODE_FS_MAGIC, unix.ANON_INODE_FS_MAGIC},
	{"ST_RDONLY", sys.ST_RDONLY, unix.ST_RDONLY},
	{"ST_NOSUID", sys.ST_NOSUID, unix.ST_NOSUID},
	{"ST_NODEV", sys.ST_NODEV, unix.ST_NODEV},
	{"ST_NOEXEC", sys.ST_NOEXEC, unix.ST_NOEXEC},
	{"ST_VALID", sys.ST_VALID, 0x20}, // linux/statfs.h
	{"ST_RELATIME", sys.ST_RELATIME, unix.ST_RELATIME},
	{"ST_NOATIME", sys.ST_NOATIME, unix.ST_NOATIME},
	{"ST_NODIRATIME", sys.ST_NODIRATIME, unix.ST_NODIRATIME},
	{"ST_NOSYMFOLLOW", sys.ST_NOSYMFOLLOW, 0x2000},
	{"STATX_TYPE", sys.STATX_TYPE, unix.STATX_TYPE},
	{"STATX_MODE", sys.STATX_MODE, unix.STATX_MODE},
	{"STATX_NLINK", sys.STATX_NLINK, unix.STATX_NLINK},
	{"STATX_UID", sys.STATX_UID, unix.STATX_UID},
	{"STATX_GID", sys.STATX_GID, unix.STATX_GID},
	{"STATX_ATIME", sys.STATX_ATIME, unix.STATX_ATIME},
	{"STATX_MTIME", sys.STATX_MTIME, unix.STATX_MTIME},
	{"STATX_CTIME", sys.STATX_CTIME, unix.STATX_CTIME},
	{"STATX_INO", sys.STATX_INO, unix.STATX_INO},
	{"STATX_SIZE", sys.STATX_SIZE, unix.STATX_SIZE},
	{"STATX_BLOCKS", sys.STATX_BLOCKS, unix.STATX_BLOCKS},
	{"STATX_BASIC_STATS", sys.STATX_BASIC_STATS, unix.STATX_BASIC_STATS},
	{"STATX_BTIME", sys.STATX_BTIME, unix.STATX_BTIME},
	{"STATX_MNT_ID", sys.STATX_MNT_ID, unix.STATX_MNT_ID},
	{"STATX_MNT_ID_UNIQUE", sys.STATX_MNT_ID_UNIQUE, unix.STATX_MNT_ID_UNIQUE},
	{"STATX_ATTR_IMMUTABLE", sys.STATX_ATTR_IMMUTABLE, unix.STATX_ATTR_IMMUTABLE},
	{"STATX_ATTR_APPEND", sys.STATX_ATTR_APPEND, unix.STATX_ATTR_APPEND},
	{"STATX_ATTR_NODUMP", sys.STATX_ATTR_NODUMP, unix.STATX_ATTR_NODUMP},
	{"STATX_ATTR_AUTOMOUNT", sys.STATX_ATTR_AUTOMOUNT, unix.STATX_ATTR_AUTOMOUNT},
	{"STATX_ATTR_MOUNT_ROOT", sys.STATX_ATTR_MOUNT_ROOT, unix.STATX_ATTR_MOUNT_ROOT},
	{"STATX_ATTR_DAX", sys.STATX_ATTR_DAX, unix.STATX_ATTR_DAX},
	{"AT_NO_AUTOMOUNT", sys.AT_NO_AUTOMOUNT, unix.AT_NO_AUTOMOUNT},
	{"AT_STATX_FORCE_SYNC", sys.AT_STATX_FORCE_SYNC, unix.AT_STATX_FORCE_SYNC},
	{"AT_STATX_DONT_SYNC", sys.AT_STATX_DONT_SYNC, unix.AT_STATX_DONT_SYNC},
	{"XATTR_NAME_MAX", sys.XATTR_NAME_MAX, 255}, // linux/limits.h
	{"XATTR_SIZE_MAX", sys.XATTR_SIZE_MAX, 65536},
	{"XATTR_LIST_MAX", sys.XATTR_LIST_MAX, 65536},
	{"XATTR_CREATE", sys.XATTR_CREATE, unix.XATTR_CREATE},
	{"XATTR_REPLACE", sys.XATTR_REPLACE, unix.XATTR_REPLACE},
	{"AT_SYMLINK_FOLLOW", sys.AT_SYMLINK_FOLLOW, unix.AT_SYMLINK_FOLLOW},
}
