/* SPDX-License-Identifier: MIT */

/*
 * What on_error sends leaves or has a name, also where a flush calls it, and that is full; and so
 * does what it replies to the packet of the callback that filled it.
 */

#include <errno.h>

#include "sending.h"

enum { N_ROUNDS = 20, N_EACH = 3 };

static struct volley_addr peer;
static struct volley_addr nobody;
static uint64_t n_asked;
static uint64_t n_refused;
static uint64_t n_again;

static void on_error(struct volley_worker *worker, const struct volley_addr *lost, int error,
		     void *arg)
{
	(void)lost, (void)error, (void)arg;
	for (int i = 0; i < N_EACH; i++) {
		n_asked++;
		n_refused += say(worker, &peer, "lost") < 0;
	}
	if (++n_again < 5000) /* and what is lost at once */
		n_refused += say(worker, &nobody, "again") < 0;
}

static void send_lost(struct volley_worker *worker, void *arg)
{
	(void)arg;
	for (int i = 0; i < 30; i++)
		CHECK_EQ(say(worker, &nobody, "x"), 0);
}

static void try_sends(int receiver)
{
	struct volley_server *server;
	struct volley_stats stats;
	uint64_t n_received = 0;
	char buf[8];

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_batch = echo, .on_error = on_error,
						   .flags = VOLLEY_LISTEN_REPORT_ERRORS |
							    VOLLEY_LISTEN_NO_COALESCE)) == 0);
	REQUIRE(volley_server_start(server) == 0);
	for (int i = 0; i < N_ROUNDS; i++) {
		CHECK_EQ(volley_server_post(server, send_lost, NULL), 0);
		CHECK(volley_server_process(server) >= 0);
		CHECK(is_balanced(server));
		while (receiver_take(receiver, buf, sizeof buf, 0) == 4)
			n_received++;
	}
	CHECK_EQ(volley_server_stop(server), 0);
	while (receiver_take(receiver, buf, sizeof buf, 0) == 4)
		n_received++;
	stats = get_stats(server);
	CHECK(n_asked > 0);
	CHECK(is_balanced(server));
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], n_refused);
	CHECK_EQ(stats.tx_requested, stats.tx_sent + n_refused);
	CHECK_EQ(n_received + stats.tx_dropped[VOLLEY_TX_NO_BUFFER] >= n_asked, 1);
	CHECK_EQ(volley_server_free(server), 0);
}

static struct volley_packet *in_hand;

/* Within the callback only what is full is flushed. */
static void reply_in_hand(struct volley_worker *worker, const struct volley_addr *lost, int error,
			  void *arg)
{
	(void)worker, (void)lost, (void)error, (void)arg;
	if (in_hand == NULL)
		return;
	CHECK_EQ(volley_packet_reply(in_hand, "lost", 4), -ENOBUFS);
	n_refused++;
}

/* More than one send takes. */
static void lose_many(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		      void *arg)
{
	(void)n, (void)arg;
	in_hand = &packets[0];
	for (int i = 0; i < 5000; i++)
		CHECK_EQ(say(worker, &nobody, "x"), 0);
	in_hand = NULL;
}

static void try_replies(int receiver)
{
	const struct volley_addr *to;
	struct volley_server *server;

	n_refused = 0;
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_batch = lose_many, .on_error = reply_in_hand,
						   .flags = VOLLEY_LISTEN_REPORT_ERRORS |
							    VOLLEY_LISTEN_NO_COALESCE)) == 0);
	REQUIRE(volley_server_start(server) == 0);
	to = volley_listener_get_addr(volley_server_get_listener(server, 0));
	REQUIRE(sendto(receiver, "q", 1, 0, &to->sa, to->len) == 1);
	while (get_stats(server).delivered == 0)
		REQUIRE(volley_server_process(server) >= 0);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(n_refused > 0);
	CHECK_EQ(get_stats(server).tx_dropped[VOLLEY_TX_NO_BUFFER], n_refused);
	CHECK(is_balanced(server));
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	int receiver;

	promise_begin(20);
	receiver = receiver_open(&peer);
	close(receiver_open(&nobody));
	try_sends(receiver);
	try_replies(receiver);
	return check_done();
}
