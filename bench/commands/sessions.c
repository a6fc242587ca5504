/* SPDX-License-Identifier: MIT */

/*
 * sessions: what a table of peers costs (volley/peers.h), without a server: CPU time of each call
 * on one thread, and memory. All peers are added, then as many are got in a random order as there
 * are, then as many that are unknown, and then all expire. A million of them with 64 bytes of data
 * are far more than any cache holds, so most of what is measured is the way to memory.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <volley/volley.h>

#include "commands.h"
#include "common/clock.h"
#include "common/interrupt.h"
#include "common/statistics.h"
#include "output.h"

enum { N_BYTES = 64, MAX_ROUNDS = 64 };

enum call { ADD, GET, GET_UNKNOWN, EXPIRE, N_CALLS };

static const char *const names[N_CALLS] = {
	[ADD] = "add, ns",
	[GET] = "get, ns",
	[GET_UNKNOWN] = "get unknown, ns",
	[EXPIRE] = "expire, ns",
};

struct costs {
	double ns[N_CALLS][MAX_ROUNDS];
	uint64_t n_bytes; /* of memory */
};

/* A client as the kernel gives it; those of another port are unknown. */
static void make(int family, uint32_t i, uint16_t port, struct volley_addr *ret_addr)
{
	memset(ret_addr, 0, sizeof *ret_addr);
	ret_addr->sa.sa_family = (sa_family_t)family;
	ret_addr->in.sin_port = htons(port);
	if (family == AF_INET) {
		ret_addr->len = sizeof ret_addr->in;
		ret_addr->in.sin_addr.s_addr = htonl(UINT32_C(10) << 24 | i);
	} else {
		ret_addr->len = sizeof ret_addr->in6;
		ret_addr->in6.sin6_addr.s6_addr[0] = 0xfd;
		memcpy(&ret_addr->in6.sin6_addr.s6_addr[12], &i, sizeof i);
	}
}

/* Memory --------------------------------------------------------------------------------------- */

static void *allocate(size_t n_bytes, size_t align_bytes, void *arg)
{
	struct costs *costs = arg;

	costs->n_bytes += n_bytes;
	return aligned_alloc(align_bytes, (n_bytes + align_bytes - 1) / align_bytes * align_bytes);
}

static void deallocate(void *mem, size_t n_bytes, size_t align_bytes, void *arg)
{
	(void)n_bytes, (void)align_bytes, (void)arg;
	free(mem);
}

static int count_memory(uint32_t n, struct costs *costs)
{
	const struct volley_allocator allocator = { allocate, deallocate, costs };
	struct volley_peers *peers;
	int r;

	r = volley_peers_new(VOLLEY_PEERS(.n_max = n, .n_bytes = N_BYTES, .allocator = &allocator),
			     &peers);
	if (r >= 0)
		volley_peers_free(peers);
	return r;
}

/* Time ----------------------------------------------------------------------------------------- */

/* All of one call; how many did what they should. */
static uint32_t run(struct volley_peers *peers, int family, uint32_t n, enum call call)
{
	struct bench_random random = { 1 };
	struct volley_addr addr;
	uint32_t n_good = 0;

	if (call == EXPIRE)
		return volley_peers_expire(peers, 2, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t any = (uint32_t)((bench_random_get(&random) >> 32) * n >> 32);

		make(family, call == ADD ? i : any, call == GET_UNKNOWN ? 2 : 1, &addr);
		if (call == ADD)
			n_good += volley_peers_add(peers, &addr, 1) != NULL;
		else
			n_good += (volley_peers_get(peers, &addr, 1) == NULL) ==
				  (call == GET_UNKNOWN);
	}
	return n_good;
}

static int run_round(int family, uint32_t n, uint32_t round, struct costs *costs)
{
	struct volley_peers *peers;
	int r = volley_peers_new(VOLLEY_PEERS(.n_max = n, .n_bytes = N_BYTES, .idle_ns = 1),
				 &peers);

	if (r < 0)
		return r;
	for (enum call call = 0; call < N_CALLS && r >= 0; call++) {
		uint64_t start_ns = bench_thread_cpu_ns();

		if (run(peers, family, n, call) != n)
			r = -EIO;
		costs->ns[call][round] = (double)(bench_thread_cpu_ns() - start_ns) / n;
		if (bench_interrupt_is_pending())
			r = -EINTR;
	}
	volley_peers_free(peers);
	return r;
}

static int measure(const struct bench_options *options, int family, uint32_t n,
		   struct bench_row *row)
{
	uint32_t n_rounds = options->is_smoke ? 1 : options->n_rounds ? options->n_rounds : 5;
	struct costs *costs = calloc(1, sizeof *costs);
	int r = costs != NULL ? count_memory(n, costs) : -ENOMEM;

	if (n_rounds > MAX_ROUNDS)
		n_rounds = MAX_ROUNDS;
	for (uint32_t round = 0; round < n_rounds && r >= 0; round++) {
		bench_output_progress(options, "round %u of %u", round + 1, n_rounds);
		r = run_round(family, n, round, costs);
	}
	for (enum call call = 0; call < N_CALLS && r >= 0; call++)
		bench_row_put_figure(row, names[call],
				     bench_statistics_range(costs->ns[call], n_rounds));
	if (r >= 0)
		bench_row_put(row, "bytes/peer", (double)costs->n_bytes / n);
	free(costs);
	return r;
}

int bench_sessions(const struct bench_options *options)
{
	struct bench_set set = { .kind = "sessions" };
	uint32_t n = options->n_clients != 0 ? options->n_clients : 1000000;
	int r;

	if (options->is_smoke)
		n = 1000;
	bench_cpus_set_one(options->setting.server_cpus.cpu[0]);
	snprintf(set.title, sizeof set.title,
		 "a table of %u peers with %u bytes of data each, without a server", n, N_BYTES);
	r = measure(options, AF_INET, n, bench_set_add(&set, "IPv4"));
	if (r >= 0)
		r = measure(options, AF_INET6, n, bench_set_add(&set, "IPv6"));
	if (r >= 0)
		r = bench_output_deliver(options, &set);
	bench_set_fini(&set);
	return r;
}
