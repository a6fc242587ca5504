/* SPDX-License-Identifier: MIT */

/*
 * A send that fails stands in the books of the listener that it was to leave by, whoever sends: the
 * callback of another listener on the worker or on a handler, or any thread.
 */

#include <errno.h>
#include <semaphore.h>

#include "lib/listeners.h"
#include "sending.h"

enum { N_RING = 8, N_LARGE = 20, BIG = 65528, MEDIUM = 9000 };

static struct volley_server *server;
static struct volley_addr peer;
static uint8_t payload[BIG];
static sem_t done;
static int n_full; /* sends for which there was no buffer */

static void send_badly(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_addr nobody = peer;

	(void)packet, (void)arg;
	nobody.in.sin_port = 0;
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 1), &peer,
				    payload, BIG, NULL),
		 -EMSGSIZE);
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 1),
				    &nobody, "x", 1, NULL),
		 -EINVAL);
	for (int i = 0; i < N_LARGE; i++)
		n_full += volley_worker_send(worker,
					     listener_at(volley_worker_get_server(worker), 1),
					     &peer, payload, MEDIUM, NULL) == -ENOBUFS;
	sem_post(&done);
}

static struct volley_stats get_listener_stats(uint32_t index)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_listener_get_stats(server, listener_at(server, index), &stats) == 0);
	return stats;
}

static void check(uint32_t n_handlers)
{
	const struct volley_addr *addr;
	struct volley_stats stats;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	n_full = 0;
	REQUIRE(volley_server_new(
			VOLLEY_CONFIG(.n_workers = 1, .n_handlers = n_handlers, .n_ring = N_RING),
			&server) == 0);
	for (int i = 0; i < 2; i++)
		REQUIRE(volley_server_listen(server, "127.0.0.1:0",
					     VOLLEY_LISTEN(.on_packet = send_badly), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	addr = LISTENER_ADDR(server, 0);
	REQUIRE(sendto(fd, "x", 1, 0, &addr->sa, addr->len) == 1);
	sem_wait(&done);
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK(n_handlers == 0 || n_full > 0);
	stats = get_listener_stats(0);
	CHECK_EQ(stats.delivered, 1);
	CHECK_EQ(stats.tx_requested, 0);
	CHECK_EQ(count_dropped(&stats), 0);
	stats = get_listener_stats(1);
	CHECK_EQ(stats.tx_requested, 2 + N_LARGE);
	CHECK_EQ(stats.tx_sent, N_LARGE - n_full);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_EMSGSIZE], 1);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_REFUSED], 1);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], n_full);
	CHECK(is_balanced(server));
	volley_server_free(server);
	close(fd);
}

int main(void)
{
	int fd;

	promise_begin(3);
	fd = receiver_open(&peer);
	sem_init(&done, 0, 0);
	check(0);
	check(1);
	close(fd);
	return check_done();
}
