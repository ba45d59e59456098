package thread_test

import (
	"testing"

	"github.com/httpjail/httpjail/sys/real"
)

func TestOnLinux(t *testing.T) {
	if err := exercise(real.New()); err != nil {
		t.Error(err)
	}
}
