/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_WRAP_H
#define TESTS_SIMULATE_WRAP_H

/* What the wrapped calls have in common. All but wrap_result() return -errno. */

#include <sys/socket.h>

/* As the C library tells it. */
int wrap_result(long r);
/* A call begins: somebody else may run, and it may fail. */
int wrap_begin(const char *call, int detail);

int wrap_receive(const char *call, int fd, struct msghdr *msg, int flags);
int wrap_transmit(const char *call, int fd, const struct msghdr *msg);
int wrap_receive_many(int fd, struct mmsghdr *msgs, unsigned int n, int flags);
int wrap_transmit_many(int fd, struct mmsghdr *msgs, unsigned int n);

#endif
