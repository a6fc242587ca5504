/* SPDX-License-Identifier: MIT */

/*
 * How sockets come to a worker and go. A worker's sockets are its own while it runs, so every
 * change of them is made here, by the worker. Outsiders look at table, descriptors and drops with
 * the lock of path/shared.h, so it is held where those change.
 */

#include "worker/change.h"

#include <errno.h>

#include "io/io.h"
#include "path/backlog.h"
#include "path/handlers.h"
#include "path/held.h"
#include "path/listener.h"
#include "path/outbox.h"
#include "path/pipeline.h"
#include "path/remote.h"
#include "sys/cmsg.h"
#include "sys/socket.h"
#include "worker/loop_ops.h"
#include "worker/presence.h"

static struct vly_sock *get_first(const struct volley_worker *worker,
				  const struct vly_listener *listener)
{
	return vly_socks_get_first(&worker->socks, listener->index);
}

/* Coming -------------------------------------------------------------------------------------- */

/* Somebody else's sockets may hold longer messages than ours would: see vly_listener_adopt(). */
static int make_slots(struct volley_worker *worker, uint32_t slot_bytes)
{
	uint64_t n_before = vly_pipeline_count_bytes(worker);
	int r;

	if (slot_bytes == 0)
		return 0;
	if (vly_outbox_count(worker) > 0) /* some of it may lie in the slots */
		vly_pipeline_flush(worker);
	r = vly_pipeline_grow(worker, slot_bytes);
	vly_lock_take(&worker->shared->lock);
	worker->memory_bytes += vly_pipeline_count_bytes(worker) - n_before;
	vly_lock_give(&worker->shared->lock);
	return r;
}

static int add(struct volley_worker *worker, struct vly_listener *listener, int fd)
{
	struct vly_io_sock config = { .fd = fd,
				      .family = listener->addr.sa.sa_family,
				      .want = listener->room,
				      .slot_bytes = listener->slot_bytes,
				      .spare_bytes = listener->adopted ? VLY_CMSG_SPARE_BYTES : 0 };
	struct vly_sock *sock;
	int r;

	assert(vly_self_is_allowed(&worker->self));
	r = make_slots(worker, listener->slot_bytes);
	if (r < 0)
		return r;
	vly_lock_take(&worker->shared->lock);
	vly_remote_lock(worker); /* as in take_away() */
	sock = vly_socks_add(&worker->socks, listener, fd);
	vly_remote_unlock(worker);
	vly_lock_give(&worker->shared->lock);
	if (sock == NULL)
		return -ENOMEM;
	r = vly_io_attach(worker->io, sock->index, &config);
	return r < 0 ? r : vly_loop_update(worker, sock);
}

int vly_change_attach(struct volley_worker *worker, void *arg)
{
	struct vly_listener *listener = arg;
	uint32_t n_workers = worker->shared->config.n_workers;
	int r = 0;

	for (uint32_t i = vly_listener_get_first(listener, worker->index, n_workers);
	     r >= 0 && i < listener->n_fds; i += n_workers)
		r = add(worker, listener, listener->fds[i]);
	return r;
}

/* Going --------------------------------------------------------------------------------------- */

/* Take a socket away from all who know it. Its drops stay in the books; it stays open. */
static void take_away(struct volley_worker *worker, struct vly_sock *sock)
{
	uint32_t sock_index = sock->index;

	assert(vly_self_is_allowed(&worker->self) && vly_outbox_count(worker) == 0);
	vly_socks_set_reads(sock, false);
	vly_socks_set_ready(sock, false);
	vly_lock_take(&worker->shared->lock);
	sock->fd = -1;
	vly_lock_give(&worker->shared->lock);
	vly_loop_update(worker, sock);
	vly_io_detach(worker->io, sock_index);
	vly_lock_take(&worker->shared->lock);
	vly_remote_lock(worker); /* who sends from elsewhere looks for it */
	vly_remote_close_sock(worker, sock);
	vly_socks_remove(sock);
	vly_remote_unlock(worker);
	vly_lock_give(&worker->shared->lock);
}

