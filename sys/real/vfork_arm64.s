#include "textflag.h"

// clone(CLONE_VFORK|CLONE_VM, NULL stack, NULL, NULL, NULL), see clone(2). No
// exit signal in the low byte of the flags.
#define SYS_clone 220
#define FLAGS 0x4100

// func vfork() (pid uintptr, errno syscall.Errno)
//
// The return address stays in the link register: the child shares our stack.
TEXT ·vfork(SB),NOSPLIT,$0-16
	MOVD	$FLAGS, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$0, R5
	MOVD	$SYS_clone, R8
	SVC
	CMN	$4095, R0
	BCC	ok
	NEG	R0, R0
	MOVD	ZR, pid+0(FP)
	MOVD	R0, errno+8(FP)
	RET
ok:
	MOVD	R0, pid+0(FP)
	MOVD	ZR, errno+8(FP)
	RET
