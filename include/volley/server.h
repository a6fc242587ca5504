/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_SERVER_H
#define VOLLEY_SERVER_H

/**
 * @file server.h
 * A server: workers, listeners, and their life.
 *
 *     new -> listen ... -> start -> stop | drain -> (start again) -> free
 *     new -> listen ... -> run                                    -> free
 *
 * Every function here may be called in any state and says what it then does.
 *
 * In every header of volley: NULL where something has to be is -EINVAL (of a getter: NULL, 0 or
 * false), and where there is a server to tell, its log hook gets a sentence.
 *
 * A thread that another one ends by pthread_cancel() does not end inside a function of this
 * library, nor in a callback or hook that one of them calls, but once it is out of it: no call is
 * half done.
 *
 * A server works in the process that made it. In a child that was forked since, its threads do not
 * exist, and its sockets are those of the server at home: volley_server_close() and
 * volley_server_free() close the child's copies of the descriptors and give memory back there,
 * without a change to any socket, and everything else that would act or wait returns -ESRCH (or
 * what stands for `none`), with a sentence to the log where it is no matter of datagrams. So make
 * the server after fork() and daemon(). What costs a call to find out is a look at a page that the
 * kernel clears in children (madvise(2), MADV_WIPEONFORK, Linux 4.14); before, and where the page
 * is not cleared, getpid() tells, and a send or a post of the child is not refused.
 */

#include <volley/config.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct volley_server;

/**
 * Make a server. Nothing is opened and no thread is started yet.
 *
 * @param config      NULL for all defaults; copied
 * @param ret_server  the server; untouched on failure
 * @return 0; -EINVAL for a value out of range (the log hook gets a sentence that names it); -E2BIG
 *         for a config of a newer header with fields set that this library does not know; -EMFILE
 *         or -ENFILE for lack of descriptors; -ENOMEM; any errno with which the system refuses a
 *         call that nothing works without, and the log hook gets its name (docs/kernel.md)
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_server_new(const struct volley_config *config,
				 struct volley_server **ret_server);

/**
 * Start the workers and wait until each has run its on_start hook.
 *
 * Where the loop is yours (VOLLEY_WAIT_FD, config.event_base) there is no thread: on_start runs in
 * this call, and then it is up to your loop. `From a worker` means there, and everywhere below,
 * from inside volley_server_process(), from callbacks and hooks, whatever the thread.
 *
 * @param server  a server that is not running
 * @return 0; -EALREADY when running; -ENOTCONN without a listener; -EINVAL when the wait strategy
 *         does not suit the listeners; an on_start hook's error; -EMFILE or -ENFILE for lack of
 *         descriptors (three for each worker's event loop; a fourth is opened by the first
 *         volley_worker_set_timer(), and when that is in on_start the start fails if the hook
 *         returns it); -EAGAIN or -ENOMEM for lack of threads or memory; the log hook gets a
 *         sentence. After a failure nothing runs.
 * @threads  any but a worker
 * @blocks   until every on_start hook has returned
 */
VOLLEY_API int volley_server_start(struct volley_server *server);

/**
 * Start unless it runs already, serve until SIGTERM or SIGINT or volley_server_request_stop(),
 * drain as volley_server_drain() does, and return.
 *
 * Both signals (and the config's run_signals) are blocked in the caller and in the workers
 * meanwhile and read from a descriptor; the caller's mask is restored. A second signal stops
 * without draining, as volley_server_stop() does. The only function of volley that touches signals
 * other than the cancellation signal. A program that tells others that it is ready does so in an
 * on_start hook, or blocks both signals itself before: one that comes before they are blocked ends
 * the process. pthread_cancel() has to wait until this returns: use volley_server_request_stop().
 *
 * @param server  any server
 * @return 0, or what volley_server_start() returned; -EALREADY when another thread is in it;
 *         -EINVAL when the loop is yours (VOLLEY_WAIT_FD, config.event_base)
 * @threads  any but a worker
 * @blocks   for as long as the server serves
 * @kernel   signalfd(2), Linux 2.6.22
 */
VOLLEY_API int volley_server_run(struct volley_server *server);

/**
 * Ask a running server to stop, and return at once. volley_server_run() drains and returns; without
 * it the workers stop as in volley_server_stop(), and that or volley_server_free() joins them.
 * Asking again, from anywhere, changes nothing: under run it still drains. Where the loop is yours,
 * it is woken and the server stops there, on_stop included; call volley_server_stop() before
 * starting again.
 *
 * @param server  any state; without workers it does nothing
 * @return 0
 * @threads  any, workers and signal handlers included
 * @blocks   never
 */
