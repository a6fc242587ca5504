/* SPDX-License-Identifier: MIT */

/*
 * The C library's functions by which the library meets the kernel, and what the simulated kernel
 * makes of them. Each is a point: any other thread may run before it.
 */

#include "wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "event.h"
#include "kernel.h"
#include "netlink.h"
#include "poll.h"

static void tell(long r)
{
	struct thread *self = world_thread;
	char fd[16] = "";
	char detail[16] = "";

	if (self == NULL || self->call == NULL)
		return;
	if (self->call_fd >= 0)
		snprintf(fd, sizeof fd, "%d", self->call_fd);
	if (self->call_detail != 0)
		snprintf(detail, sizeof detail, "%s%d", fd[0] != '\0' ? ", " : "",
			 self->call_detail);
	if (r < 0)
		world_tell("%s(%s%s) = %s", self->call, fd, detail, strerrorname_np((int)-r));
	else
		world_tell("%s(%s%s) = %ld", self->call, fd, detail, r);
	self->call = NULL;
	self->call_fd = -1;
}

/* -errno, as the C library tells it. */
int wrap_result(long r)
{
	if (world_tells != TELL_NOTHING)
		tell(r);
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}

/* A call begins: somebody else may run, and it may fail. */
int wrap_begin(const char *call, int detail)
{
	if (world_thread != NULL) {
		world_thread->call = call;
		world_thread->call_detail = detail;
	}
	world_point();
	return -kernel_fault(call, detail);
}

static uint64_t get_deadline(const struct timespec *timeout)
{
	if (timeout == NULL)
		return UINT64_MAX;
	return world_now() + (uint64_t)timeout->tv_sec * 1000000000 + (uint64_t)timeout->tv_nsec;
}

/* Descriptors ---------------------------------------------------------------------------------- */

int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
	struct file *file;
	int r = wrap_begin("socket", 0);

	(void)protocol;
	if (r < 0)
		return wrap_result(r);
	if (family == AF_NETLINK)
		return wrap_result(kernel_install(netlink_open()));
	r = udp_open(family, &file);
	if (r < 0)
		return wrap_result(r);
	file->nonblocking = type & SOCK_NONBLOCK;
	return wrap_result(kernel_install(file));
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
	wrap_begin("close", 0); /* it never fails */
	return wrap_result(kernel_close(fd));
}

int __wrap_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags)
{
	int r = wrap_begin("eventfd", 0);
	struct file *file;

	(void)count;
	if (r < 0)
		return wrap_result(r);
	file = event_open();
	file->nonblocking = flags & EFD_NONBLOCK;
	return wrap_result(kernel_install(file));
}

int __wrap_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags)
{
	struct file *ends[2];
	int r = wrap_begin("pipe2", 0);

	(void)flags;
	if (r < 0)
		return wrap_result(r);
	event_open_pipe(ends);
	fds[0] = kernel_install(ends[0]);
	fds[1] = kernel_install(ends[1]);
	if (fds[1] >= 0)
		return 0;
	if (fds[0] >= 0)
		kernel_close(fds[0]);
	return wrap_result(-EMFILE);
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
	int r = wrap_begin("signalfd", 0);

	(void)fd, (void)flags;
	if (r < 0)
		return wrap_result(r);
	return wrap_result(
		kernel_install(event_open_signals(kernel_process(), signal_convert(mask))));
}

int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
	int r = wrap_begin("timerfd_create", 0);

	if (clock != CLOCK_MONOTONIC || !(flags & TFD_NONBLOCK))
		abort();
	return wrap_result(r < 0 ? r : kernel_install(event_open_timer()));
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time,
			   struct itimerspec *ret_old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time,
			   struct itimerspec *ret_old)
{
	struct file *file = kernel_get_kind(fd, FILE_TIMERFD);
	uint64_t at_ns = (uint64_t)time->it_value.tv_sec * 1000000000 +
			 (uint64_t)time->it_value.tv_nsec;
	int r = wrap_begin("timerfd_settime", 0);

