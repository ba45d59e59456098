package real

import (
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

func (*thread) Sendfile(out, in int, off int64, count int) (int, error) {
	var offp *int64 // NULL: from in's own offset
	if off >= 0 {
		offp = &off
	}
	return result(unix.Syscall6(unix.SYS_SENDFILE, uintptr(out), uintptr(in), uintptr(unsafe.Pointer(offp)), uintptr(count), 0, 0))
}

// With MSG_DONTWAIT a call cannot block, and the scheduler need not hear of it:
// that is a tenth of what a short call takes.

func (*thread) Send(fd int, p []byte, flags int) (int, error) {
	if flags&unix.MSG_DONTWAIT != 0 {
		return result(unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(flags), 0, 0))
	}
	return result(unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(flags), 0, 0))
}

func (*thread) Recv(fd int, p []byte, flags int) (int, error) {
	if flags&unix.MSG_DONTWAIT != 0 {
		return result(unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(flags), 0, 0))
	}
	return result(unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(data(p)), uintptr(len(p)), uintptr(flags), 0, 0))
}

// scmMaxFd is the most descriptors that one message carries: SCM_MAX_FD of the
// kernel's include/net/scm.h.
const scmMaxFd = 253

// rights is a control message with SCM_RIGHTS. CMSG_DATA needs no padding: the
// header's size is a multiple of its alignment.
type rights struct {
	hdr unix.Cmsghdr
	fds [scmMaxFd]int32
}

// Sendmsg fails with EINVAL, as the kernel does, for more than 253 descriptors.
func (*thread) Sendmsg(fd int, p []byte, fds []int, flags int) (int, error) {
	var ctl rights
	if len(fds) > len(ctl.fds) {
		return -1, sys.EINVAL
	}
	iov := unix.Iovec{Base: unsafe.SliceData(p), Len: uint64(len(p))}
	msg := unix.Msghdr{Iov: &iov, Iovlen: 1}
	if len(fds) > 0 {
		ctl.hdr.Level, ctl.hdr.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		ctl.hdr.SetLen(unix.CmsgLen(4 * len(fds)))
		for i, f := range fds {
			ctl.fds[i] = int32(f)
		}
		msg.Control = (*byte)(unsafe.Pointer(&ctl))
		msg.SetControllen(unix.CmsgLen(4 * len(fds)))
	}
	return result(unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags)))
}

// Recvmsg offers room for exactly len(fds) descriptors: CMSG_LEN, because the
// padding of CMSG_SPACE would make room for one more, which would leak.
func (*thread) Recvmsg(fd int, p []byte, fds []int, flags int) (n, nfds, msgflags int, err error) {
	var ctl rights
	iov := unix.Iovec{Base: unsafe.SliceData(p), Len: uint64(len(p))}
	msg := unix.Msghdr{Iov: &iov, Iovlen: 1}
	if len(fds) > 0 {
		msg.Control = (*byte)(unsafe.Pointer(&ctl))
		msg.SetControllen(unix.CmsgLen(4 * min(len(fds), len(ctl.fds))))
	}
	r, _, e := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags))
	if e != 0 {
		return -1, 0, 0, e
	}
	if int(msg.Controllen) >= unix.SizeofCmsghdr && ctl.hdr.Level == unix.SOL_SOCKET && ctl.hdr.Type == unix.SCM_RIGHTS {
		nfds = (int(ctl.hdr.Len) - unix.SizeofCmsghdr) / 4
		for i := range nfds {
			fds[i] = int(ctl.fds[i])
		}
	}
	return int(r), nfds, int(msg.Flags), nil
}
