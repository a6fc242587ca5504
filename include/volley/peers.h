/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_PEERS_H
#define VOLLEY_PEERS_H

/**
 * @file peers.h
 * A table of peers: what a server keeps of each client, found by the client's address.
 *
 * It is memory and nothing else. It knows no server, no thread and no clock, so it belongs to
 * whoever made it: as a rule each worker (or handler) has one of its own, because all datagrams of
 * a client come to the same one. One thread at a time may use it, and the time is what that thread
 * passes (docs/sessions.md).
 *
 * All memory is taken by volley_peers_new(). A peer costs 32 bytes for its address, 32 to 48 for
 * being found and expired, and its data. Every call but new and free takes the same time for one
 * peer as for millions, whatever addresses strangers choose: places are chosen by SipHash with a
 * random key of the table's own.
 *
 * Two addresses are the same peer when volley_addr_is_equal() says so: family, host, port, and for
 * IPv6 the scope. A client that comes by IPv4 and by an IPv6-mapped address is two.
 *
 * Nothing here limits how many peers one source may have. Where a source can be forged, a full
 * table is what an attacker can make of it: choose what it then does (VOLLEY_PEERS_EVICT_IDLEST),
 * and add a peer only once it has shown that it hears you.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/addr.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_allocator;
struct volley_peers;

/** Why a peer is no longer in the table. Only appended to. */
enum volley_peers_end {
	VOLLEY_PEERS_EXPIRED = 0, /* idle for idle_ns, and volley_peers_expire() came by */
	VOLLEY_PEERS_EVICTED,     /* the longest idle when another needed its place */
	VOLLEY_PEERS_REMOVED,     /* volley_peers_remove() */
	VOLLEY_PEERS_FREED,       /* volley_peers_free() */
};

/**
 * A peer has left the table: close what its data holds. Called inside the function that ends it, on
 * its thread, once for each peer that was added.
 *
 * The peer is not found any more, and its data is yours until the hook returns. Sending is fine,
 * and of the table volley_peers_get() and volley_peers_get_stats(), for other peers. What would
 * change the table does nothing here: add returns NULL, remove -EDEADLK, expire 0, and free leaves
 * all as it is.
 *
 * @param peer    its address
 * @param data    its data
 * @param reason  why
 * @param arg     the config's `arg`
 */
typedef void (*volley_peers_end_fn)(const struct volley_addr *peer, void *data,
				    enum volley_peers_end reason, void *arg);

/** Table flags. */
/** When the table is full, a new peer takes the place of the one that is idle longest. */
#define VOLLEY_PEERS_EVICT_IDLEST 1u

/** What a table can be told. `n_max` is required. */
struct volley_peers_config {
	/** sizeof(struct volley_peers_config); VOLLEY_PEERS() fills it. */
	size_t size;
	/** Peers that it has room for: 1 to 134,217,728 (2^27). */
	uint32_t n_max;
	/**
	 * Bytes of your data for each peer, 0 to 1,048,576. Default 0: then the pointers that you
	 * get only say that a peer is known, and nothing may be read or written there.
	 */
	uint32_t n_bytes;
	/** How long a peer may be idle before it expires, in nanoseconds. Default 0: for ever. */
	uint64_t idle_ns;
	/** VOLLEY_PEERS_* */
	uint32_t flags;
	/** Not in use yet: 0. */
	uint32_t reserved;
	/** Called for each peer that leaves; may be NULL. */
	volley_peers_end_fn on_end;
	/** Passed to on_end. */
	void *arg;
	/**
	 * Where the memory comes from (volley/config.h). Default: the C library and mmap(2). Not
	 * copied; called by volley_peers_new() and volley_peers_free() alone, on their threads.
	 */
	const struct volley_allocator *allocator;
};

#ifndef __cplusplus
/** A table's config as a compound literal: VOLLEY_PEERS(.n_max = 10000, .n_bytes = 64). */
#define VOLLEY_PEERS(...)                                                                 \
	(&(const struct volley_peers_config){ .size = sizeof(struct volley_peers_config), \
					      __VA_ARGS__ })
#endif

/**
 * Zero a table's config and set its size; for C++ and for those who dislike macros.
 *
 * @param config  the struct
 * @param size    sizeof *config
 * @threads  any
 * @blocks   never
 */
static inline void volley_peers_config_init(struct volley_peers_config *config, size_t size)
{
	__builtin_memset(config, 0, size);
	config->size = size;
}

/**
 * What a table has done. Always true:
 *
 *     added = now + expired + evicted + removed
 *
 * These are the table's own numbers, and not part of a server's ledger: they count peers, not
 * datagrams.
 */
