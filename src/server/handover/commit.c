/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the end of the new process's side: from the moment in which it is READY to that in
 * which the old one is GONE, or both serve.
 *
 * From the moment in which this process says TAKEN it serves, whatever comes. Before, it ends only
 * when the old one has said that it serves on and hears that we rely on it. In every doubt both
 * serve. docs/restart.md has the table.
 */

#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "path/ledger.h"
#include "path/worker.h"
#include "server/handover/import.h"
#include "server/handover/sharers.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "sys/socket.h"
#include "sys/unix.h"

/* The listener of a candidate that was taken; NULL when it was closed since. */
static struct vly_listener *get_listener(const struct volley_server *server,
					 const struct vly_candidate *candidate)
{
	if (!candidate->taken || candidate->fd < 0)
		return NULL;
	return vly_listeners_get(server, candidate->listener_index);
}

/* What nobody listens on here is the old process's alone from now on. */
static bool close_untaken(const struct volley_server *server, struct vly_candidate *candidate)
{
	bool taken = get_listener(server, candidate) != NULL;

	if (!candidate->taken && candidate->fd >= 0) {
		vly_socket_close(candidate->fd);
		candidate->fd = -1;
	}
	return taken;
}

/* At least one word, if only of no sockets. */
static int send_ready(struct volley_server *server, struct vly_handover *handover)
{
	struct vly_import *import = server->import;
	uint8_t taken[VLY_HANDOVER_N_BATCH];
	uint32_t i = 0;
	int r;

	do {
		uint32_t n = 0;

		while (n < VLY_HANDOVER_N_BATCH && i < import->n)
			taken[n++] = close_untaken(server, &import->candidates[i++]);
		r = vly_wire_send(handover, VLY_HANDOVER_READY, n, taken, n);
	} while (r >= 0 && i < import->n);
	return r;
}

/* What the old process has read last of each socket's drops. */
static int recv_drops(struct vly_import *import, struct vly_handover *handover)
{
	for (uint32_t i = 0; i < import->n;) {
		int r = vly_wire_recv(handover, VLY_HANDOVER_DROPS);
		uint32_t n = handover->head.n;

		if (r < 0)
			return r;
		if (n == 0 || n > import->n - i || handover->head.n_bytes / sizeof(uint32_t) != n)
			return -EPROTO;
		for (uint32_t k = 0; k < n; k++)
			import->candidates[i++].drops = handover->drops[k];
	}
	return 0;
}

/*
 * The drops of a socket are the old process's up to its last reading and ours from there on; we
 * have counted from the adoption on.
 */
static void carry_drops(struct volley_server *server, const struct vly_listener *listener, int fd,
			uint32_t drops) VLY_REQUIRES(server->shared.lock)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		struct vly_sock *sock = vly_socks_find_fd(&server->workers[i].socks,
							  listener->index, fd);

		if (sock == NULL)
			continue;
		vly_drops_read(&sock->drops, fd);
		vly_drops_forget(&sock->drops, drops);
	}
}

static void carry(struct volley_server *server, const struct vly_handover_counters *counters)
{
	const struct vly_import *import = server->import;
	struct volley_stats carried;

	if (vly_wire_read_stats(counters, &carried) < 0) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the old process counts what this one does not: its counters are not "
			      "carried over");
		vly_import_add_missing(server);
		return;
	}
	vly_lock_take(&server->shared.lock);
	vly_ledger_add(&server->carried, &carried);
	server->sharers.n_missing += counters->n_missing;
	for (uint32_t i = 0; i < import->n; i++) {
		const struct vly_listener *listener = get_listener(server, &import->candidates[i]);

		if (listener != NULL)
			carry_drops(server, listener, import->candidates[i].fd,
				    import->candidates[i].drops);
	}
	vly_lock_give(&server->shared.lock);
}

/*
 * The old process has closed its copies, and a child that it had forked has none. What nobody else
 * was ever given is ours alone.
 */
static void adopt_all(struct volley_server *server) VLY_REQUIRES(server->listening)
{
	if (!vly_sharers_is_over(server, server->import->id))
		return;
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);

		if (listener != NULL && listener->foreign && !listener->lent)
			vly_sharers_adopt(server, listener);
	}
}

/* The old process said that it serves on. What is left in the queues is its own. */
static void leave_rest(struct volley_server *server) VLY_REQUIRES(server->listening)
{
	for (uint32_t i = 0; i < server->import->n; i++) {
		const struct vly_listener *listener = get_listener(server,
								   &server->import->candidates[i]);

		if (listener != NULL)
			vly_listeners_set_yielded(server, listener->index);
	}
}

