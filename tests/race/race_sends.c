/* SPDX-License-Identifier: MIT */

/*
 * Sends from everywhere: hooks, callbacks, handlers, errors, posts, timers, between two turns, and
 * threads that are none of the server's; in every wait strategy. Each datagram has the number of
 * its source and its own. All that were accepted reach the receiver, those of a source in order,
 * and what was refused is in the books under one name.
 *
 *	race_sends [--n REQUESTS]
 */

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"

enum { N_WORKERS = 2, N_HANDLERS = 2, LISTENER = 0, TIMER_US = 500 };

/* Where a datagram comes from; each has its own numbers on each worker, or handler. */
enum kind {
	START,
	STOP,
	BEGIN,
	END,
	CALLBACK,
	ERROR,
	POST,
	TIMER,
	BETWEEN,
	SERVER_SEND,
	WORKER_SEND,
	N_KINDS,
};
enum { N_EACH = N_WORKERS * N_HANDLERS, N_SOURCES = N_KINDS * N_EACH };

struct message {
	uint32_t source;
	uint32_t number;
};

struct way {
	const char *name;
	uint32_t wait;
	bool has_base; /* the loop is an event_base of ours */
	uint32_t n_handlers;
};

static struct {
	struct volley_server *server;
	struct volley_worker *workers[N_WORKERS];
	struct event *timers[N_WORKERS];
	struct volley_addr to; /* the server */
	struct volley_addr receiver_addr;
	struct volley_addr nobody;
	int receiver;
	unsigned int n_requests;
} race;

/* What one way has sent and received. */
static struct {
	/* Written by the source's thread. */
	uint32_t n_tried[N_SOURCES];
	atomic_ulong n_accepted[N_SOURCES];
	atomic_ulong n_refused;
	atomic_ulong n_to_nobody;
	atomic_bool has_asked;
	/* The receiver's thread. */
	uint32_t next[N_SOURCES];
	unsigned long n_received[N_SOURCES];
} now;

static uint32_t get_source(enum kind kind, uint32_t i)
{
	return (uint32_t)kind * N_EACH + i;
}

static void count(uint32_t source, int r)
{
	if (r == 0)
		atomic_fetch_add(&now.n_accepted[source], 1);
	else
		atomic_fetch_add(&now.n_refused, 1);
	if (r != 0 && r != -ENOBUFS)
		CHECK_EQ(r, 0);
}

static void say(struct volley_worker *worker, enum kind kind, uint32_t i)
{
	uint32_t source = get_source(kind, i);
	struct message message = { source, now.n_tried[source]++ };

	count(source,
	      volley_worker_send(worker, listener_at(volley_worker_get_server(worker), LISTENER),
				 &race.receiver_addr, &message, sizeof message, NULL));
}

static void say_on(struct volley_worker *worker, enum kind kind)
{
	say(worker, kind, volley_worker_get_index(worker));
}

/* Hooks ---------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *worker)
{
	(void)fd, (void)what;
	say_on(worker, TIMER);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	struct event_base *base = volley_worker_get_event_base(worker);
	uint32_t i = volley_worker_get_index(worker);

	(void)arg;
	race.workers[i] = worker;
	say_on(worker, START);
	if (base == NULL)
		return 0;
	race.timers[i] = event_new(base, -1, EV_PERSIST, on_timer, worker);
	return event_add(race.timers[i], &(struct timeval){ .tv_usec = TIMER_US });
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	struct event **timer = &race.timers[volley_worker_get_index(worker)];

	(void)arg;
	if (*timer != NULL)
		event_free(*timer);
	*timer = NULL;
	say_on(worker, STOP);
}

static void on_batch_begin(struct volley_worker *worker, void *arg)
{
	(void)arg;
	say_on(worker, BEGIN);
}

static void on_batch_end(struct volley_worker *worker, void *arg)
{
	(void)arg;
	say_on(worker, END);
}

static void on_post(struct volley_worker *worker, void *arg)
{
	(void)arg;
	say_on(worker, POST);
}

static void on_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
		     void *arg)
{
	(void)peer, (void)error, (void)arg;
	say_on(worker, ERROR);
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	int handler = volley_packet_get_handler(packet);
	uint32_t i = volley_worker_get_index(worker) * N_HANDLERS +
		     (handler > 0 ? (uint32_t)handler : 0);

	(void)arg;
	say(worker, CALLBACK, i);
	CHECK_EQ(volley_packet_reply(packet, packet->data, packet->len), 0);
	say(worker, CALLBACK, i);
}

/* Threads that are none of the server's -------------------------------------------------------- */

