/* SPDX-License-Identifier: MIT */

/*
 * Handles and requests.
 *
 * The flag is the truth, the signal and the waker's eventfd are nudges. A request stores the flag,
 * then writes the eventfd, then sends the signal, and counts itself in flight meanwhile. A clear
 * resets the flag, waits for the requests in flight, and only then drains signal and eventfd:
 *
 *     request                          clear (all signals blocked)
 *     -------                          -----
 *     n_inflight[side]++               flag = 0
 *     gone? -> ESRCH                   twice: epoch++, wait until n_inflight[old side] is 0
 *     flag = 1                         sigtimedwait until EAGAIN
 *     write eventfd                    read eventfd
 *     tgkill                           flag again? then write eventfd
 *     n_inflight[side]--               restore the mask, less our signal
 *
 * Invariants: while the thread blocks the signal, either the flag is 1, or it is disarmed, or no
 * handler can run; a nudge is never left behind by a clear or detach; a thread id is never
 * signalled after detach.
 *
 * The handler is cancel_handler.c. What makes a call cancellable is left to cancel_window.c and its
 * calls, or to cancel_ppoll.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <volley/cancel.h>

#include "cancel/cancel_ops.h"

static struct {
	pthread_mutex_t lock;
	pthread_key_t key;
	bool is_registered; /* the key and the hooks for fork() */
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Block every signal that can be; the C library keeps its own two. */
static void mask_block(sigset_t *ret_old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_old);
}

static void mask_restore(const sigset_t *old)
{
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* Restore the mask, but for our signal's bit. */
static void mask_restore_with(sigset_t *old, bool blocked)
{
	if (blocked)
		sigaddset(old, vly_cancel_get_signo());
	else
		sigdelset(old, vly_cancel_get_signo());
	mask_restore(old);
}

/* By number, because the C library's write is a pthread cancellation point. */
static void waker_write(struct volley_cancel *handle)
{
	int fd = atomic_load_explicit(&handle->waker, memory_order_acquire);
	uint64_t one = 1;

	if (fd >= 0)
		syscall(SYS_write, fd, &one, sizeof one);
}

static void waker_drain(struct volley_cancel *handle)
{
	int fd = atomic_load_explicit(&handle->waker, memory_order_relaxed);
	uint64_t count;

	if (fd >= 0)
		syscall(SYS_read, fd, &count, sizeof count);
}

static void on_thread_end(void *handle)
{
	if (vly_cancel_thread == handle)
		volley_cancel_detach();
}

static void before_fork(void)
{
	pthread_mutex_lock(&process.lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&process.lock);
}

/*
 * The child has one thread, another id, no pending signal, nobody in the middle of a request, and
 * shares the waker with the parent, whose it stays.
 */
static void after_fork_child(void)
{
	struct volley_cancel *self = vly_cancel_thread;

	pthread_mutex_unlock(&process.lock);
	vly_cancel_reset_threads(self != NULL);
	if (self == NULL)
		return;
	atomic_store_explicit(&self->n_inflight[0], 0, memory_order_relaxed);
	atomic_store_explicit(&self->n_inflight[1], 0, memory_order_relaxed);
	atomic_store_explicit(&self->waker, -1, memory_order_relaxed);
	atomic_store_explicit(&self->pid, getpid(), memory_order_relaxed);
	atomic_store_explicit(&self->tid, (pid_t)syscall(SYS_gettid), memory_order_relaxed);
	if (vly_cancel_is_requested(self))
		vly_cancel_send_signal(self); /* a frame below may be a blocked call */
}

/* A key and hooks for fork(), which a process gets once, also when what follows fails. */
static int register_once(void)
{
	int r;

	if (process.is_registered)
		return 0;
	r = pthread_key_create(&process.key, on_thread_end);
	if (r != 0)
		return -r;
	r = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
	if (r != 0)
		pthread_key_delete(process.key);
	process.is_registered = r == 0;
	return -r;
}

static int install(int signo)
{
	struct sigaction old;
	int r;

	if (sigaction(signo, NULL, &old) < 0)
		return -errno;
	if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
		return -EBUSY;
	r = register_once();
	if (r < 0)
		return r;
	/* Published before the handler can run: init() is done when this is not 0. */
	vly_cancel_set_signo(signo);
	r = vly_cancel_take_signal(signo);
	if (r < 0)
		vly_cancel_set_signo(0);
	return r;
}

int volley_cancel_init(const struct volley_cancel_config *config)
{
	struct volley_cancel_config c;
	sigset_t old;
	int r = vly_cancel_read_config(config, &c);

	if (r < 0)
		return r;

	mask_block(&old); /* a fork in a handler would wait for the lock that we hold */
	pthread_mutex_lock(&process.lock);
	if (vly_cancel_get_signo() == 0)
		r = install(c.signo ? c.signo : SIGURG);
	else if (c.signo != 0 && c.signo != vly_cancel_get_signo())
		r = -EALREADY;
	pthread_mutex_unlock(&process.lock);
	mask_restore(&old);
	return r;
}

static void handle_init(struct volley_cancel *handle, pid_t tid, uint32_t n_refs)
{
	*handle = (struct volley_cancel){ 0 };
	atomic_init(&handle->n_refs, n_refs);
	atomic_init(&handle->waker, -1);
	atomic_init(&handle->pid, getpid());
	atomic_init(&handle->tid, tid);
	atomic_init(&handle->armed, true);
}

int volley_cancel_attach(struct volley_cancel **ret_handle)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	struct volley_cancel *handle;
	sigset_t old;
	int r;

	/* Signal 0 comes nowhere, and shows whether a filter of system calls lets one come. */
	if (tid < 0 || syscall(SYS_tgkill, getpid(), tid, 0) < 0)
		return -errno;
	if (vly_cancel_thread != NULL)
		return -EALREADY;
	r = volley_cancel_init(NULL);
	if (r < 0)
		return r;
	handle = aligned_alloc(alignof(struct volley_cancel), sizeof *handle);
	if (handle == NULL)
		return -ENOMEM;
	handle_init(handle, tid, ret_handle != NULL ? 2 : 1);
	r = pthread_setspecific(process.key, handle);
	if (r != 0) {
		free(handle);
		return -r;
	}

	mask_block(&old);
	handle->found_blocked = sigismember(&old, vly_cancel_get_signo()) == 1;
	vly_cancel_thread = handle;
	vly_cancel_count_thread(true);
	mask_restore_with(&old, !vly_cancel_unblocks);
	if (ret_handle != NULL)
		*ret_handle = handle;
	return 0;
}

