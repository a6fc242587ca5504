/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_LOOPBACK_H
#define TESTS_LIB_LOOPBACK_H

/*
 * UDP sockets on loopback for tests, on the plain calls of the C library: what is tested is not
 * used to test itself. Every function ends the process with a message when the system fails it.
 */

#include <stdint.h>

#include <volley/addr.h>

/* Text to address, such as "127.0.0.1:0". */
struct volley_addr loopback_addr(const char *text);

/* A blocking socket bound to `text`; its address when ret_addr is not NULL. */
int loopback_open(const char *text, struct volley_addr *ret_addr);

/* One datagram of n bytes, the first of which is `tag`. */
void loopback_send(int fd, const struct volley_addr *to, uint8_t tag, size_t n);

/* Wait up to a second for something to read. 1, or 0 when nothing came. */
int loopback_wait(int fd);

/* The length of the next datagram after loopback_wait(), or -errno (-EAGAIN when none came). */
int loopback_recv(int fd, uint8_t *buf, size_t n, struct volley_addr *ret_from);

/* Descriptors that are open now: the same before and after, or something leaks. */
int loopback_n_fds(void);

#endif
