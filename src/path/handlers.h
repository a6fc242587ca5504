/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_HANDLERS_H
#define VLY_PATH_HANDLERS_H

/* The worker's side of its handler threads; theirs is handler.h. */

#include "path/worker.h"

/* Memory and descriptors for the worker's handlers, if it has any. fini takes half-made ones. */
int vly_handlers_init(struct volley_worker *worker);
void vly_handlers_fini(struct volley_worker *worker);

/* Payload bytes of all packet buffers. */
uint64_t vly_handlers_count_bytes(const struct volley_worker *worker);

/* Whether callbacks run on handlers. */
static inline bool vly_handlers_has_any(const struct volley_worker *worker)
{
	return worker->crew.n_handlers > 0;
}

/* Worker's thread: start the threads; stop them, those that never started too. */
int vly_handlers_start(struct volley_worker *worker);
void vly_handlers_stop(struct volley_worker *worker);

/* Worker's thread: let the handlers serve what they have and leave; whether all have left. */
void vly_handlers_drain(struct volley_worker *worker);
bool vly_handlers_has_left(const struct volley_worker *worker);

/*
 * Worker's thread: give a volley's views to the handlers instead of the callback. Once those were
 * told to leave, they are dropped as `stopped`.
 */
void vly_handlers_give(struct volley_worker *worker, const struct volley_packet *views, uint32_t n);

/*
 * Worker's thread: how many packets find room, whichever handlers they are for. Large ones, and
 * those of coalesced messages, may find none all the same.
 */
uint32_t vly_handlers_count_room(const struct volley_worker *worker);

/* Worker's thread: what a handler has not begun comes back unserved; whether all has come back. */
bool vly_handlers_give_up(struct vly_sock *sock);

/* Worker's thread: take what a handler sent back, by its node in the inbox. */
void vly_handlers_take(struct volley_worker *worker, struct vly_inbox_node *mail);

/* Worker's thread: take back what the outbox has sent. */
void vly_handlers_take_sent(struct volley_worker *worker);

/* Anyone: whether the calling thread is one of the worker's handlers. */
bool vly_handlers_has_me(const struct volley_worker *worker);

/* The same, or the worker itself: whoever is inside must not wait for the worker. */
static inline bool vly_handlers_is_inside(const struct volley_worker *worker)
{
	return vly_self_is_me(&worker->self) || vly_handlers_has_me(worker);
}

#endif
