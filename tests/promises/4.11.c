/* SPDX-License-Identifier: MIT */

/* What libevent says of a worker's loop goes to the log hook, and nothing is printed. */

#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <volley/volley.h>

#include "promise.h"

static atomic_int n_told;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_WARNING && strstr(text, "poll") != NULL)
		n_told++;
}

static void on_nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* A file cannot stand in epoll, of which libevent has to say a word. */
static int on_start(struct volley_worker *worker, void *arg)
{
	struct event_base *base = volley_worker_get_event_base(worker);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct event *event = event_new(base, fd, EV_READ, on_nothing, NULL);

	(void)arg;
	event_add(event, NULL);
	event_free(event);
	close(fd);
	return 0;
}

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)packets;
	(void)n;
	(void)arg;
}

static void serve(volley_log_fn log)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = log, .on_start = on_start),
				  &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo),
				     NULL) >= 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(volley_server_free(server) == 0);
}

int main(void)
{
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO);

	promise_begin(10);
	REQUIRE(file != NULL && old >= 0);
	dup2(fileno(file), STDERR_FILENO);
	serve(on_log);
	serve(NULL);
	dup2(old, STDERR_FILENO);
	CHECK(lseek(fileno(file), 0, SEEK_END) == 0);
	CHECK(n_told >= 2);
	return check_done();
}