	if (flags != TFD_TIMER_ABSTIME || ret_old != NULL || time->it_interval.tv_nsec != 0)
		abort();
	if (r >= 0 && file == NULL)
		r = -EBADF;
	if (r >= 0)
		event_set_timer(file, at_ns == 0 ? UINT64_MAX : at_ns);
	return wrap_result(r);
}

int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
	int r = wrap_begin("epoll_create1", 0);

	(void)flags;
	return wrap_result(r < 0 ? r : kernel_install(epoll_open()));
}

int __wrap_fcntl64(int fd, int how, ...);
int __wrap_fcntl(int fd, int how, ...);

static int control(int fd, int how)
{
	struct file *file = kernel_get(fd);
	int r = wrap_begin("fcntl", how);

	if (r >= 0 && file == NULL)
		r = -EBADF;
	if (r < 0)
		return wrap_result(r);
	switch (how) {
	case F_DUPFD_CLOEXEC:
		return wrap_result(kernel_install(file_ref(file)));
	case F_SETFD:
		return 0;
	case F_GETFL:
		return (file->kind == FILE_PIPE_WRITE  ? O_WRONLY
			: file->kind == FILE_PIPE_READ ? O_RDONLY
						       : O_RDWR) |
		       (file->nonblocking ? O_NONBLOCK : 0);
	case F_GETPIPE_SZ:
		if (file->kind == FILE_PIPE_READ || file->kind == FILE_PIPE_WRITE)
			return 65536;
		return wrap_result(-EBADF);
	default:
		abort();
	}
}

int __wrap_fcntl(int fd, int how, ...)
{
	return control(fd, how);
}

int __wrap_fcntl64(int fd, int how, ...)
{
	return control(fd, how);
}

ssize_t __wrap_read(int fd, void *data, size_t n);
ssize_t __wrap_read(int fd, void *data, size_t n)
{
	struct file *file = kernel_get(fd);
	int r = wrap_begin("read", 0);

	if (r >= 0)
		r = file != NULL ? event_read(file, data, n) : -EBADF;
	return wrap_result(r);
}

ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	struct file *file = kernel_get(fd);
	int r = wrap_begin("write", 0);

	if (r >= 0)
		r = file != NULL ? event_write(file, data, n) : -EBADF;
	return wrap_result(r);
}

/* Waiting -------------------------------------------------------------------------------------- */

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int r = wrap_begin("poll", 0);
	uint64_t until_ns = timeout_ms < 0 ? UINT64_MAX
					   : world_now() + (uint64_t)timeout_ms * 1000000;

	return wrap_result(r < 0 ? r : poll_wait(fds, (uint32_t)n, timeout_ms == 0 ? 0 : until_ns));
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	uint64_t blocked = world_thread->blocked;
	int r = wrap_begin("ppoll", 0);

	if (r < 0)
		return wrap_result(r);
	if (mask != NULL)
		world_thread->blocked = signal_convert(mask);
	r = poll_wait(fds, (uint32_t)n, get_deadline(timeout));
	world_thread->blocked = blocked;
	return wrap_result(r);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left)
{
	(void)ret_left;
	return wrap_result(poll_wait(NULL, 0, get_deadline(time)));
}

int __wrap_epoll_ctl(int poll_fd, int how, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int poll_fd, int how, int fd, struct epoll_event *event)
{
	struct file *file = kernel_get_kind(poll_fd, FILE_EPOLL);
	int r = how == EPOLL_CTL_DEL ? 0 : wrap_begin("epoll_ctl", how);

	if (r >= 0)
		r = file != NULL ? epoll_change(file, how, fd, event) : -EBADF;
	return wrap_result(r);
}

int __wrap_epoll_pwait(int poll_fd, struct epoll_event *events, int n, int timeout_ms,
		       const sigset_t *mask);