/*
 * Whether this process may give up: the old one has said that it serves on, lives, is not about to
 * end, and hears of it. An old one that ends hangs up first (vly_sharers_set_ends()), so it is not
 * possible that each relies on the other.
 */
static bool may_give_up(struct volley_server *server, struct vly_handover *handover)
{
	if (handover->head.type != VLY_HANDOVER_RESUMED || handover->head.n != 0)
		return false;
	if (vly_wire_send(handover, VLY_HANDOVER_QUIT, 0, NULL, 0) < 0)
		return false;
	/* It may have arrived at a child that the old one had forked. */
	return !vly_sharers_is_over(server, server->import->id) && !vly_wire_is_peer_dead(handover);
}

/* The old process reads no more, and its counters are in `handover`; or why that is not known. */
static int get_counters(struct volley_server *server, struct vly_handover *handover)
{
	int r = send_ready(server, handover);

	if (r < 0)
		return vly_wire_take_last(handover, r);
	r = recv_drops(server->import, handover);
	if (r >= 0)
		r = vly_wire_recv(handover, VLY_HANDOVER_COUNTERS);
	if (r >= 0 && (handover->head.n != server->import->n ||
		       handover->head.n_bytes != sizeof handover->counters))
		r = -EPROTO;
	if (r < 0)
		return r;
	r = vly_wire_send(handover, VLY_HANDOVER_TAKEN, 0, NULL, 0);
	return r < 0 ? vly_wire_take_last(handover, r) : 0;
}

/*
 * Whether the old one has closed its copies: it says so, or it ended and had not said that it reads
 * again. A process that dies hangs up a moment before. The words have no body, so the counters stay
 * where they are.
 */
static bool is_gone(struct volley_server *server, struct vly_handover *handover)
{
	uint64_t id = server->import->id;
	int r = vly_wire_recv(handover, VLY_HANDOVER_GONE);

	if (r != -EPIPE || handover->head.type == VLY_HANDOVER_RESUMED)
		return r >= 0;
	vly_sharers_wait_end(server, handover, id);
	return vly_sharers_is_over(server, id) || vly_wire_is_peer_dead(handover);
}

/* In doubt both serve. */
static void serve_on(struct volley_server *server, const struct vly_handover *handover, int error)
{
	bool ends = handover->head.type == VLY_HANDOVER_RESUMED && handover->head.n != 0;

	if (!ends) /* else it writes its own books, and we ours */
		vly_import_add_missing(server);
	vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
		      "it is not known whether the old process is gone (%s): this one serves on, "
		      "without its counters; end the old one if it still runs",
		      volley_error_name(error));
}

static void set_reads(struct volley_server *server, bool reads)
{
	struct vly_sharer *sharer;

	vly_lock_take(&server->shared.lock);
	sharer = vly_sharers_find(server, server->import->id);
	if (sharer != NULL)
		sharer->reads = reads;
	vly_lock_give(&server->shared.lock);
}

/* From here on nothing is owed to the old process, and nothing is expected of it. */
static void hang_up(struct volley_server *server)
{
	struct vly_sharer *sharer;

	vly_unix_end(server->import->handover->fd);
	vly_lock_take(&server->shared.lock);
	sharer = vly_sharers_find(server, server->import->id);
	if (sharer != NULL)
		sharer->waits = false; /* an update closes it */
	vly_lock_give(&server->shared.lock);
}

static int converse(struct volley_server *server, struct vly_handover *handover)
	VLY_REQUIRES(server->listening)
{
	int r = get_counters(server, handover);

	if (r < 0 && may_give_up(server, handover)) {
		leave_rest(server);
		return -ECANCELED;
	}
	if (r < 0) {
		serve_on(server, handover, r);
	} else if (is_gone(server, handover)) {
		carry(server, &handover->counters);
		set_reads(server, false);
		adopt_all(server);
	} else {
		serve_on(server, handover, -ETIMEDOUT);
	}
	hang_up(server);
	vly_sharers_settle(server);
	return 0;
}

int volley_server_import_commit(struct volley_server *server, int fd, uint32_t timeout_us)
{
	struct vly_handover *handover;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	if (server->import == NULL || server->import->is_given_up) {
		vly_listeners_unlock(server);
		return -ENOTCONN;
	}
	handover = server->import->handover;
	handover->fd = fd;
	vly_wire_set_timeout(handover, timeout_us);
	r = converse(server, handover);
	if (r >= 0)
		vly_import_fini(server);
	else
		server->import->is_given_up = true;
	vly_listeners_unlock(server);
	return r;
}
