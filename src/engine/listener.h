/* SPDX-License-Identifier: MIT */
#ifndef VLY_ENGINE_LISTENER_H
#define VLY_ENGINE_LISTENER_H

#include <stdbool.h>

#include <volley/server.h>

#include "io/coalesce.h"

/*
 * A listener: what all workers share of it. Written by the control thread before workers run, then
 * read-only.
 */
struct volley_listener {
	struct volley_server *server;
	struct volley_listen_config config;
	struct volley_addr addr; /* as bound */
	uint32_t index;
	uint32_t want; /* enum vly_cmsg_bit: the control messages to ask for */
	bool wildcard;
	bool coalesces_in;                 /* UDP_GRO is on */
	struct vly_coalesce_limits limits; /* what UDP_SEGMENT starts with */
};

/*
 * Open and bind n sockets for the address; ret_fds has room for n. Fills `listener` but for its
 * index. 0 or -errno, after a sentence to the log that says what to do; on failure nothing stays
 * open. `v6only` as decided by the server.
 */
int vly_listener_open(struct volley_listener *listener, const struct volley_addr *addr, bool v6only,
		      int *ret_fds, uint32_t n);

#endif
