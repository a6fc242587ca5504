/* SPDX-License-Identifier: MIT */

/*
 * A timer on a worker's loop: volley brings the threads, and each worker has an event_base on which
 * your own events can be. This one says how many datagrams were replied to, ten times a second.
 *
 *	timer [ADDRESS]
 */

#include <stdio.h>

#include <event2/event.h>

#include "common.h"

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct volley_stats stats;

	volley_stats_init(&stats, sizeof stats);
	volley_server_get_stats(volley_worker_get_server(arg), &stats);
	fprintf(stderr, "timer: %llu\n", (unsigned long long)stats.tx_sent);
	(void)fd, (void)what;
}

/* Both on the worker's thread, the only one that may touch its base. */
static int on_start(struct volley_worker *worker, void *arg)
{
	static const struct timeval period = { .tv_usec = 100000 };
	struct event_base *base = volley_worker_get_event_base(worker);
	struct event *timer = event_new(base, -1, EV_PERSIST, on_tick, worker);

	volley_worker_set_data(worker, timer);
	event_add(timer, &period);
	/* From here on SIGTERM is taken by volley_server_run(). */
	common_announce(volley_worker_get_server(worker), "timer");
	(void)arg;
	return 0;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	event_free(volley_worker_get_data(worker));
	(void)arg;
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
	struct volley_server *server = common_open(
		argc, argv,
		VOLLEY_CONFIG(.n_workers = 1, .on_start = on_start, .on_stop = on_stop));
	int r;

	if (server == NULL)
		return 1;
	r = volley_server_run(server); /* until SIGTERM or SIGINT, then drains */
	say_dropped(server);
	return common_close(server) || r < 0;
}
