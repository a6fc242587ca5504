/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_SEND_H
#define VLY_PATH_SEND_H

/* What is sent and is no reply. */

#include <stddef.h>

#include "path/worker.h"

struct vly_route;
struct volley_packet;
struct volley_payload;
struct volley_send_options;

/*
 * What a send needs in the arena beside its payload, with what rounding takes. The arena has it on
 * top of what the user asked for, so that one as large as any payload takes any send.
 */
enum { VLY_SEND_ROOM_BYTES = 128 };

/* volley_worker_send() on the worker's thread: it is in the outbox then. */
int vly_send_add(struct volley_worker *worker, struct volley_listener listener,
		 const struct volley_addr *peer, const void *data, size_t len,
		 const struct volley_send_options *options);

/* volley_worker_send_many(), with arguments that are there. */
int vly_send_add_many(struct volley_worker *worker, struct volley_listener listener,
		      const struct volley_addr *peers, uint32_t n_peers,
		      const struct volley_payload *payload,
		      const struct volley_send_options *options);

/* A reply of a worker's callback that is copied, whose route was found. Counted. */
int vly_send_reply(const struct volley_packet *packet, const struct vly_route *route,
		   const void *data, size_t len);

/* The same on any other thread: it is in the inbox then. Blocks for moments only. */
int vly_send_post(struct volley_worker *worker, struct volley_listener listener,
		  const struct volley_addr *peer, const void *data, size_t len,
		  const struct volley_send_options *options);

#endif
