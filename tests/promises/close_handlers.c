/* SPDX-License-Identifier: MIT */

/*
 * A listener that closes is served to the last datagram with handlers, too: where they have no room
 * nothing is dropped, within drain_us, and the worker's other listeners are served meanwhile.
 */

#include <semaphore.h>

#include "bounds.h"
#include "lib/listeners.h"
#include "sending.h"

enum { N_WAITING = 150, N_RING = 8, N_OTHER = 20, LONG_US = 5000000 };

static sem_t entered, worker_go, handler_go;
static atomic_uint n_other;

/* It keeps the worker, so that what is sent waits in the sockets when a close begins. */
static void keep_worker(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
	sem_post(&entered);
	sem_wait(&worker_go);
}

static void keep_handler(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
	if (atomic_fetch_add(&bounds_n_calls, 1) > 0)
		return;
	sem_post(&entered);
	sem_wait(&handler_go);
}

static void count_other(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
	atomic_fetch_add(&n_other, 1);
}

/* A server with two listeners, and something in the way of its worker. */
static struct volley_server *serve(const struct volley_config *config, volley_packet_fn fn)
{
	struct volley_server *server = NULL;

	atomic_store(&bounds_n_calls, 0);
	REQUIRE(volley_server_new(config, &server) == 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = fn), 0);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = count_other, .spread = VOLLEY_SPREAD_ANY),
		      0);
	REQUIRE(volley_server_start(server) == 0);
	return server;
}

static void send_to(struct volley_server *server, int fd, uint32_t index, uint32_t n)
{
	const struct volley_addr *addr = LISTENER_ADDR(server, index);

	for (uint32_t i = 0; i < n; i++)
		REQUIRE(sendto(fd, "x", 1, 0, &addr->sa, addr->len) == 1);
}

static void *call_close(void *server)
{
	return (void *)(intptr_t)volley_listener_close(server, listener_at(server, 0));
}

/*
 * What one client has sent is in the socket, the worker is kept, and the close has begun: the
 * sockets refuse what is new, so this client's own attempts tell.
 */
static pthread_t begin_close(struct volley_server *server, int fd)
{
	struct volley_addr addr = listener_addr(server, 0);
	pthread_t thread;

	REQUIRE(volley_server_post(server, keep_worker, NULL) == 0);
	sem_wait(&entered);
	send_to(server, fd, 0, N_WAITING);
	REQUIRE(pthread_create(&thread, NULL, call_close, server) == 0);
	while (bounds_stats(server).kernel_drops == 0)
		REQUIRE(sendto(fd, "x", 1, 0, &addr.sa, addr.len) == 1);
	return thread;
}

static int end_close(pthread_t thread)
{
	void *r;

	REQUIRE(pthread_join(thread, &r) == 0);
	return (int)(intptr_t)r;
}

static void check_books(struct volley_server *server, uint64_t n_least)
{
	struct volley_stats stats = bounds_stats(server);

	CHECK(stats.rx_datagrams >= n_least);
	CHECK_EQ(stats.delivered, stats.rx_datagrams);
	CHECK_EQ(stats.rx_dropped[VOLLEY_RX_RING_FULL], 0);
	CHECK_EQ(stats.discarded_at_close, 0);
}

static void check_all_served(uint32_t wait)
{
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1,
							   .n_ring = N_RING, .wait = wait,
							   .drain_us = LONG_US),
					     bounds_on_packet);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	atomic_store(&bounds_callback_us, 500);
	if (wait == VOLLEY_WAIT_FD) { /* nobody reads before the close does */
		send_to(server, fd, 0, N_WAITING);
		CHECK_EQ(volley_listener_close(server, listener_at(server, 0)), 0);
	} else {
		pthread_t thread = begin_close(server, fd);

		sem_post(&worker_go);
		CHECK_EQ(end_close(thread), 0);
	}
	check_books(server, N_WAITING);
	CHECK_EQ(volley_server_stop(server), 0);
	volley_server_free(server);
	close(fd);
}

/* One handler is stuck, and the closing listener's client is its own. The other one has time. */
static void check_others_served(void)
{
	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2,
							   .n_ring = N_RING, .drain_us = LONG_US),
					     keep_handler);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pthread_t thread;

	atomic_store(&n_other, 0);
	send_to(server, fd, 0, 1);
	sem_wait(&entered);
	thread = begin_close(server, fd);
	sem_post(&worker_go);
	for (uint32_t i = 1; i <= N_OTHER; i++) { /* else their rings were full of these */
		send_to(server, fd, 1, 1);
		while (atomic_load(&n_other) < i)
			sched_yield();
	}
	CHECK_EQ(atomic_load(&bounds_n_calls), 1);
	sem_post(&handler_go);
	CHECK_EQ(end_close(thread), 0);
	check_books(server, 1 + N_WAITING + N_OTHER);
	CHECK_EQ(volley_server_stop(server), 0);
	volley_server_free(server);
	close(fd);
}

/*
 * It waits no longer than drain_us, and for the callback that runs. Before and behind that it waits
 * for the kernel; what the ring holds would take longer than all of it.
 */
static void check_bound(void)
{
	enum { DRAIN_MS = 40, CALLBACK_MS = 80, KERNEL_MS = 100 };

	struct volley_server *server = serve(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1,
							   .n_ring = N_RING,
							   .drain_us = DRAIN_MS * 1000),
					     bounds_on_packet);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct volley_stats stats;
	pthread_t thread;
	double begin_ms;

	atomic_store(&bounds_callback_us, CALLBACK_MS * 1000);
	thread = begin_close(server, fd);
	begin_ms = bounds_now_ms();
	sem_post(&worker_go);
	CHECK_EQ(end_close(thread), -ETIME);
	BOUNDS_CHECK(begin_ms, DRAIN_MS + CALLBACK_MS + KERNEL_MS);
	stats = bounds_stats(server);
	CHECK_EQ(stats.rx_dropped[VOLLEY_RX_RING_FULL], 0);
	CHECK(stats.rx_datagrams + stats.discarded_at_close >= N_WAITING);
	CHECK_EQ(stats.rx_datagrams, stats.delivered + stats.rx_dropped[VOLLEY_RX_STOPPED]);
	CHECK_EQ(volley_server_stop(server), 0);
	volley_server_free(server);
	close(fd);
}

int main(void)
{
	promise_begin(12);
	sem_init(&entered, 0, 0);
	sem_init(&worker_go, 0, 0);
	sem_init(&handler_go, 0, 0);
	check_all_served(VOLLEY_WAIT_EVENT);
	check_all_served(VOLLEY_WAIT_SPIN);
	check_all_served(VOLLEY_WAIT_FD);
	check_others_served();
	check_bound();
	return check_done();
}
