/* SPDX-License-Identifier: MIT */

/*
 * A server on the program's own event_base: it is told which, and that is all. Here it shares the
 * base with the events of two signals.
 *
 *	own_libevent [ADDRESS]
 */

#include <signal.h>

#include <event2/event.h>

#include "common.h"

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	event_base_loopbreak(arg);
	(void)signo, (void)what;
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct event *term = evsignal_new(base, SIGTERM, on_signal, base);
	struct event *interrupt = evsignal_new(base, SIGINT, on_signal, base);
	struct volley_server *server = common_open(argc, argv, VOLLEY_CONFIG(.event_base = base));
	int r;

	if (server == NULL)
		return 1;
	event_add(term, NULL);
	event_add(interrupt, NULL);
	r = volley_server_start(server); /* adds its events and returns */
	if (r >= 0) {
		common_announce(server, "own_libevent");
		event_base_dispatch(base);
	}
	volley_server_drain(server); /* what is queued is still replied to; its events are gone */
	r = common_close(server) || r < 0;
	event_free(term);
	event_free(interrupt);
	event_base_free(base);
	return r;
}
