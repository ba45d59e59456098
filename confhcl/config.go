// Package confhcl reads httpjail's configuration: HCL 2 in which Apache's
// directives carry their own names in snake_case (MaxRequestsPerChild is
// max_requests_per_child).
//
// Parse turns source text into a Config of plain Go structs and reports
// everything that is wrong with it at once. It reads no files, knows no
// machine and looks nothing up: whether a path exists or a user is known is
// found out by whoever opens it, who can then point at the Range kept here.
//
// All values are literals. There are no variables, functions, templates or
// arithmetic, so a configuration means the same wherever it is read, and a
// hostile one cannot make the parser compute anything.
package confhcl

import (
	"path"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Config is a whole configuration. It survives encoding/json unchanged, which
// is how the parent hands it to its children.
type Config struct {
	// File is the name given to Parse; empty for Default.
	File string
	// Listen holds at least one address, in the order of the file.
	Listen []Listen
	// ServerRoot is absolute; relative paths start from it, see Path.
	ServerRoot string
	ServerName string
	// Timeout is the longest wait for one read or write of a request.
	Timeout time.Duration
	// KeepAliveTimeout is the longest wait for the next request of a
	// connection.
	KeepAliveTimeout time.Duration
	KeepAlive        bool
	// MaxKeepAliveRequests is the number of requests a connection may carry;
	// 0 is unlimited.
	MaxKeepAliveRequests int
	// ErrorLog is a path, opened outside the jail; empty is standard error.
	ErrorLog Located
	// TypesConfig is the path of a mime.types file; empty is the built-in
	// table.
	TypesConfig Located
	// LimitRequestLine and LimitRequestFieldSize are bytes.
	LimitRequestLine, LimitRequestFieldSize int
	// LimitRequestBody is bytes; 0 is unlimited.
	LimitRequestBody int64
	// Jail is nil without a jail block.
	Jail *Jail
	MPM  MPM
	// Sites holds at least one site. The one without a name, or else the
	// first, answers requests that name no other.
	Sites []Site
}

// Listen is an address to accept connections on.
type Listen struct {
	// Address is host:port with a canonical IP address for the host, or
	// :port for all addresses.
	Address string
	Range   hcl.Range
}

// The orders in which a server goes to jail, the values of Jail.Order.
const (
	OrderApache2  = "apache2"   // the parent goes in before the MPM starts
	OrderApache13 = "apache13"  // at the jail's place in the module list
	OrderPerChild = "per-child" // each child by itself; the parent stays out
)

// Jail is where the server locks itself up and who it becomes there.
type Jail struct {
	// Root is an absolute path.
	Root string
	// User and Group are names or "#" and a number, as in Apache; empty
	// where the file has none.
	User, Group string
	Order       string
	// After names the modules that initialise before the jail closes, with
	// OrderApache13; the others initialise inside.
	After                                   []Located
	Range, RootRange, UserRange, GroupRange hcl.Range
}

// Located is a value with its place in the file. Where Set is false the value
// is a default and the Range is that of the block it would stand in.
type Located struct {
	Value string
	Range hcl.Range
	Set   bool
}

// MPM is a multi-processing module and its directives. A directive that the
// module does not have is zero.
type MPM struct {
	Name string
	// PidFile, LockFile, ScoreBoardFile and CoreDumpDirectory are as written;
	// Config.Path resolves them. LockFile is empty where the mutex uses no
	// file; an unset one gets the parent's pid appended, as in Apache. An empty ScoreBoardFile is anonymous shared
	// memory; only a CoreDumpDirectory that is Set asks for core dumps.
	PidFile, AcceptMutex, LockFile, ScoreBoardFile, CoreDumpDirectory Located

	StartServers, MinSpareServers, MaxSpareServers int
	MaxClients, ServerLimit                        int
	ThreadLimit, ThreadsPerChild                   int
	MinSpareThreads, MaxSpareThreads               int
	// MaxRequestsPerChild counts connections; 0 is unlimited.
	MaxRequestsPerChild      int
	ListenBacklog            int
	NumServers, StartThreads int
	MaxThreadsPerChild       int
	MaxRequestsPerThread     int
	AsyncRequestWorkerFactor float64
	// GracefulShutdownTimeout of 0 waits until the last request is done.
	GracefulShutdownTimeout time.Duration
	ChildPerUserID          []ChildPerUserID
	Range                   hcl.Range
}

// ChildPerUserID gives Servers of perchild's processes to a user and group.
type ChildPerUserID struct {
	User, Group string
	Servers     int
	Range       hcl.Range
}

// AssignUserID says which of perchild's users serves a site.
type AssignUserID struct {
	User, Group string
	Range       hcl.Range
}

// Site is one virtual host.
type Site struct {
	// ServerName and ServerAlias are in lower case; an alias can have the
	// wildcards * and ?. At most one site has no ServerName.
	ServerName     string
	ServerAlias    []string
	DocumentRoot   Located
	DirectoryIndex []string
	// DotFiles serves files and folders whose name starts with a dot.
	DotFiles       bool
	FollowSymlinks bool
	AccessLog      *AccessLog
	// Headers are added to each response.
	Headers      map[string]string
	AssignUserID *AssignUserID
	Range        hcl.Range
}

// The formats of an access log, the values of AccessLog.Format.
const (
	FormatCommon   = "common"
	FormatCombined = "combined"
)

// AccessLog is a log of requests, opened outside the jail at start.
type AccessLog struct {
	Path   Located
	Format string
	Range  hcl.Range
}

// Path resolves a path of this configuration: a relative one starts from
// ServerRoot. An absolute or empty path is returned as it is. Nothing is
// cleaned: what ".." leads to depends on symbolic links.
func (c *Config) Path(p string) string {
	if p == "" || path.IsAbs(p) {
		return p
	}
	return strings.TrimSuffix(c.ServerRoot, "/") + "/" + p
}

// Default is the configuration of a server started without a file: event on
// 127.0.0.1:8080, no jail, one site with / as its document root.
func Default() *Config {
	c := defaults()
	c.Listen = []Listen{{Address: "127.0.0.1:8080"}}
	s := siteDefaults()
	s.DocumentRoot.Value = "/"
	c.Sites = []Site{s}
	return c
}

// defaults holds Apache 2.0's defaults (include/httpd.h, include/ap_config.h)
// for what a file may leave out.
func defaults() *Config {
	return &Config{
		ServerRoot:            "/",
		Timeout:               300 * time.Second, // DEFAULT_TIMEOUT
		KeepAliveTimeout:      15 * time.Second,  // DEFAULT_KEEPALIVE_TIMEOUT
		KeepAlive:             true,
		MaxKeepAliveRequests:  100,  // DEFAULT_KEEPALIVE
		LimitRequestLine:      8190, // DEFAULT_LIMIT_REQUEST_LINE
		LimitRequestFieldSize: 8190, // DEFAULT_LIMIT_REQUEST_FIELDSIZE
		MPM:                   mpmDefaults(defaultMPM, "/"),
	}
}

func siteDefaults() Site {
	return Site{DirectoryIndex: []string{"index.html"}, FollowSymlinks: true}
}

// Format puts source text into HCL's canonical layout. Text that does not
// parse is still laid out as far as it can be.
func Format(src []byte) []byte { return hclwrite.Format(src) }
