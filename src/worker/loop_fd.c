/* SPDX-License-Identifier: MIT */

/*
 * The loop of those who bring their own (wait strategy "fd", or a caller's event_base): the sockets
 * and the eventfd stand in an epoll descriptor, and that is all the outside needs to watch.
 *
 *     your loop: readable, or the deadline is over --> process --> arm --> your loop
 *
 * The contract is level-triggered. After arm, the descriptor is readable for as long as there is
 * something to do, and what has to be done by the clock is in vly_chores_get_timeout(). A socket is
 * in epoll unless it is busy (polled.c), and then the eventfd keeps the descriptor readable for it;
 * the inbox announces its sleep, and what came before that is turned into a count in the eventfd;
 * room for waiting replies is asked for (EPOLLOUT) as long as they wait, and no longer.
 *
 * The descriptor lives as long as the server, because it stands in somebody's loop; between stop
 * and start there is nothing in it. Whoever calls has the worker's turn (turn.c).
 */

#include "worker/loop_fd.h"

#include <errno.h>

#include "base/log.h"
#include "path/pipeline.h"
#include "sys/poll.h"
#include "worker/chores.h"
#include "worker/polled.h"
#include "worker/timers.h"

int vly_loop_fd_init(struct volley_worker *worker)
{
	TAILQ_INIT(&worker->loop.asked);
	worker->loop.poll_fd = vly_poll_open();
	return worker->loop.poll_fd < 0 ? worker->loop.poll_fd : 0;
}

void vly_loop_fd_fini(struct volley_worker *worker)
{
	vly_poll_close(worker->loop.poll_fd);
	worker->loop.poll_fd = -1;
}

int vly_loop_fd_get(const struct volley_worker *worker)
{
	return worker->loop.poll_fd;
}

static uint32_t get_wanted(const struct vly_sock *sock)
{
	if (sock->fd < 0)
		return 0;
	return (sock->reads && !sock->watch.is_polled ? EPOLLIN : 0u) |
	       (vly_queue_has_pollout(&sock->backlog) ? EPOLLOUT : 0u);
}

/* Keep the list of sockets that epoll was asked for room at. */
static void set_asked(struct volley_worker *worker, struct vly_sock *sock, uint32_t events)
{
	struct vly_watch *watch = &sock->watch;

	if ((events & EPOLLOUT) && !(watch->events & EPOLLOUT))
		TAILQ_INSERT_TAIL(&worker->loop.asked, sock, watch.asked);
	if (!(events & EPOLLOUT) && (watch->events & EPOLLOUT))
		TAILQ_REMOVE(&worker->loop.asked, sock, watch.asked);
	watch->events = events;
}

/*
 * Have epoll know what a socket wants: to be read, room for replies that wait, or nothing. The
 * descriptor is remembered, because a socket may have lost its own when it is to be taken out, and
 * closing does not do that where others hold the socket too.
 */
static int set_wanted(struct volley_worker *worker, struct vly_sock *sock, uint32_t want)
{
	struct vly_watch *watch = &sock->watch;
	int r;

	if (watch->events == 0)
		watch->fd = sock->fd;
	r = vly_poll_set(worker->loop.poll_fd, watch->fd, watch->events, want, sock);
	if (want == 0)
		r = 0; /* what is not in there any more is out, too */
	if (r >= 0)
		set_asked(worker, sock, want);
	return r;
}

int vly_loop_fd_watch(struct volley_worker *worker, struct vly_sock *sock)
{
	return set_wanted(worker, sock, get_wanted(sock));
}

int vly_loop_fd_update(struct volley_worker *worker, struct vly_sock *sock)
{
	bool known = sock->watch.fd >= 0;
	int r;

	vly_polled_set(worker, sock, false);
	r = vly_loop_fd_watch(worker, sock);
	if (r >= 0 || !known)
		return r;
	vly_polled_set(worker, sock, true); /* until it can be added, after a pass */
	return 0;
}

int vly_loop_fd_open(struct volley_worker *worker)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	int r = vly_poll_set(worker->loop.poll_fd, vly_mail_get_fd(&worker->mail), 0, EPOLLIN,
			     NULL);

	for (; r >= 0 && sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		r = vly_loop_fd_watch(worker, sock);
	if (r < 0) {
		vly_log_write_refused(&worker->shared->config, "epoll_ctl", r);
		vly_loop_fd_close(worker);
	}
	return r;
}

