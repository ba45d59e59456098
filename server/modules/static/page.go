package static

import (
	"fmt"

	"github.com/httpjail/httpjail/server/module"
	"github.com/valyala/fasthttp"
)

// pages are the bodies of the statuses that this module answers with.
var pages = func() map[int][]byte {
	m := map[int][]byte{}
	for _, status := range []int{
		fasthttp.StatusMovedPermanently,
		fasthttp.StatusBadRequest,
		fasthttp.StatusForbidden,
		fasthttp.StatusNotFound,
		fasthttp.StatusMethodNotAllowed,
		fasthttp.StatusPreconditionFailed,
		fasthttp.StatusRequestedRangeNotSatisfiable,
		fasthttp.StatusInternalServerError,
		fasthttp.StatusServiceUnavailable,
	} {
		text := fasthttp.StatusMessage(status)
		m[status] = fmt.Appendf(nil, "<!DOCTYPE html>\n<title>%d %s</title>\n<h1>%s</h1>\n", status, text, text)
	}
	return m
}()

// retryAfter is the Retry-After of a 503, in seconds: descriptors come back as
// connections end.
const retryAfter = "5"

// fail answers with a page of the status.
func fail(r *module.Request, status int) {
	body := pages[status]
	r.SetStatusCode(status)
	r.Response.Header.SetContentType("text/html; charset=utf-8")
	if status == fasthttp.StatusServiceUnavailable {
		r.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	}
	r.Response.SetBodyRaw(body)
	if !r.IsHead() {
		r.BodyBytes = int64(len(body))
	}
}
