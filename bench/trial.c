/* SPDX-License-Identifier: MIT */

/*
 * One trial. The server's CPU time and the replies are read at the same two instants, after a
 * warm-up and before the generator stops, so neither start nor end is in the figure. Afterwards
 * the generator drains, and the books are made: what was sent is answered, or was dropped at the
 * server's socket by the kernel's own count, or is unexplained, which voids the run.
 */

#include "trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "server.h"

/* Only waited out when something is missing; on a crowded machine a server may not run for 0.2
 * s. */
#define DRAIN_QUIET_NS UINT64_C(500000000)

/* Larger than any reply that the echo check expects. */
#define N_CHECK 65536

static int start_server(const struct bench_options *options, const struct bench_subject *subject,
			struct bench_server *ret_server, const char **ret_why)
{
	struct bench_server_config config = { .subject = subject,
					      .n_workers = options->n_workers,
					      .n_batch = options->n_batch,
					      .cpus = options->server_cpus,
					      .address = INADDR_LOOPBACK };

	return bench_server_start(&config, ret_server, ret_why);
}

static void put_interval(const struct bench_trial_config *config, const struct bench_sample *from,
			 const struct bench_sample *to, double replies, struct bench_trial *trial)
{
	uint64_t datagrams = to->counters.n_datagrams - from->counters.n_datagrams;
	uint64_t recv_calls = to->counters.n_recv_calls - from->counters.n_recv_calls;
	uint64_t send_calls = to->counters.n_send_calls - from->counters.n_send_calls;
	double available;

	trial->seconds = (double)(to->now_ns - from->now_ns) / 1e9;
	trial->cpu_ns = (double)(to->cpu_ns - from->cpu_ns);
	trial->replies = replies;
	trial->rate = replies / trial->seconds;
	trial->ns_each = replies > 0 ? trial->cpu_ns / replies : 0;
	available = trial->seconds * 1e9 * config->options->n_workers;
	trial->disturbed = (double)(to->wait_ns - from->wait_ns) / available;
	if (trial->disturbed < 1)
		trial->busy = trial->cpu_ns / (available * (1 - trial->disturbed));
	if (datagrams > 0 && recv_calls > 0) {
		trial->batch = (double)datagrams / (double)recv_calls;
		trial->calls = (double)(recv_calls + send_calls) / (double)datagrams;
	}
}

static void put_books(struct bench_gen *gen, uint64_t drops, struct bench_trial *trial)
{
	struct bench_gen_counts counts;

	bench_gen_get_counts(gen, &counts);
	trial->sent = (double)counts.sent;
	trial->answered = (double)(counts.unique + counts.unstamped);
	trial->lost = trial->sent - trial->answered;
	trial->unexplained = trial->lost - (double)drops;
	trial->reordered = (double)counts.reordered;
	trial->wrong = (double)(counts.duplicates + counts.foreign);
}

static void put_latency(struct bench_gen *gen, struct bench_trial *trial)
{
	const struct bench_histogram *latency = bench_gen_get_latency(gen);

	trial->p50 = (double)bench_histogram_get(latency, 0.5);
	trial->p90 = (double)bench_histogram_get(latency, 0.9);
	trial->p99 = (double)bench_histogram_get(latency, 0.99);
	trial->p999 = (double)bench_histogram_get(latency, 0.999);
	trial->max = (double)latency->max;
	trial->slip_p99 = (double)bench_histogram_get(bench_gen_get_slip(gen), 0.99);
}

static uint64_t count_replies(const struct bench_gen_counts *counts)
{
	return counts->unique + counts->unstamped;
}

static int run_generator(const struct bench_trial_config *config, struct bench_gen *gen,
			 struct bench_server *server, struct bench_trial *trial)
{
	struct bench_sample from, to;
	struct bench_gen_counts before, after;
	int r = bench_gen_run(gen, (uint64_t)(config->warmup_s * 1e9));

	if (r < 0)
		return r;
	bench_gen_clear(gen);
	bench_gen_get_counts(gen, &before);
	r = bench_server_sample(server, &from);
	if (r >= 0)
		r = bench_gen_run(gen, (uint64_t)(config->seconds * 1e9));
	if (r >= 0)
		r = bench_server_sample(server, &to);
	if (r < 0)
		return r;
	bench_gen_get_counts(gen, &after);
	put_interval(config, &from, &to, (double)(count_replies(&after) - count_replies(&before)),
		     trial);
	trial->sent_rate = (double)(after.sent - before.sent) / trial->seconds;
	bench_gen_drain(gen, DRAIN_QUIET_NS);
	r = bench_server_sample(server, &to);
	put_books(gen, to.drops, trial);
	put_latency(gen, trial);
	return r;
}

