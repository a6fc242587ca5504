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

static bool is_asked_for(const struct vly_sock *sock)
{
	return sock->listener->config.flags & VOLLEY_LISTEN_REPORT_ERRORS;
}

void vly_icmp_set_silent(struct volley_worker *worker, bool is_silent)
{
	assert(vly_self_is_allowed(&worker->self));
	worker->icmp.is_silent = is_silent;
}

void vly_icmp_drain(struct volley_worker *worker, struct vly_sock *sock)
{
	const struct volley_listen_config *config = &sock->listener->config;
	struct vly_errqueue_entry entry;

	assert(vly_self_is_allowed(&worker->self));
	if (!is_asked_for(sock))
		return;
	for (int i = 0; i < N_AT_ONCE && vly_errqueue_pop(sock->fd, &entry) > 0; i++) {
		if (!entry.icmp)
			continue;
		vly_ledger_count_reported(&worker->books);
		if (config->on_error != NULL && !worker->icmp.is_silent)
			config->on_error(worker, &entry.peer, entry.error, config->arg);
	}
}

int vly_icmp_send(struct volley_worker *worker, struct vly_sock *sock, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n)
{
	int r = vly_io_send(worker->io, sock->index, tx, heads, n);

	assert(n > 0);
	if (VLY_LIKELY(r > 0) || !is_asked_for(sock))
		return r;
	vly_icmp_drain(worker, sock);
	return vly_io_send(worker->io, sock->index, tx, heads, n);
}
