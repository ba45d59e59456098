package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	var file, backend string
	c := &cobra.Command{
		Use:   "run [-c FILE]",
		Short: "Run the server in the foreground; without a configuration, a welcome site",
		Long: `Run the server in the foreground until SIGTERM, SIGINT or SIGWINCH (graceful).

Without a configuration it serves a welcome site on 127.0.0.1:8080 from a jail
of its own.

The backend is the kernel that the server runs on:
  real  Linux. Without root it runs in a user namespace of its own.
  fake  a simulated Linux kernel inside this process. Real connections on
        127.0.0.1 are bridged into the simulated machine; its filesystem is a
        copy of the jail, made at start and gone at the end.
  auto  real where it can be, else fake.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file != "" {
				if file, err = filepath.Abs(file); err != nil {
					return err
				}
			}
			status, err := run(file, backend)
			if err != nil {
				return err
			}
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().StringVar(&backend, "backend", "auto", "auto, real or fake")
	return c
}

func run(file, backend string) (status int, err error) {
	switch backend {
	case "auto":
		if err := canReal(); err != nil {
			fmt.Fprintf(os.Stderr, "httpjail: no real jail here (%v): using the simulated kernel\n", err)
			return runFake(file)
		}
		return runReal(file)
	case "real":
		if err := canReal(); err != nil {
			return exitFailed, fmt.Errorf("no real jail here: %w", err)
		}
		return runReal(file)
	case "fake":
		return runFake(file)
	}
	return exitUsage, fmt.Errorf("there is no backend %q: auto, real or fake", backend)
}