struct volley_cancel *volley_cancel_self(void)
{
	return vly_cancel_thread;
}

struct volley_cancel *volley_cancel_ref(struct volley_cancel *handle)
{
	if (handle != NULL)
		atomic_fetch_add_explicit(&handle->n_refs, 1, memory_order_relaxed);
	return handle;
}

void volley_cancel_unref(struct volley_cancel *handle)
{
	/* Release: what this holder did to the handle comes before the free. */
	if (handle != NULL &&
	    atomic_fetch_sub_explicit(&handle->n_refs, 1, memory_order_acq_rel) == 1)
		free(handle);
}

/*
 * Wait until no request that may have seen the state before this call is still under way. New ones
 * count on the other side after each flip, so that a requester in a loop cannot hold us up; both
 * sides are waited for, because a request may have read the epoch long ago. They are a few
 * instructions with signals blocked; one that was preempted may need our CPU, also when we are of a
 * higher real-time priority: so yield, then sleep.
 */
static void wait_inflight(struct volley_cancel *self)
{
	const struct timespec nap = { .tv_nsec = 50000 };

	for (int flips = 0; flips < 2; flips++) {
		uint32_t side = atomic_fetch_add_explicit(&self->epoch, 1, memory_order_seq_cst);
		_Atomic uint32_t *n = &self->n_inflight[side & 1];

		for (int spins = 0; atomic_load_explicit(n, memory_order_seq_cst) != 0; spins++)
			if (spins < 64)
				sched_yield();
			else
				nanosleep(&nap, NULL);
	}
}

static void drain(struct volley_cancel *self)
{
	const struct timespec now = { 0 };
	sigset_t set;
	int old;

	sigemptyset(&set);
	sigaddset(&set, vly_cancel_get_signo());
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old); /* sigtimedwait is a pthread point */
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	pthread_setcancelstate(old, &old);
	waker_drain(self);
	atomic_store_explicit(&self->n_raised, 0, memory_order_relaxed);
}

int volley_cancel_clear(void)
{
	struct volley_cancel *self = vly_cancel_thread;
	int saved = errno;
	sigset_t old;

	if (self == NULL)
		return -ESRCH;
	mask_block(&old); /* a handler that ran in between could block for ever */
	/* Before the flag: who requested, then read n_acks, then sees it change, was cleared. */
	atomic_fetch_add_explicit(&self->n_acks, 1, memory_order_seq_cst);
	atomic_store_explicit(&self->requested, 0, memory_order_seq_cst);
	wait_inflight(self);
	drain(self);
	/* A new request may have lost its wake to our drain; the flag cannot be lost. */
	if (atomic_load_explicit(&self->requested, memory_order_seq_cst) != 0)
		waker_write(self);
	mask_restore_with(&old, !vly_cancel_unblocks || !vly_cancel_is_armed(self));
	errno = saved;
	return 0;
}

