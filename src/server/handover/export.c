/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the old process's side.
 *
 * What must never happen is that nobody reads a socket. So this process reads until the new one
 * says that it does, and closes its copies only when the new one has said that it took everything;
 * when anything goes wrong before that, it reads again. In between a worker's ports are paused:
 * not read, but still there to send the answers that are on their way.
 */

#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/held.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/handover/wire.h"
#include "server/listeners.h"
#include "server/server.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "worker/loop.h"

struct export
{
	struct volley_server *server;
	struct vly_handover *handover;
	uint32_t n;
	int fds[VLY_HANDOVER_MAX_SOCKETS];
	struct vly_port *ports[VLY_HANDOVER_MAX_SOCKETS];
	uint64_t taken; /* listeners, by index */
};

static bool is_taken(const struct export *export, uint32_t k)
{
	return export->taken & (UINT64_C(1) << k);
}

/* What every worker does ----------------------------------------------------------------------- */

static void set_reads(struct volley_worker *worker, const struct export *export, bool reads)
{
	for (uint32_t k = 0; k < worker->n_ports; k++) {
		struct vly_port *port = &worker->ports[k];

		if (!is_taken(export, k) || port->fd < 0)
			continue;
		port->reads = reads;
		port->ready = false;
		vly_loop_update(worker, k); /* cannot fail: the port was known to the loop */
	}
}

static int pause_ports(struct volley_worker *worker, void *arg)
{
	set_reads(worker, arg, false);
	return 0;
}

static int resume_ports(struct volley_worker *worker, void *arg)
{
	set_reads(worker, arg, true);
	return 0;
}

static int test_answered(struct volley_worker *worker, void *arg)
{
	uint64_t n = worker->counts.rx_queued + worker->counts.tx_queued +
		     atomic_load_explicit(&worker->remote.n_held, memory_order_relaxed);

	(void)arg;
	return worker->present && n > 0 ? -EAGAIN : 0;
}

/* What handlers have not begun comes back without a callback. -EAGAIN: not yet all of it. */
static int give_up(struct volley_worker *worker, void *arg)
{
	int r = 0;

	for (uint32_t k = 0; k < worker->n_ports; k++) {
		if (!is_taken(arg, k))
			continue;
		atomic_store_explicit(&worker->ports[k].given_up, true, memory_order_relaxed);
		if (worker->ports[k].n_handled > 0)
			r = -EAGAIN;
	}
	return r;
}

/* The kernel's counters are the new process's from here on: they are not read any more. */
static int give_away(struct volley_worker *worker, void *arg)
{
	for (uint32_t k = 0; k < worker->n_ports; k++) {
		struct vly_port *port = &worker->ports[k];
		int fd = port->fd;

		if (!is_taken(arg, k) || port->listener == NULL)
			continue;
		vly_held_abandon_port(worker, k);
		vly_lock_take(&worker->server->lock);
		port->fd = -1;
		port->listener = NULL;
		vly_lock_give(&worker->server->lock);
		vly_loop_update(worker, k);
		vly_io_detach(worker->io, k);
		if (fd >= 0)
			vly_socket_close(fd);
	}
	return 0;
}

/* Listeners do not change meanwhile, but a stop may come, and a start. */
static int call(struct volley_server *server, vly_call_fn fn, struct export *export)
{
	int r;

	vly_lock_take(&server->listening);
	r = vly_call_run(server, fn, export);
	vly_lock_give(&server->listening);
	return r;
}

/* The steps ------------------------------------------------------------------------------------ */

/* With `listening`: every socket that there is. */
static int list(struct export *export)
{
	struct volley_server *server = export->server;

	for (uint32_t k = 0; k < server->n_listeners; k++) {
		for (uint32_t i = 0; i < server->config.n_workers; i++) {
			struct vly_port *port = &server->workers[i].ports[k];

			if (port->fd < 0)
				continue;
			if (export->n == VLY_HANDOVER_MAX_SOCKETS)
				return -ENOSPC;
			export->fds[export->n] = port->fd;
			export->ports[export->n++] = port;
		}
	}
	return 0;
}

static int offer(struct export *export)
{
	int r = vly_handover_send(export->handover, VLY_HANDOVER_OFFER, export->n, NULL, 0);

	for (uint32_t i = 0; r >= 0 && i < export->n; i += VLY_UNIX_N_FDS) {
		uint32_t n = export->n - i < VLY_UNIX_N_FDS ? export->n - i : VLY_UNIX_N_FDS;

		r = vly_handover_send_fds(export->handover, export->fds + i, n);
	}
	return r;
}

