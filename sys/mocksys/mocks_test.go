package mocksys_test

import (
	"errors"
	"testing"

	"go.uber.org/mock/gomock"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/mocksys"
)

// The mocks are current: one of Sys, and one of each role.
var (
	_ sys.Sys         = (*mocksys.MockSys)(nil)
	_ sys.Files       = (*mocksys.MockFiles)(nil)
	_ sys.Descriptors = (*mocksys.MockDescriptors)(nil)
	_ sys.Dirs        = (*mocksys.MockDirs)(nil)
	_ sys.Attrs       = (*mocksys.MockAttrs)(nil)
	_ sys.Locks       = (*mocksys.MockLocks)(nil)
	_ sys.Procs       = (*mocksys.MockProcs)(nil)
	_ sys.Creds       = (*mocksys.MockCreds)(nil)
	_ sys.Signals     = (*mocksys.MockSignals)(nil)
	_ sys.SemV        = (*mocksys.MockSemV)(nil)
	_ sys.ShmV        = (*mocksys.MockShmV)(nil)
	_ sys.Memory      = (*mocksys.MockMemory)(nil)
	_ sys.Net         = (*mocksys.MockNet)(nil)
	_ sys.Messages    = (*mocksys.MockMessages)(nil)
	_ sys.Poller      = (*mocksys.MockPoller)(nil)
	_ sys.Epoll       = (*mocksys.MockEpoll)(nil)
	_ sys.Clock       = (*mocksys.MockClock)(nil)
	_ sys.Threads     = (*mocksys.MockThreads)(nil)
	_ sys.Jail        = (*mocksys.MockJail)(nil)
)

func TestWriteAllGoesOnAfterShortWrites(t *testing.T) {
	files := mocksys.NewMockFiles(gomock.NewController(t))
	gomock.InOrder(
		files.EXPECT().Write(3, []byte("hello")).Return(2, nil),
		files.EXPECT().Write(3, []byte("llo")).Return(0, sys.EINTR),
		files.EXPECT().Write(3, []byte("llo")).Return(2, nil),
		files.EXPECT().Write(3, []byte("o")).Return(0, sys.ENOSPC),
	)
	if err := sys.WriteAll(files, 3, []byte("hello")); !errors.Is(err, sys.ENOSPC) {
		t.Errorf("WriteAll = %v, want ENOSPC", err)
	}
}
