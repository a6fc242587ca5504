/* SPDX-License-Identifier: MIT */
#ifndef VLY_SERVER_ADOPT_H
#define VLY_SERVER_ADOPT_H

/* Sockets that somebody else has opened. With the server's `listening` held. */

#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/server.h>

/* A socket that can be adopted, and what tells it from others. */
struct vly_candidate {
	int fd;
	struct volley_addr addr;
	uint64_t cookie;
	bool taken;
};

/* Whether this is a bound UDP socket. 0; or -errno, after a sentence to the log. */
int vly_adopt_check(struct volley_server *server, int fd, struct vly_candidate *ret_candidate);

/* Whether two sockets are bound to the same. */
bool vly_adopt_test_same(const struct volley_addr *a, const struct volley_addr *b);

/*
 * Make listeners of all candidates with this address, as many as it takes for each worker to have
 * at most one socket of each, and mark them taken. `alone`: nobody else reads them, so what the
 * config asks for is set now. Returns the first one's index; on failure none is taken.
 */
int vly_adopt_address(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		      const struct volley_addr *addr, const struct volley_listen_config *config,
		      bool alone);

#endif
