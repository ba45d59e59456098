// Package fs measures the simulated kernel's filesystem beside afero's MemMapFs,
// pebble's vfs.MemFS and Linux's tmpfs, in one run:
//
//	cd bench/fs && go test -bench . -count 6
//
// sys/fake checks permissions, symlinks, roots and limits at each call, and
// counts calls and virtual time; the two others of its kind do not.
package fs
