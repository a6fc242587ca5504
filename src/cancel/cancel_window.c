/* SPDX-License-Identifier: MIT */

/*
 * Cancellation points by way of the window, a few instructions of assembly:
 *
 *     begin:  test the flag, jump if set to cancel
 *     call:   enter the kernel
 *     end:    return the result
 *     cancel: return -ECANCELED
 *
 * Before end nothing has happened, so that the signal handler may send the thread from anywhere in
 * [begin, end) to cancel; from end on the result is in a register and is kept. There is no instant
 * at which a request is missed: before begin the flag is seen, in the window the counter moves, in
 * the kernel the signal interrupts, and a restarted call is back at call.
 *
 * Calls that the kernel does not restart after a handler (the polls, and anything with a socket
 * timeout) return EINTR at end: vly_cancel_finish() makes that ECANCELED.
 */

#include "cancel/cancel_ops.h"

/* cancel_<cpu>.S */
uintptr_t *vly_cancel_window_pc(void *ucontext);
long vly_cancel_on_valgrind(void);
extern const char vly_cancel_window_begin[];
extern const char vly_cancel_window_end[];
extern const char vly_cancel_window_cancel[];

const bool vly_cancel_unblocks = true;

bool vly_cancel_is_mask_kept(void)
{
	return !vly_cancel_on_valgrind();
}

void vly_cancel_redirect(void *ucontext)
{
	uintptr_t *pc = vly_cancel_window_pc(ucontext);

	if (*pc >= (uintptr_t)vly_cancel_window_begin && *pc < (uintptr_t)vly_cancel_window_end)
		*pc = (uintptr_t)vly_cancel_window_cancel;
}
