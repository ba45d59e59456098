package fake

import "github.com/httpjail/httpjail/sys/fake/vfs"

func (t *thread) Setxattr(path, name string, value []byte, flags, atflags int) (err error) {
	t.enter("setxattr", -1, uint64(len(value)), uint64(flags), uint64(atflags))
	defer t.leave(nil, &err)
	t.note(path)
	t.note(name)
	return t.tree().Setxattr(&t.task, path, name, value, flags, atflags)
}

func (t *thread) Fsetxattr(fd int, name string, value []byte, flags int) (err error) {
	t.enter("fsetxattr", fd, uint64(len(value)), uint64(flags))
	defer t.leave(nil, &err)
	t.note(name)
	if err := vfs.CheckXattr(name, value, flags); err != nil {
		return err
	}
	return t.with(fd, func(d *vfs.Description) error { return d.Setxattr(&t.task, name, value, flags) })
}

func (t *thread) Getxattr(path, name string, value []byte, atflags int) (n int, err error) {
	t.enter("getxattr", -1, uint64(len(value)), uint64(atflags))
	defer t.leave(&n, &err)
	t.note(path)
	t.note(name)
	return negative(t.tree().Getxattr(&t.task, path, name, value, atflags))
}

func (t *thread) Fgetxattr(fd int, name string, value []byte) (n int, err error) {
	t.enter("fgetxattr", fd, uint64(len(value)))
	defer t.leave(&n, &err)
	t.note(name)
	if err := vfs.CheckXattr(name, nil, 0); err != nil {
		return -1, err
	}
	err = t.with(fd, func(d *vfs.Description) (err error) {
		n, err = d.Getxattr(&t.task, name, value)
		return err
	})
	return negative(n, err)
}

func (t *thread) Listxattr(path string, atflags int) (names []string, err error) {
	t.enter("listxattr", -1, uint64(atflags))
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Listxattr(&t.task, path, atflags)
}

func (t *thread) Flistxattr(fd int) (names []string, err error) {
	t.enter("flistxattr", fd)
	defer t.leave(nil, &err)
	err = t.with(fd, func(d *vfs.Description) (err error) {
		names, err = d.Listxattr(&t.task)
		return err
	})
	return names, err
}

func (t *thread) Removexattr(path, name string, atflags int) (err error) {
	t.enter("removexattr", -1, uint64(atflags))
	defer t.leave(nil, &err)
	t.note(path)
	t.note(name)
	return t.tree().Removexattr(&t.task, path, name, atflags)
}

func (t *thread) Fremovexattr(fd int, name string) (err error) {
	t.enter("fremovexattr", fd)
	defer t.leave(nil, &err)
	t.note(name)
	if err := vfs.CheckXattr(name, nil, 0); err != nil {
		return err
	}
	return t.with(fd, func(d *vfs.Description) error { return d.Removexattr(&t.task, name) })
}
