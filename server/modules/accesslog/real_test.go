//go:build linux

package accesslog

import (
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/real"
)

func init() {
	backends["real"] = func(t testing.TB, test func(s sys.Sys, dir string)) { test(real.New(), t.TempDir()) }
}
