package main

import (
	"os"

	"github.com/httpjail/httpjail/sys/real"
)

func main() { os.Exit(Program(real.New(), os.Args, os.Environ())) }
