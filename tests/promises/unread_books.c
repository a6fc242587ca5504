/* SPDX-License-Identifier: MIT */

/*
 * `unread_bytes` completes the books that stand beside it: what is unread no more has been counted
 * as taken by then, but for the volley that the worker is in. Whoever reads the books first and
 * asks the kernel behind them misses all that the worker takes in between, and the JSON says that
 * the kernel has queued less than it has.
 *
 * Here the worker takes all that waits just when the kernel is asked.
 */

#include <semaphore.h>
#include <sys/syscall.h>

#include "bounds.h"

enum { N = 10, N_ALL = 1 + N + 1 };

static struct volley_addr addr;
static sem_t first_began, first_may_end, last_began, last_may_end;
static atomic_uint n_begun;
static atomic_bool is_armed;

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	unsigned int n = atomic_fetch_add(&n_begun, 1) + 1;

	(void)worker, (void)packet, (void)arg;
	if (n == 1) {
		sem_post(&first_began);
		sem_wait(&first_may_end);
	}
	if (n == N_ALL) {
		sem_post(&last_began);
		sem_wait(&last_may_end);
	}
}

static void send_some(uint32_t n)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	while (n-- > 0)
		REQUIRE(sendto(fd, "x", 1, 0, &addr.sa, addr.len) == 1);
	close(fd);
}

/* All that waited is served, and in the books, for another volley has begun. */
static void serve_all(void)
{
	sem_post(&first_may_end);
	while (atomic_load(&n_begun) < 1 + N)
		sched_yield();
	send_some(1);
	sem_wait(&last_began);
}

#define PUBLIC __attribute__((visibility("default")))

/* The library calls this one. */
PUBLIC int getsockopt(int fd, int level, int name, void *value, socklen_t *n_bytes)
{
	if (level == SOL_SOCKET && name == SO_MEMINFO && atomic_exchange(&is_armed, false))
		serve_all();
	return (int)syscall(SYS_getsockopt, fd, level, name, value, n_bytes);
}

int main(void)
{
	struct volley_server *server;
	struct volley_stats stats;

	promise_begin(10);
	sem_init(&first_began, 0, 0);
	sem_init(&first_may_end, 0, 0);
	sem_init(&last_began, 0, 0);
	sem_init(&last_may_end, 0, 0);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	addr = bounds_listen(server, VOLLEY_LISTEN(.on_packet = on_packet), 1);
	REQUIRE(volley_server_start(server) == 0);
	sem_wait(&first_began);
	send_some(N);
	atomic_store(&is_armed, true);
	stats = bounds_stats(server);
	CHECK(!atomic_load(&is_armed));
	CHECK_EQ(stats.unread_bytes, 0);
	CHECK_EQ(stats.rx_messages, 1 + N);
	sem_post(&last_may_end);
	CHECK_EQ(volley_server_stop(server), 0);
	stats = bounds_stats(server);
	CHECK_EQ(stats.unread_bytes, 0);
	CHECK_EQ(stats.rx_messages, N_ALL);
	CHECK_EQ(volley_server_free(server), 0);
	return check_done();
}
