/* SPDX-License-Identifier: MIT */

/*
 * What a cancellation point costs: a recvmmsg of an empty queue, non-blocking, as a bare system
 * call, through the window, and by the C library's cancellable wrapper. The three take turns within
 * each round, in an order that changes; medians of the rounds, and the median of the ratio to the
 * bare call within the same round. Machines are noisy: this is a program to run, not a test.
 *
 *	cost [rounds]
 */

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#define N_CALLS    2000
#define N_VARIANTS 3
#define MAX_ROUNDS 100000

static struct mmsghdr msgs[4];
static int fd;

/* syscall(2) loads the arguments and tests the result, like anyone's bare call. */
static void call_bare(void)
{
	for (int i = 0; i < N_CALLS; i++)
		syscall(SYS_recvmmsg, fd, msgs, 4, MSG_DONTWAIT, NULL);
}

static void call_window(void)
{
	for (int i = 0; i < N_CALLS; i++)
		volley_recvmmsg(fd, msgs, 4, MSG_DONTWAIT);
}

static void call_libc(void)
{
	for (int i = 0; i < N_CALLS; i++)
		recvmmsg(fd, msgs, 4, MSG_DONTWAIT, NULL);
}

static double time_ns(void (*call)(void))
{
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	call();
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
	       N_CALLS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(double *values, int n, double q)
{
	qsort(values, (size_t)n, sizeof *values, compare);
	return values[(int)(q * (n - 1))];
}

/* The program is multi-threaded, as servers are: the C library's wrapper is cheaper without. */
static void *wait_main(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	static void (*const calls[N_VARIANTS])(void) = { call_bare, call_window, call_libc };
	static const char *const names[N_VARIANTS] = { "bare system call", "window", "C library" };
	static double ns[N_VARIANTS][MAX_ROUNDS], ratio[N_VARIANTS][MAX_ROUNDS];
	int n_rounds = argc > 1 ? atoi(argv[1]) : 2001;
	pthread_t thread;

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (n_rounds < 1 || n_rounds > MAX_ROUNDS || fd < 0 || volley_cancel_attach(NULL) < 0 ||
	    pthread_create(&thread, NULL, wait_main, NULL) != 0)
		return 1;
	for (int v = 0; v < N_VARIANTS; v++)
		calls[v]();
	for (int r = 0; r < n_rounds; r++) {
		for (int i = 0; i < N_VARIANTS; i++)
			ns[(r + i) % N_VARIANTS][r] = time_ns(calls[(r + i) % N_VARIANTS]);
		for (int v = 0; v < N_VARIANTS; v++)
			ratio[v][r] = ns[v][r] / ns[0][r];
	}
	printf("%d rounds of %d non-blocking recvmmsg\n", n_rounds, N_CALLS);
	for (int v = 0; v < N_VARIANTS; v++)
		printf("%-17s %7.1f ns (%.1f-%.1f)   %.3f of bare (%.3f-%.3f)\n", names[v],
		       quantile(ns[v], n_rounds, 0.5), quantile(ns[v], n_rounds, 0.25),
		       quantile(ns[v], n_rounds, 0.75), quantile(ratio[v], n_rounds, 0.5),
		       quantile(ratio[v], n_rounds, 0.25), quantile(ratio[v], n_rounds, 0.75));
	return 0;
}
