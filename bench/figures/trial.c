/* SPDX-License-Identifier: MIT */

/*
 * One trial. The server's CPU time and the replies are read at the same two instants, after a
 * warm-up and before the generator stops, so neither start nor end is in the figure. Afterwards the
 * generator drains, and the books are made: what was sent has a reply, or was dropped at the
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

#include "common/clock.h"
#include "common/statistics.h"
#include "load/generator.h"
#include "subjects/server.h"
#include "subjects/volley.h"

/*
 * Replies that are missing without a cause are waited for: on a crowded machine a server may not
 * run for 0.2 s.
 */
#define DRAIN_QUIET_NS UINT64_C(20000000)
#define N_DRAINS       25

/* Larger than any reply that the echo check expects. */
#define N_CHECK 65536

static int start_server(const struct bench_setting *setting, const struct bench_subject *subject,
			struct bench_server *ret_server, const char **ret_why)
{
	struct bench_server_config config = { .subject = subject,
					      .n_workers = setting->n_workers,
					      .n_listeners = setting->n_listeners,
					      .n_batch = setting->n_batch,
					      .cpus = setting->server_cpus,
					      .path = &setting->path,
					      .address = setting->path.server };

	return bench_server_start(&config, ret_server, ret_why);
}

static void put_sizes(const struct bench_sample *from, const struct bench_sample *to,
		      struct bench_trial *trial)
{
	double n = 0;

	for (int i = 0; i < BENCH_PEER_N_SIZES; i++)
		n += (double)(to->counters.n_sizes[i] - from->counters.n_sizes[i]);
	for (int i = 0; i < BENCH_PEER_N_SIZES && n > 0; i++)
		trial->sizes[i] = (double)(to->counters.n_sizes[i] - from->counters.n_sizes[i]) / n;
}

/*
 * Of how much CPU the server's use is a share. What other processes took of it is taken off, but
 * not when several of its own threads take turns: then they wait for each other.
 */
static double get_available(const struct bench_trial_config *config, struct bench_trial *trial,
			    double wait_ns)
{
	const struct bench_setting *setting = config->setting;
	const struct bench_volley_mode *mode = config->subject->mode;
	uint32_t n_threads = setting->n_workers * (1 + (mode != NULL ? mode->n_handlers : 0));
	uint32_t n_cpus = setting->server_cpus.n;
	double all = trial->seconds * 1e9 * (n_threads < n_cpus ? n_threads : n_cpus);

	trial->disturbed = n_threads <= n_cpus ? wait_ns / all : 0;
	return all * (1 - trial->disturbed);
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
	available = get_available(config, trial, (double)(to->wait_ns - from->wait_ns));
	if (available > 0)
		trial->busy = trial->cpu_ns / available;
	put_sizes(from, to, trial);
	if (datagrams > 0 && recv_calls > 0) {
		trial->batch = (double)datagrams / (double)recv_calls;
		trial->calls = (double)(recv_calls + send_calls) / (double)datagrams;
	}
}

/*
 * Everything that was sent has a reply or is lost for a named reason. The kernel counts messages:
 * what a socket with UDP_GRO drops is a whole burst.
 */
static void put_books(struct bench_gen *gen, const struct bench_trial_config *config,
		      const struct bench_sample *end, uint64_t backlog_before,
		      struct bench_trial *trial)
{
	struct bench_gen_counts counts;
	double others;

	bench_gen_get_counts(gen, &counts);
	trial->sent = (double)counts.sent;
	trial->replied = (double)(counts.unique + counts.unstamped);
	trial->lost = trial->sent - trial->replied;
	trial->lost_server = (double)end->drops;
	trial->lost_backlog = (double)(end->backlog_drops - backlog_before);
	trial->lost_sends = (double)end->counters.n_failed;
	trial->lost_clients = (double)bench_gen_get_refused(gen);
	others = trial->lost_backlog + trial->lost_sends + trial->lost_clients;
	if (trial->lost_server * config->load.n_burst + others == trial->lost)
		trial->lost_server *= config->load.n_burst;
	trial->unexplained = trial->lost - trial->lost_server - others;
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
	uint64_t backlog_before;
	int r = bench_server_sample(server, &from);

