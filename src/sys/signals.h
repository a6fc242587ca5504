/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_SIGNALS_H
#define VLY_SYS_SIGNALS_H

/* Signals that a thread takes from a descriptor instead of in a handler. */

#include <signal.h>
#include <stdint.h>

struct vly_signals {
	int fd; /* to poll */
	sigset_t old;
};

/*
 * Block SIGTERM, SIGINT and those of `bits` (VOLLEY_SIGNAL()) in the calling thread, and open a
 * descriptor to read them from. 0 or -errno, and then nothing has changed.
 */
int vly_signals_open(struct vly_signals *signals, uint64_t bits);

/* Take one: its number, or 0. Never sleeps. */
int vly_signals_take(struct vly_signals *signals);

/* Close, and restore the calling thread's mask. */
void vly_signals_close(struct vly_signals *signals);

#endif
