/* SPDX-License-Identifier: MIT */

/*
 * The stepping driver for the engine: a stop, or a posted function, arrives at every instruction
 * boundary of one whole cycle of a worker (wait, receive, callback, send), in each wait strategy.
 *
 * A cycle is from one end-of-volley hook to the next, or to where the worker sleeps. With "post,
 * stop" a posted function has woken the worker before the first step, so that the stop also falls
 * between the drain of the eventfd and the next wait.
 *
 * Afterwards: the stop returns; the server is started again; every datagram that the kernel took
 * has been replied to once, before the stop or after the new start.
 *
 *	engine [--long]		every boundary; without, one in SAMPLE where there is traffic
 */

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "step.h"

/*
 * A cycle with traffic is 1,200 to 2,700 instructions, stepped from its start for each case:
 * sampled in CI. The way into the wait, where the races are, is queue 0: 200 to 600, all of them.
 */
#define SAMPLE         197
#define MAX_BOUNDARIES 20000
/* A spinning worker that has nothing to do never ends its cycle: so many boundaries are enough. */
#define MAX_SPIN 100
/*
 * A full queue: of so many datagrams the kernel drops some, as the receive buffer holds about ten.
 */
#define N_FULL       20
#define RCVBUF_BYTES 4608

enum what { STOP, POST, POST_STOP, N_WHATS };

struct shared *shared;
static struct tracer tracer;
static struct volley_server *server;
static uint32_t strategy;
static enum what what;
/* Shared with the victim process. */
static struct {
	struct volley_addr address;
	_Atomic int n_delivered;
	_Atomic int n_posted;
	_Atomic int n_dropped; /* by the kernel, as the server has it */
	_Atomic bool marks;    /* int3 only where somebody is watching */
} * common;
static int n_passed, n_failed;

/* --- the victim process ----------------------------------------------------------------------- */

static void mark(enum phase phase)
{
	if (!atomic_load(&common->marks))
		return;
	atomic_store(&shared->phase, (int)phase);
	__asm__ volatile("int3" ::: "memory");
}

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	atomic_fetch_add(&common->n_delivered, (int)n);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	(void)worker;
	(void)arg;
	atomic_store(&shared->victim_tid, (int)syscall(SYS_gettid));
	while (atomic_load(&shared->seized) == 0)
		syscall(SYS_futex, &shared->seized, FUTEX_WAIT, 0, NULL, NULL, 0);
	mark(PHASE_READY);
	return 0;
}

static void on_batch_end(struct volley_worker *worker, void *arg)
{
	(void)worker;
	(void)arg;
	mark(atomic_load(&shared->phase) == PHASE_READY ? PHASE_BEGIN : PHASE_END);
}

static void posted(struct volley_worker *worker, void *arg)
{
	(void)worker;
	(void)arg;
	atomic_fetch_add(&common->n_posted, 1);
	if (what == POST)
		mark(PHASE_END);
}

static int count_drops(void)
{
	struct volley_stats stats = { .size = sizeof stats };
	int r = volley_server_get_stats(server, &stats);

	atomic_store(&common->n_dropped, (int)stats.kernel_drops);
	return r;
}

static int helper_do(enum event event)
{
	switch (event) {
	case EVENT_SIGNAL:
		return volley_server_post(server, posted, NULL);
	case EVENT_REQUEST:
		return what == POST ? volley_server_post(server, posted, NULL)
				    : volley_server_request_stop(server);
	case EVENT_DETACH:
		return volley_server_stop(server);
	case EVENT_ATTACH:
		return volley_server_start(server);
	case EVENT_LOOK:
		return count_drops();
	default:
		return 0;
	}
}

