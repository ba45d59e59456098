//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "daytimed: needs Linux; its tests do not: go test ./examples/daytimed")
	os.Exit(1)
}
