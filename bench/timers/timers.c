/* SPDX-License-Identifier: MIT */

/*
 * What a worker's timers cost, and how late they are.
 *
 *	volley-timers cost [N]   ns to set, move, clear and fire one of N (a million)
 *	volley-timers late [N]   how late one of 1 ms is, N times (2,000), in each way
 *
 * On a machine that does something else the second says what that costs, and not what volley does.
 */

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <volley/volley.h>

#define MS UINT64_C(1000000)

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t draw(uint64_t n)
{
	static uint64_t seed = 1;

	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (seed >> 16) % n;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "volley-timers: %s\n", what);
	exit(1);
}

static void ignore(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

static struct volley_server *open_server(const struct volley_config *config)
{
	struct volley_server *server;

	if (volley_server_new(config, &server) < 0 ||
	    volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = ignore), NULL) <
		    0)
		die("there is no server");
	return server;
}

/* Cost ----------------------------------------------------------------------------------------- */

static struct {
	struct volley_timer *timers;
	uint32_t n;
	uint32_t n_fired;
	uint64_t begin_ns; /* of the thread's CPU time */
} cost;

static sem_t done;

static void tell(const char *what, uint64_t since_ns, uint32_t n)
{
	printf("%-6s %8.1f ns each\n", what,
	       (double)(read_clock(CLOCK_THREAD_CPUTIME_ID) - since_ns) / n);
}

static void count(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	(void)worker, (void)timer, (void)arg;
	if (++cost.n_fired < cost.n)
		return;
	tell("fire", cost.begin_ns, cost.n);
	sem_post(&done);
}

static uint64_t set_all(struct volley_worker *worker, uint64_t within_ns, uint64_t slack_ns)
{
	uint64_t begin_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);

	for (uint32_t i = 0; i < cost.n; i++)
		volley_worker_set_timer(worker, &cost.timers[i], draw(within_ns), slack_ns);
	return begin_ns;
}

static int measure(struct volley_worker *worker, void *arg)
{
	uint64_t begin_ns;

	(void)arg;
	tell("set", set_all(worker, 60000 * MS, 0), cost.n);
	tell("move", set_all(worker, 60000 * MS, 0), cost.n);
	begin_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
	for (uint32_t i = 0; i < cost.n; i++)
		volley_worker_clear_timer(worker, &cost.timers[i]);
	tell("clear", begin_ns, cost.n);
	set_all(worker, 5000 * MS, 10 * MS);
	cost.begin_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
	return 0;
}

/* The worker sleeps while none is due, so its CPU time is theirs: with some slack, few wakes. */
static void measure_cost(uint32_t n)
{
	struct volley_server *server = open_server(
		VOLLEY_CONFIG(.n_workers = 1, .on_start = measure));

	cost.n = n;
	cost.timers = calloc(n, sizeof *cost.timers);
	if (cost.timers == NULL)
		die("there is no memory");
	for (uint32_t i = 0; i < n; i++)
		cost.timers[i].fn = count;
	printf("%u timers of %zu bytes, within a minute; fired within 5 s, slack 10 ms\n", n,
	       sizeof *cost.timers);
	sem_init(&done, 0, 0);
	if (volley_server_start(server) < 0)
		die("it does not start");
	sem_wait(&done);
	volley_server_free(server);
	free(cost.timers);
}

/* Lateness ------------------------------------------------------------------------------------- */

static struct {
	uint64_t *lates_ns;
	uint32_t n, n_fired;
	uint64_t at_ns;
} late;

static struct volley_timer timer;

static int set_next(struct volley_worker *worker, void *arg)
{
	(void)arg;
	late.at_ns = read_clock(CLOCK_MONOTONIC) + MS;
	return volley_worker_set_timer(worker, &timer, MS, 0);
}

static void note(struct volley_worker *worker, struct volley_timer *fired, void *arg)
{
	(void)fired, (void)arg;
	late.lates_ns[late.n_fired++] = read_clock(CLOCK_MONOTONIC) - late.at_ns;
	if (late.n_fired < late.n) {
		set_next(worker, NULL);
		return;
	}
	volley_server_request_stop(volley_worker_get_server(worker));
	sem_post(&done);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* The loop of the caller, which asks for nanoseconds. */
static void run_fd(struct volley_server *server)
{
	struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

	do {
		int64_t ns = volley_server_get_timeout_ns(server);
		struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

		ppoll(&fd, 1, ns < 0 ? NULL : &time, NULL);
	} while (volley_server_process(server) >= 0);
}

static void measure_way(const char *name, enum volley_wait wait, struct event_base *base)
{
	struct volley_server *server = open_server(VOLLEY_CONFIG(.n_workers = 1, .wait = wait,
								 .event_base = base,
								 .on_start = set_next));

	late.n_fired = 0;
	sem_init(&done, 0, 0);
	if (volley_server_start(server) < 0)
		die("it does not start");
	if (base != NULL)
		event_base_dispatch(base);
	else if (wait == VOLLEY_WAIT_FD)
		run_fd(server);
	sem_wait(&done);
	volley_server_free(server);
	qsort(late.lates_ns, late.n, sizeof *late.lates_ns, compare);
	printf("%-16s p50 %7.1f us, p99 %7.1f us, most %7.1f us\n", name,
	       (double)late.lates_ns[late.n / 2] / 1e3,
	       (double)late.lates_ns[(uint64_t)late.n * 99 / 100] / 1e3,
	       (double)late.lates_ns[late.n - 1] / 1e3);
}

static void measure_late(uint32_t n)
{
	struct event_base *base = event_base_new();

	late.n = n;
	late.lates_ns = calloc(n, sizeof *late.lates_ns);
	if (late.lates_ns == NULL || base == NULL)
		die("there is no memory");
	timer.fn = note;
	printf("a timer of 1 ms, %u times\n", n);
	measure_way("event", VOLLEY_WAIT_EVENT, NULL);
	measure_way("block", VOLLEY_WAIT_BLOCK, NULL);
	measure_way("spin", VOLLEY_WAIT_SPIN, NULL);
	measure_way("fd (ppoll)", VOLLEY_WAIT_FD, NULL);
	measure_way("own event_base", VOLLEY_WAIT_EVENT, base);
	event_base_free(base);
	free(late.lates_ns);
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;

	if (argc > 1 && strcmp(argv[1], "cost") == 0)
		measure_cost(n > 0 ? n : 1000000);
	else if (argc > 1 && strcmp(argv[1], "late") == 0)
		measure_late(n > 0 ? n : 2000);
	else
		die("cost [N] or late [N]");
	return 0;
}
