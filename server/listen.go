package server

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/sys"
)

// listen opens one socket for each address of the configuration, unless the
// service manager has: sockets are its, by address. Children inherit them, so
// that ports below 1024 are bound by the parent alone.
func listen(s sys.Sys, cfg *confhcl.Config, sockets map[string]int) (fds []int, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				s.Close(fd)
			}
			fds = nil
		}
	}()
	for _, l := range cfg.Listen {
		fd, err := adopt(s, cfg, sockets, l)
		if err == nil && fd < 0 {
			fd, err = listenAt(s, cfg, l)
		}
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// listenAt opens the socket of one listen address.
func listenAt(s sys.Sys, cfg *confhcl.Config, l confhcl.Listen) (fd int, err error) {
	addr, err := listenAddr(l.Address)
	if err != nil {
		return -1, &directiveError{"listen", l.Range, err, ""}
	}
	fd, err = listenOne(s, cfg, addr)
	if errors.Is(err, sys.EAFNOSUPPORT) && strings.HasPrefix(l.Address, ":") {
		// A kernel without IPv6: all addresses are the IPv4 ones.
		fd, err = listenOne(s, cfg, netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()))
	}
	if err != nil {
		return -1, &directiveError{"listen", l.Range, fmt.Errorf("cannot listen on %s: %w", l.Address, err), mendListen(addr, err)}
	}
	return fd, nil
}

// listenAddr parses an address of the configuration; ":80" is all addresses,
// of IPv4 too.
func listenAddr(text string) (netip.AddrPort, error) {
	if strings.HasPrefix(text, ":") {
		text = "[::]" + text
	}
	return netip.ParseAddrPort(text)
}

func listenOne(s sys.Sys, cfg *confhcl.Config, addr netip.AddrPort) (fd int, err error) {
	a := sys.InetAddr(addr)
	fd, err = s.Socket(a.Family, sys.SOCK_STREAM|sys.SOCK_CLOEXEC|sys.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			s.Close(fd)
		}
	}()
	if err := setListenerOptions(s, cfg, fd); err != nil {
		return fd, err
	}
	if err := s.Bind(fd, a); err != nil {
		return fd, fmt.Errorf("bind: %w", err)
	}
	if err := s.Listen(fd, cfg.MPM.ListenBacklog); err != nil {
		return fd, fmt.Errorf("listen: %w", err)
	}
	return fd, nil
}

// setListenerOptions sets on a listener what an accepted socket then has too:
// that saves the calls for each connection.
func setListenerOptions(s sys.Sys, cfg *confhcl.Config, fd int) error {
	for _, o := range []struct {
		name              string
		level, opt, value int
	}{
		{"SO_REUSEADDR", sys.SOL_SOCKET, sys.SO_REUSEADDR, 1},
		{"TCP_NODELAY", sys.IPPROTO_TCP, sys.TCP_NODELAY, 1},
		// A connection is accepted when its first bytes are there (seconds to
		// wait for them). It saves a sleep, and an idle client costs no child.
		{"TCP_DEFER_ACCEPT", sys.IPPROTO_TCP, sys.TCP_DEFER_ACCEPT, 1},
	} {
		if err := s.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("setsockopt %s: %w", o.name, err)
		}
	}
	// Reads have their limit as an argument, see sys/conn.
	if err := s.SetsockoptTimeval(fd, sys.SOL_SOCKET, sys.SO_SNDTIMEO, cfg.Timeout); err != nil {
		return fmt.Errorf("setsockopt SO_SNDTIMEO: %w", err)
	}
	return nil
}

func mendListen(addr netip.AddrPort, err error) string {
	switch {
	case errors.Is(err, sys.EADDRINUSE):
		return fmt.Sprintf("see who has the port: ss -ltnp 'sport = :%d'", addr.Port())
	case errors.Is(err, sys.EACCES):
		return "ports below 1024 need CAP_NET_BIND_SERVICE: start as root"
	case errors.Is(err, sys.EADDRNOTAVAIL):
		return "see this machine's addresses: ip address"
	}
	return ""
}