/* All of a listener's sockets or none, for half of them would be read by nobody. */
static int wait_ready(struct export *export)
{
	struct vly_handover *handover = export->handover;
	uint64_t not_taken = 0;
	int r = vly_handover_recv(handover, VLY_HANDOVER_READY);

	if (r < 0)
		return r;
	if (handover->head.n != export->n || handover->head.n_bytes != export->n)
		return -EPROTO;
	for (uint32_t i = 0; i < export->n; i++) {
		uint64_t bit = UINT64_C(1) << export->ports[i]->listener->index;

		if (handover->taken[i])
			export->taken |= bit;
		else
			not_taken |= bit;
	}
	return export->taken & not_taken ? -EPROTO : 0;
}

/* Stop reading, and let what is on its way be answered. */
static void quiesce(struct export *export)
{
	struct volley_server *server = export->server;
	uint64_t end_ns = vly_clock_now_ns() + server->config.drain_us * UINT64_C(1000);

	call(server, pause_ports, export);
	while (call(server, test_answered, export) < 0 && vly_clock_now_ns() < end_ns)
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

static int send_counters(struct export *export)
{
	struct volley_server *server = export->server;
	struct vly_handover_counters *counters = &export->handover->counters;

	counters->n_rx_drops = VOLLEY_RX_N_DROPS;
	counters->n_tx_drops = VOLLEY_TX_N_DROPS;
	vly_lock_take(&server->lock);
	vly_stats_sum(server, &counters->stats);
	for (uint32_t i = 0; i < export->n; i++)
		counters->drops[i] = export->ports[i]->drops_seen;
	vly_lock_give(&server->lock);
	settle_gauges(&counters->stats);
	return vly_handover_send(export->handover, VLY_HANDOVER_COUNTERS, export->n, counters,
				 sizeof *counters);
}

static void close_taken(struct export *export)
{
	struct volley_server *server = export->server;

	while (call(server, give_up, export) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that handlers have begun */
	call(server, give_away, export);
	for (uint32_t k = 0; k < server->n_listeners; k++)
		if (is_taken(export, k))
			vly_listeners_forget(server, k);
}

static int converse(struct export *export, uint32_t timeout_us)
{
	int r = offer(export);

	if (r >= 0)
		r = wait_ready(export);
	if (r < 0)
		return r;
	quiesce(export);
	vly_handover_set_timeout(export->handover, timeout_us);
	r = send_counters(export);
	if (r >= 0)
		r = vly_handover_recv(export->handover, VLY_HANDOVER_TAKEN);
	if (r >= 0) {
		close_taken(export);
		vly_handover_send(export->handover, VLY_HANDOVER_GONE, 0, NULL, 0);
		return 0;
	}
	call(export->server, resume_ports, export);
	vly_handover_send(export->handover, VLY_HANDOVER_RESUMED, 0, NULL, 0);
	return r;
}

static void set_exporting(struct volley_server *server, bool exporting)
{
	vly_lock_take(&server->lock);
	server->exporting = exporting;
	server->export_abort = false;
	vly_cond_wake(&server->changed);
	vly_lock_give(&server->lock);
}

/* Others take `listening` meanwhile, but find that listeners must stay as they are. */
static int export_alone(struct export *export, uint32_t timeout_us)
{
	struct volley_server *server = export->server;
	int r = vly_listeners_lock(server);

	if (r < 0)
		return r;
	r = list(export);
	if (r >= 0)
		set_exporting(server, true);
	vly_listeners_unlock(server);
	if (r < 0)
		return r;
	r = converse(export, timeout_us);
	set_exporting(server, false);
	if (r < 0)
		vly_log_write(&server->config, VOLLEY_LOG_WARNING,
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
	export = vly_mem_new(server->config.allocator, 1, sizeof *export);
	if (export == NULL)
		return -ENOMEM;
	export->server = server;
	export->handover = vly_handover_new(server, fd, timeout_us);
	r = -ENOMEM;
	if (export->handover != NULL) {
		export->handover->may_abort = true;
		r = export_alone(export, timeout_us);
	}
	vly_mem_free(export->handover);
	vly_mem_free(export);
	return r;
}
