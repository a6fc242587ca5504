/* SPDX-License-Identifier: MIT */

/*
 * More than it can serve.
 *
 *	overload burst	a worker that stalls for 10 ms while 0.65 of what its receive buffer holds
 *			arrives (832 bytes of it for each datagram of 64) loses nothing
 *	overload load	at three times the load it can serve, it serves 90 % of what it did at its
 *			peak, its timers are late by 5 ms at most (p99), and every loss is named
 *
 * libevent reads a clock that ticks every 4 ms (CLOCK_MONOTONIC_COARSE) unless told otherwise, so
 * timers are late by that much to begin with; EVENT_PRECISE_TIMER=1 in the environment shows the
 * difference.
 *
 * The burst is exact. The load is a measurement on whatever machine this is, and needs a core for
 * the server and one for the sender, where each stays. It is tried up to three times, and only in
 * the long suite.
 */

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "path/worker.h"
#include "server/state.h"
#include "sys/clock.h"
#include "sys/socket.h"

#define STALL_NS UINT64_C(10000000)
#define RUN_NS   UINT64_C(2000000000)
/*
 * Of the callback, per datagram. Timers run between wakes, and a wake is four volleys of 64: with
 * what the kernel takes for each, 256 of them are 2 to 3 ms.
 */
#define WORK_NS     UINT64_C(5000)
#define PERIOD_US   1000
#define MAX_LATE_NS UINT64_C(5000000)

enum { LEN = 64, BATCH = 64, N_LATES = 100000, N_TRIES = 3 };

static struct volley_stats read_stats(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(server, &stats) == 0);
	return stats;
}

/* Burst ---------------------------------------------------------------------------------------- */

struct stall {
	_Atomic bool begun;
	_Atomic bool sent;
	_Atomic bool over;
};

static void ignore(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

/* On the worker: until the burst is there, and 10 ms at least. */
static void stall_worker(struct volley_worker *worker, void *arg)
{
	struct stall *stall = arg;
	uint64_t end_ns = vly_clock_get_ns() + STALL_NS;

	(void)worker;
	atomic_store(&stall->begun, true);
	while (!atomic_load(&stall->sent) || vly_clock_get_ns() < end_ns)
		usleep(100);
	atomic_store(&stall->over, true);
}

static void run_burst(void)
{
	struct stall stall = { .begun = false };
	struct volley_server *server;
	int rcvbuf_bytes;
	int fd_of_worker;
	const struct volley_addr *addr;
	struct volley_stats stats;
	uint64_t end_ns;
	uint32_t n;
	int fd = loopback_open("127.0.0.1:0", NULL);

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = ignore),
				     NULL) == 0);
	addr = LISTENER_ADDR(server, 0);
	fd_of_worker = vly_socks_get(&server->workers[0].socks, 0)->fd;
	REQUIRE(vly_socket_get_int(fd_of_worker, SOL_SOCKET, SO_RCVBUF, &rcvbuf_bytes) == 0);
	n = (uint32_t)((uint64_t)rcvbuf_bytes * 65 / 100 / 832);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(volley_server_post(server, stall_worker, &stall) == 0);
	while (!atomic_load(&stall.begun))
		usleep(100);
	for (uint32_t i = 0; i < n; i++)
		loopback_send(fd, addr, (uint8_t)i, LEN);
	atomic_store(&stall.sent, true);
	end_ns = vly_clock_get_ns() + UINT64_C(5000000000);
	do {
		usleep(100);
		stats = read_stats(server);
	} while (stats.delivered < n && vly_clock_get_ns() < end_ns);
	printf("%d bytes of receive buffer: %u datagrams at once, %" PRIu64 " delivered, %" PRIu64
	       " dropped\n",
	       rcvbuf_bytes, n, stats.delivered, stats.kernel_drops);
	CHECK(atomic_load(&stall.over));
	CHECK_EQ(stats.delivered, n);
	CHECK_EQ(stats.kernel_drops, 0);
	CHECK(volley_server_free(server) == 0);
	close(fd);
}

/* Load ----------------------------------------------------------------------------------------- */

struct load {
	struct volley_server *server;
	const struct volley_addr *addr;
	_Atomic bool stop;
	uint64_t per_second; /* the sender's pace */
	uint64_t n_sent;     /* the sender's */
	struct event *timer; /* the worker's */
	uint64_t due_ns;
	uint64_t lates_ns[N_LATES];
	uint32_t n_lates;
};

static void work(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		uint64_t end_ns = vly_clock_get_ns() + WORK_NS;

		while (vly_clock_get_ns() < end_ns)
			continue;
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval period = { .tv_usec = PERIOD_US };
	struct load *load = arg;
	uint64_t now_ns = vly_clock_get_ns();

	(void)fd;
	(void)what;
	if (load->due_ns != 0 && load->n_lates < N_LATES)
		load->lates_ns[load->n_lates++] = now_ns > load->due_ns ? now_ns - load->due_ns : 0;
	load->due_ns = now_ns + PERIOD_US * UINT64_C(1000);
	event_add(load->timer, &period);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	struct load *load = arg;

	load->timer = evtimer_new(volley_worker_get_event_base(worker), on_timer, load);
	load->due_ns = 0;
	on_timer(-1, 0, load);
	return load->timer == NULL ? -ENOMEM : 0;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	(void)worker;
	event_free(((struct load *)arg)->timer);
}