/* The kernel's counter, for the last time. */
static void read_drops(struct volley_worker *worker, struct vly_sock *sock)
{
	vly_lock_take(&worker->shared->lock);
	vly_drops_read(&sock->drops, sock->fd);
	vly_lock_give(&worker->shared->lock);
}

/* Read no more. True: nobody has a packet of it, and nothing waits for it any more. */
static bool let_go(struct volley_worker *worker, struct vly_sock *sock)
{
	vly_socks_set_reads(sock, false);
	vly_socks_set_ready(sock, false);
	vly_loop_update(worker, sock);
	if (!vly_handlers_give_up(sock))
		return false;
	vly_pipeline_leave(worker); /* it may be what they leave by */
	vly_held_abandon_sock(worker, sock);
	vly_backlog_drop_sock(worker, sock, VOLLEY_TX_STOPPED);
	return true;
}

int vly_change_detach(struct volley_worker *worker, void *arg)
{
	struct vly_sock *next;
	int r = 0;

	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL; sock = next) {
		next = vly_socks_get_next(sock);
		if (!let_go(worker, sock)) {
			r = -EAGAIN;
			continue;
		}
		vly_pipeline_publish(worker);
		read_drops(worker, sock);
		take_away(worker, sock);
	}
	return r;
}

static bool is_served(struct volley_worker *worker, const struct vly_sock *sock)
{
	return !sock->is_ready && vly_queue_is_empty(&sock->backlog) && sock->n_handled == 0 &&
	       !vly_held_has_sock(worker, sock);
}

/*
 * Only the control thread asks for a worker without a thread, and then there is nobody to serve;
 * nor is there when the worker is at its end, where it takes the last mail.
 */
static bool is_open(struct volley_worker *worker)
{
	bool open;

	vly_lock_take(&worker->shared->lock);
	open = vly_presence_is_open(worker);
	vly_lock_give(&worker->shared->lock);
	return open;
}

/*
 * From here on a socket whose packets handlers get is read in errands only, and in a drain of the
 * server: while they have no room, a loop would find it readable again and again. One that somebody
 * else goes on with is read no more.
 */
static void set_by_errand(const struct volley_worker *worker, struct vly_sock *sock)
{
	if (!sock->reads || (!sock->is_kept && !vly_handlers_has_any(worker)))
		return;
	vly_socks_set_reads(sock, false);
	sock->is_by_errand = true;
}

static bool may_read(const struct volley_worker *worker, const struct vly_sock *sock)
{
	/* A stop that was asked for meanwhile leaves the queue as it is. */
	return (sock->reads || sock->is_by_errand) && !sock->is_kept &&
	       !vly_drain_is_over(worker->shared);
}

/* A round for one socket. True: all is served. */
static bool serve(struct volley_worker *worker, struct vly_sock *sock)
{
	bool served;

	set_by_errand(worker, sock);
	/* A loop may have taken it for busy, and would not hear that it is empty now. */
	vly_loop_update(worker, sock);
	vly_socks_set_ready(sock, may_read(worker, sock));
	sock->drains = true;
	if (sock->is_ready)
		vly_pipeline_run_sock(worker, sock, 1);
	served = is_served(worker, sock);
	if (sock->is_by_errand)
		vly_socks_set_ready(sock, false);
	return served;
}

int vly_change_serve(struct volley_worker *worker, void *arg)
{
	int r = 0;

	if (!is_open(worker))
		return 0;
	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL;
	     sock = vly_socks_get_next(sock))
		if (!serve(worker, sock))
			r = -EAGAIN;
	return r;
}

int vly_change_serve_first(struct volley_worker *worker, void *arg)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, UINT32_MAX);
	int r = 0;

	if (!is_open(worker))
		return 0;
	for (; sock != NULL; sock = vly_socks_get_after(&worker->socks, sock->index))
		if (!vly_listener_is_last(sock->listener) && !serve(worker, sock))
			r = -EAGAIN;
	return r < 0 ? r : vly_change_check(worker, arg);
}

