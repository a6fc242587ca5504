/* SPDX-License-Identifier: MIT */

/*
 * A thread of real-time priority waits for one of a lower by yielding first and then sleeping: one
 * that only yields never lets it run, and the kernel takes the CPU away from it only once a second
 * (sched_rt_runtime_us). Here both share a CPU: a reader of statistics with the worker that
 * publishes them, and a worker that woke up with the thread that is about to wake it.
 */

#include "bounds.h"

enum { RUN_MS = 700, MAX_MS = 200 };

static atomic_bool ends;
static struct volley_server *server;
static struct volley_addr to;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
}

static int be_realtime(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	return pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

static int pin_worker(struct volley_worker *worker, void *arg)
{
	const bool *is_realtime = arg;

	(void)worker;
	pin(0);
	return *is_realtime ? -be_realtime() : 0;
}

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

static void *flood(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	pin(1);
	while (!atomic_load(&ends))
		sendto(fd, "x", 1, MSG_DONTWAIT, &to.sa, to.len);
	close(fd);
	return arg;
}

static void open_server(uint32_t wait, bool *is_realtime)
{
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .n_batch = 1, .wait = wait,
						.on_start = pin_worker, .arg = is_realtime),
				  &server) == 0);
	to = bounds_listen(
		server, VOLLEY_LISTEN(.on_batch = on_batch, .flags = VOLLEY_LISTEN_NO_COALESCE), 0);
	REQUIRE(volley_server_start(server) == 0);
}

/* The longest of many short calls, between which the other thread may run. */
static double find_longest_ms(void (*call)(void))
{
	double end_ms = bounds_now_ms() + RUN_MS;
	double longest_ms = 0;

	do {
		double begin_ms = bounds_now_ms();

		call();
		begin_ms = bounds_now_ms() - begin_ms;
		longest_ms = begin_ms > longest_ms ? begin_ms : longest_ms;
		bounds_be_slow(20);
	} while (bounds_now_ms() < end_ms && longest_ms < MAX_MS);
	return longest_ms;
}

static void read_stats(void)
{
	bounds_stats(server);
}

static void *read_as_realtime(void *arg)
{
	double *longest_ms = arg;

	pin(0);
	REQUIRE(be_realtime() == 0);
	*longest_ms = find_longest_ms(read_stats);
	return NULL;
}

static void try_reader(void)
{
	bool is_realtime = false;
	double longest_ms = 0;
	pthread_t reader, sender;

	open_server(VOLLEY_WAIT_SPIN, &is_realtime);
	pthread_create(&sender, NULL, flood, NULL);
	pthread_create(&reader, NULL, read_as_realtime, &longest_ms);
	pthread_join(reader, NULL);
	atomic_store(&ends, true);
	pthread_join(sender, NULL);
	if (!CHECK(longest_ms < MAX_MS))
		fprintf(stderr, "\ta look at the statistics took %.0f ms\n", longest_ms);
	CHECK(volley_server_free(server) == 0);
}

static void nothing(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
}

static void post(void)
{
	CHECK(volley_server_post(server, nothing, NULL) == 0);
}

static void *post_as_others(void *arg)
{
	double *longest_ms = arg;

	pin(0);
	*longest_ms = find_longest_ms(post);
	return NULL;
}

/* Datagrams wake the worker while somebody posts. */
static void try_sleeper(void)
{
	bool is_realtime = true;
	double longest_ms = 0;
	pthread_t poster, sender;

	atomic_store(&ends, false);
	open_server(VOLLEY_WAIT_BLOCK, &is_realtime);
	pthread_create(&poster, NULL, post_as_others, &longest_ms);
	pthread_create(&sender, NULL, flood, NULL);
	pthread_join(poster, NULL);
	atomic_store(&ends, true);
	pthread_join(sender, NULL);
	if (!CHECK(longest_ms < MAX_MS))
		fprintf(stderr, "\ta post took %.0f ms\n", longest_ms);
	CHECK(volley_server_free(server) == 0);
}

int main(void)
{
	promise_begin(15);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || be_realtime() != 0) {
		SKIP("two CPUs and real-time priorities are needed");
		return check_done();
	}
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &(struct sched_param){ 0 });
	try_reader();
	try_sleeper();
	return check_done();
}
