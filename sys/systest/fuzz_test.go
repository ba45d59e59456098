package systest

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// played is a call that was made, and what it returned.
type played struct {
	proc, cmd, result string
	call              int // of the program, that it is or follows
}

func (p played) String() string {
	s := p.cmd
	if p.proc != "" {
		s = p.proc + ": " + s
	}
	if p.result != "ok" {
		s += " -> " + p.result
	}
	return s
}

// host is what a simulated machine has to have in common with this one.
type host struct {
	bounding uint64
	limits   [len(limited)]sys.Rlimit
	protect  func(*vfs.Tree)
}

// limited are the resources in host.limits.
var limited = [...]int{sys.RLIMIT_FSIZE, sys.RLIMIT_CORE, sys.RLIMIT_NPROC, sys.RLIMIT_NOFILE}

// program is Program with the host's limits.
func (h *host) program(s sys.Sys, argv, env []string) int {
	if argv[0] == directorName {
		for i, r := range limited {
			if err := s.Setrlimit(r, h.limits[i]); err != nil {
				return 3
			}
		}
	}
	return Program(s, argv, env)
}

// run runs a script on a simulated machine.
func (h *host) run(script []byte) ([]string, error) {
	m := fake.Boot(fake.Config{Mode: fake.Deterministic, Seed: 1, StepLimit: 5e6, Bounding: h.bounding, Image: func(m *fake.Machine) {
		m.Install("/bin/systest", 0o755, h.program)
		m.MkdirAll("/scratch", 0o755, 0, 0)
		h.protect(m.Tree())
	}})
	defer m.Close()
	var out, errs bytes.Buffer
	pid, err := m.Start(fake.ProcSpec{
		Path: "/bin/systest", Argv: []string{directorName, "5000", "1"}, Env: Environ(), Cwd: "/scratch",
		Stdin: bytes.NewReader(script), Stdout: &out, Stderr: &errs,
	})
	if err != nil {
		return nil, err
	}
	status, err := m.Wait(pid)
	if err == nil && (status != 0 || errs.Len() > 0) {
		err = fmt.Errorf("%s\n%s", statusString(status), errs.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), err
}

// header begins a script with the declarations.
func (p program) header() *bytes.Buffer {
	b := bytes.NewBufferString("case\tfuzz\t0\n")
	for _, d := range p.procs {
		decl, err := parseProc(d)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(b, "proc\t%s\t%s\t%s\t%s\t%s\n", decl.name, decl.uid, decl.gid, decl.groups, decl.caps)
	}
	return b
}

// play runs the program on the simulated kernel and returns the calls that make
// sense on both: those that were made, and when which process had gone on, or had
// died, so that one thing happens at a time on Linux too.
func (p program) play(h *host) ([]played, error) {
	script := p.header()
	var procs []string
	for _, d := range p.procs {
		name, _, _ := strings.Cut(d, " ")
		procs = append(procs, name)
	}
	var steps []played
	add := func(kind, proc, cmd string) {
		fmt.Fprintf(script, "step\t%s\t%s\t%s\n", kind, proc, cmd)
		steps = append(steps, played{proc: proc, cmd: cmd})
	}
	first := map[int]int{} // the step of each call
	for i, c := range p.calls {
		first[i] = len(steps)
		kind := ""
		switch {
		case c.proc == "":
			kind = "blocks"
		case c.needs:
			kind = "needs"
		}
		add(kind, c.proc, c.cmd)
		if w := strings.Fields(c.cmd); w[0] == "spawn" {
			procs = append(procs, w[1])
		}
		for _, name := range procs {
			add("blocks", "", "wait "+name)
			add("blocks", "", "dead "+name)
		}
	}
	results, err := h.run(script.Bytes())
	if len(results) < len(steps) {
		return nil, fmt.Errorf("%v: no result: %v", steps[len(results)], err)
	}
	if err != nil {
		return nil, err
	}
	var made []played
	var waiting []string // those that still wait at the end
	for i := range p.calls {
		from, to := first[i], len(steps)
		if i+1 < len(p.calls) {
			to = first[i+1]
		}
		for j := from; j < to; j++ {
			s := steps[j]
			s.result, s.call = results[j], i
			if j > from && (s.result == "blocks" || s.result == "lives") {
				continue
			}
			// What is not simulated had no effect, and is not compared.
			if strings.HasPrefix(s.result, "script:") || s.result == "ENOSYS" {
				continue
			}
			made = append(made, s)
		}
	}
	for i := range made {
		switch m := made[i]; {
		case m.proc != "" && m.result == "blocks":
			waiting = append(waiting, m.proc)
		case strings.HasPrefix(m.cmd, "wait "), strings.HasPrefix(m.cmd, "dead "):
			waiting = slices.DeleteFunc(waiting, func(w string) bool { return w == m.cmd[5:] })
		}
	}
	for _, w := range waiting {
		made = append(made, played{cmd: "still " + w, result: "blocks"})
	}
	return made, nil
}

var clockTime = regexp.MustCompile(`\d{9,}\.\d+`)

// comparable is a result without what may differ.
func (p played) comparable() string {
	if strings.HasPrefix(p.cmd, "times ") {
		return clockTime.ReplaceAllString(p.result, "now")
	}
	return p.result
}

// TestFuzzKnowsAllCommands fails when a command is added that no random program
// uses.
func TestFuzzKnowsAllCommands(t *testing.T) {
	made := map[string]bool{}
	for seed := range uint64(2000) {
		for _, c := range generate(seed, 100).calls {
			name, _, _ := strings.Cut(c.cmd, " ")
			made[name] = true
		}
	}
	known := tableCommands()
	for _, commands := range allCommands {
		maps.Copy(known, commands)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		reason, left := notGenerated[name]
		switch {
		case !made[name] && !left:
			t.Errorf("no random program uses %s: see commandGens", name)
		case made[name] && left:
			t.Errorf("%s is used, though: %s", name, reason)
		}
	}
}
