/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_FD_H
#define VLY_WORKER_LOOP_FD_H

#include "worker/loop_ops.h"

/* Wait strategy: a descriptor for a loop of the caller's. */
extern const struct vly_loop_ops vly_loop_fd_ops;

/* The descriptor, which lives as long as the server. 0 or -errno; fini takes -1. */
int vly_loop_fd_init(struct volley_worker *worker);
void vly_loop_fd_fini(struct volley_worker *worker);

int vly_loop_fd_get(const struct volley_worker *worker);

/* The parts, of which serving on an event_base is made as well. */
int vly_loop_fd_open(struct volley_worker *worker);
void vly_loop_fd_close(struct volley_worker *worker);
int vly_loop_fd_update(struct volley_worker *worker, struct vly_sock *sock);
int vly_loop_fd_watch(struct volley_worker *worker, struct vly_sock *sock);
void vly_loop_fd_arm(struct volley_worker *worker);

/* One pass: the number of messages received, or -ESHUTDOWN when the command is to leave. */
int vly_loop_fd_process(struct volley_worker *worker);

#endif
