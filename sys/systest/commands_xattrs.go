package systest

import (
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// xattrCommands are the calls of sys.Xattrs.
var xattrCommands = map[string]command{
	// setxattr PATH NAME VALUE [FLAGS [ATFLAGS]]
	"setxattr": func(a *agent, w args) string {
		return ok(a.s.Setxattr(w.str(0), w.str(1), []byte(w.str(2)), w.optFlags(3, xattrFlags), w.optFlags(4, atFlags)))
	},
	// fsetxattr FD NAME VALUE [FLAGS]
	"fsetxattr": func(a *agent, w args) string {
		return ok(a.s.Fsetxattr(a.fd(w.str(0)), w.str(1), []byte(w.str(2)), w.optFlags(3, xattrFlags)))
	},
	// getxattr PATH NAME [SIZE [ATFLAGS]]
	"getxattr": func(a *agent, w args) string {
		p := make([]byte, w.optNum(2, 100))
		n, err := a.s.Getxattr(w.str(0), w.str(1), p, w.optFlags(3, atFlags))
		return xattrValue(p, n, err)
	},
	// fgetxattr FD NAME [SIZE]
	"fgetxattr": func(a *agent, w args) string {
		p := make([]byte, w.optNum(2, 100))
		n, err := a.s.Fgetxattr(a.fd(w.str(0)), w.str(1), p)
		return xattrValue(p, n, err)
	},
	// listxattr PATH [ATFLAGS] lists the names in their order. What a security
	// module has given to the file is left out.
	"listxattr": func(a *agent, w args) string {
		names, err := a.s.Listxattr(w.str(0), w.optFlags(1, atFlags))
		return xattrNames(names, err)
	},
	"flistxattr": func(a *agent, w args) string {
		names, err := a.s.Flistxattr(a.fd(w.str(0)))
		return xattrNames(names, err)
	},
	// removexattr PATH NAME [ATFLAGS]
	"removexattr":  func(a *agent, w args) string { return ok(a.s.Removexattr(w.str(0), w.str(1), w.optFlags(2, atFlags))) },
	"fremovexattr": func(a *agent, w args) string { return ok(a.s.Fremovexattr(a.fd(w.str(0)), w.str(1))) },
}

var xattrFlags = map[string]int{"create": sys.XATTR_CREATE, "replace": sys.XATTR_REPLACE, "badflag": 4}

func xattrValue(p []byte, n int, err error) string {
	if err == nil && n > len(p) { // only the length was asked for
		return val(n, nil)
	}
	return data(p, n, err)
}

func xattrNames(names []string, err error) string {
	names = slices.DeleteFunc(names, func(n string) bool { return n == "security.selinux" || n == "security.SMACK64" })
	slices.Sort(names)
	return val("["+strings.Join(names, " ")+"]", err)
}
