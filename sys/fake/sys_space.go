package fake

import (
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

func (t *thread) Fallocate(fd int, mode uint32, off, len int64) (err error) {
	t.enter("fallocate", fd, uint64(mode), uint64(off), uint64(len))
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error {
		err := d.Fallocate(&t.task, mode, off, len)
		t.signalFor(d, err)
		return err
	})
}

func (t *thread) Statfs(path string, st *sys.Statfs) (err error) {
	t.enter("statfs", -1)
	defer t.leave(nil, &err)
	t.note(path)
	return t.tree().Statfs(&t.task, path, st)
}

func (t *thread) Fstatfs(fd int, st *sys.Statfs) (err error) {
	t.enter("fstatfs", fd)
	defer t.leave(nil, &err)
	return t.with(fd, func(d *vfs.Description) error { return d.Statfs(&t.task, st) })
}
