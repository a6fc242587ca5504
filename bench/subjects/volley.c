/* SPDX-License-Identifier: MIT */

/*
 * volley as a subject, by its public API only: the list of its modes, and an echo server in any of
 * them.
 *
 * For preloaded runs the worker is gated. It parks inside its own on_batch_end hook, which may
 * block; while it is parked K datagrams are queued in its socket; let go, it handles them, and
 * parks again in the hook that follows the last one's replies. Its thread's CPU time from gate to
 * gate is that of K datagrams: the receive calls, the callback, the replies, and whatever waiting
 * its loop does between volleys. Server and thread live on from run to run, as the peers' do.
 */

#include "volley.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/listener.h>
#include <volley/packet.h>
#include <volley/server.h>
#include <volley/stats.h>
#include <volley/worker.h>

#include "common/address.h"
#include "common/clock.h"

/* The one list of modes. A new feature of the library adds its line here. */
static const struct bench_volley_mode modes[] = {
	{ .name = "volley", .about = "defaults: event loop, one call per volley, coalescing" },
	{ .name = "volley-block", .about = "waits in recvmmsg", .wait = VOLLEY_WAIT_BLOCK },
	{ .name = "volley-spin", .about = "never waits", .wait = VOLLEY_WAIT_SPIN },
	{ .name = "volley-scalar", .about = "one call per datagram", .is_scalar = true },
	{ .name = "volley-plain", .about = "defaults without coalescing", .is_plain = true },
	{ .name = "volley-block-plain",
	  .about = "waits in recvmmsg, no coalescing",
	  .wait = VOLLEY_WAIT_BLOCK,
	  .is_plain = true },
	{ .name = "volley-scalar-plain",
	  .about = "one call per datagram, no coalescing",
	  .is_scalar = true,
	  .is_plain = true },
	{ .name = "volley-handlers",
	  .about = "callbacks on one thread beside the worker",
	  .n_handlers = 1 },
	{ .name = "volley-msg", .about = "portable backend: recvmsg and sendmsg", .io = "msg" },
};

const struct bench_volley_mode *bench_volley_get_mode(size_t i)
{
	return i < sizeof modes / sizeof modes[0] ? &modes[i] : NULL;
}

#define MAX_WORKERS 64

/*
 * What a worker replied to. Each writes its own; they are read when it is parked, or for a figure
 * that may be a volley behind.
 */
struct tally {
	alignas(64) uint64_t n_handled;
	uint64_t n_at_end; /* n_handled when the last volley ended */
	uint64_t n_sizes[BENCH_PEER_N_SIZES];
};

struct bench_volley {
	struct volley_server *server;
	bool is_gated;
	sem_t go;
	sem_t parked;
	/* The worker's, but for when it is parked. */
	uint64_t n_target;
	uint64_t cpu_start_ns;
	uint64_t cpu_ns;
	struct tally tallies[MAX_WORKERS];
};

static struct tally *get_tally(struct bench_volley *v, const struct volley_worker *worker)
{
	return &v->tallies[volley_worker_get_index(worker) % MAX_WORKERS];
}

static void echo_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		       void *arg)
{
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	get_tally(arg, worker)->n_handled += n;
}

static void echo_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	volley_packet_reply(packet, packet->data, packet->len);
	get_tally(arg, worker)->n_handled++;
}

/* Handlers are threads beside the worker, which must not share a tally. */
static void echo_batch_uncounted(struct volley_worker *worker, struct volley_packet *packets,
				 size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

/* A volley has ended: how large was it? */
static void tally_volley(struct volley_worker *worker, void *arg)
{
	struct tally *tally = get_tally(arg, worker);
	uint64_t n = tally->n_handled - tally->n_at_end;

	tally->n_at_end = tally->n_handled;
	if (n > 0)
		tally->n_sizes[bench_counters_get_bucket((uint32_t)n)]++;
}

static void park(struct volley_worker *worker, void *arg)
{
	struct bench_volley *v = arg;
	struct tally *tally = get_tally(v, worker);

	if (tally->n_handled < v->n_target)
		return;
	v->cpu_ns = bench_thread_cpu_ns() - v->cpu_start_ns;
	sem_post(&v->parked);
	while (sem_wait(&v->go) < 0 && errno == EINTR)
		;
	tally->n_handled = 0;
	v->cpu_start_ns = bench_thread_cpu_ns();
}

static void print_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_ERROR)
		fprintf(stderr, "volley: %s\n", text);
}

