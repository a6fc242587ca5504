/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the new process's side.
 *
 * The sockets wait in the server until somebody listens on their address. Until the old process
 * holds none any more they are somebody else's as well: nothing is set on them that could cost it a
 * datagram, and whatever ends this process leaves them as they are.
 *
 * From the moment in which this process says TAKEN it serves, whatever comes. Before, it ends only
 * when the old one has said that it serves on and hears that we rely on it. In every doubt both
 * serve. docs/restart.md has the table.
 */

#include "server/handover/import.h"

#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/ledger.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/config.h"
#include "server/handover/sharers.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/options.h"
#include "sys/addr.h"
#include "sys/socket.h"
#include "worker/change.h"

void vly_import_fini(struct volley_server *server)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++)
		if (!import->candidates[i].taken && import->candidates[i].fd >= 0)
			vly_socket_close(import->candidates[i].fd);
	if (import != NULL)
		vly_wire_free(import->handover);
	vly_mem_free(import);
	server->import = NULL;
}

/* A process whose counters nobody has; the JSON names the hole. */
static void note_missing(struct volley_server *server)
{
	vly_lock_take(&server->shared.lock);
	server->sharers.n_missing++;
	vly_lock_give(&server->shared.lock);
}

/* Receiving ------------------------------------------------------------------------------------ */

/* What came last; descriptors that are no sockets of ours are closed with the rest. */
static int take_sockets(struct volley_server *server, struct vly_handover *handover)
	VLY_REQUIRES(server->listening)
{
	struct vly_import *import = server->import;
	int r = 0;

	for (uint32_t i = 0; i < handover->n_fds; i++) {
		struct vly_candidate candidate = { .fd = handover->fds[i] };

		if (r >= 0)
			r = vly_adopt_check(server, candidate.fd, &candidate);
		if (r < 0 || import->n == import->n_all) {
			vly_socket_close(candidate.fd);
			continue;
		}
		candidate.is_kept = import->candidates[import->n].is_kept;
		candidate.has_others = import->candidates[import->n].has_others;
		import->candidates[import->n++] = candidate;
		r = vly_adopt_check_cookie(server, import->candidates, import->n);
	}
	handover->n_fds = 0;
	return r;
}

static int take_leases(struct volley_server *server, struct vly_handover *handover, uint64_t id)
{
	int r = vly_wire_recv(handover, VLY_HANDOVER_OTHERS);

	if (r >= 0 && handover->head.n_bytes != handover->n_fds)
		r = -EPROTO;
	if (r < 0)
		return r;
	r = vly_sharers_take_leases(server, id, handover->fds, handover->taken, handover->n_fds);
	handover->n_fds = 0;
	return r;
}

/* This process does not take the sockets that it may have got, and has served nothing. */
static void send_no_books(struct vly_handover *handover)
{
	handover->counters = (struct vly_handover_counters){
		.n_rx_drops = VOLLEY_RX_N_DROPS,
		.n_tx_drops = VOLLEY_TX_N_DROPS,
		.stats = { .size = sizeof handover->counters.stats },
	};
	vly_wire_send(handover, VLY_HANDOVER_BOOKS, 0, &handover->counters,
		      sizeof handover->counters);
}

/*
 * The old process died, or ends: the caller will bind what it still has, so it shall be over. When
 * it had said hello and not that it ends, nobody has its counters. One that did not say hello was
 * perhaps replaced by somebody else, while we waited for it.
 */
static void wait_end(struct volley_server *server, const struct vly_handover *handover, uint64_t id)
{
	bool was_there = id != 0 || handover->head.type != 0;

	if (was_there && handover->head.type != VLY_HANDOVER_RESUMED)
		note_missing(server);
	vly_sharers_wait_end(server, handover, id);
}

static int new_import(struct volley_server *server, const struct vly_handover *handover)
{
	uint32_t n = handover->head.n;
	struct vly_import *import;

	if (n > VLY_HANDOVER_MAX_SOCKETS || handover->head.n_bytes != n)
		return -EPROTO;
	import = vly_mem_new(server->shared.config.allocator, 1,
			     sizeof *import + n * sizeof(struct vly_candidate));
	if (import == NULL)
		return -ENOMEM;
	import->n_all = n;
	for (uint32_t i = 0; i < n; i++) {
		import->candidates[i].is_kept = handover->taken[i] & VLY_OFFER_KEPT;
		import->candidates[i].has_others = handover->taken[i] & VLY_OFFER_OTHERS;
	}
	server->import = import;
	return 0;
}

static int receive(struct volley_server *server, struct vly_handover *handover)
	VLY_REQUIRES(server->listening)
{
	uint64_t id = 0;
	int r = vly_sharers_begin(server, handover, true, &id);

	if (r == -EPIPE)
		r = vly_wire_take_last(handover, r);
	if (r == -EPIPE && handover->head.type == VLY_HANDOVER_RESUMED && handover->head.n == 0)
		r = -ECANCELED; /* it was told before, that we are too late */
	if (r >= 0)
		r = vly_wire_recv(handover, VLY_HANDOVER_OFFER);
	if (r >= 0)
		r = new_import(server, handover);
	if (r >= 0)
		r = take_leases(server, handover, id);
	while (r >= 0 && server->import->n < server->import->n_all) {
		r = vly_wire_recv(handover, VLY_HANDOVER_SOCKETS);
		if (r >= 0 && handover->n_fds == 0)
			r = -EPROTO;
		if (r >= 0)
			r = take_sockets(server, handover);
	}
	if (r >= 0) {
		server->import->id = id;
		return (int)server->import->n;
	}
	vly_import_fini(server);
	if (r == -EPIPE)
		wait_end(server, handover, id);
	else /* whether or not its hello was heard: it may have given its sockets by now */
		send_no_books(handover);
	vly_sharers_remove(server, id);
	return r;
}

