/* SPDX-License-Identifier: MIT */
#ifndef VLY_WORKER_CHANGE_H
#define VLY_WORKER_CHANGE_H

/*
 * Changes of the listeners, as one worker carries them out: the errands that there are
 * (vly_errand_fn). On the worker's thread between two volleys, or on the control thread while the
 * worker has none.
 */

#include "path/worker.h"

/* What `arg` of each is. */
struct vly_listener;

/*
 * A listener comes: the worker gets its sockets i, i + N and so on. 0 or -errno; those that it got
 * before the failure it has until the listener goes again. It goes again: the sockets stay open.
 * -EAGAIN: handlers have packets of it yet.
 */
int vly_change_attach(struct volley_worker *worker, void *listener);
int vly_change_detach(struct volley_worker *worker, void *listener);

/* One turn of a listener's way out. -EAGAIN: there is more to serve or to send. */
int vly_change_serve(struct volley_worker *worker, void *listener);
/*
 * One turn of all sockets that a drain serves before the last ones; arg is not used. -EAGAIN: there
 * is more to serve or to send, or something is still to be replied to, of any socket.
 */
int vly_change_serve_first(struct volley_worker *worker, void *arg);
/* Time is over: what handlers have not begun comes back unserved. -EAGAIN: not all of it yet. */
int vly_change_give_up(struct volley_worker *worker, void *listener);
/* Its sockets leave the kernel's lookup, unless they are somebody else's too. */
int vly_change_leave(struct volley_worker *worker, void *listener);
/* Count what is left in them, and close them. -EAGAIN: handlers have packets of some yet. */
int vly_change_finish(struct volley_worker *worker, void *listener);

/* For all listeners that are marked `exported`; arg is not used. */
int vly_change_pause(struct volley_worker *worker, void *arg);
int vly_change_resume(struct volley_worker *worker, void *arg);
int vly_change_give_up_exported(struct volley_worker *worker, void *arg);
/* The kernel's counters are somebody else's from here on: close without reading them. */
int vly_change_give_away(struct volley_worker *worker, void *arg);
/* Whether anything is still to be served, sent or replied to, of any socket: -EAGAIN. */
int vly_change_check(struct volley_worker *worker, void *arg);

/* A listener's sockets are nobody else's any more, as far as its flags say. */
int vly_change_adopt(struct volley_worker *worker, void *listener);

#endif
