/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_LOOP_NEW_H
#define VLY_WORKER_LOOP_NEW_H

/* Making an event_base for a worker: a refusal is a sentence, and libevent's own go to the hook. */

struct event_base;
struct volley_worker;

/*
 * The base of the calling worker. 0 or -errno, which was logged. Until vly_loop_free() what
 * libevent has to say on this thread goes to the server's log hook.
 */
int vly_loop_new(struct volley_worker *worker, struct event_base **ret_base);

/* The same thread; NULL is fine. */
void vly_loop_free(struct event_base *base);

#endif
