/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_LOOP_H
#define VOLLEY_LOOP_H

/**
 * @file loop.h
 * Event loops: the one of a worker, for descriptors of your own, and one of yours that serves the
 * server (docs/loops.md).
 */

#include <stdint.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct volley_server;
struct volley_worker;

/**
 * The libevent loop of a worker, for your own descriptors. Add them in on_start (or later on the
 * worker's thread) and free them in on_stop.
 *
 * Timers are better volley's (volley_worker_set_timer()), for which a timerfd stands on this base:
 * libevent's are late by up to 4 ms here, and with EVENT_BASE_FLAG_PRECISE_TIMER, which this base
 * does not have, each wake would cost 0.7 us more while one is pending.
 *
 * The base has no locks (EVENT_BASE_FLAG_NOLOCK): only the worker's own thread may touch it. Use
 * volley_server_post() from elsewhere. If it is yours (config.event_base), it is as you made it.
 *
 * @return the base; NULL unless the wait strategy is VOLLEY_WAIT_EVENT
 * @threads  the worker's
 * @blocks   never
 */
VOLLEY_API struct event_base *volley_worker_get_event_base(const struct volley_worker *worker);

/**
 * The descriptor to watch, with the wait strategy VOLLEY_WAIT_FD: readable (POLLIN) for as long as
 * volley_server_process() has something to do; level-triggered. For epoll, poll, libuv, GLib or any
 * other loop; do not read from it and do not close it.
 *
 * It stays the same from new to free, and is never readable while the server does not run.
 *
 * @param server  any state
 * @return the descriptor; -EINVAL with another wait strategy
 * @threads  any
 * @blocks   never
 * @kernel   epoll(7): an epoll descriptor, which can be watched like any other
 */
VOLLEY_API int volley_server_get_fd(struct volley_server *server);

/**
 * How long the loop may sleep at most, with VOLLEY_WAIT_FD: until volley_server_process() has to be
 * called even if the descriptor is not readable (a timer is set, replies wait for a full device, or
 * not much longer). Ask before each sleep. Round up: with milliseconds, sleep (ns + 999999)
 * / 1000000.
 *
 * @param server  any state
 * @return nanoseconds from now; 0: at once, also while another thread is in
 *         volley_server_process(), for only then it is known; -1: for ever, also while the server
 *         does not run or with another wait strategy
 * @threads  any, workers and handlers included
 * @blocks   never
 */
VOLLEY_API int64_t volley_server_get_timeout_ns(struct volley_server *server);

/**
 * Do what there is to do, with VOLLEY_WAIT_FD: serve what the sockets hold (config.n_budget receive
 * calls each), run what was posted, let timers fire, send what waits. Then return to the loop; if
 * there is more, the descriptor is still readable. May be called at any time.
 *
 * After volley_server_request_stop() this is the call that stops: it sends the replies that were
 * made, runs on_stop, and says -ESHUTDOWN, as do all later ones until the server is started again.
 *
 * @param server  a running server
 * @return how many messages were received, 0 or more; -ESHUTDOWN when not running; -EINVAL with
 *         another wait strategy; -EDEADLK from one of its own callbacks, a handler's too
 * @threads  any, one after the other; callbacks and hooks run on the caller's
 * @blocks   not by itself (your callbacks may); while another thread is in it, so two servers must
 *           not call this for each other in their callbacks; up to 20 ms when it stops with replies
 *           that wait
 */
VOLLEY_API int volley_server_process(struct volley_server *server);

#ifdef __cplusplus
}
#endif

#endif
