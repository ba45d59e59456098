package mpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake"
)

// onMachine runs a process on a simulated machine and fails the test with what
// it returns.
func onMachine(t *testing.T, run func(s sys.Sys) error) {
	t.Helper()
	m := fake.Boot(fake.Config{Mode: fake.Deterministic, Seed: 1, Image: func(m *fake.Machine) { m.MkdirAll("/run", 0o755, 0, 0) }})
	defer m.Close()
	var out bytes.Buffer
	pid, err := m.Start(fake.ProcSpec{Argv: []string{"test"}, Stderr: &out, Program: func(s sys.Sys, _, _ []string) int {
		if err := run(s); err != nil {
			sys.WriteAll(s, 2, []byte(err.Error()))
			return 1
		}
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := m.Wait(pid); err != nil || status != 0 {
		t.Fatalf("%v, %#x: %s", err, uint32(status), out.Bytes())
	}
}

// TestReadScoreboard reads what a child may have made of the file: its counts
// where it is a scoreboard, EINVAL where its header cannot be.
func TestReadScoreboard(t *testing.T) {
	const file = "/run/score"
	onMachine(t, func(s sys.Sys) error {
		sb, fd, err := CreateScoreboard(s, &Config{ScoreBoardFile: file, ServerLimit: 2, ThreadLimit: 3})
		if err != nil {
			return err
		}
		w := sb.Worker(1, 2)
		w.Set(Ready)
		w.Connected()
		w.Served(10, 5)
		// One that was killed while it counted.
		torn := sb.Worker(0, 0)
		torn.Set(Writing)
		torn.mem.Store32(torn.off+workerSeq, 7)
		s.Close(fd)
		if err := sb.Close(s); err != nil {
			return err
		}
		read := func() ([]WorkerStats, error) {
			fd, err := s.Open(file, sys.O_RDONLY, 0)
			if err != nil {
				return nil, err
			}
			defer s.Close(fd)
			sb, err := ReadScoreboard(s, fd)
			if err != nil {
				return nil, err
			}
			defer sb.Close(s)
			return sb.Workers(), nil
		}
		got, err := read()
		if err != nil || len(got) != 2 || got[1] != (WorkerStats{Slot: 1, Thread: 2, Status: Ready, Accesses: 1, Bytes: 10, Conns: 1, Last: 5}) {
			t.Errorf("read %+v, %v", got, err)
		}
		for _, header := range []struct {
			name             string
			servers, threads uint32
		}{
			{"no servers", 0, 3},
			{"more than there are", 3, 3},
			{"negative", 1 << 31, 3},
			{"the file's size modulo 2^64", 146737473, 1964258823},
		} {
			fd, err := s.Open(file, sys.O_RDWR, 0)
			if err != nil {
				return err
			}
			b := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, header.servers), header.threads)
			_, err = s.Pwrite(fd, b, headerServers)
			s.Close(fd)
			if err != nil {
				return err
			}
			if got, err := read(); !errors.Is(err, sys.EINVAL) {
				t.Errorf("%s: read %+v, %v", header.name, got, err)
			}
		}
		return nil
	})
}
