//go:build !linux

package net

import "testing"

// newHostKernel is nil where the kernel that runs the test is not Linux: the
// scenarios are then compared with testdata alone.
func newHostKernel(t *testing.T) kernel { return nil }
