package net

import (
	"time"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// Bounds of SO_SNDBUF and SO_RCVBUF: SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF and
// net.core.wmem_max.
const (
	minSndbuf = 4608
	minRcvbuf = 2304
	maxBuffer = 212992
)

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SetsockoptInt is setsockopt(2) with an int. EINVAL: the option takes a struct.
func (n *Net) SetsockoptInt(t *vfs.Task, d *vfs.Description, level, opt, value int) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	on := value != 0
	switch level {
	case sys.SOL_SOCKET:
		switch opt {
		case sys.SO_REUSEADDR:
			s.opts.reuseAddr = on
			s.updateUse()
		case sys.SO_REUSEPORT:
			if !s.inet() && on {
				return sys.EOPNOTSUPP
			}
			s.opts.reusePort = on
			s.updateUse()
		case sys.SO_KEEPALIVE:
			s.opts.keepAlive = on
		case sys.SO_SNDBUF:
			s.sndbuf.Store(int64(max(2*min(uint(uint32(value)), maxBuffer), minSndbuf)))
		case sys.SO_RCVBUF:
			s.opts.rcvbuf = int(max(2*min(uint(uint32(value)), maxBuffer), minRcvbuf))
		case sys.SO_LINGER, sys.SO_RCVTIMEO, sys.SO_SNDTIMEO:
			return sys.EINVAL
		default:
			return sys.ENOPROTOOPT
		}
	case sys.IPPROTO_TCP:
		switch {
		case !s.inet():
			return sys.EOPNOTSUPP
		case !s.tcp():
			return sys.ENOPROTOOPT
		}
		switch opt {
		case sys.TCP_NODELAY:
			s.opts.noDelay = on
		case sys.TCP_CORK:
			s.opts.cork = on
		case sys.TCP_DEFER_ACCEPT:
			s.opts.deferAccept = secsToRetrans(value)
		default:
			return sys.ENOPROTOOPT
		}
	case sys.IPPROTO_IPV6:
		if !s.inet() {
			return sys.EOPNOTSUPP
		}
		if s.domain != sys.AF_INET6 || opt != sys.IPV6_V6ONLY {
			return sys.ENOPROTOOPT
		}
		if s.local.Addr.Port() != 0 {
			return sys.EINVAL
		}
		s.opts.v6only = on
	default:
		if !s.inet() {
			return sys.EOPNOTSUPP
		}
		return sys.ENOPROTOOPT
	}
	return nil
}

// updateUse tells the port table of SO_REUSEADDR and SO_REUSEPORT, which count
// even when they are set after bind. s.mu is held.
func (s *socket) updateUse() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if s.use != nil {
		s.use.reuseAddr, s.use.reusePort = s.opts.reuseAddr, s.opts.reusePort
	}
}

// GetsockoptInt is getsockopt(2) with an int. SO_ERROR clears the error.
func (n *Net) GetsockoptInt(t *vfs.Task, d *vfs.Description, level, opt int) (int, error) {
	s, err := socketOf(d)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch level {
	case sys.SOL_SOCKET:
		switch opt {
		case sys.SO_REUSEADDR:
			return toInt(s.opts.reuseAddr), nil
		case sys.SO_REUSEPORT:
			return toInt(s.opts.reusePort), nil
		case sys.SO_KEEPALIVE:
			return toInt(s.opts.keepAlive), nil
		case sys.SO_SNDBUF:
			return int(s.sndbuf.Load()), nil
		case sys.SO_RCVBUF:
			return s.opts.rcvbuf, nil
		case sys.SO_LINGER:
			return toInt(s.opts.linger), nil // the first word of struct linger
		case sys.SO_RCVTIMEO:
			return int(s.opts.rcvtimeo / time.Second), nil // of struct timeval
		case sys.SO_SNDTIMEO:
			return int(s.opts.sndtimeo / time.Second), nil
		case sys.SO_TYPE:
			return s.typ, nil
		case sys.SO_ACCEPTCONN:
			return toInt(s.state == listening), nil
		case sys.SO_ERROR:
			e := s.err
			s.err = 0
			return int(e), nil
		}
		return 0, sys.ENOPROTOOPT
	case sys.IPPROTO_TCP:
		if !s.tcp() {
			break
		}
		switch opt {
		case sys.TCP_NODELAY:
			return toInt(s.opts.noDelay), nil
		case sys.TCP_CORK:
			return toInt(s.opts.cork), nil
		case sys.TCP_DEFER_ACCEPT:
			return retransToSecs(s.opts.deferAccept), nil
		}
		return 0, sys.ENOPROTOOPT
	case sys.IPPROTO_IPV6:
		if s.domain == sys.AF_INET6 && opt == sys.IPV6_V6ONLY {
			return toInt(s.opts.v6only), nil
		}
	case sys.IPPROTO_IP:
		if s.inet() {
			return 0, sys.ENOPROTOOPT
		}
	}
	if s.domain != sys.AF_INET6 {
		return 0, sys.EOPNOTSUPP
	}
	return 0, sys.ENOPROTOOPT
}

// SetsockoptTimeval is setsockopt(2) with a struct timeval.
func (n *Net) SetsockoptTimeval(t *vfs.Task, d *vfs.Description, level, opt int, v time.Duration) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	if level != sys.SOL_SOCKET || opt != sys.SO_RCVTIMEO && opt != sys.SO_SNDTIMEO {
		return sys.ENOPROTOOPT
	}
	if v < 0 {
		return sys.EDOM
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if opt == sys.SO_RCVTIMEO {
		s.opts.rcvtimeo = v
	} else {
		s.opts.sndtimeo = v
	}
	return nil
}

// SetLinger is setsockopt(2) with SO_LINGER and a struct linger. With on and 0
// seconds close sends a RST; other times to linger do not matter here, as data
// arrives at once.
func (n *Net) SetLinger(t *vfs.Task, d *vfs.Description, on bool, seconds int) error {
	s, err := socketOf(d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.linger, s.opts.lingerSecs = on, seconds
	return nil
}

// Initial and greatest retransmission timeout in seconds, TCP_TIMEOUT_INIT and
// TCP_RTO_MAX.
const (
	rtoInit = 1
	rtoMax  = 120
)

// secsToRetrans is secs_to_retrans of net/ipv4/tcp.c, in which Linux keeps
// TCP_DEFER_ACCEPT.
func secsToRetrans(seconds int) (n int) {
	if seconds <= 0 {
		return 0
	}
	period, timeout := rtoInit, rtoInit
	for n = 1; seconds > period && n < 255; n++ {
		timeout = min(timeout*2, rtoMax)
		period += timeout
	}
	return n
}

// retransToSecs is retrans_to_secs.
func retransToSecs(n int) (period int) {
	if n <= 0 {
		return 0
	}
	period, timeout := rtoInit, rtoInit
	for ; n > 1; n-- {
		timeout = min(timeout*2, rtoMax)
		period += timeout
	}
	return period
}
