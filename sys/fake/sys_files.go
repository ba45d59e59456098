package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/net"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// noRoom is what a call that makes n open files checks before it has an effect
// that cannot be undone. EMFILE, ENFILE.
func (t *thread) noRoom(n int) error {
	if t.p.fds.full(n) {
		return sys.EMFILE
	}
	return t.tooManyFiles(n)
}

// tooManyFiles is alloc_empty_file: ENFILE, unless the caller has CAP_SYS_ADMIN.
func (t *thread) tooManyFiles(n int) error {
	m := t.p.m
	if m.files.Load()+int64(n) > m.cfg.FileMax && !t.task.Cred.Has(sys.CAP_SYS_ADMIN) {
		return sys.ENFILE
	}
	return nil
}

// install gives d a descriptor in the caller's table; without one to give, d is
// closed again.
func (t *thread) install(d *vfs.Description, cloexec bool) (int, error) {
	d.Opened(t.task.Cred, &t.p.m.files)
	fd, err := t.p.fds.install(d, cloexec, 0)
	if err != nil {
		d.Decref(&t.task)
		return -1, err
	}
	return fd, nil
}

// openat is do_sys_openat2. from says where a relative path starts.
func (t *thread) openat(path string, how sys.OpenHow, from func() (vfs.Path, error)) (int, error) {
	if err := vfs.CheckOpen(path, how); err != nil {
		return -1, err
	}
	// Linux reserves the descriptor and the file first: EMFILE creates no file.
	if err := t.noRoom(1); err != nil {
		return -1, err
	}
	dir, err := from()
	if err != nil {
		return -1, err
	}
	var d *vfs.Description
	err = t.restart(func() (err error) {
		d, err = t.p.m.tree.Open(&t.task, dir, path, how)
		return err
	})
	if err != nil {
		return -1, err
	}
	return t.install(d, how.Flags&sys.O_CLOEXEC != 0)
}

func (t *thread) Open(path string, flags int, mode uint32) (fd int, err error) {
	t.enter("open", -1, uint64(flags), uint64(mode))
	defer t.leave(&fd, &err)
	t.note(path)
	return t.openat(path, vfs.BuildOpenHow(flags, mode), func() (vfs.Path, error) { return vfs.Path{}, nil })
}

func (t *thread) Openat2(dirfd int, path string, how sys.OpenHow) (fd int, err error) {
	t.enter("openat2", dirfd, uint64(how.Flags), uint64(how.Mode), uint64(how.Resolve))
	defer t.leave(&fd, &err)
	t.note(path)
	return t.openat(path, how, func() (vfs.Path, error) {
		if how.Resolve&sys.RESOLVE_IN_ROOT != 0 {
			return t.at(dirfd, ".") // an absolute path starts there too
		}
		return t.at(dirfd, path)
	})
}

// at is where path starts: the place of dirfd, or the zero Path where that does
// not matter. EBADF; ENOTDIR: it has no place.
func (t *thread) at(dirfd int, path string) (vfs.Path, error) {
	if dirfd == sys.AT_FDCWD || path == "" || len(path) >= sys.PATH_MAX || path[0] == '/' {
		return vfs.Path{}, nil
	}
	d, err := t.p.fds.get(dirfd)
	if err != nil {
		return vfs.Path{}, err
	}
	defer d.Decref(&t.task)
	if d.Path.Dentry == nil {
		return vfs.Path{}, sys.ENOTDIR
	}
	return d.Path, nil
}

func (t *thread) Read(fd int, p []byte) (n int, err error) {
	t.enter("read", fd, uint64(len(p)))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	return t.transfer(d, func() (int, error) { return d.Read(&t.task, p) })
}

func (t *thread) Write(fd int, p []byte) (n int, err error) {
	t.enter("write", fd, uint64(len(p)))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	n, err = t.transfer(d, func() (int, error) { return d.Write(&t.task, p) })
	t.signalFor(d, err)
	return n, err
}

