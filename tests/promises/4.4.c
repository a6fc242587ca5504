/* SPDX-License-Identifier: MIT */

/*
 * A thread of the host's that is ended by pthread_cancel() while it calls the library ends outside
 * of it: nothing is left locked, and whoever else calls goes on.
 */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "sending.h"

static void cancel(pthread_t thread)
{
	void *result;

	pthread_cancel(thread);
	pthread_join(thread, &result);
	CHECK(result == PTHREAD_CANCELED);
}

/* What wakes a worker writes to a descriptor, under a lock. */
static void *call_for_ever(void *server)
{
	struct volley_addr peer;

	volley_addr_parse("127.0.0.1:9", &peer);
	for (;;) {
		volley_server_send(server, listener_at(server, 0), &peer, "x", 1, NULL);
		volley_server_post(server, nothing, NULL);
		pthread_testcancel();
	}
	return NULL;
}

static void try_sends(uint32_t wait)
{
	struct volley_server *server = server_open(VOLLEY_CONFIG(.n_workers = 1, .wait = wait));
	struct volley_addr peer;

	volley_addr_parse("127.0.0.1:9", &peer);
	REQUIRE(volley_server_start(server) >= 0);
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		REQUIRE(pthread_create(&thread, NULL, call_for_ever, server) == 0);
		cancel(thread);
		volley_server_send(server, listener_at(server, 0), &peer, "x", 1, NULL);
		CHECK_EQ(volley_server_post(server, nothing, NULL), 0);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* The hook is the user's, and what it does may be a cancellation point too. */
static void log_and_end(enum volley_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)text;
	(void)arg;
	pthread_testcancel();
}

static void *listen_badly(void *server)
{
	pthread_cancel(pthread_self());
	volley_server_listen(server, "no address", VOLLEY_LISTEN(.on_batch = echo), NULL);
	pthread_testcancel();
	return NULL;
}

static void try_hook(void)
{
	struct volley_server *server = server_open(
		VOLLEY_CONFIG(.n_workers = 1, .log = log_and_end));
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, listen_badly, server) == 0);
	cancel(thread);
	CHECK_EQ(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo), NULL),
		 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* A loop of the host's, whose callback is where it would end. */
static void end_inside(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)packet;
	(void)worker;
	(void)arg;
	pthread_testcancel();
}

static void *process(void *server)
{
	pthread_cancel(pthread_self());
	volley_server_process(server);
	pthread_testcancel();
	return NULL;
}

static void try_own_loop(void)
{
	struct volley_server *server;
	const struct volley_addr *to;
	struct pollfd fd = { .events = POLLIN };
	pthread_t thread;
	int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD), &server) >= 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = end_inside),
				     NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	to = LISTENER_ADDR(server, 0);
	fd.fd = volley_server_get_fd(server);
	sendto(client, "x", 1, 0, &to->sa, to->len);
	REQUIRE(poll(&fd, 1, 1000) == 1);
	REQUIRE(pthread_create(&thread, NULL, process, server) == 0);
	cancel(thread);
	CHECK(volley_server_process(server) >= 0);
	CHECK_EQ(volley_server_free(server), 0);
	close(client);
}

static void tell(struct volley_worker *worker, void *arg)
{
	(void)worker;
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
}

static void *run(void *server)
{
	volley_server_run(server);
	pthread_testcancel();
	return NULL;
}

/* It has a lock for as long as it serves, so it serves on until it is asked to stop. */
static void try_run(void)
{
	struct volley_server *server = server_open(VOLLEY_CONFIG(.n_workers = 1));
	pthread_t thread;
	int fds[2];
	char byte;

	REQUIRE(pipe(fds) == 0 && pthread_create(&thread, NULL, run, server) == 0);
	while (volley_server_post(server, tell, &fds[1]) < 0)
		sched_yield();
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	pthread_cancel(thread);
	CHECK_EQ(volley_server_post(server, tell, &fds[1]), 0);
	CHECK_EQ(read(fds[0], &byte, 1), 1);
	volley_server_request_stop(server);
	cancel(thread);
	CHECK_EQ(volley_server_free(server), 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	promise_begin(15);
	try_sends(VOLLEY_WAIT_EVENT);
	try_sends(VOLLEY_WAIT_BLOCK);
	try_hook();
	try_own_loop();
	try_run();
	return check_done();
}
