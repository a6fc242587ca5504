/* SPDX-License-Identifier: MIT */

/*
 * Requests from three threads against one that blocks, clears, swaps its waker and goes through
 * regions, and against threads that come and go. No other signal is about, so that every EINTR,
 * every readable waker without a request and every write to a removed waker is a fault. Meant for
 * ThreadSanitizer (the ppoll variant there), and run without it too.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "lib/check.h"

#define N_ROUNDS 3000 /* about two seconds under ThreadSanitizer */
#define N_COMERS 500

static int pair[2];
static struct volley_cancel *victim_handle;
static pthread_barrier_t started;
static _Atomic bool done;
static _Atomic unsigned int n_stray_eintr, n_stray_wakes, n_late_writes, n_in_region, n_wrong;

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static void poll_once(void)
{
	struct timespec none = { 0 };
	int r = volley_ppoll(NULL, 0, &none, NULL);

	if (r == -EINTR)
		atomic_fetch_add(&n_stray_eintr, 1);
	else if (r != 0 && r != -ECANCELED)
		atomic_fetch_add(&n_wrong, 1);
}

static void go_through_a_region(void)
{
	struct timespec none = { 0 };

	if (volley_cancel_enter() < 0)
		return;
	volley_cancel_commit();
	for (int i = 0; i < 3; i++)
		if (volley_ppoll(NULL, 0, &none, NULL) != 0)
			atomic_fetch_add(&n_in_region, 1);
	volley_cancel_leave();
}

static int swap_waker(int old)
{
	int new = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count;

	volley_cancel_set_waker(new);
	while (read(old, &count, sizeof count) > 0)
		;
	poll_once();
	if (is_readable(old))
		atomic_fetch_add(&n_late_writes, 1);
	close(old);
	return new;
}

static void *victim_main(void *arg)
{
	int waker = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	char c;

	(void)arg;
	CHECK_EQ(volley_cancel_attach(&victim_handle), 0);
	CHECK_EQ(volley_cancel_set_waker(waker), 0);
	pthread_barrier_wait(&started);
	for (unsigned int i = 0; !atomic_load(&done); i++) {
		long r = volley_read(pair[0], &c, 1);

		if (r == -EINTR)
			atomic_fetch_add(&n_stray_eintr, 1);
		else if (r != -ECANCELED)
			atomic_fetch_add(&n_wrong, 1);
		CHECK_EQ(volley_cancel_clear(), 0);
		/* In this order: a request sets the flag before it writes. */
		if (is_readable(waker) && !volley_cancel_pending())
			atomic_fetch_add(&n_stray_wakes, 1);
		poll_once();
		if (i % 4 == 0)
			go_through_a_region();
		if (i % 8 == 0)
			waker = swap_waker(waker);
	}
	volley_cancel_detach();
	if (is_readable(waker))
		atomic_fetch_add(&n_stray_wakes, 1);
	close(waker);
	return NULL;
}

static void *request_and_wait(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < N_ROUNDS; i++)
		if (volley_cancel_request_wait(victim_handle, 20000000) != 0)
			atomic_fetch_add(&n_wrong, 1);
	return NULL;
}

static void *request_always(void *arg)
{
	int r = 0;

	(void)arg;
	while (r == 0)
		r = volley_cancel_request(victim_handle);
	CHECK_EQ(r, -ESRCH);
	return NULL;
}

static struct volley_cancel *_Atomic comer;

static void *come_and_go(void *arg)
{
	struct volley_cancel *handle;

	(void)arg;
	for (unsigned int i = 0; i < N_COMERS; i++) {
		if (volley_cancel_attach(&handle) != 0)
			atomic_fetch_add(&n_wrong, 1);
		/* Release: the handle's contents. Whoever takes the pointer takes the reference. */
		volley_cancel_unref(atomic_exchange_explicit(&comer, handle, memory_order_acq_rel));
		poll_once();
		volley_cancel_detach();
	}
	return NULL;
}

static void *request_comers(void *arg)
{
	(void)arg;
	while (!atomic_load(&done)) {
		struct volley_cancel *handle = atomic_exchange_explicit(&comer, NULL,
									memory_order_acq_rel);
		int r = handle != NULL ? volley_cancel_request(handle) : 0;

		if (r != 0 && r != -ESRCH)
			atomic_fetch_add(&n_wrong, 1);
		volley_cancel_unref(handle);
	}
	return NULL;
}

int main(void)
{
	pthread_t victim, waiters[2], hammer, comers[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
	pthread_barrier_init(&started, NULL, 2);
	pthread_create(&victim, NULL, victim_main, NULL);
	pthread_barrier_wait(&started);
	pthread_create(&waiters[0], NULL, request_and_wait, NULL);
	pthread_create(&waiters[1], NULL, request_and_wait, NULL);
	pthread_create(&comers[0], NULL, come_and_go, NULL);
	pthread_create(&comers[1], NULL, request_comers, NULL);
	pthread_join(waiters[0], NULL);
	pthread_join(waiters[1], NULL);
	pthread_join(comers[0], NULL);
	/* All the others idle, one requester in a loop must not starve the thread that clears. */
	pthread_create(&hammer, NULL, request_always, NULL);
	for (unsigned int i = 0; i < 100; i++)
		CHECK_EQ(volley_cancel_request_wait(victim_handle, 20000000), 0);
	atomic_store(&done, true);
	pthread_join(victim, NULL);
	pthread_join(hammer, NULL);
	pthread_join(comers[1], NULL);

	volley_cancel_unref(victim_handle);
	volley_cancel_unref(comer);
	CHECK_EQ(atomic_load(&n_stray_eintr), 0);
	CHECK_EQ(atomic_load(&n_stray_wakes), 0);
	CHECK_EQ(atomic_load(&n_late_writes), 0);
	CHECK_EQ(atomic_load(&n_in_region), 0);
	CHECK_EQ(atomic_load(&n_wrong), 0);
	return check_done();
}
