/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_ROUTE_H
#define VLY_PATH_ROUTE_H

/* Where a datagram that replies to nothing goes, and where it leaves from. */

#include <stdbool.h>

#include "path/listener.h"
#include "path/worker.h"

struct vly_buffer;
struct volley_send_options;

struct vly_route {
	struct volley_addr peer;
	struct volley_addr local; /* len 0: the socket's own, without VLY_CMSG_HEADER_LOCAL */
	uint32_t ifindex;         /* to leave by; 0: as the routing table says */
	uint32_t header;          /* VLY_CMSG_HEADER_* */
	bool if_room;             /* or not at all: VOLLEY_SEND_IF_ROOM */
	bool is_refused;          /* it would go to nobody, or to ourselves */
	bool may_be_own;          /* to ourselves by any address of this machine: see below */
	/* The socket, for threads that are not the worker: by then it may be gone. */
	uint32_t sock_index;
	uint32_t sock_serial;
};

/* Options as a send takes them, all of them set; 0, or -EINVAL for what is out of range. */
int vly_route_read_options(const struct volley_send_options *options,
			   struct volley_send_options *ret_options);

/*
 * `options` may be NULL. 0, or -EINVAL for options out of range and for addresses that the
 * listener's sockets cannot use.
 */
int vly_route_find(const struct vly_listener *listener, const struct volley_addr *peer,
		   const struct volley_send_options *options, struct vly_route *ret_route);

/*
 * The way of a reply from `local` (NULL: the listener's address) by `ifindex`, where the options do
 * not say otherwise. With the same result.
 */
int vly_route_find_reply(const struct vly_listener *listener, const struct volley_addr *peer,
			 const struct volley_addr *local, uint32_t ifindex,
			 const struct volley_send_options *options, struct vly_route *ret_route);

/*
 * A listener on all addresses is each of this machine. Beside vly_route_find(), without the lock:
 * the machine's addresses may have to be read.
 */
void vly_route_check_own(const struct volley_worker *worker, struct vly_route *route);

/* Which socket it takes: a worker's first one of a listener, or -ESTALE where it has none. */
int vly_route_find_sock(const struct volley_worker *worker, struct volley_listener listener,
			struct vly_route *route) VLY_REQUIRES(worker->shared->lock);

/* All of it, from any thread. */
int vly_route_find_all(const struct volley_worker *worker, struct volley_listener listener,
		       const struct volley_addr *peer, const struct volley_send_options *options,
		       struct vly_route *ret_route);

/* Note it in a buffer that another thread sends. */
void vly_route_keep(const struct vly_route *route, struct vly_buffer *buffer);

#endif
