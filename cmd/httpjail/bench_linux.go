package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/httpjail/httpjail/mpm/mutexbench"
	"github.com/httpjail/httpjail/sys/real"
)

// benchCommand measures on this machine what the documentation can only give
// for another.
func benchCommand() *cobra.Command {
	duration := "500ms"
	mutex := &cobra.Command{
		Use:   "mutex",
		Short: "Measure the accept mutexes, alone and contended by 2 and 8 processes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp("", "httpjail-bench-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if status := mutexbench.Program(real.New(), []string{"httpjail", dir, duration}, nil); status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
	mutex.Flags().StringVar(&duration, "for", duration, "how long each number is measured")
	c := &cobra.Command{Use: "bench", Short: "Measure this machine"}
	c.AddCommand(mutex)
	return c
}
