/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_POLL_H
#define TESTS_SIMULATE_POLL_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#include "kernel.h"

struct file *epoll_open(void);
int epoll_change(struct file *file, int how, int fd, const struct epoll_event *event);
/* What is so now. */
int epoll_take(struct file *file, struct epoll_event *ret_events, int n);

/* Until there is something, or a signal: -EINTR. UINT64_MAX: no time; 0: only look. */
int poll_wait(struct pollfd *fds, uint32_t n, uint64_t until_ns);
int epoll_wait_until(struct file *file, struct epoll_event *ret_events, int n, uint64_t until_ns);

/* Bits of a set, as the simulated kernel keeps them. */
uint64_t signal_convert(const sigset_t *set);
/* Handlers of signals that have come, and are not blocked, run; whether there was one. */
bool signal_take(void);

#endif