/* Also half-open ones: what is not in there cannot be taken out, and that is fine. */
void vly_loop_fd_close(struct volley_worker *worker)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);

	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index)) {
		vly_polled_set(worker, sock, false);
		set_wanted(worker, sock, 0);
	}
	if (worker->loop.is_lit)
		vly_mail_clear(&worker->mail);
	worker->loop.is_lit = false;
	vly_poll_set(worker->loop.poll_fd, vly_mail_get_fd(&worker->mail), EPOLLIN, 0, NULL);
}

/* Most entries of one look. The rest stays readable, and the kernel reports it first next time. */
enum { N_AT_ONCE = 64 };

static void find_ready(struct volley_worker *worker)
{
	struct epoll_event events[N_AT_ONCE];
	int n = vly_poll_take(worker->loop.poll_fd, events, N_AT_ONCE);

	/*
	 * A failing epoll is no reason to stop serving: look at everything instead, for the
	 * descriptor is readable until all is taken.
	 */
	if (n < 0) {
		vly_socks_set_all_ready(&worker->socks);
		if (!worker->loop.is_lit)
			vly_mail_clear(&worker->mail);
	}
	for (int i = 0; i < n; i++) {
		struct vly_sock *sock = events[i].data.ptr;

		if (sock != NULL && sock->reads && events[i].events != EPOLLOUT)
			vly_socks_set_ready(sock, true);
		if (sock == NULL && !worker->loop.is_lit)
			vly_mail_clear(&worker->mail); /* a post behind this look stays */
	}
}

/*
 * Only a socket that a pass did not empty leaves epoll here. On the way there and back the caller's
 * loop comes by once more, and the eventfd is written and read: with 15 in a pass the thread needed
 * 2 to 4 % more CPU than with the socket left in, with 200 the process needed 1 to 3 % less.
 */
int vly_loop_fd_process(struct volley_worker *worker)
{
	uint32_t n;

	assert(vly_self_is_me(&worker->self));
	vly_timers_forget_now(worker);
	find_ready(worker);
	vly_mail_awake(&worker->mail);
	if (vly_shared_get_command(worker->shared) >= VLY_COMMAND_DRAIN)
		return -ESHUTDOWN;
	vly_chores_take_mail(worker);
	vly_ledger_count_wake(&worker->books);
	vly_polled_run(worker);
	n = vly_pipeline_run_once(worker, worker->shared->config.n_budget);
	vly_polled_adapt(worker, UINT32_MAX);
	vly_chores_run_timers(worker);
	return (int)n;
}

/* If asking for room fails, the replies' own deadline is the next look. */
void vly_loop_fd_arm(struct volley_worker *worker)
{
	struct vly_sock *sock = vly_socks_get_backlogged(&worker->socks);
	struct vly_sock *next;

	for (; sock != NULL; sock = vly_socks_get_next_backlogged(sock))
		vly_loop_fd_watch(worker, sock);
	for (sock = TAILQ_FIRST(&worker->loop.asked); sock != NULL; sock = next) {
		next = TAILQ_NEXT(sock, watch.asked);
		vly_loop_fd_watch(worker, sock);
	}
	if (!vly_chores_sleep(worker))
		vly_mail_wake(&worker->mail);
}

/*
 * Busy sockets are out of epoll, so the eventfd stands for them: what is in it stays until the last
 * one is back. Then it is taken out, and what others have written meanwhile is looked for: mail by
 * vly_chores_sleep(), the command here.
 */
static void arm(struct volley_worker *worker)
{
	struct vly_loop *loop = &worker->loop;
	bool is_lit = vly_polled_has_any(worker);

	if (is_lit && !loop->is_lit)
		vly_mail_wake(&worker->mail);
	if (!is_lit && loop->is_lit) {
		vly_mail_clear(&worker->mail);
		if (vly_shared_get_command(worker->shared) >= VLY_COMMAND_DRAIN)
			vly_mail_wake(&worker->mail);
	}
	loop->is_lit = is_lit;
	vly_loop_fd_arm(worker);
}

const struct vly_loop_ops vly_loop_fd_ops = {
	.open = vly_loop_fd_open,
	.close = vly_loop_fd_close,
	.update = vly_loop_fd_update,
	.watch = vly_loop_fd_watch,
	.arm = arm,
};
