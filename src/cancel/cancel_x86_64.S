/* SPDX-License-Identifier: MIT */

/*
 * The window for x86_64: test the flag, enter the kernel, return. All that depends on the CPU is
 * here.
 *
 * Invariant: from begin to end nothing has happened yet (no message taken, no stack effect), so
 * that the handler may move a program counter in [begin, end) to cancel. At end or beyond the
 * result is in rax and is kept. The kernel restarts a call by setting the program counter back to
 * call, with r11 lost: that is why the handler moves the counter and does not have the flag tested
 * again. The 64-byte alignment keeps the three instructions in one cache line.
 */

	.text

/* long vly_cancel_window(const _Atomic uint32_t *flag, long nr, const long args[6]) */
	.globl	vly_cancel_window
	.hidden	vly_cancel_window
	.type	vly_cancel_window, @function
	.p2align 6
vly_cancel_window:
	.cfi_startproc
	mov	%rdi, %r11		/* dead after the test; the kernel overwrites it */
	mov	%rsi, %rax
	mov	0(%rdx), %rdi
	mov	8(%rdx), %rsi
	mov	24(%rdx), %r10
	mov	32(%rdx), %r8
	mov	40(%rdx), %r9
	mov	16(%rdx), %rdx
	.globl	vly_cancel_window_begin
	.hidden	vly_cancel_window_begin
vly_cancel_window_begin:
	cmpl	$0, (%r11)
	jne	vly_cancel_window_cancel
	.globl	vly_cancel_window_call
	.hidden	vly_cancel_window_call
vly_cancel_window_call:
	syscall
	.globl	vly_cancel_window_end
	.hidden	vly_cancel_window_end
vly_cancel_window_end:
	ret
	.globl	vly_cancel_window_cancel
	.hidden	vly_cancel_window_cancel
vly_cancel_window_cancel:
	mov	$-125, %rax		/* -ECANCELED */
	ret
	.cfi_endproc
	.size	vly_cancel_window, . - vly_cancel_window

/* uintptr_t *vly_cancel_window_pc(void *ucontext): uc_mcontext.gregs[REG_RIP], kernel ABI */
	.globl	vly_cancel_window_pc
	.hidden	vly_cancel_window_pc
	.type	vly_cancel_window_pc, @function
vly_cancel_window_pc:
	.cfi_startproc
	lea	168(%rdi), %rax
	ret
	.cfi_endproc
	.size	vly_cancel_window_pc, . - vly_cancel_window_pc

/*
 * long vly_cancel_on_valgrind(void): the client request RUNNING_ON_VALGRIND (0x1001). The rotations
 * add up to 128 bits, so that a real CPU does nothing and the default, 0, is returned.
 */
	.globl	vly_cancel_on_valgrind
	.hidden	vly_cancel_on_valgrind
	.type	vly_cancel_on_valgrind, @function
vly_cancel_on_valgrind:
	.cfi_startproc
	sub	$56, %rsp
	.cfi_adjust_cfa_offset 56
	movq	$0x1001, 0(%rsp)
	movq	$0, 8(%rsp)
	movq	$0, 16(%rsp)
	movq	$0, 24(%rsp)
	movq	$0, 32(%rsp)
	movq	$0, 40(%rsp)
	mov	%rsp, %rax
	xor	%edx, %edx
	rolq	$3, %rdi
	rolq	$13, %rdi
	rolq	$61, %rdi
	rolq	$51, %rdi
	xchgq	%rbx, %rbx
	mov	%rdx, %rax
	add	$56, %rsp
	.cfi_adjust_cfa_offset -56
	ret
	.cfi_endproc
	.size	vly_cancel_on_valgrind, . - vly_cancel_on_valgrind

	.section .note.GNU-stack, "", @progbits
