/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_BOUNDS_H
#define VLY_PATH_BOUNDS_H

/*
 * What is bound to which port, by kinds of addresses: so that who comes to a port needs to look at
 * no other listener. One thread at a time.
 */

#include <stdbool.h>

#include <volley/addr.h>

#include "data/tally.h"

struct vly_bounds {
	struct vly_tally tally;
};

/* What a socket is bound to. */
struct vly_bound {
	struct volley_addr addr;
	bool v6only;           /* [::] without IPv4 */
	uint32_t device_index; /* the one interface that it hears; 0: all */
};

/* fini takes a zeroed object, which is an empty one. */
void vly_bounds_fini(struct vly_bounds *bounds);

/* 0 or -ENOMEM, and then nothing has changed. */
int vly_bounds_add(struct vly_bounds *bounds, const struct volley_allocator *allocator,
		   const struct vly_bound *bound);
void vly_bounds_remove(struct vly_bounds *bounds, const struct vly_bound *bound);

/* Whether something is bound to exactly that. */
bool vly_bounds_has_same(const struct vly_bounds *bounds, const struct vly_bound *bound);
/* Whether something is bound to the address, by whatever interfaces. */
bool vly_bounds_has_addr(const struct vly_bounds *bounds, const struct volley_addr *addr);
/* Whether something has a part of it, or it has a part of something. */
bool vly_bounds_has_overlap(const struct vly_bounds *bounds, const struct vly_bound *bound);

/* Whether anything has a port, in network order; or a wildcard of this family has it. */
bool vly_bounds_has_number(const struct vly_bounds *bounds, in_port_t port);
bool vly_bounds_has_any4(const struct vly_bounds *bounds, in_port_t port);
bool vly_bounds_has_any6(const struct vly_bounds *bounds, in_port_t port);
/* 0.0.0.0 itself. */
bool vly_bounds_has_wildcard4(const struct vly_bounds *bounds, in_port_t port);

/* The hash of an address, mapped or not, with its scope where it is a link's, and a port or 0. */
uint64_t vly_bounds_get_key(const struct volley_addr *addr, in_port_t port);

#endif
