/* SPDX-License-Identifier: MIT */

/*
 * A server that was drained hands its sockets over: they take datagrams again. Two servers of one
 * process; what they have of each other is the conversation.
 */

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "promise.h"

enum { TIMEOUT_US = 5000000, REPLY_MS = 2000 };

static int fds[2]; /* the old server's end, the new one's */

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static struct volley_server *open_server(void)
{
	struct volley_server *server = NULL;

	CHECK(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	return server;
}

static void *export(void *server)
{
	CHECK(volley_server_export_fds(server, fds[0], TIMEOUT_US) == 0);
	return NULL;
}

static bool is_replied_to(const struct volley_addr *to)
{
	struct pollfd fd = { .events = POLLIN };

	fd.fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(sendto(fd.fd, "x", 1, 0, &to->sa, to->len) == 1);
	poll(&fd, 1, REPLY_MS);
	close(fd.fd);
	return fd.revents & POLLIN;
}

static void take_over(struct volley_server *old, const char *address)
{
	struct volley_server *new = open_server();
	pthread_t thread;
	int listener;

	CHECK(pthread_create(&thread, NULL, export, old) == 0);
	CHECK(volley_server_import_fds(new, fds[1], TIMEOUT_US) == 1);
	listener = volley_server_listen(new, address, VOLLEY_LISTEN(.on_batch = echo));
	CHECK(listener >= 0);
	CHECK(volley_server_start(new) == 0);
	CHECK(volley_server_import_commit(new, fds[1], TIMEOUT_US) == 0);
	pthread_join(thread, NULL);
	volley_server_free(old);
	CHECK(is_replied_to(
		volley_listener_get_addr(volley_server_get_listener(new, (uint32_t)listener))));
	volley_server_free(new);
}

int main(void)
{
	struct volley_server *old;
	char address[VOLLEY_ADDR_TEXT_BYTES];

	promise_begin(10);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	old = open_server();
	CHECK(volley_server_listen(old, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo)) == 0);
	CHECK(volley_server_start(old) == 0);
	CHECK(volley_server_drain(old) == 0);
	volley_addr_format(volley_listener_get_addr(volley_server_get_listener(old, 0)), address,
			   sizeof address);
	take_over(old, address);
	return check_done();
}
