/* SPDX-License-Identifier: MIT */

/*
 * epoll refuses while a server serves: first to watch a socket that was busy (the watches of
 * fs.epoll.max_user_watches are used up, which all processes of a user share), then to be waited
 * for (a filter came later). Requests are served all the same, an idle server uses no CPU to speak
 * of, the log is not flooded, and when epoll works again the socket is watched again.
 *
 * This program's own epoll_ctl and epoll_wait are the ones that the libraries call.
 */

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bounds.h"
#include "lib/listeners.h"

enum { N_SUBJECTS = 3, IDLE_MS = 300, CPU_MS = 120, MAX_LINES = 6 };

/* Not hidden as the rest of this tree. */
#define EXPORTED __attribute__((visibility("default")))

struct subject {
	enum volley_wait wait;
	int fd;
	struct volley_addr addr;
	struct volley_server *server;
	struct event_base *base; /* the third one's */
	atomic_bool is_open;
	pthread_t thread;
};

static atomic_bool refuses_watch;
static atomic_bool refuses_wait;
static atomic_bool is_over;
static atomic_uint n_refused;
static atomic_uint n_added;
static atomic_uint n_lines;
static _Thread_local bool is_host; /* waits by a base of its own */

EXPORTED int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && atomic_load(&refuses_watch)) {
		atomic_fetch_add(&n_refused, 1);
		errno = ENOSPC;
		return -1;
	}
	if (op == EPOLL_CTL_ADD)
		atomic_fetch_add(&n_added, 1);
	return (int)syscall(SYS_epoll_ctl, epoll_fd, op, fd, event);
}

EXPORTED int epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms)
{
	if (!is_host && atomic_load(&refuses_wait)) {
		atomic_fetch_add(&n_refused, 1);
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_epoll_pwait, epoll_fd, events, n, timeout_ms, NULL, 8);
}

static double get_cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)text, (void)arg;
	atomic_fetch_add(&n_lines, 1);
}

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

static void run_fd(struct volley_server *server)
{
	while (!atomic_load(&is_over)) {
		int64_t ns = volley_server_get_timeout_ns(server);
		struct pollfd fd = { volley_server_get_fd(server), POLLIN, 0 };
		int ms = ns >= 0 && ns < 50000000 ? (int)((ns + 999999) / 1000000) : 50;

		poll(&fd, 1, ms);
		volley_server_process(server);
	}
}

/* Comes back now and then to see whether it is over. */
static void run_base(struct event_base *base)
{
	const struct timeval look = { .tv_usec = 50000 };

	while (!atomic_load(&is_over)) {
		event_base_loopexit(base, &look);
		event_base_dispatch(base);
	}
}

/* A budget of one datagram: whoever sends one makes the socket a busy one. */
static void *serve(void *arg)
{
	struct subject *subject = arg;
	struct volley_config config = { .size = sizeof config,
					.n_workers = 1,
					.wait = subject->wait,
					.n_batch = 1,
					.n_budget = 1,
					.log = on_log,
					.event_base = subject->base };

	is_host = subject->base != NULL;
	REQUIRE(volley_server_new(&config, &subject->server) == 0);
	REQUIRE(volley_server_listen(subject->server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_packet = reply), NULL) == 0);
	subject->addr = listener_addr(subject->server, 0);
	REQUIRE(volley_server_start(subject->server) == 0);
	atomic_store(&subject->is_open, true);
	if (config.wait == VOLLEY_WAIT_FD)
		run_fd(subject->server);
	if (subject->base != NULL)
		run_base(subject->base);
	return NULL;
}

static void begin(struct subject *subject)
{
	const struct timeval patience = { .tv_sec = 2 };

	subject->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(subject->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	REQUIRE(pthread_create(&subject->thread, NULL, serve, subject) == 0);
	while (!atomic_load(&subject->is_open))
		sched_yield();
}

static void ask_all(const struct subject *subjects)
{
	char byte = 'x';

	for (unsigned int i = 0; i < N_SUBJECTS; i++) {
		REQUIRE(sendto(subjects[i].fd, &byte, 1, 0, &subjects[i].addr.sa,
			       subjects[i].addr.len) == 1);
		if (!CHECK(recv(subjects[i].fd, &byte, 1, 0) == 1))
			fprintf(stderr, "\tsubject %u\n", i);
	}
}

/* Nothing is waited for: this is how long they have nothing to do. */
static void check_idle(void)
{
	double cpu_ms = get_cpu_ms();

	bounds_be_slow(IDLE_MS * 1000);
	cpu_ms = get_cpu_ms() - cpu_ms;
	if (!CHECK(cpu_ms < CPU_MS))
		fprintf(stderr, "\t%.0f ms of CPU in %d ms\n", cpu_ms, IDLE_MS);
	if (!CHECK(atomic_load(&n_lines) <= MAX_LINES))
		fprintf(stderr, "\t%u lines in the log\n", atomic_load(&n_lines));
}

static void check_refusals(const struct subject *subjects, atomic_bool *refuses)
{
	atomic_store(&n_lines, 0);
	atomic_store(&n_refused, 0);
	atomic_store(refuses, true);
	for (int i = 0; i < 3; i++)
		ask_all(subjects);
	check_idle();
	ask_all(subjects);
	CHECK(atomic_load(&n_refused) > 0);
	atomic_store(&n_added, 0);
	atomic_store(refuses, false);
}

static void end(struct subject *subject)
{
	pthread_join(subject->thread, NULL);
	CHECK_EQ(volley_server_stop(subject->server), 0);
	CHECK_EQ(volley_server_free(subject->server), 0);
	if (subject->base != NULL)
		event_base_free(subject->base);
	close(subject->fd);
}

int main(void)
{
	struct subject subjects[N_SUBJECTS] = { { .wait = VOLLEY_WAIT_EVENT },
						{ .wait = VOLLEY_WAIT_FD },
						{ .base = event_base_new() } };

	promise_begin(15);
	for (unsigned int i = 0; i < N_SUBJECTS; i++)
		begin(&subjects[i]);
	check_refusals(subjects, &refuses_watch);
	while (atomic_load(&n_added) < N_SUBJECTS)
		sched_yield();
	check_refusals(subjects, &refuses_wait);
	ask_all(subjects);
	atomic_store(&is_over, true);
	for (unsigned int i = 0; i < N_SUBJECTS; i++)
		end(&subjects[i]);
	return check_done();
}
