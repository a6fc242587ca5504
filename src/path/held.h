/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_HELD_H
#define VLY_PATH_HELD_H

/* Held packets, as the worker sees them; the user's side is volley/send.h. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/server.h>

struct vly_remote;

/* Worker's thread: end the holding of what has been held for too long. */
void vly_held_expire(struct volley_worker *worker, uint64_t now_ns);

/* Worker's thread: when to call that next; 0: nothing is held. */
uint64_t vly_held_get_deadline(struct volley_worker *worker);

/* With the lock of `remote`: end all holding. */
void vly_held_abandon(struct vly_remote *remote);

/* Worker's thread, or while there is none: the same for one listener; whether it has any. */
void vly_held_abandon_port(struct volley_worker *worker, uint32_t n_listener);
bool vly_held_test_port(struct volley_worker *worker, uint32_t n_listener);

#endif
