/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the old process's side.
 *
 * What must never happen is that nobody reads a socket. So this process reads until the new one
 * says that it does, and closes its copies only when the new one has said that it took everything;
 * when anything goes wrong before that, it reads again. In between the sockets are paused: not
 * read, but still there to send the replies that are on their way.
 */

#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/handover/wire.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/stats.h"
#include "sys/clock.h"
#include "sys/unix.h"
#include "worker/change.h"

/* One of the sockets: the k-th of its listener. */
struct exported {
	struct volley_listener *listener;
	uint32_t k;
};

struct export
{
	struct volley_server *server;
	struct vly_handover *handover;
	uint32_t n;
	int fds[VLY_HANDOVER_MAX_SOCKETS];
	struct exported sockets[VLY_HANDOVER_MAX_SOCKETS];
};

/* Listeners do not change meanwhile, but a stop may come, and a start. */
static int call(struct volley_server *server, vly_errand_fn fn)
{
	int r;

	vly_lock_take(&server->listening);
	r = vly_call_run(server, fn, NULL);
	vly_lock_give(&server->listening);
	return r;
}

/* The steps ------------------------------------------------------------------------------------ */

static int list_listener(struct export *export, struct volley_listener *listener)
{
	for (uint32_t k = 0; k < listener->n_fds; k++) {
		if (export->n == VLY_HANDOVER_MAX_SOCKETS)
			return -ENOSPC;
		export->fds[export->n] = listener->fds[k];
		export->sockets[export->n++] = (struct exported){ listener, k };
	}
	return 0;
}

/* Every socket that there is. */
static int list(struct export *export)
{
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < export->server->n_listeners; i++) {
		struct volley_listener *listener = vly_listeners_get(export->server, i);

		if (listener != NULL)
			r = list_listener(export, listener);
	}
	return r;
}

static int offer(struct export *export)
{
	int r = vly_wire_send(export->handover, VLY_HANDOVER_OFFER, export->n, NULL, 0);

	for (uint32_t i = 0; r >= 0 && i < export->n; i += VLY_UNIX_N_FDS) {
		uint32_t n = export->n - i < VLY_UNIX_N_FDS ? export->n - i : VLY_UNIX_N_FDS;

		r = vly_wire_send_fds(export->handover, export->fds + i, n);
	}
	return r;
}

/* All of a listener's sockets or none, for half of them would be read by nobody. */
static int wait_ready(struct export *export)
{
	struct vly_handover *handover = export->handover;
	int r = vly_wire_recv(handover, VLY_HANDOVER_READY);

	if (r < 0)
		return r;
	if (handover->head.n != export->n || handover->head.n_bytes != export->n)
		return -EPROTO;
	for (uint32_t i = 1; i < export->n; i++)
		if (export->sockets[i].listener == export->sockets[i - 1].listener &&
		    !handover->taken[i] != !handover->taken[i - 1])
			return -EPROTO;
	vly_lock_take(&export->server->listening);
	for (uint32_t i = 0; i < export->n; i++)
		export->sockets[i].listener->exported = handover->taken[i];
	vly_lock_give(&export->server->listening);
	return 0;
}

/* Stop reading, and let what is on its way be replied to. */
static void quiesce(struct export *export)
{
	struct volley_server *server = export->server;
	uint64_t end_ns = vly_clock_get_ns() + vly_clock_convert_us(server->shared.config.drain_us);

	call(server, vly_change_pause);
	while (call(server, vly_change_check) < 0 && vly_clock_get_ns() < end_ns)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* ends by time; nothing is waited for */
}

/*
 * Totals that balance by themselves: what is still on its way here will not be counted there, and
 * memory stays.
 */
static void settle_gauges(struct volley_stats *stats)
{
	stats->rx_dropped[VOLLEY_RX_STOPPED] += stats->rx_queued;
	stats->tx_dropped[VOLLEY_TX_STOPPED] += stats->tx_queued;
	stats->held_abandoned += stats->held_now;
	stats->rx_queued = 0;
	stats->tx_queued = 0;
	stats->held_now = 0;
	stats->unread_bytes = 0;
	stats->memory_bytes = 0;
}

