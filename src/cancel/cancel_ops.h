/* SPDX-License-Identifier: MIT */
#ifndef VLY_CANCEL_OPS_H
#define VLY_CANCEL_OPS_H

/*
 * What the files of this folder share. cancel.c holds handles and requests, cancel_handler.c the
 * signal handler, cancel_region.c the thread's own state. What makes calls cancellable comes in two
 * variants, of two files each: the one for the signal handler (cancel_window.c or cancel_masked.c),
 * and above everything else the calls (cancel_window_calls.c or cancel_ppoll.c).
 */

#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <volley/cancel.h>

struct mmsghdr;

struct volley_cancel {
	/* Requesters and the thread. */
	alignas(64) _Atomic uint32_t requested; /* the truth: requesters set, clear resets */
	_Atomic uint32_t n_acks;                /* the thread: clears and the detach so far */
	_Atomic uint32_t epoch;                 /* the thread: which side new requests count on */
	_Atomic uint32_t n_inflight[2];         /* requesters: those between flag and signal */
	_Atomic bool gone;                      /* the thread, once */
	_Atomic int waker;                      /* the thread; -1 for none */
	_Atomic pid_t pid;                      /* the thread; changes in a forked child */
	_Atomic pid_t tid;                      /* likewise */
	_Atomic uint32_t n_refs;

	/* The thread and signal handlers that run on it. */
	alignas(64) _Atomic bool armed; /* enabled, and no region is committed */
	_Atomic int state;              /* enum volley_cancel_state */
	_Atomic uint32_t depth;         /* regions entered */
	_Atomic uint32_t committed;     /* depth at which the commit was made; 0 for none */
	_Atomic uint32_t n_raised;      /* by the handler to itself since the last clear */
	_Atomic bool exits;             /* exit mode */
	bool found_blocked;             /* the signal in the thread's mask before attach */
};

/* The calling thread's handle or NULL. Read by the signal handler, so never allocated lazily. */
extern _Thread_local struct volley_cancel *vly_cancel_thread
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* cancel_self.c, as is the thread's handle above */

/* The cancellation signal; 0 before init. */
int vly_cancel_get_signo(void);
void vly_cancel_set_signo(int signo);

static inline bool vly_cancel_is_armed(struct volley_cancel *self)
{
	return self != NULL && atomic_load_explicit(&self->armed, memory_order_relaxed);
}

/* Acquire: who sees the request sees what the requester did before it. */
static inline bool vly_cancel_is_requested(struct volley_cancel *self)
{
	return atomic_load_explicit(&self->requested, memory_order_acquire) != 0;
}

/* cancel_handler.c; with every signal blocked, but for the first */

int vly_cancel_take_signal(int signo);
int vly_cancel_send_signal(struct volley_cancel *handle);

/* Put our handler back where somebody has replaced it, for as long as threads are attached. */
bool vly_cancel_take_signal_back(void);

/* One more thread is attached, or one less; and in a forked child, how many there are. */
void vly_cancel_count_thread(bool comes);
void vly_cancel_reset_threads(uint32_t n);

/* cancel_config.c */

/* Read the user's config, NULL for none. 0, -EINVAL, or -E2BIG. */
int vly_cancel_read_config(const struct volley_cancel_config *config,
			   struct volley_cancel_config *ret_config);

/* cancel_region.c */

/* Recompute armed after a change of state or commit, and the signal mask with it. */
void vly_cancel_apply(struct volley_cancel *self);

/* The last step of every cancellation point: EINTR of a request becomes ECANCELED; exit mode. */
long vly_cancel_finish(struct volley_cancel *self, long r);

/* One of cancel_window.c and cancel_masked.c */

/* Whether an armed thread leaves the signal unblocked. */
extern const bool vly_cancel_unblocks;

/* Called by the signal handler of an armed thread with a request: move the program counter. */
void vly_cancel_redirect(void *ucontext);

/* False where the edited mask of an interrupted context is ignored (Valgrind). */
bool vly_cancel_is_mask_kept(void);

/* One of cancel_window_calls.c and cancel_ppoll.c */

/* The batch calls as the system has them, made cancellable; the caller sees to the flags. */
int vly_cancel_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);
int vly_cancel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);

#endif
