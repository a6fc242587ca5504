/* SPDX-License-Identifier: MIT */

/*
 * TCP is for answers that do not fit a datagram and for clients that must prove their address: rare
 * and slow, so one thread with libevent serves it all and the workers never hear of it. It shares
 * nothing with them but the catalog, which is handed over through an atomic pointer and an eventfd.
 *
 * Queries of one connection are answered in the order in which they come, as many as have arrived
 * (RFC 7766, 6.2.1.1). A client that does not read its answers is not read from.
 *
 * What counts for a connection is what it finishes: a query that has come whole, or the last byte
 * of its answers taken. Whoever finishes nothing for the idle time is closed, be it silent or slow:
 * a byte now and then is no progress. And at a limit the one that has finished nothing for longest
 * makes room for the new one (RFC 7766, 6.2.3). Connections are in one list, in that order, so both
 * are a look at its front.
 */

#include "tcp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "tcp_listen.h"
#include "wire.h"

enum {
	LENGTH_BYTES = 2,
	/*
	 * Answers that wait for a client before it is read from again: a pipeline of small ones, or
	 * a few of the largest.
	 */
	MAX_WAITING = 2 * DNS_MAX_MESSAGE,
	STOP_SECONDS = 1,
};

struct connection {
	TAILQ_ENTRY(connection) order;
	uint64_t finished_ms; /* its last progress */
	struct dns_tcp *tcp;
	struct bufferevent *stream;
	struct volley_addr peer;
	bool is_waiting; /* for the client to read */
};

struct dns_tcp {
	struct dns_tcp_config config;
	struct dns_responder responder;
	struct dns_counts counts;
	struct event_base *base;
	struct event *wake;
	struct event *late;
	struct event *idle; /* set while there are connections */
	struct dns_tcp_listen listen;
	TAILQ_HEAD(, connection) connections; /* whose progress is oldest, first */
	uint32_t n_connections;
	struct dns_catalog *catalog; /* the responder's, with our user */
	int wake_fd;
	bool is_stopping;
	bool has_thread;
	pthread_t thread;
	_Atomic(struct dns_catalog *) next_catalog; /* from the reloader to us */
	atomic_bool must_stop;
	uint8_t out[LENGTH_BYTES + DNS_MAX_MESSAGE];
};

/* Connections ---------------------------------------------------------------------------------- */

static uint64_t get_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void note_progress(struct connection *connection)
{
	struct dns_tcp *tcp = connection->tcp;

	connection->finished_ms = get_ms();
	TAILQ_REMOVE(&tcp->connections, connection, order);
	TAILQ_INSERT_TAIL(&tcp->connections, connection, order);
}

static void close_connection(struct connection *connection)
{
	struct dns_tcp *tcp = connection->tcp;

	TAILQ_REMOVE(&tcp->connections, connection, order);
	tcp->n_connections--;
	bufferevent_free(connection->stream);
	free(connection);
	dns_tcp_listen_resume(&tcp->listen);
	if (tcp->is_stopping && TAILQ_EMPTY(&tcp->connections))
		event_base_loopbreak(tcp->base);
}

/* One query, whole, without its length. False: the connection is not worth keeping. */
static bool answer_one(struct connection *connection, const uint8_t *packet, size_t n)
{
	struct dns_tcp *tcp = connection->tcp;
	struct dns_query query;
	struct dns_answer answer;
	struct dns_request request = { .query = &query,
				       .packet = packet,
				       .peer = &connection->peer };
	size_t n_answer;

	dns_query_parse(&query, packet, n, &tcp->responder.key);
	if (query.verdict == DNS_VERDICT_DROP) {
		dns_counts_add(&tcp->counts, DNS_COUNT_IGNORED, 1);
		return false;
	}
	dns_counts_add(&tcp->counts, DNS_COUNT_QUERIES, 1);
	tcp->responder.now = (uint32_t)time(NULL);
	request.zone = dns_answer_find_zone(&tcp->responder, &query);
	n_answer = dns_answer(&tcp->responder, &request, tcp->out + LENGTH_BYTES, DNS_MAX_MESSAGE,
			      &answer);
	dns_put16(tcp->out, (uint32_t)n_answer);
	dns_counts_add_answer(&tcp->counts, answer.rcode, n, n_answer);
	return bufferevent_write(connection->stream, tcp->out, LENGTH_BYTES + n_answer) == 0;
}

