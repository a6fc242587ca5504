/* SPDX-License-Identifier: MIT */

/*
 * A socket is not its descriptor's number. A new process that closes a listener with sockets of the
 * old one, and opens another that gets the number, does not count the old one's drops against it.
 */

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "promises/promise.h"

enum { N = 2000, TIMEOUT_US = 3000000 };

struct old {
	struct volley_server *server;
	int fd;
};

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
				    VOLLEY_LISTEN(.on_packet = ignore, .rcvbuf_bytes = 4096));
}

static void *hand_over(void *arg)
{
	const struct old *old = arg;

	volley_server_export_fds(old->server, old->fd, TIMEOUT_US);
	return NULL;
}

static uint64_t count_drops(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(server, &stats) >= 0);
	return stats.kernel_drops;
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
	struct old old;
	pthread_t thread;
	uint64_t n_drops;
	int fds[2];
	int r;

	promise_begin(15);
	old.server = make();
	REQUIRE(listen_on(old.server, "127.0.0.1:0") == 0);
	flood(volley_listener_get_addr(volley_server_get_listener(old.server, 0)));
	n_drops = count_drops(old.server);
	REQUIRE(n_drops > 0);
	volley_addr_format(volley_listener_get_addr(volley_server_get_listener(old.server, 0)),
			   address, sizeof address);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	old.fd = fds[0];
	REQUIRE(pthread_create(&thread, NULL, hand_over, &old) == 0);

	server = make();
	REQUIRE(volley_server_import_fds(server, fds[1], TIMEOUT_US) == 1);
	REQUIRE(listen_on(server, address) == 0);
	REQUIRE(volley_listener_close(server, 0) == 0);
	REQUIRE(listen_on(server, "127.0.0.1:0") == 0);
	REQUIRE(volley_server_start(server) >= 0);
	r = volley_server_import_commit(server, fds[1], TIMEOUT_US);
	pthread_join(thread, NULL);
	CHECK_EQ(r, 0);
	REQUIRE(volley_server_get_worker_stats(server, 0, &stats) >= 0);
	CHECK_EQ(stats.kernel_drops, 0);
	CHECK_EQ(count_drops(server), n_drops); /* carried over */
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(volley_server_free(old.server), 0);
	close(fds[0]);
	close(fds[1]);
	return check_done();
}
