/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_DRAIN_H
#define VLY_PATH_DRAIN_H

/*
 * How long a worker goes on once it shall end: not one callback longer when it shall stop, and to
 * the end of the drain's time when it shall drain.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "path/shared.h"

struct vly_listener;

/* The worker's alone. */
struct vly_drain {
	bool is_late; /* its time was over first */
};

/* Before the worker starts. */
void vly_drain_init(struct vly_drain *drain);

/* The server, before a start; and whether a drain was asked for since then. */
void vly_drain_clear(struct vly_shared *shared);
bool vly_drain_is_asked(const struct vly_shared *shared);

/* The server: workers that run linger from here on, and no callback begins after `end_ns`. */
void vly_drain_set_lingers(struct vly_shared *shared, uint64_t end_ns);

/* The server, before the command to drain: its time runs from here on, less what it is late. */
void vly_drain_begin(struct vly_shared *shared, uint64_t late_ns);

/* The server: when that is over. */
uint64_t vly_drain_get_end_ns(const struct vly_shared *shared);

/* Whether the command is to drain and time is left. */
bool vly_drain_is_on(const struct vly_shared *shared);

/* vly_drain_is_over() for a server that shall end. */
bool vly_drain_has_ended(const struct vly_shared *shared);

/* Whether no callback may begin any more: one load and a branch, for it is asked before each. */
static inline bool vly_drain_is_over(const struct vly_shared *shared)
{
	/* relaxed: a callback more or less; what is done about it reads the command in order */
	uint32_t command = atomic_load_explicit(&shared->command, memory_order_relaxed);

	return VLY_UNLIKELY(command != VLY_COMMAND_RUN) && vly_drain_has_ended(shared);
}

/*
 * The same for one listener, in its close or before others in a drain: the server, before its
 * workers hear of it (0: it stays); whether it ends; whether it does and time is left, while the
 * server goes on.
 */
void vly_drain_begin_listener(struct vly_listener *listener, uint64_t end_ns);
bool vly_drain_has_listener(const struct vly_listener *listener);
bool vly_drain_is_listener_on(const struct vly_shared *shared, const struct vly_listener *listener);

/* Time was over first; whether it was, which others ask when the worker has left. */
void vly_drain_set_late(struct vly_drain *drain);
bool vly_drain_is_late(const struct vly_drain *drain);

#endif
