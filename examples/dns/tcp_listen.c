/* SPDX-License-Identifier: MIT */

/*
 * Listening sockets, and what becomes of them when a connection cannot be taken, for lack of
 * descriptors above all. It stays in the kernel's queue then and the socket stays readable: to ask
 * again at once would be busy for nothing. So all of them are parked, until a connection of ours
 * ends or a moment has passed, and the log has one line a minute.
 */

#include "tcp_listen.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKLOG = 256,
	/* Ten attempts a second cost nothing; a client that waits notices a tenth of one hardly. */
	PARKED_US = 100000,
	TELL_S = 60,
};

static uint64_t get_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec + 1; /* never 0 */
}

static void tell(struct dns_tcp_listen *listen, int error)
{
	bool by_number = error == EMFILE || error == ENFILE;
	uint64_t now_s = get_s();

	if (listen->told_s != 0 && now_s < listen->told_s + TELL_S)
		return;
	listen->told_s = now_s;
	fprintf(stderr,
		"volley-dns: warning: TCP connections cannot be taken (%s), so clients wait; %s\n",
		strerror(error),
		by_number ? "raise the limit of open files (ulimit -n, LimitNOFILE=) or lower "
			    "--tcp-connections"
			  : "it is tried again ten times a second");
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa,
		      int n_sa, void *arg)
{
	const struct dns_tcp_listen *listen = arg;

	listen->on_accept(listener, fd, sa, n_sa, listen->arg);
}

static void on_failure(struct evconnlistener *listener, void *arg)
{
	const struct timeval parked = { .tv_usec = PARKED_US };
	struct dns_tcp_listen *listen = arg;
	int error = errno;

	(void)listener;
	tell(listen, error);
	dns_counts_add(listen->counts, DNS_COUNT_ACCEPTS_FAILED, 1);
	if (event_add(listen->retry, &parked) < 0)
		return;
	listen->is_parked = true;
	for (uint32_t i = 0; i < listen->n_listeners; i++)
		evconnlistener_disable(listen->listeners[i]);
}

void dns_tcp_listen_resume(struct dns_tcp_listen *listen)
{
	if (!listen->is_parked || listen->is_closed)
		return;
	listen->is_parked = false;
	for (uint32_t i = 0; i < listen->n_listeners; i++)
		evconnlistener_enable(listen->listeners[i]);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	dns_tcp_listen_resume(arg);
}

int dns_tcp_listen_init(struct dns_tcp_listen *listen)
{
	listen->retry = event_new(listen->base, -1, 0, on_retry, listen);
	return listen->retry == NULL ? -ENOMEM : 0;
}

void dns_tcp_listen_fini(struct dns_tcp_listen *listen)
{
	while (listen->n_listeners > 0)
		evconnlistener_free(listen->listeners[--listen->n_listeners]);
	if (listen->retry != NULL)
		event_free(listen->retry);
}

void dns_tcp_listen_close(struct dns_tcp_listen *listen)
{
	listen->is_closed = true;
	event_del(listen->retry);
	for (uint32_t i = 0; i < listen->n_listeners; i++)
		evconnlistener_disable(listen->listeners[i]);
}

/* libevent 2.1 would make the socket for us, but cannot set IPV6_V6ONLY. */
static int make_socket(const struct volley_addr *addr, bool is_v6only)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int v6only = is_v6only;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (addr->sa.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0) ||
	    bind(fd, &addr->sa, addr->len) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int dns_tcp_listen_add(struct dns_tcp_listen *listen, const struct volley_addr *addr,
		       bool is_v6only)
{
	unsigned int flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
	struct evconnlistener *listener;
	int fd;

	if (listen->n_listeners == DNS_TCP_MAX_LISTENERS)
		return -ENOSPC;
	fd = make_socket(addr, is_v6only);
	if (fd < 0)
		return fd;
	listener = evconnlistener_new(listen->base, on_accept, listen, flags, BACKLOG, fd);
	if (listener == NULL) {
		int error = errno != 0 ? errno : ENOMEM;

		close(fd);
		return -error;
	}
	evconnlistener_set_error_cb(listener, on_failure);
	listen->listeners[listen->n_listeners++] = listener;
	return 0;
}
