package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/httpjail/httpjail/mpm/mutexbench"
	"github.com/httpjail/httpjail/server"
	"github.com/httpjail/httpjail/sys/real"
)

const backends = "real, fake"

func runChild() int {
	shareProcessors()
	program := server.Program
	if mutexbench.IsChild(os.Args) {
		program = mutexbench.Program
	}
	return program(real.New(), os.Args, os.Environ())
}

// shareProcessors gives a child its part of the processors, and not all to each:
// the children are the parallelism. Where the Go scheduler has a processor to
// spare, each connection that becomes readable wakes an OS thread that looks for
// more work, finds none and sleeps again: with two processors for each of two
// children a kept-alive request costs a third more.
func shareProcessors() {
	children, err := strconv.Atoi(os.Getenv("HTTPJAIL_CHILDREN"))
	if err != nil || children < 1 || os.Getenv("GOMAXPROCS") != "" {
		return
	}
	runtime.GOMAXPROCS((runtime.GOMAXPROCS(0) + children - 1) / children)
}

// platformCommands are those that need this kernel.
func platformCommands() []*cobra.Command { return []*cobra.Command{benchCommand()} }

// canReal says why there can be no jail on this kernel, or nil.
func canReal() error {
	if os.Geteuid() == 0 {
		return nil
	}
	if err := real.CanUserNamespace(); err != nil {
		return fmt.Errorf("not root, and no user namespace: %w", err)
	}
	return nil
}

// runReal runs the server on this kernel: in this process as root with a
// configuration; in a process of its own in a user namespace, or to clean up
// the welcome site's jail after it.
func runReal(file string) (status int, err error) {
	namespaced := os.Geteuid() != 0
	if file == "" {
		w, err := makeWelcome(!namespaced)
		if err != nil {
			return exitFailed, err
		}
		defer w.remove()
		file = w.config
		return reexec(file, namespaced)
	}
	if namespaced {
		return reexec(file, namespaced)
	}
	name := "real"
	if real.InUserNamespaceChild() {
		name = "real in a user namespace"
	}
	argv := []string{"httpjail", "run", "-c", file}
	return server.Program(real.New(), argv, append(os.Environ(), "HTTPJAIL_BACKEND="+name)), nil
}

func reexec(file string, namespaced bool) (int, error) {
	argv := []string{"httpjail", "run", "--backend", "real", "-c", file}
	if namespaced {
		return real.ReexecInUserNamespace(argv)
	}
	return real.Reexec(argv)
}

func runCtl(verb, file string) (int, error) {
	env := append(os.Environ(), "HTTPJAIL_BACKEND=real")
	return server.Program(real.New(), []string{"httpjail", "ctl", verb, "-c", file}, env), nil
}
