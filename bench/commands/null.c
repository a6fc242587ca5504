/* SPDX-License-Identifier: MIT */

/*
 * null: what the library itself costs, without the kernel. The null backend of benchmark builds
 * gives a full volley of 64-byte datagrams at every receive and accepts every send, so the time is
 * that of slots, views, the callback, the replies and their grouping. Measured from gate to gate as
 * in preload, in alternating rounds.
 *
 * With a handler the work is that of two threads, so what counts is the CPU time of both while
 * datagrams flow through the rings, never more than WINDOW at a time: the backend would flood them
 * otherwise. What that costs more than "vector" is the hand-over.
 */

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <volley/volley.h>

#include "commands.h"
#include "common/clock.h"
#include "common/interrupt.h"
#include "common/statistics.h"
#include "output.h"
#include "subjects/volley.h"

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

/* Through a handler ---------------------------------------------------------------------------- */

/* Half of what a handler's ring holds by default, so nothing is dropped. */
enum { WINDOW = 512 };

struct flow {
	struct volley_server *server;
	uint32_t n_batch;
	sem_t go;
	sem_t parked;
	/* The worker's, but for when it is parked. */
	uint64_t n_given;
	uint64_t n_target;
	/* Both: the worker sleeps until so many have their reply. */
	sem_t room;
	_Atomic uint64_t n_replied;
	_Atomic uint64_t wake_at;
	_Atomic bool is_waiting;
};

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	struct flow *flow = arg;

	(void)worker;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	if (atomic_fetch_add(&flow->n_replied, n) + n >= atomic_load(&flow->wake_at) &&
	    atomic_exchange(&flow->is_waiting, false))
		sem_post(&flow->room);
}

static void await_replies(struct flow *flow, uint64_t n)
{
	atomic_store(&flow->wake_at, n);
	atomic_store(&flow->is_waiting, true);
	/* Either the handler sees that we wait, or we see what it did. */
	if (atomic_load(&flow->n_replied) >= n && atomic_exchange(&flow->is_waiting, false))
		return;
	while (sem_wait(&flow->room) < 0 && errno == EINTR)
		;
}

/* After each volley of the worker's: no further than the window, and at the end of a run, park. */
static void pace(struct volley_worker *worker, void *arg)
{
	struct flow *flow = arg;

	(void)worker;
	flow->n_given += flow->n_batch;
	if (flow->n_given >= flow->n_target) {
		await_replies(flow, flow->n_given);
		sem_post(&flow->parked);
		while (sem_wait(&flow->go) < 0 && errno == EINTR)
			;
	} else if (flow->n_given - atomic_load(&flow->n_replied) > WINDOW) {
		await_replies(flow, flow->n_given - WINDOW / 2);
	}
}

static int flow_start(struct flow *flow, uint32_t n_batch)
{
	struct volley_config server = { .size = sizeof server,
					.n_workers = 1,
					.n_batch = n_batch,
					.wait = VOLLEY_WAIT_SPIN,
					.io = "null",
					.n_handlers = 1,
					.on_batch_end = pace,
					.arg = flow };
	struct volley_listen_config listen = { .size = sizeof listen,
					       .on_batch = echo,
					       .arg = flow };
	int r = volley_server_new(&server, &flow->server);

	flow->n_batch = n_batch;
	sem_init(&flow->go, 0, 0);
	sem_init(&flow->parked, 0, 0);
	sem_init(&flow->room, 0, 0);
	if (r >= 0)
		r = volley_server_listen(flow->server, "127.0.0.1:0", &listen, NULL);
	if (r >= 0)
		r = volley_server_start(flow->server);
	if (r >= 0)
		sem_wait(&flow->parked); /* a target of 0 */
	return r;
}

