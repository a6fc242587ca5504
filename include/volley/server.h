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

#include <stdint.h>

#include <volley/addr.h>
#include <volley/config.h>
#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct volley_listener;
struct volley_server;
struct volley_worker;

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
 * Listen on an address: one socket per worker, bound now. On a running server each worker takes its
 * socket up between two volleys, and when this returns all of them serve it.
 *
 * Another server that binds the port gets EADDRINUSE, a second one of volley's too, unless both set
 * VOLLEY_LISTEN_SHARE_PORT. (A process of this user that sets SO_REUSEPORT before its first bind
 * can still join: the kernel has no way to keep it out of a group. So can any of volley's where the
 * system takes SO_REUSEPORT before a bind only, as gVisor does; a warning says so.) Datagrams queue
 * from now on and are served once the server is started.
 *
 * [::] takes IPv4 as well, unless VOLLEY_LISTEN_V6ONLY is set or this server has a listener on
 * 0.0.0.0 and the same port already. ":7777" and "*:7777" are [::], and 0.0.0.0 where the system
 * has no IPv6. Listeners of this server may have a port in common and overlap (127.0.0.1 and
 * 0.0.0.0 beside [::], in any order): a datagram goes to the one that names its destination most
 * closely, and a broadcast to each.
 *
 * @param server   a server that is not closed
 * @param address  as volley_addr_parse() reads it; port 0 picks one, see volley_listener_get_addr()
 * @param config   one of the callbacks set; copied
 * @return the listener's index, the lowest one that is free; -EINVAL for a bad address or config,
 *         or for a second listener while the wait strategy `block` runs; -EDEADLK from a worker;
 *         -ESHUTDOWN when closed; -EADDRINUSE; -EADDRNOTAVAIL; -EACCES; -EMFILE; -ENOMEM; the log
 *         hook gets a sentence that says what to do
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   not while the server rests; else until the callbacks of the volley that runs have
 *           returned: of n_batch packets at most
 */
VOLLEY_API int volley_server_listen(struct volley_server *server, const char *address,
				    const struct volley_listen_config *config);

/**
 * Listen on sockets that are bound already: a service manager's (volley_activation_get_fds()), or
 * some that were made in a way of your own.
 *
 * All sockets of one address make one listener, sockets of different addresses several. Socket i is
 * served by worker i modulo n_workers: with more sockets than workers a worker has several (the
 * wait strategy `block`, which sleeps in one, refuses that: at the start, or here while it runs).
 * With fewer, the last workers have none of it, and a warning says so.
 *
 * From here on the descriptors are the server's: it sets them close-on-exec, sets the options that
 * the config asks for, and the buffers, and closes them. O_NONBLOCK stays as it is; nothing depends
 * on it. What they have queued is served. What they had dropped before is not counted.
 *
 * Other options stay, but for those that change what sending and receiving do: UDP_CORK,
 * UDP_SEGMENT, IPV6_RECVPATHMTU, SO_TIMESTAMPING and SO_RXQ_OVFL are switched off, and so are
 * IP_RECVERR and IPV6_RECVERR, with what their queue holds, unless the config asks for reports. A
 * filter (SO_ATTACH_FILTER, SO_ATTACH_BPF) stays; volley_server_drain() says what becomes of it.
 * What else the kernel has to say of a datagram, or comes to say because whoever else holds the
 * socket switches it on later, is passed over.
 *
 * Where somebody else holds the same sockets and will want them afterwards (a service manager
 * does), set VOLLEY_LISTEN_KEEP_SOCKETS: then stop, drain and close only end the reading, what is
 * still queued stays for whoever reads next, and is not counted as discarded. Without it the
 * sockets are taken out of service when the server closes them, for everybody who holds them.
 *
 * @param server  a server that is not closed
 * @param fds     bound UDP sockets, each of them once
 * @param n_fds   1 or more
 * @param config  as for volley_server_listen()
 * @return the first listener's index; -EBADF; -ENOTSOCK; -EPROTOTYPE for what is no UDP socket;
 *         -EAFNOSUPPORT; -EINVAL for one that is not bound, was shut down, comes twice or is the
 *         server's already, and as volley_server_listen(). On failure all descriptors stay the
 *         caller's. The log hook gets a sentence that names the descriptor.
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   not while the server rests; else until the callbacks of the volley that runs have
 *           returned: of n_batch packets at most
 * @kernel   SO_COOKIE, Linux 4.12
 */
VOLLEY_API int volley_server_adopt(struct volley_server *server, const int *fds, uint32_t n_fds,
				   const struct volley_listen_config *config);

/**
 * The descriptors that a service manager passed to this process (socket activation: LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES, as sd_listen_fds(3) documents them). Sets them close-on-exec. The
 * environment stays as it is, so this may be called again, for other names.
 *
 * @param name     those with this name only (FileDescriptorName= of a socket unit); NULL: all
 * @param ret_fds  room for n_fds descriptors
 * @param n_fds    more than these are counted, not returned
 * @return how many there are, 0 when there are none for this process; -EINVAL when a variable is
 *         malformed or a name is asked for and there are none; -EBADF when a descriptor is not open
 * @threads  any, while none changes the environment
 * @blocks   never
 */
