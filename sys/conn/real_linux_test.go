package conn_test

import (
	"testing"

	"github.com/httpjail/httpjail/sys/real"
)

func TestOnLinux(t *testing.T) {
	if err := exercise(real.New(), t.TempDir()); err != nil {
		t.Error(err)
	}
}
