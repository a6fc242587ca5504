/* SPDX-License-Identifier: MIT */

/*
 * The window for aarch64; the essay is in cancel_x86_64.S. A restart sets the program counter back
 * to call and restores x0; x16 and x17 are scratch registers between calls, so that nothing is
 * saved.
 */

	.text

/* long vly_cancel_window(const _Atomic uint32_t *flag, long nr, const long args[6]) */
	.globl	vly_cancel_window
	.hidden	vly_cancel_window
	.type	vly_cancel_window, %function
	.p2align 6
vly_cancel_window:
	.cfi_startproc
	mov	x16, x0
	mov	x8, x1
	mov	x17, x2
	ldp	x0, x1, [x17]
	ldp	x2, x3, [x17, #16]
	ldp	x4, x5, [x17, #32]
	.globl	vly_cancel_window_begin
	.hidden	vly_cancel_window_begin
vly_cancel_window_begin:
	ldr	w17, [x16]
	cbnz	w17, vly_cancel_window_cancel
	.globl	vly_cancel_window_call
	.hidden	vly_cancel_window_call
vly_cancel_window_call:
	svc	#0
	.globl	vly_cancel_window_end
	.hidden	vly_cancel_window_end
vly_cancel_window_end:
	ret
	.globl	vly_cancel_window_cancel
	.hidden	vly_cancel_window_cancel
vly_cancel_window_cancel:
	mov	x0, #-125		/* -ECANCELED */
	ret
	.cfi_endproc
	.size	vly_cancel_window, . - vly_cancel_window

/* uintptr_t *vly_cancel_window_pc(void *ucontext): uc_mcontext.pc, kernel ABI */
	.globl	vly_cancel_window_pc
	.hidden	vly_cancel_window_pc
	.type	vly_cancel_window_pc, %function
vly_cancel_window_pc:
	.cfi_startproc
	add	x0, x0, #440
	ret
	.cfi_endproc
	.size	vly_cancel_window_pc, . - vly_cancel_window_pc

/*
 * long vly_cancel_on_valgrind(void): the client request RUNNING_ON_VALGRIND (0x1001). The rotations
 * add up to 128 bits, so that a real CPU does nothing and the default, 0, is returned.
 */
	.globl	vly_cancel_on_valgrind
	.hidden	vly_cancel_on_valgrind
	.type	vly_cancel_on_valgrind, %function
vly_cancel_on_valgrind:
	.cfi_startproc
	sub	sp, sp, #48
	.cfi_adjust_cfa_offset 48
	mov	x9, #0x1001
	stp	x9, xzr, [sp]
	stp	xzr, xzr, [sp, #16]
	stp	xzr, xzr, [sp, #32]
	mov	x4, sp
	mov	x3, #0
	ror	x12, x12, #3
	ror	x12, x12, #13
	ror	x12, x12, #51
	ror	x12, x12, #61
	orr	x10, x10, x10
	mov	x0, x3
	add	sp, sp, #48
	.cfi_adjust_cfa_offset -48
	ret
	.cfi_endproc
	.size	vly_cancel_on_valgrind, . - vly_cancel_on_valgrind

	.section .note.GNU-stack, "", %progbits
