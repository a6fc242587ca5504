/* SPDX-License-Identifier: MIT */

/*
 * Listeners in numbers: ten thousand of one server, which cost little memory each, are served by
 * all workers, come and go by chance, and go to the next process. In a network namespace, for its
 * ports.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "groups.h"
#include "lib/giver.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/namespace.h"
#include "lib/peer.h"

enum {
	N_ALL = 10000,
	N_HANDED = 5000,
	N_WORKERS = 4,
	N_ASKED = 200,
	MOST_BYTES = 1792, /* of a listener, in memory of ours */
	TIMEOUT_US = 60 * 1000 * 1000,
};

static struct volley_listener listeners[N_ALL];
static uint32_t n_all = N_ALL, n_handed = N_HANDED;
static atomic_size_t n_bytes_now;

static void *allocate(size_t n_bytes, size_t align_bytes, void *arg)
{
	(void)arg;
	atomic_fetch_add(&n_bytes_now, n_bytes);
	return aligned_alloc(align_bytes, n_bytes);
}

static void deallocate(void *mem, size_t n_bytes, size_t align_bytes, void *arg)
{
	(void)align_bytes, (void)arg;
	atomic_fetch_sub(&n_bytes_now, n_bytes);
	free(mem);
}

static const struct volley_allocator allocator = { .allocate = allocate, .deallocate = deallocate };

static uint32_t draw(uint32_t n)
{
	static uint32_t seed = 1;

	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static struct volley_server *open_server(void)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = N_WORKERS, .log = on_log,
						.allocator = &allocator),
				  &server) == 0);
	return server;
}

static int listen_once(struct volley_server *server, const char *address,
		       struct volley_listener *ret_listener)
{
	return volley_server_listen(
		server, address,
		VOLLEY_LISTEN(.on_batch = peer_echo, .flags = VOLLEY_LISTEN_ONE_SOCKET),
		ret_listener);
}

static void expect_reply(struct volley_server *server, struct volley_listener listener, int fd)
{
	struct volley_addr to;

	CHECK_EQ(volley_listener_get_addr(server, listener, &to), 0);
	CHECK(peer_ask(fd, &to, (uint8_t)draw(256)));
}

static void expect_balance(struct volley_server *server)
{
	const char *fault = ledger_find_server_fault(server);

	if (!CHECK(fault == NULL))
		fprintf(stderr, "%s\n", fault);
}

/* All at once --------------------------------------------------------------------------------- */

static void serve_all(void)
{
	struct volley_server *server = open_server();
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_stats stats = { .size = sizeof stats };
	uint32_t n_step = n_all / N_ASKED / N_WORKERS * N_WORKERS; /* to a worker's next one */
	size_t n_bytes;

	REQUIRE(listen_once(server, "127.0.0.1:0", &listeners[0]) == 0);
	CHECK_EQ(volley_server_start(server), 0);
	n_bytes = atomic_load(&n_bytes_now);
	for (uint32_t i = 1; i < n_all; i++)
		REQUIRE(listen_once(server, "127.0.0.1:0", &listeners[i]) == 0);
	n_bytes = (atomic_load(&n_bytes_now) - n_bytes) / (n_all - 1);
	printf("%zu bytes of ours a listener\n", n_bytes);
	CHECK(n_bytes <= MOST_BYTES);
	for (uint32_t i = 0; i < N_ASKED; i++)
		expect_reply(server, listeners[i * n_step + i % N_WORKERS], fd);
	CHECK_EQ(volley_server_get_listeners(server, NULL, 0), n_all);
	CHECK_EQ(volley_server_stop(server), 0);
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		CHECK_EQ(volley_server_get_worker_stats(server, i, &stats), 0);
		CHECK_EQ(stats.delivered, N_ASKED / N_WORKERS);
	}
	expect_balance(server);
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(atomic_load(&n_bytes_now), 0);
	close(fd);
}

/* One after the other ------------------------------------------------------------------------- */

