/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_CHORES_H
#define VLY_WORKER_CHORES_H

/* What every loop does between two passes. The worker's thread. */

#include <stdbool.h>
#include <stdint.h>

#include "path/worker.h"

/* Take what other threads sent: run posts, errands and on_drain, send sends and replies. */
void vly_chores_take_mail(struct volley_worker *worker);

/*
 * Before a wait, as vly_mail_sleep(): false when there is something to do. Nothing lies in the
 * outbox over a wait: whatever calls the user (a pass, mail, timers, the begin of a life) has sent
 * it, and the end of a turn sends what came between two turns.
 */
bool vly_chores_sleep(struct volley_worker *worker);

/*
 * What happens by the clock (the backlog, held packets, sockets that epoll or the kernel refuses).
 * Whether anything does; the nanoseconds until then, or -1 for never.
 */
bool vly_chores_has_timers(const struct volley_worker *worker);
int64_t vly_chores_get_timeout(struct volley_worker *worker);

/* The same with the user's timers, for loops that wait by a timeout. */
bool vly_chores_has_any(const struct volley_worker *worker);
int64_t vly_chores_get_wait(struct volley_worker *worker);

/* At the end of a pass: do both. */
void vly_chores_run_timers(struct volley_worker *worker);

/* Between waits: acknowledge a pending cancellation, and read the command that it is about. */
enum vly_command vly_chores_take_command(struct volley_worker *worker);

#endif
