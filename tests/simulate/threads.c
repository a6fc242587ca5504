/* SPDX-License-Identifier: MIT */

/* What the C library calls threads, locks and conditions, with the world's threads. */

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "poll.h"

int __wrap_pthread_create(pthread_t *ret_id, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_join(pthread_t id, void **ret_result);
pthread_t __wrap_pthread_self(void);
int __wrap_pthread_setname_np(pthread_t id, const char *name);
int __wrap_pthread_setcancelstate(int state, int *ret_old);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_old);
int __wrap_pthread_key_create(pthread_key_t *ret_key, void (*destructor)(void *));
int __wrap_pthread_key_delete(pthread_key_t key);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_cancel(pthread_t id);
void __wrap_pthread_exit(void *result);
int __wrap_sched_yield(void);
int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t pid, size_t n, const cpu_set_t *set);
int __wrap_sigaction(int signo, const struct sigaction *action, struct sigaction *ret_old);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);

enum { N_CPUS = 4, N_KEYS = 8, MAX_YIELDS = 1000 };

/* What lies in the memory of a pthread_mutex_t. */
struct mutex {
	struct thread *owner;
	struct waits waits;
};
static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "it has room");

struct cond {
	struct waits waits;
};
static_assert(sizeof(struct cond) <= sizeof(pthread_cond_t), "it has room");

static void (*destructors[N_KEYS])(void *);
static uint32_t n_keys;

static struct mutex *of(pthread_mutex_t *mutex)
{
	return (struct mutex *)(void *)mutex;
}

/* Threads */

struct start {
	void *(*main)(void *);
	void *arg;
};

static void end_specific(struct thread *thread)
{
	for (uint32_t i = 0; i < n_keys; i++) {
		void *value = thread->specific[i];

		thread->specific[i] = NULL;
		if (value != NULL && destructors[i] != NULL)
			destructors[i](value);
	}
}

void *__real_malloc(size_t n);
void __real_free(void *memory);

static void *run_start(void *arg)
{
	struct start start = *(struct start *)arg;
	void *result;

	__real_free(arg);
	result = start.main(start.arg);
	end_specific(world_thread);
	return result;
}

int __wrap_pthread_create(pthread_t *ret_id, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg)
{
	struct process *process = kernel_process();
	struct start *start;
	struct thread *thread;

	(void)attr;
	world_point();
	if (kernel_fault("pthread_create", 0) != 0)
		return EAGAIN;
	start = __real_malloc(sizeof *start);
	*start = (struct start){ main, arg };
	thread = world_new_thread(process, "thread", run_start, start);
	thread->blocked = world_thread->blocked;
	thread->next = process->threads;
	process->threads = thread;
	*ret_id = (pthread_t)(uintptr_t)thread;
	return 0;
}

int __wrap_pthread_join(pthread_t id, void **ret_result)
{
	struct thread *thread = (struct thread *)(uintptr_t)id;

	world_point();
	while (!thread->is_over)
		world_wait_for(&thread->joiners, UINT64_MAX);
	if (thread->is_joined)
		world_blame("a thread is joined twice");
	thread->is_joined = true;
	if (ret_result != NULL)
		*ret_result = thread->result;
	return 0;
}

pthread_t __wrap_pthread_self(void)
{
	return (pthread_t)(uintptr_t)world_thread;
}

int __wrap_pthread_setname_np(pthread_t id, const char *name)
{
	struct thread *thread = (struct thread *)(uintptr_t)id;

	snprintf(thread->name, sizeof thread->name, "%s", name);
	return 0;
}

int __wrap_pthread_setcancelstate(int state, int *ret_old)
{
	if (world_thread == NULL)
		return 0;
	if (ret_old != NULL)
		*ret_old = world_thread->cancel_state;
	world_thread->cancel_state = state;
	return 0;
}

int __wrap_pthread_cancel(pthread_t id)
{
	(void)id;
	abort(); /* not played */
}

void __wrap_pthread_exit(void *result)
{
	struct thread *self = world_thread;

	end_specific(self);
	self->result = result;
	world_end_thread(self);
	world_switch();
	abort();
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	(void)prepare, (void)parent, (void)child;
	return 0;
}

/* Locks */

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	(void)attr;
	*of(mutex) = (struct mutex){ 0 };
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	if (of(mutex)->owner != NULL)
		world_blame("a lock is destroyed that somebody has");
	return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct mutex *own = of(mutex);

	world_point();
	if (own->owner == world_thread)
		world_blame("a lock is taken twice by one thread");
	while (own->owner != NULL && !own->owner->is_over) /* the library's own lock outlives it */
		world_wait_for(&own->waits, UINT64_MAX);
	own->owner = world_thread;
	return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	struct mutex *own = of(mutex);

	world_point();
	if (own->owner != NULL)
		return EBUSY;
	own->owner = world_thread;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	struct mutex *own = of(mutex);

	if (own->owner != world_thread)
		world_blame("a lock is given that another thread has");
	own->owner = NULL;
	world_wake(&own->waits);
	world_point();
	return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
	(void)attr;
	*(struct cond *)(void *)cond = (struct cond){ 0 };
	return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	struct wait wait;

	world_wait_begin(&wait, &((struct cond *)(void *)cond)->waits);
	of(mutex)->owner = NULL;
	world_wake(&of(mutex)->waits);
	world_wait(UINT64_MAX);
	world_wait_end(&wait);
	return __wrap_pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	world_wake(&((struct cond *)(void *)cond)->waits);
	return 0;
}

