/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_LISTENER_H
#define VLY_PATH_LISTENER_H

#include <stdbool.h>

#include <volley/server.h>

#include "io/coalesce.h"

/*
 * A listener: what all workers share of it. Written before any of them has a socket of it, then
 * read-only.
 */
struct volley_listener {
	struct volley_server *server;
	struct volley_listen_config config;
	struct volley_addr addr; /* as bound */
	uint32_t index;
	uint32_t want; /* enum vly_cmsg_bit: the control messages to ask for */
	uint32_t room; /* the same: what there is room for; more, where a socket had it on before */
	bool wildcard;
	bool adopted;      /* somebody else opened its sockets */
	bool borrowed;     /* and did not let go of them yet, when the workers got them */
	bool coalesces_in; /* UDP_GRO is on */
	struct vly_coalesce_limits limits; /* what UDP_SEGMENT starts with */
};

/*
 * Open and bind n sockets for the address; ret_fds has room for n. Fills `listener` but for its
 * index. 0 or -errno, after a sentence to the log that says what to do; on failure nothing stays
 * open. `v6only` as decided by the server.
 */
int vly_listener_open(struct volley_listener *listener, const struct volley_addr *addr, bool v6only,
		      int *ret_fds, uint32_t n);

/*
 * Make a listener of n sockets that are bound to `addr` already. Fills `listener` but for its
 * index and leaves the sockets as they are, for somebody else may still read them.
 */
int vly_listener_adopt(struct volley_listener *listener, const struct volley_addr *addr,
		       const int *fds, uint32_t n);

/* Set what the config asks for on an adopted socket, whatever it had before. 0 or -errno. */
int vly_listener_configure(struct volley_listener *listener, int fd);

/*
 * Whether others hold its sockets too. Then they are not ours to close to new datagrams, and what
 * they hold in the end is not lost.
 */
static inline bool vly_listener_keeps(const struct volley_listener *listener)
{
	return listener->config.flags & VOLLEY_LISTEN_KEEP_SOCKETS;
}

#endif