func (t *thread) Writev(fd int, bufs [][]byte) (n int, err error) {
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	t.enter("writev", fd, uint64(len(bufs)), uint64(size))
	defer t.leave(&n, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	if len(bufs) > iovMax {
		return -1, sys.EINVAL
	}
	var one []byte
	if len(bufs) == 1 {
		one = bufs[0]
	} else {
		one = make([]byte, 0, size)
		for _, b := range bufs {
			one = append(one, b...)
		}
	}
	n, err = t.transfer(d, func() (int, error) { return d.Writev(&t.task, one) })
	t.signalFor(d, err)
	return n, err
}

// iovMax is UIO_MAXIOV.
const iovMax = 1024

func (t *thread) Pread(fd int, p []byte, off int64) (n int, err error) {
	t.enter("pread", fd, uint64(len(p)), uint64(off))
	defer t.leave(&n, &err)
	if off < 0 { // before the descriptor
		return -1, sys.EINVAL
	}
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	return negative(d.Pread(&t.task, p, off))
}

func (t *thread) Pwrite(fd int, p []byte, off int64) (n int, err error) {
	t.enter("pwrite", fd, uint64(len(p)), uint64(off))
	defer t.leave(&n, &err)
	if off < 0 { // before the descriptor
		return -1, sys.EINVAL
	}
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	n, err = negative(d.Pwrite(&t.task, p, off))
	t.signalFor(d, err)
	return n, err
}

func (t *thread) Lseek(fd int, off int64, whence int) (pos int64, err error) {
	t.enter("lseek", fd, uint64(off), uint64(whence))
	defer t.leave(nil, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	if pos, err = d.Lseek(&t.task, off, whence); err != nil {
		return -1, err
	}
	return pos, nil
}

func (t *thread) Ftruncate(fd int, size int64) (err error) {
	t.enter("ftruncate", fd, uint64(size))
	defer t.leave(nil, &err)
	if size < 0 { // before the descriptor
		return sys.EINVAL
	}
	return t.with(fd, func(d *vfs.Description) error {
		err := d.Truncate(&t.task, size)
		t.signalFor(d, err)
		return err
	})
}

func (t *thread) Fsync(fd int) (err error) {
	t.enter("fsync", fd)
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return d.Fsync(&t.task) })
}

func (t *thread) Fstat(fd int, st *sys.Stat) (err error) {
	t.enter("fstat", fd)
	defer t.leave(nil, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return err
	}
	defer d.Decref(&t.task)
	return d.Stat(&t.task, st)
}

func (t *thread) Getdents(fd int) (ents []sys.Dirent, err error) {
	t.enter("getdents64", fd)
	defer t.leave(nil, &err)
	err = t.with(fd, func(d *vfs.Description) (err error) {
		ents, err = d.Getdents(&t.task)
		return err
	})
	return ents, err
}

func (t *thread) Close(fd int) (err error) {
	t.enter("close", fd)
	defer t.leave(nil, &err)
	d, err := t.p.fds.remove(fd)
	if err != nil {
		return err
	}
	t.p.drop(&t.task, d)
	return nil
}

func (t *thread) Dup3(oldfd, newfd, flags int) (err error) {
	t.enter("dup3", oldfd, uint64(newfd), uint64(flags))
	defer t.leave(nil, &err)
	if flags&^sys.O_CLOEXEC != 0 || oldfd == newfd {
		return sys.EINVAL
	}
	old, err := t.p.fds.dup3(oldfd, newfd, flags != 0)
	if err == nil && old != nil {
		t.p.drop(&t.task, old)
	}
	return err
}

func (t *thread) Fcntl(fd, cmd, arg int) (ret int, err error) {
	t.enter("fcntl", fd, uint64(cmd), uint64(arg))
	defer t.leave(&ret, &err)
	d, err := t.p.fds.get(fd)
	if err != nil {
		return -1, err
	}
	defer d.Decref(&t.task)
	switch cmd {
	case sys.F_DUPFD, sys.F_DUPFD_CLOEXEC:
		if arg < 0 || t.p.fds.beyond(arg) {
			return -1, sys.EINVAL
		}
		d.Incref()
		nfd, err := t.p.fds.install(d, cmd == sys.F_DUPFD_CLOEXEC, arg)
		if err != nil {
			d.Decref(&t.task)
			return -1, err
		}
		return nfd, nil
	case sys.F_GETFD:
		on, err := t.p.fds.cloexec(fd)
		return negative(btoi(on)*sys.FD_CLOEXEC, err)
	case sys.F_SETFD:
		return negative(0, t.p.fds.setCloexec(fd, arg&sys.FD_CLOEXEC != 0))
	case sys.F_GETFL:
		return d.Flags(), nil
	case sys.F_SETFL:
		return negative(0, d.SetFlags(&t.task, arg))
	case sys.F_ADD_SEALS:
		return negative(0, d.AddSeals(arg))
	}
	return -1, sys.EINVAL
}

