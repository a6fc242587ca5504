/* SPDX-License-Identifier: MIT */

/*
 * A socket is not its descriptor's number. A new process that closes a listener with sockets of the
 * old one, and opens another that gets the number, does not count the old one's drops against it.
 */

#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "lib/giver.h"
#include "lib/listeners.h"
#include "sending.h"

enum { N = 2000, TIMEOUT_US = 3000000 };

static void ignore(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)packet;
	(void)arg;
}

static struct volley_server *make(void)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) >= 0);
	return server;
}

static int listen_on(struct volley_server *server, const char *address)
{
	return volley_server_listen(server, address,
				    VOLLEY_LISTEN(.on_packet = ignore, .rcvbuf_bytes = 4096), NULL);
}

static void flood(const struct volley_addr *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < N; i++)
		REQUIRE(sendto(fd, "x", 1, 0, &to->sa, to->len) == 1);
	close(fd);
}

int main(void)
{
	struct volley_stats stats = { .size = sizeof stats };
	char address[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_server *server;
	struct volley_server *old;
	struct giver giver;
	uint64_t n_drops;
	int fds[2];
	int r;

	promise_begin(15);
	old = make();
	REQUIRE(listen_on(old, "127.0.0.1:0") == 0);
	flood(LISTENER_ADDR(old, 0));
	n_drops = get_stats(old).kernel_drops;
	REQUIRE(n_drops > 0);
	volley_addr_format(LISTENER_ADDR(old, 0), address, sizeof address);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	giver_start(&giver, old, fds[0], TIMEOUT_US, false);

	server = make();
	REQUIRE(volley_server_import_fds(server, fds[1], TIMEOUT_US, NULL, NULL) == 1);
	REQUIRE(listen_on(server, address) == 0);
	REQUIRE(volley_listener_close(server, listener_at(server, 0)) == 0);
	REQUIRE(listen_on(server, "127.0.0.1:0") == 0);
	REQUIRE(volley_server_start(server) >= 0);
	r = volley_server_import_commit(server, fds[1], TIMEOUT_US);
	giver_join(&giver);
	CHECK_EQ(r, 0);
	REQUIRE(volley_server_get_worker_stats(server, 0, &stats) >= 0);
	CHECK_EQ(stats.kernel_drops, 0);
	CHECK_EQ(get_stats(server).kernel_drops, n_drops); /* carried over */
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(volley_server_free(old), 0);
	close(fds[0]);
	close(fds[1]);
	return check_done();
}
