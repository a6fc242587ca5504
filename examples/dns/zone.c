/* SPDX-License-Identifier: MIT */

/*
 * Looking up a name: one probe when it exists. When it does not, its closest encloser is found by
 * halving: every ancestor of a name of the zone is in the table too (empty non-terminals have nodes
 * without records), so existence is monotone in depth. That is at most 7 probes for any name, and
 * names deeper than anything in the zone cost no more.
 */

#include "zone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct dns_node *probe(const struct dns_zone *zone, const struct dns_name *name,
				    uint32_t label)
{
	uint32_t hash = name->hashes[label];
	size_t n_name = dns_name_suffix_bytes(name, label);

	for (size_t i = hash & zone->n_slots_mask;; i = (i + 1) & zone->n_slots_mask) {
		const struct dns_slot *slot = &zone->slots[i];
		const struct dns_node *node;

		if (slot->node == 0)
			return NULL;
		if (slot->hash != hash)
			continue;
		node = dns_zone_at(zone, slot->node);
		if (node->n_name == n_name &&
		    memcmp(dns_node_name(node), name->bytes + name->offsets[label], n_name) == 0)
			return node;
	}
}

void dns_zone_find(const struct dns_zone *zone, const struct dns_name *name,
		   struct dns_found *ret_found)
{
	uint32_t there = zone->apex_labels; /* a depth at which the ancestor exists */
	uint32_t beyond = name->n_labels;   /* one at which it does not */
	const struct dns_node *node = NULL;

	if (name->n_labels <= zone->max_labels)
		node = probe(zone, name, 0);
	ret_found->is_exact = node != NULL;
	if (node != NULL) {
		ret_found->node = node;
		ret_found->depth = name->n_labels;
		return;
	}
	if (beyond > zone->max_labels + 1)
		beyond = zone->max_labels + 1;
	while (beyond - there > 1) {
		uint32_t middle = (there + beyond) / 2;
		const struct dns_node *found = probe(zone, name, name->n_labels - middle);

		if (found != NULL) {
			node = found;
			there = middle;
		} else {
			beyond = middle;
		}
	}
	if (node == NULL)
		node = probe(zone, name, name->n_labels - there);
	ret_found->node = node;
	ret_found->depth = there;
}

void dns_zone_prefetch_slot(const struct dns_zone *zone, const struct dns_name *name)
{
	__builtin_prefetch(&zone->slots[name->hashes[0] & zone->n_slots_mask]);
}

void dns_zone_prefetch_node(const struct dns_zone *zone, const struct dns_name *name)
{
	const struct dns_slot *slot = &zone->slots[name->hashes[0] & zone->n_slots_mask];
	const uint8_t *node = dns_zone_at(zone, slot->node);

	__builtin_prefetch(node);
	__builtin_prefetch(node + 64); /* most answers begin there */
}

const struct dns_blob *dns_zone_get(const struct dns_zone *zone, const struct dns_node *node,
				    uint16_t type)
{
	for (uint32_t i = 0; i < node->n_rrsets; i++)
		if (node->rrsets[i].type == type)
			return dns_zone_at(zone, node->rrsets[i].blob);
	return NULL;
}

void dns_zone_insert(struct dns_zone *zone, uint32_t hash, uint32_t ref)
{
	size_t i = hash & zone->n_slots_mask;

	while (zone->slots[i].node != 0)
		i = (i + 1) & zone->n_slots_mask;
	zone->slots[i] = (struct dns_slot){ hash, ref };
}

struct dns_zone *dns_zone_new_broken(const uint8_t *apex, const struct dns_hash_key *key)
{
	struct dns_zone *zone = calloc(1, sizeof *zone);
	struct dns_name name;

	if (zone == NULL || dns_name_take(&name, apex, DNS_NAME_MAX, key) == 0) {
		free(zone);
		return NULL;
	}
	atomic_init(&zone->n_users, 1);
	zone->is_broken = true;
	zone->apex_labels = name.n_labels;
	zone->max_labels = name.n_labels;
	zone->apex_hash = name.hashes[0];
	zone->n_apex = name.n_bytes;
	memcpy(zone->apex, name.bytes, name.n_bytes);
	return zone;
}

void dns_zone_ref(struct dns_zone *zone)
{
	atomic_fetch_add_explicit(&zone->n_users, 1, memory_order_relaxed);
}

void dns_zone_unref(struct dns_zone *zone)
{
	/* acq_rel: the last user's reads come before the unmapping */
	if (zone == NULL || atomic_fetch_sub_explicit(&zone->n_users, 1, memory_order_acq_rel) != 1)
		return;
	if (zone->base != NULL)
		munmap(zone->base, zone->n_base);
	if (zone->slots != NULL)
		munmap(zone->slots, (zone->n_slots_mask + 1) * sizeof *zone->slots);
	free(zone);
}