int volley_server_import_fds(struct volley_server *server, int fd, uint32_t timeout_us)
{
	struct vly_handover *handover;
	int r = server != NULL ? vly_unix_check(fd) : -EINVAL;

	if (r < 0 || !vly_listeners_lock(server, &r))
		return r;
	handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	if (handover == NULL)
		r = -ENOMEM;
	else if (server->import != NULL)
		r = -EBUSY;
	else
		r = receive(server, handover);
	if (r >= 0)
		server->import->handover = handover; /* for the commit, which must not fail */
	else
		vly_wire_free(handover);
	vly_listeners_unlock(server);
	return r;
}

/* Listening ------------------------------------------------------------------------------------ */

/* Of the interface, if one is asked for; else one without comes before those that have one. */
static uint32_t find_candidate(const struct vly_import *import, const struct volley_addr *addr,
			       uint32_t device_index)
{
	uint32_t found_index = import->n;

	for (uint32_t i = 0; i < import->n; i++) {
		const struct vly_candidate *candidate = &import->candidates[i];
		struct volley_addr bound = candidate->addr;

		if (volley_addr_get_port(addr) == 0 && bound.sa.sa_family == addr->sa.sa_family)
			bound.in.sin_port = 0; /* at the same place in both families */
		if (candidate->taken || !vly_addr_is_equal(&bound, addr))
			continue;
		if (candidate->device_index == device_index)
			return i;
		if (device_index == 0 && found_index == import->n)
			found_index = i;
	}
	return found_index;
}

int vly_import_listen(struct volley_server *server, const struct volley_addr *addr,
		      const struct volley_listen_config *config)
{
	struct vly_import *import = server->import;
	struct volley_listen_config own;
	uint32_t device_index;
	uint32_t i;
	int r;

	if (import == NULL)
		return -ENOENT;
	r = vly_config_read_listen(&server->shared.config, config, &own);
	if (r >= 0)
		r = vly_options_find_device(server, &own, &device_index);
	if (r < 0)
		return r;
	i = find_candidate(import, addr, vly_listener_pick_device(addr, device_index));
	if (i == import->n)
		return -ENOENT;
	return vly_adopt_take(server, import->candidates, import->n, i, config, false);
}

const struct volley_addr *vly_import_get_addr(const struct volley_server *server, uint32_t i)
{
	const struct vly_import *import = server->import;

	return import != NULL && i < import->n ? &import->candidates[i].addr : NULL;
}

/* Taking over ---------------------------------------------------------------------------------- */

/* The listener of a candidate that was taken; NULL when it was closed since. */
static struct vly_listener *get_listener(const struct volley_server *server,
					 const struct vly_candidate *candidate)
{
	if (!candidate->taken || candidate->fd < 0)
		return NULL;
	return vly_listeners_get(server, candidate->listener_index);
}

void vly_import_forget(struct volley_server *server, uint32_t listener_index)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++)
		if (import->candidates[i].taken &&
		    import->candidates[i].listener_index == listener_index)
			import->candidates[i].fd = -1;
}

/* What nobody listens on here is the old process's alone from now on. */
static int send_ready(struct volley_server *server, struct vly_handover *handover)
{
	struct vly_import *import = server->import;
	uint8_t taken[VLY_HANDOVER_MAX_SOCKETS];

	for (uint32_t i = 0; i < import->n; i++) {
		struct vly_candidate *candidate = &import->candidates[i];

		taken[i] = get_listener(server, candidate) != NULL;
		if (candidate->taken || candidate->fd < 0)
			continue;
		vly_socket_close(candidate->fd);
		candidate->fd = -1;
	}
	return vly_wire_send(handover, VLY_HANDOVER_READY, import->n, taken, import->n);
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
		note_missing(server);
		return;
	}
	vly_lock_take(&server->shared.lock);
	vly_ledger_add(&server->carried, &carried);
	server->sharers.n_missing += counters->n_missing;
	for (uint32_t i = 0; i < import->n; i++) {
		const struct vly_listener *listener = get_listener(server, &import->candidates[i]);

		if (listener != NULL)
			carry_drops(server, listener, import->candidates[i].fd, counters->drops[i]);
	}
	vly_lock_give(&server->shared.lock);
}

/*
 * The old process has closed its copies, and a child that it had forked has none. What nobody else
 * was ever given is ours alone.
 */
static void adopt_all(struct volley_server *server) VLY_REQUIRES(server->listening)
{
	const struct vly_import *import = server->import;

	if (!vly_sharers_is_over(server, import->id))
		return;
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		struct vly_listener *listener = vly_listeners_get(server, i);
		bool has_others = false;

		if (listener == NULL || !listener->foreign)
			continue;
		for (uint32_t k = 0; k < import->n; k++)
			has_others |= import->candidates[k].has_others &&
				      get_listener(server, &import->candidates[k]) == listener;
		if (!has_others)
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
		note_missing(server);
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
