/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_BUILD_H
#define EXAMPLES_DNS_ZONE_BUILD_H

/* From records to a zone: add them in any order, finish once. */

#include "zone.h"

enum { DNS_WHY_BYTES = 512 };

struct dns_build_record {
	struct dns_build_record *next;
	uint16_t n_data;
	uint8_t data[];
};

struct dns_build_rrset {
	struct dns_build_rrset *next; /* by rising type */
	struct dns_build_record *first;
	struct dns_build_record *last;
	uint32_t ttl;
	uint32_t n_bytes; /* of the answer, uncompressed */
	uint16_t type;
	uint16_t n_records;
};

struct dns_build_node {
	struct dns_build_node *parent; /* NULL for the apex */
	struct dns_build_node *cut;    /* as in struct dns_node */
	struct dns_build_node *wildcard;
	struct dns_build_rrset *rrsets;
	uint32_t hash;
	uint32_t ref;  /* of the finished node */
	uint32_t mark; /* the last answer that has its addresses as additional data */
	uint8_t flags;
	uint8_t n_labels;
	uint8_t n_name;
	uint8_t name[];
};

struct dns_build {
	struct dns_hash_key key;
	struct dns_name apex;
	struct dns_build_node **slots;
	size_t n_slots;
	size_t n_nodes;
	size_t n_records;
	uint32_t max_labels;
	uint32_t n_marks;
	struct dns_build_node **nodes; /* in the order in which they came */
	size_t n_nodes_room;
	struct dns_build_chunk *chunks;
	char why[DNS_WHY_BYTES]; /* what was wrong, after a failure */
};

int dns_build_init(struct dns_build *build, const uint8_t *apex, const struct dns_hash_key *key);
void dns_build_fini(struct dns_build *build);

/*
 * Add one record of class IN. `owner` is a name in wire form, `data` uncompressed. 0, -EINVAL (see
 * `why`), or -ENOMEM. A record that is there already is left out (RFC 2181, 5).
 */
int dns_build_add(struct dns_build *build, const uint8_t *owner, uint16_t type, uint32_t ttl,
		  const uint8_t *data, size_t n_data);

/* Check the whole and make the zone, with one user. 0, -EINVAL (see `why`), or -ENOMEM. */
int dns_build_finish(struct dns_build *build, struct dns_zone **ret_zone);

/* For the encoder. */
struct dns_build_node *dns_build_find(const struct dns_build *build, const struct dns_name *name,
				      uint32_t label);
struct dns_build_rrset *dns_build_get(const struct dns_build_node *node, uint16_t type);

#endif
