/* SPDX-License-Identifier: MIT */

/*
 * Open addressing with linear probing, at most half full, so that a look ends after one or two
 * places. A table doubles and is never freed before the set: all old ones together are smaller than
 * the last. Keys are expected to be hashes already: their low bits are the place. Key 0 stands for
 * a free place; whoever has it as a key shares it with 1.
 */

#include "data/set.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

enum { FIRST_PLACES = 16 };

struct vly_set_table {
	struct vly_set_table *next;
	uint32_t mask;
	_Atomic uint64_t keys[];
};

static uint64_t get_key(const struct vly_set_table *table, uint32_t i)
{
	return atomic_load_explicit(&table->keys[i & table->mask], memory_order_relaxed);
}

static void set_key(struct vly_set_table *table, uint32_t i, uint64_t key)
{
	atomic_store_explicit(&table->keys[i & table->mask], key, memory_order_relaxed);
}

/* Where it is, or the free place where it would be. Ends though others change the table. */
static uint32_t find(const struct vly_set_table *table, uint64_t key)
{
	uint32_t i = (uint32_t)key & table->mask;

	for (uint32_t n = 0; n < table->mask; n++, i = (i + 1) & table->mask) {
		uint64_t is = get_key(table, i);

		if (is == key || is == 0)
			break;
	}
	return i;
}

/* The writer's own look: nobody else publishes tables. */
static struct vly_set_table *get_table(const struct vly_set *set)
{
	return atomic_load_explicit(&set->table, memory_order_relaxed);
}

void vly_set_fini(struct vly_set *set)
{
	while (set->tables != NULL) {
		struct vly_set_table *table = set->tables;

		set->tables = table->next;
		vly_mem_free(table);
	}
	atomic_store_explicit(&set->table, NULL, memory_order_relaxed);
	set->n = 0;
}

bool vly_set_has(const struct vly_set *set, uint64_t key)
{
	/* acquire: the keys that were there when it was published */
	const struct vly_set_table *table = atomic_load_explicit(&set->table, memory_order_acquire);

	key += key == 0;
	return table != NULL && get_key(table, find(table, key)) == key;
}

static int grow(struct vly_set *set, const struct volley_allocator *allocator)
{
	const struct vly_set_table *old = get_table(set);
	uint32_t n_places = old != NULL ? 2 * (old->mask + 1) : FIRST_PLACES;
	struct vly_set_table *table = vly_mem_new(allocator, 1,
						  sizeof *table + n_places * sizeof table->keys[0]);

	if (table == NULL)
		return -ENOMEM;
	table->mask = n_places - 1;
	for (uint32_t i = 0; old != NULL && i <= old->mask; i++) {
		uint64_t key = get_key(old, i);

		if (key != 0)
			set_key(table, find(table, key), key);
	}
	table->next = set->tables;
	set->tables = table;
	/* release: publishes the mask and the keys */
	atomic_store_explicit(&set->table, table, memory_order_release);
	return 0;
}

int vly_set_add(struct vly_set *set, const struct volley_allocator *allocator, uint64_t key)
{
	struct vly_set_table *table = get_table(set);

	if (vly_set_has(set, key))
		return 0;
	if (table == NULL || 2 * (set->n + 1) > table->mask + 1) {
		if (grow(set, allocator) < 0)
			return -ENOMEM;
		table = get_table(set);
	}
	key += key == 0;
	set_key(table, find(table, key), key);
	set->n++;
	return 0;
}

/*
 * What stands behind it moves up, up to the next free place, unless that would be before its own.
 * For a moment a key is in two places, or is missed.
 */
void vly_set_remove(struct vly_set *set, uint64_t key)
{
	struct vly_set_table *table = get_table(set);
	uint32_t hole, i;
	uint64_t next;

	if (!vly_set_has(set, key))
		return;
	key += key == 0;
	hole = find(table, key);
	for (i = hole + 1; (next = get_key(table, i)) != 0; i++) {
		uint32_t n_from_own = (i - (uint32_t)next) & table->mask;

		if (n_from_own < ((i - hole) & table->mask))
			continue;
		set_key(table, hole, next);
		hole = i;
	}
	set_key(table, hole, 0);
	set->n--;
}

int vly_set_fill(struct vly_set *set, const struct volley_allocator *allocator,
		 const struct vly_set *other)
{
	const struct vly_set_table *from = get_table(other);
	const struct vly_set_table *own = get_table(set);
	int r = 0;

	assert(set != other);
	for (uint32_t i = 0; own != NULL && i <= own->mask;) {
		uint64_t key = get_key(own, i);

		if (key == 0 || vly_set_has(other, key))
			i++;
		else
			vly_set_remove(set, key); /* the next one may stand here now */
	}
	for (uint32_t i = 0; r >= 0 && from != NULL && i <= from->mask; i++) {
		uint64_t key = get_key(from, i);

		if (key != 0)
			r = vly_set_add(set, allocator, key);
	}
	return r;
}