/* The first listener settles the port of all. */
static int listen_all(struct bench_volley *v, const struct bench_volley_config *config,
		      const struct volley_listen_config *listen)
{
	int r = volley_server_listen(v->server, config->address, listen, NULL);

	for (uint32_t i = 1; i < config->n_listeners && r >= 0; i++) {
		struct sockaddr_in addr;
		char text[32];

		bench_volley_get_addr(v, &addr);
		addr.sin_addr.s_addr = htonl(ntohl(addr.sin_addr.s_addr) + i);
		bench_addr_format(&addr, text, sizeof text);
		r = volley_server_listen(v->server, text, listen, NULL);
	}
	return r;
}

static int set_up(struct bench_volley *v, const struct bench_volley_config *config)
{
	const struct bench_volley_mode *mode = config->mode;
	struct volley_config server = { .size = sizeof server,
					.n_workers = config->n_workers,
					.n_batch = config->n_batch,
					.wait = mode->wait,
					.io = mode->io,
					.n_handlers = mode->n_handlers,
					.on_batch_end = config->is_gated ? park : tally_volley,
					.log = print_log,
					.arg = v };
	struct volley_listen_config listen = { .size = sizeof listen,
					       .arg = v,
					       .flags = mode->is_plain ? VOLLEY_LISTEN_NO_COALESCE
								       : 0 };
	int r;

	if (mode->is_scalar)
		listen.on_packet = echo_packet;
	else
		listen.on_batch = mode->n_handlers > 0 ? echo_batch_uncounted : echo_batch;
	r = volley_server_new(&server, &v->server);
	if (r >= 0)
		r = listen_all(v, config, &listen);
	if (r >= 0)
		r = volley_server_start(v->server);
	return r;
}

static int await_parked(struct bench_volley *v)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	while (sem_timedwait(&v->parked, &deadline) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* One datagram brings the worker to its gate for the first time. */
static int prime(struct bench_volley *v)
{
	struct sockaddr_in addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	bench_volley_get_addr(v, &addr);
	if (sendto(fd, "", 1, 0, (struct sockaddr *)&addr, sizeof addr) < 0)
		r = -errno;
	if (r >= 0)
		r = await_parked(v);
	close(fd);
	return r;
}

int bench_volley_start(const struct bench_volley_config *config, struct bench_volley **ret_volley)
{
	struct bench_volley *v = calloc(1, sizeof *v);
	int r;

	if (v == NULL)
		return -ENOMEM;
	sem_init(&v->go, 0, 0);
	sem_init(&v->parked, 0, 0);
	v->is_gated = config->is_gated;
	v->n_target = 1;
	r = set_up(v, config);
	if (r >= 0 && v->is_gated)
		r = prime(v);
	if (r < 0) {
		v->is_gated = false; /* it may not have come to its gate */
		bench_volley_stop(v);
		return r;
	}
	*ret_volley = v;
	return 0;
}

void bench_volley_stop(struct bench_volley *v)
{
	if (v == NULL)
		return;
	if (v->is_gated) {
		v->n_target = UINT64_MAX;
		sem_post(&v->go);
	}
	volley_server_free(v->server);
	sem_destroy(&v->go);
	sem_destroy(&v->parked);
	free(v);
}

void bench_volley_get_addr(const struct bench_volley *v, struct sockaddr_in *ret_addr)
{
	struct volley_listener listener = { .id = 0 };
	struct volley_addr addr = { .len = 0 };

	volley_server_get_listeners(v->server, &listener, 1);
	volley_listener_get_addr(v->server, listener, &addr);
	*ret_addr = addr.in;
}

void bench_volley_get_counters(struct bench_volley *v, struct bench_counters *ret_counters)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct bench_counters counters = { 0 };

	if (volley_server_get_stats(v->server, &stats) < 0)
		return;
	counters.n_datagrams = stats.rx_datagrams;
	counters.n_recv_calls = stats.rx_syscalls;
	counters.n_send_calls = stats.tx_syscalls;
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		counters.n_failed += stats.tx_dropped[i];
	for (int i = 0; i < MAX_WORKERS; i++)
		for (int k = 0; k < BENCH_PEER_N_SIZES; k++)
			counters.n_sizes[k] += v->tallies[i].n_sizes[k];
	*ret_counters = counters;
}

int bench_volley_handle(struct bench_volley *v, uint64_t n, uint64_t *ret_cpu_ns)
{
	int r;

	v->n_target = n;
	sem_post(&v->go);
	r = await_parked(v);
	if (r >= 0)
		*ret_cpu_ns = v->cpu_ns;
	return r;
}

int bench_volley_time_stop(struct bench_volley *v, uint64_t *ret_ns)
{
	uint64_t start = bench_now_ns();
	int r = volley_server_stop(v->server);

	if (r < 0)
		return r;
	*ret_ns = bench_now_ns() - start;
	return volley_server_start(v->server);
}
