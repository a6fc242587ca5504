/* SPDX-License-Identifier: MIT */

/*
 * A timer of a worker: volley brings the threads, and lets it fire between two volleys, whatever
 * the wait strategy. This one says how many datagrams were replied to, ten times a second.
 *
 *	timer [ADDRESS]
 */

#include <stdio.h>

#include "common.h"

#define PERIOD_NS UINT64_C(100000000)

static uint64_t next_ns;

/* By its own time and not by when it fires, which is a little later each time. */
static void on_tick(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct volley_stats stats;
	uint64_t now_ns = volley_worker_get_now_ns(worker);

	volley_stats_init(&stats, sizeof stats);
	volley_server_get_stats(volley_worker_get_server(worker), &stats);
	fprintf(stderr, "timer: %llu\n", (unsigned long long)stats.tx_sent);
	next_ns += PERIOD_NS;
	volley_worker_set_timer(worker, timer, next_ns > now_ns ? next_ns - now_ns : 0, 0);
	(void)arg;
}

/* On the worker's thread, which is the only one that may set its timers. */
static int on_start(struct volley_worker *worker, void *arg)
{
	struct volley_timer *timer = arg;
	int r;

	next_ns = volley_worker_get_now_ns(worker) + PERIOD_NS;
	r = volley_worker_set_timer(worker, timer, PERIOD_NS, 0);
	/* From here on SIGTERM is taken by volley_server_run(). */
	if (r >= 0)
		common_announce(volley_worker_get_server(worker), "timer");
	return r;
}

/* Also what is dropped under a name that came after this was built. */
static void say_dropped(struct volley_server *server)
{
	struct volley_stats stats;
	const char *name;

	volley_stats_init(&stats, sizeof stats);
	if (volley_server_get_stats(server, &stats) < 0)
		return;
	for (uint32_t i = 0; i < 32 && (name = volley_rx_drop_name(i)) != NULL; i++)
		if (stats.rx_dropped[i] > 0)
			fprintf(stderr, "timer: received and dropped, %s: %llu\n", name,
				(unsigned long long)stats.rx_dropped[i]);
	for (uint32_t i = 0; i < 32 && (name = volley_tx_drop_name(i)) != NULL; i++)
		if (stats.tx_dropped[i] > 0)
			fprintf(stderr, "timer: not sent, %s: %llu\n", name,
				(unsigned long long)stats.tx_dropped[i]);
}

int main(int argc, char **argv)
{
	static struct volley_timer timer = { .fn = on_tick }; /* a stop clears it */
	struct volley_server *server = common_open(
		argc, argv, VOLLEY_CONFIG(.n_workers = 1, .on_start = on_start, .arg = &timer));
	int r;

	if (server == NULL)
		return 1;
	r = volley_server_run(server); /* until SIGTERM or SIGINT, then drains */
	say_dropped(server);
	return common_close(server) || r < 0;
}
