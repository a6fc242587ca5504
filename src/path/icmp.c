/* SPDX-License-Identifier: MIT */

/*
 * Reports of the network (ICMP) about replies that were sent before.
 *
 * They are for those who ask (VOLLEY_LISTEN_REPORT_ERRORS), because the kernel delivers them twice:
 * in the error queue, with the address they are about, and as the socket's pending error, which
 * fails the next call on the socket, whomever that is for. So the queue is emptied before replies
 * are sent, and a send that fails all the same is tried once more after emptying it again: only an
 * error of its own comes back.
 *
 * An unread queue also eats the receive buffer, so it is emptied with each volley and each empty
 * receive.
 *
 * On an adopted socket the same may come although nobody here asked, because whoever else holds it
 * has switched it on. It is looked for where it shows: at a receive that found nothing and at a
 * send that failed. There is nobody to tell, so it is in no count.
 */

#include "path/icmp.h"
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

static void empty(struct volley_worker *worker, struct vly_sock *sock)
{
	const struct volley_listen_config *config = &sock->listener->config;
	struct vly_errqueue_entry entry;

	for (int i = 0; i < N_AT_ONCE && vly_errqueue_pop(sock->fd, &entry) > 0; i++) {
		if (!entry.icmp || !is_asked_for(sock))
			continue;
		vly_ledger_count_reported(&worker->books);
		if (config->on_error != NULL && !worker->icmp.is_silent)
			config->on_error(worker, &entry.peer, entry.error, config->arg);
	}
}

void vly_icmp_drain(struct volley_worker *worker, struct vly_sock *sock)
{
	assert(vly_self_is_allowed(&worker->self));
	if (is_asked_for(sock))
		empty(worker, sock);
}

void vly_icmp_drain_idle(struct volley_worker *worker, struct vly_sock *sock)
{
	bool spins = worker->shared->config.wait == VOLLEY_WAIT_SPIN;

	assert(vly_self_is_allowed(&worker->self));
	if (is_asked_for(sock) ||
	    (sock->listener->adopted && (!spins || worker->icmp.n_looks++ % N_SPINS == 0)))
		empty(worker, sock);
}

int vly_icmp_send(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n)
{
	int r = vly_io_send(worker->io, sock->index, tx, heads, n);

	assert(n > 0);
	if (VLY_LIKELY(r > 0) || !is_possible(sock))
		return r;
	empty(worker, sock);
	return vly_io_send(worker->io, sock->index, tx, heads, n);
}
