/* SPDX-License-Identifier: MIT */

/*
 * A rest is a millisecond at first and twice as long each time, up to a second. One receive that
 * does not fail ends it all: vly_socks_set_refused(). While it lasts the socket is not read, as
 * after a pause, so no loop waits for it.
 */

#include "worker/rest.h"

#include <volley/addr.h>
#include <volley/error.h>

#include "base/log.h"
#include "path/listener.h"
#include "worker/loop_ops.h"

enum { FIRST_NS = 1000000, N_DOUBLINGS = VLY_REST_N_DOUBLINGS };

uint64_t vly_rest_get_ns(uint32_t n)
{
	return (uint64_t)FIRST_NS << (n < N_DOUBLINGS ? n : N_DOUBLINGS);
}

static void tell(const struct volley_worker *worker, struct vly_sock *sock)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	if (sock->told_refused)
		return;
	sock->told_refused = true;
	volley_addr_format(&sock->listener->addr, text, sizeof text);
	vly_log_write(&worker->shared->config, VOLLEY_LOG_ERROR,
		      "worker %u: nothing can be received on %s: %s; trying once a second",
		      worker->index, text, volley_error_name(sock->refusal));
}

static void begin(struct volley_worker *worker, struct vly_sock *sock, uint64_t now_ns)
{
	uint32_t n = sock->n_refused - VLY_SOCKS_N_REFUSED;

	vly_socks_set_reads(sock, false);
	sock->rest_ns = now_ns + vly_rest_get_ns(n);
	vly_socks_set_ready(sock, false);
	vly_loop_update(worker, sock);
	if (n >= VLY_REST_N_DOUBLINGS)
		tell(worker, sock);
}

static void end(struct volley_worker *worker, struct vly_sock *sock)
{
	vly_socks_set_reads(sock, true);
	vly_loop_update(worker, sock);
}

void vly_rest_run(struct volley_worker *worker, uint64_t now_ns)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);

	assert(vly_self_is_allowed(&worker->self));
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index)) {
		if (!vly_socks_is_refused(sock))
			continue;
		if (sock->reads)
			begin(worker, sock, now_ns);
		else if (sock->rest_ns != 0 && sock->rest_ns <= now_ns)
			end(worker, sock);
	}
}

int64_t vly_rest_get_timeout(const struct volley_worker *worker, uint64_t now_ns)
{
	const struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	uint64_t first = UINT64_MAX;

	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		if (sock->rest_ns != 0 && sock->rest_ns < first)
			first = sock->rest_ns;
	if (first == UINT64_MAX)
		return -1;
	return first > now_ns ? (int64_t)(first - now_ns) : 0;
}
