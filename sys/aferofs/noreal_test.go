//go:build !linux

package aferofs_test

import "github.com/httpjail/httpjail/sys"

var newReal func() sys.Sys
