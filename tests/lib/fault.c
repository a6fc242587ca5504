/* SPDX-License-Identifier: MIT */

/*
 * The wrappers. One rule (`fails`) decides for all of them; a wrapper only knows how its function
 * says no. Where the C library has a second name for 64-bit offsets, both are wrapped and counted
 * as one. The list in meson.build next to this file must name the same functions: one that is
 * missing there leaves __real_ undefined, which fails the link.
 */

#include "lib/fault.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static atomic_int armed = -1; /* enum fault_function */
static atomic_bool forever;
static atomic_uint nth;
static atomic_int error;
static atomic_uint n_fired;
static _Atomic(fault_judge_fn) judge;
static atomic_uint n_calls[FAULT_N_FUNCTIONS + 1];

static void arm(enum fault_function function, unsigned int n, int with, bool repeat)
{
	atomic_store(&armed, -1);
	for (int i = 0; i <= FAULT_N_FUNCTIONS; i++)
		atomic_store(&n_calls[i], 0);
	atomic_store(&n_fired, 0);
	atomic_store(&nth, n);
	atomic_store(&error, with);
	atomic_store(&forever, repeat);
	/* Last: publishes the rest to the other threads' calls. */
	atomic_store(&armed, (int)function);
}

void fault_arm(enum fault_function function, unsigned int n, int with)
{
	arm(function, n, with, false);
}

void fault_arm_from(enum fault_function function, unsigned int n, int with)
{
	arm(function, n, with, true);
}

unsigned int fault_disarm(void)
{
	atomic_store(&armed, -1);
	return atomic_load(&n_fired);
}

unsigned int fault_n_fired(void)
{
	return atomic_load(&n_fired);
}

unsigned int fault_n_calls(enum fault_function function)
{
	return atomic_load(&n_calls[function]);
}

void fault_set_judge(fault_judge_fn fn)
{
	atomic_store(&judge, fn);
}

/* Count this call; 0, or the error it fails with, which errno gets too. */
static int fails_at(enum fault_function function, const void *site, long detail)
{
	fault_judge_fn decide = atomic_load(&judge);
	unsigned int n_own = atomic_fetch_add(&n_calls[function], 1) + 1;
	unsigned int n_any = atomic_fetch_add(&n_calls[FAULT_ANY], 1) + 1;
	int which = atomic_load(&armed);
	unsigned int n = which == FAULT_ANY ? n_any : n_own;
	unsigned int at = atomic_load(&nth);

	if (decide != NULL) {
		int verdict = decide(function, site, detail);

		if (verdict != 0)
			errno = verdict;
		return verdict;
	}
	if (which != FAULT_ANY && which != (int)function)
		return 0;
	if (n != at && !(n > at && atomic_load(&forever)))
		return 0;
	atomic_fetch_add(&n_fired, 1);
	errno = atomic_load(&error);
	return errno;
}

/* To be called in a wrapper: whom that returns to is the call's site. */
#define fails(function, detail) fails_at(function, __builtin_return_address(0), detail)

/*
 * A function with a fixed list of parameters. `failure` may use `fault`, the error, which errno has
 * as well.
 */
#define WRAP(constant, type, failure, function, params, args) \
	WRAP_DETAIL(constant, type, failure, function, params, args, 0)
#define WRAP_DETAIL(constant, type, failure, function, params, args, detail) \
	type __real_##function params;                                       \
	type __wrap_##function params;                                       \
                                                                             \
	type __wrap_##function params                                        \
	{                                                                    \
		int fault = fails(constant, detail);                         \
                                                                             \
		return fault != 0 ? (failure) : __real_##function args;      \
	}

#define WRAP_INT(constant, function, params, args) WRAP(constant, int, -1, function, params, args)
#define WRAP_PTR(constant, function, params, args) \
	WRAP(constant, void *, NULL, function, params, args)

WRAP_PTR(FAULT_MALLOC, malloc, (size_t n), (n))
WRAP_PTR(FAULT_CALLOC, calloc, (size_t n, size_t size), (n, size))
WRAP_PTR(FAULT_REALLOC, realloc, (void *mem, size_t n), (mem, n))
WRAP_PTR(FAULT_REALLOCARRAY, reallocarray, (void *mem, size_t n, size_t size), (mem, n, size))
WRAP_PTR(FAULT_ALIGNED_ALLOC, aligned_alloc, (size_t align, size_t n), (align, n))
WRAP(FAULT_STRDUP, char *, NULL, strdup, (const char *text), (text))

#define MMAP_PARAMS (void *addr, size_t n, int prot, int flags, int fd, off_t offset)
WRAP(FAULT_MMAP, void *, MAP_FAILED, mmap, MMAP_PARAMS, (addr, n, prot, flags, fd, offset))
WRAP(FAULT_MMAP, void *, MAP_FAILED, mmap64, MMAP_PARAMS, (addr, n, prot, flags, fd, offset))

