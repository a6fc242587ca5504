/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_ADOPT_H
#define VLY_SERVER_ADOPT_H

/* Sockets that somebody else has opened. With the server's `listening`. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

#include "data/set.h"
#include "server/state.h"

/* A socket that can be adopted, and what tells it from others. */
struct vly_candidate {
	int fd; /* -1: closed, by its listener too */
	bool taken;
	bool is_kept;            /* somebody holds it for good */
	bool has_others;         /* not only who gave it may have it */
	uint32_t listener_index; /* once it is taken */
	bool is_first;           /* its listener's */
	uint64_t cookie;
	struct volley_addr addr;
	uint32_t drops;        /* the kernel's count of another process, for one of a hand-over */
	uint32_t device_index; /* the one interface that it hears, where its address does not say */
};

/* Whether this is a bound UDP socket. 0; or -errno, after a sentence to the log. */
int vly_adopt_check(struct volley_server *server, int fd, struct vly_candidate *ret_candidate);

/* The cookies of the server's own sockets, to begin with. 0 or -ENOMEM. */
int vly_adopt_fill_cookies(struct volley_server *server, struct vly_set *cookies)
	VLY_REQUIRES(server->listening);
/* Whether the last of these is none of the others, nor of the server's own. 0, -EINVAL, -ENOMEM. */
int vly_adopt_check_cookie(struct volley_server *server, struct vly_set *cookies,
			   const struct vly_candidate *candidates, uint32_t n)
	VLY_REQUIRES(server->listening);

/*
 * Make a listener of all candidates that are bound as one of them is, and mark them taken. `alone`:
 * nobody else reads them, so what the config asks for is set now. Returns its index; on failure
 * none is taken.
 */
int vly_adopt_take(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		   uint32_t first_index, const struct volley_listen_config *config, bool alone)
	VLY_REQUIRES(server->listening);

#endif
