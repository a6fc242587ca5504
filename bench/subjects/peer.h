/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/*
 * A peer: what one would otherwise write, the idiomatic echo on its own library, in one file of
 * bench/subjects/peers/. It gets a bound UDP socket and one thread. The same code is timed in
 * `preload` (K datagrams wait in the socket, run() handles exactly K) and serves in `saturate`
 * (run() for ever).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Batch sizes in powers of two: 1, 2-3, 4-7, ... 64 and more. */
#define BENCH_PEER_N_SIZES 7

/*
 * Written by the loop's own thread only; in memory shared with the process that measures, which
 * reads while it runs, so every store is one aligned word and a reader is at most a batch behind.
 */
struct bench_counters {
	uint64_t n_datagrams;
	uint64_t n_recv_calls;
	uint64_t n_send_calls;
	uint64_t n_failed; /* replies that the kernel refused */
	uint64_t n_sizes[BENCH_PEER_N_SIZES];
};

struct bench_loop {
	int fd;
	const int *fds; /* all sockets, fd the first; where has_listeners */
	uint32_t n_fds;
	uint32_t n_batch;
	struct bench_counters *counters;
	void *state; /* the peer's */
};

struct bench_peer {
	const char *name;
	const char *about;
	/* Why it is not in this build, or NULL. */
	const char *absent;
	/* Version of the library it stands on. */
	const char *(*version)(void);
	/* Prepare; the socket may be made non-blocking. 0 or -errno. */
	int (*open)(struct bench_loop *loop);
	/* Echo until exactly n more datagrams were replied to. 0 or -errno. */
	int (*run)(struct bench_loop *loop, uint64_t n);
	void (*close)(struct bench_loop *loop);
	/* It can serve several sockets. */
	bool has_listeners;
};

#ifdef __cplusplus
extern "C" {
#endif

/* The i-th peer, absent ones too, or NULL. */
const struct bench_peer *bench_peers_get(size_t i);

#ifdef __cplusplus
}
#endif

/* The largest payload a peer must be able to echo. */
#define BENCH_PEER_MAX_BYTES 65507

static inline uint32_t bench_counters_get_bucket(uint32_t n)
{
	uint32_t i = n == 0 ? 0 : 31 - (uint32_t)__builtin_clz(n);

	return i < BENCH_PEER_N_SIZES ? i : BENCH_PEER_N_SIZES - 1;
}

/* Count one receive that gave n datagrams. */
static inline void bench_counters_add(struct bench_counters *counters, uint32_t n)
{
	counters->n_sizes[bench_counters_get_bucket(n)]++;
	counters->n_datagrams += n;
}

#endif