#define ADDR_PARAMS (int fd, const struct sockaddr *addr, socklen_t n)
#define NAME_PARAMS (int fd, struct sockaddr *addr, socklen_t *n)
#define SET_PARAMS  (int fd, int level, int name, const void *value, socklen_t n)
#define GET_PARAMS  (int fd, int level, int name, void *value, socklen_t *n)
WRAP_INT(FAULT_SOCKET, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP_INT(FAULT_BIND, bind, ADDR_PARAMS, (fd, addr, n))
WRAP_INT(FAULT_CONNECT, connect, ADDR_PARAMS, (fd, addr, n))
WRAP_DETAIL(FAULT_SETSOCKOPT, int, -1, setsockopt, SET_PARAMS, (fd, level, name, value, n),
	    FAULT_OPTION(level, name))
WRAP_DETAIL(FAULT_GETSOCKOPT, int, -1, getsockopt, GET_PARAMS, (fd, level, name, value, n),
	    FAULT_OPTION(level, name))
WRAP_INT(FAULT_GETSOCKNAME, getsockname, NAME_PARAMS, (fd, addr, n))

WRAP_INT(FAULT_EVENTFD, eventfd, (unsigned int count, int flags), (count, flags))
WRAP_INT(FAULT_SIGNALFD, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
WRAP_INT(FAULT_TIMERFD_CREATE, timerfd_create, (int clock, int flags), (clock, flags))
WRAP_INT(FAULT_TIMERFD_SETTIME, timerfd_settime,
	 (int fd, int flags, const struct itimerspec *now, struct itimerspec *ret_old),
	 (fd, flags, now, ret_old))
WRAP_INT(FAULT_EPOLL_CREATE1, epoll_create1, (int flags), (flags))
WRAP_DETAIL(FAULT_EPOLL_CTL, int, -1, epoll_ctl,
	    (int epfd, int op, int fd, struct epoll_event *event), (epfd, op, fd, event), op)
WRAP_INT(FAULT_EPOLL_WAIT, epoll_wait, (int epfd, struct epoll_event *events, int n, int timeout),
	 (epfd, events, n, timeout))
WRAP_INT(FAULT_PIPE2, pipe2, (int fds[2], int flags), (fds, flags))
WRAP_INT(FAULT_POLL, poll, (struct pollfd * fds, nfds_t n, int timeout_ms), (fds, n, timeout_ms))
WRAP(FAULT_READ, ssize_t, -1, read, (int fd, void *buf, size_t n), (fd, buf, n))
WRAP(FAULT_WRITE, ssize_t, -1, write, (int fd, const void *buf, size_t n), (fd, buf, n))

WRAP(FAULT_RECV, ssize_t, -1, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags))
WRAP(FAULT_SEND, ssize_t, -1, send, (int fd, const void *buf, size_t n, int flags),
     (fd, buf, n, flags))
WRAP(FAULT_RECVMSG, ssize_t, -1, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
WRAP(FAULT_SENDMSG, ssize_t, -1, sendmsg, (int fd, const struct msghdr *msg, int flags),
     (fd, msg, flags))
WRAP_INT(FAULT_PPOLL, ppoll,
	 (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
	 (fds, n, timeout, mask))
WRAP_INT(FAULT_SCHED_GETAFFINITY, sched_getaffinity, (pid_t pid, size_t n, cpu_set_t *cpus),
	 (pid, n, cpus))
WRAP_INT(FAULT_SCHED_SETAFFINITY, sched_setaffinity, (pid_t pid, size_t n, const cpu_set_t *cpus),
	 (pid, n, cpus))

#define SIGACTION_PARAMS (int signum, const struct sigaction *act, struct sigaction *old)
#define CREATE_PARAMS \
	(pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
#define AFFINITY_PARAMS (pthread_t thread, size_t n, const cpu_set_t *cpus)
WRAP_INT(FAULT_SIGACTION, sigaction, SIGACTION_PARAMS, (signum, act, old))
WRAP(FAULT_PTHREAD_SIGMASK, int, fault, pthread_sigmask,
     (int how, const sigset_t *set, sigset_t *old), (how, set, old))
WRAP(FAULT_PTHREAD_CREATE, int, fault, pthread_create, CREATE_PARAMS, (thread, attr, start, arg))
WRAP(FAULT_PTHREAD_SETAFFINITY_NP, int, fault, pthread_setaffinity_np, AFFINITY_PARAMS,
     (thread, n, cpus))

WRAP(FAULT_EVENT_CONFIG_NEW, struct event_config *, NULL, event_config_new, (void), ())
WRAP(FAULT_EVENT_BASE_NEW_WITH_CONFIG, struct event_base *, NULL, event_base_new_with_config,
     (const struct event_config *config), (config))
WRAP(FAULT_EVENT_NEW, struct event *, NULL, event_new,
     (struct event_base * base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg),
     (base, fd, what, fn, arg))
WRAP_INT(FAULT_EVENT_ADD, event_add, (struct event * ev, const struct timeval *timeout),
	 (ev, timeout))

/*
 * The variadic ones. The third argument of fcntl and the six of a system call are passed on as
 * machine words whether they were given or not, which the ABIs we run on allow.
 */
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list list;
	void *arg;

	va_start(list, cmd);
	arg = va_arg(list, void *);
	va_end(list);
	return fails(FAULT_FCNTL, cmd) != 0 ? -1 : __real_fcntl(fd, cmd, arg);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list list;
	void *arg;

	va_start(list, cmd);
	arg = va_arg(list, void *);
	va_end(list);
	return fails(FAULT_FCNTL, cmd) != 0 ? -1 : __real_fcntl64(fd, cmd, arg);
}

long __wrap_syscall(long nr, ...)
{
	va_list list;
	long arg[6];

	va_start(list, nr);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(list, long);
	va_end(list);
	if (fails(FAULT_SYSCALL, nr) != 0)
		return -1;
	return __real_syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
