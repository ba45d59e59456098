package main

import (
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// ctlVerbs are apachectl's.
var ctlVerbs = []string{"start", "stop", "restart", "graceful", "graceful-stop", "status", "fullstatus", "configtest"}

func ctlCommand() *cobra.Command {
	file := "/etc/httpjail.hcl"
	c := &cobra.Command{
		Use:   "ctl start|stop|restart|graceful|graceful-stop|status|fullstatus|configtest",
		Short: "Control a running server, as apachectl",
		Long: `Control a running server, as apachectl.

The server is found through the PidFile of the configuration, in its jail, and
answers on the control socket beside it. A restart reads the configuration anew,
outside the jail, opens logs and sockets, and hands all that in; what the server
cannot use it refuses, and goes on as it was.

  start          start the server, and return when it serves
  stop           stop it, and return when it is gone
  graceful-stop  the same, after what is being answered
  restart        end all children, then start new ones
  graceful       start new children; old ones finish what they are answering
  status         say whether it runs, and what its workers do
  fullstatus     the same, with a line for each worker
  configtest     check the configuration

The exit status is 0 when it was done, and 1 when not; status and fullstatus
exit with 1 when the server does not run.`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: slices.Clone(ctlVerbs),
		RunE: func(cmd *cobra.Command, args []string) error {
			abs, err := filepath.Abs(file)
			if err != nil {
				return err
			}
			status, err := runCtl(args[0], abs)
			if err != nil {
				return err
			}
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", file, "configuration file")
	return c
}
