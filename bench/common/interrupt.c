/* SPDX-License-Identifier: MIT */

/* Ctrl-C, looked for between steps instead of caught. */

#include "interrupt.h"

#include <signal.h>

bool bench_interrupt_is_pending(void)
{
	sigset_t set;

	if (sigpending(&set) < 0)
		return false;
	return sigismember(&set, SIGINT) || sigismember(&set, SIGTERM);
}