void victim_process(const struct library *library)
{
	int n_done = 0;

	(void)library;
	if (volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = strategy,
					    .rcvbuf_bytes = RCVBUF_BYTES, .on_start = on_start,
					    .on_batch_end = on_batch_end),
			      &server) < 0 ||
	    volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo), NULL) < 0)
		return;
	common->address = listener_addr(server, 0);
	if (volley_server_start(server) < 0)
		return;
	for (;;) {
		while (atomic_load(&shared->event_posted) == n_done)
			syscall(SYS_futex, &shared->event_posted, FUTEX_WAIT, n_done, NULL, NULL,
				0);
		atomic_store(&shared->event_result,
			     helper_do((enum event)atomic_load(&shared->event)));
		atomic_store(&shared->event_done, ++n_done);
		syscall(SYS_futex, &shared->event_done, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

/* --- the tracer ------------------------------------------------------------------------------- */

struct outcome {
	bool past; /* the cycle ended before the boundary */
	const char *fault;
};

static void send_numbers(int fd, uint32_t first, int n)
{
	for (uint32_t i = 0; i < (uint32_t)n; i++) {
		uint32_t number = first + i;

		if (sendto(fd, &number, sizeof number, 0, &common->address.sa,
			   common->address.len) < 0)
			perror("sendto");
	}
}

/* Every number from 0 to n - 1 exactly once. */
static const char *receive_all(int fd, int n)
{
	struct pollfd in = { .fd = fd, .events = POLLIN };
	uint32_t number, seen = 0;

	while (poll(&in, 1, seen == (1u << n) - 1 ? 0 : 2000) > 0) {
		if (recv(fd, &number, sizeof number, 0) != sizeof number || number > N_FULL)
			return "a strange reply";
		if (seen & 1u << number)
			return "a reply came twice";
		seen |= 1u << number;
	}
	return seen == (1u << n) - 1 ? NULL : "a datagram was lost";
}

/* From the first volley's end, step to boundary k. */
static enum stop walk(int k, struct outcome *outcome)
{
	enum stop stop = STOP_STEP;

	for (int i = 0; i < k; i++) {
		stop = tracer_step(&tracer);
		if (stop == STOP_STEP)
			continue;
		outcome->past = i < k - 1;
		return stop;
	}
	return stop;
}

/* The worker goes on until it has left, or has run the posted function. */
static const char *let_go(enum stop stop)
{
	for (int marks = 0; marks < 8; marks++) {
		if (what == POST && atomic_load(&common->n_posted) == 1)
			return NULL;
		if (stop == STOP_DEAD)
			return what == POST ? "the worker left" : NULL;
		if (stop == STOP_STUCK)
			return what == POST ? "the function was not run" : "the stop was missed";
		stop = tracer_run(&tracer);
	}
	return "the worker goes on and on";
}

/* Have the helper do it, and wait for that. */
static bool call(enum event event)
{
	helper_post(event);
	return helper_wait(4000) && atomic_load(&shared->event_result) == 0;
}

/* Stop for good, start again, and see every datagram replied to that the kernel took. */
static const char *settle(int fd, int n)
{
	const char *fault;

	if (!helper_wait(4000) || atomic_load(&shared->event_result) != 0)
		return "the request failed";
	if (!call(EVENT_LOOK))
		return "there are no statistics";
	/* What the buffer had no room for came last, as the worker stood still. */
	if ((n > N_FULL) != (atomic_load(&common->n_dropped) > 0))
		return "the queue was not as full as it should be";
	n -= atomic_load(&common->n_dropped);
	if (what == POST) {
		fault = receive_all(fd, n); /* the worker goes on, untraced */
		return fault;
	}
	if (!call(EVENT_DETACH))
		return "stop does not return";
	if (!call(EVENT_ATTACH))
		return "it does not start again";
	fault = receive_all(fd, n);
	if (fault == NULL && atomic_load(&common->n_delivered) != n)
		fault = "a datagram was delivered twice";
	if (fault == NULL && what == POST_STOP && atomic_load(&common->n_posted) > 1)
		fault = "a function ran twice";
	return fault;
}

static struct outcome run_case(int queue, int k)
{
	struct outcome outcome = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enum stop stop;

	memset(common, 0, sizeof *common);
	atomic_store(&common->marks, true);
	if (fd < 0 || tracer_start(&tracer, NULL) < 0) {
		outcome.fault = "the server does not start";
		goto end;
	}
	send_numbers(fd, 0, 1);
	if (tracer_run(&tracer) != STOP_MARK) {
		outcome.fault = "the first datagram was not served";
		goto end;
	}
	send_numbers(fd, 1, queue);
	if (what == POST_STOP) {
		helper_post(EVENT_SIGNAL);
		helper_wait(4000);
	}
	stop = walk(k, &outcome);
	helper_post(EVENT_REQUEST);
	helper_wait(4000);
	outcome.fault = let_go(stop);
	atomic_store(&common->marks, false); /* nobody watches any more */
	if (what == POST)
		tracer_detach(&tracer);
	if (outcome.fault == NULL)
		outcome.fault = settle(fd, queue + 1);
end:
	tracer_kill(&tracer);
	close(fd);
	return outcome;
}

static void sweep(const char *name, int queue, int sample)
{
	static const char *const names[N_WHATS] = { "stop", "post", "post, stop" };
	int limit = strategy == VOLLEY_WAIT_SPIN && queue == 0 ? MAX_SPIN : MAX_BOUNDARIES;
	int n_cases = 0, n_faults = 0, k;
	time_t start = time(NULL);

	for (k = 0; k < limit; k += sample) {
		struct outcome outcome = run_case(queue, k);

		n_cases++;
		n_passed += outcome.fault == NULL;
		n_failed += outcome.fault != NULL;
		n_faults += outcome.fault != NULL;
		if (outcome.fault != NULL && n_failed <= 20)
			printf("FAILED %s, %s, queue %d, boundary %d: %s\n", name, names[what],
			       queue, k, outcome.fault);
		if (outcome.past)
			break;
	}
	printf("%-6s %-11s %5d %7d %7d %6d %5ds\n", name, names[what], queue, k, n_cases, n_faults,
	       (int)(time(NULL) - start));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "event", "block", "spin" };
	static const int queues[] = { 0, 1, 3, N_FULL };
	int sample = argc > 1 && strcmp(argv[1], "--long") == 0 ? 1 : SAMPLE;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof cpus, &cpus);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || common == MAP_FAILED)
		return 1;
	atomic_store(&common->marks, true);
	if (tracer_start(&tracer, NULL) == -EPERM) {
		printf("SKIP: ptrace is not permitted here\n");
		return 77;
	}
	tracer_kill(&tracer);
	printf("%-6s %-11s %5s %7s %7s %6s %6s\n", "wait", "request", "queue", "bounds", "cases",
	       "fault", "time");
	for (strategy = VOLLEY_WAIT_EVENT; strategy <= VOLLEY_WAIT_SPIN; strategy++)
		for (what = STOP; what < N_WHATS; what++)
			for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
				sweep(names[strategy], queues[i], queues[i] == 0 ? 1 : sample);
	printf("%d passed, %d failed\n", n_passed, n_failed);
	return n_failed > 0 || n_passed == 0;
}