func (t *thread) Pipe2(flags int) (r, w int, err error) {
	t.enter("pipe2", -1, uint64(flags))
	defer t.leave(&r, &err)
	if flags&^(sys.O_CLOEXEC|sys.O_NONBLOCK|sys.O_DIRECT) != 0 {
		return -1, -1, sys.EINVAL
	}
	if flags&sys.O_DIRECT != 0 {
		return -1, -1, sys.ENOSYS // packet mode
	}
	if err := t.tooManyFiles(2); err != nil { // before the descriptors
		return -1, -1, err
	}
	if t.p.fds.full(2) {
		return -1, -1, sys.EMFILE
	}
	rd, wd, err := t.p.m.tree.NewPipe(&t.task, flags)
	if err != nil {
		return -1, -1, err
	}
	return t.installPair(rd, wd, flags&sys.O_CLOEXEC != 0)
}

func (t *thread) installPair(a, b *vfs.Description, cloexec bool) (int, int, error) {
	fda, err := t.install(a, cloexec)
	if err != nil {
		b.Decref(&t.task)
		return -1, -1, err
	}
	fdb, err := t.install(b, cloexec)
	if err != nil {
		if d, err := t.p.fds.remove(fda); err == nil {
			d.Decref(&t.task)
		}
		return -1, -1, err
	}
	return fda, fdb, nil
}

func (t *thread) CloseRange(first, last uint, flags int) (err error) {
	t.enter("close_range", -1, uint64(first), uint64(last), uint64(flags))
	defer t.leave(nil, &err)
	if flags&^sys.CLOSE_RANGE_CLOEXEC != 0 || first > last {
		return sys.EINVAL
	}
	for _, fd := range t.p.fds.open(first, last) {
		if flags != 0 {
			t.p.fds.setCloexec(fd, true)
		} else if d, err := t.p.fds.remove(fd); err == nil {
			t.p.drop(&t.task, d)
		}
	}
	return nil
}

func (t *thread) Flock(fd, how int) (err error) {
	t.enter("flock", fd, uint64(how))
	defer t.leave(nil, &err)
	if err := vfs.CheckFlock(how); err != nil {
		return err
	}
	return t.with(fd, func(d *vfs.Description) error {
		return t.restart(func() error { return t.p.m.tree.Flock(&t.task, d, how) })
	})
}

func (t *thread) FcntlFlock(fd, cmd int, lk *sys.Flock) (err error) {
	t.enter("fcntl", fd, uint64(cmd), uint64(lk.Type), uint64(lk.Whence), uint64(lk.Start), uint64(lk.Len))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error {
		return t.restart(func() error { return t.p.m.tree.FcntlFlock(&t.task, d, cmd, lk) })
	})
}

// with calls f with the open file of fd.
func (t *thread) with(fd int, f func(*vfs.Description) error) error {
	d, err := t.p.fds.get(fd)
	if err != nil {
		return err
	}
	defer d.Decref(&t.task)
	return f(d)
}

// transfer is a read or write, restarted after a signal. One on a socket with a
// timeout is not restarted, see signal(7).
func (t *thread) transfer(d *vfs.Description, call func() (int, error)) (n int, err error) {
	for {
		n, err = call()
		if err != sys.EINTR || net.HasTimeout(d) {
			return negative(n, err)
		}
		t.park(true)
	}
}

// negative makes a system call's result of n: -1 with an error.
func negative(n int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	return n, nil
}

// signalFor raises the signal that comes with a write to d: SIGXFSZ also where a
// sendfile(2) had moved something before it met the limit.
func (t *thread) signalFor(d *vfs.Description, err error) {
	p := t.p
	switch {
	case err == sys.EPIPE && net.RaisesSIGPIPE(d):
		p.m.mu.Lock()
		p.raise(sys.SIGPIPE)
		p.m.mu.Unlock()
	case t.task.Xfsz:
		t.task.Xfsz = false
		p.m.mu.Lock()
		p.raise(sys.SIGXFSZ)
		p.m.mu.Unlock()
	}
}

// note adds a path to the trace.
func (t *thread) note(path string) { t.p.m.trace.string(path) }
