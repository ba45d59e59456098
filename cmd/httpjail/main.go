// Command httpjail is the web server that jails itself.
//
//	httpjail run [-c FILE] [--backend auto|real|fake]
//	httpjail ctl start|stop|restart|graceful|graceful-stop|status|fullstatus|configtest [-c FILE]
//	httpjail check -c FILE
//	httpjail version
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/httpjail/httpjail/mpm/mutexbench"
	"github.com/httpjail/httpjail/server"
)

// Exit statuses, apachectl's.
const (
	exitFailed = 1
	exitUsage  = 2
)

// exitStatus is an error that has been explained to the user already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	// A child is executed inside the jail by its parent: nothing of the command
	// line is meant for it.
	if server.IsChild(os.Args) || mutexbench.IsChild(os.Args) {
		os.Exit(runChild())
	}
	root := &cobra.Command{
		Use:           "httpjail",
		Short:         "The web server that jails itself",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), ctlCommand(), checkCommand(), versionCommand())
	root.AddCommand(platformCommands()...)
	err := root.Execute()
	var status exitStatus
	switch {
	case err == nil:
	case errors.As(err, &status):
		os.Exit(int(status))
	default:
		fmt.Fprintf(os.Stderr, "httpjail: %v\n", err)
		os.Exit(exitUsage)
	}
}
