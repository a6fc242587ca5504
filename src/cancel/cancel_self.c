/* SPDX-License-Identifier: MIT */

/* What every file of this folder asks for: the calling thread's handle, and the signal. */

#include "cancel/cancel_ops.h"

_Thread_local struct volley_cancel *vly_cancel_thread;

static _Atomic int process_signo;

int vly_cancel_get_signo(void)
{
	return atomic_load_explicit(&process_signo, memory_order_acquire);
}

void vly_cancel_set_signo(int signo)
{
	/* release: key and fork handlers are there for whoever sees it */
	atomic_store_explicit(&process_signo, signo, memory_order_release);
}
