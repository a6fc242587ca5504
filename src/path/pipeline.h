/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_PIPELINE_H
#define VLY_PATH_PIPELINE_H

#include <stdint.h>

#include <volley/server.h>

struct vly_port;

/*
 * One pass of a worker over its ready sockets: receive, call back, send; up to `budget` volleys
 * each. Never blocks. The whole data path. Returns how many messages were received. Sockets found
 * empty are no longer
 * `ready`.
 */
uint32_t vly_pipeline_run_once(struct volley_worker *worker, uint32_t budget);

/* The same for one socket, ready or not. */
uint32_t vly_pipeline_run_port(struct volley_worker *worker, struct vly_port *port,
			       uint32_t budget);

/*
 * For the worker's only socket: sleep for the first message, a cancellation point, and take what
 * there is. Returns how many messages wait in the slots for vly_pipeline_serve(); 0 or
 * -ECANCELED: none. 0 without having slept, too, where the socket is non-blocking.
 */
int vly_pipeline_wait(struct volley_worker *worker, struct vly_port *port);
void vly_pipeline_serve(struct volley_worker *worker, struct vly_port *port, uint32_t n);

/* Mark every socket that is read ready: for loops that do not ask the kernel which are. */
void vly_pipeline_set_ready(struct volley_worker *worker);

/* Let others see the counters as they are now; done once a volley by itself. */
void vly_pipeline_publish(struct volley_worker *worker);

/*
 * Send what was requested outside a volley (by posts, timers, other threads), if anything was.
 */
void vly_pipeline_flush(struct volley_worker *worker);

/* Count and throw away what a socket still holds. The kernel refuses new datagrams already. */
void vly_pipeline_discard(struct volley_worker *worker, uint32_t listener);

#endif
