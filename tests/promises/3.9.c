/* SPDX-License-Identifier: MIT */

/*
 * One sender, many CPUs: where order does not matter, the datagrams of one client are all handlers'
 * work. Each callback waits until there is one on every handler.
 */

#include <pthread.h>
#include <time.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "links.h"

enum { N_HANDLERS = 4, N_ROUNDS = 50 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int n_begun; /* callbacks */
static unsigned int n_together;

/* True when this one and N_HANDLERS - 1 others of the same round are under way at once. */
static bool meet(void)
{
	struct timespec end;
	unsigned int round;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec++;
	pthread_mutex_lock(&lock);
	round = n_begun++ / N_HANDLERS;
	pthread_cond_broadcast(&changed);
	while (r == 0 && n_begun < (round + 1) * N_HANDLERS)
		r = pthread_cond_timedwait(&changed, &lock, &end);
	n_together += r == 0;
	pthread_mutex_unlock(&lock);
	return r == 0;
}

static void handle(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	char met = meet() ? '+' : '-';

	(void)worker;
	(void)arg;
	volley_packet_reply(packet, &met, 1);
}

int main(void)
{
	struct volley_server *server;
	uint16_t port;
	int client;
	char met = '+';

	promise_begin(10);
	links_begin();
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = N_HANDLERS),
				  &server) == 0);
#ifdef VOLLEY_PACKET_MULTICAST /* as old as `spread` is */
	REQUIRE(volley_server_listen(
			server, "0.0.0.0:0",
			VOLLEY_LISTEN(.on_packet = handle, .spread = VOLLEY_SPREAD_ANY),
			NULL) == 0);
#else
	REQUIRE(volley_server_listen(server, "0.0.0.0:0", VOLLEY_LISTEN(.on_packet = handle),
				     NULL) == 0);
#endif
	REQUIRE(volley_server_start(server) == 0);
	port = volley_addr_get_port(LISTENER_ADDR(server, 0));
	client = links_open_far("10.1.0.9:0", "b0");
	for (int round = 0; round < N_ROUNDS && met == '+'; round++) {
		for (int i = 0; i < N_HANDLERS; i++)
			links_send(client, "10.1.0.1", port, "x", 1);
		for (int i = 0; i < N_HANDLERS && met == '+'; i++)
			if (links_recv(client, &met, 1, NULL, 3000) != 1)
				met = '-';
	}
	CHECK_EQ(met, '+');
	CHECK_EQ(n_together, N_ROUNDS * N_HANDLERS);
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
