/* SPDX-License-Identifier: MIT */

/*
 * dtls ADDR:PORT CERTIFICATES KEY [MTU [IDLE_MS [SESSIONS]]]: an echo server for DTLS 1.2 on
 * OpenSSL (session.c), many clients over one port. Each worker has a table of its sessions.
 *
 * Bounds: no datagram is longer than MTU (1,400) with its IP and UDP headers. Who says nothing for
 * IDLE_MS (60,000) is sent away, an eighth of that late at most. Each worker has room for SESSIONS
 * (1,000, of which each takes some 46 KiB of OpenSSL's); who comes then is not replied to. SIGTERM
 * or SIGINT sends everybody away and ends it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <volley/volley.h>

#include "../common/start.h"
#include "session.h"

/* At most 1,000 ends at a time, so that datagrams do not wait for longer than those take. */
enum { N_EXPIRE = 1000 };

#define NS_PER_MS UINT64_C(1000000)

struct options {
	struct session_context context;
	uint64_t idle_ns;
	uint32_t n_sessions;
};

/* One for each worker. */
struct endpoint {
	const struct options *options;
	struct volley_peers *peers; /* NULL from the goodbye on */
	struct session stranger;    /* whoever has sent no cookie yet */
	struct volley_timer tick;
};

struct client {
	struct session session;
	struct volley_timer retry;
};

/* It waits for the next datagram, and maybe for the time to repeat what was lost, or it ends. */
static void go_on(struct volley_worker *worker, struct client *client, bool goes_on)
{
	struct endpoint *endpoint = volley_worker_get_data(worker);
	struct volley_addr peer = client->session.peer;
	int64_t ns = goes_on ? session_get_timeout_ns(&client->session) : -1;

	if (!goes_on)
		volley_peers_remove(endpoint->peers, &peer);
	else if (ns >= 0)
		volley_worker_set_timer(worker, &client->retry, (uint64_t)ns, 0);
	else
		volley_worker_clear_timer(worker, &client->retry);
}

static void on_retry(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct client *client = arg;

	go_on(worker, client, session_retry(&client->session));
	(void)timer;
}

/* Expired, refused a second hello, or at the end: whatever the reason, it hears of it. */
static void on_end(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
		   void *arg)
{
	struct client *client = data;

	volley_worker_clear_timer(client->session.worker, &client->retry);
	session_close(&client->session);
	(void)peer, (void)reason, (void)arg;
}

/* Somebody with a cookie; who had a session at this address has begun anew. */
static void welcome(struct volley_worker *worker, struct endpoint *endpoint)
{
	const struct volley_addr *peer = &endpoint->stranger.peer;
	struct client *client;

	volley_peers_remove(endpoint->peers, peer);
	client = volley_peers_add(endpoint->peers, peer, volley_worker_get_now_ns(worker));
	if (client == NULL)
		return; /* full; the next stranger clears what is left of this one */
	session_take(&client->session, &endpoint->stranger);
	client->retry = (struct volley_timer){ .fn = on_retry, .arg = client };
	go_on(worker, client, session_serve(&client->session, NULL));
}

/* Whatever comes from a client's address keeps it from being idle, forged or not. */
static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct endpoint *endpoint = volley_worker_get_data(worker);
	struct client *client;

	(void)arg;
	if (endpoint->peers == NULL)
		return; /* everybody was sent away */
	client = volley_peers_get(endpoint->peers, packet->peer, volley_worker_get_now_ns(worker));
	if (client != NULL && !session_is_over(&client->session, packet))
		go_on(worker, client, session_serve(&client->session, packet));
	else if (session_listen(&endpoint->stranger, packet))
		welcome(worker, endpoint);
}

static int set_tick(struct volley_worker *worker, struct endpoint *endpoint)
{
	return volley_worker_set_timer(worker, &endpoint->tick, endpoint->options->idle_ns / 8, 0);
}

static void on_tick(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct endpoint *endpoint = arg;

	volley_peers_expire(endpoint->peers, volley_worker_get_now_ns(worker), N_EXPIRE);
	set_tick(worker, endpoint);
	(void)timer;
}

