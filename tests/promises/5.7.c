/* SPDX-License-Identifier: MIT */

/*
 * A room of volley_packet_reply_buffer() is valid until the callback returns, and as far as a reply
 * out of it reaches also after that reply: one that was prepared once can be sent to everybody,
 * however often the arena was used up and sent meanwhile. No client gets what is another's.
 */

#include <string.h>

#include "bounds.h"

enum { N_ROUNDS = 40, SHARED_BYTES = 1000, OWN_BYTES = 10000 };

static atomic_uint n_shared, n_own;

/* A room for the shared reply, and then others' replies, some in rooms, some copied. */
static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	static char own[OWN_BYTES];
	char *shared = volley_packet_reply_buffer(&packets[0], SHARED_BYTES + 500, NULL);

	(void)worker, (void)n, (void)arg;
	REQUIRE(shared != NULL);
	memset(shared, 'a', SHARED_BYTES);
	for (int i = 0; i < N_ROUNDS; i++) {
		char *room = NULL;

		CHECK_EQ(volley_packet_reply(&packets[0], shared, SHARED_BYTES), 0);
		atomic_fetch_add(&n_shared, 1);
		if (i == 0)
			room = volley_packet_reply_buffer(&packets[0], OWN_BYTES, NULL);
		if (room == NULL)
			room = own;
		memset(room, 'b' + i % 20, OWN_BYTES);
		if (volley_packet_reply(&packets[0], room, OWN_BYTES) == 0)
			atomic_fetch_add(&n_own, 1);
	}
	atomic_fetch_add(&bounds_n_calls, 1);
}

static bool has_only(const char *data, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (data[i] != letter)
			return false;
	return true;
}

int main(void)
{
	const struct timeval patience = { .tv_sec = 1 };
	const int rcvbuf_bytes = 8 << 20;
	static char buf[65536];
	struct volley_server *server;
	struct volley_addr addr;
	unsigned int n_good = 0;
	unsigned int n_sent;
	int fd;

	promise_begin(5);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .arena_bytes = 65536), &server) ==
		0);
	addr = bounds_listen(server, VOLLEY_LISTEN(.on_batch = on_batch), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf_bytes, sizeof rcvbuf_bytes);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	REQUIRE(connect(fd, &addr.sa, addr.len) == 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(send(fd, "x", 1, 0) == 1);
	bounds_await_calls(1);
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(atomic_load(&n_shared), N_ROUNDS);
	CHECK(atomic_load(&n_own) > N_ROUNDS / 2); /* copies go on beside the rooms */
	n_sent = atomic_load(&n_shared) + atomic_load(&n_own);
	for (unsigned int i = 0; i < n_sent; i++) {
		ssize_t n = recv(fd, buf, sizeof buf, 0);

		if (n == SHARED_BYTES)
			n_good += has_only(buf, SHARED_BYTES, 'a');
		else if (n == OWN_BYTES)
			n_good += buf[0] != 'a' && has_only(buf, OWN_BYTES, buf[0]);
	}
	CHECK_EQ(n_good, n_sent);
	CHECK_EQ(bounds_stats(server).tx_sent, n_sent);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
	return check_done();
}
