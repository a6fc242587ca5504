/* SPDX-License-Identifier: MIT */

/*
 * What the signal handler does where there is no window (cancel_ppoll.c): nothing. The signal is
 * blocked at all times but inside ppoll, which ends for it.
 */

#include "cancel/cancel_ops.h"

const bool vly_cancel_unblocks = false;

bool vly_cancel_is_mask_kept(void)
{
	return true;
}

void vly_cancel_redirect(void *ucontext)
{
	(void)ucontext;
}
