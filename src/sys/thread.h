/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_THREAD_H
#define VLY_SYS_THREAD_H

#include <pthread.h>
#include <stdint.h>

typedef uintptr_t vly_thread_id;
typedef void *(*vly_thread_fn)(void *arg);

/* A thread of ours. */
struct vly_thread {
	pthread_t id;
};

/*
 * Start a thread. Every signal is blocked in it: no signal of the program's comes there, and
 * attaching to the cancellation module unblocks its own. 0 or -errno.
 */
int vly_thread_start(struct vly_thread *thread, vly_thread_fn main, void *arg);
void vly_thread_join(struct vly_thread *thread);

/*
 * Name the calling thread; 15 characters are kept. Another thread's name would be a file in /proc,
 * take a descriptor, and come when callbacks run already.
 */
void vly_thread_set_name(const char *name);

/* The calling thread's number in this process, never 0. No system call. */
vly_thread_id vly_thread_get_id(void);

/*
 * Let others run that wait for this CPU, between two looks at what one of them shall do; n_looks is
 * how many looks have come before. Yielding alone is no help against a thread of a lower real-time
 * priority, which would never run: so the first looks yield, and the later ones sleep.
 */
void vly_thread_yield(uint32_t n_looks);

/* Have the calling thread run on one of the CPUs it may use, the index-th modulo their number. */
int vly_thread_pin(uint32_t index);

/*
 * Hold pthread_cancel() off from the calling thread, while something is half done that a hook of
 * the program's could end; gives what vly_thread_set_cancel() then puts back.
 */
int vly_thread_disable_cancel(void);
void vly_thread_set_cancel(int state);

/* How many CPUs the calling thread may use; 1 when the system does not say. */
uint32_t vly_thread_count_cpus(void);

/*
 * Which these are, in order: n at most. Where the system does not say, the first n there may be.
 */
uint32_t vly_thread_get_cpus(uint32_t *ret_cpus, uint32_t n);

#endif
