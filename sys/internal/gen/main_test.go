package main

import (
	"bytes"
	"os"
	"testing"
)

func TestWrapGenIsCurrent(t *testing.T) {
	want, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../intercept/wrap_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("sys/intercept/wrap_gen.go is stale: run go generate ./sys/intercept")
	}
	again, err := generate("../..")
	if err != nil || !bytes.Equal(again, want) {
		t.Errorf("two runs differ (%v)", err)
	}
}
