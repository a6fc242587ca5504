/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_H
#define EXAMPLES_DNS_ZONE_H

/*
 * A loaded zone: immutable, found by hash, answers encoded. zone_build.c makes it, zone.c looks
 * things up, answer.c sends it.
 *
 * All of a zone lies in one block of memory and refers to itself by `ref`, a distance from its
 * start in units of 16 bytes; 0 is none.
 */

#include <stdatomic.h>

#include "name.h"

enum { DNS_REF_BYTES = 16 };

/* dns_node.flags */
enum {
	DNS_NODE_CUT = 1,   /* the zone ends here: NS records below the apex */
	DNS_NODE_DNAME = 2, /* names below are redirected */
	DNS_NODE_WILDCARD = 4,
};

/* What there is of one type at one name. */
struct dns_rrset {
	uint16_t type;
	uint16_t unused;
	uint32_t blob; /* ref */
};

struct dns_node {
	uint32_t cut;      /* ref of the topmost cut or DNAME at or above, below the apex */
	uint32_t wildcard; /* ref of the child called "*" */
	uint32_t referral; /* ref of the blob, for DNS_NODE_CUT */
	uint16_t n_rrsets;
	uint8_t n_name;
	uint8_t flags;
	struct dns_rrset rrsets[]; /* by rising type; then the name's bytes */
};

/*
 * An answer, encoded as it stands in a message whose question is the "anchor": the name itself; for
 * a referral the cut; for a negative answer the apex; for a wildcard its parent. The anchor is
 * always the end of the name in question, so for a longer name every compression pointer moves by
 * the difference.
 */
struct dns_blob {
	uint16_t n_bytes;
	uint16_t n_bytes_must; /* without the additional records that may be left out */
	uint16_t n_answer;
	uint16_t n_authority;
	uint16_t n_additional;
	uint16_t n_additional_must;
	uint16_t n_relocs;
	uint16_t n_anchor; /* bytes of the anchor */
	uint8_t body[]; /* then, from the next even offset, the places of its pointers: uint16_t */
};

/* The pointer of a wildcard's owner: to the name in question, wherever that is. */
enum { DNS_POINTER_OWNER = 0xc000 };

struct dns_slot {
	uint32_t hash;
	uint32_t node; /* ref, 0 for an empty slot */
};

struct dns_zone {
	atomic_uint n_users;
	uint8_t *base;
	size_t n_base; /* bytes */
	struct dns_slot *slots;
	size_t n_slots_mask; /* number of slots less 1 */
	uint32_t max_labels;
	uint32_t apex_labels;
	const struct dns_blob *negative; /* the SOA for NXDOMAIN and NODATA */
	uint8_t n_apex;
	uint8_t apex[DNS_NAME_MAX]; /* in lower case */
	uint32_t apex_hash;
	uint32_t serial;
	uint64_t n_records;
	uint64_t n_names;
	bool is_broken; /* never loaded: SERVFAIL */
};

/* What a look-up found. */
struct dns_found {
	const struct dns_node *node; /* the name itself, or the closest encloser */
	uint32_t depth;              /* its labels */
	bool is_exact;
};

static inline const void *dns_zone_at(const struct dns_zone *zone, uint32_t ref)
{
	return zone->base + (size_t)ref * DNS_REF_BYTES;
}

static inline const uint8_t *dns_node_name(const struct dns_node *node)
{
	return (const uint8_t *)&node->rrsets[node->n_rrsets];
}

static inline const uint8_t *dns_blob_relocs(const struct dns_blob *blob)
{
	return blob->body + ((blob->n_bytes + 1u) & ~1u);
}

/* The zone's apex must be an ancestor of the name, or the name itself. */
void dns_zone_find(const struct dns_zone *zone, const struct dns_name *name,
		   struct dns_found *ret_found);

/* Two steps that bring into the cache what dns_zone_find() will touch. */
void dns_zone_prefetch_slot(const struct dns_zone *zone, const struct dns_name *name);
void dns_zone_prefetch_node(const struct dns_zone *zone, const struct dns_name *name);

/* The answer of a type at a node; NULL when there is none. */
const struct dns_blob *dns_zone_get(const struct dns_zone *zone, const struct dns_node *node,
				    uint16_t type);

/* A zone that could not be loaded: its names are answered with SERVFAIL. NULL: no memory. */
struct dns_zone *dns_zone_new_broken(const uint8_t *apex, const struct dns_hash_key *key);

void dns_zone_ref(struct dns_zone *zone);
void dns_zone_unref(struct dns_zone *zone);

/* Enter a node into the table, which must have room. */
void dns_zone_insert(struct dns_zone *zone, uint32_t hash, uint32_t ref);

#endif
