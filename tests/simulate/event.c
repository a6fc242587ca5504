/* SPDX-License-Identifier: MIT */

/* eventfd, signalfd, pipes, pidfd, timerfd: descriptors that say something, and carry little. */

#include "event.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t n);
void __real_free(void *memory);

/* The two ends of a pipe know each other. */
struct event_file {
	struct file file;
	uint64_t count;           /* eventfd */
	uint64_t mask;            /* signalfd */
	struct process *process;  /* signalfd, pidfd */
	struct event_file *other; /* pipe; NULL: closed */
	struct moment moment;     /* timerfd */
	bool is_over;             /* and nobody has set it anew */
};

static struct event_file *of(struct file *file)
{
	return (struct event_file *)(void *)file;
}

static struct event_file *make(enum file_kind kind)
{
	struct event_file *event = __real_malloc(sizeof *event);

	*event = (struct event_file){ 0 };
	file_init(&event->file, kind);
	return event;
}

struct file *event_open(void)
{
	return &make(FILE_EVENTFD)->file;
}

struct file *event_open_signals(struct process *process, uint64_t mask)
{
	struct event_file *event = make(FILE_SIGNALFD);

	event->process = process;
	event->mask = mask;
	return &event->file;
}

struct file *event_open_process(struct process *process)
{
	struct event_file *event = make(FILE_PIDFD);

	event->process = process;
	return &event->file;
}

struct file *event_open_timer(void)
{
	return &make(FILE_TIMERFD)->file;
}

static void on_time(struct moment *moment)
{
	struct event_file *event = (struct event_file *)(void *)((char *)moment -
								 offsetof(struct event_file,
									  moment));

	event->is_over = true;
	world_wake(&event->file.waits);
}

void event_set_timer(struct file *file, uint64_t at_ns)
{
	struct event_file *event = of(file);

	world_cancel(&event->moment);
	event->is_over = at_ns <= world_now();
	event->moment.happen = on_time;
	if (event->is_over)
		world_wake(&file->waits);
	else if (at_ns != UINT64_MAX)
		world_plan(&event->moment, at_ns);
}

void event_open_pipe(struct file *ret_files[2])
{
	struct event_file *end[2] = { make(FILE_PIPE_READ), make(FILE_PIPE_WRITE) };

	end[0]->other = end[1];
	end[1]->other = end[0];
	ret_files[0] = &end[0]->file;
	ret_files[1] = &end[1]->file;
}

void event_close(struct file *file)
{
	struct event_file *event = of(file);

	world_cancel(&event->moment);
	if (event->other != NULL) {
		event->other->other = NULL;
		world_wake(&event->other->file.waits);
	}
}

short event_poll(struct file *file)
{
	struct event_file *event = of(file);

	switch (file->kind) {
	case FILE_EVENTFD:
		return (short)(POLLOUT | (event->count > 0 ? POLLIN : 0));
	case FILE_SIGNALFD:
		return event->process->pending & event->mask ? POLLIN : 0;
	case FILE_PIDFD:
		return event->process->is_dead ? POLLIN : 0;
	case FILE_TIMERFD:
		return event->is_over ? POLLIN : 0;
	case FILE_PIPE_READ:
		return event->other == NULL ? POLLHUP : 0;
	case FILE_PIPE_WRITE:
		return event->other == NULL ? POLLERR : POLLOUT;
	default:
		return 0;
	}
}

struct waits *event_get_waits(struct file *file)
{
	if (file->kind == FILE_SIGNALFD)
		return &of(file)->process->signals;
	if (file->kind == FILE_PIDFD)
		return &of(file)->process->death;
	return &file->waits;
}

int event_read(struct file *file, void *data, size_t n)
{
	struct event_file *event = of(file);

	if (file->kind == FILE_EVENTFD && n >= sizeof event->count) {
		if (event->count == 0)
			return -EAGAIN;
		memcpy(data, &event->count, sizeof event->count);
		event->count = 0;
		return (int)sizeof event->count;
	}
	if (file->kind == FILE_SIGNALFD) {
		uint64_t taken = event->process->pending & event->mask;
		uint32_t signo;

		if (taken == 0)
			return -EAGAIN;
		signo = (uint32_t)__builtin_ctzll(taken);
		event->process->pending &= ~(UINT64_C(1) << signo);
		memset(data, 0, n);
		memcpy(data, &signo, sizeof signo); /* ssi_signo is the first */
		return (int)n;
	}
	return -EINVAL;
}

int event_write(struct file *file, const void *data, size_t n)
{
	struct event_file *event = of(file);
	uint64_t count;

	if (file->kind != FILE_EVENTFD || n != sizeof count)
		return -EINVAL;
	memcpy(&count, data, sizeof count);
	event->count += count;
	world_wake(&file->waits);
	return (int)n;
}