int __wrap_epoll_pwait(int poll_fd, struct epoll_event *events, int n, int timeout_ms,
		       const sigset_t *mask)
{
	struct file *file = kernel_get_kind(poll_fd, FILE_EPOLL);
	uint64_t until_ns = timeout_ms < 0 ? UINT64_MAX
					   : world_now() + (uint64_t)timeout_ms * 1000000;
	uint64_t blocked = world_thread->blocked;
	int r = wrap_begin("epoll_wait", 0);

	if (r >= 0 && file == NULL)
		r = -EBADF;
	if (r < 0)
		return wrap_result(r);
	if (mask != NULL)
		world_thread->blocked = signal_convert(mask);
	r = epoll_wait_until(file, events, n, timeout_ms == 0 ? 0 : until_ns);
	world_thread->blocked = blocked;
	return wrap_result(r);
}

int __wrap_epoll_wait(int poll_fd, struct epoll_event *events, int n, int timeout_ms);
int __wrap_epoll_wait(int poll_fd, struct epoll_event *events, int n, int timeout_ms)
{
	return __wrap_epoll_pwait(poll_fd, events, n, timeout_ms, NULL);
}

/* Others --------------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	uint64_t now_ns;

	world_point();
	now_ns = world_now();
	if (clock == CLOCK_REALTIME)
		now_ns += UINT64_C(1700000000) * 1000000000;
	ret_time->tv_sec = (time_t)(now_ns / 1000000000);
	ret_time->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
	return kernel_process() != NULL ? kernel_process()->pid : 1;
}

static struct thread *find_thread(struct process *process, long number)
{
	for (struct thread *thread = process->threads; thread != NULL; thread = thread->next)
		if ((long)thread->number == number && !thread->is_over)
			return thread;
	return NULL;
}

static int fill_random(uint8_t *bytes, long n_bytes)
{
	int r = wrap_begin("getrandom", 0);

	if (r < 0)
		return wrap_result(r);
	for (long i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)world_random();
	return (int)n_bytes;
}

long __wrap_syscall(long nr, ...);
long __wrap_syscall(long nr, ...)
{
	struct thread *thread;
	va_list args;
	long a[6];
	int r;

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	switch (nr) {
	case SYS_recvmmsg:
		return wrap_result(wrap_receive_many((int)a[0], (struct mmsghdr *)a[1],
						     (unsigned int)a[2], (int)a[3]));
	case SYS_sendmmsg:
		return wrap_result(
			wrap_transmit_many((int)a[0], (struct mmsghdr *)a[1], (unsigned int)a[2]));
	case SYS_recvmsg:
		return wrap_result(
			wrap_receive("recvmsg", (int)a[0], (struct msghdr *)a[1], (int)a[2]));
	case SYS_sendmsg:
		return wrap_result(wrap_transmit("sendmsg", (int)a[0], (struct msghdr *)a[1]));
	case SYS_read:
		return __wrap_read((int)a[0], (void *)a[1], (size_t)a[2]);
	case SYS_write:
		return __wrap_write((int)a[0], (const void *)a[1], (size_t)a[2]);
	case SYS_membarrier:
		return wrap_result(wrap_begin("membarrier", 0));
	case SYS_gettid:
		return (long)world_thread->number;
	case SYS_tgkill:
		world_point();
		thread = find_thread(kernel_process(), a[1]);
		if (thread == NULL)
			return wrap_result(-ESRCH);
		kernel_signal_thread(thread, (int)a[2]);
		return 0;
	case SYS_pidfd_open:
		r = wrap_begin("pidfd_open", 0);
		if (r < 0)
			return wrap_result(r);
		return wrap_result(kernel_install(event_open_process(kernel_process())));
	case SYS_openat:
		return wrap_result(-ENOENT);
	case SYS_getrandom:
		return fill_random((uint8_t *)a[0], a[1]);
	default:
		abort();
	}
}
