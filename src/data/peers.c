/* SPDX-License-Identifier: MIT */

/*
 * The table of peers. Three arrays, all taken at new:
 *
 *     places     where the hash of an address leads: which entry has it
 *     links      who was touched when; the list of all in that order
 *     entries    the address, and behind it the program's data; nobody moves
 *
 * Places are open addressing with linear probing, at most half full, so that a look ends after one
 * or two of them. A place knows 32 bits of the hash: a peer that is not there costs one miss of the
 * cache, one that is there two, and the list up to three in an array of 16 bytes an entry.
 *
 * Entries have numbers from 1. Number 0 is in front of the oldest and behind the newest of the
 * list, and "none" everywhere else. An entry is in the list, or on the list of free ones, or was
 * never used: those are the last ones, and their pages are touched by nobody.
 *
 * Invariant: the list is in the order of touched_ns, because the table's time never goes back. So
 * whoever expires looks at its old end only.
 */

#include <volley/peers.h>

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <volley/config.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/opts.h"
#include "sys/addr.h"
#include "sys/random.h"
#include "sys/thread.h"

/* Twice as many places still have 32-bit numbers, and 2^27 peers are 8 GiB without any data. */
#define N_MAX (UINT32_C(1) << 27)

/* More than a session needs in one piece; N_MAX of them are within 64 bits. */
#define MAX_BYTES (UINT32_C(1) << 20)

/* The size of the structs in the first release: what an older caller may pass at least. */
enum { MIN_CONFIG_SIZE = sizeof(size_t), MIN_STATS_SIZE = sizeof(struct volley_peers_stats) };

struct place {
	uint32_t hash;
	uint32_t number; /* 0: a free place */
};

struct link {
	uint64_t touched_ns;
	uint32_t older; /* of number 0: the newest of all */
	uint32_t newer; /* of number 0: the oldest of all; of a free entry: the next free one */
};

struct entry {
	struct volley_addr addr;
	alignas(max_align_t) uint8_t data[];
};

struct volley_peers {
	struct place *places;
	struct link *links;
	uint8_t *entries;
	size_t stride_bytes;
	uint32_t mask;     /* number of places, less one */
	uint32_t free;     /* the entry that was given back last */
	uint32_t n_fresh;  /* entries that were never used */
	bool is_ending;    /* on_end runs */
	uint64_t clock_ns; /* the latest time that was passed */
	uint64_t key[2];
	struct volley_peers_config config;
	struct volley_peers_stats stats;
};

static struct entry *get_entry(const struct volley_peers *peers, uint32_t number)
{
	assert(number >= 1 && number <= peers->config.n_max);

	return (struct entry *)(void *)(peers->entries + (number - 1) * peers->stride_bytes);
}

/* Places --------------------------------------------------------------------------------------- */

static bool is_peer(const struct volley_addr *addr)
{
	if (addr == NULL)
		return false;
	return (addr->len == sizeof addr->in && addr->sa.sa_family == AF_INET) ||
	       (addr->len == sizeof addr->in6 && addr->sa.sa_family == AF_INET6);
}

static uint32_t hash(const struct volley_peers *peers, const struct volley_addr *addr)
{
	return (uint32_t)volley_addr_hash(addr, peers->key);
}

/* Where it is, or the free place where it would be. */
static struct place *find(const struct volley_peers *peers, const struct volley_addr *addr,
			  uint32_t of_addr)
{
	uint32_t i = of_addr & peers->mask;

	for (; peers->places[i].number != 0; i = (i + 1) & peers->mask)
		if (peers->places[i].hash == of_addr &&
		    vly_addr_is_equal(&get_entry(peers, peers->places[i].number)->addr, addr))
			break;
	return &peers->places[i];
}

/* What stands behind it moves up, to the next free place, unless that would be before its own. */
static void clear_place(struct volley_peers *peers, struct place *place)
{
	uint32_t hole = (uint32_t)(place - peers->places);
	uint32_t i = (hole + 1) & peers->mask;

	for (; peers->places[i].number != 0; i = (i + 1) & peers->mask) {
		uint32_t n_from_own = (i - peers->places[i].hash) & peers->mask;

		if (n_from_own < ((i - hole) & peers->mask))
			continue;
		peers->places[hole] = peers->places[i];
		hole = i;
	}
	peers->places[hole] = (struct place){ .number = 0 };
}

/* The list ------------------------------------------------------------------------------------- */

static void unlink_entry(struct volley_peers *peers, uint32_t number)
{
	struct link *link = &peers->links[number];

	peers->links[link->older].newer = link->newer;
	peers->links[link->newer].older = link->older;
}

static void link_newest(struct volley_peers *peers, uint32_t number)
{
	struct link *link = &peers->links[number];

	link->touched_ns = peers->clock_ns;
	link->older = peers->links[0].older;
	link->newer = 0;
	peers->links[link->older].newer = number;
	peers->links[0].older = number;
	assert(link->older == 0 || peers->links[link->older].touched_ns <= link->touched_ns);
}

