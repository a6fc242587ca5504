/* SPDX-License-Identifier: MIT */

/* libevent as its users write it: one persistent read event, one datagram per event. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "peers.h"

struct libevent_state {
	struct event_base *base;
	struct event **events; /* one for each socket */
	uint64_t left;
	char buffer[65536];
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct bench_loop *loop = arg;
	struct libevent_state *s = loop->state;
	struct sockaddr_storage peer;
	socklen_t n_peer = sizeof peer;
	ssize_t len = recvfrom(fd, s->buffer, sizeof s->buffer, 0, (struct sockaddr *)&peer,
			       &n_peer);

	(void)what;
	loop->counters->n_recv_calls++;
	if (len < 0)
		return;
	loop->counters->n_send_calls++;
	if (sendto(fd, s->buffer, (size_t)len, 0, (struct sockaddr *)&peer, n_peer) < 0)
		loop->counters->n_failed++;
	bench_counters_add(loop->counters, 1);
	if (--s->left == 0)
		event_base_loopbreak(s->base);
}

static int libevent_open(struct bench_loop *loop)
{
	struct libevent_state *s = calloc(1, sizeof *s);

	loop->state = s;
	if (s == NULL)
		return -ENOMEM;
	s->base = event_base_new();
	if (s->base == NULL)
		return -ENOMEM;
	s->events = calloc(loop->n_fds, sizeof *s->events);
	if (s->events == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < loop->n_fds; i++) {
		evutil_make_socket_nonblocking(loop->fds[i]);
		s->events[i] = event_new(s->base, loop->fds[i], EV_READ | EV_PERSIST, on_readable,
					 loop);
		if (s->events[i] == NULL || event_add(s->events[i], NULL) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int libevent_run(struct bench_loop *loop, uint64_t n)
{
	struct libevent_state *s = loop->state;

	s->left = n;
	return event_base_dispatch(s->base) < 0 ? -EIO : 0;
}

static void libevent_close(struct bench_loop *loop)
{
	struct libevent_state *s = loop->state;

	if (s == NULL)
		return;
	for (uint32_t i = 0; s->events != NULL && i < loop->n_fds; i++)
		if (s->events[i] != NULL)
			event_free(s->events[i]);
	free(s->events);
	if (s->base != NULL)
		event_base_free(s->base);
	free(s);
}

const struct bench_peer bench_peer_libevent = {
	.name = "libevent",
	.about = "libevent, one event, one datagram",
	.version = event_get_version,
	.open = libevent_open,
	.run = libevent_run,
	.close = libevent_close,
	.has_listeners = true,
};
