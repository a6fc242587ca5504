/* SPDX-License-Identifier: MIT */

/*
 * Starts and stops under traffic, from several threads and by request, in every wait strategy and
 * with every backend: each comes back, descriptors and the ledger balance, and the last server
 * still replies.
 *
 *	race_stop [--n CYCLES]
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/peer.h"

static atomic_bool done;
static struct volley_addr to;

static void *flood(void *arg)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	(void)arg;
	while (!atomic_load(&done)) {
		sendto(fd, "flood", 5, MSG_DONTWAIT, &to.sa, to.len);
		recv(fd, (char[8]){ 0 }, 8, MSG_DONTWAIT);
	}
	close(fd);
	return NULL;
}

static void *read_stats(void *server)
{
	while (!atomic_load(&done))
		if (ledger_find_server_fault(server) != NULL)
			CHECK(!"a snapshot does not balance");
	return NULL;
}

static void cycle(struct volley_server *server, unsigned long i)
{
	CHECK_EQ(volley_server_start(server), 0);
	if (i % 3 == 1)
		CHECK_EQ(volley_server_request_stop(server), 0);
	if (i % 2 == 0)
		CHECK_EQ(volley_server_stop(server), 0);
	else
		CHECK_EQ(volley_server_drain(server), 0);
	CHECK(ledger_find_server_fault(server) == NULL);
}

static void run_way(const struct peer_way *way, unsigned long n_cycles)
{
	int n_fds = loopback_n_fds();
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 2, .wait = way->wait, .io = way->io), peer_echo, NULL,
		&to);
	pthread_t threads[2];
	int fd;

	atomic_store(&done, false);
	REQUIRE(pthread_create(&threads[0], NULL, flood, NULL) == 0);
	REQUIRE(pthread_create(&threads[1], NULL, read_stats, server) == 0);
	for (unsigned long i = 0; i < n_cycles; i++)
		cycle(server, i);
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fd = loopback_open("127.0.0.1:0", NULL);
	/* What the flood has left may fill the queue, and then there is no room for a question. */
	CHECK_EQ(volley_server_start(server), 0);
	volley_server_drain(server);
	CHECK_EQ(volley_server_start(server), 0);
	CHECK(peer_ask(fd, &to, 1));
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
	CHECK_EQ(loopback_n_fds(), n_fds);
}

int main(int argc, char **argv)
{
	unsigned long n_cycles = 50;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_cycles = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < PEER_N_WAYS; i++)
		run_way(&peer_ways[i], n_cycles);
	return check_done();
}
