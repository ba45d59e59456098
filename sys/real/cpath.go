package real

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// pathBuf is room on the stack for all but very long paths.
type pathBuf [256]byte

// cpath is path with the NUL that the kernel wants at its end, in buf if it
// fits. EINVAL: there is a NUL inside, which the kernel would take for the end.
func cpath(buf *pathBuf, path string) (*byte, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, sys.EINVAL
	}
	if len(path) < len(buf) {
		copy(buf[:], path)
		buf[len(path)] = 0
		return &buf[0], nil
	}
	long := make([]byte, len(path)+1)
	copy(long, path)
	return &long[0], nil
}