/* Their own data */

int __wrap_pthread_key_create(pthread_key_t *ret_key, void (*destructor)(void *))
{
	if (n_keys == N_KEYS)
		return EAGAIN;
	destructors[n_keys] = destructor;
	*ret_key = n_keys++;
	return 0;
}

int __wrap_pthread_key_delete(pthread_key_t key)
{
	destructors[key] = NULL;
	return 0;
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	world_thread->specific[key] = (void *)(uintptr_t)value;
	return 0;
}

/* CPUs */

/* A thread of real-time priority lets no lesser one run by that: it has to sleep in the end. */
int __wrap_sched_yield(void)
{
	if (++world_thread->n_yields == MAX_YIELDS)
		world_blame("%s only yields, and waits for somebody who may not run",
			    world_thread->name);
	world_budget = 0;
	world_switch();
	return 0;
}

int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *set)
{
	(void)pid;
	CPU_ZERO_S(n, set);
	for (int i = 0; i < N_CPUS; i++)
		CPU_SET_S(i, n, set);
	return 0;
}

int __wrap_sched_setaffinity(pid_t pid, size_t n, const cpu_set_t *set)
{
	(void)pid, (void)n, (void)set;
	return 0;
}

/* Signals */

uint64_t signal_convert(const sigset_t *set)
{
	uint64_t bits = 0;

	for (int signo = 1; signo < 64; signo++)
		bits |= (uint64_t)(sigismember(set, signo) == 1) << signo;
	return bits;
}

static void fill_set(sigset_t *set, uint64_t bits)
{
	sigemptyset(set);
	for (int signo = 1; signo < 64; signo++)
		if (bits >> signo & 1)
			sigaddset(set, signo);
}

bool signal_take(void)
{
	struct thread *self = world_thread;
	bool any = false;
	uint64_t now;

	while (self != NULL && (now = self->pending & ~self->blocked) != 0) {
		int signo = __builtin_ctzll(now);
		struct signal_action *action = &kernel_actions[signo];
		uint64_t blocked = self->blocked;
		siginfo_t info = { .si_signo = signo,
				   .si_code = SI_TKILL,
				   .si_pid = self->process->pid };
		ucontext_t context = { 0 };

		self->pending &= ~(UINT64_C(1) << signo);
		if (action->handler == NULL)
			continue; /* ours is ignored by default */
		self->blocked |= action->mask | UINT64_C(1) << signo;
		fill_set(&context.uc_sigmask, blocked);
		action->handler(signo, &info, &context);
		self->blocked = signal_convert(&context.uc_sigmask); /* sigreturn puts it back */
		any = true;
	}
	return any;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_old)
{
	struct thread *self = world_thread;
	uint64_t bits;

	if (ret_old != NULL)
		fill_set(ret_old, self->blocked);
	if (set == NULL)
		return 0;
	bits = signal_convert(set);
	if (how == SIG_BLOCK)
		self->blocked |= bits;
	else if (how == SIG_UNBLOCK)
		self->blocked &= ~bits;
	else
		self->blocked = bits;
	signal_take();
	return 0;
}

int __wrap_sigaction(int signo, const struct sigaction *action, struct sigaction *ret_old)
{
	struct signal_action *own = &kernel_actions[signo];

	if (ret_old != NULL) {
		memset(ret_old, 0, sizeof *ret_old);
		ret_old->sa_flags = SA_SIGINFO;
		if (own->handler == NULL)
			ret_old->sa_handler = SIG_DFL;
		else
			ret_old->sa_sigaction = (void (*)(int, siginfo_t *, void *))own->handler;
	}
	if (action == NULL)
		return 0;
	own->handler = NULL; /* SIG_DFL and SIG_IGN: nothing happens */
	if (action->sa_flags & SA_SIGINFO)
		own->handler = (void (*)(int, void *, void *))action->sa_sigaction;
	own->mask = signal_convert(&action->sa_mask);
	return 0;
}

int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	struct thread *self = world_thread;
	uint64_t now = self->pending & signal_convert(set);

	(void)timeout;
	if (now == 0) {
		errno = EAGAIN;
		return -1;
	}
	self->pending &= ~(UINT64_C(1) << __builtin_ctzll(now));
	if (info != NULL)
		*info = (siginfo_t){ .si_signo = __builtin_ctzll(now) };
	return __builtin_ctzll(now);
}
