/* SPDX-License-Identifier: MIT */

/* What on_error sends leaves or has a name, also where a flush has met what it is told of. */

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
							    VOLLEY_LISTEN_NO_COALESCE),
				     NULL) == 0);
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

int main(void)
{
	int receiver;

	promise_begin(20);
	receiver = receiver_open(&peer);
	close(receiver_open(&nobody));
	try_sends(receiver);
	return check_done();
}