int vly_change_give_up(struct volley_worker *worker, void *arg)
{
	int r = 0;

	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL;
	     sock = vly_socks_get_next(sock))
		if (!vly_handlers_give_up(sock))
			r = -EAGAIN;
	return r;
}

int vly_change_leave(struct volley_worker *worker, void *arg)
{
	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL;
	     sock = vly_socks_get_next(sock))
		if (!sock->is_shared)
			vly_socket_leave(sock->fd);
	return 0;
}

int vly_change_finish(struct volley_worker *worker, void *arg)
{
	struct vly_sock *next;
	int r = 0;

	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL; sock = next) {
		int fd = sock->fd;

		next = vly_socks_get_next(sock);
		if (!let_go(worker, sock)) {
			r = -EAGAIN;
			continue;
		}
		if (!sock->is_shared)
			vly_pipeline_discard(worker, sock);
		vly_pipeline_publish(worker);
		read_drops(worker, sock);
		take_away(worker, sock);
		vly_socket_close(fd);
	}
	return r;
}

/* Handing over -------------------------------------------------------------------------------- */

/* The first socket behind an index whose listener goes to another process. */
static struct vly_sock *get_exported(const struct volley_worker *worker, uint32_t sock_index)
{
	struct vly_sock *sock = vly_socks_get_after(&worker->socks, sock_index);

	while (sock != NULL && !sock->listener->exported)
		sock = vly_socks_get_after(&worker->socks, sock->index);
	return sock;
}

static void set_reads(struct volley_worker *worker, bool reads)
{
	assert(vly_self_is_allowed(&worker->self));
	for (struct vly_sock *sock = get_exported(worker, UINT32_MAX); sock != NULL;
	     sock = get_exported(worker, sock->index)) {
		vly_socks_set_reads(sock, reads);
		sock->is_by_errand = false; /* a start shall not read it again */
		vly_socks_set_ready(sock, false);
		vly_loop_update(worker,
				sock); /* cannot fail: it is polled where epoll cannot be had */
	}
}

int vly_change_pause(struct volley_worker *worker, void *arg)
{
	(void)arg;
	set_reads(worker, false);
	return 0;
}

int vly_change_resume(struct volley_worker *worker, void *arg)
{
	(void)arg;
	set_reads(worker, true);
	return 0;
}

int vly_change_give_up_exported(struct volley_worker *worker, void *arg)
{
	int r = 0;

	(void)arg;
	for (struct vly_sock *sock = get_exported(worker, UINT32_MAX); sock != NULL;
	     sock = get_exported(worker, sock->index))
		if (!vly_handlers_give_up(sock))
			r = -EAGAIN;
	return r;
}

int vly_change_give_away(struct volley_worker *worker, void *arg)
{
	struct vly_sock *next;

	(void)arg;
	for (struct vly_sock *sock = get_exported(worker, UINT32_MAX); sock != NULL; sock = next) {
		int fd = sock->fd;

		next = get_exported(worker, sock->index);
		let_go(worker, sock); /* all of it, for nothing was read since the pause */
		vly_pipeline_publish(worker);
		take_away(worker, sock);
		vly_socket_close(fd);
	}
	return 0;
}

int vly_change_check(struct volley_worker *worker, void *arg)
{
	(void)arg;
	if (!is_open(worker))
		return 0;
	return vly_ledger_get_rx_queued(&worker->books) > 0 ||
			       vly_ledger_get_tx_queued(&worker->books) > 0 ||
			       vly_held_has_any(worker)
		       ? -EAGAIN
		       : 0;
}

int vly_change_adopt(struct volley_worker *worker, void *arg)
{
	for (struct vly_sock *sock = get_first(worker, arg); sock != NULL;
	     sock = vly_socks_get_next(sock)) {
		sock->is_kept = vly_listener_is_kept(sock->listener);
		sock->is_shared = vly_listener_is_shared(sock->listener);
	}
	return 0;
}
