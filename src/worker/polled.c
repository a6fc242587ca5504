/* SPDX-License-Identifier: MIT */

/*
 * A socket that is busy is taken out of epoll and simply read, as network drivers do under load:
 * while it is in, each datagram that the kernel has sent runs epoll's callback, which was 5 % of
 * the CPU at saturation. It goes back in as soon as it is found empty.
 *
 *     in epoll --a pass used up its budget, or found n_busy--> polled
 *        ^                                                        |
 *        +--------------- a pass found nothing ------------------+
 */

#include "worker/polled.h"
#include "worker/loop_ops.h"

bool vly_polled_has_any(const struct volley_worker *worker)
{
	return worker->loop.n_polled > 0;
}

void vly_polled_set(struct volley_worker *worker, struct vly_sock *sock, bool is_polled)
{
	assert(vly_self_is_allowed(&worker->self));
	if (sock->watch.is_polled == is_polled)
		return;
	sock->watch.is_polled = is_polled;
	worker->loop.n_polled += is_polled ? 1 : -1u;
	vly_socks_set_ready(sock, is_polled);
}

void vly_polled_adapt(struct volley_worker *worker, uint32_t n_busy)
{
	struct vly_sock *sock = vly_socks_get_ready(&worker->socks);

	for (; sock != NULL; sock = vly_socks_get_next_ready(sock)) {
		const struct vly_watch *watch = &sock->watch;
		bool is_busy = sock->is_ready || sock->n_taken >= n_busy;

		if (!sock->reads)
			continue;
		if (!watch->is_polled && is_busy) {
			vly_polled_set(worker, sock, true);
			vly_loop_watch(worker, sock);
		} else if (watch->is_polled && sock->n_taken == 0) {
			/* Level-triggered: what came since the last look is reported. */
			vly_polled_set(worker, sock, false);
			if (vly_loop_watch(worker, sock) < 0)
				vly_polled_set(worker, sock, true);
		}
		vly_socks_set_ready(sock, watch->is_polled);
	}
}
