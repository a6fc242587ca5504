/* SPDX-License-Identifier: MIT */

/*
 * On a system that does not take SO_REUSEPORT once a socket is bound (a sandbox that imitates
 * Linux), several workers start all the same and serve, and a warning says what is lost. The
 * library's calls come by here first, where such a system is played.
 */

#include "promise.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <volley/volley.h>

/* The library finds it before the C library's. */
#define PUBLIC __attribute__((visibility("default")))

enum { N_ASKS = 32 };

static int late_result; /* what a late SO_REUSEPORT gives, and it has no effect */
static unsigned int n_told;

static bool is_bound(int fd)
{
	struct volley_addr addr = { .len = 0 };
	socklen_t n = sizeof addr.in6;

	return getsockname(fd, &addr.sa, &n) == 0 && addr.in.sin_port != 0;
}

PUBLIC int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	if (level == SOL_SOCKET && name == SO_REUSEPORT && is_bound(fd)) {
		errno = late_result;
		return late_result != 0 ? -1 : 0;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, n);
}

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	n_told += level == VOLLEY_LOG_WARNING && strstr(text, "SO_REUSEPORT") != NULL;
}

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

static void ask(const char *text)
{
	struct volley_addr addr;
	struct pollfd pollfd = { .events = POLLIN };
	char got;

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	pollfd.fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(connect(pollfd.fd, &addr.sa, addr.len) == 0);
	CHECK(send(pollfd.fd, "?", 1, 0) == 1);
	CHECK(poll(&pollfd, 1, 1000) == 1 && recv(pollfd.fd, &got, 1, MSG_DONTWAIT) == 1);
	close(pollfd.fd);
}

static void serve(int result)
{
	struct volley_server *server;

	late_result = result;
	n_told = 0;
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = on_log), &server) == 0);
	if (!CHECK(volley_server_listen(server, "127.0.0.1:7777", VOLLEY_LISTEN(.on_packet = reply),
					NULL) >= 0)) {
		volley_server_free(server);
		return;
	}
	CHECK(volley_server_listen(server, "[::1]:0", VOLLEY_LISTEN(.on_packet = reply), NULL) >=
	      0);
	CHECK_EQ(n_told, 1); /* once a server */
	CHECK(volley_server_start(server) == 0);
	for (int i = 0; i < N_ASKS; i++)
		ask("127.0.0.1:7777");
	CHECK(volley_server_free(server) == 0);
}

int main(void)
{
	promise_begin(5);
	serve(0);
	serve(EINVAL);
	return check_done();
}
