/* SPDX-License-Identifier: MIT */

/*
 * Reports of the network (ICMP) about answers that were sent before.
 *
 * They are for those who ask (VOLLEY_LISTEN_REPORT_ERRORS), because the kernel delivers them
 * twice: in the error queue, with the address they are about, and as the socket's pending error,
 * which fails the next call on the socket,
 * whomever that is for. So the queue is emptied before answers are sent, and a send that fails
 * all the same is tried once more after emptying it again: only an error of its own comes back.
 *
 * An unread queue also eats the receive buffer, so it is emptied with each volley and each empty
 * receive.
 */

#include "path/errors.h"
#include "base/compiler.h"
#include "server/server.h"
#include "sys/errqueue.h"

/*
 * A flood of reports must not keep the worker from its datagrams; the rest is read with the next
 * volley.
 */
enum { N_AT_ONCE = 256 };

void vly_errors_drain(struct volley_worker *worker, struct vly_port *port)
{
	const struct volley_listen_config *config = &port->listener->config;
	struct vly_errqueue_entry entry;

	if (!(config->flags & VOLLEY_LISTEN_REPORT_ERRORS))
		return;
	for (int i = 0; i < N_AT_ONCE && vly_errqueue_pop(port->fd, &entry) > 0; i++) {
		if (!entry.icmp)
			continue;
		worker->counts.tx_reported++;
		if (config->on_error != NULL)
			config->on_error(worker, &entry.peer, entry.error, config->arg);
	}
}

int vly_errors_send(struct volley_worker *worker, struct vly_port *port, const struct vly_tx *tx,
		    const uint16_t *heads, uint32_t n)
{
	uint32_t listener = port->listener->index;
	int r = vly_io_send(worker->io, listener, tx, heads, n);

	if (VLY_LIKELY(r > 0) || !(port->listener->config.flags & VOLLEY_LISTEN_REPORT_ERRORS))
		return r;
	vly_errors_drain(worker, port);
	return vly_io_send(worker->io, listener, tx, heads, n);
}
