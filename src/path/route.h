/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_ROUTE_H
#define VLY_PATH_ROUTE_H

/* Where a datagram that replies to nothing goes, and where it leaves from. */

#include <stdbool.h>

#include "path/listener.h"

struct vly_route {
	struct volley_addr peer;
	struct volley_addr local; /* len 0: the socket's own */
	uint32_t ifindex;         /* to leave by; 0: as the routing table says */
	bool is_refused;          /* it would go to nobody, or to ourselves */
};

/* `local` may be NULL. 0, or -EINVAL for an address that the listener's sockets cannot use. */
int vly_route_find(const struct volley_listener *listener, const struct volley_addr *peer,
		   const struct volley_addr *local, struct vly_route *ret_route);

#endif
