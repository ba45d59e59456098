//go:build !unix

package main

import (
	"os"
	"syscall"

	"github.com/httpjail/httpjail/sys"
)

// fakeSignals are what this process passes on to a simulated server.
var fakeSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

func otherSignal(os.Signal) sys.Signal { return sys.SIGTERM }