static void send_away(struct volley_worker *worker, void *arg)
{
	struct endpoint *endpoint = volley_worker_get_data(worker);
	struct volley_peers_stats stats = { .size = sizeof stats };

	if (volley_peers_get_stats(endpoint->peers, &stats) < 0)
		return; /* it was done before */
	fprintf(stderr,
		"dtls: worker %u: %" PRIu64 " sessions, %" PRIu64 " idle, %" PRIu64
		" refused, %" PRIu64 " at the end\n",
		volley_worker_get_index(worker), stats.added, stats.expired, stats.refused,
		stats.now);
	volley_peers_free(endpoint->peers);
	endpoint->peers = NULL;
	volley_worker_clear_timer(worker, &endpoint->tick);
	(void)arg;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	struct endpoint *endpoint = volley_worker_get_data(worker);

	send_away(worker, arg);
	session_close(&endpoint->stranger);
	free(endpoint);
}

static void say_ready(struct volley_worker *worker, struct volley_listener listener)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	volley_listener_get_addr(volley_worker_get_server(worker), listener, &addr);
	volley_addr_format(&addr, text, sizeof text);
	fprintf(stderr, "dtls: ready on %s\n", text);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	const struct options *options = arg;
	struct endpoint *endpoint = calloc(1, sizeof *endpoint);
	int r;

	if (endpoint == NULL)
		return -ENOMEM;
	endpoint->options = options;
	endpoint->stranger.context = &options->context;
	endpoint->stranger.worker = worker;
	endpoint->tick = (struct volley_timer){ .fn = on_tick, .arg = endpoint };
	r = volley_peers_new(VOLLEY_PEERS(.n_max = options->n_sessions,
					  .n_bytes = sizeof(struct client),
					  .idle_ns = options->idle_ns, .on_end = on_end),
			     &endpoint->peers);
	if (r >= 0)
		r = set_tick(worker, endpoint);
	if (r < 0) {
		volley_peers_free(endpoint->peers);
		free(endpoint);
		return r;
	}
	volley_worker_set_data(worker, endpoint);
	if (volley_worker_get_index(worker) == 0)
		say_ready(worker, options->context.listener);
	return 0;
}

static int serve(const char *address, struct options *options)
{
	struct volley_server *server = NULL;
	int r = volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .on_start = on_start,
						.on_drain = send_away, .on_stop = on_stop,
						.log = volley_log_stderr, .arg = options),
				  &server);

	if (r >= 0)
		r = volley_server_listen(server, address, VOLLEY_LISTEN(.on_packet = on_packet),
					 &options->context.listener);
	if (r >= 0)
		r = volley_server_run(server);
	volley_server_free(server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static uint32_t read_number(const char *name, const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (*text >= '0' && *text <= '9' && *end == '\0' && number >= least && number <= most)
		return (uint32_t)number;
	fprintf(stderr, "dtls: %s is a number from %u to %u, and not %s\n", name, least, most,
		text);
	exit(2);
}

int main(int argc, char **argv)
{
	struct options options = { .context.mtu = 1400,
				   .idle_ns = 60000 * NS_PER_MS,
				   .n_sessions = 1000 };
	int status;

	if (argc < 4 || argc > 7) {
		fprintf(stderr,
			"usage: dtls ADDR:PORT CERTIFICATES KEY [MTU [IDLE_MS [SESSIONS]]]\n");
		return 2;
	}
	if (argc > 4)
		options.context.mtu = read_number("MTU", argv[4], SESSION_MIN_MTU, SESSION_MAX_MTU);
	if (argc > 5)
		options.idle_ns = read_number("IDLE_MS", argv[5], 100, 86400000) * NS_PER_MS;
	if (argc > 6)
		options.n_sessions = read_number("SESSIONS", argv[6], 1, 1000000);
	start_program();
	if (session_open_context(&options.context, argv[2], argv[3]) < 0)
		return EXIT_FAILURE;
	status = serve(argv[1], &options);
	session_close_context(&options.context);
	return status;
}