static void read_queries(struct connection *connection)
{
	struct evbuffer *in = bufferevent_get_input(connection->stream);
	struct evbuffer *out = bufferevent_get_output(connection->stream);

	while (evbuffer_get_length(in) >= LENGTH_BYTES) {
		const uint8_t *length = evbuffer_pullup(in, LENGTH_BYTES);
		size_t n = length == NULL ? 0 : dns_get16(length);
		const uint8_t *packet;

		if (evbuffer_get_length(out) > MAX_WAITING) {
			connection->is_waiting = true;
			bufferevent_disable(connection->stream, EV_READ);
			return;
		}
		if (evbuffer_get_length(in) < LENGTH_BYTES + n)
			return;
		packet = evbuffer_pullup(in, (ev_ssize_t)(LENGTH_BYTES + n));
		if (packet == NULL || !answer_one(connection, packet + LENGTH_BYTES, n)) {
			close_connection(connection);
			return;
		}
		evbuffer_drain(in, LENGTH_BYTES + n);
		note_progress(connection);
	}
}

static void on_read(struct bufferevent *stream, void *arg)
{
	(void)stream;
	read_queries(arg);
}

/* Everything was sent. */
static void on_written(struct bufferevent *stream, void *arg)
{
	struct connection *connection = arg;

	note_progress(connection);
	if (connection->tcp->is_stopping) {
		close_connection(connection);
	} else if (connection->is_waiting) {
		connection->is_waiting = false;
		bufferevent_enable(stream, EV_READ);
		read_queries(connection);
	}
}

/* The client closed, or an error. */
static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct connection *connection = arg;

	/* A client may close its side and still read what it asked for. */
	if (what & BEV_EVENT_EOF && evbuffer_get_length(bufferevent_get_output(stream)) > 0) {
		bufferevent_disable(stream, EV_READ);
		bufferevent_setcb(stream, NULL, on_written, on_event, connection);
		connection->is_waiting = true;
		return;
	}
	close_connection(connection);
}

/* A host has one address of IPv4, also mapped, and of IPv6 as many as a network of 64 bits. */
static bool is_same_client(const struct volley_addr *a, const struct volley_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr,
		      IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) ? 16 : 8) == 0;
}

static void evict(struct connection *connection)
{
	dns_counts_add(&connection->tcp->counts, DNS_COUNT_CONNECTIONS_EVICTED, 1);
	close_connection(connection);
}

/* For one more: at its own limit a client's oldest goes, so it cannot push out others'. */
static void make_room(struct dns_tcp *tcp, const struct volley_addr *peer)
{
	struct connection *oldest = NULL;
	struct connection *c;
	uint32_t n_same = 0;

	TAILQ_FOREACH(c, &tcp->connections, order)
	{
		if (!is_same_client(&c->peer, peer))
			continue;
		if (n_same++ == 0)
			oldest = c;
	}
	if (oldest != NULL && n_same >= tcp->config.n_per_client)
		evict(oldest);
	else if (tcp->n_connections >= tcp->config.n_connections)
		evict(TAILQ_FIRST(&tcp->connections));
}

