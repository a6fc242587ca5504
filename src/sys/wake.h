/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_WAKE_H
#define VLY_SYS_WAKE_H

/*
 * An eventfd, with which a thread that sleeps in poll or epoll is woken. It is readable from the
 * first post until somebody takes it.
 */

#include <stdbool.h>

/* A descriptor that could be written and read, or -errno. */
int vly_wake_open(void);
void vly_wake_close(int fd); /* -1 is fine */

/* Any thread, signal handlers too. Keeps errno. */
void vly_wake_post(int fd);

/* Take all posts so far; false when there were none. Never sleeps. */
bool vly_wake_take(int fd);

#endif
