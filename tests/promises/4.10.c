/* SPDX-License-Identifier: MIT */

/*
 * A program that takes the cancellation signal for itself once the server runs can still stop it,
 * and send by it. It keeps its handler, hears its own signals all the time, and is told.
 */

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <volley/volley.h>

#include "promises/promise.h"

static char warning[512];
static atomic_int n_heard;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_WARNING)
		snprintf(warning, sizeof warning, "%s", text);
}

static void on_urgent(int signo)
{
	(void)signo;
	atomic_fetch_add(&n_heard, 1);
}

static void echo(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

/* Tells that it has run, and where. */
static atomic_int worker_id;

static void tell(struct volley_worker *worker, void *arg)
{
	(void)worker;
	atomic_store(&worker_id, (int)syscall(SYS_gettid));
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
}

/* Until the worker sleeps in the kernel, as proc(5) has it. */
static void await_sleep(void)
{
	char path[64];
	char state = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&worker_id));
	while (state != 'S') {
		FILE *file = fopen(path, "r");

		REQUIRE(file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
		fclose(file);
		sched_yield();
	}
}

static void post(struct volley_server *server, int *fds)
{
	char byte;

	CHECK_EQ(volley_server_post(server, tell, &fds[1]), 0);
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	await_sleep();
}

static void take_signal(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	REQUIRE(sigaction(SIGURG, &action, NULL) == 0);
}

static void check_signal(void (*handler)(int))
{
	struct sigaction now;

	REQUIRE(sigaction(SIGURG, NULL, &now) == 0);
	CHECK(!(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler);
	raise(SIGURG);
}

/* A worker that has slept before the signal is taken, and after. */
static void try_one(void (*handler)(int), bool posts)
{
	struct volley_server *server;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	REQUIRE(volley_server_new(
			VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_BLOCK, .log = on_log),
			&server) >= 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = echo),
				     NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	post(server, fds);
	warning[0] = 0;
	take_signal(handler);
	for (int i = 0; posts && i < 3; i++) {
		post(server, fds);
		atomic_store(&n_heard, 0);
		raise(SIGURG);
		CHECK_EQ(atomic_load(&n_heard), handler == on_urgent);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(strstr(warning, "volley_cancel_init") != NULL);
	atomic_store(&n_heard, 0);
	check_signal(handler);
	CHECK_EQ(atomic_load(&n_heard), handler == on_urgent);
	CHECK_EQ(volley_server_free(server), 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	promise_begin(8);
	try_one(on_urgent, false);
	try_one(on_urgent, true);
	try_one(SIG_IGN, true);
	return check_done();
}