static void send_to_nobody(void)
{
	int r = volley_server_send(race.server, listener_at(race.server, LISTENER), &race.nobody,
				   "x", 1, NULL);

	atomic_fetch_add(r == 0 ? &now.n_to_nobody : &now.n_refused, 1);
}

static void send_from_outside(void)
{
	uint32_t source = get_source(SERVER_SEND, 0);
	struct message message = { source, now.n_tried[source]++ };

	count(source, volley_server_send(race.server, listener_at(race.server, LISTENER),
					 &race.receiver_addr, &message, sizeof message, NULL));
	for (uint32_t i = 0; i < volley_server_get_n_workers(race.server); i++)
		say(race.workers[i], WORKER_SEND, i);
}

/* Its requests go to all workers and handlers, and each waits for its reply. */
static void *ask(void *arg)
{
	enum { N_CLIENTS = 8 };
	int fds[N_CLIENTS];
	uint8_t buf[16];

	(void)arg;
	for (int i = 0; i < N_CLIENTS; i++)
		fds[i] = loopback_open("127.0.0.1:0", NULL);
	for (unsigned int n = 0; n < race.n_requests; n++) {
		int fd = fds[n % N_CLIENTS];

		loopback_send(fd, &race.to, 1, sizeof buf);
		if (n % 4 == 0)
			send_to_nobody();
		if (n % 8 == 0)
			CHECK_EQ(volley_server_post(race.server, on_post, NULL), 0);
		send_from_outside();
		CHECK_EQ(loopback_recv(fd, buf, sizeof buf, NULL), sizeof buf);
	}
	for (int i = 0; i < N_CLIENTS; i++)
		close(fds[i]);
	atomic_store(&now.has_asked, true);
	volley_server_request_stop(race.server);
	return NULL;
}

/* Up to a datagram of another size, which is the last. */
static void *receive(void *arg)
{
	struct message message;

	(void)arg;
	while (recv(race.receiver, &message, sizeof message, 0) == (ssize_t)sizeof message) {
		uint32_t source = message.source;

		CHECK(source < N_SOURCES && message.number >= now.next[source]);
		now.next[source] = message.number + 1;
		now.n_received[source]++;
	}
	return NULL;
}

/* Serving -------------------------------------------------------------------------------------- */

static void serve_by_fd(void)
{
	struct pollfd fd = { .fd = volley_server_get_fd(race.server), .events = POLLIN };

	do {
		int64_t ns = volley_server_get_timeout_ns(race.server);

		poll(&fd, 1, ns < 0 ? -1 : (int)((ns + 999999) / 1000000));
		if (!atomic_load(&now.has_asked))
			say(race.workers[0], BETWEEN, 0);
	} while (volley_server_process(race.server) >= 0);
}

static void open_server(const struct way *way, struct event_base *base)
{
	bool is_ours = base != NULL || way->wait == VOLLEY_WAIT_FD;

	memset(&now, 0, sizeof now);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = is_ours ? 1 : N_WORKERS,
						.wait = way->wait, .n_handlers = way->n_handlers,
						.event_base = base, .on_start = on_start,
						.on_stop = on_stop,
						.on_batch_begin = on_batch_begin,
						.on_batch_end = on_batch_end),
				  &race.server) == 0);
	REQUIRE(volley_server_listen(race.server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_packet = on_packet, .on_error = on_error,
						   .flags = VOLLEY_LISTEN_REPORT_ERRORS),
				     NULL) == LISTENER);
	race.to = listener_addr(race.server, LISTENER);
}

