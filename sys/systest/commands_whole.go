package systest

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// wholeCommands say all there is to say, for what no case thought of.
var wholeCommands = map[string]command{
	// tree PATH is every name below PATH: what it is, whose, what it holds, and
	// which other name the same inode has. Symlinks are not followed.
	"tree": func(a *agent, w args) string {
		t := tree{a: a, first: map[[2]uint64]string{}}
		t.walk(w.str(0), "")
		return strings.Join(t.lines, ", ")
	},
	// fds are the open descriptors from 3 to 99, each with its flags, what it is open
	// on, and its offset.
	"fds": func(a *agent, w args) string {
		var list []string
		for fd := 3; fd < 100; fd++ {
			flags, err := a.s.Fcntl(fd, sys.F_GETFD, 0)
			if err != nil {
				continue
			}
			fl, err := a.s.Fcntl(fd, sys.F_GETFL, 0)
			s := fmt.Sprintf("%d%s %s", fd, strings.Repeat("c", flags&sys.FD_CLOEXEC), val(flagNames(fl&^oLargefile), err))
			var st sys.Stat
			if err := a.s.Fstat(fd, &st); err != nil {
				s += " " + errName(err)
			} else {
				s += " " + modeString(&st)
			}
			if st.IsRegular() {
				s += fmt.Sprintf(" s%d at %s", st.Size, val(a.s.Lseek(fd, 0, sys.SEEK_CUR)))
			}
			list = append(list, s)
		}
		return strings.Join(list, ", ")
	},
}

// tree collects the lines of the command.
type tree struct {
	a     *agent
	first map[[2]uint64]string // the first name of an inode
	lines []string
}

// walk lists the directory path, whose name in the lines is name.
func (t *tree) walk(path, name string) {
	s := t.a.s
	fd, err := s.Open(path, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_NOFOLLOW, 0)
	if err != nil {
		t.lines = append(t.lines, name+"/ "+errName(err))
		return
	}
	var names []string
	for {
		entries, err := s.Getdents(fd)
		if err != nil || len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
		}
	}
	s.Close(fd)
	slices.Sort(names)
	for _, n := range names {
		t.file(path+"/"+n, strings.TrimPrefix(name+"/"+n, "/"))
	}
}

// file lists one file, and below it if it is a directory.
func (t *tree) file(path, name string) {
	s := t.a.s
	var st sys.Stat
	if err := s.Lstat(path, &st); err != nil {
		t.lines = append(t.lines, name+" "+errName(err))
		return
	}
	line := name + " " + statLine(&st)
	if !st.IsDir() && st.Nlink > 1 {
		ino := [2]uint64{st.Dev, st.Ino}
		if t.first[ino] == "" {
			t.first[ino] = name
		}
		line += " = " + t.first[ino]
	}
	switch st.Mode & sys.S_IFMT {
	case sys.S_IFLNK:
		line += " -> " + val(s.Readlink(path))
	case sys.S_IFREG:
		line += fmt.Sprintf(" b%d ", st.Blocks) + t.content(path)
	}
	t.lines = append(t.lines, line)
	if st.IsDir() {
		t.walk(path, name)
	}
}

// content is a hash of a file's first 64 KiB.
func (t *tree) content(path string) string {
	fd, err := t.a.s.Open(path, sys.O_RDONLY|sys.O_NOFOLLOW|sys.O_NONBLOCK, 0)
	if err != nil {
		return errName(err)
	}
	defer t.a.s.Close(fd)
	p := make([]byte, 64<<10)
	n, err := t.a.s.Read(fd, p)
	if err != nil {
		return errName(err)
	}
	h := fnv.New32a()
	h.Write(p[:n])
	return fmt.Sprintf("%08x", h.Sum32())
}
