/* SPDX-License-Identifier: MIT */

/*
 * The builder: a hash table of names that grows, each with its records, in memory that is thrown
 * away as a whole when the zone is finished. What a zone must be is checked here (RFC 1035, 2181,
 * 6672), because only the whole zone tells; what a record must be is checked when it is added.
 *
 *     add ... add -> check -> mark cuts -> lay out nodes and answers (zone_encode.c) -> link
 */

#include "zone_build.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"
#include "zone_data.h"
#include "zone_encode.h"

/* Memory is taken in pieces that double from the first to the second; a record is below 64 KiB. */
enum { FIRST_CHUNK_BYTES = 1 << 16, CHUNK_BYTES = 1 << 20 };

/* An answer has to fit a TCP message with its question, a CNAME chain and EDNS. */
enum { MAX_RRSET_BYTES = 60000, RECORD_BYTES = 12 };

struct dns_build_chunk {
	struct dns_build_chunk *next;
	size_t n_used;
	size_t n_bytes;
	uint8_t bytes[];
};

static void *take(struct dns_build *build, size_t n)
{
	struct dns_build_chunk *chunk = build->chunks;

	n = (n + 7) & ~(size_t)7;
	if (chunk == NULL || n > chunk->n_bytes - chunk->n_used) {
		size_t n_bytes = chunk == NULL ? FIRST_CHUNK_BYTES : 2 * chunk->n_bytes;

		if (n_bytes > CHUNK_BYTES)
			n_bytes = CHUNK_BYTES;
		chunk = malloc(sizeof *chunk + n_bytes);
		if (chunk == NULL)
			return NULL;
		chunk->next = build->chunks;
		chunk->n_bytes = n_bytes;
		chunk->n_used = 0;
		build->chunks = chunk;
	}
	chunk->n_used += n;
	return memset(chunk->bytes + chunk->n_used - n, 0, n);
}

