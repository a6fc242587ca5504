/* SPDX-License-Identifier: MIT */

/*
 * Wait strategy "block": the worker sleeps in the receive call itself, so that a volley costs one
 * system call to receive and one to send. One socket only, for there is one place to sleep.
 *
 * What wakes it is a cancellation request: for a stop, and for a post while the worker sleeps. The
 * window of the cancellation point makes that exact: a request that comes before the call has taken
 * a datagram ends it, one that comes later leaves the datagrams and ends the next.
 */

#include "worker/loop_block.h"

#include "path/pipeline.h"
#include "sys/poll.h"
#include "worker/chores.h"
#include "worker/timers.h"

/*
 * Sleep in ppoll instead. With replies waiting for room, packets held, or timers set, for both
 * directions and no longer than they may wait. Without them, where the receive call cannot sleep:
 * there is no socket, or nothing is read from it, or whoever made it made it non-blocking.
 */
static void wait_elsewhere(struct volley_worker *worker, struct vly_sock *sock)
{
	int64_t ns = vly_chores_get_wait(worker);
	struct pollfd fd = { .fd = sock != NULL ? sock->fd : -1 };

	if (sock != NULL && sock->reads)
		fd.events |= POLLIN;
	if (sock != NULL && vly_queue_has_pollout(&sock->backlog))
		fd.events |= POLLOUT;
	if (fd.events == 0)
		fd.fd = -1; /* or its errors would be reported for ever */
	if (vly_poll_wait_point(&fd, 1, ns) > 0 && sock != NULL)
		vly_socks_set_ready(sock, sock->reads && (fd.revents & ~POLLOUT));
}

/*
 * After the wait, before any callback runs. A producer that saw us asleep is about to send a
 * request; it is taken in here, so that it cannot end a cancellation point of the user's callback
 * instead.
 */
static void awake(struct volley_worker *worker)
{
	uint32_t n_looks = 0;

	if (!vly_mail_awake(&worker->mail))
		return;
	while (!volley_cancel_pending())
		vly_thread_yield(n_looks++);
	volley_cancel_clear();
}

/*
 * Instead of a wait, when mail has come meanwhile. It may do so each time (a post that posts itself
 * again), and then the socket is read in these passes or never.
 */
static void look(struct vly_sock *sock)
{
	if (sock != NULL && sock->reads)
		vly_socks_set_ready(sock, true);
}

static void block_run(struct volley_worker *worker)
{
	bool is_empty = false; /* the receive call came back with nothing: look before the next */

	assert(vly_self_is_me(&worker->self));
	while (vly_chores_take_command(worker) < VLY_COMMAND_DRAIN) {
		struct vly_sock *sock;
		int n = 0;

		vly_chores_take_mail(worker);
		vly_timers_forget_now(worker);
		sock = vly_socks_get_after(&worker->socks, UINT32_MAX); /* the only one */
		if (!vly_chores_sleep(worker)) {
			look(sock);
		} else if (is_empty || vly_chores_has_any(worker) || sock == NULL || !sock->reads) {
			wait_elsewhere(worker, sock);
			is_empty = false;
		} else {
			n = vly_pipeline_wait(worker, sock);
			is_empty = n == 0;
		}
		awake(worker);
		vly_ledger_count_wake(&worker->books);
		if (n > 0)
			vly_pipeline_serve(worker, sock, (uint32_t)n);
		vly_pipeline_run_once(worker, 1);
		vly_chores_run_timers(worker);
	}
}

const struct vly_loop_ops vly_loop_block_ops = { .run = block_run };
