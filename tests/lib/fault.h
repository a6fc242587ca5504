/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

/*
 * Make the n-th call of a function fail, for the error paths that no real system takes on demand.
 *
 * A test executable that depends on `fault_dep` (meson) gets every call that it and the static
 * library make to the functions below through a wrapper (ld --wrap). Shared libraries keep calling
 * the real ones. Nothing fails until it is armed; Criterion forks each test, so no test inherits
 * another's faults.
 *
 *	fault_arm(FAULT_MMAP, 1, ENOMEM);
 *	cr_assert_eq(vly_slots_init(&slots, NULL, 4, 100), -ENOMEM);
 *	cr_assert_eq(fault_n_fired(), 1);
 *
 * And to walk through every error path of a function, without knowing what it calls:
 *
 *	for (unsigned int nth = 1;; nth++) {
 *		fault_arm(FAULT_ANY, nth, ENOMEM);
 *		r = thing_new(&thing);
 *		if (fault_disarm() == 0)
 *			break;                  (it ran to its end: all of them were tried)
 *		cr_assert_eq(r, -ENOMEM);
 *	}
 *
 * Any thread's calls count, and are counted without locks.
 */

#include <stdbool.h>

/* The functions that can fail. X(constant, function). */
#define FAULT_LIST(X)                                                   \
	X(FAULT_MALLOC, malloc)                                         \
	X(FAULT_CALLOC, calloc)                                         \
	X(FAULT_REALLOC, realloc)                                       \
	X(FAULT_REALLOCARRAY, reallocarray)                             \
	X(FAULT_ALIGNED_ALLOC, aligned_alloc)                           \
	X(FAULT_STRDUP, strdup)                                         \
	X(FAULT_MMAP, mmap)                                             \
	X(FAULT_SOCKET, socket)                                         \
	X(FAULT_BIND, bind)                                             \
	X(FAULT_CONNECT, connect)                                       \
	X(FAULT_SETSOCKOPT, setsockopt)                                 \
	X(FAULT_GETSOCKOPT, getsockopt)                                 \
	X(FAULT_GETSOCKNAME, getsockname)                               \
	X(FAULT_FCNTL, fcntl)                                           \
	X(FAULT_EVENTFD, eventfd)                                       \
	X(FAULT_SIGNALFD, signalfd)                                     \
	X(FAULT_TIMERFD_CREATE, timerfd_create)                         \
	X(FAULT_TIMERFD_SETTIME, timerfd_settime)                       \
	X(FAULT_EPOLL_CREATE1, epoll_create1)                           \
	X(FAULT_EPOLL_CTL, epoll_ctl)                                   \
	X(FAULT_EPOLL_WAIT, epoll_wait)                                 \
	X(FAULT_PIPE2, pipe2)                                           \
	X(FAULT_POLL, poll)                                             \
	X(FAULT_READ, read)                                             \
	X(FAULT_WRITE, write)                                           \
	X(FAULT_SIGACTION, sigaction)                                   \
	X(FAULT_PTHREAD_SIGMASK, pthread_sigmask)                       \
	X(FAULT_PTHREAD_CREATE, pthread_create)                         \
	X(FAULT_PTHREAD_SETAFFINITY_NP, pthread_setaffinity_np)         \
	X(FAULT_SYSCALL, syscall)                                       \
	X(FAULT_RECV, recv)                                             \
	X(FAULT_SEND, send)                                             \
	X(FAULT_RECVMSG, recvmsg)                                       \
	X(FAULT_SENDMSG, sendmsg)                                       \
	X(FAULT_PPOLL, ppoll)                                           \
	X(FAULT_SCHED_GETAFFINITY, sched_getaffinity)                   \
	X(FAULT_SCHED_SETAFFINITY, sched_setaffinity)                   \
	X(FAULT_EVENT_CONFIG_NEW, event_config_new)                     \
	X(FAULT_EVENT_BASE_NEW_WITH_CONFIG, event_base_new_with_config) \
	X(FAULT_EVENT_NEW, event_new)                                   \
	X(FAULT_EVENT_ADD, event_add)

#define FAULT_CONSTANT(constant, function) constant,

enum fault_function {
	FAULT_LIST(FAULT_CONSTANT) FAULT_N_FUNCTIONS,
	FAULT_ANY = FAULT_N_FUNCTIONS, /* the n-th call of whichever of them */
};

#undef FAULT_CONSTANT

/*
 * The nth call (from 1, counted from now) of `function` fails with `error`, once. Replaces what was
 * armed before. Pointer functions give NULL (mmap MAP_FAILED), the pthread ones return `error`, the
 * others -1 with errno set.
 */
void fault_arm(enum fault_function function, unsigned int nth, int error);

/* As fault_arm(), but every call from the nth on fails. */
void fault_arm_from(enum fault_function function, unsigned int nth, int error);

/* Nothing fails any more. Returns how many calls have failed since the last arming. */
unsigned int fault_disarm(void);

/* How many calls have failed since the last arming. */
unsigned int fault_n_fired(void);

/*
 * Or a function decides about every call: 0, or the errno that it fails with. `site` is the address
 * that the call returns to; `detail` tells system calls apart by their number, fcntl and epoll_ctl
 * by their command, socket options by FAULT_OPTION(level, name). NULL: nobody decides.
 */
#define FAULT_OPTION(level, name) ((long)(level) << 16 | (name))
typedef int (*fault_judge_fn)(enum fault_function function, const void *site, long detail);
void fault_set_judge(fault_judge_fn judge);

/* How often a function was called since the last arming (armed or not), FAULT_ANY for all. */
unsigned int fault_n_calls(enum fault_function function);

#endif
