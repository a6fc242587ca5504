/* SPDX-License-Identifier: MIT */

/*
 * The waits of a server that serves are refused: RLIMIT_NOFILE has been lowered to 0 at run time,
 * as sandboxes do once everything is open, and poll(2) takes no descriptor any more. The server
 * goes on by the clock: it uses no CPU for nothing, serves, and hears its signals.
 */

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bounds.h"
#include "lib/listeners.h"

enum { IDLE_MS = 300, CPU_MS = 100 };

static atomic_uint n_signals;
static atomic_uint n_held;
static atomic_bool is_over;
static struct volley_held *held;

static double get_cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void on_signal(struct volley_server *server, int signo, void *arg)
{
	(void)server, (void)signo, (void)arg;
	atomic_fetch_add(&n_signals, 1);
}

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

/* The first is held, and stays so. */
static void hold(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	static struct volley_held first;

	if (atomic_load(&n_held) > 0) {
		reply(worker, packet, arg);
		return;
	}
	held = &first;
	REQUIRE(volley_packet_hold(packet, held) == 0);
	atomic_fetch_add(&n_held, 1);
}

struct subject {
	struct volley_server *server;
	struct volley_addr addr;
	int fd;
};

static void open_subject(struct subject *subject, const struct volley_config *config,
			 volley_packet_fn fn)
{
	const struct timeval patience = { .tv_sec = 2 };

	REQUIRE(volley_server_new(config, &subject->server) == 0);
	REQUIRE(volley_server_listen(subject->server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = fn),
				     NULL) == 0);
	subject->addr = listener_addr(subject->server, 0);
	subject->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(subject->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static void ask(const struct subject *subject)
{
	REQUIRE(sendto(subject->fd, "x", 1, 0, &subject->addr.sa, subject->addr.len) == 1);
}

static bool is_told(const struct subject *subject)
{
	char byte;

	return recv(subject->fd, &byte, 1, 0) == 1;
}

static void *run(void *arg)
{
	const struct subject *subject = arg;

	CHECK_EQ(volley_server_run(subject->server), 0);
	atomic_store(&is_over, true);
	return NULL;
}

static void lower_limit(void)
{
	struct rlimit limit;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 0;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void block_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

static void end(struct subject *subject)
{
	double begin_ms = bounds_now_ms();

	CHECK_EQ(volley_server_stop(subject->server), 0);
	CHECK_EQ(volley_server_free(subject->server), 0);
	BOUNDS_CHECK(begin_ms, 500);
	close(subject->fd);
}

int main(void)
{
	struct subject handled, blocked, ran;
	pthread_t thread;
	double cpu_ms;

	promise_begin(15);
	block_signals();
	open_subject(&handled, VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1), reply);
	open_subject(&blocked,
		     VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_BLOCK, .hold_us = 60000000),
		     hold);
	open_subject(&ran,
		     VOLLEY_CONFIG(.n_workers = 1, .run_signals = VOLLEY_SIGNAL(SIGUSR1),
				   .on_signal = on_signal),
		     reply);
	REQUIRE(volley_server_start(handled.server) == 0);
	REQUIRE(volley_server_start(blocked.server) == 0);
	REQUIRE(pthread_create(&thread, NULL, run, &ran) == 0);
	ask(&ran);
	CHECK(is_told(&ran));
	ask(&blocked);
	while (atomic_load(&n_held) == 0)
		sched_yield();
	lower_limit();
	ask(&handled);
	CHECK(is_told(&handled));
	ask(&blocked);
	CHECK(is_told(&blocked));

	/* Nothing is waited for: this is how long they have nothing to do. */
	cpu_ms = get_cpu_ms();
	bounds_be_slow(IDLE_MS * 1000);
	cpu_ms = get_cpu_ms() - cpu_ms;
	if (!CHECK(cpu_ms < CPU_MS))
		fprintf(stderr, "\t%.0f ms of CPU in %d ms\n", cpu_ms, IDLE_MS);

	ask(&handled);
	CHECK(is_told(&handled));
	kill(getpid(), SIGUSR1);
	while (atomic_load(&n_signals) == 0)
		sched_yield();
	kill(getpid(), SIGTERM);
	while (!atomic_load(&is_over))
		sched_yield();
	pthread_join(thread, NULL);
	end(&ran);
	end(&handled);
	end(&blocked);
	return check_done();
}
