package systest

import "strings"

// tableCommands are commands on commands, which tables need: a call is given as
// one word, "chmod:600". They are in a function because they refer to all.
func tableCommands() map[string]command {
	return map[string]command{
		// in DIR CALL makes a call with DIR as the working directory.
		"in": func(a *agent, w args) string {
			if err := a.s.Chdir(w.str(0)); err != nil {
				return "cd " + errName(err)
			}
			defer a.s.Chdir(a.base)
			return a.call(strings.Join(w[1:], " "))
		},
		// run CALL makes a call.
		"run": func(a *agent, w args) string { return a.call(strings.ReplaceAll(w[0], ":", " ")) },
		// quiet CALL says ok instead of what was returned.
		"quiet": func(a *agent, w args) string {
			r := a.call(strings.ReplaceAll(w[0], ":", " "))
			if failed(r) {
				return r
			}
			return "ok"
		},
		// on CALL PATH makes a call whose first argument is PATH.
		"on": func(a *agent, w args) string {
			name, rest, _ := strings.Cut(w[0], ":")
			path := w[1]
			switch name {
			case "symlink":
				return a.call("symlink target " + path)
			case "link-from":
				return a.call("link " + path + " linked")
			case "link-to":
				return a.call("link x/file " + path)
			case "rename-from":
				return a.call("rename " + path + " renamed")
			case "rename-to":
				return a.call("rename x/file " + path)
			}
			return a.call(name + " " + path + " " + strings.ReplaceAll(rest, ":", " "))
		},
	}
}