int bench_trial_run(const struct bench_trial_config *config, struct bench_trial *ret_trial,
		    const char **ret_why)
{
	struct bench_trial trial = { 0 };
	struct bench_counters last = { 0 };
	struct bench_load load = config->load;
	struct bench_gen *gen = NULL;
	struct bench_server server;
	int r;

	r = start_server(config->options, config->subject, &server, ret_why);
	if (r < 0)
		return r;
	load.server = server.addr;
	bench_cpus_set_one(config->options->generator_cpu);
	r = bench_gen_open(&load, &gen);
	if (r >= 0)
		r = run_generator(config, gen, &server, &trial);
	if (r < 0)
		*ret_why = strerror(-r);
	bench_gen_close(gen);
	bench_server_stop(&server, &last);
	if (r >= 0 && config->subject->program && last.n_recv_calls > 0) {
		trial.batch = (double)last.n_datagrams / (double)last.n_recv_calls;
		trial.calls = (double)(last.n_recv_calls + last.n_send_calls) /
			      (double)last.n_datagrams;
	}
	if (r >= 0)
		*ret_trial = trial;
	return r;
}

int bench_trial_get_sink_rate(const struct bench_options *options, const struct bench_load *load,
			      double *ret_rate)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &drop };
	struct bench_load flood = *load;
	struct bench_gen_counts counts;
	struct bench_gen *gen = NULL;
	socklen_t len = sizeof(flood.server);
	double seconds = options->smoke ? 0.01 : 0.3;
	int fd, r;

	flood.server = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	flood.n_window = 0;
	flood.rate = 0;
	fd = bench_server_open_socket(&flood.server, false);
	if (fd < 0)
		return fd;
	r = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											: 0;
	if (r >= 0 && getsockname(fd, (struct sockaddr *)&flood.server, &len) < 0)
		r = -errno;
	bench_cpus_set_one(options->generator_cpu);
	if (r >= 0)
		r = bench_gen_open(&flood, &gen);
	if (r >= 0) {
		uint64_t start = bench_now_ns();

		r = bench_gen_run(gen, (uint64_t)(seconds * 1e9));
		bench_gen_get_counts(gen, &counts);
		*ret_rate = (double)counts.sent * 1e9 / (double)(bench_now_ns() - start);
	}
	bench_gen_close(gen);
	close(fd);
	return r;
}

/* Send one datagram of n bytes and compare what comes back, byte for byte. */
static int check_size(int fd, uint8_t *sent, uint8_t *got, size_t n)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct bench_random random = { .state = n + 1 };

	for (size_t i = 0; i < n; i++)
		sent[i] = (uint8_t)(bench_random_get(&random) >> 56);
	if (send(fd, sent, n, 0) != (ssize_t)n)
		return -errno;
	if (poll(&pfd, 1, 2000) != 1)
		return -ETIMEDOUT;
	if (recv(fd, got, N_CHECK, 0) != (ssize_t)n || memcmp(sent, got, n) != 0)
		return -EBADMSG;
	return 0;
}

static int check_sizes(const struct sockaddr_in *addr)
{
	static const size_t sizes[] = { 1, 64, 0, 63, 1200, 1472, 9000, 65507, 2 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t *buffer = malloc((size_t)2 * N_CHECK);
	int r = fd >= 0 && buffer ? 0 : -ENOMEM;

	if (r >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		r = -errno;
	/* Twice, and more than a batch in all, so that re-used slots are seen. */
	for (size_t i = 0; i < 16 * sizeof(sizes) / sizeof(sizes[0]) && r >= 0; i++)
		r = check_size(fd, buffer, buffer + N_CHECK,
			       sizes[i % (sizeof(sizes) / sizeof(sizes[0]))]);
	free(buffer);
	if (fd >= 0)
		close(fd);
	return r;
}

int bench_trial_check_echo(const struct bench_options *options, const struct bench_subject *subject,
			   const char **ret_why)
{
	struct bench_server server;
	int r = start_server(options, subject, &server, ret_why);

	if (r < 0)
		return r;
	r = check_sizes(&server.addr);
	bench_server_stop(&server, NULL);
	if (r < 0)
		*ret_why = r == -EBADMSG     ? "a reply differs from what was sent"
			   : r == -ETIMEDOUT ? "a datagram was not answered"
					     : strerror(-r);
	return r;
}
