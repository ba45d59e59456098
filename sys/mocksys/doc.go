// Package mocksys has a gomock mock of [sys.Sys] and one of each of its roles,
// for tests that expect single calls:
//
//	ctrl := gomock.NewController(t)
//	files := mocksys.NewMockFiles(ctrl)
//	files.EXPECT().Fsync(3).Return(sys.EIO)
//
// The mocks are made by go.uber.org/mock: github.com/golang/mock is archived,
// and its README names go.uber.org/mock as the continuation.
//
// For a test of more than a few calls use sys/fake, which behaves like a
// kernel, with sys/fault around it.
package mocksys

//go:generate go tool mockgen -typed -write_package_comment=false -package=mocksys -destination=mocks_gen.go github.com/httpjail/httpjail/sys Sys,Files,Descriptors,Dirs,Attrs,Space,Xattrs,Locks,Procs,Creds,Signals,SemV,ShmV,Memory,Net,Messages,Poller,Epoll,Clock,Threads,Jail
