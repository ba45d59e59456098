package sys

import (
	"strconv"
	"syscall"
)

// Errno is an error number. It is syscall.Errno, so that errors.Is knows it as
// fs.ErrNotExist and its like on every system; on systems other than Linux the
// numbers differ, the names and meanings do not.
type Errno = syscall.Errno

// Error numbers, see errno(3).
const (
	EPERM           = syscall.EPERM
	ENOENT          = syscall.ENOENT
	ESRCH           = syscall.ESRCH
	EINTR           = syscall.EINTR
	EIO             = syscall.EIO
	ENXIO           = syscall.ENXIO
	E2BIG           = syscall.E2BIG
	ENOEXEC         = syscall.ENOEXEC
	EBADF           = syscall.EBADF
	ECHILD          = syscall.ECHILD
	EAGAIN          = syscall.EAGAIN
	ENOMEM          = syscall.ENOMEM
	EACCES          = syscall.EACCES
	EFAULT          = syscall.EFAULT
	ENOTBLK         = syscall.ENOTBLK
	EBUSY           = syscall.EBUSY
	EEXIST          = syscall.EEXIST
	EXDEV           = syscall.EXDEV
	ENODEV          = syscall.ENODEV
	ENOTDIR         = syscall.ENOTDIR
	EISDIR          = syscall.EISDIR
	EINVAL          = syscall.EINVAL
	ENFILE          = syscall.ENFILE
	EMFILE          = syscall.EMFILE
	ENOTTY          = syscall.ENOTTY
	ETXTBSY         = syscall.ETXTBSY
	EFBIG           = syscall.EFBIG
	ENOSPC          = syscall.ENOSPC
	ESPIPE          = syscall.ESPIPE
	EROFS           = syscall.EROFS
	EMLINK          = syscall.EMLINK
	EPIPE           = syscall.EPIPE
	EDOM            = syscall.EDOM
	ERANGE          = syscall.ERANGE
	EDEADLK         = syscall.EDEADLK
	ENAMETOOLONG    = syscall.ENAMETOOLONG
	ENOLCK          = syscall.ENOLCK
	ENOSYS          = syscall.ENOSYS
	ENOTEMPTY       = syscall.ENOTEMPTY
	ELOOP           = syscall.ELOOP
	ENOMSG          = syscall.ENOMSG
	EIDRM           = syscall.EIDRM
	ENOSTR          = syscall.ENOSTR
	ENODATA         = syscall.ENODATA
	ETIME           = syscall.ETIME
	ENOSR           = syscall.ENOSR
	EREMOTE         = syscall.EREMOTE
	ENOLINK         = syscall.ENOLINK
	EPROTO          = syscall.EPROTO
	EMULTIHOP       = syscall.EMULTIHOP
	EBADMSG         = syscall.EBADMSG
	EOVERFLOW       = syscall.EOVERFLOW
	EILSEQ          = syscall.EILSEQ
	EUSERS          = syscall.EUSERS
	ENOTSOCK        = syscall.ENOTSOCK
	EDESTADDRREQ    = syscall.EDESTADDRREQ
	EMSGSIZE        = syscall.EMSGSIZE
	EPROTOTYPE      = syscall.EPROTOTYPE
	ENOPROTOOPT     = syscall.ENOPROTOOPT
	EPROTONOSUPPORT = syscall.EPROTONOSUPPORT
	ESOCKTNOSUPPORT = syscall.ESOCKTNOSUPPORT
	EOPNOTSUPP      = syscall.EOPNOTSUPP
	EPFNOSUPPORT    = syscall.EPFNOSUPPORT
	EAFNOSUPPORT    = syscall.EAFNOSUPPORT
	EADDRINUSE      = syscall.EADDRINUSE
	EADDRNOTAVAIL   = syscall.EADDRNOTAVAIL
	ENETDOWN        = syscall.ENETDOWN
	ENETUNREACH     = syscall.ENETUNREACH
	ENETRESET       = syscall.ENETRESET
	ECONNABORTED    = syscall.ECONNABORTED
	ECONNRESET      = syscall.ECONNRESET
	ENOBUFS         = syscall.ENOBUFS
	EISCONN         = syscall.EISCONN
	ENOTCONN        = syscall.ENOTCONN
	ESHUTDOWN       = syscall.ESHUTDOWN
	ETOOMANYREFS    = syscall.ETOOMANYREFS
	ETIMEDOUT       = syscall.ETIMEDOUT
	ECONNREFUSED    = syscall.ECONNREFUSED
	EHOSTDOWN       = syscall.EHOSTDOWN
	EHOSTUNREACH    = syscall.EHOSTUNREACH
	EALREADY        = syscall.EALREADY
	EINPROGRESS     = syscall.EINPROGRESS
	ESTALE          = syscall.ESTALE
	EDQUOT          = syscall.EDQUOT
	ECANCELED       = syscall.ECANCELED
	EOWNERDEAD      = syscall.EOWNERDEAD
	ENOTRECOVERABLE = syscall.ENOTRECOVERABLE
	EWOULDBLOCK     = EAGAIN     // as on Linux
	ENOTSUP         = EOPNOTSUPP // as on Linux
)

