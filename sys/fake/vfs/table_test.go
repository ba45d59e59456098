package vfs

import (
	"os"
	"strings"
	"testing"
)

// table are the rules of the filesystem, each as a script.
var table = []struct{ name, script string }{
	{"path_resolution", `
		mkdir d
		put d/f 644 hello
		symlink d/f l
		symlink d ld
		symlink nowhere dangling
		symlink loop2 loop1
		symlink loop1 loop2
		cat d/f -> "hello"
		cat /d/f -> "hello"
		cat //d//.///f -> "hello"
		cat d/../d/f -> "hello"
		cat l -> "hello"
		cat ld/f -> "hello"
		stat '' -> ENOENT
		stat nope -> ENOENT
		stat nope/f -> ENOENT
		stat d/f/x -> ENOTDIR
		stat d/f/ -> ENOTDIR
		stat d/f/. -> ENOTDIR
		stat d/f/.. -> ENOTDIR
		lstat d/ -> d0777 0:0 n2
		lstat ld -> l0777 0:0 n1 s1
		lstat ld/ -> d0777 0:0 n2
		lstat ld/. -> d0777 0:0 n2
		lstat l/ -> ENOTDIR
		stat dangling -> ENOENT
		lstat dangling -> l0777 0:0 n1 s7
		lstat dangling/ -> ENOENT
		stat loop1 -> ELOOP
		stat loop1/x -> ELOOP
		lstat loop1 -> l0777 0:0 n1 s5
		lstat loop1/ -> ELOOP
		stat /.. -> d0755 0:0 n3
		stat /../../.. -> d0755 0:0 n3
		stat / -> d0755 0:0 n3
		stat {n*255} -> ENOENT
		stat {n*256} -> ENAMETOOLONG
		stat d/{n*256}/x -> ENAMETOOLONG
		stat nope/{n*256} -> ENOENT
		stat {/*4094}d -> d0777 0:0 n2
		stat {/*4095}d -> ENAMETOOLONG
		readlink l -> d/f
		readlink d/f -> EINVAL
		readlink d -> EINVAL
		readlink nope -> ENOENT
		readlink ld/ -> EINVAL
		mkdir {n*255}
		mkdir {m*256} -> ENAMETOOLONG
	`},
	{"symlink_depth", `
		put f 644
		symlink f s00
		symlink s00 s01
		symlink s01 s02
		symlink s02 s03
		symlink s03 s04
		symlink s04 s05
		symlink s05 s06
		symlink s06 s07
		symlink s07 s08
		symlink s08 s09
		mkdir e
		symlink ../e e/a
		symlink /f e/abs
		# 40 links are followed, the 41st is one too many.
		stat e/{a/*39}abs -> f0644 0:0 n1 s0
		stat e/{a/*40}abs -> ELOOP
		stat e/{a/*40}. -> d0777 0:0 n2
		stat e/{a/*41}. -> ELOOP
		stat e/{a/*31}../s08 -> f0644 0:0 n1 s0
		stat e/{a/*31}../s09 -> ELOOP
		symlink / root
		stat root -> d0755 0:0 n3
		stat root/root/root/e/a/abs -> f0644 0:0 n1 s0
		symlink e/ slash
		symlink f/ fslash
		stat slash -> d0777 0:0 n2
		stat fslash -> ENOTDIR
		lstat fslash -> l0777 0:0 n1 s2
		symlink x/../f xup
		stat xup -> ENOENT
		mkdir x
		stat xup -> f0644 0:0 n1 s0
		symlink '' empty -> ENOENT
		symlink {x*4096} long -> ENAMETOOLONG
	`},
	{"search_permission", `
		mkdir d 700
		put d/f 666 x
		mkdir open 711
		put open/f 644 x
		put open/secret 600 x
		mkdir noread 755
		put noread/f 0 x
		as u 1000 1000
		stat d -> d0700 0:0 n2
		stat d/f -> EACCES
		stat d/nope -> EACCES
		stat d/. -> EACCES
		stat d/ -> d0700 0:0 n2
		cd d -> EACCES
		cat open/f -> "x"
		cat open/secret -> EACCES
		ls open -> EACCES
		cd open
		stat f -> f0644 0:0 n1 s1
		stat .. -> d0755 0:0 n5
		stat nope/x -> ENOENT
		cd f -> ENOTDIR
		cat /noread/f -> EACCES
		try /open/f w -> EACCES
		try /open/new w|creat 644 -> EACCES
		try /open/f w|creat 644 -> EACCES
		try /open/f r|creat 644
		access /open/f 4
		access /open/f 2 -> EACCES
		access /open/f 0
		access /open/f 1 -> EACCES
		access /open/f 9 -> EINVAL
		access /d/f 0 -> EACCES
		# The owner's bits count for the owner even if others may do more.
		as root
		put mine 077 x
		chown mine 1000 0
		put group 707 x
		chown group 0 1000
		as u
		cat /mine -> EACCES
		cat /group -> EACCES
		as v 1001 1001 1000
		cat /mine -> "x"
		cat /group -> EACCES
		as w 1002 1002
		cat /group -> "x"
	`},
	{"capabilities", `
		mkdir d 0
		put d/f 0 x
		put d/x 100 x
		put plain 644 x
		mkdir pub 777
		as over 1000 1000 - 1
		cat d/f -> "x"
		try d/f rw
		access d/f 1 -> EACCES
		access d/x 7
		mkdir d/new
		rmdir d/new
		chmod d/f 777 -> EPERM
		chown d/f 1000 1000 -> EPERM
		as search 1000 1000 - 2
		cat d/f -> "x"
		ls d -> ..:4 .:4 f:8 x:8
		try d/f w -> EACCES
		mkdir d/new -> EACCES
		unlink d/f -> EACCES
		access d/x 1 -> EACCES
		as fowner 1000 1000 - 3
		chmod plain 6755
		stat plain -> f4755 0:0 n1 s1
		utimes plain 5 6
		times plain -> a5.0 m6.0
		chown plain 1000 -1 -> EPERM
		as chown 1000 1000 - 0
		# Clearing the set-id bit turns the chown into a chmod.
		chown plain 1 -1 -> EPERM
		as root
		chmod plain 644
		as chown
		chown plain 1001 1001
		stat plain -> f0644 1001:1001 n1 s1
		chmod plain 600 -> EPERM
		as both 1000 1000 - 3,4
		chmod plain 6755
		stat plain -> f6755 1001:1001 n1 s1
		as mknod 1000 1000 - 27
		mknod pub/null 20666 0x103
		as none 1000 1000
		mknod pub/zero 20666 0x105 -> EPERM
		mknod pub/fifo 10666
		mknod pub/sock 140666
		mknod pub/dir 40777 -> EPERM
		mknod pub/lnk 120777 -> EINVAL
		mknod pub/plain 0666
		stat pub/plain -> f0666 1000:1000 n1 s0
		stat pub/null -> c0666 1000:1000 n1
		chroot pub -> EPERM
		chroot nope -> ENOENT
		chroot plain -> ENOTDIR
		chroot d -> EACCES
	`},
	{"open_flags", `
		mkdir d
		put f 644 hello
		symlink f l
		symlink d ld
		symlink made dangling
		try f r|excl
		try f r|creat|excl 644 -> EEXIST
		try l r|creat|excl 644 -> EEXIST
		try dangling r|creat|excl 644 -> EEXIST
		try dangling r|nofollow -> ELOOP
		try dangling r|creat|nofollow 644 -> ELOOP
		try dangling r|creat 640
		stat made -> f0640 0:0 n1 s0
		try l r|nofollow -> ELOOP
		try ld r|nofollow -> ELOOP
		try ld/ r|nofollow
		try ld r|nofollow|dir -> ENOTDIR
		try f r|dir -> ENOTDIR
		try d r|dir
		try d w -> EISDIR
		try d rw -> EISDIR
		try d r|trunc -> EISDIR
		try d r|creat -> EISDIR
		try d r|creat|dir -> EINVAL
		try d r|creat|excl -> EEXIST
		try d/. r|creat -> EISDIR
		try d/.. r|creat|excl -> EEXIST
		try / r|creat|excl -> EEXIST
		try d/new/ w|creat 644 -> EISDIR
		try d/ w|creat 644 -> EISDIR
		try f/ w|creat 644 -> EISDIR
		try f/ r -> ENOTDIR
		try nope/ r -> ENOENT
		try nope r -> ENOENT
		try nope/x w|creat 644 -> ENOENT
		try f/x w|creat 644 -> ENOTDIR
		try {n*256} w|creat 644 -> ENAMETOOLONG
		try f r|bad
		open fd f r|append|nonblock|nofollow
		getfl fd -> 0x20c00
		setfl fd w|noatime|nonblock
		getfl fd -> 0x60800
		setfl fd r
		getfl fd -> 0x20000
		write fd x -> EBADF
		pwrite fd x 0 -> EBADF
		ftruncate fd 0 -> EINVAL
		ftruncate fd -1 -> EINVAL
		open wo f w
		read wo 5 -> EBADF
		pread wo 5 0 -> EBADF
		open ex new rw|creat|excl|trunc 644
		getfl ex -> 0x2
		open no f none
		read no 5 -> EBADF
		write no x -> EBADF
		open tr f rw|trunc
		fstat tr -> f0644 0:0 n1 s0
		put t 644 hello
		try t r|trunc
		stat t -> f0644 0:0 n1 s0
		try d w|tmpfile 600 -> *
		try d r|tmpfile 600 -> EINVAL
		open dfd d r|dir
		getfl dfd -> 0x10000
		read dfd 5 -> EISDIR
		pread dfd 5 0 -> EISDIR
		write dfd x -> EBADF
		ftruncate dfd 0 -> EINVAL
		seek dfd 0 set -> 0
		seek dfd -1 set -> EINVAL
		ready dfd -> 0x5
		fsync dfd
		mmap dfd 0 1 shared -> ENODEV
		as u 1000 1000
		try f r|noatime -> EPERM
		open fd f r
		setfl fd noatime -> EPERM
		setfl fd append
		getfl fd -> 0x400
	`},
	{"open_path", `
		mkdir d
		put d/f 600 hello
		symlink d/f l
		open p d/f path
		getfl p -> 0x200000
		fstat p -> f0600 0:0 n1 s5
		read p 5 -> EBADF
		pread p 5 0 -> EBADF
		write p x -> EBADF
		seek p 0 set -> EBADF
		ftruncate p 0 -> EBADF
		fsync p -> EBADF
		fchmod p 644 -> EBADF
		fchown p 1 1 -> EBADF
		flock p ex -> EBADF
		setlk p rd 0 0 -> EBADF
		setfl p append -> EBADF
		mmap p 0 1 shared -> EBADF
		fgetdents p -> EBADF
		fchdir p -> ENOTDIR
		open q l path|nofollow
		fstat q -> l0777 0:0 n1 s3
		open r l path|rw|creat|trunc
		fstat r -> f0600 0:0 n1 s5
		open s d path|dir
		fchdir s
		stat f -> f0600 0:0 n1 s5
		openat2 t s f r
		read t 9 -> "hello"
		openat2 t p f r -> ENOTDIR
		openat2 t p /d/f r
		open nope nope path -> ENOENT
		as u 1000 1000
		open p d/f path
		fstat p -> f0600 0:0 n1 s5
		try d/f r -> EACCES
	`},
	{"openat2", `
		mkdir a
		mkdir a/b
		put a/f 644 in
		put f 644 out
		symlink /f a/abs
		symlink ../f a/up
		symlink f a/rel
		symlink b/../f a/dots
		mount /a/b rw
		open d a r|dir
		openat2 x d f r|beneath
		openat2 x d /a/f r|beneath -> EXDEV
		openat2 x d ../f r|beneath -> EXDEV
		openat2 x d b/../../f r|beneath -> EXDEV
		openat2 x d b/../f r|beneath
		openat2 x d .. r|beneath -> EXDEV
		openat2 x d . r|beneath
		openat2 x d abs r|beneath -> EXDEV
		openat2 x d up r|beneath -> EXDEV
		openat2 x d rel r|beneath
		openat2 x d dots r|beneath
		openat2 x d new w|creat|beneath 644
		openat2 x d ../new w|creat|beneath 644 -> EXDEV
		openat2 x d nope r|beneath -> ENOENT
		openat2 x d /f r|inroot
		read x 3 -> "in"
		openat2 x d ../../f r|inroot
		read x 3 -> "in"
		openat2 x d abs r|inroot
		read x 3 -> "in"
		openat2 x d up r|inroot
		read x 3 -> "in"
		openat2 x d / r|inroot|dir
		openat2 x d rel r|nosym -> ELOOP
		openat2 x d f r|nosym
		openat2 x d rel r|nosym|nofollow -> ELOOP
		openat2 x d rel path|nofollow|nosym
		openat2 x cwd a/rel r|nosym -> ELOOP
		openat2 x d rel r|nomagic
		openat2 x d f r|noxdev
		openat2 x d b r|noxdev -> EXDEV
		openat2 x d b/x w|creat|noxdev 644 -> EXDEV
		openat2 x d ../f r|noxdev
		openat2 x d /a/f r|noxdev
		openat2 x d /a/b r|noxdev -> EXDEV
		openat2 x d abs r|noxdev -> EXDEV
		openat2 x d ./abs r|noxdev -> EXDEV
		openat2 x d ../a/abs r|noxdev
		openat2 x d /a/abs r|noxdev
		openat2 x d up r|noxdev
		open b a/b r|dir
		openat2 x b .. r|noxdev -> EXDEV
		openat2 x b /f r|noxdev
		openat2 x b . r|noxdev
		openat2 x d f r|bad -> EINVAL
		openat2 x d f r|badresolve -> EINVAL
		openat2 x d f r|beneath|inroot -> EINVAL
		openat2 x d f r 644 -> EINVAL
		openat2 x d f w|creat 10644 -> EINVAL
		openat2 x d f path|rw -> EINVAL
		openat2 x d f path|nofollow
		openat2 x d '' r -> ENOENT
		openat2 x cwd f r
		read x 3 -> "out"
	`},
	{"chroot_escape", `
		mkdir jail
		mkdir jail/in
		put secret 600 outside
		# Inside, with the working directory inside: no way up.
		chroot jail
		cd /
		stat ../secret -> ENOENT
		cat /../../secret -> ENOENT
		pwd -> /
		# mkdir, chroot, and the working directory is outside the root.
		mkdir x
		chroot x
		pwd -> (unreachable)/BASE/jail
		cat ../secret -> "outside"
		cd ..
		pwd -> (unreachable)/BASE
		cat secret -> "outside"
		stat /secret -> ENOENT
		cd /
		pwd -> /
	`},
	{"chroot_descriptor", `
		mkdir jail
		put secret 600 outside
		open leak . r|dir
		chroot jail
		cd /
		cat ../secret -> ENOENT
		openat2 s leak secret r
		read s 9 -> "outside"
		fchdir leak
		cat secret -> "outside"
		pwd -> (unreachable)/BASE
		cat ../BASE/secret -> "outside"
		cd ../../..
		pwd -> (unreachable)/
		ls . -> ..:4 .:4 BASE:4
	`},
	{"working_directory", `
		mkdir a
		mkdir a/b
		cd a/b
		pwd -> /a/b
		rename /a/b /a/c
		pwd -> /a/c
		rmdir /a/c
		pwd -> ENOENT
		stat . -> d0777 0:0 n0
		stat .. -> d0777 0:0 n2
		mkdir x -> ENOENT
		try x w|creat 644 -> ENOENT
		symlink a x -> ENOENT
		stat x -> ENOENT
		ls . -> ENOENT
		cd ..
		pwd -> /a
		cd /
		rmdir a
		put f 644
		cd f -> ENOTDIR
		cd nope -> ENOENT
	`},
	{"mkdir_rmdir", `
		mkdir d 1777
		stat d -> d1777 0:0 n2
		mkdir s 7777
		stat s -> d1777 0:0 n2
		mkdir d -> EEXIST
		mkdir d/ -> EEXIST
		mkdir e/
		mkdir . -> EEXIST
		mkdir .. -> EEXIST
		mkdir / -> EEXIST
		mkdir d/. -> EEXIST
		mkdir '' -> ENOENT
		mkdir nope/d -> ENOENT
		put f 644
		mkdir f -> EEXIST
		mkdir f/d -> ENOTDIR
		symlink new l
		mkdir l -> EEXIST
		mkdir l/ -> EEXIST
		mkdir d/sub
		stat d -> d1777 0:0 n3
		rmdir d -> ENOTEMPTY
		rmdir d/sub/. -> EINVAL
		rmdir d/sub/.. -> ENOTEMPTY
		rmdir / -> EBUSY
		rmdir f -> ENOTDIR
		rmdir l -> ENOTDIR
		rmdir nope -> ENOENT
		rmdir f/x -> ENOTDIR
		symlink d/sub ls
		rmdir ls -> ENOTDIR
		rmdir ls/ -> ENOTDIR
		rmdir d/sub/
		stat d -> d1777 0:0 n2
		umask 027 -> 0000
		mkdir u
		stat u -> d0750 0:0 n2
		put uf 666
		stat uf -> f0640 0:0 n1 s0
		mknod uq 10666
		stat uq -> p0640 0:0 n1
		symlink x ul
		lstat ul -> l0777 0:0 n1 s1
		umask 7777 -> 0027
		umask 0 -> 0777
		mount /e rw
		rmdir e -> EBUSY
		rename e e2 -> EBUSY
		rename f e -> EISDIR
		mkdir g
		rename g e -> EBUSY
		unlink e -> EISDIR
		rmdir e/. -> EINVAL
	`},
	{"unlink_link", `
		mkdir d
		put f 644 hello
		symlink f l
		link f g
		stat g -> f0644 0:0 n2 s5
		same f g -> true
		link l m
		lstat m -> l0777 0:0 n2 s1
		same l m -> true
		link f g -> EEXIST
		link f d -> EEXIST
		link d dd -> EPERM
		link nope x -> ENOENT
		link f nope/x -> ENOENT
		link f x/ -> ENOENT
		link f d/ -> EEXIST
		link f/ x -> ENOTDIR
		link f . -> EEXIST
		link f / -> EEXIST
		open fd f rw
		unlink f
		unlink g
		fstat fd -> f0644 0:0 n0 s5
		read fd 9 -> "hello"
		write fd more -> 4
		pread fd 9 0 -> "hellomore"
		fchmod fd 600
		fstat fd -> f0600 0:0 n0 s9
		unlink f -> ENOENT
		unlink d -> EISDIR
		unlink d/ -> EISDIR
		unlink . -> EISDIR
		unlink .. -> EISDIR
		unlink / -> EISDIR
		put f 644
		unlink f/ -> ENOTDIR
		unlink nope/ -> ENOENT
		unlink f/x -> ENOTDIR
		unlink l
		stat f -> f0644 0:0 n1 s0
		unlink '' -> ENOENT
		unlink {n*256} -> ENAMETOOLONG
		mount /d rw
		link f d/f -> EXDEV
		rename f d/f -> EXDEV
	`},
	{"sticky", `
		mkdir tmp 1777
		as u 1000 1000
		put tmp/mine 644
		mkdir tmp/dir
		as v 1001 1001
		put tmp/yours 644
		unlink tmp/mine -> EPERM
		rename tmp/mine tmp/x -> EPERM
		rename tmp/yours tmp/mine -> EPERM
		rmdir tmp/dir -> EPERM
		unlink tmp/nope -> ENOENT
		unlink tmp/dir -> EPERM
		as fowner 1002 1002 - 3
		unlink tmp/mine
		as u
		rmdir tmp/dir
		as root
		chown tmp 1002 0
		as owner 1002 1002
		unlink tmp/yours
		ls tmp -> ..:4 .:4
	`},
	{"create_in_sticky", `
		mkdir tmp 1777
		mkdir group 1770
		chown group 0 1000
		as u 1000 1000
		mknod tmp/sock 140666
		mknod group/sock 140666
		put tmp/f 666
		as v 1001 1000
		try tmp/sock r|creat 644 -> EACCES
		try tmp/sock r -> ENXIO
		try tmp/sock r|creat|excl 644 -> EEXIST
		try group/sock r|creat 644 -> ENXIO
		as u
		try tmp/sock r|creat 644 -> ENXIO
	`},
	{"protected_hardlinks", `
		mkdir pub 777
		put mine 666
		put ro 644
		put suid 4777
		as u 1000 1000
		link mine pub/a
		link ro pub/b -> EPERM
		link suid pub/c -> EPERM
		link pub pub/d -> EPERM
		link nope pub/e -> ENOENT
	`},
	{"setgid", `
		mkdir d
		chown d 0 50
		chmod d 2777
		put d/f 664
		stat d/f -> f0664 0:50 n1 s0
		mkdir d/sub 755
		stat d/sub -> d2755 0:50 n2
		symlink x d/l
		lstat d/l -> l0777 0:50 n1 s1
		as u 1000 1000
		put d/exec 2775
		stat d/exec -> f0775 1000:50 n1 s0
		put d/noexec 2664
		stat d/noexec -> f2664 1000:50 n1 s0
		chmod d/exec 2775
		stat d/exec -> f0775 1000:50 n1 s0
		mkdir d/mine 777
		stat d/mine -> d2777 1000:50 n2
		as g 1001 1001 50
		put d/inside 2775
		stat d/inside -> f2775 1001:50 n1 s0
		chmod d/inside 2770
		stat d/inside -> f2770 1001:50 n1 s0
	`},
	{"chmod_chown", `
		mkdir d
		put f 644 x
		symlink f l
		chmod l 600
		stat f -> f0600 0:0 n1 s1
		chmod f 107777
		stat f -> f7777 0:0 n1 s1
		chown f 1000 1000
		stat f -> f1777 1000:1000 n1 s1
		chmod f 6666
		chown f -1 -1
		stat f -> f2666 1000:1000 n1 s1
		chmod f 6777
		chown f 1000 -1
		stat f -> f0777 1000:1000 n1 s1
		chmod d 6777
		chown d 1000 1000
		stat d -> d6777 1000:1000 n2
		lchown l 7 8
		lstat l -> l0777 7:8 n1 s1
		chown l 1000 1000
		chmod nope 644 -> ENOENT
		chown nope 1 1 -> ENOENT
		chmod f/ 644 -> ENOTDIR
		chmod f 4755
		as u 1000 1000 2000
		chown f -1 2000
		stat f -> f0755 1000:2000 n1 s1
		chown f -1 3000 -> EPERM
		chown f 1000 1000
		chown f 1001 -1 -> EPERM
		chown f -1 -1
		as v 1001 1001 1000
		chmod f 777 -> EPERM
		chown f -1 1000 -> EPERM
		chown f -1 -1
		chown f 1000 -1 -> EPERM
	`},
	{"write_clears_setid", `
		put f 666 hello
		chmod f 6777
		put g 666 hello
		chmod g 6767
		put h 666 hello
		chmod h 6777
		chmod f 6777
		open r f w
		write r x -> 1
		stat f -> f6777 0:0 n1 s5
		as u 1000 1000
		open fd f rw
		write fd '' -> 0
		stat f -> f6777 0:0 n1 s5
		write fd x -> 1
		stat f -> f0777 0:0 n1 s5
		open gd g rw
		ftruncate gd 1
		stat g -> f0767 0:0 n1 s1
		try h w|trunc
		stat h -> f0777 0:0 n1 s0
	`},
	{"utimensat", `
		put f 666 x
		symlink f l
		put ro 644 x
		utimes f 5.7 6.8
		times f -> a5.7 m6.8
		utimes f omit 9
		times f -> a5.7 m9.0
		utimes f 1 omit
		times f -> a1.0 m9.0
		utimes f -1 -2
		times f -> a-1.0 m-2.0
		utimes l 3 4
		times f -> a3.0 m4.0
		utimes l 7 8 0x100
		times l -> a7.0 m8.0
		times f -> a3.0 m4.0
		utimes nope omit omit
		utimes nope 1 1 -> ENOENT
		utimes nope 1.1000000000 1 -> ENOENT
		utimes f 1.1000000000 1 -> EINVAL
		utimes f 1.-1 1 -> EINVAL
		utimes f 1 1 0x40000 -> EINVAL
		as u 1000 1000
		utimes f now now
		utimes f 1 1 -> EPERM
		utimes f omit now -> EPERM
		utimes f now omit -> EPERM
		utimes ro now now -> EACCES
		utimes ro 1 1 -> EPERM
		utimes f omit omit
	`},
	{"rename", `
		mkdir a
		mkdir a/sub
		mkdir b
		put a/f 644 A
		put b/g 644 B
		rename a/f b/f
		cat b/f -> "A"
		stat a/f -> ENOENT
		rename b/f b/g
		cat b/g -> "A"
		stat b/f -> ENOENT
		rename b/g b/g
		link b/g b/h
		rename b/g b/h
		ls b -> ..:4 .:4 g:8 h:8
		rename nope x -> ENOENT
		rename b/g nope/x -> ENOENT
		rename b/g a -> EISDIR
		rename a b/g -> ENOTDIR
		rename a b -> ENOTEMPTY
		rename a/sub b -> ENOTEMPTY
		rename a a/sub -> EINVAL
		rename a a/sub/new -> EINVAL
		rename a/sub a -> ENOTEMPTY
		rename b/g b -> ENOTEMPTY
		rename a a
		rename a/ a
		rename b/g/ b/x -> ENOTDIR
		rename b/g b/x/ -> ENOTDIR
		rename a/sub b/sub/
		stat a -> d0777 0:0 n2
		stat b -> d0777 0:0 n3
		mkdir empty
		rename b/sub empty
		stat empty -> d0777 0:0 n2
		stat b -> d0777 0:0 n2
		rename a/. x -> EBUSY
		rename a/.. x -> EBUSY
		rename a . -> EBUSY
		rename a / -> EBUSY
		rename / a -> EBUSY
		rename b/g {n*256} -> ENAMETOOLONG
		rename {n*256} x -> ENAMETOOLONG
		symlink b/g l
		rename l m
		lstat m -> l0777 0:0 n1 s3
		rename m/ x -> ENOTDIR
		rename b/h m
		lstat m -> f0644 0:0 n2 s1
		mkdir locked 755
		mkdir locked/d 777
		put locked/f 666
		mkdir pub 777
		mkdir pub/ro 755
		chown pub 1000 1000
		as u 1000 1000
		rename locked/f pub/f -> EACCES
		rename locked/nope pub/f -> ENOENT
		put pub/x 644
		rename pub/x locked/x -> EACCES
		rename pub/x locked/f -> EACCES
		# Moving a directory of somebody else changes its "..".
		mkdir pub/mine 777
		rename pub/ro pub/mine/ro -> EACCES
		rename pub/ro pub/ro2
		chmod pub/mine 555
		rename pub/mine pub/mine2
	`},
	{"read_only", `
		mkdir m
		mount /m rw
		put m/f 666 x
		mkdir m/d 777
		symlink f m/l
		mknod m/null 20666 0x103
		open w m/f rw -> ok
		close w
		remount /m ro
		cat m/f -> "x"
		try m/f w -> EROFS
		try m/f r|trunc -> EROFS
		try m/new w|creat 644 -> EROFS
		try m/f w|creat 644 -> EROFS
		try m/f r|creat 644
		try m/f r|creat|excl 644 -> EEXIST
		try m/null rw
		mkdir m/new -> EROFS
		mkdir m/d -> EEXIST
		mknod m/new 666 -> EROFS
		symlink x m/new -> EROFS
		link m/f m/g -> EROFS
		link m/f m/d -> EEXIST
		unlink m/f -> EROFS
		unlink m/nope -> EROFS
		unlink m/f/x -> ENOTDIR
		rmdir m/d -> EROFS
		rmdir m/nope -> EROFS
		rename m/f m/g -> EROFS
		rename m/nope m/g -> EROFS
		chmod m/f 644 -> EROFS
		chown m/f 1 1 -> EROFS
		utimes m/f 1 1 -> EROFS
		access m/f 2 -> EROFS
		access m/f 4
		access m/null 2
		as u 1000 1000
		access m/f 2 -> EROFS
		chmod m/f 644 -> EROFS
		mkdir m/new -> EROFS
	`},
	{"renameat2_mounts", `
		mkdir m
		mount /m rw
		put f 644 f
		put m/g 644 g
		mkdir d
		mkdir d/sub
		rename f m/g exchange -> EXDEV
		rename m/g f exchange -> EXDEV
		rename f m/g noreplace -> EXDEV
		rename f m/new whiteout -> EXDEV
		rename m d exchange -> EBUSY
		rename d m exchange -> EBUSY
		rename m n noreplace -> EBUSY
		rename m d noreplace -> EEXIST
		rename d/sub m/sub exchange -> EXDEV
		rename m/g m/none exchange -> ENOENT
		put m/h 644 h
		rename m/g m/h exchange
		cat m/g -> "h"
		remount /m ro
		rename m/g m/h exchange -> EROFS
		rename m/g m/h noreplace -> EROFS
		rename m/g m/h whiteout -> EROFS
		rename m/g m/none exchange -> EROFS
		mkdir n
		mount /n nodev
		put n/f 644 x
		rename n/f n/g whiteout
		try n/f r -> EACCES
	`},
	{"nodev_noexec", `
		mkdir m
		mount /m nodev,noexec
		mknod m/null 20666 0x103
		try m/null r -> EACCES
		put m/x 755 x
		access m/x 1 -> EACCES
		access m/x 5 -> EACCES
		access m/x 4
		access m 1
		mknod null 20666 0x103
		open n null rw
		write n hello -> 5
		read n 5 -> ""
		seek n 10 set -> 0
		pread n 5 7 -> ""
		ftruncate n 0 -> EINVAL
		fsync n -> EINVAL
		ready n -> 0x5
		mknod zero 20666 0x105
		open z zero rw
		read z 3 -> "\x00\x00\x00"
		write z abc -> 3
		mknod full 20666 0x107
		open f full rw
		write f abc -> ENOSPC
		mknod random 20666 0x109
		open u random r
		read u 200 -> 200
		mknod nodriver 20666 0xff07
		try nodriver r -> ENXIO
		try nodriver path
		mknod sock 140666
		try sock r -> ENXIO
		try null r|trunc
		try null r|dir -> ENOTDIR
	`},
	{"xattr_read_only", `
		mkdir m
		mount /m rw
		put m/f 644 x
		setxattr m/f user.x 1
		remount /m ro
		setxattr m/f user.x 2 -> EROFS
		setxattr m/f trusted.x 2 -> EROFS
		setxattr m/f none.x 2 -> EROFS
		setxattr m/none user.x 2 -> ENOENT
		getxattr m/f user.x -> "1"
		removexattr m/f user.x -> EROFS
		removexattr m/f user.y -> EROFS
		as u 1000 1000
		setxattr m/f user.x 2 -> EROFS
		setxattr m/f trusted.x 2 -> EROFS
		getxattr m/f user.x -> "1"
	`},
	{"fallocate_no_space", `
		mkdir m
		mount /m nodev,noexec
		limit 20480
		open fd m/f rw|creat 644
		statfs m -> 5/5/5 0x102c
		write fd {a*4096} -> 4096
		fallocate fd - 0 20480
		statfs m -> 0/0/5 0x102c
		fallocate fd - 20480 1 -> ENOSPC
		fallocate fd keep 8192 16384 -> ENOSPC
		blocks m/f -> 40
		write fd {b*4096} -> 4096
		pwrite fd {c*4096} 20480 -> ENOSPC
		fallocate fd keep|punch 1 8191
		blocks m/f -> 32
		statfs m -> 1/1/5 0x102c
		open g m/g rw|creat 644
		fallocate g - 0 4096
		fallocate g - 8191 1 -> ENOSPC
		fallocate g - 0 20481 -> ENOSPC
		lstat m/g -> f0644 0:0 n1 s4096
		ftruncate fd 4096
		fallocate g - 4096 12288
		statfs m -> 0/0/5 0x102c
		pread g 4 0 -> "\x00\x00\x00\x00"
		fallocate g keep 16384 4096 -> ENOSPC
		fallocate g keep|punch 0 16384
		statfs m/g -> 4/4/5 0x102c
		statfs m/none -> ENOENT
		statfs '' -> ENOENT
		close fd
		close g
		remount /m ro
		statfs m/g -> 4/4/5 0x1021
	`},
	{"no_inodes", `
		mkdir m
		mount /m rw
		inodes 6
		ffree m -> 5/6
		put m/f 644 x
		mkdir m/d
		symlink x m/l
		link m/f m/g
		ffree m -> 1/6
		mknod m/q 10644
		ffree m -> 0/6
		put m/n 644 -> ENOSPC
		try m/n w|creat 644 -> ENOSPC
		try m/f w|creat 644
		try m w|tmpfile 600 -> ENOSPC
		mkdir m/n -> ENOSPC
		mkdir m/d -> EEXIST
		symlink x m/n -> ENOSPC
		link m/f m/n -> ENOSPC
		mknod m/n 10644 -> ENOSPC
		rename m/f m/n whiteout -> ENOSPC
		rename m/f m/g whiteout
		rename m/l m/q whiteout -> ENOSPC
		rename m/l m/q
		ls m -> ..:4 .:4 d:4 f:8 g:8 q:10
		ffree m -> 1/6
		rename m/f m/h
		ls m -> ..:4 .:4 d:4 g:8 h:8 q:10
		unlink m/g
		ffree m -> 2/6
		open fd m/h r
		unlink m/h
		ffree m -> 2/6
		close fd
		ffree m -> 3/6
		open dd m/d r|dir
		rmdir m/d
		ffree m -> 3/6
		close dd
		ffree m -> 4/6
		open t m w|tmpfile 600
		ffree m -> 3/6
		close t
		ffree m -> 4/6
		as u 1000 1000
		mkdir m/x -> EACCES
	`},
	{"no_room_for_xattrs", `
		mkdir m
		mount /m rw
		inodes 4
		put m/f 644 x
		setxattr m/f user.x {v*2003} -> ENOSPC
		setxattr m/f user.x {v*2002}
		ffree m -> 0/4
		setxattr m/f user.x 1 -> ENOSPC
		put m/g 644 -> ENOSPC
		removexattr m/f user.x
		ffree m -> 2/4
		setxattr m/f user.x {v*978}
		ffree m -> 1/4
		setxattr m/f user.y 1
		ffree m -> 0/4
		setxattr m/f user.x {v*900}
		ffree m -> 1/4
		put m/g 644
		setxattr m/g user.x 1 -> ENOSPC
		unlink m/f
		ffree m -> 2/4
	`},
	{"no_space", `
		mkdir m
		mount /m rw
		limit 8192
		open fd m/f rw|creat 644
		write fd {a*4096} -> 4096
		write fd {b*8192} -> 4096
		write fd c -> ENOSPC
		pwrite fd z 10 -> 1
		stat m/f -> f0644 0:0 n1 s8192
		blocks m/f -> 16
		ftruncate fd 100000
		blocks m/f -> 16
		pwrite fd x 50000 -> ENOSPC
		ftruncate fd 4000
		blocks m/f -> 8
		open g m/g rw|creat 644
		write g x -> 1
		write g {y*5000} -> 4095
		unlink m/g
		pwrite fd {y*5000} 0 -> 4096
		close g
		pwrite fd {y*5000} 0 -> 5000
		blocks m/f -> 16
	`},
	{"read_write", `
		open fd f rw|creat 644
		write fd hello -> 5
		read fd 5 -> ""
		seek fd 0 set -> 0
		read fd 3 -> "hel"
		seek fd 0 cur -> 3
		seek fd -1 end -> 4
		read fd 5 -> "o"
		seek fd -1 set -> EINVAL
		seek fd 0 bad -> EINVAL
		seek fd 100 set -> 100
		read fd 5 -> ""
		write fd end -> 3
		fstat fd -> f0644 0:0 n1 s103
		pread fd 5 98 -> "\x00\x00end"
		pread fd 5 -1 -> EINVAL
		pwrite fd x -1 -> EINVAL
		pread fd 5 1000 -> ""
		open ap f w|append
		write ap A -> 1
		pwrite ap B 0 -> 1
		fstat fd -> f0644 0:0 n1 s105
		pread fd 5 101 -> "ndAB"
		seek ap 0 cur -> 104
		setfl ap r
		pwrite ap X 0 -> 1
		pread fd 3 0 -> "Xel"
		ftruncate fd 2
		pread fd 5 0 -> "Xe"
		ftruncate fd 6
		pread fd 9 0 -> "Xe\x00\x00\x00\x00"
		dup fd2 fd
		seek fd 1 set -> 1
		seek fd2 0 cur -> 1
		read fd2 1 -> "e"
		seek fd 0 cur -> 2
		close fd
		read fd2 9 -> "\x00\x00\x00\x00"
		fsync fd2
		ready fd2 -> 0x5
		open sp sparse rw|creat 644
		pwrite sp x 1000000000000 -> 1
		fstat sp -> f0644 0:0 n1 s1000000000001
		blocks sparse -> 8
		pread sp 3 999999999999 -> "\x00x"
		ftruncate sp 10
		blocks sparse -> 0
		pwrite sp x 20480 -> 1
		seek sp 0 data -> 20480
		seek sp 0 hole -> 0
		seek sp 20480 hole -> 20481
		seek sp 20481 data -> ENXIO
		seek sp 20480 data -> 20480
		write sp '' -> 0
		fsize 100
		ftruncate sp 0
		seek sp 98 set -> 98
		write sp abcd -> 2
		write sp abcd -> EFBIG
		seek sp 0 cur -> 100
		write sp '' -> 0
		mmap sp 0 3 shared
		mmap sp 1 3 shared -> EINVAL
		open ro f r
		mmap ro 0 3 shared -> EACCES
		mmap ro 0 3 private
		mmap ro 0 1 shared
		open wo f w
		mmap wo 0 3 shared -> EACCES
		mmap wo 0 3 private -> EACCES
	`},
	{"times", `
		mkdir d
		mkdir e
		put d/f 644 hello
		symlink f d/l
		mark d e d/f d/l
		open fd d/f rw
		touched d e d/f d/l -> d: e: d/f: d/l:
		read fd 3 -> "hel"
		touched d/f -> d/f:a
		read fd 3 -> "lo"
		touched d/f -> d/f:
		write fd x -> 1
		touched d d/f -> d: d/f:mc
		write fd '' -> 0
		touched d/f -> d/f:
		# Reading nothing is a read: so on tmpfs, not on ext4.
		read fd 0 -> ""
		touched d/f -> d/f:a
		read fd 9 -> ""
		touched d/f -> d/f:
		ftruncate fd 6
		touched d/f -> d/f:mc
		ftruncate fd 3
		touched d/f -> d/f:mc
		try d/f w|trunc
		touched d/f -> d/f:mc
		try d/f w|creat 644
		touched d d/f -> d: d/f:
		chmod d/f 600
		touched d d/f -> d: d/f:c
		chmod d/f 600
		touched d/f -> d/f:c
		chown d/f -1 -1
		touched d/f -> d/f:c
		utimes d/f omit 5
		touched d/f -> d/f:mc
		utimes d/f omit omit
		touched d/f -> d/f:
		cat d/l -> ""
		touched d/l d/f -> d/l:a d/f:a
		readlink d/l -> f
		touched d/l -> d/l:
		lchown d/l 1 1
		touched d/l d/f -> d/l:c d/f:
		ls d -> ..:4 .:4 f:8 l:10
		touched d -> d:a
		link d/f e/g
		touched d e d/f -> d: e:mc d/f:c
		unlink e/g
		touched d e d/f -> d: e:mc d/f:c
		rename d/f e/f
		touched d e d/l -> d:mc e:mc d/l:
		mark e/f
		rename e/f d/f
		touched d e -> d:mc e:mc
		mark d/f
		rename d/f d/f
		touched d d/f -> d: d/f:
		mkdir d/sub
		touched d -> d:mc
		mark d/sub
		rename d/sub e/sub
		mark e/sub
		touched d e -> d:mc e:mc
		rmdir e/sub
		touched e -> e:mc
		try d/new w|creat 644
		touched d -> d:mc
		symlink x d/new -> EEXIST
		touched d -> d:
		symlink x d/newer
		touched d -> d:mc
		access d/f 4
		touched d d/f -> d: d/f:
	`},
	{"fifo_and_pipe", `
		mknod q 10644
		try q w|nonblock -> ENXIO
		open r q r|nonblock
		ready r -> 0x0
		read r 5 -> ""
		open w q w
		ready r -> 0x0
		ready w -> 0x4
		read r 5 -> EAGAIN
		write w hello -> 5
		ready r -> 0x1
		read r 3 -> "hel"
		read r 3 -> "lo"
		write w again -> 5
		close w
		ready r -> 0x11
		read r 9 -> "again"
		read r 9 -> ""
		ready r -> 0x10
		open w q rw|nonblock
		ready w -> 0x4
		close r
		ready w -> 0x4
		write w x -> 1
		read w 5 -> "x"
		ready w -> 0x4
		stat q -> p0644 0:0 n1
		pipe pr pw nonblock
		ready pr -> 0x0
		ready pw -> 0x4
		getfl pr -> 0x800
		getfl pw -> 0x801
		read pr 1 -> EAGAIN
		write pr x -> EBADF
		read pw 1 -> EBADF
		seek pr 0 set -> ESPIPE
		pread pr 1 0 -> ESPIPE
		pwrite pw x 0 -> ESPIPE
		ftruncate pw 0 -> EINVAL
		fsync pw -> EINVAL
		mmap pr 0 1 shared -> ENODEV
		fstat pw -> p0600 0:0 n1
		write pw '' -> 0
		write pw {x*70000} -> 65536
		ready pw -> 0x0
		write pw x -> EAGAIN
		read pr 4095 -> 4095
		ready pw -> 0x0
		write pw x -> EAGAIN
		read pr 1 -> "x"
		ready pw -> 0x4
		write pw {y*4000} -> 4000
		write pw {y*96} -> 96
		write pw {y*1} -> EAGAIN
		close pr
		ready pw -> 0x8
		write pw x -> EPIPE
		write pw '' -> 0
		pipe pr pw
		write pw {x*4095} -> 4095
		write pw yy -> 2
		read pr 5000 -> 4097
		close pw
		read pr 1 -> ""
		ready pr -> 0x10
		pipe pr pw
		close pr
		ready pw -> 0xc
		fchmod pw 644
		fstat pw -> p0644 0:0 n1
		fchdir pw -> ENOTDIR
		fgetdents pw -> ENOTDIR
		pipe pr pw bad -> EINVAL
	`},
	{"memfd", `
		memfd m name 2
		fstat m -> f0777 0:0 n0 s0
		getfl m -> 0x2
		write m hello -> 5
		pread m 9 0 -> "hello"
		seal m 2
		ftruncate m 1 -> EPERM
		ftruncate m 10
		seal m 4
		ftruncate m 11 -> EPERM
		pwrite m xx 9 -> EPERM
		pwrite m x 9 -> 1
		seal m 8
		pwrite m x 0 -> EPERM
		mmap m 0 3 shared -> EPERM
		mmap m 0 1 shared
		mmap m 0 3 private
		seal m 1
		seal m 2 -> EPERM
		seal m 0x100 -> EINVAL
		memfd n name
		seal n 2 -> EPERM
		mmap n 0 3 shared
		memfd o name 2
		mmap o 0 3 shared
		seal o 8 -> EBUSY
		seal o 6
		memfd x {n*249}
		memfd x {n*250} -> EINVAL
		memfd x name 0x1000 -> EINVAL
		pipe r w
		seal w 1 -> EINVAL
		seal r 1 -> EPERM
	`},
	{"getdents", `
		mkdir d
		mkdir d/dir
		put d/file 644
		symlink x d/link
		mknod d/fifo 10644
		mknod d/sock 140644
		mknod d/chr 20644 0x103
		mknod d/blk 60644 0x103
		ls d -> ..:4 .:4 blk:6 chr:2 dir:4 fifo:1 file:8 link:10 sock:12
		unlink d/file
		rename d/link d/zlink
		ls d -> ..:4 .:4 blk:6 chr:2 dir:4 fifo:1 sock:12 zlink:10
		ls / -> ..:4 .:4 d:4
		put f 644
		open f f r
		fgetdents f -> ENOTDIR
	`},
	{"flock", `
		put f 644
		open a f r
		open b f r
		dup a2 a
		flock a bad -> EINVAL
		flock a ex
		flock a2 ex|nb
		flock b ex|nb -> EAGAIN
		flock b sh|nb -> EAGAIN
		# POSIX locks are another world.
		setlk b rd 0 0
		flock a2 sh|nb
		flock b sh|nb
		# A conversion that fails loses the lock that there was.
		flock a ex|nb -> EAGAIN
		flock b ex|nb
		flock b un
		flock b un
		flock a ex
		close a
		flock b sh|nb -> EAGAIN
		close a2
		flock b ex|nb
		as other
		open c f r
		flock c sh|nb -> EAGAIN
		as root
		close b
		as other
		flock c ex|nb
		open n f none
		flock n ex|nb -> EBADF
		pipe r w
		flock r ex
	`},
	{"posix_locks", `
		put f 666 {x*100}
		open a f rw
		setlk a wr 0 10
		setlk a wr 20 10
		setlk a rd 5 20
		as p
		open b f rw
		getlk b wr 0 0 -> wr 0+5
		getlk b wr 5 1 -> rd 5+20
		getlk b rd 5 20 -> un
		getlk b rd 0 0 -> wr 0+5
		getlk b wr 25 0 -> wr 25+5
		getlk b wr 30 0 -> un
		getlk b un 0 0 -> EINVAL
		setlk b rd 10 1
		setlk b rd 4 1 -> EAGAIN
		setlk b wr 10 1 -> EAGAIN
		setlk b wr 30 5
		as root
		getlk a wr 0 0 -> rd 10+1
		setlk a un 10 5
		as p
		setlk b wr 10 5
		as root
		getlk a rd 0 0 -> wr 10+5
		setlk a un 0 0
		setlk a wr 0 3
		setlk a wr 3 3
		setlk a wr 6 3
		as p
		getlk b rd 0 0 -> wr 0+9
		as root
		setlk a wr -10 5 end
		as p
		getlk b rd 15 100 -> wr 90+5
		as root
		setlk a rd -5 5 end
		# Closing any descriptor of the file drops them all.
		open a2 f r
		close a2
		as p
		getlk b wr 0 0 -> un
		setlk b wr 1 -1
		as root
		getlk a wr 0 0 -> wr 0+1
		as p
		setlk b rd -1 5 -> EINVAL
		setlk b rd 1 -2 -> EINVAL
		setlk b rd 0x7fffffffffffffff 2 -> EOVERFLOW
		setlk b rd 0x7fffffffffffffff 1
		setlk b rd 0 0 bad -> EINVAL
		setlk b bad 0 0 -> EINVAL
		open ro f r
		open wo f w
		setlk ro wr 0 0 -> EBADF
		setlk wo rd 0 0 -> EBADF
		setlk ro un 0 0
		seek b 50 set -> 50
		setlk b wr 5 5 cur
		as root
		getlk a rd 0 0 -> wr 55+5
	`},
	{"ofd_locks", `
		put f 666
		open a f rw
		open b f rw
		ofdlk a wr 0 10
		ofdlk b rd 5 1 -> EAGAIN
		setlk a rd 5 1 -> EAGAIN
		ofdgetlk b rd 0 0 -> wr 0+10 ofd
		getlk b rd 0 0 -> wr 0+10 ofd
		ofdgetlk a wr 0 0 -> un
		ofdgetlk a un 0 0 -> wr 0+10 ofd
		ofdgetlk b un 0 0 -> un
		ofdlk b rd 10 5
		ofdlk a wr 0 0 -> EAGAIN
		ofdlk a rd 0 0
		ofdlk a rd 0 0 set 1 -> EINVAL
		# Closing another descriptor of the file does not matter.
		open c f r
		close c
		ofdgetlk b wr 0 0 -> rd 0+0 ofd
		dup a2 a
		close a
		ofdgetlk b wr 0 0 -> rd 0+0 ofd
		close a2
		ofdgetlk b wr 0 0 -> un
	`},
}

