/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_CANCEL_H
#define VOLLEY_CANCEL_H

/**
 * @file cancel.h
 * Cancellation of blocked threads, without a race and without unwinding.
 *
 * A thread attaches and hands out its handle. Whoever holds the handle requests cancellation; from
 * then on every cancellation point of that thread (the calls of mmsg.h and
 * volley_cancel_syscall()), blocked or yet to come, fails with -ECANCELED, until the thread
 * acknowledges with volley_cancel_clear(). A call that has taken or sent something reports what it
 * did, and the next one fails. Nothing is lost, nothing is reported twice, no request is missed.
 *
 *     attach -> (recv ... -ECANCELED -> clean up -> clear)* -> detach
 *
 * Part of libvolley-cancel, which needs nothing but the C library. docs/cancellation.md and
 * volley_cancel(7) give the reasons and the limits.
 */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sigaction;

/** One thread's handle, reference counted; it outlives the thread. */
struct volley_cancel;

/** Size-first; zero means default; fields are only appended. volley_cancel_config_init() zeroes. */
struct volley_cancel_config {
	size_t size;    /**< sizeof(struct volley_cancel_config) */
	int32_t signo;  /**< the signal used as a nudge, default SIGURG; a standard signal */
	uint32_t flags; /**< none yet: 0 */
};

/**
 * Zero the struct and set its size.
 *
 * @param config  the struct
 * @param size    sizeof *config, as your compiler sees it
 * @threads  any
 * @blocks   never
 */
VOLLEY_API void volley_cancel_config_init(struct volley_cancel_config *config, size_t size);

/** Whether this thread's cancellation points are that. */
enum volley_cancel_state {
	VOLLEY_CANCEL_ENABLE = 0,
	VOLLEY_CANCEL_DISABLE = 1,
};

/**
 * Install the handler of the cancellation signal, once per process.
 *
 * volley_cancel_attach() does it with the defaults; call it before only for another signal. The
 * handler stays until the process ends.
 *
 * @param config  NULL for the defaults: SIGURG
 * @return 0, also when it was done before and no other signal is asked for; -EALREADY when it was
 *         done with another; -EBUSY when the signal has a handler already (another copy of this
 *         library counts as one); -EINVAL for a signal that cannot be used (a real-time signal can
 *         fail to be sent) or an unknown flag; -E2BIG for a config of a newer header with fields
 *         set
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_cancel_init(const struct volley_cancel_config *config);

/**
 * Make the calling thread cancellable.
 *
 * The thread's cancellation signal is ours from here to detach: do not block, unblock or wait for
 * it, and do not keep a signal mask from before a volley_cancel_clear() to restore it afterwards. A
 * thread that ends detaches by itself.
 *
 * @param ret_handle  the thread's handle with one reference for the caller, to be given back with
 *                    volley_cancel_unref(); may be NULL
 * @return 0; -EALREADY when attached; -ENOMEM; -EAGAIN for lack of thread keys; what
 *         volley_cancel_init() returns; any errno with which a filter of system calls refuses
 *         gettid(2) or tgkill(2)
 * @threads  any, not from a signal handler
 * @blocks   never
 */
VOLLEY_API int volley_cancel_attach(struct volley_cancel **ret_handle);

/**
 * End what attach began: later requests get -ESRCH, nothing of ours stays pending, and the signal
 * is blocked or not as attach found it.
 *
 * @return 0; -ESRCH when not attached
 * @threads  the attached one, not from a signal handler
 * @blocks   for requests in the middle of their few instructions
 */
VOLLEY_API int volley_cancel_detach(void);

/**
 * The calling thread's handle.
 *
 * @return NULL when not attached; valid until detach, take a reference to keep it longer
 * @threads  any
 * @blocks   never
 */
VOLLEY_API struct volley_cancel *volley_cancel_self(void);

/**
 * Take a reference.
 *
 * @param handle  or NULL
 * @return the handle
 * @threads  any that has a reference
 * @blocks   never
 */
VOLLEY_API struct volley_cancel *volley_cancel_ref(struct volley_cancel *handle);

/**
 * Give a reference back; the last one frees.
 *
 * @param handle  or NULL
 * @threads  any, not from a signal handler
 * @blocks   never
 */
VOLLEY_API void volley_cancel_unref(struct volley_cancel *handle);

/**
 * Request cancellation: sticky until cleared, so that many requests count as one.
 *
 * Where the program has installed a handler of its own for the signal since volley_cancel_init(),
 * ours is put back first, or nothing would wake the thread. It passes signals that are not for us
 * on to theirs, and theirs comes back when the last thread detaches.
 *
 * @return 0; 1 when the handler had to be put back; -ESRCH when the thread has detached, or belongs
 *         to another process (after fork())
 * @threads  any that has a reference; async-signal-safe
 * @blocks   never
 */
VOLLEY_API int volley_cancel_request(struct volley_cancel *handle);

/**
 * Request cancellation and wait until the thread has acknowledged by clear or detach. The thread is
 * nudged again and again meanwhile, which only a thread that mistreats its signal mask needs.
 *
 * @param timeout_us  how long to wait in microseconds; negative for ever; 0 not at all
 * @return 0 when acknowledged; -ETIMEDOUT, and the request stays; -ESRCH as
 *         volley_cancel_request(); -EDEADLK for the own thread, and nothing was requested
 * @threads  any that has a reference but the handle's own
 * @blocks   up to timeout_us; not a cancellation point
 */
