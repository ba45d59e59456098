package vfs

import (
	"fmt"
	"strings"
)

// MountTable is /proc/PID/mounts: the mounts of ns that can be reached from root.
func (k *Tree) MountTable(ns *Namespace, root Path) string {
	var b strings.Builder
	k.eachMount(ns, root, func(m *Mount, at string) {
		fmt.Fprintf(&b, "%s %s %s %s%s%s 0 0\n", mangled(m.source), at, m.fs.typ,
			readWrite(m.readonly()), m.optionText(), m.fs.optionText())
	})
	return b.String()
}

// MountInfo is /proc/PID/mountinfo.
func (k *Tree) MountInfo(ns *Namespace, root Path) string {
	var b strings.Builder
	k.eachMount(ns, root, func(m *Mount, at string) {
		parent := m.id
		if m.parent != nil {
			parent = m.parent.id
		}
		tag := ""
		if m.unbindable {
			tag = " unbindable"
		}
		dev := m.fs.dev
		fmt.Fprintf(&b, "%d %d %d:%d %s %s %s%s%s - %s %s %s%s\n", m.id, parent, dev>>8&0xfff, dev&0xff|dev>>12&0xfff00,
			escaped(dentryPath(m.root)), at, readWrite(m.Flags()&MountReadonly != 0), m.optionText(), tag,
			m.fs.typ, mangled(m.source), readWrite(m.fs.readonly.Load()), m.fs.optionText())
	})
	return b.String()
}

// eachMount calls f for each mount of ns that can be reached from root, with the
// place where.
func (k *Tree) eachMount(ns *Namespace, root Path, f func(m *Mount, at string)) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, m := range ns.mounts {
		if at, ok := prependPath(root, m.Path()); ok {
			f(m, escaped(at))
		}
	}
}

// dentryPath is dentry_path: where d is in its filesystem.
func dentryPath(d *Dentry) string {
	s := ""
	for e := d; e.parent != e; e = e.parent {
		s = "/" + e.name + s
	}
	if s == "" {
		s = "/"
	}
	if d.removed {
		s += "//deleted"
	}
	return s
}

// escaped is a path as a word between spaces: seq_path.
func escaped(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(s)
}

// mangled is a source as a word: mangle of fs/proc_namespace.c.
func mangled(s string) string { return strings.ReplaceAll(escaped(s), "#", `\043`) }

func readWrite(readonly bool) string {
	if readonly {
		return "ro"
	}
	return "rw"
}

// optionText is show_mnt_opts.
func (m *Mount) optionText() string {
	flags, s := m.Flags(), ""
	for _, o := range []struct {
		set  bool
		name string
	}{
		{flags&MountNosuid != 0, ",nosuid"},
		{flags&MountNodev != 0, ",nodev"},
		{flags&MountNoexec != 0, ",noexec"},
		{flags&MountNoatime != 0, ",noatime"},
		{flags&MountNodiratime != 0, ",nodiratime"},
		{flags&(MountNoatime|MountStrictatime) == 0, ",relatime"},
		{flags&MountNosymfollow != 0, ",nosymfollow"},
	} {
		if o.set {
			s += o.name
		}
	}
	return s
}

// optionText are the options that the filesystem was mounted with.
func (fs *FS) optionText() string { return fs.options.show() }
