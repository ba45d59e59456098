// Package vfs is the filesystem layer of the simulated kernel: inodes, names,
// mounts, open file descriptions, file locks, pipes and memory files.
//
// A [Tree] is one machine's tree of names. Its methods are the system calls
// that take a path; the methods of [Description] are those that take a file
// descriptor. Both return the error numbers that Linux returns, found by the
// same checks in the same order: the comments name the function of Linux that a
// rule comes from (fs/namei.c, fs/open.c, fs/attr.c, fs/pipe.c, fs/locks.c), and
// the tests run one table against this package and against the real kernel.
//
// # Locks
//
// From the outside in; each is released before a call out of the package,
// except into a sched.Queue:
//
//	Tree.mu         names, mounts, and every decision that depends on them
//	  Description.mu  the offset
//	    Inode.mu        the bytes of a regular file
//	pipe.mu         a pipe
//	fileLocks.mu    the advisory locks on a file
//	  lockTable.mu    which process waits for which
//
// Attributes (mode, owner, times, size, link count) are atomic, so that stat
// takes no lock but the one that the walk to the name needs.
//
// # Where it differs from Linux
//
//   - getdents returns entries in the order in which they were made.
//   - A file that is mapped shared is kept in one piece of memory with room to
//     grow to twice the mapped size. A later mapping that reaches beyond this
//     gets ENOMEM. Touching a page beyond the end of the file reads as zeros
//     instead of SIGBUS, and storing to a hole through a mapping takes no space.
//     SEEK_DATA takes a mapped hole for data.
//   - A private mapping of a file is a copy made by mmap: on Linux pages that were
//     not written to show what is written to the file later.
//   - Mounts do not propagate: each is private or unbindable, MS_SHARED is ENOSYS.
//     mount(2) knows tmpfs, whose size without an option is not limited, and what
//     RegisterMagic was told of; flags and options that are not simulated are
//     ENOSYS.
//   - There are no ACLs, leases or idmapped mounts, and no capabilities of files:
//     security.capability cannot be set.
//   - Directories and the targets of symlinks take no space. A process whose
//     working directory was removed does not keep its inode.
//   - One fallocate makes 4 GiB at most, where the filesystem has no limit: ENOSPC.
//   - Quotas are per user, have hard limits only, and no quotactl.
package vfs
