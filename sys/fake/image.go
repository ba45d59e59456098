package fake

import (
	pathpkg "path"
	"strconv"

	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/fake/vfs"
)

// standardImage makes what every machine has.
func (m *Machine) standardImage() {
	img := m.tree.Image()
	for _, d := range []struct {
		path string
		mode uint32
	}{
		{"/dev", 0o755}, {"/proc", 0o555}, {"/dev/pts", 0o755}, {"/tmp", 0o777 | sys.S_ISVTX},
	} {
		must("mkdir", d.path, img.MkdirAll(d.path, d.mode))
	}
	m.Device("/dev/null", 1, 3)
	m.Device("/dev/zero", 1, 5)
	m.Device("/dev/urandom", 1, 9)
	m.mountProc("/proc")
	m.Symlink("/proc/self/fd", "/dev/fd")
	for fd, name := range []string{"/dev/stdin", "/dev/stdout", "/dev/stderr"} {
		m.Symlink("/proc/self/fd/"+strconv.Itoa(fd), name)
	}
	m.makeTerminals()
}

// The methods below act as the machine's owner, outside of any process: without
// permission checks, and at any time between runs. Those that change the tree
// panic when they cannot.

// Install makes path an executable file with mode whose program is prog. Missing
// directories are made. Copies, links and renames of the file are executable
// too.
func (m *Machine) Install(path string, mode uint32, prog sys.Program) {
	must("install", path, m.tree.InstallProgram(path, mode, prog))
}

// WriteFile makes a file, or replaces its content, mode and owner. Missing
// directories are made.
func (m *Machine) WriteFile(path string, data []byte, mode uint32, uid, gid int) {
	img := m.tree.Image()
	must("mkdir", path, img.MkdirAll(pathpkg.Dir(path), 0o755))
	must("write", path, img.WriteFile(path, data, mode))
	must("chown", path, img.Lchown(path, uid, gid))
	must("chmod", path, img.Chmod(path, mode)) // chown cleared the set-id bits
}

// MkdirAll makes a directory with mode and owner, and its missing parents, of
// root and with mode 0755.
func (m *Machine) MkdirAll(path string, mode uint32, uid, gid int) {
	img := m.tree.Image()
	must("mkdir", path, img.MkdirAll(path, mode))
	must("chown", path, img.Lchown(path, uid, gid))
	must("chmod", path, img.Chmod(path, mode))
}

// Symlink makes a symlink.
func (m *Machine) Symlink(target, path string) {
	must("symlink", path, m.tree.Image().Symlink(target, path))
}

// Device makes a character device with mode 0666.
func (m *Machine) Device(path string, major, minor uint64) {
	img := m.tree.Image()
	must("mknod", path, img.Mknod(path, sys.S_IFCHR|0o666, major, minor))
	must("chmod", path, img.Chmod(path, 0o666))
}

// Remove removes a file or an empty directory.
func (m *Machine) Remove(path string) error { return m.tree.Image().Remove(path) }

// ReadFile is the content of a file.
func (m *Machine) ReadFile(path string) ([]byte, error) { return m.tree.Image().ReadFile(path) }

// Lstat is lstat(2).
func (m *Machine) Lstat(path string, st *sys.Stat) error { return m.tree.Image().Lstat(path, st) }

// Tree is the machine's filesystem, for what these methods do not do: mounts,
// limits of their size, inodes and users, devices.
func (m *Machine) Tree() *vfs.Tree { return m.tree }