	backlog_before = r >= 0 ? from.backlog_drops : 0;
	if (r >= 0)
		r = bench_gen_run(gen, (uint64_t)(config->warmup_s * 1e9));
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
	for (int i = 0; i < N_DRAINS && r >= 0; i++) {
		bench_gen_drain(gen, DRAIN_QUIET_NS);
		r = bench_server_sample(server, &to);
		put_books(gen, config, &to, backlog_before, trial);
		if (trial->unexplained == 0)
			break;
	}
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

	r = start_server(config->setting, config->subject, &server, ret_why);
	if (r < 0)
		return r;
	load.server = server.addr;
	bench_cpus_set_one(config->setting->generator_cpu);
	r = bench_gen_open(&load, &gen);
	if (r >= 0)
		r = run_generator(config, gen, &server, &trial);
	if (r < 0)
		*ret_why = strerror(-r);
	bench_gen_close(gen);
	bench_server_stop(&server, &last);
	if (r >= 0 && config->subject->program != NULL && last.n_recv_calls > 0) {
		trial.batch = (double)last.n_datagrams / (double)last.n_recv_calls;
		trial.calls = (double)(last.n_recv_calls + last.n_send_calls) /
			      (double)last.n_datagrams;
	}
	if (r >= 0)
		*ret_trial = trial;
	return r;
}

static int open_sink(const struct bench_path *path, const struct sockaddr_in *addr)
{
	int fd = bench_path_enter_server(path);

	if (fd < 0)
		return fd;
	fd = bench_server_open_socket(addr, false);
	bench_path_leave_server(path);
	return fd;
}

int bench_trial_get_sink_rate(const struct bench_setting *setting, const struct bench_load *load,
			      double seconds, double *ret_rate)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &drop };
	struct bench_load flood = *load;
	struct bench_gen_counts before, after;
	struct bench_gen *gen = NULL;
	double rate, best = 0;
	socklen_t len = sizeof flood.server;
	int fd, r;

	flood.server = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(setting->path.server) };
	flood.n_servers = 1;
	flood.n_window = 0;
	flood.rate = 0;
	fd = open_sink(&setting->path, &flood.server);
	if (fd < 0)
		return fd;
	r = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
	if (r >= 0 && getsockname(fd, (struct sockaddr *)&flood.server, &len) < 0)
		r = -errno;
	bench_cpus_set_one(setting->generator_cpu);
	if (r >= 0)
		r = bench_gen_open(&flood, &gen);
	/* The best of three, because others can only take from it. */
	for (int i = 0; i < 3 && r >= 0; i++) {
		uint64_t start = bench_now_ns();

		bench_gen_get_counts(gen, &before);
		r = bench_gen_run(gen, (uint64_t)(seconds * 1e9));
		bench_gen_get_counts(gen, &after);
		rate = (double)(after.sent - before.sent) * 1e9 / (double)(bench_now_ns() - start);
		best = rate > best ? rate : best;
	}
	*ret_rate = best;
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

static int check_sizes(const struct sockaddr_in *addr, size_t n_times)
{
	static const size_t sizes[] = { 1, 64, 0, 63, 1200, 1472, 9000, 65507, 2 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t *buffer = malloc((size_t)2 * N_CHECK);
	int r = fd >= 0 && buffer != NULL ? 0 : -ENOMEM;

	if (r >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
		r = -errno;
	for (size_t i = 0; i < n_times * sizeof sizes / sizeof sizes[0] && r >= 0; i++)
		r = check_size(fd, buffer, buffer + N_CHECK,
			       sizes[i % (sizeof sizes / sizeof sizes[0])]);
	free(buffer);
	if (fd >= 0)
		close(fd);
	return r;
}

int bench_trial_check_echo(const struct bench_setting *setting, const struct bench_subject *subject,
			   const char **ret_why)
{
	struct bench_server server;
	int r = start_server(setting, subject, &server, ret_why);

	if (r < 0)
		return r;
	/* More than twice a batch at the first listener, so that re-used slots are seen. */
	for (uint32_t i = 0; i < setting->n_listeners && r >= 0; i++) {
		struct sockaddr_in addr = server.addr;

		addr.sin_addr.s_addr = htonl(ntohl(addr.sin_addr.s_addr) + i);
		r = check_sizes(&addr, i == 0 ? 16 : 1);
	}
	bench_server_stop(&server, NULL);
	if (r < 0)
		*ret_why = r == -EBADMSG     ? "a reply differs from what was sent"
			   : r == -ETIMEDOUT ? "a datagram was not replied to"
					     : strerror(-r);
	return r;
}
