package server

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// directiveError says that the value of a directive cannot be used on this
// machine.
type directiveError struct {
	directive string
	where     hcl.Range
	err       error
	mend      string
}

func (e *directiveError) Error() string { return fmt.Sprintf("%s: %v", e.directive, e.err) }
func (e *directiveError) Unwrap() error { return e.err }

// diagnosis is everything that an operator needs about a failed start: one
// error, the path from both sides of the jail, the line, the mend.
type diagnosis struct {
	phase   Phase
	summary string
	jail    string // the path as the jail sees it; "" when it was seen outside
	outside string
	line    string
	mend    string
}

func (d *diagnosis) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "httpjail: %s: %s\n", d.phase, d.summary)
	for _, row := range []struct{ name, value string }{
		{"in the jail", d.jail}, {"outside", d.outside}, {"config", d.line}, {"to mend it", d.mend},
	} {
		if row.value != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", row.name+":", row.value)
		}
	}
	return b.String()
}

// diagnose explains a failed start. It may look at the filesystem from where
// the process is now.
func diagnose(s sys.Sys, phase Phase, cfg *confhcl.Config, err error) *diagnosis {
	d := &diagnosis{phase: phase, summary: err.Error()}
	var (
		dir  *directiveError
		path *module.PathError
		file *mpm.FileError
	)
	switch {
	case errors.As(err, &dir):
		d.line, d.mend = location(dir.where), dir.mend
	case errors.As(err, &path):
		d.summary = fmt.Sprintf("cannot %s: %v", path.Op, path.Err)
		if path.Where != nil {
			d.line = path.Where.String()
			if r, ok := path.Where.(hcl.Range); ok {
				d.line = location(r)
			}
		}
		d.paths(s, cfg, path.Path, path.Inside, path.Err)
		if path.Mend != "" {
			d.mend = path.Mend
		}
	case errors.As(err, &file):
		d.summary = fmt.Sprintf("cannot %s: %v", file.Op, file.Err)
		d.line = directiveLine(cfg, file.Directive)
		if file.Path != "" {
			d.paths(s, cfg, file.Path, parentJailed(cfg), file.Err)
		} else if errors.Is(file.Err, sys.ENOSPC) && file.Directive == "accept_mutex" {
			d.mend = "remove stale semaphores (ipcs -s, ipcrm -s ID) or raise kernel.sem"
		}
	}
	return d
}

// paths fills in both views of p and the mend for err.
func (d *diagnosis) paths(s sys.Sys, cfg *confhcl.Config, p string, inside bool, err error) {
	d.outside = p
	if inside && cfg != nil && cfg.Jail != nil {
		d.jail = p
		d.outside = path.Join(cfg.Jail.Root, p)
	}
	prefix := strings.TrimSuffix(d.outside, p)
	switch {
	case errors.Is(err, sys.ENOENT):
		if missing := firstMissing(s, p); missing != "" && missing != p {
			d.mend = "mkdir -p " + path.Dir(d.outside)
		} else {
			d.mend = "create " + d.outside
		}
	case errors.Is(err, sys.ENOTDIR):
		d.mend = "a part of the path is a file where a directory is needed: ls -ld " + path.Dir(d.outside)
	case errors.Is(err, sys.EACCES), errors.Is(err, sys.EPERM):
		d.mend = "allow it, or start as root: namei -l " + d.outside
	case errors.Is(err, sys.EEXIST):
		d.mend = "make sure that nobody uses it, then: rm " + d.outside
	case errors.Is(err, sys.ENOSPC), errors.Is(err, sys.EDQUOT):
		d.mend = "make room: df -h " + prefix + path.Dir(p)
	case errors.Is(err, sys.EROFS):
		d.mend = "the filesystem is mounted read-only: findmnt -T " + path.Dir(d.outside)
	case errors.Is(err, sys.ELOOP):
		d.mend = "it is a symbolic link, or leads through too many; those of the server's own files are not followed: namei -l " + d.outside
	case errors.Is(err, sys.EISDIR):
		d.mend = "it is a directory; name a file"
	}
}

// firstMissing is the first part of p that does not exist, seen from where the
// process is, or "".
func firstMissing(s sys.Sys, p string) string {
	parts := strings.Split(strings.Trim(p, "/"), "/")
	at := ""
	for _, part := range parts {
		at += "/" + part
		var st sys.Stat
		if err := s.Stat(at, &st); err == sys.ENOENT {
			return at
		}
	}
	return ""
}

// directiveLine is where the configuration sets one of the MPM's directives,
// or says that it does not.
func directiveLine(cfg *confhcl.Config, directive string) string {
	for _, l := range []struct {
		name string
		at   confhcl.Located
	}{
		{"pid_file", cfg.MPM.PidFile}, {"lock_file", cfg.MPM.LockFile}, {"accept_mutex", cfg.MPM.AcceptMutex},
		{"scoreboard_file", cfg.MPM.ScoreBoardFile}, {"core_dump_directory", cfg.MPM.CoreDumpDirectory},
	} {
		if l.name != directive {
			continue
		}
		if l.at.Set {
			return fmt.Sprintf("%s: %s = %q", location(l.at.Range), l.name, l.at.Value)
		}
		return fmt.Sprintf("%s is not set; the default is %q", l.name, l.at.Value)
	}
	return ""
}

// location is FILE:LINE of a range, or "" for a default without a file.
func location(r hcl.Range) string {
	if r.Filename == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line)
}