static void touch(struct volley_peers *peers, uint32_t number)
{
	if (peers->links[0].older == number) {
		peers->links[number].touched_ns = peers->clock_ns;
		return;
	}
	unlink_entry(peers, number);
	link_newest(peers, number);
}

/* The time that is passed may be a little old, or its clock set back. */
static void follow_clock(struct volley_peers *peers, uint64_t now_ns)
{
	if (now_ns > peers->clock_ns)
		peers->clock_ns = now_ns;
}

/* Ends ----------------------------------------------------------------------------------------- */

static void count_end(struct volley_peers_stats *stats, enum volley_peers_end reason)
{
	assert(stats->now > 0);

	stats->now--;
	if (reason == VOLLEY_PEERS_EXPIRED)
		stats->expired++;
	else if (reason == VOLLEY_PEERS_EVICTED)
		stats->evicted++;
	else
		stats->removed++;
	assert(stats->added == stats->now + stats->expired + stats->evicted + stats->removed);
}

/* A thread that is cancelled in on_end would leave an entry that is neither in use nor free. */
static void tell(struct volley_peers *peers, struct entry *entry, enum volley_peers_end reason)
{
	int state = vly_thread_disable_cancel();

	peers->is_ending = true;
	peers->config.on_end(&entry->addr, entry->data, reason, peers->config.arg);
	peers->is_ending = false;
	vly_thread_set_cancel(state);
}

/* First out of the table, then told, and free only then: what on_end is shown nobody else has. */
static void end(struct volley_peers *peers, struct place *place, enum volley_peers_end reason)
{
	uint32_t number = place->number;

	assert(number != 0 && !peers->is_ending);
	clear_place(peers, place);
	unlink_entry(peers, number);
	count_end(&peers->stats, reason);
	if (peers->config.on_end != NULL)
		tell(peers, get_entry(peers, number), reason);
	peers->links[number].newer = peers->free;
	peers->free = number;
}

static void end_oldest(struct volley_peers *peers, enum volley_peers_end reason)
{
	const struct volley_addr *addr = &get_entry(peers, peers->links[0].newer)->addr;

	end(peers, find(peers, addr, hash(peers, addr)), reason);
}

/* A new one ------------------------------------------------------------------------------------ */

static uint32_t take_free(struct volley_peers *peers)
{
	uint32_t number = peers->free;

	if (number != 0) {
		peers->free = peers->links[number].newer;
		return number;
	}
	assert(peers->n_fresh > 0);
	return peers->config.n_max - --peers->n_fresh;
}

/* Room for one more, or a refusal, as the config says. May call on_end. */
static bool make_room(struct volley_peers *peers)
{
	if (peers->stats.now < peers->config.n_max)
		return true;
	if ((peers->config.flags & VOLLEY_PEERS_EVICT_IDLEST) == 0) {
		peers->stats.refused++;
		return false;
	}
	end_oldest(peers, VOLLEY_PEERS_EVICTED);
	return true;
}

void *volley_peers_add(struct volley_peers *peers, const struct volley_addr *peer, uint64_t now_ns)
{
	struct place *place;
	struct entry *entry;
	uint32_t of_peer;

	if (peers == NULL || peers->is_ending || !is_peer(peer))
		return NULL;
	follow_clock(peers, now_ns);
	of_peer = hash(peers, peer);
	place = find(peers, peer, of_peer);
	if (place->number != 0) {
		touch(peers, place->number);
		return get_entry(peers, place->number)->data;
	}
	if (!make_room(peers))
		return NULL;
	place = find(peers, peer, of_peer); /* the one that made room may have moved it */
	*place = (struct place){ .hash = of_peer, .number = take_free(peers) };
	entry = get_entry(peers, place->number);
	entry->addr = *peer;
	memset(entry->data, 0, peers->config.n_bytes);
	link_newest(peers, place->number);
	peers->stats.added++;
	peers->stats.now++;
	return entry->data;
}

/* The rest of a peer's life -------------------------------------------------------------------- */

void *volley_peers_get(struct volley_peers *peers, const struct volley_addr *peer, uint64_t now_ns)
{
	const struct place *place;

	if (peers == NULL || !is_peer(peer))
		return NULL;
	follow_clock(peers, now_ns);
	place = find(peers, peer, hash(peers, peer));
	if (place->number == 0)
		return NULL;
	touch(peers, place->number);
	return get_entry(peers, place->number)->data;
}

int volley_peers_remove(struct volley_peers *peers, const struct volley_addr *peer)
{
	struct place *place;

	if (peers == NULL || peer == NULL)
		return -EINVAL;
	if (peers->is_ending)
		return -EDEADLK;
	if (!is_peer(peer))
		return -ENOENT;
	place = find(peers, peer, hash(peers, peer));
	if (place->number == 0)
		return -ENOENT;
	end(peers, place, VOLLEY_PEERS_REMOVED);
	return 0;
}

