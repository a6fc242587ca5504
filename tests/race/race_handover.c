/* SPDX-License-Identifier: MIT */

/*
 * Servers of one process hand their sockets to one another, back and forth, under traffic, against
 * readers of statistics, and now and then against an end of the one that gives. Whoever ends up
 * with the sockets replies; the counters go with them, and nothing is lost: as many replies as
 * datagrams were delivered in all.
 *
 *	race_handover [--n CYCLES]
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/giver.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"

enum { TIMEOUT_US = 20000000 };

static atomic_bool done;
static struct volley_addr to;
static char address[VOLLEY_ADDR_TEXT_BYTES];

/* One datagram at a time, so whatever has no reply was lost. */
static void *ask(void *arg)
{
	int fd = loopback_open("127.0.0.1:0", NULL);
	unsigned long *n = arg;

	for (uint8_t tag = 0; !atomic_load(&done); tag++) {
		uint8_t buf[64];
		ssize_t r;

		loopback_send(fd, &to, tag, 16);
		r = recv(fd, buf, sizeof buf, 0);
		CHECK(r == 16 && buf[0] == tag);
		(*n)++;
	}
	close(fd);
	return NULL;
}

static void *read_stats(void *server)
{
	struct volley_stats stats = { .size = sizeof stats };
	static char text[1 << 17];

	for (int i = 0; i < 50; i++) {
		CHECK_EQ(volley_server_get_stats(server, &stats), 0);
		CHECK(ledger_find_fault(&stats) == NULL);
		CHECK(volley_server_format_stats(server, text, sizeof text) > 0);
	}
	return NULL;
}

static struct volley_server *new_server(uint32_t n_workers, uint32_t wait)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers, .wait = wait), &server) ==
		0);
	return server;
}

static int listen_there(struct volley_server *server)
{
	return volley_server_listen(server, address, VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
}

/* From `old` to a new server, which is returned; with `fail`, the new one leaves half-way. */
static struct volley_server *hand_over(struct volley_server *old, uint32_t n_workers, uint32_t wait,
				       bool fail)
{
	struct volley_server *server = new_server(n_workers, wait);
	struct giver giver;
	pthread_t reader;
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	giver_start(&giver, old, fds[0], TIMEOUT_US, false);
	REQUIRE(pthread_create(&reader, NULL, read_stats, old) == 0);
	CHECK(volley_server_import_fds(server, fds[1], TIMEOUT_US, NULL, NULL) > 0);
	CHECK_EQ(listen_there(server), 0);
	CHECK_EQ(volley_server_start(server), 0);
	if (!fail)
		CHECK_EQ(volley_server_import_commit(server, fds[1], TIMEOUT_US), 0);
	else
		CHECK_EQ(volley_server_free(server), 0);
	close(fds[1]);
	pthread_join(reader, NULL);
	CHECK_EQ(giver_join(&giver), fail ? -EPIPE : 0);
	close(fds[0]);
	if (fail)
		return old;
	CHECK_EQ(volley_server_free(old), 0);
	return server;
}

static void run_way(uint32_t wait, unsigned long n_cycles)
{
	int n_fds = loopback_n_fds();
	struct volley_server *server = new_server(2, wait);
	struct volley_stats stats = { .size = sizeof stats };
	unsigned long n[2] = { 0 };
	pthread_t threads[2];

	strcpy(address, "127.0.0.1:0");
	CHECK_EQ(listen_there(server), 0);
	to = listener_addr(server, 0);
	volley_addr_format(&to, address, sizeof address);
	CHECK_EQ(volley_server_start(server), 0);
	atomic_store(&done, false);
	for (int i = 0; i < 2; i++)
		REQUIRE(pthread_create(&threads[i], NULL, ask, &n[i]) == 0);
	for (unsigned long i = 0; i < n_cycles; i++)
		server = hand_over(server, wait == VOLLEY_WAIT_BLOCK ? 2 : 1 + i % 3, wait,
				   i % 4 == 3);
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK(ledger_find_fault(&stats) == NULL);
	CHECK_EQ(stats.kernel_drops + stats.discarded_at_close, 0);
	/* A server that left half-way has taken its own counters with it. */
	CHECK(stats.delivered <= n[0] + n[1]);
	if (n_cycles < 4)
		CHECK_EQ(stats.delivered, n[0] + n[1]);
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(loopback_n_fds(), n_fds);
}

int main(int argc, char **argv)
{
	unsigned long n_cycles = 20;

	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		n_cycles = strtoul(argv[2], NULL, 10);
	for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_SPIN; wait++) {
		run_way(wait, 3);
		run_way(wait, n_cycles);
	}
	return check_done();
}
