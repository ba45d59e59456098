package trace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Normalise replaces, in lines of a trace, what differs between two runs that
// are otherwise the same, or between two kernels: process and thread ids, device
// and inode numbers, ids of System V IPC, ports, and the time. Equal numbers
// become the same ordinal, in the order in which they first appear: "P1", "T2",
// "ino3". Different ids stay different and equal ones equal.
//
// Give it the lines of one process at a time (see ByProcess): how the lines of
// several are mixed is up to the scheduler, and with it the order of first
// appearance.
func Normalise(lines []string) []string {
	n := normaliser{ids: map[string]map[string]string{}}
	// The process's own ids come first: a number in a call is a thread's or a
	// process's only if it is known as one.
	for _, l := range lines {
		if p, ok := parse(l); ok {
			n.id("P", p.pid)
			n.id("T", p.tid)
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = n.line(l)
	}
	return out
}

// ByProcess splits a trace into those of its processes. The key is the
// process's label, and for the second and later processes of that label the
// label with "#2" and so on, in the order of their first lines. Lines that are
// not a trace's are left out.
func ByProcess(lines []string) map[string][]string {
	keys := map[string]string{} // by label and pid
	count := map[string]int{}   // by label
	out := map[string][]string{}
	for _, l := range lines {
		p, ok := parse(l)
		if !ok {
			continue
		}
		id := p.proc + "[" + p.pid
		key, ok := keys[id]
		if !ok {
			count[p.proc]++
			key = p.proc
			if n := count[p.proc]; n > 1 {
				key += "#" + strconv.Itoa(n)
			}
			keys[id] = key
		}
		out[key] = append(out[key], l)
	}
	return out
}

// headRE is the beginning of a line, with or without Options.Time.
var headRE = regexp.MustCompile(`^(?:[0-9]+\.[0-9]{6} )?(.*?)\[(\d+)/(\d+)\] ([a-z0-9_]+)\(`)

// parsed is a line of Format in its parts.
type parsed struct{ proc, pid, tid, op, args, ret string }

func parse(line string) (p parsed, ok bool) {
	m := headRE.FindStringSubmatch(line)
	if m == nil {
		return p, false
	}
	rest := line[len(m[0]):]
	quoted := false
	for i := 0; i < len(rest); i++ {
		switch {
		case quoted && rest[i] == '\\':
			i++
		case rest[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(rest[i:], ") = "):
			return parsed{m[1], m[2], m[3], m[4], rest[:i], rest[i+len(") = "):]}, true
		}
	}
	return p, false
}

// What of an operation is an id: its first argument, its second, its result.
var (
	pidFirst  = set("kill", "wait4", "setpgid", "getpgid")
	pidSecond = set("setpgid")
	pidResult = set("fork", "wait4", "getpid", "getppid", "getpgid", "setsid")
	semIDs    = set("semtimedop", "semctl_setval", "semctl_getval", "semctl_stat", "semctl_set", "semctl_rmid")
	shmIDs    = set("shmat", "shmctl_stat", "shmctl_set", "shmctl_rmid")
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

var (
	quotedRE = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	fieldRE  = regexp.MustCompile(`\b(st_dev|st_ino|l_pid)=(\d+)`)
	inetRE   = regexp.MustCompile(`(\{AF_INET6? [^ }]*:)(\d+)\}`)
	numberRE = regexp.MustCompile(`^-?\d+`)
	digitsRE = regexp.MustCompile(`^"(\d+)(\\n)?"$`)
)

type normaliser struct {
	ids map[string]map[string]string // by kind and number
}

// id is the ordinal of a number. Process 0 is oneself, and port 0 none: both
// stay. 0 is an id like another of System V IPC.
func (n *normaliser) id(kind, number string) string {
	if number == "0" && (kind == "P" || kind == "port") {
		return number
	}
	m := n.ids[kind]
	if m == nil {
		m = map[string]string{}
		n.ids[kind] = m
	}
	if m[number] == "" {
		m[number] = kind + strconv.Itoa(len(m)+1)
	}
	return m[number]
}

// pid is the ordinal of what may also be a negated group, or -1.
func (n *normaliser) pid(number string) string {
	if rest, ok := strings.CutPrefix(number, "-"); ok {
		if rest == "1" {
			return number
		}
		return "-" + n.id("P", rest)
	}
	return n.id("P", number)
}

func (n *normaliser) line(l string) string {
	p, ok := parse(l)
	if !ok {
		return l
	}
	op, args, ret := p.op, p.args, p.ret
	failed := strings.HasPrefix(ret, "-1 E")
	switch {
	case pidFirst[op]:
		first, rest, more := strings.Cut(args, ", ")
		args = n.pid(first)
		if more && pidSecond[op] {
			rest = n.pid(rest)
		}
		if more {
			args += ", " + rest
		}
	case semIDs[op]:
		args = numberRE.ReplaceAllStringFunc(args, func(s string) string { return n.id("sem", s) })
	case shmIDs[op]:
		args = numberRE.ReplaceAllStringFunc(args, func(s string) string { return n.id("shm", s) })
	}
	args = n.fields(args)
	switch {
	case failed:
	case op == "clock_gettime":
		ret = "TIME"
	case op == "gettid":
		ret = n.id("T", ret)
	case op == "semget":
		ret = n.id("sem", ret)
	case op == "shmget":
		ret = n.id("shm", ret)
	case pidResult[op]:
		ret = numberRE.ReplaceAllStringFunc(ret, n.pid)
	default:
		ret = n.fields(ret)
	}
	return fmt.Sprintf("%s[%s/%s] %s(%s) = %s", p.proc, n.id("P", p.pid), n.id("T", p.tid), op, args, ret)
}

// fields replaces the ids that carry a name. Strings stay as they are, but for
// one that is a known process id and nothing else: what a PidFile holds.
func (n *normaliser) fields(s string) string {
	var b strings.Builder
	for {
		loc := quotedRE.FindStringIndex(s)
		if loc == nil {
			b.WriteString(n.named(s))
			return b.String()
		}
		b.WriteString(n.named(s[:loc[0]]))
		quoted := s[loc[0]:loc[1]]
		if m := digitsRE.FindStringSubmatch(quoted); m != nil && n.ids["P"][m[1]] != "" {
			quoted = `"` + n.ids["P"][m[1]] + m[2] + `"`
		}
		b.WriteString(quoted)
		s = s[loc[1]:]
	}
}

func (n *normaliser) named(s string) string {
	s = fieldRE.ReplaceAllStringFunc(s, func(f string) string {
		name, number, _ := strings.Cut(f, "=")
		switch name {
		case "l_pid":
			return name + "=" + n.pid(number)
		case "st_dev":
			return name + "=" + n.id("dev", number)
		}
		return name + "=" + n.id("ino", number)
	})
	return inetRE.ReplaceAllStringFunc(s, func(a string) string {
		m := inetRE.FindStringSubmatch(a)
		return m[1] + n.id("port", m[2]) + "}"
	})
}
