/* SPDX-License-Identifier: MIT */

/* The functions of libevent that the event loop calls, over the simulated poll. */

#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>

#include "kernel.h"
#include "poll.h"

enum { N_EVENTS = N_FDS };

struct event_config {
	int flags;
};

/* Those that are added. */
struct event_base {
	struct event *added[N_EVENTS];
	uint32_t n;
};

struct event {
	struct event_base *base;
	int fd;
	short what;
	event_callback_fn callback;
	void *arg;
	bool is_added;
	uint64_t at_ns; /* UINT64_MAX: no time */
	short result;
};

void *__wrap_malloc(size_t n);
void __wrap_free(void *memory);

struct event_config *event_config_new(void)
{
	return __wrap_malloc(sizeof(struct event_config));
}

int event_config_set_flag(struct event_config *config, int flag)
{
	config->flags |= flag;
	return 0;
}

void event_config_free(struct event_config *config)
{
	__wrap_free(config);
}

struct event_base *event_base_new_with_config(const struct event_config *config)
{
	struct event_base *base = __wrap_malloc(sizeof *base);

	(void)config;
	if (base != NULL)
		base->n = 0;
	return base;
}

void event_base_free(struct event_base *base)
{
	while (base->n > 0)
		event_del(base->added[0]);
	__wrap_free(base);
}

void event_set_log_callback(event_log_cb callback)
{
	(void)callback;
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
			event_callback_fn callback, void *arg)
{
	struct event *event = __wrap_malloc(sizeof *event);

	if (event != NULL)
		*event = (struct event){ .base = base,
					 .fd = fd,
					 .what = what,
					 .callback = callback,
					 .arg = arg,
					 .at_ns = UINT64_MAX };
	return event;
}

void event_free(struct event *event)
{
	event_del(event);
	__wrap_free(event);
}

int event_add(struct event *event, const struct timeval *timeout)
{
	world_point();
	if (kernel_fault("event_add", 0) != 0)
		return -1;
	if (timeout != NULL)
		event->at_ns = world_now() + (uint64_t)timeout->tv_sec * 1000000000 +
			       (uint64_t)timeout->tv_usec * 1000;
	if (event->is_added)
		return 0;
	if (event->base->n == N_EVENTS)
		abort();
	event->base->added[event->base->n++] = event;
	event->is_added = true;
	return 0;
}

int event_del(struct event *event)
{
	struct event_base *base = event->base;

	event->at_ns = UINT64_MAX;
	if (!event->is_added)
		return 0;
	event->is_added = false;
	for (uint32_t i = 0; i < base->n; i++) {
		if (base->added[i] != event)
			continue;
		for (uint32_t k = i + 1; k < base->n; k++)
			base->added[k - 1] = base->added[k];
		base->n--;
		break;
	}
	return 0;
}

static uint32_t fill(const struct event_base *base, struct pollfd *fds, uint64_t *ret_until_ns)
{
	uint32_t n = 0;

	*ret_until_ns = UINT64_MAX;
	for (uint32_t i = 0; i < base->n; i++) {
		struct event *event = base->added[i];

		if (event->at_ns < *ret_until_ns)
			*ret_until_ns = event->at_ns;
		if (event->fd >= 0)
			fds[n++] = (struct pollfd){
				.fd = event->fd,
				.events = (short)((event->what & EV_READ ? POLLIN : 0) |
						  (event->what & EV_WRITE ? POLLOUT : 0))
			};
	}
	return n;
}

/* Those that something has happened to; a callback may take others of them away. */
static uint32_t collect(struct event_base *base, const struct pollfd *fds, struct event **hits)
{
	uint32_t n = 0, k = 0;

	for (uint32_t i = 0; i < base->n; i++) {
		struct event *event = base->added[i];
		short revents = event->fd >= 0 ? fds[k++].revents : 0;

		event->result = 0;
		if (revents & (POLLIN | POLLHUP | POLLERR))
			event->result |= event->what & EV_READ;
		if (revents & (POLLOUT | POLLHUP | POLLERR))
			event->result |= event->what & EV_WRITE;
		if (event->at_ns <= world_now())
			event->result |= EV_TIMEOUT;
		if (event->result != 0)
			hits[n++] = event;
	}
	return n;
}

int event_base_loop(struct event_base *base, int flags)
{
	struct pollfd fds[N_EVENTS];
	struct event *hits[N_EVENTS];
	uint64_t until_ns;
	uint32_t n = fill(base, fds, &until_ns);
	int r;

	world_point();
	r = -kernel_fault("epoll_wait", 0);
	if (r < 0)
		return -1;
	r = poll_wait(fds, n, flags & EVLOOP_NONBLOCK ? 0 : until_ns);
	if (r < 0)
		return 0; /* a signal: it waits again, or comes back to be asked again */
	n = collect(base, fds, hits);
	for (uint32_t i = 0; i < n; i++) {
		struct event *event = hits[i];
		short result = event->result;

		if (!event->is_added)
			continue;
		if (!(event->what & EV_PERSIST) || result == EV_TIMEOUT)
			event_del(event);
		event->callback(event->fd, result, event->arg);
	}
	return 0;
}
