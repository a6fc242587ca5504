/* SPDX-License-Identifier: MIT */

/*
 * A socket comes with datagrams that the kernel has coalesced, to a server that wants short ones
 * only. Each that is short enough is served, and each that is not is counted as one.
 */

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "sending.h"

enum { MAX_BYTES = 1000, N = 40 };

struct seen {
	uint32_t n_whole;
	uint32_t n_cut;
};

static void look(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct seen *seen = arg;

	(void)worker;
	CHECK(packet->len <= MAX_BYTES);
	for (uint32_t i = 0; i < packet->len; i++)
		REQUIRE(packet->data[i] == packet->data[0]);
	if (packet->flags & VOLLEY_PACKET_TRUNCATED)
		seen->n_cut++;
	else
		seen->n_whole++;
}

/* `n` datagrams of n_bytes in one message, and the last one shorter. */
static void send_some(const struct volley_addr *to, int n, int n_bytes)
{
	static char data[65507];
	struct volley_addr own;
	int fd = receiver_open(&own);
	size_t len = (size_t)(n - 1) * (size_t)n_bytes + 10;

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i / (size_t)n_bytes);
	REQUIRE(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &n_bytes, sizeof n_bytes) == 0);
	REQUIRE(sendto(fd, data, len, 0, &to->sa, to->len) == (ssize_t)len);
	close(fd);
}

static void send_single(const struct volley_addr *to, size_t n_bytes)
{
	static char data[65507];
	struct volley_addr own;
	int fd = receiver_open(&own);

	REQUIRE(sendto(fd, data, n_bytes, 0, &to->sa, to->len) == (ssize_t)n_bytes);
	close(fd);
}

static void serve_all(struct volley_server *server)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

	while (poll(&fd, 1, 50) > 0)
		REQUIRE(volley_server_process(server) >= 0);
}

static void try_io(const char *io, uint32_t flags)
{
	struct seen seen = { 0 };
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr addr;
	struct volley_server *server;
	int one = 1;
	int fd = receiver_open(&addr);
	bool takes_cut = flags & VOLLEY_LISTEN_DELIVER_TRUNCATED;

	REQUIRE(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) == 0);
	send_some(&addr, N, 500);
	send_some(&addr, N, 1500); /* the last one fits */
	send_single(&addr, MAX_BYTES);
	send_single(&addr, MAX_BYTES + 1);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_FD, .io = io,
						.max_datagram_bytes = MAX_BYTES),
				  &server) >= 0);
	REQUIRE(volley_server_adopt(server, &fd, 1,
				    VOLLEY_LISTEN(.on_packet = look, .arg = &seen, .flags = flags),
				    NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	serve_all(server);
	send_some(&addr, N, 500);
	send_single(&addr, MAX_BYTES + 1);
	serve_all(server);
	REQUIRE(volley_server_get_stats(server, &stats) >= 0);
	CHECK_EQ(stats.rx_datagrams, 3 * N + 3);
	CHECK_EQ(seen.n_whole, 2 * N + 2);
	CHECK_EQ(seen.n_cut, takes_cut ? N - 1 + 2 : 0);
	CHECK_EQ(stats.rx_dropped[VOLLEY_RX_TRUNCATED], takes_cut ? 0 : N - 1 + 2);
	CHECK_EQ(stats.kernel_drops, 0);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(10);
	try_io("mmsg", 0);
	try_io("msg", 0);
	try_io("mmsg", VOLLEY_LISTEN_DELIVER_TRUNCATED);
	return check_done();
}
