//go:build unix

package main

import (
	"os"
	"syscall"

	"github.com/httpjail/httpjail/sys"
)

// fakeSignals are what this process passes on to a simulated server.
var fakeSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGWINCH}

func otherSignal(sig os.Signal) sys.Signal {
	switch sig {
	case syscall.SIGUSR1:
		return sys.SIGUSR1
	case syscall.SIGWINCH:
		return sys.SIGWINCH
	}
	return sys.SIGTERM
}
