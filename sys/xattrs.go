package sys

// Xattrs are the calls on extended attributes, see xattr(7). atflags is 0, and a
// symlink is followed, or AT_SYMLINK_NOFOLLOW: then a call is lsetxattr(2) or its
// like. EINVAL: others.
//
// A name has a namespace in front: "user." of files and directories, whose
// permissions guard it; "trusted." for CAP_SYS_ADMIN; "security.", to be read by
// all. EOPNOTSUPP: another, or none; ERANGE: the name is empty or longer than
// XATTR_NAME_MAX.
type Xattrs interface {
	// Setxattr is setxattr(2); flags are 0, XATTR_CREATE or XATTR_REPLACE. EEXIST,
	// ENODATA: what the flag says does not hold. E2BIG: value is longer than
	// XATTR_SIZE_MAX. EPERM: a namespace that is not the caller's, and "user." of
	// neither a file nor a directory, or of somebody else's sticky directory.
	Setxattr(path, name string, value []byte, flags, atflags int) error
	// Fsetxattr is fsetxattr(2).
	Fsetxattr(fd int, name string, value []byte, flags int) error
	// Getxattr is getxattr(2) into value; n is the length. An empty value asks for
	// that alone. ERANGE: value is too short; ENODATA: there is none.
	Getxattr(path, name string, value []byte, atflags int) (n int, err error)
	// Fgetxattr is fgetxattr(2).
	Fgetxattr(fd int, name string, value []byte) (n int, err error)
	// Listxattr is listxattr(2), never truncated: the names, in no order that may
	// be relied on; "trusted." ones for CAP_SYS_ADMIN only.
	Listxattr(path string, atflags int) (names []string, err error)
	// Flistxattr is flistxattr(2).
	Flistxattr(fd int) (names []string, err error)
	// Removexattr is removexattr(2). ENODATA: there is none.
	Removexattr(path, name string, atflags int) error
	// Fremovexattr is fremovexattr(2).
	Fremovexattr(fd int, name string) error
}

// Flags of setxattr(2).
const (
	XATTR_CREATE  = 1
	XATTR_REPLACE = 2
)

// Limits of xattr(7), in bytes.
const (
	XATTR_NAME_MAX = 255
	XATTR_SIZE_MAX = 65536
	XATTR_LIST_MAX = 65536
)