VOLLEY_API int volley_server_request_stop(struct volley_server *server);

/**
 * Stop every worker and wait for it, at once: also under volley_server_run(), and when another
 * thread is in volley_server_drain(), which this cuts short.
 *
 * A worker blocked in the kernel wakes at once; one inside your callback finishes it first, and no
 * other callback begins. What the worker had taken from its socket by then and not shown, n_batch
 * messages at most, is dropped as `rx_dropped.stopped`. Replies already made are sent, for which a
 * full socket gets 20 ms. The sockets stay open and keep what is unread for a later start
 * (volley_server_drain() serves it first; volley_server_free() counts it).
 *
 * @param server  running or already stopped server
 * @return 0, or -EDEADLK when called from a worker: use volley_server_request_stop() there and in
 *         run's on_signal hook
 * @threads  any but a worker; safe against a second call
 * @blocks   until the callbacks that run have returned, and what was posted before has run; up to
 *         50 ms beside that
 */
VOLLEY_API int volley_server_stop(struct volley_server *server);

/**
 * Say goodbye, refuse new datagrams, serve every datagram that is queued, then stop. However often
 * and from however many threads it is asked for, it stays one drain; volley_server_stop(), a second
 * signal and, but not under volley_server_run(), volley_server_request_stop() cut it short.
 *
 * First config.on_drain runs on every worker, and all serve as before, new datagrams too, until
 * config.linger_us are over. Where the loop is yours, this call serves meanwhile; your loop's other
 * events wait, as they do for the rest of the call.
 *
 * Then the kernel drops what arrives and counts it (`kernel_drops`); a later start takes new ones
 * again. A filter that an adopted socket had is put back then. One that is locked (SO_LOCK_FILTER)
 * or eBPF stays where it is: the log says so, what arrives there is served on, and the drain ends
 * when it finds nothing, or by config.drain_us.
 *
 * Listeners with VOLLEY_LISTEN_DRAIN_LAST, at which replies to the server's own requests come in,
 * are refused later: when nothing is queued at the others, no packet is held and no handler has
 * one, on any worker. Until then no worker ends. A stop and a hand-over wait for none of it.
 *
 * When config.drain_us is over no callback begins any more, as in volley_server_stop(), and replies
 * that still wait for room are dropped as `tx_dropped.stopped`.
 *
 * @param server  running or already stopped server
 * @return 0; -ETIME when config.drain_us was over first, or it was cut short, and the rest is still
 *         queued (of a server that had stopped before: whether its last drain was late); -EDEADLK
 *         from a worker
 * @threads  any but a worker; while another thread is in volley_server_run(), this makes it drain
 *         and waits until it is done
 * @blocks   config.linger_us, up to 30 ms until the kernel refuses what is new (twice where
 *         listeners are the last), config.drain_us, and until the callbacks that run have returned,
 *         on_drain among them
 * @kernel   SO_ATTACH_FILTER, SO_GET_FILTER (Linux 3.8), SO_MEMINFO (Linux 4.12)
 */
VOLLEY_API int volley_server_drain(struct volley_server *server);

/**
 * Count what the sockets hold, close them, and keep the server for its statistics: what
 * volley_server_free() does, for those who want to read the final books.
 *
 * @param server  a server; stopped first if needed
 * @return 0, or -EDEADLK when called from a worker
 * @threads  any but a worker
 * @blocks   as volley_server_free()
 */
VOLLEY_API int volley_server_close(struct volley_server *server);

/**
 * Stop if needed, count what the sockets still hold as `discarded_at_close`, and free.
 *
 * @param server  any server, or NULL
 * @return 0, or -EDEADLK when called from a worker, and then nothing was freed
 * @threads  any but a worker; nobody may use the server meanwhile
 * @blocks   as volley_server_stop(), and for as long as it takes to read what the sockets hold
 */
VOLLEY_API int volley_server_free(struct volley_server *server);

/**
 * How many workers the server has.
 *
 * @return 1 or more
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint32_t volley_server_get_n_workers(const struct volley_server *server);

/**
 * The name of the I/O backend in use.
 *
 * @return a static string such as "mmsg"
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const char *volley_server_get_io(const struct volley_server *server);

#ifdef __cplusplus
}
#endif

#endif
