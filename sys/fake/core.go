package fake

import (
	"fmt"
	"slices"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// crashStatus is the exit status of a Go program that crashed.
const crashStatus = 2

// crash ends p by a signal that a Go program takes for a crash: with exit status 2,
// or with GOTRACEBACK=crash in its environment by SIGABRT, whatever the signal was.
// Machine.mu is held.
func (m *Machine) crash(p *process, sig sys.Signal) {
	if slices.Contains(p.env, "GOTRACEBACK=crash") {
		m.abort(p, sig.String()+"\n")
	} else {
		m.doom(p, exitStatus(crashStatus))
	}
}

// abort is death by SIGABRT, with a core if the process may leave one. Machine.mu
// is held.
func (m *Machine) abort(p *process, why string) {
	if p.state.Load()&dying == 0 {
		p.core = fmt.Sprintf("core of %v: %s", p, why)
	}
	m.doom(p, sys.WaitStatus(sys.SIGABRT))
}

// dumped is the bit of a wait status that says that there is a core.
const dumped = 0x80

// dumpCore is do_coredump with the core_pattern "core": it leaves a core in the
// working directory and says whether it did, as wait4(2) reports it. A simulated
// process has no memory to write: the core is a text that says what it died of.
func (p *process) dumpCore(task *vfs.Task) bool {
	const minimum = 4096 // ELF_EXEC_PAGESIZE
	tree := p.m.tree
	p.m.mu.Lock()
	limit, dumpable := p.limits[sys.RLIMIT_CORE].Cur, p.attrs.Load().cred.dumpable
	p.m.mu.Unlock()
	if !dumpable || limit < minimum {
		return false
	}
	_ = tree.Unlink(task, "core") // what is wrong with it, opening it will tell
	how := vfs.BuildOpenHow(sys.O_CREAT|sys.O_WRONLY|sys.O_NOFOLLOW|sys.O_EXCL, 0o600)
	d, err := tree.Open(task, vfs.Path{}, "core", how)
	if err != nil {
		return false
	}
	defer d.Decref(task)
	var st sys.Stat
	if d.Stat(task, &st) != nil || st.Uid != task.Cred.Uid || st.Mode&0o677 != 0o600 {
		return false
	}
	text := p.core[:min(uint64(len(p.core)), limit)]
	_, _ = d.Write(task, []byte(text)) // elf_core_dump forgets that it failed
	return true
}