/* The first of all, or NULL: there is none. */
static void watch_idle(struct dns_tcp *tcp, const struct connection *first)
{
	uint64_t left_ms = tcp->config.idle_seconds * UINT64_C(1000);
	struct timeval left;
	uint64_t gone_ms;

	if (first == NULL)
		return;
	gone_ms = get_ms() - first->finished_ms;
	left_ms = gone_ms < left_ms ? left_ms - gone_ms : 0;
	left.tv_sec = (time_t)(left_ms / 1000);
	left.tv_usec = (suseconds_t)(left_ms % 1000 * 1000);
	event_add(tcp->idle, &left);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct dns_tcp *tcp = arg;
	uint64_t idle_ms = tcp->config.idle_seconds * UINT64_C(1000);
	uint64_t now_ms = get_ms();
	struct connection *c = TAILQ_FIRST(&tcp->connections);
	struct connection *next;

	(void)fd;
	(void)what;
	for (; c != NULL && now_ms - c->finished_ms >= idle_ms; c = next) {
		next = TAILQ_NEXT(c, order);
		dns_counts_add(&tcp->counts, DNS_COUNT_CONNECTIONS_EXPIRED, 1);
		close_connection(c);
	}
	watch_idle(tcp, c);
}

static struct connection *new_connection(struct dns_tcp *tcp, evutil_socket_t fd)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (connection == NULL)
		return NULL;
	connection->stream = bufferevent_socket_new(tcp->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (connection->stream == NULL) {
		free(connection);
		return NULL;
	}
	connection->tcp = tcp;
	connection->finished_ms = get_ms();
	TAILQ_INSERT_TAIL(&tcp->connections, connection, order);
	tcp->n_connections++;
	if (!evtimer_pending(tcp->idle, NULL)) /* it is the only one */
		watch_idle(tcp, connection);
	return connection;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa,
		      int n_sa, void *arg)
{
	struct dns_tcp *tcp = arg;
	struct volley_addr peer = { .len = (uint32_t)n_sa };
	struct connection *connection;

	(void)listener;
	memcpy(&peer, sa, (size_t)n_sa < sizeof peer.in6 ? (size_t)n_sa : sizeof peer.in6);
	make_room(tcp, &peer);
	connection = new_connection(tcp, fd);
	if (connection == NULL) {
		dns_counts_add(&tcp->counts, DNS_COUNT_CONNECTIONS_REFUSED, 1);
		close(fd);
		return;
	}
	dns_counts_add(&tcp->counts, DNS_COUNT_CONNECTIONS, 1);
	connection->peer = peer;
	bufferevent_setcb(connection->stream, on_read, on_written, on_event, connection);
	bufferevent_setwatermark(connection->stream, EV_READ, 0, LENGTH_BYTES + DNS_MAX_MESSAGE);
	bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

/* The thread ----------------------------------------------------------------------------------- */

static void begin_stop(struct dns_tcp *tcp)
{
	struct timeval late = { .tv_sec = STOP_SECONDS };
	struct connection *next;

	tcp->is_stopping = true;
	dns_tcp_listen_close(&tcp->listen);
	for (struct connection *c = TAILQ_FIRST(&tcp->connections); c != NULL; c = next) {
		next = TAILQ_NEXT(c, order);
		bufferevent_disable(c->stream, EV_READ);
		if (evbuffer_get_length(bufferevent_get_output(c->stream)) == 0)
			close_connection(c);
	}
	if (TAILQ_EMPTY(&tcp->connections))
		event_base_loopbreak(tcp->base);
	else
		event_add(tcp->late, &late);
}

static void take_catalog(struct dns_tcp *tcp)
{
	/* acquire: the catalog that the reloader made */
	struct dns_catalog *next = atomic_exchange_explicit(&tcp->next_catalog, NULL,
							    memory_order_acquire);

	if (next == NULL)
		return;
	dns_catalog_unref(tcp->catalog);
	tcp->catalog = next;
	dns_answer_set_catalog(&tcp->responder, next);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct dns_tcp *tcp = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) < 0)
		return;
	take_catalog(tcp);
	if (atomic_load_explicit(&tcp->must_stop, memory_order_relaxed) && !tcp->is_stopping)
		begin_stop(tcp);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct dns_tcp *tcp = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(tcp->base);
}

static void *run(void *arg)
{
	struct dns_tcp *tcp = arg;

	event_base_dispatch(tcp->base);
	return NULL;
}