struct volley_peers_stats {
	/** sizeof(struct volley_peers_stats), set by the caller. */
	size_t size;
	/** Peers in the table. */
	uint64_t now;
	/** Peers that came, those that are there included. */
	uint64_t added;
	/** Peers that did not, because the table was full. */
	uint64_t refused;
	/** Peers that left, each by its reason. */
	uint64_t expired;
	uint64_t evicted;
	uint64_t removed;
};

/**
 * Make a table, and take all memory that it will ever use. Where the system maps memory, only what
 * peers have touched is resident, but for 16 bytes (32 at most) of each that there is room for.
 *
 * @param config     copied
 * @param ret_peers  the table; untouched on failure
 * @return 0; -EINVAL for a value out of range; -E2BIG for a config of a newer header with fields
 *         set that this library does not know; -ENOMEM; the errno with which the system refuses
 *         random bytes
 * @threads  any
 * @blocks   for as long as it takes to clear 16 to 32 bytes for each of n_max; right after the
 *           machine has booted also until its kernel has random bytes
 * @kernel   getrandom(2), Linux 3.17
 */
VOLLEY_API int volley_peers_new(const struct volley_peers_config *config,
				struct volley_peers **ret_peers);

/**
 * Find a peer, which is no longer idle then.
 *
 * @param peers   the table
 * @param peer    IPv4 or IPv6 address; any other is unknown
 * @param now_ns  the time of a clock that does not go back, such as CLOCK_MONOTONIC, in
 *                nanoseconds. A time before one that the table was told already counts as that one,
 *                so nobody expires too early. 0 is fine where nothing expires.
 * @return its data, aligned as malloc() aligns, which stays where it is until the peer ends; or
 *         NULL when it is unknown
 * @threads  one at a time
 * @blocks   never
 */
VOLLEY_API void *volley_peers_get(struct volley_peers *peers, const struct volley_addr *peer,
				  uint64_t now_ns);

/**
 * Add a peer, unless it is known: then this is volley_peers_get(), and its data is as it was. So a
 * field of yours that is never 0 tells a new one from an old one, and one call does for both.
 *
 * When the table is full, the longest idle peer goes with VOLLEY_PEERS_EVICT_IDLEST (on_end says
 * so); without it the new one is refused. Peers that have been idle for long enough keep their
 * places until volley_peers_expire() is called.
 *
 * @param peers   the table
 * @param peer    IPv4 or IPv6 address; copied
 * @param now_ns  as for volley_peers_get()
 * @return its data, as of volley_peers_get(), all zero when the peer is new; NULL when the table is
 *         full, for an address of another family, and inside on_end
 * @threads  one at a time
 * @blocks   for as long as on_end does
 */
VOLLEY_API void *volley_peers_add(struct volley_peers *peers, const struct volley_addr *peer,
				  uint64_t now_ns);

/**
 * Remove a peer, after on_end was called for it.
 *
 * @param peers  the table
 * @param peer   its address
 * @return 0; -ENOENT when it is unknown; -EDEADLK inside on_end
 * @threads  one at a time
 * @blocks   for as long as on_end does
 */
VOLLEY_API int volley_peers_remove(struct volley_peers *peers, const struct volley_addr *peer);

/**
 * End peers that were neither got nor added for idle_ns, the longest idle first. Nothing expires by
 * itself: call this now and then, from a timer or between volleys. It looks at those that it ends
 * and at one more, so it costs nothing when there is nothing to do.
 *
 * @param peers   the table
 * @param now_ns  as for volley_peers_get()
 * @param n_most  end no more than so many, so that datagrams do not wait for long; those that are
 *                left go with the next call
 * @return how many have ended; n_most says that there may be more
 * @threads  one at a time
 * @blocks   for as long as on_end does
 */
VOLLEY_API uint32_t volley_peers_expire(struct volley_peers *peers, uint64_t now_ns,
					uint32_t n_most);

/**
 * Read the table's counters.
 *
 * @param peers      the table; inside on_end too, and then the peer that ends has left already
 * @param ret_stats  its `size` set; the rest is written
 * @return 0; -EINVAL for a size that no version had; -E2BIG for one that none will have
 * @threads  one at a time
 * @blocks   never
 */
VOLLEY_API int volley_peers_get_stats(const struct volley_peers *peers,
				      struct volley_peers_stats *ret_stats);

/**
 * Free a table, after on_end was called for each peer that is left, the longest idle first.
 *
 * @param peers  the table; NULL is fine
 * @threads  one at a time; nobody uses the table then or afterwards
 * @blocks   for as long as on_end does
 */
VOLLEY_API void volley_peers_free(struct volley_peers *peers);

#ifdef __cplusplus
}
#endif

#endif