/* CPU time per datagram of all threads but this one; the other servers' are parked. */
static double flow_run(struct flow *flow, uint64_t n)
{
	uint64_t start_ns = bench_clock_get(CLOCK_PROCESS_CPUTIME_ID) - bench_thread_cpu_ns();
	uint64_t cpu_ns;

	flow->n_target = flow->n_given + n;
	sem_post(&flow->go);
	while (sem_wait(&flow->parked) < 0 && errno == EINTR)
		;
	cpu_ns = bench_clock_get(CLOCK_PROCESS_CPUTIME_ID) - bench_thread_cpu_ns() - start_ns;
	return (double)cpu_ns / (double)n;
}

/* The rounds ----------------------------------------------------------------------------------- */

static int run_rounds(struct bench_volley **volleys, struct flow *flow, uint32_t n_rounds,
		      uint64_t n_each, double *costs[N_MODES + 1])
{
	int r = 0;

	for (uint32_t round = 0; round < n_rounds && r >= 0; round++) {
		for (size_t i = 0; i < N_MODES && r >= 0; i++) {
			uint64_t cpu_ns = 0;

			r = bench_interrupt_is_pending()
				    ? -EINTR
				    : bench_volley_handle(volleys[i], n_each, &cpu_ns);
			costs[i][round] = (double)cpu_ns / (double)n_each;
		}
		costs[N_MODES][round] = flow_run(flow, n_each);
	}
	return r;
}

static int measure(const struct bench_options *options, uint32_t n_rounds, uint64_t n_each,
		   struct flow *flow, struct bench_set *set)
{
	struct bench_volley *volleys[N_MODES] = { NULL };
	double *costs[N_MODES + 1] = { NULL };
	int r = 0;

	for (size_t i = 0; i < N_MODES && r >= 0; i++) {
		struct bench_volley_config config = { .mode = &modes[i],
						      .address = "127.0.0.1:0",
						      .n_workers = 1,
						      .n_batch = options->setting.n_batch,
						      .is_gated = true };

		costs[i] = calloc(n_rounds, sizeof(double));
		r = costs[i] != NULL ? bench_volley_start(&config, &volleys[i]) : -ENOMEM;
	}
	costs[N_MODES] = calloc(n_rounds, sizeof(double));
	if (r >= 0 && costs[N_MODES] == NULL)
		r = -ENOMEM;
	if (r >= 0)
		r = run_rounds(volleys, flow, 1, n_each, costs); /* first touches of memory */
	if (r >= 0)
		r = run_rounds(volleys, flow, n_rounds, n_each, costs);
	for (size_t i = 0; i <= N_MODES && r >= 0; i++) {
		const char *name = i < N_MODES ? modes[i].name : "handler";
		struct bench_row *row = bench_set_add(set, name);

		bench_row_put_figure(row, "ns/datagram",
				     bench_statistics_bootstrap(costs[i], n_rounds, 1));
	}
	/*
	 * The servers stay parked until the process ends: a socket that never runs dry cannot be
	 * closed, because closing counts what is unread.
	 */
	for (size_t i = 0; i <= N_MODES; i++)
		free(costs[i]);
	return r;
}

int bench_null(const struct bench_options *options)
{
	struct bench_set set = { .kind = "null" };
	uint32_t n_rounds = options->is_smoke ? 3 : options->n_rounds ? options->n_rounds : 200;
	uint64_t n_each = (options->is_smoke ? 10 : 1000) * (uint64_t)options->setting.n_batch;
	static struct flow flow;
	int r = flow_start(&flow, options->setting.n_batch); /* its threads have all CPUs */

	if (r < 0)
		return r;
	bench_cpus_set_one(options->setting.server_cpus.cpu[0]);
	snprintf(set.title, sizeof set.title,
		 "the library alone: 64-byte echo on the null backend, %u rounds of %llu datagrams",
		 n_rounds, (unsigned long long)n_each);
	r = measure(options, n_rounds, n_each, &flow, &set);
	if (r >= 0)
		r = bench_output_deliver(options, &set);
	bench_set_fini(&set);
	return r;
}
