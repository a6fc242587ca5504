/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_OWN_H
#define VLY_PATH_OWN_H

/*
 * Which addresses are this server's own. A reply to one of them would be replied to, and so on for
 * ever, so a peer that claims to be one is never replied to (`refused`).
 *
 * Whether a port is one of ours is one bit, and all that most datagrams cost. The bits of all ports
 * are 8 KiB, which replies to many clients would drag through the cache (5 % of a reply's time in
 * the null benchmark); so one word in front of them says for most that there is no need to look.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <volley/addr.h>

#include "base/compiler.h"
#include "data/set.h"
#include "path/bounds.h"
#include "sys/lock.h"

struct volley_config;

enum { VLY_OWN_N_WORDS = 65536 / 64 };

/* Any thread may ask. One at a time may change it, with the lock. */
struct vly_own {
	/* By port, in network order: of any listener (and port 0); of a wildcard, by family. */
	VLY_ALIGNED _Atomic uint64_t numbers[VLY_OWN_N_WORDS];
	_Atomic uint64_t
		filter; /* by vly_own_get_filter_bit(): whether any bit of `numbers` is set */
	_Atomic uint64_t any4[VLY_OWN_N_WORDS];
	_Atomic uint64_t any6[VLY_OWN_N_WORDS];
	struct vly_set bound;     /* address and port of listeners that have one */
	struct vly_set addrs;     /* of this machine; known once a wildcard listens */
	_Atomic uint64_t next_ns; /* when to look for changes of them again */
	struct vly_lock lock;     /* taken last: nothing is taken under it */
	/* Set with the lock. */
	struct vly_bounds bounds;
	int fd;        /* for rtnetlink; -1: none */
	bool hears;    /* of changes */
	bool is_stale; /* the last reading failed */
	bool has_warned;
	const struct volley_config *config;
};

void vly_own_init(struct vly_own *own, const struct volley_config *config);
void vly_own_fini(struct vly_own *own);

/* A listener comes or goes: what it is bound to. 0 or -ENOMEM. */
int vly_own_add(struct vly_own *own, const struct vly_bound *bound);
void vly_own_remove(struct vly_own *own, const struct vly_bound *bound);

/* What there is of them by ports, for whoever is the one to change it. */
const struct vly_bounds *vly_own_get_bounds(const struct vly_own *own);

/* Whether a reply to `peer` would come back to this server. Asks the kernel 100 times a second. */
bool vly_own_has(struct vly_own *own, const struct volley_addr *peer);

/* Neighbouring ports, in network order, fall on different bits. */
static inline uint32_t vly_own_get_filter_bit(uint32_t port)
{
	return port >> 8 & 63;
}

/* Whether it is worth asking: no for all but one or two in 64 ports. In network order. */
static inline bool vly_own_has_bit(const struct vly_own *own, uint32_t port)
{
	uint64_t filter = atomic_load_explicit(&own->filter, memory_order_relaxed);

	return filter >> vly_own_get_filter_bit(port) & 1;
}

/* Whether it is. */
static inline bool vly_own_has_number(const struct vly_own *own, uint32_t port)
{
	uint64_t word = atomic_load_explicit(&own->numbers[port / 64], memory_order_relaxed);

	return word >> port % 64 & 1;
}

#endif
