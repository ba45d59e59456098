//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
)

const backends = "fake"

// runChild has nothing to do: without the real backend, children live in the
// simulated machine and are never executed.
func runChild() int {
	fmt.Fprintln(os.Stderr, "httpjail: only a parent starts children")
	return exitUsage
}

// platformCommands are those that need the real backend.
func platformCommands() []*cobra.Command { return nil }

func canReal() error { return errors.New("the real backend needs Linux, this is " + runtime.GOOS) }

func runReal(string) (int, error) { return exitFailed, canReal() }

func runCtl(verb, file string) (int, error) { return exitFailed, canReal() }