func TestTable(t *testing.T) {
	for _, test := range table {
		t.Run(test.name, func(t *testing.T) {
			t.Run("fake", func(t *testing.T) { runOn(t, newFakeMachine(t), test.script) })
			t.Run("linux", func(t *testing.T) {
				if test.name == "protected_hardlinks" && sysctl("hardlinks", 1) == 0 {
					t.Skip("the sysctl fs.protected_hardlinks is off")
				}
				if m := newRealMachine(t); m != nil {
					runOn(t, m, test.script)
				}
			})
		})
	}
}

// sysctl is /proc/sys/fs/protected_WHAT, or def where there is none.
func sysctl(what string, def int) int {
	if b, err := os.ReadFile("/proc/sys/fs/protected_" + what); err == nil {
		return num(strings.TrimSpace(string(b)))
	}
	return def
}

func runOn(t *testing.T, m machine, script string) {
	in := newInterp(m)
	in.procs["root"].Umask(0)
	in.run(t, script)
}

// TestProtected runs what depends on sysctls that a test cannot set on the host.
func TestProtected(t *testing.T) {
	m := newFakeMachine(t)
	in := newInterp(m)
	in.run(t, `
		mkdir tmp 1777
		mkdir grp 1770
		chown grp 0 1000
		put secret 644 x
		as u 1000 1000
		symlink /secret tmp/l
		symlink /secret grp/l
		mknod tmp/q 10666
		put tmp/f 666
		mknod grp/q 10666
		put grp/f 666
		cat tmp/l -> "x"
		as v 1001 1000
		cat tmp/l -> EACCES
		lstat tmp/l -> l0777 1000:1000 n1 s7
		cat grp/l -> "x"
		try tmp/l/ r -> EACCES
		try tmp/f w|creat 644
		try tmp/q rw|creat 644
	`)
	m.k.ProtectedSymlinks, m.k.ProtectedRegular, m.k.ProtectedFifos = false, 1, 1
	in.run(t, `
		cat tmp/l -> "x"
		try tmp/f w|creat 644 -> EACCES
		try tmp/f w
		try tmp/q rw|creat 644 -> EACCES
		try tmp/q rw
		try grp/f w|creat 644
		try grp/q rw|creat 644
	`)
	m.k.ProtectedRegular, m.k.ProtectedFifos = 2, 2
	in.run(t, `
		try grp/f w|creat 644 -> EACCES
		try grp/q rw|creat 644 -> EACCES
		as u
		try grp/f w|creat 644
		try tmp/f w|creat 644
	`)
}
