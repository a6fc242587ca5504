/* SPDX-License-Identifier: MIT */

/*
 * A socket of which nothing can be received any more, because somebody who holds it too has shut it
 * down or because a filter of system calls came later, is readable for ever. The server says so
 * once, uses no CPU for it, counts no datagram that never was, and ends in time.
 */

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "bounds.h"
#include "lib/filter.h"

enum { N_STRATEGIES = 3, N_SUBJECTS = 2 * N_STRATEGIES, CPU_MS = 300 };

struct subject {
	enum volley_wait wait;
	bool is_filtered; /* else shut down */
	int fd;
	struct volley_addr addr;
	struct volley_server *server;
	atomic_uint n_told;
	atomic_bool is_open;
	pthread_t thread;
};

static atomic_bool is_over;

static double get_cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	struct subject *subject = arg;

	if (level == VOLLEY_LOG_ERROR && strstr(text, "nothing can be received") != NULL &&
	    strstr(text, subject->is_filtered ? "EPERM" : "ESHUTDOWN") != NULL)
		atomic_fetch_add(&subject->n_told, 1);
}

/* On the worker's thread: the filter is its own. */
static int on_start(struct volley_worker *worker, void *arg)
{
	const struct subject *subject = arg;
	const struct filter_rule rules[] = {
		{ .name = "recvmmsg", .nr = SYS_recvmmsg, .level = -1 },
		{ .name = "recvmsg", .nr = SYS_recvmsg, .level = -1 },
	};

	(void)worker;
	for (int i = 0; subject->is_filtered && i < 2; i++)
		REQUIRE(filter_refuse(&rules[i], EPERM));
	return 0;
}

/* Where the worker has no thread, this one is it. */
static void *serve(void *arg)
{
	struct subject *subject = arg;
	struct volley_config config = { .size = sizeof config,
					.n_workers = 1,
					.wait = subject->wait,
					.on_start = on_start,
					.log = on_log,
					.arg = subject };

	REQUIRE(volley_server_new(&config, &subject->server) == 0);
	REQUIRE(volley_server_adopt(subject->server, &subject->fd, 1,
				    VOLLEY_LISTEN(.on_packet = bounds_on_packet,
						  .flags = VOLLEY_LISTEN_KEEP_SOCKETS),
				    NULL) >= 0);
	REQUIRE(volley_server_start(subject->server) == 0);
	atomic_store(&subject->is_open, true);
	while (subject->wait == VOLLEY_WAIT_FD && !atomic_load(&is_over)) {
		int64_t ns = volley_server_get_timeout_ns(subject->server);
		struct pollfd fd = { volley_server_get_fd(subject->server), POLLIN, 0 };
		int ms = ns >= 0 && ns < 50000000 ? (int)(ns / 1000000) + 1 : 50;

		poll(&fd, 1, ms);
		volley_server_process(subject->server);
	}
	return NULL;
}

static void begin(struct subject *subject, unsigned int i)
{
	static const enum volley_wait waits[N_STRATEGIES] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK,
							      VOLLEY_WAIT_FD };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	subject->wait = waits[i % N_STRATEGIES];
	subject->is_filtered = i >= N_STRATEGIES;
	subject->fd = fd;
	volley_addr_parse("127.0.0.1:0", &subject->addr);
	REQUIRE(bind(fd, &subject->addr.sa, subject->addr.len) == 0);
	REQUIRE(getsockname(fd, &subject->addr.sa, &subject->addr.len) == 0);
	REQUIRE(pthread_create(&subject->thread, NULL, serve, subject) == 0);
	while (!atomic_load(&subject->is_open))
		sched_yield();
	if (subject->is_filtered)
		REQUIRE(sendto(fd, "x", 1, 0, &subject->addr.sa, subject->addr.len) == 1);
	else
		shutdown(fd, SHUT_RD); /* says ENOTCONN, and does it all the same */
}

static void end(struct subject *subject)
{
	struct volley_stats stats = { .size = sizeof stats };

	CHECK_EQ(atomic_load(&subject->n_told), 1);
	CHECK_EQ(volley_server_get_stats(subject->server, &stats), 0);
	CHECK_EQ(stats.rx_datagrams, 0);
	CHECK_EQ(volley_server_stop(subject->server), 0);
	CHECK_EQ(volley_server_free(subject->server), 0);
	close(subject->fd);
}

int main(void)
{
	static struct subject subjects[N_SUBJECTS];
	double cpu_ms;
	double begin_ms;

	promise_begin(15);
	for (unsigned int i = 0; i < N_SUBJECTS; i++)
		begin(&subjects[i], i);
	cpu_ms = get_cpu_ms();
	for (unsigned int i = 0; i < N_SUBJECTS; i++)
		while (atomic_load(&subjects[i].n_told) == 0)
			bounds_be_slow(10000);
	CHECK(get_cpu_ms() - cpu_ms < CPU_MS);
	atomic_store(&is_over, true);
	begin_ms = bounds_now_ms();
	for (unsigned int i = 0; i < N_SUBJECTS; i++) {
		pthread_join(subjects[i].thread, NULL);
		end(&subjects[i]);
	}
	CHECK(bounds_now_ms() - begin_ms < 1000);
	return check_done();
}