static void check_books(const struct way *way)
{
	struct volley_stats stats = { .size = sizeof stats };
	unsigned long n_sent = atomic_load(&now.n_to_nobody) + race.n_requests;
	const char *fault = ledger_find_server_fault(race.server);

	if (fault != NULL)
		fprintf(stderr, "%s: %s\n", way->name, fault);
	CHECK(fault == NULL);
	for (uint32_t i = 0; i < N_SOURCES; i++) {
		if (now.n_received[i] != atomic_load(&now.n_accepted[i]))
			fprintf(stderr, "%s, %u handlers, source %u of kind %u:\n", way->name,
				way->n_handlers, i % N_EACH, i / N_EACH);
		CHECK_EQ(now.n_received[i], atomic_load(&now.n_accepted[i]));
		n_sent += now.n_received[i];
	}
	REQUIRE(volley_server_get_stats(race.server, &stats) == 0);
	CHECK_EQ(stats.tx_sent, n_sent);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], atomic_load(&now.n_refused));
	CHECK_EQ(stats.tx_requested, n_sent + atomic_load(&now.n_refused));
	CHECK(now.n_received[get_source(ERROR, 0)] + now.n_received[get_source(ERROR, 1)] > 0);
	CHECK_EQ(now.n_received[get_source(STOP, 0)], 1);
}

static void try(const struct way *way)
{
	struct event_base *base = way->has_base ? event_base_new() : NULL;
	pthread_t asker, receiver;

	open_server(way, base);
	REQUIRE(volley_server_start(race.server) == 0);
	REQUIRE(pthread_create(&receiver, NULL, receive, NULL) == 0);
	REQUIRE(pthread_create(&asker, NULL, ask, NULL) == 0);
	if (base != NULL)
		event_base_dispatch(base);
	else if (way->wait == VOLLEY_WAIT_FD)
		serve_by_fd();
	pthread_join(asker, NULL);
	CHECK_EQ(volley_server_drain(race.server), 0);
	loopback_send(race.receiver, &race.receiver_addr, 0, 1); /* behind all others */
	pthread_join(receiver, NULL);
	check_books(way);
	CHECK_EQ(volley_server_free(race.server), 0);
	if (base != NULL)
		event_base_free(base);
}

int main(int argc, char **argv)
{
	static const struct way ways[] = {
		{ "event", VOLLEY_WAIT_EVENT, false, 0 }, { "block", VOLLEY_WAIT_BLOCK, false, 0 },
		{ "spin", VOLLEY_WAIT_SPIN, false, 0 },   { "fd", VOLLEY_WAIT_FD, false, 0 },
		{ "base", VOLLEY_WAIT_EVENT, true, 0 },   { "event", VOLLEY_WAIT_EVENT, false, 2 },
		{ "spin", VOLLEY_WAIT_SPIN, false, 2 },   { "fd", VOLLEY_WAIT_FD, false, 2 },
		{ "base", VOLLEY_WAIT_EVENT, true, 2 },
	};
	int n_bytes = 16 << 20;

	race.n_requests = 500;
	if (argc == 3 && strcmp(argv[1], "--n") == 0)
		race.n_requests = (unsigned int)atoi(argv[2]);
	race.receiver = loopback_open("127.0.0.1:0", &race.receiver_addr);
	setsockopt(race.receiver, SOL_SOCKET, SO_RCVBUFFORCE, &n_bytes, sizeof n_bytes);
	close(loopback_open("127.0.0.1:0", &race.nobody));
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
		try(&ways[i]);
	close(race.receiver);
	return check_done();
}
