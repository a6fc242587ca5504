/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CANCEL_VICTIM_H
#define TESTS_UNIT_CANCEL_VICTIM_H

/*
 * An attached thread that makes one call and notes what came of it, and a way to know that it has
 * gone to sleep in the kernel.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <volley/cancel.h>

#include "cancel/cancel_ops.h"

struct victim {
	long (*fn)(void *arg);
	void *arg;
	pthread_t thread;
	sem_t ready;
	pid_t tid;
	struct volley_cancel *handle;

	/* Read after the join. */
	long result;
	int saved_errno;    /* what the call left of an errno of 4711 */
	int pending;        /* before the clear */
	bool blocked_after; /* the signal, after the clear */
	bool left_pending;  /* likewise */
};

/* Only there when coverage is measured; what a child has run counts when it writes it down. */
extern void __gcov_dump(void) __attribute__((weak));

static inline _Noreturn void end_child(int status)
{
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

static inline bool signal_blocked(int signo)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&mask, signo) == 1;
}

static inline bool signal_pending(int signo)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signo) == 1;
}

static void *victim_main(void *arg)
{
	struct victim *victim = arg;

	volley_cancel_attach(&victim->handle);
	victim->tid = (pid_t)syscall(SYS_gettid);
	sem_post(&victim->ready);
	errno = 4711;
	victim->result = victim->fn(victim->arg);
	victim->saved_errno = errno;
	victim->pending = volley_cancel_pending();
	volley_cancel_clear();
	victim->blocked_after = signal_blocked(vly_cancel_get_signo());
	victim->left_pending = signal_pending(vly_cancel_get_signo());
	return NULL;
}

static inline void victim_start(struct victim *victim, long (*fn)(void *arg), void *arg)
{
	memset(victim, 0, sizeof *victim);
	victim->fn = fn;
	victim->arg = arg;
	sem_init(&victim->ready, 0, 0);
	pthread_create(&victim->thread, NULL, victim_main, victim);
	while (sem_wait(&victim->ready) < 0)
		;
}

/* 'S' for a thread asleep in the kernel; 0 when it is gone. */
static inline char thread_state(pid_t tid)
{
	char path[64], line[256], *p;
	FILE *file;
	char state = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	if (fgets(line, sizeof line, file) != NULL && (p = strrchr(line, ')')) != NULL)
		state = p[2];
	fclose(file);
	return state;
}

static inline void wait_asleep(pid_t tid)
{
	while (thread_state(tid) != 'S')
		sched_yield();
}

static inline void *victim_join(struct victim *victim)
{
	void *ret = NULL;

	pthread_join(victim->thread, &ret);
	volley_cancel_unref(victim->handle);
	sem_destroy(&victim->ready);
	return ret;
}

#endif