/* It is the worker's, who is pinned. Left to the scheduler the two share one at times. */
static void leave_first_cpu(void)
{
	cpu_set_t cpus;
	size_t cpu = 0;

	REQUIRE(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	CPU_CLR(cpu, &cpus);
	REQUIRE(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
}

/* Paced by the clock: what is due goes out in batches. */
static void *send_load(void *arg)
{
	struct load *load = arg;
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint64_t begin_ns = vly_clock_get_ns();
	static uint8_t data[LEN];
	struct iovec iov = { data, sizeof data };
	struct mmsghdr msgs[BATCH];

	leave_first_cpu();
	vly_socket_set_drop_all(fd, true); /* nobody reads the replies */
	memset(msgs, 0, sizeof msgs);
	for (int i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = (void *)(uintptr_t)load->addr,
						   .msg_namelen = load->addr->len,
						   .msg_iov = &iov,
						   .msg_iovlen = 1 };
	while (!atomic_load(&load->stop)) {
		uint64_t due = (vly_clock_get_ns() - begin_ns) * load->per_second / 1000000000;
		int n = due >= load->n_sent + BATCH ? sendmmsg(fd, msgs, BATCH, 0) : 0;

		if (n > 0)
			load->n_sent += (uint64_t)n;
		else
			usleep(50);
	}
	close(fd);
	return NULL;
}

static int compare_lates(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Replies per second under a load; the sender's count and the timers' lateness as well. */
static double measure(struct load *load, uint64_t per_second)
{
	struct volley_stats before;
	struct volley_stats after;
	pthread_t sender;
	uint64_t begin_ns;
	double seconds;

	load->per_second = per_second;
	load->n_sent = 0;
	load->n_lates = 0;
	atomic_store(&load->stop, false);
	REQUIRE(volley_server_start(load->server) == 0);
	REQUIRE(pthread_create(&sender, NULL, send_load, load) == 0);
	usleep(200000); /* until the queue is as full as it gets */
	before = read_stats(load->server);
	begin_ns = vly_clock_get_ns();
	while (vly_clock_get_ns() - begin_ns < RUN_NS)
		usleep(10000);
	after = read_stats(load->server);
	seconds = (double)(vly_clock_get_ns() - begin_ns) / 1e9;
	atomic_store(&load->stop, true);
	pthread_join(sender, NULL);
	REQUIRE(volley_server_drain(load->server) == 0);
	qsort(load->lates_ns, load->n_lates, sizeof load->lates_ns[0], compare_lates);
	return (double)(after.tx_sent - before.tx_sent) / seconds;
}

static bool try_load(void)
{
	static struct load load;
	uint64_t n_asked = 0;
	uint64_t late_ns;
	double peak = 0;
	double goodput;
	double capacity = 1e9 / (double)WORK_NS;
	struct volley_stats stats;

	load = (struct load){ .stop = false };
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .flags = VOLLEY_SERVER_PIN,
						.on_start = on_start, .on_stop = on_stop,
						.arg = &load),
				  &load.server) == 0);
	REQUIRE(volley_server_listen(load.server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = work),
				     NULL) == 0);
	load.addr = LISTENER_ADDR(load.server, 0);
	for (int percent = 60; percent <= 120; percent += 20) {
		double r = measure(&load, (uint64_t)(capacity * percent / 100));

		n_asked += load.n_sent;
		peak = r > peak ? r : peak;
	}
	goodput = measure(&load, (uint64_t)(peak * 3));
	n_asked += load.n_sent;
	REQUIRE(load.n_lates > 0);
	late_ns = load.lates_ns[(uint64_t)load.n_lates * 99 / 100];
	REQUIRE(volley_server_close(load.server) == 0);
	stats = read_stats(load.server);
	printf("peak %.0f/s, at three times that %.0f/s (%.0f %%); timers late p50 %.1f ms, p99 "
	       "%.1f ms, max %.1f ms of %u; asked %" PRIu64 ", delivered %" PRIu64
	       ", kernel_drops %" PRIu64 "\n",
	       peak, goodput, 100 * goodput / peak, (double)load.lates_ns[load.n_lates / 2] / 1e6,
	       (double)late_ns / 1e6, (double)load.lates_ns[load.n_lates - 1] / 1e6, load.n_lates,
	       n_asked, stats.delivered, stats.kernel_drops);
	/* These are exact on any machine. */
	CHECK_EQ(n_asked, stats.delivered + stats.discarded_at_close + stats.kernel_drops);
	CHECK(ledger_find_fault(&stats) == NULL);
	REQUIRE(volley_server_free(load.server) == 0);
	return goodput >= 0.9 * peak && late_ns <= MAX_LATE_NS;
}

int main(int argc, char **argv)
{
	bool good = false;

	if (argc != 2 || (strcmp(argv[1], "burst") != 0 && strcmp(argv[1], "load") != 0))
		return 2;
	if (strcmp(argv[1], "burst") == 0) {
		run_burst();
		return check_done();
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		SKIP("needs two CPUs");
		return check_done();
	}
	for (int i = 0; i < N_TRIES && !good; i++)
		good = try_load();
	CHECK(good);
	return check_done();
}
