package vfs

import "testing"

// Quotas were not seen on Linux but read in it (fs/quota/dquot.c, mm/shmem.c):
// few kernels are built with those of tmpfs.
func TestQuota(t *testing.T) {
	m := newFakeMachine(t)
	newInterp(m).run(t, `
		mkdir m
		mount /m rw
		chmod m 777
		put m/old 666 {x*5000}
		chown m/old 1000 1000
	`)
	m.last.fs.SetLimit(10 * PageSize)
	m.last.fs.SetQuota(1000, 4*PageSize-1, 4)
	newInterp(m).run(t, `
		as u 1000 1000
		open fd m/f rw|creat 644
		write fd {a*4096} -> 4096
		write fd {b*8192} -> 4096
		write fd c -> EDQUOT
		pwrite fd c 0 -> 1
		pwrite fd c 20480 -> EDQUOT
		fallocate fd - 0 12288 -> EDQUOT
		statfs m -> 6/6/10 0x1020
		lstat m/f -> f0644 1000:1000 n1 s8192
		# The account is the owner's, whoever writes.
		as v 1001 1001
		open old m/old rw
		pwrite old x 8192 -> EDQUOT
		ftruncate old 100
		pwrite old x 8192 -> 1
		pwrite old x 4096 -> EDQUOT
		open mine m/mine w|creat 644
		write mine {m*12288} -> 12288
		# The inodes too; a hard link is none.
		as u
		mkdir m/d
		symlink x m/l
		mkdir m/e -> EDQUOT
		try m/e w|creat 644 -> EDQUOT
		try m w|tmpfile 644 -> EDQUOT
		mknod m/e 10644 -> EDQUOT
		symlink x m/e -> EDQUOT
		rename m/f m/e whiteout -> EDQUOT
		link m/f m/g
		unlink m/f
		mkdir m/e -> EDQUOT
		unlink m/l
		mkdir m/e
		rmdir m/e
		# What was removed is on the account until it is closed.
		unlink m/g
		mknod m/a 644
		mknod m/b 644 -> EDQUOT
		write fd {b*4096} -> EDQUOT
		close fd
		mknod m/b 644
		# CAP_SYS_RESOURCE is not held, but counted.
		as resource 1000 1000 - 24
		mknod m/c 644
		open c m/c w
		write c {c*12288} -> 12288
		as u
		mknod m/x 644 -> EDQUOT
		unlink m/a
		mknod m/x 644 -> EDQUOT
		unlink m/b
		mknod m/x 644
		open x m/x w
		write x x -> EDQUOT
		# The filesystem may be full before.
		as resource
		write c {c*12288} -> 8192
		write c x -> ENOSPC
		as u
		write x x -> ENOSPC
		# chown moves a file from one account to another.
		as chown 1001 1001 - 0
		chown m/mine 1000 -1 -> EDQUOT
		lstat m/mine -> f0644 1001:1001 n1 s12288
		chown m/c 1001 -1
		unlink m/x
		chown m/mine 1000 -1 -> EDQUOT
		as u
	`)
}
