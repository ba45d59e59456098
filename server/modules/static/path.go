package static

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// clean decodes and normalises the path of a request: it starts with a slash,
// has no empty, "." or ".." segment, and ends in a slash where the request
// means a directory. The result is raw itself where nothing is to be done, and
// else built in dst.
//
// status is 0, or that of a path that cannot be served: 400 for a bad escape, a
// NUL and a path that climbs above the root; 404 for an escaped slash, as
// Apache's AllowEncodedSlashes Off has it, since it would turn one name into
// two.
func clean(dst, raw []byte) (path []byte, status int) {
	if len(raw) == 0 {
		return append(dst, '/'), 0
	}
	if raw[0] != '/' {
		return nil, fasthttp.StatusBadRequest
	}
	if plain(raw) {
		return raw, 0
	}
	dst, status = decode(dst, raw)
	if status != 0 {
		return nil, status
	}
	return normalise(dst)
}

// plain reports whether a path is normal already. It may say no too often.
func plain(raw []byte) bool {
	for i, c := range raw {
		switch c {
		case '%', 0:
			return false
		case '.', '/':
			if i > 0 && raw[i-1] == '/' {
				return false
			}
		}
	}
	return true
}

// decode undoes %XX, once.
func decode(dst, raw []byte) ([]byte, int) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return nil, fasthttp.StatusBadRequest
			}
			high, low := unhex(raw[i+1]), unhex(raw[i+2])
			if high < 0 || low < 0 {
				return nil, fasthttp.StatusBadRequest
			}
			c = byte(high<<4 | low)
			if c == '/' {
				return nil, fasthttp.StatusNotFound
			}
			i += 2
		}
		if c == 0 {
			return nil, fasthttp.StatusBadRequest
		}
		dst = append(dst, c)
	}
	return dst, 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// normalise removes empty and dot segments in place (RFC 3986, 5.2.4).
func normalise(p []byte) ([]byte, int) {
	n := 0 // p[:n] is done
	for i := 0; i < len(p); {
		j := i + 1
		for j < len(p) && p[j] != '/' {
			j++
		}
		last := j == len(p)
		switch segment := p[i+1 : j]; string(segment) {
		case "..":
			if n == 0 {
				return nil, fasthttp.StatusBadRequest
			}
			n = bytes.LastIndexByte(p[:n], '/')
			fallthrough
		case "", ".":
			if last {
				p[n] = '/'
				n++
			}
		default:
			n += copy(p[n:], p[i:j])
		}
		i = j
	}
	return p[:n], 0
}

var wellKnown = []byte("/.well-known")

// hidden reports whether a normalised path names a dot file, or goes through a
// dot folder. /.well-known is there to be seen (RFC 8615).
func hidden(path []byte) bool {
	if rest, ok := bytes.CutPrefix(path, wellKnown); ok && (len(rest) == 0 || rest[0] == '/') {
		path = rest
	}
	for i, c := range path {
		if c == '.' && i > 0 && path[i-1] == '/' {
			return true
		}
	}
	return false
}

const upperHex = "0123456789ABCDEF"

// escapePath appends a path for a Location: all but RFC 3986's pchar and the
// slash is escaped. A backslash is too, which browsers take for a slash.
func escapePath(dst, path []byte) []byte {
	for _, c := range path {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			bytes.IndexByte([]byte("/-._~!$&'()*+,;=:@"), c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// escapeQuery appends a query that was escaped by the client already: only what
// must not stand in a URI at all is escaped.
func escapeQuery(dst, query []byte) []byte {
	for _, c := range query {
		if c > ' ' && c < 0x7f && bytes.IndexByte([]byte("\"<>\\^`{|}#"), c) < 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
