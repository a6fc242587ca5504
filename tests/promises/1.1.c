/* SPDX-License-Identifier: MIT */

/*
 * On an event_base of the user's: what a timer and a descriptor's event of that base send leaves
 * before the base waits again. A QUIC server is built like that.
 */

#include <event2/event.h>

#include "sending.h"

static struct volley_addr peer;
static struct volley_worker *worker;

static int on_start(struct volley_worker *starting, void *arg)
{
	(void)arg;
	worker = starting;
	return 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	if (fd >= 0)
		CHECK_EQ(read(fd, &byte, 1), 1);
	CHECK_EQ(say(worker, &peer, arg), 0);
}

/* One turn for the event, and one for what it has sent; each of them has something to do. */
static void run_twice(struct event_base *base, int receiver, const char *text)
{
	struct timeval no_longer = { .tv_sec = 1 };

	event_base_loop(base, EVLOOP_ONCE);
	event_base_loopexit(base, &no_longer);
	event_base_loop(base, EVLOOP_ONCE);
	CHECK(receiver_expect(receiver, text));
}

int main(void)
{
	struct event_base *base;
	struct volley_server *server;
	struct event *timer;
	struct event *reader;
	int fds[2];
	static char by_timer[] = "timer";
	static char by_descriptor[] = "descriptor";
	int receiver;

	promise_begin(10);
	base = event_base_new();
	receiver = receiver_open(&peer);
	server = server_open(VOLLEY_CONFIG(.event_base = base, .on_start = on_start));
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(pipe(fds) == 0);
	timer = evtimer_new(base, on_event, by_timer);
	reader = event_new(base, fds[0], EV_READ, on_event, by_descriptor);

	for (int i = 0; i < 3; i++) {
		event_add(timer, &(struct timeval){ .tv_usec = 1000 });
		run_twice(base, receiver, "timer");
		event_add(reader, NULL);
		REQUIRE(write(fds[1], "x", 1) == 1);
		run_twice(base, receiver, "descriptor");
	}
	CHECK_EQ(get_stats(server).tx_sent, 6);
	CHECK(is_balanced(server));
	event_free(timer);
	event_free(reader);
	CHECK_EQ(volley_server_free(server), 0);
	event_base_free(base);
	return check_done();
}
