package static

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/httpjail/httpjail/server/module"
	"github.com/httpjail/httpjail/sys"
	"github.com/valyala/fasthttp"
)

// maxRanges is Apache's default of MaxRanges: who asks for more gets the whole
// file.
const maxRanges = 200

// byteRange is a part of a file, not empty.
type byteRange struct{ off, n int64 }

// parseRange reads a Range field (RFC 9110, 14.2) for a file of size bytes. The
// status is 206 with the ranges that can be satisfied in the order asked for,
// 416 when none can, or 0 when the field is to be ignored: it breaks the
// grammar, has another unit, too many ranges, or ranges that overlap, which
// would let a small request ask for more than the file.
func parseRange(value string, size int64) (ranges []byteRange, status int) {
	unit, set, ok := strings.Cut(value, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return nil, 0
	}
	count := 0
	for spec := range strings.SplitSeq(set, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue // RFC 9110, 5.6.1: a list may have empty elements
		}
		if count++; count > maxRanges {
			return nil, 0
		}
		first, last, ok := strings.Cut(spec, "-")
		if !ok {
			return nil, 0
		}
		if first == "" {
			n, ok := parsePosition(last)
			if !ok {
				return nil, 0
			}
			if n = min(n, size); n > 0 {
				ranges = append(ranges, byteRange{size - n, n})
			}
			continue
		}
		from, ok := parsePosition(first)
		if !ok {
			return nil, 0
		}
		to := int64(math.MaxInt64)
		if last != "" {
			if to, ok = parsePosition(last); !ok || to < from {
				return nil, 0
			}
		}
		if from < size {
			ranges = append(ranges, byteRange{from, min(to, size-1) - from + 1})
		}
	}
	switch {
	case count == 0 || overlap(ranges):
		return nil, 0
	case len(ranges) == 0:
		return nil, fasthttp.StatusRequestedRangeNotSatisfiable
	}
	return ranges, fasthttp.StatusPartialContent
}

// parsePosition reads 1*DIGIT. What is too large for any file is the largest
// position.
func parsePosition(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + d
	}
	return n, true
}

func overlap(ranges []byteRange) bool {
	if len(ranges) < 2 {
		return false
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b byteRange) int {
		if a.off < b.off {
			return -1
		}
		return 1
	})
	for i := 1; i < len(sorted); i++ {
		if before := sorted[i-1]; before.off+before.n > sorted[i].off {
			return true
		}
	}
	return false
}

// sendRanges answers 206 with one range, or with several as
// multipart/byteranges (RFC 9110, 14.6).
func (srv *server) sendRanges(r *module.Request, f *file, ranges []byteRange) {
	r.SetStatusCode(fasthttp.StatusPartialContent)
	h := &r.Response.Header
	if len(ranges) == 1 {
		h.SetContentType(f.contentType)
		h.SetCanonical(keyContentRange, []byte(contentRange(ranges[0], f.size)))
		srv.sendPart(r, f, ranges[0].off, ranges[0].n)
		return
	}
	// A boundary must not occur in the parts: 64 random bits see to that.
	var random [8]byte
	err := sys.Retry(func() error {
		_, err := r.Sys.Getrandom(random[:])
		return err
	})
	if err != nil {
		srv.logf("static: cannot make a boundary: getrandom: %v", err)
		f.release(r.Sys)
		h.Del(fasthttp.HeaderAcceptRanges)
		fail(r, fasthttp.StatusInternalServerError)
		return
	}
	boundary := hex.EncodeToString(random[:])
	h.SetContentType("multipart/byteranges; boundary=" + boundary)
	parts := make([]part, len(ranges))
	var size int64
	for i, rg := range ranges {
		parts[i] = part{off: rg.off, n: rg.n}
		parts[i].head = fmt.Appendf(nil, "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
			boundary, f.contentType, contentRange(rg, f.size))
		size += int64(len(parts[i].head)) + rg.n
	}
	tail := []byte("\r\n--" + boundary + "--\r\n")
	size += int64(len(tail))
	if f.fd >= 0 {
		setFileBody(r, f, size, parts, tail)
		return
	}
	body := make([]byte, 0, size)
	for _, p := range parts {
		body = append(body, p.head...)
		body = append(body, f.body[p.off:p.off+p.n]...)
	}
	r.Response.SetBodyRaw(append(body, tail...))
	r.BodyBytes = size
}

func contentRange(r byteRange, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.off, r.off+r.n-1, size)
}
