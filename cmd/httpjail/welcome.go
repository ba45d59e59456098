package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/httpjail/httpjail/server/welcome"
)

// welcomeConfig is the configuration of a server that was given none. The
// second %s is user and group, where there are any.
const welcomeConfig = `listen = ["127.0.0.1:8080"]
jail {
  root = %q
%s}
mpm "event" {
  pid_file = "/run/httpd.pid"
}
site {
  document_root = "/htdocs"
}
`

const welcomeUser = "  user  = \"nobody\"\n  group = %q\n"

// welcomeJail is a jail with the welcome site, in a temporary directory.
type welcomeJail struct{ dir, config string }

func (w *welcomeJail) remove() {
	if err := os.RemoveAll(w.dir); err != nil {
		fmt.Fprintf(os.Stderr, "httpjail: %v\n", err)
	}
}

// makeWelcome makes the jail; root says that this process is root, and that
// children must become another user.
func makeWelcome(root bool) (w *welcomeJail, err error) {
	dir, err := os.MkdirTemp("", "httpjail-welcome-")
	if err != nil {
		return nil, err
	}
	w = &welcomeJail{dir: dir, config: filepath.Join(dir, "httpjail.hcl")}
	defer func() {
		if err != nil {
			w.remove()
		}
	}()
	jail := filepath.Join(dir, "jail")
	for _, d := range []string{"run", "htdocs"} {
		if err := os.MkdirAll(filepath.Join(jail, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // MkdirTemp makes 0700
		return nil, err
	}
	err = eachWelcomeFile(func(name string, data []byte) error {
		p := filepath.Join(jail, "htdocs", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		return os.WriteFile(p, data, 0o644)
	})
	if err != nil {
		return nil, err
	}
	user := ""
	if root {
		user = fmt.Sprintf(welcomeUser, nobodyGroup())
	}
	return w, os.WriteFile(w.config, fmt.Appendf(nil, welcomeConfig, jail, user), 0o644)
}

// nobodyGroup is nobody's group: Debian calls it nogroup, others nobody.
func nobodyGroup() string {
	group, err := os.ReadFile("/etc/group")
	if err == nil && !strings.Contains("\n"+string(group), "\nnogroup:") {
		return "nobody"
	}
	return "nogroup"
}

func eachWelcomeFile(f func(name string, data []byte) error) error {
	files := welcome.Files()
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return f(name, data)
	})
}
