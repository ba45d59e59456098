package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// A child's first descriptors. The others follow, and handover says which is
// which.
const (
	childStdin    = 0
	childStdout   = 1
	childStderr   = 2 // and the error log
	childHandover = 3
)

// handoverMax bounds what a child reads.
const handoverMax = 64 << 20

// handover is what a child must know that cannot be seen inside the jail. The
// parent writes it into a memfd, JSON, which the child reads first.
type handover struct {
	Config  *confhcl.Config
	MPM     mpm.ChildState
	Modules []module.State // in the order of modules
	User    identity
}

// descriptors numbers what a child inherits.
type descriptors struct{ files []int }

func (d *descriptors) add(fd int) int {
	if fd < 0 {
		return -1
	}
	d.files = append(d.files, fd)
	return len(d.files) - 1
}

func (d *descriptors) addAll(fds []int) []int {
	var renumbered []int
	for _, fd := range fds {
		renumbered = append(renumbered, d.add(fd))
	}
	return renumbered
}

// spawnChild starts a child with the state st.
func (p *parent) spawnChild(st mpm.ChildState) (pid int, err error) {
	s := p.sys
	d := descriptors{files: []int{childStdin: p.devNull, childStdout: p.log.fd, childStderr: p.log.fd, childHandover: -1}}
	h := handover{Config: p.cfg, MPM: st, User: p.owner(st.Group)}
	h.MPM.Listeners = d.addAll(st.Listeners)
	h.MPM.Scoreboard = d.add(st.Scoreboard)
	h.MPM.Mutex.Fd = d.add(st.Mutex.Fd)
	h.MPM.Pod = d.add(st.Pod)
	h.MPM.Death = d.add(st.Death)
	h.MPM.Receive = d.add(st.Receive)
	h.MPM.Pass = d.addAll(st.Pass)
	for _, m := range p.modules {
		h.Modules = append(h.Modules, module.State{Data: m.Data, Files: d.addAll(m.Files)})
	}
	memfd, err := memfdOf(s, "httpjail handover", h)
	if err != nil {
		return 0, fmt.Errorf("handover: %w", err)
	}
	// The child has its own descriptor of it, or there is no child.
	defer s.Close(memfd)
	d.files[childHandover] = memfd
	argv := []string{fmt.Sprintf("httpjail: %s child %d", p.cfg.MPM.Name, st.Slot), childArg}
	// How many children share the processors, for whoever runs Program: in
	// prefork one for each client, else at least those of the start.
	sharing := st.Config.StartServers
	if st.Config.ThreadsPerChild == 1 {
		sharing = st.Config.MaxClients
	}
	env := append(slices.Clone(p.env), "HTTPJAIL_CHILDREN="+strconv.Itoa(sharing))
	if p.cfg.MPM.CoreDumpDirectory.Set {
		// Without it the Go runtime ends a crash with exit(2), and no core.
		env = append(env, "GOTRACEBACK=crash")
	}
	pid, err = s.Spawn(&sys.SpawnAttr{Exe: p.exe, Argv: argv, Env: env, Files: d.files})
	if err == sys.ENOENT {
		// execve(2) of a file that is open: what is missing is its interpreter.
		return 0, fmt.Errorf("the dynamic loader of this program is not in the jail; build it with CGO_ENABLED=0: %w", err)
	}
	if err != nil {
		return 0, fmt.Errorf("spawn: %w", err)
	}
	return pid, nil
}

// memfdOf is a memfd that holds v as JSON, to be read from its start.
func memfdOf(s sys.Sys, name string, v any) (fd int, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return -1, err
	}
	fd, err = s.MemfdCreate(name, sys.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err = sys.WriteAll(s, fd, data); err == nil {
		_, err = s.Lseek(fd, 0, sys.SEEK_SET)
	}
	if err != nil {
		s.Close(fd)
		return -1, err
	}
	return fd, nil
}

// readHandover is the child's side.
func readHandover(s sys.Sys) (*handover, error) {
	data, err := sys.ReadAll(s, childHandover, handoverMax)
	if err != nil {
		return nil, fmt.Errorf("cannot read the handover: %w", err)
	}
	if err := s.Close(childHandover); err != nil {
		return nil, fmt.Errorf("cannot close the handover: %w", err)
	}
	h := &handover{}
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("cannot read the handover: %w", err)
	}
	return h, nil
}