/* Against the list of those that are there. */
static void come_and_go(void)
{
	enum { N_MOST = 40, N_STEPS = 150 };
	struct volley_server *server = open_server();
	int fd = loopback_open("127.0.0.1:0", NULL);
	uint32_t n = 0, n_asked = 0;
	struct volley_stats stats = { .size = sizeof stats };

	for (uint32_t step = 0; step < N_STEPS; step++) {
		if (n == 0 || (n < N_MOST && draw(2) == 0)) {
			CHECK_EQ(listen_once(server, "127.0.0.1:0", &listeners[n++]), 0);
		} else {
			uint32_t i = draw(n);

			CHECK_EQ(volley_listener_close(server, listeners[i]), 0);
			CHECK_EQ(volley_listener_close(server, listeners[i]), -ESTALE);
			listeners[i] = listeners[--n];
		}
		CHECK_EQ(volley_server_get_listeners(server, NULL, 0), n);
		if (step == N_MOST)
			CHECK_EQ(volley_server_start(server), 0);
		for (uint32_t i = 0; step >= N_MOST && i < 3 && n > 0; i++, n_asked++)
			expect_reply(server, listeners[draw(n)], fd);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.delivered, n_asked);
	expect_balance(server);
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(atomic_load(&n_bytes_now), 0);
	close(fd);
}

/* To the next process -------------------------------------------------------------------------- */

static void hand_over(void)
{
	struct volley_server *old = open_server(), *new = open_server();
	struct volley_stats stats = { .size = sizeof stats };
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct giver giver;
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	for (uint32_t i = 0; i < n_handed; i++)
		REQUIRE(listen_once(old, "127.0.0.1:0", &listeners[i]) == 0);
	CHECK_EQ(volley_server_start(old), 0);
	for (uint32_t i = 0; i < N_ASKED; i++)
		expect_reply(old, listeners[draw(n_handed)], fd);
	giver_start(&giver, old, fds[0], TIMEOUT_US, true);
	CHECK_EQ(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), n_handed);
	for (uint32_t i = 0; i < n_handed; i++) {
		char text[VOLLEY_ADDR_TEXT_BYTES];
		struct volley_addr addr;

		CHECK_EQ(volley_listener_get_addr(old, listeners[i], &addr), 0);
		volley_addr_format(&addr, text, sizeof text);
		REQUIRE(listen_once(new, text, &listeners[i]) == 0);
	}
	CHECK_EQ(volley_server_start(new), 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], TIMEOUT_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	CHECK_EQ(volley_server_free(old), 0);
	for (uint32_t i = 0; i < N_ASKED; i++)
		expect_reply(new, listeners[draw(n_handed)], fd);
	CHECK_EQ(volley_server_stop(new), 0);
	CHECK_EQ(volley_server_get_stats(new, &stats), 0);
	CHECK_EQ(stats.delivered, 2 * N_ASKED);
	CHECK_EQ(stats.kernel_drops, 0);
	expect_balance(new);
	CHECK_EQ(volley_server_free(new), 0);
	close(fds[1]);
	close(fd);
}

/* Descriptors ---------------------------------------------------------------------------------- */

static void use_up_descriptors(const struct rlimit *limit)
{
	struct volley_server *server = new_server(1, NULL);
	struct rlimit few = { .rlim_cur = (rlim_t)loopback_n_fds() + 20,
			      .rlim_max = limit->rlim_max };
	int r = 0;

	REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
	for (int i = 0; r == 0 && i < 30; i++)
		r = listen_once(server, "127.0.0.1:0", NULL);
	CHECK_EQ(r, -EMFILE);
	CHECK(strstr(last_log, "raise `ulimit -n`") != NULL);
	REQUIRE(setrlimit(RLIMIT_NOFILE, limit) == 0);
	CHECK_EQ(listen_once(server, "127.0.0.1:0", NULL), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	struct rlimit limit;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (!namespace_enter()) {
		SKIP("no network namespace of our own");
		return check_done();
	}
	if (getenv("VALGRIND") != NULL) { /* which sees no more in ten times as many */
		n_all /= 10;
		n_handed /= 10;
	}
	come_and_go();
	use_up_descriptors(&limit);
	if (limit.rlim_max < n_all + 200) {
		SKIP("ten thousand listeners: the hard limit of descriptors is too low "
		     "(`ulimit -Hn`)");
		return check_done();
	}
	serve_all();
	hand_over();
	return check_done();
}