VOLLEY_API int volley_activation_get_fds(const char *name, int *ret_fds, uint32_t n_fds);

/**
 * Close a listener; the others go on.
 *
 * Its sockets refuse what is new, are served to the last datagram while the server runs, and are
 * counted and closed. Its counters stay in the server's. Its index is free for the next
 * volley_server_listen(), and its struct volley_listener is gone.
 *
 * @param server          any state
 * @param listener_index  the index of a listener
 * @return 0; -ENOENT when there is none; -ETIME when config.drain_us was over first, and then it is
 *         closed as well and the rest counted as discarded_at_close; -EDEADLK from a worker;
 *         -ESHUTDOWN when the server is closed
 * @threads  any but a worker; run's on_signal hook may
 * @blocks   up to config.drain_us, and for a few volleys' callbacks, as volley_server_listen()
 * @kernel   as volley_server_drain()
 */
VOLLEY_API int volley_listener_close(struct volley_server *server, uint32_t listener_index);

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
 *         descriptors (three for each worker's event loop); -EAGAIN or -ENOMEM for lack of threads
 *         or memory; the log hook gets a sentence. After a failure nothing runs.
 * @threads  any but a worker
 * @blocks   until every on_start hook has returned
 */
VOLLEY_API int volley_server_start(struct volley_server *server);

/**
 * Start unless it runs already, serve until SIGTERM or SIGINT or volley_server_request_stop(),
 * drain, and return.
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
 * Refuse new datagrams, serve every datagram that is queued, then stop. However often and from
 * however many threads it is asked for, it stays one drain; volley_server_stop(), a second signal
 * and, but not under volley_server_run(), volley_server_request_stop() cut it short.
 *
 * From here on the kernel drops what arrives and counts it (`kernel_drops`); a later start takes
 * new ones again. A filter that an adopted socket had is put back then. One that is locked
 * (SO_LOCK_FILTER) or eBPF stays where it is: the log says so, what arrives there is served on, and
 * the drain ends when it finds nothing, or by config.drain_us.
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
 * @blocks   up to 30 ms until the kernel refuses what is new, then config.drain_us, and until the
 *         callbacks that run have returned
 * @kernel   SO_ATTACH_FILTER, SO_GET_FILTER (Linux 3.8), SO_MEMINFO (Linux 4.12)
 */
VOLLEY_API int volley_server_drain(struct volley_server *server);

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
 * Run a function once on every worker, between two volleys: the moment to swap what callbacks
 * share.
 *
 * Either the call fails and nothing runs, or the function runs exactly once on each worker, also
 * when the server is stopped meanwhile.
 *
 * @param server  a running server
 * @param fn      called with each worker and the arg here
 * @param arg     yours
 * @return 0 when queued, -ESHUTDOWN when not running, -ENOMEM
 * @threads  any, workers included
 * @blocks   for a lock that only start, stop and readers of statistics hold
 */
VOLLEY_API int volley_server_post(struct volley_server *server, volley_worker_fn fn, void *arg);

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

/**
 * A listener by the index that volley_server_listen() returned.
 *
 * @return the listener, valid until it is closed by volley_listener_close() or the server is freed;
 *         NULL where there is none
 * @threads  any
 * @blocks   for a lock that only start, stop and readers of statistics hold
 */
VOLLEY_API struct volley_listener *volley_server_get_listener(struct volley_server *server,
							      uint32_t listener_index);

/**
 * The address that a listener is bound to, with the port that port 0 became.
 *
 * @return the address, valid as long as the listener
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const struct volley_addr *
volley_listener_get_addr(const struct volley_listener *listener);

/**
 * A listener's index.
 *
 * @return 0 or more
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint32_t volley_listener_get_index(const struct volley_listener *listener);

/**
 * A worker's index.
 *
 * @return 0 to n_workers - 1
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint32_t volley_worker_get_index(const struct volley_worker *worker);

/**
 * The server that a worker belongs to.
 *
 * @return the server, until it is freed
 * @threads  any
 * @blocks   never
 */
VOLLEY_API struct volley_server *volley_worker_get_server(const struct volley_worker *worker);

/**
 * The worker's user pointer, NULL until set. Kept over stop and start.
 *
 * @return what volley_worker_set_data() was given
 * @threads  the worker's
 * @blocks   never
 */
VOLLEY_API void *volley_worker_get_data(const struct volley_worker *worker);

/**
 * Set the worker's user pointer.
 *
 * @threads  the worker's
 * @blocks   never
 */
VOLLEY_API void volley_worker_set_data(struct volley_worker *worker, void *data);

/**
 * The libevent loop of a worker, for your own timers and descriptors. Add them in on_start (or
 * later on the worker's thread) and free them in on_stop.
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
 * called even if the descriptor is not readable (replies wait for a full device, or not much
 * longer). Ask before each sleep. Round up: with milliseconds, sleep (ns + 999999) / 1000000.
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
 * calls each), run what was posted, send what waits. Then return to the loop; if there is more, the
 * descriptor is still readable. May be called at any time.
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
