/* SPDX-License-Identifier: MIT */

/* Processes, descriptors, memory and signals. */

#include "kernel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "netlink.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

static int next_pid = PID_FIRST;

struct process *kernel_host;
struct signal_action kernel_actions[N_SIGNALS];

struct process *kernel_process(void)
{
	return world_thread != NULL && world_thread->process != NULL ? world_thread->process
								     : kernel_host;
}

/* Processes */

struct process *kernel_fork(void)
{
	struct process *process = __real_malloc(sizeof *process);

	*process = (struct process){ .pid = next_pid++, .n_limit = N_FDS };
	return process;
}

static void close_all(struct process *process)
{
	for (uint32_t fd = 0; fd < N_FDS; fd++) {
		struct file *file = process->fds[fd];

		process->fds[fd] = NULL;
		if (file != NULL)
			file_unref(file);
	}
}

void kernel_kill(struct process *process)
{
	struct thread *self = world_thread;

	if (process->is_dead)
		return;
	for (struct thread *thread = process->threads; thread != NULL; thread = thread->next)
		if (!thread->is_over)
			world_end_thread(thread);
	close_all(process);
	process->is_dead = true;
	world_wake(&process->death);
	if (self != NULL && self->process == process)
		world_switch(); /* and never comes back */
}

void kernel_free_process(struct process *process)
{
	struct thread *next;

	assert(process->is_dead);
	for (struct thread *thread = process->threads; thread != NULL; thread = next) {
		next = thread->next;
		world_free_thread(thread);
	}
	memory_forget(process);
	__real_free(process);
}

/* Descriptors */

int kernel_install(struct file *file)
{
	struct process *process = kernel_process();

	for (uint32_t fd = 3; fd < process->n_limit; fd++) {
		if (process->fds[fd] != NULL)
			continue;
		process->fds[fd] = file;
		return (int)fd;
	}
	file_unref(file);
	kernel_run_out("descriptors");
	return -EMFILE;
}

struct file *kernel_get(int fd)
{
	if (world_thread != NULL)
		world_thread->call_fd = fd;
	return fd >= 0 && fd < N_FDS ? kernel_process()->fds[fd] : NULL;
}

struct file *kernel_get_kind(int fd, enum file_kind kind)
{
	struct file *file = kernel_get(fd);

	return file != NULL && file->kind == kind ? file : NULL;
}

int kernel_close(int fd)
{
	struct file *file = kernel_get(fd);

	if (file == NULL) {
		world_blame("close(%d), which is not open", fd);
		return -EBADF;
	}
	kernel_process()->fds[fd] = NULL;
	file_unref(file);
	return 0;
}

uint32_t kernel_count_fds(const struct process *process)
{
	uint32_t n = 0;

	for (uint32_t fd = 0; fd < N_FDS; fd++)
		n += process->fds[fd] != NULL;
	return n;
}

/* Files */

static const struct {
	void (*close)(struct file *file);
	short (*poll)(struct file *file);
} kinds[] = {
	[FILE_UDP] = { udp_close, udp_poll },
	[FILE_UNIX] = { unix_close, unix_poll },
	[FILE_EVENTFD] = { event_close, event_poll },
	[FILE_SIGNALFD] = { event_close, event_poll },
	[FILE_EPOLL] = { epoll_close, epoll_poll },
	[FILE_PIPE_READ] = { event_close, event_poll },
	[FILE_PIPE_WRITE] = { event_close, event_poll },
	[FILE_PIDFD] = { event_close, event_poll },
	[FILE_TIMERFD] = { event_close, event_poll },
	[FILE_NETLINK] = { netlink_close, netlink_poll },
};

void file_init(struct file *file, enum file_kind kind)
{
	static uint64_t n_files;

	*file = (struct file){ .kind = kind, .number = ++n_files, .n_users = 1, .n_holds = 1 };
}

struct file *file_hold(struct file *file)
{
	file->n_holds++;
	return file;
}

void file_drop(struct file *file)
{
	if (--file->n_holds == 0)
		__real_free(file);
}

struct file *file_ref(struct file *file)
{
	file->n_users++;
	return file;
}

void file_unref(struct file *file)
{
	assert(file->n_users > 0);
	if (--file->n_users > 0)
		return;
	kinds[file->kind].close(file);
	world_wake(&file->waits);
	file_drop(file);
}

short file_poll(struct file *file)
{
	return kinds[file->kind].poll(file);
}

/* Signals */

void kernel_signal_thread(struct thread *thread, int signo)
{
	if (thread->is_over)
		return;
	thread->pending |= UINT64_C(1) << signo;
	if (!(thread->blocked >> signo & 1)) {
		thread->is_hit = true;
		world_wake_thread(thread);
	}
}

void kernel_signal_process(struct process *process, int signo)
{
	if (process->is_dead)
		return;
	process->pending |= UINT64_C(1) << signo;
	world_wake(&process->signals);
}
