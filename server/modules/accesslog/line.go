package accesslog

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/httpjail/httpjail/server/module"
	"github.com/valyala/fasthttp"
)

// appendLine appends the line of a request, newline included:
//
//	common    %h %l %u %t "%r" %>s %b
//	combined  the same, then "%{Referer}i" "%{User-Agent}i"
//
// %l is always "-", for nobody asks identd, and so is %u: no module knows a
// user. An empty field of the request is "-", as one that is missing.
func (l *logger) appendLine(b []byte, r *module.Request, combined bool) []byte {
	b = appendHost(b, r.RemoteAddr())
	b = append(b, " - - "...)
	b = append(b, l.stampOf(r.Now)...)
	b = append(b, ` "`...)
	b = appendRequest(b, &r.Request.Header)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(r.Response.StatusCode()), 10)
	b = append(b, ' ')
	if r.BodyBytes > 0 {
		b = strconv.AppendInt(b, r.BodyBytes, 10)
	} else {
		b = append(b, '-')
	}
	if combined {
		b = append(b, ` "`...)
		b = appendField(b, r.Request.Header.Referer())
		b = append(b, `" "`...)
		b = appendField(b, r.Request.Header.UserAgent())
		b = append(b, '"')
	}
	return append(b, '\n')
}

// appendHost appends %h. An IPv4 address that came over an IPv6 socket is
// written as the IPv4 address it is; a unix socket has none.
func appendHost(b []byte, a net.Addr) []byte {
	if tcp, ok := a.(*net.TCPAddr); ok {
		if ip, ok := netip.AddrFromSlice(tcp.IP); ok {
			return ip.Unmap().AppendTo(b)
		}
	}
	return append(b, '-')
}

// appendRequest appends %r, the request line. What could not be read as a
// request has none. fasthttp then shows what an empty request would be, without
// any field, which no request that is answered otherwise than with 400 lacks.
func appendRequest(b []byte, h *fasthttp.RequestHeader) []byte {
	method, target, protocol := h.Method(), h.RequestURI(), h.Protocol()
	if len(h.RawHeaders()) == 0 && string(method) == "GET" && string(target) == "/" && string(protocol) == "HTTP/1.1" {
		return append(b, '-')
	}
	b = appendEscaped(b, method)
	b = append(b, ' ')
	b = appendEscaped(b, target)
	b = append(b, ' ')
	return appendEscaped(b, protocol)
}

func appendField(b, value []byte) []byte {
	if len(value) == 0 {
		return append(b, '-')
	}
	return appendEscaped(b, value)
}

const lowerHex = "0123456789abcdef"

// appendEscaped is ap_escape_logitem of Apache 2.0.46 and newer: quotes and
// backslashes get a backslash, what is not printable ASCII is escaped as in C.
func appendEscaped(b, value []byte) []byte {
	for _, c := range value {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\v':
			b = append(b, `\v`...)
		default:
			b = append(b, '\\', 'x', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return b
}

// stampOf formats %t, once a second.
func (l *logger) stampOf(now time.Time) string {
	second := now.Unix()
	t := l.stamp.Load()
	if t == nil || t.second != second {
		t = &stamp{second, now.In(l.zone).Format("[02/Jan/2006:15:04:05 -0700]")}
		l.stamp.Store(t)
	}
	return t.text
}
