/* SPDX-License-Identifier: MIT */

/*
 * on_error comes between callbacks, on the thread that serves: never inside of the callback that
 * sends so much that a flush meets reports, nor inside of another on_error that does, nor in
 * volley_worker_send() of a thread that does not serve. A lock of the user's is safe there.
 */

#include <string.h>
#include <sys/socket.h>

#include "bounds.h"
#include "lib/listeners.h"

enum { N_SENDS = 3000, N_ERRORS = 100 };

static struct volley_addr dead;
static atomic_uint n_told;
static _Thread_local unsigned int n_inside;
static unsigned int deepest;

static void enter(void)
{
	if (++n_inside > deepest)
		deepest = n_inside;
}

static void send_many(struct volley_worker *worker, unsigned int n)
{
	int r = 0;

	for (unsigned int i = 0; i < n && r == 0; i++)
		r = volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
				       &dead, "x", 1, NULL);
	CHECK_EQ(r, 0);
}

static void on_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
		     void *arg)
{
	(void)arg;
	CHECK_EQ(error, ECONNREFUSED);
	CHECK(volley_addr_is_equal(peer, &dead));
	enter();
	if (atomic_fetch_add(&n_told, 1) < N_ERRORS)
		send_many(worker, 300);
	n_inside--;
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)packet, (void)arg;
	enter();
	send_many(worker, N_SENDS);
	n_inside--;
}

static void try(enum volley_wait wait)
{
	struct volley_stats stats;
	struct volley_server *server;
	struct volley_addr addr;

	atomic_store(&n_told, 0);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = wait), &server) == 0);
	addr = bounds_listen(
		server,
		VOLLEY_LISTEN(.on_packet = on_packet, .on_error = on_error,
			      .flags = VOLLEY_LISTEN_REPORT_ERRORS | VOLLEY_LISTEN_NO_COALESCE),
		1);
	(void)addr;
	REQUIRE(volley_server_start(server) == 0);
	while (atomic_load(&n_told) < N_ERRORS) {
		struct pollfd fd = { .fd = -1 };

		if (wait == VOLLEY_WAIT_FD) {
			fd = (struct pollfd){ volley_server_get_fd(server), POLLIN, 0 };
			CHECK_EQ(poll(&fd, 1, 1000), 1);
			volley_server_process(server);
		} else {
			poll(&fd, 1, 1);
		}
	}
	CHECK_EQ(volley_server_stop(server), 0);
	stats = bounds_stats(server);
	CHECK(stats.tx_reported >= N_ERRORS);
	CHECK_EQ(deepest, 1);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	int fd;

	promise_begin(20);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	volley_addr_parse("127.0.0.1:0", &dead);
	REQUIRE(bind(fd, &dead.sa, dead.len) == 0);
	REQUIRE(getsockname(fd, &dead.sa, &dead.len) == 0);
	close(fd); /* and nobody is there */
	try(VOLLEY_WAIT_EVENT);
	try(VOLLEY_WAIT_BLOCK);
	try(VOLLEY_WAIT_FD);
	return check_done();
}
