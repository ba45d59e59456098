package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/httpjail/httpjail/confhcl"
)

// configMax is more than any configuration needs; confhcl refuses more.
const configMax = 2 << 20

func checkCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration, as apachectl configtest; - is standard input",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, src, err := readConfig(file)
			if err != nil {
				return err
			}
			if _, err := parseConfig(name, src); err != nil {
				return err
			}
			fmt.Println("Syntax OK")
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.MarkFlagRequired("config")
	return c
}

func readConfig(file string) (name string, src []byte, err error) {
	in := os.Stdin
	name = "standard input"
	if file != "-" {
		name = file
		if in, err = os.Open(file); err != nil {
			return name, nil, fmt.Errorf("cannot read the configuration: %w", err)
		}
		defer in.Close()
	}
	src, err = io.ReadAll(io.LimitReader(in, configMax))
	if err != nil {
		return name, nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return name, src, nil
}

// parseConfig prints whatever is to say about a configuration.
func parseConfig(name string, src []byte) (*confhcl.Config, error) {
	cfg, diags := confhcl.Parse(name, src)
	if len(diags) > 0 {
		width, color := 100, false
		if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) {
			color = os.Getenv("NO_COLOR") == ""
			if w, _, err := term.GetSize(fd); err == nil {
				width = w
			}
		}
		confhcl.Print(os.Stderr, map[string][]byte{name: src}, diags, color, width)
	}
	if diags.HasErrors() {
		return nil, exitStatus(exitFailed)
	}
	return cfg, nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, args []string) {
			version := "(unknown)"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						version += " " + s.Value
					}
				}
			}
			fmt.Printf("httpjail %s\n%s %s/%s\nbackends: %s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, backends)
		},
	}
}
