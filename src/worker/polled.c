/* SPDX-License-Identifier: MIT */

/*
 * A socket that is busy is taken out of epoll and simply read, as network drivers do under load:
 * while it is in, each datagram that the kernel has sent runs epoll's callback, which was 5 % of
 * the CPU at saturation. It goes back in as soon as it is found empty.
 *
 *     in epoll --a pass used up its budget, or found n_busy--> polled <--a look found some--+
 *        ^                                                     |    |                       |
 *        +--------------- a pass found nothing ----------------+    +--and epoll says no--> slow
 *
 * The way back may be closed: watches are used up (fs.epoll.max_user_watches, which all processes
 * of a user share), there is no memory, or a filter came later. Such a socket is slow: it is looked
 * at each VLY_CLOCK_LOOK_NS, and the way back is tried after the pauses of rest.c.
 */

#include "worker/polled.h"

#include <volley/addr.h>

#include "base/log.h"
#include "path/listener.h"
#include "sys/clock.h"
#include "worker/loop_ops.h"
#include "worker/rest.h"

/* When to look at it; 0: it is not slow. */
static void set_slow(struct volley_worker *worker, struct vly_sock *sock, uint64_t look_ns)
{
	struct vly_watch *watch = &sock->watch;

	if ((watch->look_ns != 0) != (look_ns != 0))
		worker->loop.n_slow += look_ns != 0 ? 1 : -1u;
	watch->look_ns = look_ns;
}

void vly_polled_set(struct volley_worker *worker, struct vly_sock *sock, bool is_polled)
{
	assert(vly_self_is_allowed(&worker->self));
	set_slow(worker, sock, 0);
	if (sock->watch.is_polled == is_polled)
		return;
	sock->watch.is_polled = is_polled;
	worker->loop.n_polled += is_polled ? 1 : -1u;
	vly_socks_set_ready(sock, is_polled);
}

static void tell(const struct volley_worker *worker, struct vly_sock *sock)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	if (sock->watch.told_refused)
		return;
	sock->watch.told_refused = true;
	volley_addr_format(&sock->listener->addr, text, sizeof text);
	vly_log_write(&worker->shared->config, VOLLEY_LOG_WARNING,
		      "worker %u: %s cannot be waited for and is looked at every millisecond: "
		      "epoll_ctl is refused (fs.epoll.max_user_watches is used up, memory is, or a "
		      "filter came later); trying once a second",
		      worker->index, text);
}

/* Level-triggered: what came since the last look is reported. */
static void put_back(struct volley_worker *worker, struct vly_sock *sock)
{
	struct vly_watch *watch = &sock->watch;
	bool was_refused = watch->n_refused > 0;
	uint64_t now_ns = was_refused ? vly_clock_get_ns() : 0;

	if (!was_refused || watch->put_ns <= now_ns) {
		vly_polled_set(worker, sock, false);
		if (vly_loop_watch(worker, sock) >= 0) {
			watch->n_refused = 0;
			return;
		}
		vly_polled_set(worker, sock, true);
		now_ns = vly_clock_get_ns();
		watch->put_ns = now_ns + vly_rest_get_ns(watch->n_refused);
		if (watch->n_refused < VLY_REST_N_DOUBLINGS)
			watch->n_refused++;
		else
			tell(worker, sock);
	}
	set_slow(worker, sock, now_ns + VLY_CLOCK_LOOK_NS);
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
			put_back(worker, sock);
		}
		vly_socks_set_ready(sock, watch->is_polled && watch->look_ns == 0);
	}
}

/* A slow one whose time has come is a busy one until the pass has found it empty. */
void vly_polled_run(struct volley_worker *worker)
{
	struct vly_sock *sock;
	uint64_t now_ns;

	assert(vly_self_is_allowed(&worker->self));
	if (!vly_polled_has_slow(worker))
		return;
	now_ns = vly_clock_get_ns();
	sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index)) {
		if (sock->watch.look_ns == 0 || sock->watch.look_ns > now_ns)
			continue;
		set_slow(worker, sock, 0);
		vly_socks_set_ready(sock, true);
	}
}

int64_t vly_polled_get_timeout(const struct volley_worker *worker, uint64_t now_ns)
{
	const struct vly_sock *sock;
	uint64_t first = UINT64_MAX;

	if (!vly_polled_has_slow(worker))
		return -1;
	sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		if (sock->watch.look_ns != 0 && sock->watch.look_ns < first)
			first = sock->watch.look_ns;
	return first > now_ns ? (int64_t)(first - now_ns) : 0;
}
