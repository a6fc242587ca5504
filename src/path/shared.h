/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SHARED_H
#define VLY_PATH_SHARED_H

/*
 * The server, as a worker sees it: what all workers of a server share. Nothing below server/ knows
 * more of it than this.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include <volley/config.h>

#include "path/own.h"
#include "sys/cond.h"
#include "sys/lock.h"
#include "sys/process.h"

/*
 * What the server wants of its workers; it only grows while they run. To linger is to run, but that
 * a drain is to come, and its end is known.
 */
enum vly_command {
	VLY_COMMAND_RUN = 0,
	VLY_COMMAND_LINGER,
	VLY_COMMAND_DRAIN,
	VLY_COMMAND_STOP,
};

struct vly_shared {
	struct volley_config config; /* every field set and in range; read-only */
	struct vly_process process;  /* where the server was made, and works; read-only */
	int event_fd;                /* wakes volley_server_run(): a worker has left */

	/*
	 * Held for moments, by anyone but a signal handler. Only a worker's remote lock is taken
	 * under it. It guards what workers and outsiders both look at: which sockets a worker has,
	 * what the kernel counted on them, and whether the worker is present and takes posts.
	 */
	struct vly_lock lock;
	struct vly_cond changed; /* something that it guards */

	struct vly_own own; /* which addresses are the server's; any thread may ask */

	/* enum vly_command. One for all workers, so that a stop is for all of them or for none. */
	VLY_ALIGNED _Atomic uint32_t command;
	_Atomic uint64_t drain_end_ns; /* drain.c's: written before the command; 0: none is asked */
	_Atomic uint32_t n_goodbyes;   /* worker/goodbye.c's: workers that have not done it */
	_Atomic bool has_failed;       /* the same: one of them has returned a failure */
};

/* What the server wants now. */
static inline enum vly_command vly_shared_get_command(const struct vly_shared *shared)
{
	return (enum vly_command)atomic_load_explicit(&shared->command, memory_order_seq_cst);
}

#endif