int volley_cancel_detach(void)
{
	struct volley_cancel *self = vly_cancel_thread;
	int saved = errno;
	sigset_t old;

	if (self == NULL)
		return -ESRCH;
	mask_block(&old);
	/* Sequentially consistent against n_inflight: a request that we do not wait for sees it. */
	atomic_store_explicit(&self->gone, true, memory_order_seq_cst);
	wait_inflight(self);
	drain(self);
	atomic_fetch_add_explicit(&self->n_acks, 1, memory_order_seq_cst);
	vly_cancel_thread = NULL;
	vly_cancel_count_thread(false); /* nobody who requests sees us any more */
	pthread_setspecific(process.key, NULL);
	mask_restore_with(&old, self->found_blocked);
	volley_cancel_unref(self);
	errno = saved;
	return 0;
}

/*
 * One nudge, with signals blocked: a handler here could take for ever, fork, or clear. A new
 * request stores the flag; a repeated one only nudges again if its flag is still there, so that one
 * request is never two.
 */
static int nudge(struct volley_cancel *handle, bool is_new)
{
	int saved = errno;
	bool retaken = false;
	uint32_t side;
	sigset_t old;
	int r = -ESRCH;

	mask_block(&old);
	side = atomic_load_explicit(&handle->epoch, memory_order_seq_cst) & 1;
	atomic_fetch_add_explicit(&handle->n_inflight[side], 1, memory_order_seq_cst);
	if (!atomic_load_explicit(&handle->gone, memory_order_seq_cst) &&
	    atomic_load_explicit(&handle->pid, memory_order_relaxed) == getpid()) {
		r = 0;
		/*
		 * Publishes what the requester did before; before the nudges, or a thread that they
		 * wake would sleep again.
		 */
		if (is_new)
			atomic_store_explicit(&handle->requested, 1, memory_order_seq_cst);
		if (atomic_load_explicit(&handle->requested, memory_order_seq_cst) != 0) {
			retaken = vly_cancel_take_signal_back();
			waker_write(handle);
			r = vly_cancel_send_signal(handle);
		}
	}
	/* Release: our nudges come before the drain of the thread that waits for this. */
	atomic_fetch_sub_explicit(&handle->n_inflight[side], 1, memory_order_release);
	mask_restore(&old);
	errno = saved;
	return r < 0 ? r : retaken;
}

int volley_cancel_request(struct volley_cancel *handle)
{
	if (handle == NULL)
		return -EINVAL;
	return nudge(handle, true);
}

static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_us(int64_t us)
{
	struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

int volley_cancel_request_wait(struct volley_cancel *handle, int64_t timeout_us)
{
	int64_t start_us = clock_us();
	int64_t pause_us =
		20; /* a wake takes about 50; doubles, so that a busy thread costs nobody */
	uint32_t n_acks;
	int r;

	if (handle == NULL)
		return -EINVAL;
	if (handle == vly_cancel_thread)
		return -EDEADLK;
	r = nudge(handle, true);
	if (r < 0)
		return r;
	n_acks = atomic_load_explicit(&handle->n_acks, memory_order_seq_cst);
	/*
	 * A clear that began after n_acks was read resets our flag and is seen by the number; one
	 * that began before it is seen by the flag, unless a third party has requested again, and
	 * then its clear is the one we wait for.
	 */
	while (atomic_load_explicit(&handle->requested, memory_order_seq_cst) != 0 &&
	       atomic_load_explicit(&handle->n_acks, memory_order_seq_cst) == n_acks) {
		int64_t left_us = timeout_us < 0 ? pause_us : start_us + timeout_us - clock_us();

		if (left_us <= 0)
			return -ETIMEDOUT;
		sleep_us(pause_us < left_us ? pause_us : left_us);
		if (pause_us < 10000)
			pause_us *= 2;
		if (nudge(handle, false) == -ESRCH)
			return 0; /* detached meanwhile */
	}
	return 0;
}

int volley_cancel_set_waker(int eventfd)
{
	struct volley_cancel *self = vly_cancel_thread;
	int flags;

	if (self == NULL)
		return -ESRCH;
	if (eventfd >= 0) {
		flags = fcntl(eventfd, F_GETFL);
		if (flags < 0)
			return -errno;
		if (!(flags & O_NONBLOCK))
			return -EINVAL;
	}
	/* Release: the eventfd was made before who writes to it. */
	atomic_store_explicit(&self->waker, eventfd < 0 ? -1 : eventfd, memory_order_seq_cst);
	wait_inflight(self); /* nobody writes to the old one from here on: it may be closed */
	if (vly_cancel_is_requested(self))
		waker_write(self);
	return 0;
}

int volley_cancel_sigaction(int signo, const struct sigaction *act, struct sigaction *ret_old)
{
	struct sigaction copy;
	int r = volley_cancel_init(NULL);

	if (r < 0)
		return r;
	if (signo == vly_cancel_get_signo())
		return -EINVAL;
	if (act != NULL) {
		copy = *act;
		sigaddset(&copy.sa_mask, vly_cancel_get_signo());
	}
	return sigaction(signo, act != NULL ? &copy : NULL, ret_old) < 0 ? -errno : 0;
}
