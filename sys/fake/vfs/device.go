package vfs

import "github.com/httpjail/httpjail/sys"

// device is the number of a device, and whether it is S_IFCHR or S_IFBLK.
type device struct {
	typ  uint32
	rdev uint64
}

// Driver opens a device: ino is the node that was opened, flags are open(2)'s.
type Driver func(t *Task, ino *Inode, flags int) (File, error)

// RegisterDevice gives device nodes of that type and number a driver. Opening a
// node without one: ENXIO. To be called before the machine runs.
func (k *Tree) RegisterDevice(typ uint32, major, minor uint64, drv Driver) {
	k.devices[device{typ, makedev(major, minor)}] = drv
}

func (k *Tree) openDevice(t *Task, ino *Inode, flags int) (File, error) {
	drv := k.devices[device{ino.typ(), ino.rdev}]
	if drv == nil {
		return nil, sys.ENXIO
	}
	return drv(t, ino, flags)
}

// standardDevices are those of drivers/char/mem.c that programs use.
func (k *Tree) standardDevices() {
	null := func(p []byte) (int, error) { return len(p), nil }
	eof := func([]byte) (int, error) { return 0, nil }
	zero := func(p []byte) (int, error) { clear(p); return len(p), nil }
	full := func([]byte) (int, error) { return 0, sys.ENOSPC }
	random := func(p []byte) (int, error) {
		if k.Random == nil {
			return 0, sys.EIO
		}
		k.Random(p)
		return len(p), nil
	}
	char := func(minor uint64, read, write func([]byte) (int, error)) {
		k.RegisterDevice(sys.S_IFCHR, 1, minor, func(_ *Task, ino *Inode, _ int) (File, error) {
			return &memDevice{anonymous{ino}, read, write}, nil
		})
	}
	char(3, eof, null)
	char(5, zero, null)
	char(7, zero, full)
	char(8, random, null)
	char(9, random, null)
}

// memDevice is the File of a device that has no state.
type memDevice struct {
	anonymous
	read, write func(p []byte) (int, error)
}

func (f *memDevice) Ready() int16 { return sys.POLLIN | sys.POLLOUT }

func (f *memDevice) Read(_ *Task, _ *Description, p []byte) (int, error)  { return f.read(p) }
func (f *memDevice) Write(_ *Task, _ *Description, p []byte) (int, error) { return f.write(p) }

func (f *memDevice) Pread(_ *Task, _ *Description, p []byte, _ int64) (int, error) {
	return f.read(p)
}

func (f *memDevice) Pwrite(_ *Task, _ *Description, p []byte, _ int64) (int, error) {
	return f.write(p)
}

// Seek is null_lseek.
func (f *memDevice) Seek(*Task, int64, int64, int) (int64, error) { return 0, nil }
