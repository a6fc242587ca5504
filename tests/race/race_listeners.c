/* SPDX-License-Identifier: MIT */

/*
 * Listeners come and go from two threads, under traffic, against a thread that sends through
 * whatever listener there is, one that joins and leaves a group there, against readers of
 * statistics, and against starts, stops and drains: each call comes back with what its header
 * promises, descriptors and the ledger balance, and a last listener replies.
 *
 *	race_listeners [--n CYCLES]
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"

static atomic_bool done;
static unsigned long n_cycles = 50;

/* Where the flood goes: ports of one machine, the latest of each changing thread. */
enum { N_CHANGERS = 2 };
static _Atomic uint16_t ports[N_CHANGERS + 1];
static _Atomic uint64_t ids[N_CHANGERS + 1];

static void *flood(void *arg)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_addr to = loopback_addr("127.0.0.1:0");

	(void)arg;
	for (unsigned int i = 0; !atomic_load(&done); i++) {
		to.in.sin_port = htons(atomic_load(&ports[i % (N_CHANGERS + 1)]));
		if (to.in.sin_port != 0)
			sendto(fd, "flood", 5, MSG_DONTWAIT, &to.sa, to.len);
		recv(fd, (char[8]){ 0 }, 8, MSG_DONTWAIT);
	}
	close(fd);
	return NULL;
}

/* Through listeners that may go at any moment, to a port that nobody reads. */
static void *send_through(void *server)
{
	struct volley_addr to;
	int fd = loopback_open("127.0.0.1:0", &to);

	for (uint32_t i = 0; !atomic_load(&done); i++) {
		struct volley_listener listener = {
			.id = atomic_load(&ids[i % (N_CHANGERS + 1)]),
		};
		int r = volley_server_send(server, listener, &to, "news", 4, NULL);

		if (r != 0 && r != -ESTALE && r != -ESHUTDOWN && r != -ENOBUFS)
			CHECK_EQ(r, 0);
	}
	close(fd);
	return NULL;
}

/* A descriptor that is closed meanwhile, and may be somebody else's, would be another error. */
static void *join_and_leave(void *server)
{
	struct volley_group group = { .size = sizeof group,
				      .group = loopback_addr("239.1.2.3:0"),
				      .interface = "lo" };

	for (uint32_t i = 0; !atomic_load(&done); i++) {
		struct volley_listener listener = { .id = atomic_load(&ids[i % N_CHANGERS]) };
		int r = volley_listener_join(server, listener, &group);

		if (r != 0 && r != -EADDRINUSE && r != -ESTALE)
			CHECK_EQ(r, 0);
		r = volley_listener_leave(server, listener, &group);
		if (r != 0 && r != -EADDRNOTAVAIL && r != -ESTALE)
			CHECK_EQ(r, 0);
	}
	return NULL;
}

static void *read_stats(void *server)
{
	static char text[1 << 16];

	while (!atomic_load(&done)) {
		CHECK(ledger_find_server_fault(server) == NULL);
		CHECK(volley_server_format_stats(server, text, sizeof text) > 0);
	}
	return NULL;
}

struct changer {
	struct volley_server *server;
	int i;
	pthread_t thread;
};

static void *change(void *arg)
{
	const struct changer *changer = arg;

	for (unsigned long n = 0; n < n_cycles; n++) {
		struct volley_listener listener;
		struct volley_addr addr;
		int r;

		REQUIRE(volley_server_listen(changer->server, "0.0.0.0:0",
					     VOLLEY_LISTEN(.on_batch = peer_echo), &listener) == 0);
		atomic_store(&ids[changer->i], listener.id);
		REQUIRE(volley_listener_get_addr(changer->server, listener, &addr) == 0);
		atomic_store(&ports[changer->i], volley_addr_get_port(&addr));
		r = volley_listener_close(changer->server, listener);
		CHECK_EQ(volley_listener_get_addr(changer->server, listener, &addr), -ESTALE);
		CHECK(r == 0 || r == -ETIME);
	}
	return NULL;
}

static void *start_and_stop(void *server)
{
	for (unsigned long i = 0; !atomic_load(&done); i++) {
		if (i % 3 == 1)
			CHECK_EQ(volley_server_request_stop(server), 0);
		if (i % 2 == 0)
			CHECK_EQ(volley_server_stop(server), 0);
		else
			volley_server_drain(server);
		CHECK_EQ(volley_server_start(server), 0);
	}
	return NULL;
}

static void run_way(const struct peer_way *way)
{
	int n_fds = loopback_n_fds();
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 2, .wait = way->wait, .io = way->io), peer_echo, NULL,
		&to);
	struct changer changers[N_CHANGERS];
	pthread_t threads[5];
	struct volley_listener listener;
	int fd;

	atomic_store(&done, false);
	for (int i = 0; i < N_CHANGERS; i++)
		atomic_store(&ports[i], 0);
	atomic_store(&ports[N_CHANGERS], volley_addr_get_port(&to));
	atomic_store(&ids[N_CHANGERS], listener_at(server, 0).id);
	CHECK_EQ(volley_server_start(server), 0);
	REQUIRE(pthread_create(&threads[0], NULL, flood, NULL) == 0);
	REQUIRE(pthread_create(&threads[1], NULL, read_stats, server) == 0);
	REQUIRE(pthread_create(&threads[2], NULL, start_and_stop, server) == 0);
	REQUIRE(pthread_create(&threads[3], NULL, send_through, server) == 0);
	REQUIRE(pthread_create(&threads[4], NULL, join_and_leave, server) == 0);
	for (int i = 0; i < N_CHANGERS; i++) {
		changers[i] = (struct changer){ .server = server, .i = i };
		REQUIRE(pthread_create(&changers[i].thread, NULL, change, &changers[i]) == 0);
	}
	for (int i = 0; i < N_CHANGERS; i++)
		pthread_join(changers[i].thread, NULL);
	atomic_store(&done, true);
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	/* A new one: the others' queues may be full of what the flood left. */
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = peer_echo),
				     &listener) == 0);
	REQUIRE(volley_listener_get_addr(server, listener, &to) == 0);
	fd = loopback_open("127.0.0.1:0", NULL);
	CHECK(peer_ask(fd, &to, 1));
	CHECK_EQ(volley_server_close(server), 0);
	CHECK(ledger_find_server_fault(server) == NULL);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
	CHECK_EQ(loopback_n_fds(), n_fds);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_cycles = strtoul(argv[2], NULL, 10);
	/* `block` has room for one listener: see tests/unit/server/test_listeners.c. */
	for (size_t i = 0; i < PEER_N_WAYS; i++)
		if (peer_ways[i].wait != VOLLEY_WAIT_BLOCK)
			run_way(&peer_ways[i]);
	return check_done();
}
