#include "textflag.h"

// clone(CLONE_VFORK|CLONE_VM, NULL stack, NULL, NULL, 0), see clone(2). No exit
// signal in the low byte of the flags.
#define SYS_clone 56
#define FLAGS 0x4100

// func vfork() (pid uintptr, errno syscall.Errno)
//
// The return address is kept in a register: the child shares our stack and
// overwrites it.
TEXT ·vfork(SB),NOSPLIT|NOFRAME,$0-16
	MOVL	$FLAGS, DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	XORL	R9, R9
	MOVL	$SYS_clone, AX
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	NEGQ	AX
	MOVQ	$0, pid+0(FP)
	MOVQ	AX, errno+8(FP)
	RET
ok:
	MOVQ	AX, pid+0(FP)
	MOVQ	$0, errno+8(FP)
	RET
