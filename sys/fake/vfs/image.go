package vfs

import (
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// Image builds and inspects a tree as the machine's owner: without permission
// checks, without a umask, in spite of read-only mounts. Paths are resolved from
// the root of the tree.
type Image struct{ k *Tree }

// Image is the builder of the tree's content.
func (k *Tree) Image() Image { return Image{k} }

func (k *Tree) imageTask() *Task {
	return &Task{
		Cred:  &Cred{Caps: ^uint64(0)},
		Root:  k.root,
		Cwd:   k.root,
		NS:    k.ns,
		Fsize: sys.RLIM_INFINITY,
		image: true,
	}
}

// MkdirAll makes a directory with that mode and its missing parents with 0755.
// A directory that exists keeps its mode.
func (m Image) MkdirAll(path string, mode uint32) error {
	if err := m.mkdirParents(path); err != nil {
		return err
	}
	err := m.k.Mkdir(m.k.imageTask(), path, mode)
	if err == sys.EEXIST {
		return nil
	}
	if err == nil {
		err = m.Chmod(path, mode) // mkdir(2) ignores the set-id bits
	}
	return err
}

// mkdirParents makes the directories above path.
func (m Image) mkdirParents(path string) error {
	t := m.k.imageTask()
	for i := 1; i < len(path); i++ {
		if path[i] != '/' || path[i-1] == '/' || strings.Trim(path[i:], "/") == "" {
			continue
		}
		if err := m.k.Mkdir(t, path[:i], 0o755); err != nil && err != sys.EEXIST {
			return err
		}
	}
	return nil
}

// WriteFile makes a file, or replaces its content and mode.
func (m Image) WriteFile(path string, data []byte, mode uint32) error {
	t := m.k.imageTask()
	d, err := m.k.Open(t, Path{}, path, BuildOpenHow(sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC, mode))
	if err != nil {
		return err
	}
	defer d.Decref(t)
	for len(data) > 0 {
		n, err := d.Write(t, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return m.k.Fchmod(t, d, mode)
}

// ReadFile is the content of a file.
func (m Image) ReadFile(path string) ([]byte, error) {
	t := m.k.imageTask()
	d, err := m.k.Open(t, Path{}, path, BuildOpenHow(sys.O_RDONLY|sys.O_NONBLOCK|sys.O_NOATIME, 0))
	if err != nil {
		return nil, err
	}
	defer d.Decref(t)
	var st sys.Stat
	if err := d.Stat(t, &st); err != nil {
		return nil, err
	}
	out := make([]byte, 0, st.Size+512)
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := d.Read(t, out[len(out):cap(out)])
		if err != nil || n == 0 {
			return out, err
		}
		out = out[:len(out)+n]
	}
}

// ReadDir are the names in a directory, without "." and "..", in order.
func (m Image) ReadDir(path string) ([]sys.Dirent, error) {
	t := m.k.imageTask()
	d, err := m.k.Open(t, Path{}, path, BuildOpenHow(sys.O_RDONLY|sys.O_DIRECTORY|sys.O_NOATIME, 0))
	if err != nil {
		return nil, err
	}
	defer d.Decref(t)
	var all []sys.Dirent
	for {
		ents, err := d.Getdents(t)
		if err != nil || len(ents) == 0 {
			return all, err
		}
		for _, e := range ents {
			if e.Name != "." && e.Name != ".." {
				all = append(all, e)
			}
		}
	}
}

// Symlink makes a symlink.
func (m Image) Symlink(target, path string) error {
	return m.k.Symlink(m.k.imageTask(), target, path)
}

// Link makes a hard link.
func (m Image) Link(oldpath, newpath string) error {
	return m.k.Link(m.k.imageTask(), oldpath, newpath)
}

// Mknod makes a fifo, a socket or a device node.
func (m Image) Mknod(path string, mode uint32, major, minor uint64) error {
	return m.k.Mknod(m.k.imageTask(), path, mode, makedev(major, minor))
}

// Remove removes a name: a file, or an empty directory.
func (m Image) Remove(path string) error {
	t := m.k.imageTask()
	err := m.k.Unlink(t, path)
	if err == sys.EISDIR {
		err = m.k.Rmdir(t, path)
	}
	return err
}

// Chmod changes permissions. Symlinks are followed.
func (m Image) Chmod(path string, mode uint32) error { return m.k.Chmod(m.k.imageTask(), path, mode) }

// Lchown changes owners, of a symlink itself. As chown(2) does, it clears the
// set-id bits: Chmod comes after it.
func (m Image) Lchown(path string, uid, gid int) error {
	return m.k.Lchown(m.k.imageTask(), path, uid, gid)
}

// Utimens sets the times. Symlinks are not followed.
func (m Image) Utimens(path string, atime, mtime sys.Timespec) error {
	return m.k.Utimensat(m.k.imageTask(), path, atime, mtime, sys.AT_SYMLINK_NOFOLLOW)
}

// Lstat is lstat(2).
func (m Image) Lstat(path string, st *sys.Stat) error {
	return m.k.Lstat(m.k.imageTask(), path, st)
}

// Readlink is the target of a symlink.
func (m Image) Readlink(path string) (string, error) { return m.k.Readlink(m.k.imageTask(), path) }
