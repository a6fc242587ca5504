/* SPDX-License-Identifier: MIT */

#include "steady.h"

#include <stdlib.h>

#include "judge.h"
#include "oracle.h"
#include "play.h"

enum { N_ON_THE_WAY = 512, LEN = 64, S_NS = 1000000000 };

uint32_t steady_per_second;

static struct play own;

static uint32_t draw_load(void)
{
	uint32_t n = steady_per_second > 0 ? MAX_REQUESTS : 1 + world_pick(MAX_REQUESTS);

	return n < world_cut.n_load ? n : world_cut.n_load;
}

static void ask(uint32_t n)
{
	for (; n > 0 && own.n_load > 0; n--, own.n_load--)
		oracle_send_request(&own.addrs[0], LEN);
}

/* What got lost on the way does not count, so nobody waits for it. */
static void send_load(void)
{
	uint32_t n = 0, n_waited = 0;

	while (own.n_load > 0) {
		if (steady_per_second > 0) {
			ask(1);
			play_sleep(S_NS / steady_per_second);
			continue;
		}
		if (n - oracle_count_replied() < N_ON_THE_WAY || n_waited > 100) {
			uint32_t burst = 1 + world_pick(64);

			ask(burst);
			n += burst;
			n_waited = 0;
			continue;
		}
		n_waited++;
		play_sleep(20000);
	}
}

/* Where the network loses nothing, what has not come stands under a name. */
static void judge_missing(void)
{
	uint32_t n = oracle_count_requests() - oracle_count_replied();
	struct volley_stats stats = { .size = sizeof stats };
	uint64_t n_named;

	if (net_weather.lost + net_weather.refused + net_weather.doubled > 0)
		return;
	volley_server_get_stats(own.server, &stats);
	n_named = stats.kernel_drops + stats.discarded_at_close;
	for (uint32_t i = 0; i < VOLLEY_RX_N_DROPS; i++)
		n_named += stats.rx_dropped[i];
	for (uint32_t i = 0; i < VOLLEY_TX_N_DROPS; i++)
		n_named += stats.tx_dropped[i];
	if (n != n_named)
		world_blame("%u requests have no reply, and %llu are counted", n,
			    (unsigned long long)n_named);
}

void *steady_main(void *arg)
{
	struct process *process = kernel_process();

	(void)arg;
	play_init(&own, process);
	own.is_plain = true;
	own.config.wait = steady_per_second > 0 || world_pick(2) ? VOLLEY_WAIT_EVENT
								 : VOLLEY_WAIT_BLOCK;
	own.config.io = NULL;
	own.config.n_handlers = 0;
	own.config.max_datagram_bytes = own.config.max_age_us = 0;
	own.config.rcvbuf_bytes = own.config.sndbuf_bytes = 0;
	own.config.n_batch = 0;
	own.n_load = draw_load();
	if (volley_server_new(&own.config, &own.server) < 0) {
		world_blame("no server");
		return NULL;
	}
	process->n_taken = process->n_sent = 0;
	if (play_listen(&own, 0) < 0 || volley_server_start(own.server) < 0)
		world_blame("it does not start");
	send_load();
	play_sleep(S_NS / 10); /* the last one has come */
	play_settle(&own);
	volley_server_close(own.server);
	judge_books(own.server, process);
	judge_missing();
	volley_server_free(own.server);
	return NULL;
}
