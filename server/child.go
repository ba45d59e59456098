package server

import (
	"errors"
	"fmt"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/mpm/event"
	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
)

// runChild is the whole life of a child: what is inherited, the accept mutex
// (which needs privileges), the user, the modules, and then the MPM's
// topology.
func runChild(s sys.Sys) int {
	log := &errorLog{fd: childStderr, phase: PhaseMPM}
	status, err := serveAsChild(s, log)
	if err != nil {
		log.printf(s)("cannot start to serve: %v", err)
	}
	return status
}

func serveAsChild(s sys.Sys, log *errorLog) (status int, err error) {
	logf := log.printf(s)
	h, err := readHandover(s)
	if err != nil {
		return mpm.ExitInit, err
	}
	topo, err := topology(h.Config.MPM.Name)
	if err != nil {
		return mpm.ExitFatal, err
	}
	// The terminal's SIGINT goes to the whole process group: the parent alone
	// acts on it. SIGTERM ends a child by its default action.
	if err := s.Sigaction(sys.SIGINT, sys.SIG_IGN); err != nil {
		return mpm.ExitInit, fmt.Errorf("sigaction SIGINT: %w", err)
	}
	child, err := mpm.NewChild(s, h.MPM, logf)
	if err != nil {
		return initStatus(err), err
	}
	if j := h.Config.Jail; j != nil && j.Order == confhcl.OrderPerChild {
		if err := enterJail(s, j); err != nil {
			return initStatus(err), err
		}
	}
	if dir := h.Config.MPM.CoreDumpDirectory; dir.Set {
		if err := s.Chdir(h.Config.Path(dir.Value)); err != nil {
			return initStatus(err), &module.PathError{Op: "change to the core_dump_directory", Path: dir.Value,
				Inside: true, Where: dir.Range, Err: err}
		}
	}
	if err := dropPrivileges(s, h.User); err != nil {
		return initStatus(err), fmt.Errorf("cannot give up privileges: %w", err)
	}
	if h.Config.MPM.CoreDumpDirectory.Set {
		if err := allowCoreDumps(s); err != nil {
			return initStatus(err), err
		}
	}
	web, err := newWeb(s, h, child, logf)
	if err != nil {
		return initStatus(err), err
	}
	child.Serve, child.Resume = web.serve, web.resume
	if topo.Name == event.Topology.Name {
		child.Async = newAsync(s, web)
	}
	log.phase = PhaseServe
	return topo.Run(child), nil
}

// allowCoreDumps lets a crash leave a core in the working directory. A change of
// user has made the process undumpable, see PR_SET_DUMPABLE in prctl(2).
func allowCoreDumps(s sys.Sys) error {
	lim, err := s.Getrlimit(sys.RLIMIT_CORE)
	if err == nil {
		lim.Cur = lim.Max
		err = s.Setrlimit(sys.RLIMIT_CORE, lim)
	}
	if err != nil {
		return fmt.Errorf("cannot raise RLIMIT_CORE: %w", err)
	}
	if _, err := s.Prctl(sys.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_DUMPABLE: %w", err)
	}
	return nil
}

// initStatus tells a passing want of resources, after which another child may
// do better, from what would stop every child.
func initStatus(err error) int {
	for _, passing := range []error{sys.ENOMEM, sys.EMFILE, sys.ENFILE, sys.EAGAIN, sys.EINTR, sys.ENOSPC, sys.EIO} {
		if errors.Is(err, passing) {
			return mpm.ExitInit
		}
	}
	return mpm.ExitFatal
}
