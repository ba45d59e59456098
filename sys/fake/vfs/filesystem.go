package vfs

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

// filesystem is a type of filesystem that mount(2) knows: struct file_system_type.
type filesystem struct {
	// parse reads the options of mount(2). EINVAL.
	parse func(data string) (fsOptions, error)
	// make makes a filesystem and returns its root. Tree.mu is held for writing.
	make func(t *Task, o fsOptions) *Dentry
}

// fsOptions are the options of tmpfs(5), and those that each filesystem has.
type fsOptions struct {
	readonly     bool
	size, inodes *int64 // in pages; nil: not given, 0: no limit
	mode         uint32
	uid, gid     *uint32
}

// RegisterMagic makes mount(2) know a type of synthetic filesystem with that root.
// Those of its options that are named get ENOSYS, others EINVAL. To be called
// before the machine runs.
func (k *Tree) RegisterMagic(typ string, root *MagicNode, unsupported ...string) {
	k.filesystems[typ] = &filesystem{
		parse: func(data string) (o fsOptions, err error) {
			err = o.parse(data, func(key, _ string) error {
				if slices.Contains(unsupported, key) {
					return sys.ENOSYS
				}
				return sys.EINVAL
			})
			return o, err
		},
		make: func(t *Task, _ fsOptions) *Dentry {
			return newRoot(k.newFS(typ).magicInode(root, 1, k.now(t)))
		},
	}
}

// parse calls f for each option, key or key=value, but those that every filesystem
// has: vfs_parse_sb_flag.
func (o *fsOptions) parse(data string, f func(key, value string) error) error {
	for opt := range strings.SplitSeq(data, ",") {
		key, value, _ := strings.Cut(opt, "=")
		switch key {
		case "":
			if opt != "" {
				return sys.EINVAL
			}
		case "ro":
			o.readonly = true
		case "rw":
			o.readonly = false
		case "async", "nolazytime", "nomand":
		case "sync", "dirsync", "lazytime", "mand", "source":
			return sys.ENOSYS
		default:
			if err := f(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// tmpfsMode is the default of the option mode.
const tmpfsMode = 0o777 | sys.S_ISVTX

// registerTmpfs makes mount(2) know tmpfs: shmem_fill_super.
func (k *Tree) registerTmpfs() {
	k.filesystems["tmpfs"] = &filesystem{
		parse: parseTmpfs,
		make: func(t *Task, o fsOptions) *Dentry {
			uid, gid := t.Cred.Uid, t.Cred.Gid
			if o.uid != nil {
				uid = *o.uid
			}
			if o.gid != nil {
				gid = *o.gid
			}
			fs := k.newFS("tmpfs")
			fs.options = fsOptions{mode: o.mode, uid: &uid, gid: &gid}
			fs.limit(o)
			return newRoot(fs.newInode(sys.S_IFDIR|o.mode, uid, gid, k.now(t)))
		},
	}
}

// parseTmpfs is shmem_parse_one for each option.
func parseTmpfs(data string) (fsOptions, error) {
	o := fsOptions{mode: tmpfsMode}
	err := o.parse(data, func(key, value string) error {
		switch key {
		case "size", "nr_blocks", "nr_inodes":
			if strings.HasSuffix(value, "%") {
				return sys.ENOSYS // there is no memory to have a part of
			}
			n, ok := memparse(value)
			if !ok {
				return sys.EINVAL
			}
			switch key {
			case "size":
				n = pages(n)
				o.size = &n
			case "nr_blocks":
				o.size = &n
			default:
				o.inodes = &n
			}
		case "mode":
			n, ok := parseUint(value, 8)
			if !ok || n > math.MaxUint32 {
				return sys.EINVAL
			}
			o.mode = uint32(n) & allModes
		case "uid", "gid":
			n, ok := parseUint(value, 0)
			if !ok || n >= math.MaxUint32 { // (uid_t)-1 is none
				return sys.EINVAL
			}
			id := uint32(n)
			if key == "uid" {
				o.uid = &id
			} else {
				o.gid = &id
			}
		case "inode64": // as it is
		case "inode32", "huge", "mpol", "noswap", "quota", "usrquota", "grpquota", "casefold", "strict_encoding",
			"usrquota_block_hardlimit", "usrquota_inode_hardlimit", "grpquota_block_hardlimit", "grpquota_inode_hardlimit":
			return sys.ENOSYS
		default:
			return sys.EINVAL
		}
		return nil
	})
	return o, err
}

// parseUint is kstrtouint.
func parseUint(s string, base int) (uint64, bool) {
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil && !strings.ContainsAny(s, "_oO") && !strings.HasPrefix(strings.ToLower(s), "0b")
}

// memparse is memparse of lib/cmdline.c: a number, and what it is a multiple of.
func memparse(s string) (int64, bool) {
	const suffixes = "kmgtp"
	shift := 0
	if s != "" {
		if i := strings.IndexByte(suffixes, s[len(s)-1]|0x20); i >= 0 {
			shift = 10 * (i + 1)
			s = s[:len(s)-1]
		}
	}
	n, ok := parseUint(s, 0)
	if !ok || n > (math.MaxInt64-PageSize)>>shift {
		return 0, false
	}
	return int64(n << shift), true
}

// limit sets the limits that o gives.
func (fs *FS) limit(o fsOptions) {
	if o.size != nil {
		fs.limits.pages.Store(*o.size)
		fs.options.size = o.size
	}
	if o.inodes != nil {
		fs.limits.inodes.Store(*o.inodes * bogoInode)
		fs.options.inodes = o.inodes
	}
}

// change is shmem_reconfigure: only limits change. EINVAL: what has none cannot
// get one, and none can be below what is in use. The default, which on Linux is
// half of the memory, is not none.
func (fs *FS) change(o fsOptions) error {
	refused := func(limit, old *int64, unit, used int64) bool {
		return limit != nil && *limit > 0 && (old != nil && *old == 0 || used > *limit*unit)
	}
	if refused(o.size, fs.options.size, 1, fs.limits.used.Load()) ||
		refused(o.inodes, fs.options.inodes, bogoInode, fs.limits.inodeUsed.Load()) {
		return sys.EINVAL
	}
	fs.limit(o)
	return nil
}

// show are the options as /proc/mounts shows them: shmem_show_options.
func (o *fsOptions) show() string {
	var b strings.Builder
	option := func(key string, n uint64, base int) {
		s := strconv.FormatUint(n, base)
		if base == 8 {
			s = strings.Repeat("0", max(0, 3-len(s))) + s
		}
		b.WriteString("," + key + "=" + s)
	}
	if o.size != nil {
		option("size", uint64(*o.size)*(PageSize/1024), 10)
		b.WriteByte('k')
	}
	if o.inodes != nil {
		option("nr_inodes", uint64(*o.inodes), 10)
	}
	if o.mode != tmpfsMode && o.uid != nil { // it was mounted by a process
		option("mode", uint64(o.mode), 8)
	}
	if o.uid != nil && *o.uid != 0 {
		option("uid", uint64(*o.uid), 10)
	}
	if o.gid != nil && *o.gid != 0 {
		option("gid", uint64(*o.gid), 10)
	}
	return b.String()
}
