/* SPDX-License-Identifier: MIT */

/*
 * The signal handler, and whose it is.
 *
 * volley_cancel_init() installs it once. A program may install one of its own afterwards, and then
 * a thread that sleeps is not woken by any request. So each request looks, and puts ours back in
 * the place of theirs; as long as it stands there, signals that are not for us go on to theirs.
 * When the last thread has detached, theirs is put back.
 *
 * `busy` is held for moments, with every signal blocked.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "cancel/cancel_ops.h"

/*
 * How often the handler may signal its own thread again between two clears: once per signal handler
 * of the application stacked on a cancellation point. 64 is more than fit on a usual alternate
 * stack; without a bound, a thread whose mask is restored behind our back would spin.
 */
#define MAX_RAISED 64

static struct {
	atomic_flag busy;
	uint32_t n_threads;      /* that are attached */
	_Atomic bool is_retaken; /* ours stands where theirs stood */
	struct sigaction theirs;
} handler = { .busy = ATOMIC_FLAG_INIT };

/* Who has it may need our CPU, also when we are of a higher real-time priority. */
static void lock(void)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* nanosleep is a pthread point */
	for (int spins = 0; atomic_flag_test_and_set_explicit(&handler.busy, memory_order_acquire);
	     spins++)
		if (spins < 64)
			sched_yield();
		else
			nanosleep(&nap, NULL);
	pthread_setcancelstate(state, &state);
}

static void unlock(void)
{
	/* release: what was written with the lock is there for whoever takes it next */
	atomic_flag_clear_explicit(&handler.busy, memory_order_release);
}

/*
 * tgkill by number: musl and older C libraries have no wrapper. A standard signal cannot fail for
 * lack of room.
 */
int vly_cancel_send_signal(struct volley_cancel *handle)
{
	long r = syscall(SYS_tgkill, atomic_load_explicit(&handle->pid, memory_order_relaxed),
			 atomic_load_explicit(&handle->tid, memory_order_relaxed),
			 vly_cancel_get_signo());

	return r < 0 ? -errno : 0;
}

/* A signal that is not for us, while ours stands in the place of theirs. */
static void pass_on(int signo, siginfo_t *info, void *context)
{
	struct sigaction theirs;

	if (!atomic_load_explicit(&handler.is_retaken, memory_order_acquire))
		return;
	lock();
	theirs = handler.theirs;
	unlock();
	if (theirs.sa_flags & SA_SIGINFO)
		theirs.sa_sigaction(signo, info, context);
	else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN)
		theirs.sa_handler(signo);
}

/*
 * Runs with every signal blocked. In the window nothing has happened yet: the call is cancelled
 * there and then. Wherever it interrupted, the signal is blocked in the interrupted code and sent
 * again: if that code is a handler of the application on top of a cancellation point, the signal
 * comes again when it returns, and the frame below is looked at. Otherwise it stays pending until
 * the clear, harmless because the flag is set.
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
	struct volley_cancel *self = vly_cancel_thread;
	ucontext_t *ucontext = context;
	int saved = errno;

	if (self == NULL || !vly_cancel_is_requested(self)) {
		pass_on(signo, info, context);
		errno = saved;
		return;
	}
	if (vly_cancel_is_armed(self))
		vly_cancel_redirect(context);
	if (sigismember(&ucontext->uc_sigmask, signo))
		return;
	sigaddset(&ucontext->uc_sigmask, signo);
	if (vly_cancel_is_mask_kept() &&
	    atomic_fetch_add_explicit(&self->n_raised, 1, memory_order_relaxed) < MAX_RAISED)
		vly_cancel_send_signal(self);
	errno = saved;
}

int vly_cancel_take_signal(int signo)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	action.sa_sigaction = on_signal;
	sigfillset(&action.sa_mask);
	return sigaction(signo, &action, NULL) < 0 ? -errno : 0;
}

/* Whether somebody else's handler stands there now, and which. */
static bool is_replaced(struct sigaction *ret_now)
{
	if (sigaction(vly_cancel_get_signo(), NULL, ret_now) < 0)
		return false;
	return !(ret_now->sa_flags & SA_SIGINFO) || ret_now->sa_sigaction != on_signal;
}

bool vly_cancel_take_signal_back(void)
{
	struct sigaction now;
	bool was_replaced;

	if (!is_replaced(&now))
		return false;
	lock();
	was_replaced = is_replaced(&now); /* and nobody has been faster */
	if (was_replaced) {
		handler.theirs = now;
		/* release: publishes theirs to the handler, which may run at once */
		atomic_store_explicit(&handler.is_retaken, true, memory_order_release);
		vly_cancel_take_signal(vly_cancel_get_signo());
	}
	unlock();
	return was_replaced;
}

void vly_cancel_count_thread(bool comes)
{
	struct sigaction now;

	lock();
	handler.n_threads += comes ? 1 : -1u;
	if (handler.n_threads == 0 &&
	    atomic_load_explicit(&handler.is_retaken, memory_order_relaxed)) {
		if (!is_replaced(&now))
			sigaction(vly_cancel_get_signo(), &handler.theirs, NULL);
		atomic_store_explicit(&handler.is_retaken, false, memory_order_relaxed);
	}
	unlock();
}

void vly_cancel_reset_threads(uint32_t n)
{
	handler.n_threads = n;
	unlock();
}