static void wake(struct dns_tcp *tcp)
{
	const uint64_t one = 1;

	while (write(tcp->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* For others ----------------------------------------------------------------------------------- */

static int make_base(struct dns_tcp *tcp)
{
	struct event_config *config = event_config_new();

	if (config == NULL)
		return -ENOMEM;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* one thread */
	tcp->base = event_base_new_with_config(config);
	event_config_free(config);
	tcp->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tcp->base == NULL || tcp->wake_fd < 0)
		return -ENOMEM;
	tcp->wake = event_new(tcp->base, tcp->wake_fd, EV_READ | EV_PERSIST, on_wake, tcp);
	tcp->late = event_new(tcp->base, -1, 0, on_late, tcp);
	tcp->idle = event_new(tcp->base, -1, 0, on_idle, tcp);
	if (tcp->wake == NULL || tcp->late == NULL || tcp->idle == NULL ||
	    event_add(tcp->wake, NULL) < 0)
		return -ENOMEM;
	tcp->listen.base = tcp->base;
	tcp->listen.counts = &tcp->counts;
	tcp->listen.on_accept = on_accept;
	tcp->listen.arg = tcp;
	return dns_tcp_listen_init(&tcp->listen);
}

int dns_tcp_new(const struct dns_tcp_config *config, const struct dns_responder *responder,
		struct dns_tcp **ret_tcp)
{
	struct dns_tcp *tcp = calloc(1, sizeof *tcp);
	int r;

	if (tcp == NULL)
		return -ENOMEM;
	tcp->wake_fd = -1;
	TAILQ_INIT(&tcp->connections);
	tcp->config = *config;
	tcp->responder = *responder;
	r = make_base(tcp);
	if (r < 0) {
		dns_tcp_free(tcp);
		return r;
	}
	*ret_tcp = tcp;
	return 0;
}

int dns_tcp_listen(struct dns_tcp *tcp, const struct volley_addr *addr, bool is_v6only)
{
	return dns_tcp_listen_add(&tcp->listen, addr, is_v6only);
}

int dns_tcp_start(struct dns_tcp *tcp)
{
	int r;

	take_catalog(tcp);
	r = pthread_create(&tcp->thread, NULL, run, tcp);
	tcp->has_thread = r == 0;
	return -r;
}

void dns_tcp_set_catalog(struct dns_tcp *tcp, struct dns_catalog *catalog)
{
	/* release: publishes the catalog and what it holds */
	struct dns_catalog *unseen = atomic_exchange_explicit(&tcp->next_catalog, catalog,
							      memory_order_acq_rel);

	dns_catalog_unref(unseen);
	wake(tcp);
}

void dns_tcp_stop(struct dns_tcp *tcp)
{
	if (!tcp->has_thread)
		return;
	/* relaxed: the eventfd orders it */
	atomic_store_explicit(&tcp->must_stop, true, memory_order_relaxed);
	wake(tcp);
	pthread_join(tcp->thread, NULL);
	tcp->has_thread = false;
}

void dns_tcp_free(struct dns_tcp *tcp)
{
	if (tcp == NULL)
		return;
	dns_tcp_stop(tcp);
	for (struct connection *c = TAILQ_FIRST(&tcp->connections), *next; c != NULL; c = next) {
		next = TAILQ_NEXT(c, order);
		close_connection(c);
	}
	dns_tcp_listen_fini(&tcp->listen);
	if (tcp->wake != NULL)
		event_free(tcp->wake);
	if (tcp->late != NULL)
		event_free(tcp->late);
	if (tcp->idle != NULL)
		event_free(tcp->idle);
	if (tcp->base != NULL)
		event_base_free(tcp->base);
	if (tcp->wake_fd >= 0)
		close(tcp->wake_fd);
	dns_catalog_unref(atomic_load_explicit(&tcp->next_catalog, memory_order_relaxed));
	dns_catalog_unref(tcp->catalog);
	free(tcp);
}

const struct dns_counts *dns_tcp_get_counts(const struct dns_tcp *tcp)
{
	return &tcp->counts;
}