var errnoNames = map[Errno]string{
	EPERM:           "EPERM",
	ENOENT:          "ENOENT",
	ESRCH:           "ESRCH",
	EINTR:           "EINTR",
	EIO:             "EIO",
	ENXIO:           "ENXIO",
	E2BIG:           "E2BIG",
	ENOEXEC:         "ENOEXEC",
	EBADF:           "EBADF",
	ECHILD:          "ECHILD",
	EAGAIN:          "EAGAIN",
	ENOMEM:          "ENOMEM",
	EACCES:          "EACCES",
	EFAULT:          "EFAULT",
	ENOTBLK:         "ENOTBLK",
	EBUSY:           "EBUSY",
	EEXIST:          "EEXIST",
	EXDEV:           "EXDEV",
	ENODEV:          "ENODEV",
	ENOTDIR:         "ENOTDIR",
	EISDIR:          "EISDIR",
	EINVAL:          "EINVAL",
	ENFILE:          "ENFILE",
	EMFILE:          "EMFILE",
	ENOTTY:          "ENOTTY",
	ETXTBSY:         "ETXTBSY",
	EFBIG:           "EFBIG",
	ENOSPC:          "ENOSPC",
	ESPIPE:          "ESPIPE",
	EROFS:           "EROFS",
	EMLINK:          "EMLINK",
	EPIPE:           "EPIPE",
	EDOM:            "EDOM",
	ERANGE:          "ERANGE",
	EDEADLK:         "EDEADLK",
	ENAMETOOLONG:    "ENAMETOOLONG",
	ENOLCK:          "ENOLCK",
	ENOSYS:          "ENOSYS",
	ENOTEMPTY:       "ENOTEMPTY",
	ELOOP:           "ELOOP",
	ENOMSG:          "ENOMSG",
	EIDRM:           "EIDRM",
	ENOSTR:          "ENOSTR",
	ENODATA:         "ENODATA",
	ETIME:           "ETIME",
	ENOSR:           "ENOSR",
	EREMOTE:         "EREMOTE",
	ENOLINK:         "ENOLINK",
	EPROTO:          "EPROTO",
	EMULTIHOP:       "EMULTIHOP",
	EBADMSG:         "EBADMSG",
	EOVERFLOW:       "EOVERFLOW",
	EILSEQ:          "EILSEQ",
	EUSERS:          "EUSERS",
	ENOTSOCK:        "ENOTSOCK",
	EDESTADDRREQ:    "EDESTADDRREQ",
	EMSGSIZE:        "EMSGSIZE",
	EPROTOTYPE:      "EPROTOTYPE",
	ENOPROTOOPT:     "ENOPROTOOPT",
	EPROTONOSUPPORT: "EPROTONOSUPPORT",
	ESOCKTNOSUPPORT: "ESOCKTNOSUPPORT",
	EOPNOTSUPP:      "EOPNOTSUPP",
	EPFNOSUPPORT:    "EPFNOSUPPORT",
	EAFNOSUPPORT:    "EAFNOSUPPORT",
	EADDRINUSE:      "EADDRINUSE",
	EADDRNOTAVAIL:   "EADDRNOTAVAIL",
	ENETDOWN:        "ENETDOWN",
	ENETUNREACH:     "ENETUNREACH",
	ENETRESET:       "ENETRESET",
	ECONNABORTED:    "ECONNABORTED",
	ECONNRESET:      "ECONNRESET",
	ENOBUFS:         "ENOBUFS",
	EISCONN:         "EISCONN",
	ENOTCONN:        "ENOTCONN",
	ESHUTDOWN:       "ESHUTDOWN",
	ETOOMANYREFS:    "ETOOMANYREFS",
	ETIMEDOUT:       "ETIMEDOUT",
	ECONNREFUSED:    "ECONNREFUSED",
	EHOSTDOWN:       "EHOSTDOWN",
	EHOSTUNREACH:    "EHOSTUNREACH",
	EALREADY:        "EALREADY",
	EINPROGRESS:     "EINPROGRESS",
	ESTALE:          "ESTALE",
	EDQUOT:          "EDQUOT",
	ECANCELED:       "ECANCELED",
	EOWNERDEAD:      "EOWNERDEAD",
	ENOTRECOVERABLE: "ENOTRECOVERABLE",
}

// ErrnoName is the symbolic name of an error number, "ENOENT".
func ErrnoName(e Errno) string {
	if n, ok := errnoNames[e]; ok {
		return n
	}
	return "E" + strconv.Itoa(int(e))
}

// ErrnoByName is the error number with a symbolic name; EWOULDBLOCK and ENOTSUP
// are known too.
func ErrnoByName(name string) (Errno, bool) {
	switch name {
	case "EWOULDBLOCK":
		return EWOULDBLOCK, true
	case "ENOTSUP":
		return ENOTSUP, true
	}
	for e, n := range errnoNames {
		if n == name {
			return e, true
		}
	}
	return 0, false
}
