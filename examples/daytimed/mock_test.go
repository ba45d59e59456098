package main

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/mock/gomock"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/mocksys"
)

// A kernel that says yes and does nothing: no fake does that, a mock can.
func TestBecomeTrustsNobody(t *testing.T) {
	creds := mocksys.NewMockCreds(gomock.NewController(t))
	creds.EXPECT().Setgroups([]int{33}).Return(nil)
	creds.EXPECT().Setresgid(33, 33, 33).Return(nil)
	creds.EXPECT().Setresuid(33, 33, 33).Return(nil)
	creds.EXPECT().Prctl(sys.PR_SET_NO_NEW_PRIVS, uintptr(1), uintptr(0), uintptr(0), uintptr(0)).Return(0, nil)
	creds.EXPECT().Capget().Return(sys.CapSets{}, nil)
	creds.EXPECT().Getresuid().Return(0, 0, 0)
	if err := become(creds, 33); !errors.Is(err, sys.EPERM) {
		t.Errorf("become = %v, want EPERM", err)
	}
}

// The groups go before the user: afterwards there is no right to.
func TestBecomeStopsAtTheFirstError(t *testing.T) {
	creds := mocksys.NewMockCreds(gomock.NewController(t))
	gomock.InOrder(
		creds.EXPECT().Setgroups([]int{33}).Return(nil),
		creds.EXPECT().Setresgid(33, 33, 33).Return(sys.EINVAL),
	)
	if err := become(creds, 33); !errors.Is(err, sys.EINVAL) {
		t.Errorf("become = %v, want EINVAL", err)
	}
}

func TestAcceptErrors(t *testing.T) {
	const signals, listener = 3, 4
	for _, c := range []struct {
		err   sys.Errno
		fatal bool
	}{
		{sys.EAGAIN, false}, {sys.EINTR, false}, {sys.ECONNABORTED, false}, {sys.EMFILE, false}, {sys.EBADF, true},
	} {
		t.Run(sys.ErrnoName(c.err), func(t *testing.T) {
			s := mocksys.NewMockSys(gomock.NewController(t))
			s.EXPECT().Poll(gomock.Any(), gomock.Any()).DoAndReturn(pollsReady(listener))
			s.EXPECT().Accept4(listener, sys.SOCK_CLOEXEC).Return(-1, sys.SockAddr{}, c.err)
			if c.err == sys.EMFILE {
				s.EXPECT().Nanosleep(gomock.Any()).Return(nil)
			}
			if !c.fatal { // it goes on, to the end of the test
				s.EXPECT().Poll(gomock.Any(), gomock.Any()).DoAndReturn(pollsReady(signals))
			}
			err := daemon{listener: listener, signals: signals}.serve(s)
			if c.fatal != errors.Is(err, c.err) || !c.fatal && err != nil {
				t.Errorf("serve = %v", err)
			}
		})
	}
}

// pollsReady is a Poll that finds fd ready, and nothing else.
func pollsReady(fd int32) func([]sys.PollFd, time.Duration) (int, error) {
	return func(fds []sys.PollFd, _ time.Duration) (int, error) {
		for i := range fds {
			fds[i].Revents = 0
			if fds[i].Fd == fd {
				fds[i].Revents = sys.POLLIN
			}
		}
		return 1, nil
	}
}
