package sys

// Retry calls f until it returns something other than EINTR, as
// TEMP_FAILURE_RETRY of glibc does. Never around Close, see close(2).
func Retry(f func() error) error {
	for {
		if err := f(); err != EINTR {
			return err
		}
	}
}

// WriteAll writes all of p to a blocking descriptor: it goes on after short
// writes and EINTR. A write of 0 bytes without an error is EIO.
func WriteAll(s Files, fd int, p []byte) error {
	for len(p) > 0 {
		n, err := s.Write(fd, p)
		if err == EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return EIO
		}
		p = p[n:]
	}
	return nil
}

// ReadAll reads a descriptor from its offset to its end; EINTR is retried.
// EFBIG: there is more than limit bytes.
func ReadAll(s Files, fd int, limit int) ([]byte, error) {
	buf := make([]byte, 0, min(limit+1, 4096))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := s.Read(fd, buf[len(buf):cap(buf)])
		if err == EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		buf = buf[:len(buf)+n]
		if len(buf) > limit {
			return nil, EFBIG
		}
		if n == 0 {
			return buf, nil
		}
	}
}

// ReadFile reads the whole regular file at path, at most limit bytes, and
// never blocks on a fifo. EFBIG: it is larger; EINVAL: not a regular file.
func ReadFile(s interface {
	Files
	Descriptors
}, path string, limit int) ([]byte, error) {
	fd, err := s.Open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var st Stat
	var data []byte
	if err = s.Fstat(fd, &st); err == nil && !st.IsRegular() {
		err = EINVAL
	}
	if err == nil {
		data, err = ReadAll(s, fd, limit)
	}
	// Nothing was written: an error of close(2) has nothing to say.
	s.Close(fd)
	return data, err
}
