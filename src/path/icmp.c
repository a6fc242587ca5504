/* SPDX-License-Identifier: MIT */

/*
 * Reports of the network (ICMP) about replies that were sent before.
 *
 * They are for those who ask (VOLLEY_LISTEN_REPORT_ERRORS), because the kernel delivers them twice:
 * in the error queue, with the address they are about, and as the socket's pending error, which
 * fails the next call on the socket, whomever that is for. So the queue is emptied before replies
 * are sent, and a send that fails all the same is tried again after emptying it again, until only
 * an error of its own can come back. One that never gets through a flood of reports waits in the
 * backlog, as if the socket were full.
 *
 * An unread queue also eats the receive buffer, so it is emptied with each volley and each empty
 * receive.
 *
 * On an adopted socket the same may come although nobody here asked, because whoever else holds it
 * has switched it on. It is looked for where it shows: at a receive that found nothing and at a
 * send that failed. There is nobody to tell, so it is in no count.
 */

#include "path/icmp.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "io/io.h"
#include "path/listener.h"
#include "sys/errqueue.h"

/*
 * A flood of reports must not keep the worker from its datagrams; the rest is read with the next
 * volley.
 */
enum { N_AT_ONCE = 256 };

/* With the strategy `spin` most receives find nothing, and no queue wakes anybody. */
enum { N_SPINS = 1024 };

/* In a flood of reports 7 of 44,668 sends met another one at their second try: 64 are plenty. */
enum { N_TRIES = 64 };

static bool is_asked_for(const struct vly_sock *sock)
{
	return sock->listener->config.flags & VOLLEY_LISTEN_REPORT_ERRORS;
}

static bool is_possible(const struct vly_sock *sock)
{
	return is_asked_for(sock) || sock->listener->adopted;
}

void vly_icmp_set_silent(struct volley_worker *worker, bool is_silent)
{
	assert(vly_self_is_allowed(&worker->self));
	worker->icmp.is_silent = is_silent;
}

/* Tell the user, unless a callback must not begin any more. */
static void tell(struct volley_worker *worker, const struct vly_sock *sock,
		 const struct volley_addr *peer, int error)
{
	const struct volley_listen_config *config = &sock->listener->config;

	if (config->on_error == NULL || worker->icmp.is_silent || vly_drain_is_over(worker->shared))
		return;
	config->on_error(worker, peer, error, config->arg);
	vly_arena_end_callback(&worker->arena);
}

/* The user's callback may be what sends, so it is told later. Beyond so many it is only counted. */
static void keep(struct vly_icmp *icmp, const struct vly_sock *sock,
		 const struct vly_errqueue_entry *entry)
{
	if (icmp->n_reports == VLY_ARRAY_SIZE(icmp->reports))
		return;
	icmp->reports[icmp->n_reports++] = (struct vly_report){ .peer = entry->peer,
								.error = entry->error,
								.sock_index = sock->index,
								.sock_serial = sock->serial };
}

void vly_icmp_process(struct volley_worker *worker)
{
	struct vly_icmp *icmp = &worker->icmp;
	uint32_t n = icmp->n_reports;

	assert(vly_self_is_allowed(&worker->self));
	for (uint32_t i = 0; i < n; i++) {
		const struct vly_report *report = &icmp->reports[i];
		const struct vly_sock *sock = vly_socks_find(&worker->socks, report->sock_index,
							     report->sock_serial);

		if (sock != NULL)
			tell(worker, sock, &report->peer, report->error);
	}
	/* What they sent may have met others. */
	icmp->n_reports -= n;
	memmove(&icmp->reports[0], &icmp->reports[n], icmp->n_reports * sizeof icmp->reports[0]);
}

static void count(struct volley_worker *worker, struct vly_sock *sock)
{
	struct vly_account *before = vly_ledger_set_account(&worker->books, &sock->account);

	vly_ledger_count_reported(&worker->books);
	vly_ledger_set_account(&worker->books, before);
}

/* What the queue has shown of an error. */
enum look { LOOK_NOTHING, LOOK_REPORTED, LOOK_UNKNOWN };

/*
 * Empty the queue: was this error reported in it? 0: was any, and nothing is being sent. What could
 * not be read to its end may have held it.
 */
static enum look empty(struct volley_worker *worker, struct vly_sock *sock, int error)
{
	struct vly_errqueue_entry entry;
	bool is_reported = false;
	int r = 1;

	for (int i = 0; i < N_AT_ONCE && (r = vly_errqueue_pop(sock->fd, &entry)) > 0; i++) {
		if (!entry.icmp)
			continue;
		is_reported |= error == 0 || entry.error == -error;
		if (!is_asked_for(sock))
			continue;
		count(worker, sock);
		if (error == 0)
			tell(worker, sock, &entry.peer, entry.error);
		else
			keep(&worker->icmp, sock, &entry);
	}
	if (is_reported)
		return LOOK_REPORTED;
	return r == 0 ? LOOK_NOTHING : LOOK_UNKNOWN;
}

void vly_icmp_drain(struct volley_worker *worker, struct vly_sock *sock)
{
	assert(vly_self_is_allowed(&worker->self));
	if (is_asked_for(sock))
		empty(worker, sock, 0);
}

bool vly_icmp_take_idle(struct volley_worker *worker, struct vly_sock *sock)
{
	bool spins = worker->shared->config.wait == VOLLEY_WAIT_SPIN;

	assert(vly_self_is_allowed(&worker->self));
	if (is_asked_for(sock) ||
	    (sock->listener->adopted && (!spins || worker->icmp.n_looks++ % N_SPINS == 0)))
		return empty(worker, sock, 0) == LOOK_REPORTED;
	return false;
}

/* Whether a send ended with what it says of itself; no report can be the reason for these. */
static bool is_own(int r)
{
	return r > 0 || r == -EAGAIN || r == -ENOBUFS;
}

/*
 * After a failure. An error is the datagram's own when it comes back although no such report was
 * there; or again and again, where nobody can read the queue. A refusal never is: a socket that is
 * not connected hears of one by a report only.
 */
static int send_again(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		      const uint16_t *heads, uint32_t n, int error)
{
	bool is_unknown = true;

	for (int i = 0; i < N_TRIES && !is_own(error); i++) {
		enum look look = empty(worker, sock, error);
		int r = vly_io_send(worker->io, sock->index, tx, heads, n);

		if (r == error && look == LOOK_NOTHING && r != -ECONNREFUSED)
			return r;
		is_unknown &= r == error && look == LOOK_UNKNOWN;
		error = r;
	}
	if (is_own(error) || (is_unknown && error != -ECONNREFUSED))
		return error;
	return -EAGAIN;
}

int vly_icmp_send(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n)
{
	int r = vly_io_send(worker->io, sock->index, tx, heads, n);

	assert(n > 0);
	if (VLY_LIKELY(r > 0) || (!is_possible(sock) && r != -ECONNREFUSED))
		return r;
	return send_again(worker, sock, tx, heads, n, r);
}
