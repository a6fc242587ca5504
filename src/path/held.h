/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_HELD_H
#define VLY_PATH_HELD_H

/* Held packets, by worker; whom a token is for is found in server/foreign.c. */

#include <volley/held.h>

#include "path/worker.h"

struct volley_send_options;

/* Where the generations of tokens start. */
void vly_held_init(struct volley_worker *worker);

/* The index of the worker that a token names. It may be out of range: tokens come from users. */
uint32_t vly_held_get_worker_index(struct volley_held held);

/* Any thread: what volley_held_reply(), _release() and _get_payload() do. -ESTALE: used up. */
int vly_held_reply(struct volley_worker *worker, struct volley_held held, const void *data,
		   size_t len, const struct volley_send_options *options);
int vly_held_release(struct volley_worker *worker, struct volley_held held);
int vly_held_get_payload(struct volley_worker *worker, struct volley_held held, void *data,
			 size_t n);

/* Anyone: whether any packet is held. */
bool vly_held_has_any(const struct volley_worker *worker);

/* Worker's thread: end the holding of what has been held for too long. */
void vly_held_expire(struct volley_worker *worker, uint64_t now_ns);

/* Worker's thread: when to call that next; 0: nothing is held. */
uint64_t vly_held_get_deadline(struct volley_worker *worker);

/* Worker's thread, or while there is none: end all holding, or that of one socket. */
void vly_held_abandon(struct volley_worker *worker);
void vly_held_abandon_sock(struct volley_worker *worker, const struct vly_sock *sock);
bool vly_held_has_sock(struct volley_worker *worker, const struct vly_sock *sock);

#endif