VOLLEY_API int volley_cancel_request_wait(struct volley_cancel *handle, int64_t timeout_us);

/**
 * Whether a request is pending for the calling thread, whatever its state.
 *
 * @return 1 or 0
 * @threads  any; async-signal-safe
 * @blocks   never
 */
VOLLEY_API int volley_cancel_pending(void);

/**
 * A cancellation point that does nothing else.
 *
 * It never unwinds, not even in exit mode.
 *
 * @return -ECANCELED when a request is pending, cancellation is enabled and no region is committed;
 *         else 0
 * @threads  any; async-signal-safe
 * @blocks   never
 */
VOLLEY_API int volley_cancel_test(void);

/**
 * Acknowledge: the pending request, if any, is over. No stray EINTR, pending signal or readable
 * waker of it is left; a request that comes during the call is either covered or still pending.
 *
 * @return 0; -ESRCH when not attached
 * @threads  the attached one, not from a signal handler
 * @blocks   for requests in the middle of their few instructions
 */
VOLLEY_API int volley_cancel_clear(void);

/**
 * Enable or disable cancellation of the calling thread. While disabled its calls block as if no
 * request existed, and none interrupts them; the request stays pending.
 *
 * @param state    one of enum volley_cancel_state
 * @param ret_old  the state before; may be NULL
 * @return 0; -EINVAL for an unknown state; -ESRCH when not attached
 * @threads  the attached one; in a signal handler only if undone before it returns
 * @blocks   never
 */
VOLLEY_API int volley_cancel_set_state(enum volley_cancel_state state,
				       enum volley_cancel_state *ret_old);

/**
 * Have requests write to an eventfd too: the waker of a thread that blocks in an event loop of its
 * own. It is readable from the request to the clear.
 *
 * @param eventfd  a non-blocking eventfd that stays open until removed; -1 removes, and then nobody
 *                 writes to the old one any more
 * @return 0; -EBADF; -EINVAL for a blocking descriptor; -ESRCH when not attached
 * @threads  the attached one, not from a signal handler
 * @blocks   for requests in the middle of their few instructions
 */
VOLLEY_API int volley_cancel_set_waker(int eventfd);

/**
 * Exit mode: a cancellation point that would return -ECANCELED detaches the thread and leaves by
 * pthread_exit(PTHREAD_CANCELED) instead, so that cleanup handlers run and nothing of ours is
 * pending in them. Inside a region it returns -ECANCELED all the same: the region's function has
 * things to put in order.
 *
 * @param on  nonzero turns it on, 0 off (default)
 * @return 0; -ESRCH when not attached
 * @threads  the attached one
 * @blocks   never
 */
VOLLEY_API int volley_cancel_set_exit(int on);

/**
 * sigaction(2) that adds the cancellation signal to the mask of the application's handler, so that
 * a request takes effect after the handler and not on top of it. Optional; a handler that itself
 * blocks in cancellation points should not use it.
 *
 * @param signo    any signal but the cancellation signal
 * @param act      the new action; NULL to ask only
 * @param ret_old  the old action; may be NULL
 * @return 0; -EINVAL, also for the cancellation signal; what volley_cancel_init() returns
 * @threads  any
 * @blocks   never
 */
VOLLEY_API int volley_cancel_sigaction(int signo, const struct sigaction *act,
				       struct sigaction *ret_old);

/**
 * Any blocking system call as a cancellation point.
 *
 * For calls that report what they did before an interruption, or did nothing; of connect(2) a
 * -ECANCELED means that it goes on in the background, and close(2) has closed.
 *
 * @param nr  a SYS_ number
 * @return the call's result or -errno; -ECANCELED; -ENOSYS where the ppoll variant is in use
 * @threads  any; cancellable when attached
 * @blocks   as the call does
 */
VOLLEY_API long volley_cancel_syscall(long nr, long a1, long a2, long a3, long a4, long a5,
				      long a6);

/**
 * Begin a region: a cancellable function of your own, made of smaller ones.
 *
 *     r = volley_cancel_enter();              fails only here or in the calls before the commit
 *     if (r < 0)
 *             return r;
 *     n = volley_recvmmsg(...);               may fail with -ECANCELED: nothing was taken
 *     if (n > 0) {
 *             volley_cancel_commit();         from here to leave nothing does
 *             ... volley_sendmmsg(...) ...
 *     }
 *     volley_cancel_leave();                  the request, if any, waits for the next point
 *     return n;
 *
 * Regions nest: a commit holds until its own region is left.
 *
 * @return 0; -ECANCELED when volley_cancel_test() would, and then no region was begun
 * @threads  any; in a signal handler only if left before it returns
 * @blocks   never
 */
VOLLEY_API int volley_cancel_enter(void);

/**
 * From here to the region's end no cancellation point fails with -ECANCELED nor is interrupted by a
 * request.
 *
 * @return 0; -EINVAL outside a region
 * @threads  as volley_cancel_enter()
 * @blocks   never
 */
VOLLEY_API int volley_cancel_commit(void);

/**
 * End the region.
 *
 * @return 0; -EINVAL outside a region
 * @threads  as volley_cancel_enter()
 * @blocks   never
 */
VOLLEY_API int volley_cancel_leave(void);

#ifdef __cplusplus
}
#endif

#endif
