/* SPDX-License-Identifier: MIT */

/*
 * null: what the library itself costs, without the kernel. The null backend of benchmark builds
 * gives a full volley of 64-byte datagrams at every receive and accepts every send, so the time
 * is that of slots, views, the callback, the replies and their grouping. Measured from gate to
 * gate as in preload, in alternating rounds.
 */

#include <errno.h>
#include <stdlib.h>

#include <volley/config.h>

#include "commands.h"
#include "statistics.h"
#include "volley.h"

static const struct bench_volley_mode modes[] = {
	{ .name = "vector", .io = "null", .wait = VOLLEY_WAIT_SPIN },
	{ .name = "scalar", .io = "null", .wait = VOLLEY_WAIT_SPIN, .is_scalar = true },
	{ .name = "vector-plain", .io = "null", .wait = VOLLEY_WAIT_SPIN, .is_plain = true },
	{ .name = "scalar-plain",
	  .io = "null",
	  .wait = VOLLEY_WAIT_SPIN,
	  .is_scalar = true,
	  .is_plain = true },
};

#define N_MODES (sizeof(modes) / sizeof(modes[0]))

static int run_rounds(struct bench_volley **volleys, uint32_t n_rounds, uint64_t n_each,
		      double *costs[N_MODES])
{
	int r = 0;

	for (uint32_t round = 0; round < n_rounds && r >= 0; round++)
		for (size_t i = 0; i < N_MODES && r >= 0; i++) {
			uint64_t cpu_ns = 0;

			r = bench_interrupted() ? -EINTR
						: bench_volley_handle(volleys[i], n_each, &cpu_ns);
			costs[i][round] = (double)cpu_ns / (double)n_each;
		}
	return r;
}

static int measure(const struct bench_options *options, uint32_t n_rounds, uint64_t n_each,
		   struct bench_set *set)
{
	struct bench_volley *volleys[N_MODES] = { NULL };
	double *costs[N_MODES] = { NULL };
	int r = 0;

	for (size_t i = 0; i < N_MODES && r >= 0; i++) {
		struct bench_volley_config config = { .mode = &modes[i],
						      .address = "127.0.0.1:0",
						      .n_workers = 1,
						      .n_batch = options->n_batch,
						      .is_gated = true };

		costs[i] = calloc(n_rounds, sizeof(double));
		r = costs[i] ? bench_volley_start(&config, &volleys[i]) : -ENOMEM;
	}
	if (r >= 0)
		r = run_rounds(volleys, 1, n_each, costs); /* first touches of memory */
	if (r >= 0)
		r = run_rounds(volleys, n_rounds, n_each, costs);
	for (size_t i = 0; i < N_MODES && r >= 0; i++) {
		struct bench_row *row = bench_set_add(set, modes[i].name);

		bench_row_put_figure(row, "ns/datagram",
				     bench_statistics_bootstrap(costs[i], n_rounds, 1));
	}
	/* The servers stay parked until the process ends: a socket that never runs dry cannot be
	 * closed, because closing counts what is unread. */
	for (size_t i = 0; i < N_MODES; i++)
		free(costs[i]);
	return r;
}

int bench_null(const struct bench_options *options)
{
	struct bench_set set = { .kind = "null" };
	uint32_t n_rounds = options->smoke ? 3 : options->n_rounds ? options->n_rounds : 200;
	uint64_t n_each = (options->smoke ? 10 : 1000) * (uint64_t)options->n_batch;
	int r;

	bench_cpus_set_one(options->server_cpus.cpu[0]);
	snprintf(set.title, sizeof(set.title),
		 "the library alone: 64-byte echo on the null backend, %u rounds of %llu datagrams",
		 n_rounds, (unsigned long long)n_each);
	r = measure(options, n_rounds, n_each, &set);
	if (r >= 0)
		r = bench_options_deliver(options, &set);
	bench_set_fini(&set);
	return r;
}