__attribute__((format(printf, 3, 4))) static int
refuse(struct dns_build *build, const uint8_t *name, const char *format, ...)
{
	char text[DNS_NAME_TEXT_BYTES];
	char what[DNS_WHY_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	dns_name_format(name, text, sizeof text);
	snprintf(build->why, sizeof build->why, "%.200s: %.200s", text, what);
	return -EINVAL;
}

/* Names ---------------------------------------------------------------------------------------- */

static size_t find_slot(const struct dns_build *build, uint32_t hash, const uint8_t *name, size_t n)
{
	size_t mask = build->n_slots - 1;
	size_t i = hash & mask;

	for (; build->slots[i] != NULL; i = (i + 1) & mask) {
		const struct dns_build_node *node = build->slots[i];

		if (node->hash == hash && node->n_name == n && memcmp(node->name, name, n) == 0)
			break;
	}
	return i;
}

static int grow(struct dns_build *build)
{
	size_t n_slots = build->n_slots == 0 ? 64 : 2 * build->n_slots;
	struct dns_build_node **slots = calloc(n_slots, sizeof(struct dns_build_node *));
	struct dns_build_node **nodes = reallocarray(build->nodes, n_slots / 2,
						     sizeof(struct dns_build_node *));

	if (nodes != NULL)
		build->nodes = nodes;
	if (slots == NULL || nodes == NULL) {
		free(slots);
		return -ENOMEM;
	}
	free(build->slots);
	build->slots = slots;
	build->n_slots = n_slots;
	for (size_t i = 0; i < build->n_nodes; i++) {
		const struct dns_build_node *node = nodes[i];

		slots[find_slot(build, node->hash, node->name, node->n_name)] = nodes[i];
	}
	return 0;
}

struct dns_build_node *dns_build_find(const struct dns_build *build, const struct dns_name *name,
				      uint32_t label)
{
	return build
		->slots[find_slot(build, name->hashes[label], name->bytes + name->offsets[label],
				  dns_name_suffix_bytes(name, label))];
}

static struct dns_build_node *add_node(struct dns_build *build, const struct dns_name *name,
				       uint32_t label)
{
	size_t n = dns_name_suffix_bytes(name, label);
	const uint8_t *bytes = name->bytes + name->offsets[label];
	struct dns_build_node *node;

	if (2 * (build->n_nodes + 1) > build->n_slots && grow(build) < 0)
		return NULL;
	node = take(build, sizeof *node + n);
	if (node == NULL)
		return NULL;
	node->hash = name->hashes[label];
	node->n_labels = (uint8_t)(name->n_labels - label);
	node->n_name = (uint8_t)n;
	memcpy(node->name, bytes, n);
	build->nodes[build->n_nodes++] = node;
	build->slots[find_slot(build, node->hash, bytes, n)] = node;
	if (node->n_labels > build->max_labels)
		build->max_labels = node->n_labels;
	return node;
}

/* The node of a name at or below the apex, made with all that are missing above it. */
static struct dns_build_node *get_node(struct dns_build *build, const struct dns_name *name)
{
	uint32_t n_below = (uint32_t)name->n_labels - build->apex.n_labels;
	struct dns_build_node *parent = NULL;
	uint32_t known = 0;

	while (known <= n_below && (parent = dns_build_find(build, name, known)) == NULL)
		known++;
	while (known-- > 0) {
		struct dns_build_node *node = add_node(build, name, known);

		if (node == NULL)
			return NULL;
		node->parent = parent;
		if (parent != NULL && node->name[0] == 1 && node->name[1] == '*') {
			node->flags |= DNS_NODE_WILDCARD;
			parent->wildcard = node;
		}
		parent = node;
	}
	return parent;
}

/* Records -------------------------------------------------------------------------------------- */

struct dns_build_rrset *dns_build_get(const struct dns_build_node *node, uint16_t type)
{
	struct dns_build_rrset *rrset = node->rrsets;

	while (rrset != NULL && rrset->type < type)
		rrset = rrset->next;
	return rrset != NULL && rrset->type == type ? rrset : NULL;
}

static struct dns_build_rrset *get_rrset(struct dns_build *build, struct dns_build_node *node,
					 uint16_t type, uint32_t ttl)
{
	struct dns_build_rrset **place = &node->rrsets;
	struct dns_build_rrset *rrset;

	while (*place != NULL && (*place)->type < type)
		place = &(*place)->next;
	if (*place != NULL && (*place)->type == type)
		return *place;
	rrset = take(build, sizeof *rrset);
	if (rrset == NULL)
		return NULL;
	rrset->type = type;
	rrset->ttl = ttl;
	rrset->next = *place;
	*place = rrset;
	return rrset;
}

static bool has_record(const struct dns_build_rrset *rrset, const uint8_t *data, size_t n)
{
	for (const struct dns_build_record *r = rrset->first; r != NULL; r = r->next)
		if (r->n_data == n && memcmp(r->data, data, n) == 0)
			return true;
	return false;
}

static int add_record(struct dns_build *build, struct dns_build_node *node,
		      struct dns_build_rrset *rrset, const uint8_t *data, size_t n)
{
	struct dns_build_record *record;

	if (has_record(rrset, data, n))
		return 0;
	rrset->n_bytes += (uint32_t)(RECORD_BYTES + n);
	if (rrset->n_bytes > MAX_RRSET_BYTES)
		return refuse(build, node->name, "the records of type %u do not fit one message",
			      rrset->type);
	record = take(build, sizeof *record + n);
	if (record == NULL)
		return -ENOMEM;
	record->n_data = (uint16_t)n;
	memcpy(record->data, data, n);
	if (rrset->last != NULL)
		rrset->last->next = record;
	else
		rrset->first = record;
	rrset->last = record;
	rrset->n_records++;
	build->n_records++;
	return 0;
}

static bool may_stand_beside_cname(uint16_t type)
{
	return type == DNS_CNAME || type == DNS_RRSIG || type == DNS_NSEC || type == DNS_SIG ||
	       type == DNS_NXT || type == DNS_KEY;
}

/* What the records of one name must be together. */
static int check_node(struct dns_build *build, const struct dns_build_node *node)
{
	const struct dns_build_rrset *cname = dns_build_get(node, DNS_CNAME);
	const struct dns_build_rrset *dname = dns_build_get(node, DNS_DNAME);
	const struct dns_build_rrset *soa = dns_build_get(node, DNS_SOA);

	if (soa != NULL && soa->n_records > 1)
		return refuse(build, node->name, "more than one SOA record");
	if (cname != NULL && cname->n_records > 1)
		return refuse(build, node->name, "more than one CNAME");
	if (dname != NULL && dname->n_records > 1)
		return refuse(build, node->name, "more than one DNAME");
	for (const struct dns_build_rrset *r = node->rrsets; cname != NULL && r != NULL;
	     r = r->next)
		if (!may_stand_beside_cname(r->type))
			return refuse(build, node->name, "CNAME and other data");
	return 0;
}

int dns_build_add(struct dns_build *build, const uint8_t *owner, uint16_t type, uint32_t ttl,
		  const uint8_t *data, size_t n_data)
{
	struct dns_build_rrset *rrset;
	struct dns_build_node *node;
	struct dns_name name;
	uint32_t n_below;
	int r;

	if (dns_name_take(&name, owner, DNS_NAME_MAX, &build->key) == 0)
		return -EINVAL;
	n_below = (uint32_t)name.n_labels - build->apex.n_labels;
	if (name.n_labels < build->apex.n_labels ||
	    !dns_name_equals(&name, n_below, build->apex.bytes, build->apex.n_bytes))
		return refuse(build, owner, "the name is not in the zone");
	if (type == DNS_OPT || type == 0 || (type >= 128 && type <= 255))
		return refuse(build, owner, "type %u is no type of data", type);
	if (type == DNS_SOA && n_below != 0)
		return refuse(build, owner, "SOA below the zone's apex");
	if (!dns_data_check(dns_data_form(type), data, (uint32_t)n_data))
		return refuse(build, owner, "malformed data of type %u", type);
	node = get_node(build, &name);
	rrset = node == NULL ? NULL : get_rrset(build, node, type, ttl);
	if (rrset == NULL)
		return -ENOMEM;
	if (ttl < rrset->ttl)
		rrset->ttl = ttl; /* RFC 2181, 5.2: one TTL for all */
	r = add_record(build, node, rrset, data, n_data);
	return r < 0 ? r : check_node(build, node);
}

/* The whole ------------------------------------------------------------------------------------ */

static int check(struct dns_build *build)
{
	const struct dns_build_node *apex = dns_build_find(build, &build->apex, 0);
	const struct dns_build_rrset *soa = apex == NULL ? NULL : dns_build_get(apex, DNS_SOA);

	if (soa == NULL)
		return refuse(build, build->apex.bytes, "no SOA record");
	if (dns_build_get(apex, DNS_NS) == NULL)
		return refuse(build, build->apex.bytes, "no NS record");
	return 0;
}

/*
 * The topmost cut or DNAME at or above each node. A DNAME at the apex counts too; NS there are the
 * zone's own, and those of a wildcard are data (RFC 4592, 4.2).
 */
static void mark_cuts(struct dns_build *build)
{
	for (size_t i = 0; i < build->n_nodes; i++) {
		struct dns_build_node *node = build->nodes[i];

		if (node->parent != NULL && dns_build_get(node, DNS_NS) != NULL &&
		    !(node->flags & DNS_NODE_WILDCARD))
			node->flags |= DNS_NODE_CUT;
		else if (dns_build_get(node, DNS_DNAME) != NULL)
			node->flags |= DNS_NODE_DNAME;
	}
	for (size_t i = 0; i < build->n_nodes; i++) {
		struct dns_build_node *node = build->nodes[i];

		for (struct dns_build_node *up = node; up != NULL; up = up->parent)
			if (up->flags & (DNS_NODE_CUT | DNS_NODE_DNAME))
				node->cut = up;
	}
}

int dns_build_finish(struct dns_build *build, struct dns_zone **ret_zone)
{
	int r = build->n_nodes == 0 ? refuse(build, build->apex.bytes, "no records") : check(build);

	if (r < 0)
		return r;
	mark_cuts(build);
	return dns_encode_zone(build, ret_zone);
}

int dns_build_init(struct dns_build *build, const uint8_t *apex, const struct dns_hash_key *key)
{
	memset(build, 0, sizeof *build);
	build->key = *key;
	if (dns_name_take(&build->apex, apex, DNS_NAME_MAX, key) == 0)
		return -EINVAL;
	return grow(build);
}

void dns_build_fini(struct dns_build *build)
{
	while (build->chunks != NULL) {
		struct dns_build_chunk *next = build->chunks->next;

		free(build->chunks);
		build->chunks = next;
	}
	free(build->nodes);
	free(build->slots);
}
