/* SPDX-License-Identifier: MIT */

/*
 * Open addressing with linear probing, as in set.c, but without readers beside the writer: so a
 * table that grows is freed, and keys may be any numbers, for their places are a hash of them.
 */

#include "data/tally.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/mem.h"

enum { FIRST_PLACES = 16 };

struct vly_tally_place {
	uint64_t key;
	uint32_t n; /* 0: free */
};

void vly_tally_fini(struct vly_tally *tally)
{
	vly_mem_free(tally->places);
	*tally = (struct vly_tally){ .n = 0 };
}

static uint32_t get_own(const struct vly_tally *tally, uint64_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (tally->n_places - 1);
}

/* The key's place, or the free one where it would be; there always is one. */
static struct vly_tally_place *find(const struct vly_tally *tally, uint64_t key)
{
	uint32_t i = get_own(tally, key);

	while (tally->places[i].n > 0 && tally->places[i].key != key)
		i = (i + 1) & (tally->n_places - 1);
	return &tally->places[i];
}

uint32_t vly_tally_count(const struct vly_tally *tally, uint64_t key)
{
	return tally->n_places > 0 ? find(tally, key)->n : 0;
}

/* At most three in four places are taken. */
static int make_room(struct vly_tally *tally, const struct volley_allocator *allocator)
{
	struct vly_tally larger = { .n = tally->n };

	if (tally->n < tally->n_places / 4 * 3)
		return 0;
	larger.n_places = tally->n_places > 0 ? 2 * tally->n_places : FIRST_PLACES;
	larger.places = vly_mem_new(allocator, larger.n_places, sizeof *larger.places);
	if (larger.places == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < tally->n_places; i++)
		if (tally->places[i].n > 0)
			*find(&larger, tally->places[i].key) = tally->places[i];
	vly_mem_free(tally->places);
	*tally = larger;
	return 0;
}

int vly_tally_add(struct vly_tally *tally, const struct volley_allocator *allocator, uint64_t key)
{
	struct vly_tally_place *place;

	if (make_room(tally, allocator) < 0)
		return -ENOMEM;
	place = find(tally, key);
	tally->n += place->n == 0;
	place->key = key;
	place->n++;
	return 0;
}

/* What stands behind a place that is free now moves up, unless that would be before its own. */
static void close_gap(struct vly_tally *tally, uint32_t hole)
{
	uint32_t mask = tally->n_places - 1;

	for (uint32_t i = (hole + 1) & mask; tally->places[i].n > 0; i = (i + 1) & mask) {
		uint32_t n_from_own = (i - get_own(tally, tally->places[i].key)) & mask;

		if (n_from_own < ((i - hole) & mask))
			continue;
		tally->places[hole] = tally->places[i];
		tally->places[i].n = 0;
		hole = i;
	}
}

void vly_tally_remove(struct vly_tally *tally, uint64_t key)
{
	struct vly_tally_place *place = find(tally, key);

	assert(place->n > 0);
	place->n--;
	if (place->n > 0)
		return;
	tally->n--;
	close_gap(tally, (uint32_t)(place - tally->places));
}
