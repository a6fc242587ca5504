/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the beginning of the new process's side; commit.c has the end.
 *
 * The sockets wait in the server until somebody listens on their address. Until the old process
 * holds none any more they are somebody else's as well: nothing is set on them that could cost it a
 * datagram, and whatever ends this process leaves them as they are.
 */

#include "server/handover/import.h"

#include <errno.h>

#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/config.h"
#include "server/handover/sharers.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "server/options.h"
#include "sys/addr.h"
#include "sys/socket.h"

void vly_import_fini(struct volley_server *server)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++)
		if (!import->candidates[i].taken && import->candidates[i].fd >= 0)
			vly_socket_close(import->candidates[i].fd);
	if (import != NULL) {
		vly_further_close(&import->further);
		vly_wire_free(import->handover);
		vly_set_fini(&import->cookies);
		vly_bounds_fini(&import->bounds);
	}
	vly_mem_free(import);
	server->import = NULL;
}

/* A process whose counters nobody has; the JSON names the hole. */
void vly_import_add_missing(struct volley_server *server)
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
	int r = handover->head.n_bytes == handover->n_fds ? 0 : -EPROTO;

	for (uint32_t i = 0; i < handover->n_fds; i++) {
		struct vly_candidate candidate = { .fd = handover->fds[i] };
		struct vly_bound bound;

		if (r >= 0)
			r = vly_adopt_check(server, candidate.fd, &candidate);
		if (r < 0 || import->n == import->n_all) {
			vly_socket_close(candidate.fd);
			continue;
		}
		candidate.is_kept = handover->taken[i] & VLY_OFFER_KEPT;
		candidate.has_others = handover->taken[i] & VLY_OFFER_OTHERS;
		import->candidates[import->n++] = candidate;
		bound = (struct vly_bound){ .addr = candidate.addr,
					    .device_index = candidate.device_index };
		r = vly_bounds_add(&import->bounds, server->shared.config.allocator, &bound);
		if (r < 0)
			continue;
		r = vly_adopt_check_cookie(server, &import->cookies, import->candidates, import->n);
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
		vly_import_add_missing(server);
	vly_sharers_wait_end(server, handover, id);
}

/* As many descriptors as a process can have by default (fs.nr_open): more are no offer. */
enum { MAX_SOCKETS = 1 << 20 };

static int new_import(struct volley_server *server, const struct vly_handover *handover)
	VLY_REQUIRES(server->listening)
{
	uint32_t n = handover->head.n;
	struct vly_import *import;

	if (n > MAX_SOCKETS || handover->head.n_bytes != 0)
		return -EPROTO;
	import = vly_mem_new(server->shared.config.allocator, 1,
			     sizeof *import + n * sizeof(struct vly_candidate));
	if (import == NULL)
		return -ENOMEM;
	import->n_all = n;
	server->import = import;
	return vly_adopt_fill_cookies(server, &import->cookies);
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
	if (r >= 0)
		r = vly_further_recv(handover, &server->import->further);
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

int volley_server_import_fds(struct volley_server *server, int fd, uint32_t timeout_us,
			     int *ret_further_fds, uint32_t *ret_n_further_fds)
{
	struct vly_handover *handover;
	int r = server != NULL ? vly_unix_check(fd) : -EINVAL;

	if (r >= 0 && (ret_further_fds == NULL) != (ret_n_further_fds == NULL))
		r = -EINVAL;
	if (r < 0 || !vly_listeners_lock(server, &r))
		return r;
	handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	if (handover == NULL)
		r = -ENOMEM;
	else if (server->import != NULL)
		r = -EBUSY;
	else
		r = receive(server, handover);
	if (r >= 0) {
		server->import->handover = handover; /* for the commit, which must not fail */
		vly_further_give(&server->import->further, ret_further_fds, ret_n_further_fds);
	} else {
		vly_wire_free(handover);
	}
	vly_listeners_unlock(server);
	return r;
}

/* Listening ------------------------------------------------------------------------------------ */

/* Of the interface, if one is asked for; else one without comes before those that have one. */
static uint32_t find_candidate(struct vly_import *import, const struct volley_addr *addr,
			       uint32_t device_index)
{
	uint32_t found_index = import->n;

	while (import->n_first_taken < import->n && import->candidates[import->n_first_taken].taken)
		import->n_first_taken++;
	for (uint32_t i = import->n_first_taken; i < import->n; i++) {
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

bool vly_import_has_overlap(const struct volley_server *server, const struct vly_bound *bound)
{
	return server->import != NULL && vly_bounds_has_overlap(&server->import->bounds, bound);
}

void vly_import_forget(struct volley_server *server, uint32_t listener_index)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++)
		if (import->candidates[i].taken &&
		    import->candidates[i].listener_index == listener_index)
			import->candidates[i].fd = -1;
}
