package static

import (
	"bytes"
	"net/http"

	"github.com/valyala/fasthttp"
)

// precondition evaluates the request's conditions in the order of RFC 9110,
// 13.2.2, for GET and HEAD: 0 to go on, or 304 or 412.
func precondition(h *fasthttp.RequestHeader, f *file) int {
	if tags := h.PeekAll(fasthttp.HeaderIfMatch); len(tags) > 0 {
		if !matches(tags, f.etag, true) {
			return fasthttp.StatusPreconditionFailed
		}
	} else if date := h.Peek(fasthttp.HeaderIfUnmodifiedSince); len(date) > 0 {
		if since, ok := parseDate(date, f); ok && f.modified > since {
			return fasthttp.StatusPreconditionFailed
		}
	}
	if tags := h.PeekAll(fasthttp.HeaderIfNoneMatch); len(tags) > 0 {
		if matches(tags, f.etag, false) {
			return fasthttp.StatusNotModified
		}
	} else if date := h.Peek(fasthttp.HeaderIfModifiedSince); len(date) > 0 {
		if since, ok := parseDate(date, f); ok && f.modified <= since {
			return fasthttp.StatusNotModified
		}
	}
	return 0
}

// rangeApplies evaluates If-Range (RFC 9110, 13.1.5): with another version of
// the file, or one that cannot be told from another, the whole is sent.
func rangeApplies(h *fasthttp.RequestHeader, f *file) bool {
	value := h.Peek(fasthttp.HeaderIfRange)
	switch {
	case len(value) == 0:
		return true
	case f.weak():
		return false
	case value[0] == '"' || bytes.HasPrefix(value, weakPrefix):
		return bytes.Equal(value, f.etag)
	}
	date, ok := parseDate(value, f)
	return ok && date == f.modified
}

var weakPrefix = []byte("W/")

// matches reports whether one of the entity tags in the lines of a field is
// etag, or is "*". The strong comparison of RFC 9110, 8.8.3.2, knows no weak
// tags; the weak one makes no difference between the two. A list that breaks
// the grammar matches as far as it can be read.
func matches(lines [][]byte, etag []byte, strong bool) bool {
	opaque, isWeak := bytes.CutPrefix(etag, weakPrefix)
	for _, list := range lines {
		for {
			list = bytes.TrimLeft(list, " \t,")
			if len(list) == 0 {
				break
			}
			if list[0] == '*' {
				return true
			}
			tag, weak := bytes.CutPrefix(list, weakPrefix)
			if len(tag) == 0 || tag[0] != '"' {
				break
			}
			end := bytes.IndexByte(tag[1:], '"')
			if end < 0 {
				break
			}
			list = tag[end+2:]
			if bytes.Equal(tag[:end+2], opaque) && !(strong && (weak || isWeak)) {
				return true
			}
		}
	}
	return false
}

// parseDate is an HTTP date (RFC 9110, 5.6.7) in seconds since the epoch. Most
// are the Last-Modified that the client got from here.
func parseDate(value []byte, f *file) (int64, bool) {
	if bytes.Equal(value, f.lastModified) {
		return f.modified, true
	}
	t, err := http.ParseTime(string(value))
	return t.Unix(), err == nil
}
