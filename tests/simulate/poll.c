/* SPDX-License-Identifier: MIT */

/* poll, ppoll and epoll, all level-triggered. */

#include "poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

enum { N_WAITS = 2 * N_FDS };

/* What a thread waits for: everything that may change what it looks at. */
struct watch {
	struct wait waits[N_WAITS];
	struct file *files[N_WAITS];
	uint32_t n;
};

struct interest {
	int fd;
	struct file *file;
	struct epoll_event event;
	struct interest *next;
};

struct epoll_file {
	struct file file;
	struct interest *first;
};

static struct epoll_file *of(struct file *file)
{
	return (struct epoll_file *)(void *)file;
}

struct file *epoll_open(void)
{
	struct epoll_file *epoll = __real_malloc(sizeof *epoll);

	*epoll = (struct epoll_file){ 0 };
	file_init(&epoll->file, FILE_EPOLL);
	return &epoll->file;
}

void epoll_close(struct file *file)
{
	struct interest *next;

	for (struct interest *in = of(file)->first; in != NULL; in = next) {
		next = in->next;
		file_drop(in->file);
		__real_free(in);
	}
	of(file)->first = NULL;
}

/* A closed descriptor goes by itself, when nobody else has the file. */
static void forget_closed(struct epoll_file *epoll)
{
	struct interest **link = &epoll->first;

	while (*link != NULL) {
		struct interest *in = *link;

		if (in->file->n_users > 0) {
			link = &in->next;
			continue;
		}
		*link = in->next;
		file_drop(in->file);
		__real_free(in);
	}
}

static uint32_t look(const struct interest *in)
{
	uint32_t always = POLLHUP | POLLERR;

	return (uint32_t)(uint16_t)file_poll(in->file) & (in->event.events | always);
}

short epoll_poll(struct file *file)
{
	forget_closed(of(file));
	for (struct interest *in = of(file)->first; in != NULL; in = in->next)
		if (look(in) != 0)
			return POLLIN;
	return 0;
}

int epoll_change(struct file *file, int how, int fd, const struct epoll_event *event)
{
	struct epoll_file *epoll = of(file);
	struct file *target = kernel_get(fd);
	struct interest **link = &epoll->first;
	struct interest *in;

	if (target == NULL)
		return -EBADF;
	forget_closed(epoll);
	while (*link != NULL && ((*link)->fd != fd || (*link)->file != target))
		link = &(*link)->next;
	in = *link;
	if (how == EPOLL_CTL_ADD && in != NULL)
		return -EEXIST;
	if (how != EPOLL_CTL_ADD && in == NULL)
		return -ENOENT;
	if (how == EPOLL_CTL_DEL) {
		*link = in->next;
		file_drop(in->file);
		__real_free(in);
		return 0;
	}
	if (in == NULL) {
		in = __real_malloc(sizeof *in);
		*in = (struct interest){ .fd = fd, .file = file_hold(target) };
		*link = in;
	}
	in->event = *event;
	world_wake(&file->waits); /* who waits has to look at this one too */
	return 0;
}

int epoll_take(struct file *file, struct epoll_event *ret_events, int n)
{
	int n_taken = 0;

	forget_closed(of(file));
	for (struct interest *in = of(file)->first; in != NULL && n_taken < n; in = in->next) {
		uint32_t events = look(in);

		if (events == 0)
			continue;
		ret_events[n_taken] = in->event;
		ret_events[n_taken++].events = events;
	}
	return n_taken;
}

static void watch_file(struct watch *watch, struct file *file)
{
	if (watch->n == N_WAITS)
		abort();
	if (file->kind == FILE_EPOLL)
		for (struct interest *in = of(file)->first; in != NULL; in = in->next)
			watch_file(watch, in->file);
	watch->files[watch->n] = file_hold(file);
	world_wait_begin(&watch->waits[watch->n++], event_get_waits(file));
}

static void unwatch(struct watch *watch)
{
	while (watch->n > 0) {
		world_wait_end(&watch->waits[--watch->n]);
		file_drop(watch->files[watch->n]);
	}
}

static int look_at_all(struct pollfd *fds, uint32_t n)
{
	int n_ready = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct file *file = fds[i].fd >= 0 ? kernel_get(fds[i].fd) : NULL;
		short always = POLLHUP | POLLERR;

		fds[i].revents = 0;
		if (file != NULL)
			fds[i].revents = (short)(file_poll(file) & (fds[i].events | always));
		else if (fds[i].fd >= 0)
			fds[i].revents = POLLNVAL;
		n_ready += fds[i].revents != 0;
	}
	return n_ready;
}

int poll_wait(struct pollfd *fds, uint32_t n, uint64_t until_ns)
{
	struct watch watch = { .n = 0 };
	int n_ready = look_at_all(fds, n);
	bool in_time = true;

	while (n_ready == 0 && in_time && until_ns > world_now()) {
		if (signal_take())
			return -EINTR;
		for (uint32_t i = 0; i < n; i++)
			if (fds[i].fd >= 0)
				watch_file(&watch, kernel_get(fds[i].fd));
		in_time = world_wait(until_ns);
		unwatch(&watch);
		n_ready = look_at_all(fds, n);
	}
	return n_ready > 0 ? n_ready : signal_take() ? -EINTR : 0;
}

int epoll_wait_until(struct file *file, struct epoll_event *ret_events, int n, uint64_t until_ns)
{
	struct watch watch = { .n = 0 };
	int n_ready = epoll_take(file, ret_events, n);
	bool in_time = true;

	while (n_ready == 0 && in_time && until_ns > world_now()) {
		if (signal_take())
			return -EINTR;
		watch_file(&watch, file);
		in_time = world_wait(until_ns);
		unwatch(&watch);
		n_ready = epoll_take(file, ret_events, n);
	}
	return n_ready > 0 ? n_ready : signal_take() ? -EINTR : 0;
}
