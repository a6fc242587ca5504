/* SPDX-License-Identifier: MIT */

/*
 * sessions ADDR:PORT [IDLE_MS]: a server that remembers its clients. The reply to each datagram is
 * how many this client has sent; whoever has said nothing for IDLE_MS (10,000) begins again at 1.
 * Each worker has a table of its own, because a client's datagrams all come to the same worker, and
 * a timer that looks for idle ones. SIGTERM or SIGINT ends it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <volley/volley.h>

#include "common/start.h"

/* At most 1,000 ends at a time, so that datagrams do not wait for longer than those take. */
enum { N_MAX = 100000, N_EXPIRE = 1000, TICK_NS = 10000000 };

struct session {
	uint64_t n_datagrams;
};

/* The same for all workers. */
struct options {
	struct volley_listener listener;
	uint64_t idle_ns;
};

/* One for each worker. */
struct sessions {
	struct volley_peers *peers;
	struct volley_timer timer;
};

static void count(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	struct sessions *sessions = volley_worker_get_data(worker);
	uint64_t now_ns = volley_worker_get_now_ns(worker);
	char text[32];

	for (size_t i = 0; i < n; i++) {
		struct session *session = volley_peers_add(sessions->peers, packets[i].peer,
							   now_ns);

		if (session == NULL)
			continue; /* the table is full */
		snprintf(text, sizeof text, "%llu\n", (unsigned long long)++session->n_datagrams);
		volley_packet_reply(&packets[i], text, strlen(text));
	}
	(void)arg;
}

static void say_end(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
		    void *arg)
{
	const struct session *session = data;
	char text[VOLLEY_ADDR_TEXT_BYTES];

	volley_addr_format(peer, text, sizeof text);
	fprintf(stderr, "sessions: %s has %s after %llu\n", text,
		reason == VOLLEY_PEERS_EXPIRED ? "gone" : "been ended",
		(unsigned long long)session->n_datagrams);
	(void)arg;
}

static void on_tick(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct sessions *sessions = arg;

	volley_peers_expire(sessions->peers, volley_worker_get_now_ns(worker), N_EXPIRE);
	volley_worker_set_timer(worker, timer, TICK_NS, 0);
}

static void say_ready(struct volley_server *server, struct volley_listener listener)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	volley_listener_get_addr(server, listener, &addr);
	volley_addr_format(&addr, text, sizeof text);
	fprintf(stderr, "sessions: ready on %s\n", text);
}

/* On the worker's thread, as on_stop is. */
static int on_start(struct volley_worker *worker, void *arg)
{
	struct sessions *sessions = calloc(1, sizeof *sessions);
	const struct options *options = arg;
	int r;

	if (sessions == NULL)
		return -ENOMEM;
	r = volley_peers_new(VOLLEY_PEERS(.n_max = N_MAX, .n_bytes = sizeof(struct session),
					  .idle_ns = options->idle_ns, .on_end = say_end),
			     &sessions->peers);
	if (r >= 0) {
		sessions->timer = (struct volley_timer){ .fn = on_tick, .arg = sessions };
		r = volley_worker_set_timer(worker, &sessions->timer, TICK_NS, 0);
	}
	if (r < 0) {
		volley_peers_free(sessions->peers);
		free(sessions);
		return r;
	}
	volley_worker_set_data(worker, sessions);
	if (volley_worker_get_index(worker) == 0)
		say_ready(volley_worker_get_server(worker), options->listener);
	return 0;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	struct sessions *sessions = volley_worker_get_data(worker);

	volley_peers_free(sessions->peers);
	free(sessions);
	(void)arg;
}

int main(int argc, char **argv)
{
	struct options options = { .idle_ns = (argc > 2 ? strtoull(argv[2], NULL, 10) : 10000) *
					      1000000 };
	struct volley_server *server = NULL;
	int r;

	if (argc < 2 || argc > 3 || options.idle_ns == 0) {
		fprintf(stderr, "usage: sessions ADDR:PORT [IDLE_MS]\n");
		return 2;
	}
	start_program();
	r = volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .on_start = on_start,
					    .on_stop = on_stop, .log = volley_log_stderr,
					    .arg = &options),
			      &server);
	if (r >= 0)
		r = volley_server_listen(server, argv[1], VOLLEY_LISTEN(.on_batch = count),
					 &options.listener);
	if (r >= 0)
		r = volley_server_run(server);
	volley_server_free(server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