uint32_t volley_peers_expire(struct volley_peers *peers, uint64_t now_ns, uint32_t n_most)
{
	uint32_t n = 0;

	if (peers == NULL || peers->is_ending)
		return 0;
	follow_clock(peers, now_ns);
	if (peers->config.idle_ns == 0)
		return 0;
	while (n < n_most && peers->stats.now > 0) {
		const struct link *oldest = &peers->links[peers->links[0].newer];

		if (peers->clock_ns - oldest->touched_ns < peers->config.idle_ns)
			break;
		end_oldest(peers, VOLLEY_PEERS_EXPIRED);
		n++;
	}
	return n;
}

int volley_peers_get_stats(const struct volley_peers *peers, struct volley_peers_stats *ret_stats)
{
	if (peers == NULL)
		return -EINVAL;
	return vly_opts_write(ret_stats, MIN_STATS_SIZE, &peers->stats, sizeof peers->stats);
}

/* The table's life ----------------------------------------------------------------------------- */

static int read_config(const struct volley_peers_config *config,
		       struct volley_peers_config *ret_config)
{
	int r = vly_opts_read(ret_config, sizeof *ret_config, MIN_CONFIG_SIZE, config);

	if (r < 0)
		return r;
	if (ret_config->n_max < 1 || ret_config->n_max > N_MAX || ret_config->n_bytes > MAX_BYTES)
		return -EINVAL;
	if ((ret_config->flags & ~VOLLEY_PEERS_EVICT_IDLEST) != 0 || ret_config->reserved != 0)
		return -EINVAL;
	if (ret_config->allocator != NULL &&
	    (ret_config->allocator->allocate == NULL || ret_config->allocator->deallocate == NULL))
		return -EINVAL;
	return 0;
}

static size_t count_link_bytes(const struct volley_peers *peers)
{
	return (peers->config.n_max + (size_t)1) * sizeof peers->links[0];
}

static size_t count_entry_bytes(const struct volley_peers *peers)
{
	return peers->config.n_max * peers->stride_bytes;
}

static void give_back(struct volley_peers *peers)
{
	const struct volley_allocator *allocator = peers->config.allocator;

	vly_mem_unmap(allocator, peers->entries, count_entry_bytes(peers));
	vly_mem_unmap(allocator, peers->links, count_link_bytes(peers));
	vly_mem_free(peers->places);
	vly_mem_free(peers);
}

static int take_memory(struct volley_peers *peers)
{
	const struct volley_allocator *allocator = peers->config.allocator;
	uint32_t n_max = peers->config.n_max;
	size_t n_places = 2;

	while (n_places < 2 * (size_t)n_max)
		n_places *= 2;
	peers->mask = (uint32_t)n_places - 1;
	peers->stride_bytes = sizeof(struct entry) + peers->config.n_bytes;
	peers->stride_bytes += -peers->stride_bytes % alignof(struct entry);
	if (n_max > SIZE_MAX / peers->stride_bytes)
		return -ENOMEM;
	peers->places = vly_mem_new(allocator, n_places, sizeof peers->places[0]);
	peers->links = vly_mem_map(allocator, count_link_bytes(peers));
	peers->entries = vly_mem_map(allocator, count_entry_bytes(peers));
	if (peers->places == NULL || peers->links == NULL || peers->entries == NULL)
		return -ENOMEM;
	peers->links[0] = (struct link){ .older = 0 };
	peers->n_fresh = n_max;
	return 0;
}

int volley_peers_new(const struct volley_peers_config *config, struct volley_peers **ret_peers)
{
	struct volley_peers_config c;
	struct volley_peers *peers;
	int state;
	int r = read_config(config, &c);

	if (r < 0)
		return r;
	if (ret_peers == NULL)
		return -EINVAL;
	state = vly_thread_disable_cancel();
	peers = vly_mem_new(c.allocator, 1, sizeof *peers);
	if (peers == NULL) {
		r = -ENOMEM;
		goto out;
	}
	peers->config = c;
	r = take_memory(peers);
	if (r >= 0)
		r = vly_random_read(peers->key, sizeof peers->key);
	if (r >= 0)
		*ret_peers = peers;
	else
		give_back(peers);
out:
	vly_thread_set_cancel(state);
	return r;
}

void volley_peers_free(struct volley_peers *peers)
{
	int state;

	if (peers == NULL || peers->is_ending)
		return;
	state = vly_thread_disable_cancel();
	if (peers->config.on_end != NULL)
		while (peers->stats.now > 0)
			end_oldest(peers, VOLLEY_PEERS_FREED);
	give_back(peers);
	vly_thread_set_cancel(state);
}
