/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_CATALOG_H
#define EXAMPLES_DNS_CATALOG_H

/* The zones served at one time: immutable, replaced as a whole. */

#include "zone.h"

struct dns_catalog {
	atomic_uint n_users;
	uint32_t n_zones;
	struct dns_zone **zones; /* as configured; each has a user in us */
	struct dns_zone **slots; /* by the apex's hash */
	uint32_t n_slots_mask;
	uint32_t max_labels;                /* of any name in a zone */
	uint32_t max_apex_labels;           /* of any apex */
	bool has_depth[DNS_LABELS_MAX + 1]; /* whether an apex has that many labels */
};

/* Takes over one user of each zone, on success only. NULL when memory is short. */
struct dns_catalog *dns_catalog_new(struct dns_zone *const *zones, uint32_t n_zones);

/*
 * The zone with the longest apex that ends the part of the name from label `from` on; NULL for
 * none.
 */
struct dns_zone *dns_catalog_find(const struct dns_catalog *catalog, const struct dns_name *name,
				  uint32_t from);

void dns_catalog_ref(struct dns_catalog *catalog, uint32_t n);
void dns_catalog_unref(struct dns_catalog *catalog);

#endif
