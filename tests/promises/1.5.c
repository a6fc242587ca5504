/* SPDX-License-Identifier: MIT */

/*
 * volley_worker_send() on a handler's thread, whose callback is given a worker: what it sends and
 * its replies leave in the order in which they were made; when it has no buffer left, it says so
 * and that is counted.
 */

#include "lib/listeners.h"
#include "sending.h"

enum { N_RING = 8, N_ROUNDS = 300, N_CLIENTS = 4, N_TOO_MANY = 200 };

static struct volley_addr peer;
static uint64_t n_refused;
static uint64_t n_sent;

/* "news" before and after the reply, to the one who asked. */
static void send_around(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			void *arg)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		struct volley_packet *packet = &packets[i];

		CHECK_EQ(say(worker, packet->peer, "first"), 0);
		CHECK_EQ(volley_packet_reply(packet, packet->data, packet->len), 0);
		CHECK_EQ(say(worker, packet->peer, "last"), 0);
	}
}

static void send_too_many(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)packets, (void)n, (void)arg;
	for (int i = 0; i < N_TOO_MANY; i++)
		if (say(worker, &peer, "more") == 0)
			n_sent++;
		else
			n_refused++;
}

static void listen_on(struct volley_server *server, volley_batch_fn fn,
		      struct volley_addr *ret_addr)
{
	struct volley_listener listener;

	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = fn),
				     &listener) == 0);
	REQUIRE(volley_listener_get_addr(server, listener, ret_addr) == 0);
}

static void ask(int fd, const struct volley_addr *to, const char *text)
{
	REQUIRE(sendto(fd, text, strlen(text), 0, &to->sa, to->len) == (ssize_t)strlen(text));
}

static void keep_order(const struct volley_addr *to)
{
	struct volley_addr addr;
	int fds[N_CLIENTS];

	for (int i = 0; i < N_CLIENTS; i++)
		fds[i] = receiver_open(&addr);
	for (int round = 0; round < N_ROUNDS; round++) {
		for (int i = 0; i < N_CLIENTS; i++)
			ask(fds[i], to, "asked");
		for (int i = 0; i < N_CLIENTS; i++) {
			REQUIRE(receiver_expect(fds[i], "first"));
			REQUIRE(receiver_expect(fds[i], "asked"));
			REQUIRE(receiver_expect(fds[i], "last"));
		}
	}
}

int main(void)
{
	struct volley_server *server;
	struct volley_addr around;
	struct volley_addr many;
	struct volley_stats stats;
	int receiver;

	promise_begin(20);
	receiver = receiver_open(&peer);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 2, .n_ring = N_RING),
				  &server) == 0);
	listen_on(server, send_around, &around);
	listen_on(server, send_too_many, &many);
	REQUIRE(volley_server_start(server) == 0);
	keep_order(&around);
	ask(receiver, &many, "x");
	CHECK(receiver_expect(receiver, "more"));
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK(n_refused > 0);
	for (uint64_t i = 1; i < n_sent; i++)
		CHECK(receiver_expect(receiver, "more"));
	stats = get_stats(server);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], n_refused);
	CHECK_EQ(stats.tx_sent, 3 * N_ROUNDS * N_CLIENTS + n_sent);
	CHECK(is_balanced(server));
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