/* What the kernel said last of a socket's drops. Worker i of N has the i-th, i + N-th ... */
static uint32_t get_drops(struct volley_server *server, const struct exported *socket)
{
	const struct volley_worker
		*worker = &server->workers[socket->k % server->shared.config.n_workers];
	const struct vly_sock *sock;

	sock = vly_socks_find_fd(&worker->socks, socket->listener->fds[socket->k]);
	return sock != NULL ? vly_drops_get_seen(&sock->drops) : 0;
}

static int send_counters(struct export *export)
{
	struct volley_server *server = export->server;
	struct vly_handover_counters *counters = &export->handover->counters;

	counters->n_rx_drops = VOLLEY_RX_N_DROPS;
	counters->n_tx_drops = VOLLEY_TX_N_DROPS;
	vly_lock_take(&server->shared.lock);
	vly_stats_sum(server, &counters->stats);
	for (uint32_t i = 0; i < export->n; i++)
		counters->drops[i] = get_drops(server, &export->sockets[i]);
	vly_lock_give(&server->shared.lock);
	settle_gauges(&counters->stats);
	return vly_wire_send(export->handover, VLY_HANDOVER_COUNTERS, export->n, counters,
			     sizeof *counters);
}

static void forget_exported(struct volley_server *server)
{
	vly_lock_take(&server->listening);
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct volley_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && listener->exported)
			vly_listeners_forget(server, i);
	}
	vly_lock_give(&server->listening);
}

static void close_taken(struct volley_server *server)
{
	while (call(server, vly_change_give_up_exported) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that have begun */
	call(server, vly_change_give_away);
	forget_exported(server);
}

static void resume(struct export *export)
{
	call(export->server, vly_change_resume);
	vly_lock_take(&export->server->listening);
	for (uint32_t i = 0; i < export->n; i++)
		export->sockets[i].listener->exported = false;
	vly_lock_give(&export->server->listening);
}

static int converse(struct export *export, uint32_t timeout_us)
{
	int r = offer(export);

	if (r >= 0)
		r = wait_ready(export);
	if (r < 0)
		return r;
	quiesce(export);
	vly_wire_set_timeout(export->handover, timeout_us);
	r = send_counters(export);
	if (r >= 0)
		r = vly_wire_recv(export->handover, VLY_HANDOVER_TAKEN);
	if (r >= 0) {
		close_taken(export->server);
		vly_wire_send(export->handover, VLY_HANDOVER_GONE, 0, NULL, 0);
		return 0;
	}
	resume(export);
	vly_wire_send(export->handover, VLY_HANDOVER_RESUMED, 0, NULL, 0);
	return r;
}

static void set_exporting(struct volley_server *server, bool exporting)
{
	atomic_store_explicit(&server->export_abort, false, memory_order_relaxed);
	vly_lock_take(&server->shared.lock);
	server->exporting = exporting;
	vly_cond_wake(&server->shared.changed);
	vly_lock_give(&server->shared.lock);
}

/* Others take `listening` meanwhile, but find that listeners must stay as they are. */
static int export_alone(struct export *export, uint32_t timeout_us)
{
	struct volley_server *server = export->server;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	r = list(export);
	if (r >= 0) {
		/* After a drain: nobody would find it on sockets that are not his own making. */
		vly_listeners_set_drop_all(server, false);
		set_exporting(server, true);
	}
	vly_listeners_unlock(server);
	if (r < 0)
		return r;
	r = converse(export, timeout_us);
	set_exporting(server, false);
	if (r < 0)
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the sockets were not handed over (%s): this process serves on",
			      volley_error_name(r));
	return r;
}

int volley_server_export_fds(struct volley_server *server, int fd, uint32_t timeout_us)
{
	struct export *export;
	int r = vly_unix_check(fd);

	if (r < 0)
		return r;
	export = vly_mem_new(server->shared.config.allocator, 1, sizeof *export);
	if (export == NULL)
		return -ENOMEM;
	export->server = server;
	export->handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	r = -ENOMEM;
	if (export->handover != NULL) {
		export->handover->abort = &server->export_abort;
		r = export_alone(export, timeout_us);
	}
	vly_wire_free(export->handover);
	vly_mem_free(export);
	return r;
}
