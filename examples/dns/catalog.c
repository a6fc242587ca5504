/* SPDX-License-Identifier: MIT */

/*
 * The zones. Finding the one for a name tries only depths at which some zone begins, longest first:
 * one probe for a server whose zones are all of one depth, whatever their number.
 *
 * Each reader (a worker, the TCP thread) counts as one user for as long as it holds the pointer, so
 * whoever lets go last frees, and no reader ever waits.
 */

#include "catalog.h"

#include <stdlib.h>
#include <string.h>

static void insert(struct dns_catalog *catalog, struct dns_zone *zone)
{
	uint32_t i = zone->apex_hash & catalog->n_slots_mask;

	while (catalog->slots[i] != NULL)
		i = (i + 1) & catalog->n_slots_mask;
	catalog->slots[i] = zone;
	catalog->has_depth[zone->apex_labels] = true;
	if (zone->apex_labels > catalog->max_apex_labels)
		catalog->max_apex_labels = zone->apex_labels;
	if (zone->max_labels > catalog->max_labels)
		catalog->max_labels = zone->max_labels;
}

struct dns_catalog *dns_catalog_new(struct dns_zone *const *zones, uint32_t n_zones)
{
	struct dns_catalog *catalog = calloc(1, sizeof *catalog);
	uint32_t n_slots = 4;

	while (n_slots < 2 * n_zones)
		n_slots *= 2;
	if (catalog == NULL)
		return NULL;
	catalog->zones = calloc(n_zones + 1, sizeof(struct dns_zone *));
	catalog->slots = calloc(n_slots, sizeof(struct dns_zone *));
	if (catalog->zones == NULL || catalog->slots == NULL) {
		free(catalog->zones);
		free(catalog->slots);
		free(catalog);
		return NULL;
	}
	atomic_init(&catalog->n_users, 1);
	catalog->n_slots_mask = n_slots - 1;
	catalog->n_zones = n_zones;
	for (uint32_t i = 0; i < n_zones; i++) {
		catalog->zones[i] = zones[i];
		insert(catalog, zones[i]);
	}
	return catalog;
}

static struct dns_zone *probe(const struct dns_catalog *catalog, const struct dns_name *name,
			      uint32_t label)
{
	uint32_t i = name->hashes[label] & catalog->n_slots_mask;

	for (; catalog->slots[i] != NULL; i = (i + 1) & catalog->n_slots_mask) {
		struct dns_zone *zone = catalog->slots[i];

		if (zone->apex_hash == name->hashes[label] &&
		    dns_name_equals(name, label, zone->apex, zone->n_apex))
			return zone;
	}
	return NULL;
}

struct dns_zone *dns_catalog_find(const struct dns_catalog *catalog, const struct dns_name *name,
				  uint32_t from)
{
	uint32_t label = from;

	if (name->n_labels > catalog->max_apex_labels + label)
		label = name->n_labels - catalog->max_apex_labels;
	for (; label <= name->n_labels; label++) {
		struct dns_zone *zone = NULL;

		if (catalog->has_depth[name->n_labels - label])
			zone = probe(catalog, name, label);
		if (zone != NULL)
			return zone;
	}
	return NULL;
}

void dns_catalog_ref(struct dns_catalog *catalog, uint32_t n)
{
	atomic_fetch_add_explicit(&catalog->n_users, n, memory_order_relaxed);
}

void dns_catalog_unref(struct dns_catalog *catalog)
{
	/* acq_rel: every user's reads come before the freeing */
	if (catalog == NULL ||
	    atomic_fetch_sub_explicit(&catalog->n_users, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < catalog->n_zones; i++)
		dns_zone_unref(catalog->zones[i]);
	free(catalog->zones);
	free(catalog->slots);
	free(catalog);
}
