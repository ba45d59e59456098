package real

import (
	"bytes"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/httpjail/httpjail/sys"
	"golang.org/x/sys/unix"
)

// rawAddr is struct sockaddr_storage, as far as any family of ours fills it: a
// value on the stack of the caller.
type rawAddr struct{ any unix.RawSockaddrAny }

// pathOffset is offsetof(struct sockaddr_un, sun_path).
const pathOffset = unsafe.Offsetof(unix.RawSockaddrUnix{}.Path)

func (r *rawAddr) inet4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.any))
}

func (r *rawAddr) inet6() *unix.RawSockaddrInet6 {
	return (*unix.RawSockaddrInet6)(unsafe.Pointer(&r.any))
}

func (r *rawAddr) path() *[len(unix.RawSockaddrUnix{}.Path)]byte {
	return (*[len(unix.RawSockaddrUnix{}.Path)]byte)(unsafe.Add(unsafe.Pointer(&r.any), pathOffset))
}

// port converts between the machine's and the network's order, either way.
func port(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// encode fills r and returns the length for the kernel. EINVAL: Addr does not
// fit Family, a zone that is not the number of an interface, or a path that is
// too long.
func (r *rawAddr) encode(a sys.SockAddr) (size uintptr, err error) {
	r.any.Addr.Family = uint16(a.Family)
	ip := a.Addr.Addr()
	switch a.Family {
	case sys.AF_INET:
		if ip = ip.Unmap(); !ip.Is4() {
			return 0, sys.EINVAL
		}
		in := r.inet4()
		in.Port, in.Addr = port(a.Addr.Port()), ip.As4()
		return unix.SizeofSockaddrInet4, nil
	case sys.AF_INET6:
		if !ip.IsValid() {
			return 0, sys.EINVAL
		}
		in := r.inet6()
		in.Port, in.Addr = port(a.Addr.Port()), ip.As16()
		if zone := ip.Zone(); zone != "" {
			id, err := strconv.ParseUint(zone, 10, 32)
			if err != nil {
				return 0, sys.EINVAL
			}
			in.Scope_id = uint32(id)
		}
		return unix.SizeofSockaddrInet6, nil
	case sys.AF_UNIX:
		p := r.path()
		if len(a.Path) > len(p) {
			return 0, sys.EINVAL
		}
		n := copy(p[:], a.Path)
		switch {
		case n == 0: // unnamed: the family alone
		case a.Path[0] == '@': // abstract: all bytes count, and no NUL ends them
			p[0] = 0
		case bytes.IndexByte(p[:n], 0) >= 0:
			return 0, sys.EINVAL
		case n < len(p): // Linux takes a path without NUL when it fills sun_path
			n++
		}
		return pathOffset + uintptr(n), nil
	}
	return unsafe.Sizeof(r.any.Addr.Family), nil // AF_UNSPEC dissolves an association; others are the kernel's to refuse
}

// decode reads an address of size bytes from the kernel.
func (r *rawAddr) decode(size uint32) sys.SockAddr {
	if uintptr(size) < unsafe.Sizeof(r.any.Addr.Family) {
		return sys.SockAddr{}
	}
	a := sys.SockAddr{Family: int(r.any.Addr.Family)}
	switch a.Family {
	case sys.AF_INET:
		in := r.inet4()
		a.Addr = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(in.Port))
	case sys.AF_INET6:
		in := r.inet6()
		ip := netip.AddrFrom16(in.Addr)
		if in.Scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		a.Addr = netip.AddrPortFrom(ip, port(in.Port))
	case sys.AF_UNIX:
		// For a path that fills sun_path the kernel counts a NUL behind it.
		p := r.path()[:min(uintptr(size)-pathOffset, uintptr(len(r.path())))]
		switch {
		case len(p) == 0:
		case p[0] == 0:
			a.Path = "@" + string(p[1:])
		default:
			if i := bytes.IndexByte(p, 0); i >= 0 {
				p = p[:i]
			}
			a.Path = string(p)
		}
	}
	return a
}
