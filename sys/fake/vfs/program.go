package vfs

import (
	"fmt"

	"github.com/httpjail/httpjail/sys"
)

// A program is Go code and has no bytes. An executable file holds a short text
// that stands for it, so that a copy of the file, a hard link and a file that
// was renamed are the same program, and one that was overwritten is none.

// programText is the content of the executable of program number n.
func programText(n int) string { return fmt.Sprintf("\x7fELF simulated program %d\n", n) }

// InstallProgram makes path an executable file, replacing what was there.
// Missing directories are made with mode 0755. No permission is needed.
func (k *Tree) InstallProgram(path string, mode uint32, prog sys.Program) error {
	k.mu.Lock()
	text := programText(len(k.programs) + 1)
	k.programs[text] = prog
	k.mu.Unlock()
	img := Image{k}
	if err := img.mkdirParents(path); err != nil {
		return err
	}
	return img.WriteFile(path, []byte(text), mode)
}

// Program is what execve(2) of the file p runs: do_open_execat. EACCES: not a
// regular file, no permission, or a mount with noexec; ETXTBSY: somebody has it
// open to write; ENOEXEC: not a program.
func (k *Tree) Program(t *Task, p Path) (sys.Program, error) {
	ino := p.Dentry.inode
	if !ino.isRegular() || p.Mount.Flags()&MountNoexec != 0 {
		return nil, sys.EACCES
	}
	if err := ino.permission(t, p.Mount, mayExec); err != nil {
		return nil, err
	}
	if ino.writers.Load() > 0 {
		return nil, sys.ETXTBSY
	}
	var buf [64]byte
	ino.mu.RLock()
	n := min(ino.size.Load(), int64(len(buf)))
	ino.data.readAt(buf[:n], 0)
	ino.mu.RUnlock()
	k.mu.RLock()
	defer k.mu.RUnlock()
	if prog := k.programs[string(buf[:n])]; prog != nil {
		return prog, nil
	}
	return nil, sys.ENOEXEC
}

// DenyWrite says that a process runs p: opening it to write gets ETXTBSY until
// AllowWrite was called as often.
func (k *Tree) DenyWrite(p Path) {
	p.Hold()
	p.Dentry.inode.execs.Add(1)
}

// AllowWrite ends a DenyWrite.
func (k *Tree) AllowWrite(p Path) {
	p.Dentry.inode.execs.Add(-1)
	p.Drop()
}
