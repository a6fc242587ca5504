/* SPDX-License-Identifier: MIT */

/*
 * Handing over, the new process's side.
 *
 * The sockets wait in the server until somebody listens on their address. Until the old process has
 * said that it is gone they are somebody else's as well: nothing is set on them that could cost the
 * old process a datagram, and whatever ends this process leaves them as they are.
 */

#include "server/handover/import.h"

#include <errno.h>

#include <volley/error.h>
#include <volley/handover.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/opts.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/handover/wire.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "sys/addr.h"
#include "sys/socket.h"
#include "worker/change.h"

void vly_import_fini(struct volley_server *server)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++)
		if (!import->candidates[i].taken)
			vly_socket_close(import->candidates[i].fd);
	vly_mem_free(import);
	server->import = NULL;
}

/* Receiving ------------------------------------------------------------------------------------ */

/* What came last; descriptors that are no sockets of ours are closed with the rest. */
static int take_sockets(struct volley_server *server, struct vly_handover *handover, uint32_t n_all)
{
	struct vly_import *import = server->import;
	int r = 0;

	for (uint32_t i = 0; i < handover->n_fds; i++) {
		struct vly_candidate candidate = { .fd = handover->fds[i] };

		if (r >= 0)
			r = vly_adopt_check(server, candidate.fd, &candidate);
		if (r < 0 || import->n == n_all)
			vly_socket_close(candidate.fd);
		else
			import->candidates[import->n++] = candidate;
	}
	handover->n_fds = 0;
	return r;
}

static int receive(struct volley_server *server, struct vly_handover *handover)
{
	uint32_t n;
	int r = vly_wire_recv(handover, VLY_HANDOVER_OFFER);

	if (r < 0)
		return r;
	n = handover->head.n;
	if (n > VLY_HANDOVER_MAX_SOCKETS)
		return -EPROTO;
	server->import = vly_mem_new(server->shared.config.allocator, 1,
				     sizeof *server->import + n * sizeof(struct vly_candidate));
	if (server->import == NULL)
		return -ENOMEM;
	while (r >= 0 && server->import->n < n) {
		r = vly_wire_recv(handover, VLY_HANDOVER_SOCKETS);
		if (r >= 0 && handover->n_fds == 0)
			r = -EPROTO;
		if (r >= 0)
			r = take_sockets(server, handover, n);
	}
	return r < 0 ? r : (int)n;
}

int volley_server_import_fds(struct volley_server *server, int fd, uint32_t timeout_us)
{
	struct vly_handover *handover;
	int r = vly_unix_check(fd);

	if (r < 0 || !vly_listeners_lock(server, &r))
		return r;
	handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	if (handover == NULL)
		r = -ENOMEM;
	else if (server->import != NULL)
		r = -EBUSY;
	else
		r = receive(server, handover);
	if (r < 0 && r != -EBUSY)
		vly_import_fini(server);
	vly_wire_free(handover);
	vly_listeners_unlock(server);
	return r;
}

/* Listening ------------------------------------------------------------------------------------ */

int vly_import_listen(struct volley_server *server, const struct volley_addr *addr,
		      const struct volley_listen_config *config)
{
	struct vly_import *import = server->import;

	for (uint32_t i = 0; import != NULL && i < import->n; i++) {
		const struct vly_candidate *candidate = &import->candidates[i];
		struct volley_addr bound = candidate->addr;

		if (volley_addr_get_port(addr) == 0 && bound.sa.sa_family == addr->sa.sa_family)
			bound.in.sin_port = 0; /* at the same place in both families */
		if (!candidate->taken && vly_addr_is_equal(&bound, addr))
			return vly_adopt_take(server, import->candidates, import->n,
					      &candidate->addr, config, false);
	}
	return -ENOENT;
}

const struct volley_addr *vly_import_get_addr(const struct volley_server *server, uint32_t i)
{
	const struct vly_import *import = server->import;

	return import != NULL && i < import->n ? &import->candidates[i].addr : NULL;
}

/* Taking over ---------------------------------------------------------------------------------- */

static int send_ready(struct volley_server *server, struct vly_handover *handover)
{
	const struct vly_import *import = server->import;
	uint8_t taken[VLY_HANDOVER_MAX_SOCKETS];

	for (uint32_t i = 0; i < import->n; i++)
		taken[i] = import->candidates[i].taken;
	return vly_wire_send(handover, VLY_HANDOVER_READY, import->n, taken, import->n);
}

/*
 * The drops of a socket are the old process's up to its last reading and ours from there on; we
 * have counted from the adoption on.
 */
static void carry_drops(struct volley_server *server, uint32_t drops, int fd)
	VLY_REQUIRES(server->shared.lock)
{
	for (uint32_t i = 0; i < server->shared.config.n_workers; i++) {
		struct vly_sock *sock = vly_socks_find_fd(&server->workers[i].socks, fd);

		if (sock == NULL)
			continue;
		vly_drops_read(&sock->drops, fd);
		vly_drops_forget(&sock->drops, drops);
	}
}

/* The listener of a candidate that was taken; NULL when it was closed since. */
static struct volley_listener *get_listener(const struct volley_server *server,
					    const struct vly_candidate *candidate)
{
	struct volley_listener *listener = NULL;
	uint64_t cookie;

	if (candidate->taken)
		listener = vly_listeners_get(server, candidate->listener_index);
	for (uint32_t i = 0; listener != NULL && i < listener->n_fds; i++)
		if (listener->fds[i] == candidate->fd &&
		    vly_socket_get_cookie(candidate->fd, &cookie) >= 0 &&
		    cookie == candidate->cookie) /* the number may be another socket's by now */
			return listener;
	return NULL;
}

/* Fields that this process does not know, or the old one did not, are zero or left out. */
static void carry(struct volley_server *server, const struct vly_handover_counters *counters)
{
	const struct vly_import *import = server->import;
	struct volley_stats carried = { .size = sizeof carried };
	bool same = counters->n_rx_drops == VOLLEY_RX_N_DROPS &&
		    counters->n_tx_drops == VOLLEY_TX_N_DROPS &&
		    vly_opts_read(&carried, sizeof carried, sizeof(size_t), &counters->stats) >= 0;

	if (!same) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the old process counts what this one does not: its counters are not "
			      "carried over");
		return;
	}
	vly_lock_take(&server->shared.lock);
	server->carried = carried;
	for (uint32_t i = 0; i < import->n; i++)
		if (get_listener(server, &import->candidates[i]) != NULL)
			carry_drops(server, counters->drops[i], import->candidates[i].fd);
	vly_lock_give(&server->shared.lock);
}

/* Nobody else reads or holds the sockets any more: they get what the config asks for. */
static void configure(struct volley_server *server) VLY_REQUIRES(server->listening)
{
	const struct vly_import *import = server->import;

	for (uint32_t i = 0; i < import->n; i++) {
		struct volley_listener *listener = get_listener(server, &import->candidates[i]);
		int fd = import->candidates[i].fd;

		if (listener == NULL)
			continue;
		if (vly_listener_configure(listener, fd) < 0)
			vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
				      "descriptor %d keeps options of the old process", fd);
		if (!listener->borrowed)
			continue; /* its workers know */
		listener->borrowed = false;
		vly_call_run(server, vly_change_adopt, listener);
	}
}

static int converse(struct volley_server *server, struct vly_handover *handover)
{
	int r = send_ready(server, handover);

	if (r >= 0)
		r = vly_wire_recv(handover, VLY_HANDOVER_COUNTERS);
	if (r == -EPIPE) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
			      "the old process went away before it handed over its counters: this "
			      "one serves on without them");
		return 0;
	}
	if (r < 0)
		return r;
	if (handover->head.n != server->import->n ||
	    handover->head.n_bytes != sizeof handover->counters)
		return -EPROTO;
	r = vly_wire_send(handover, VLY_HANDOVER_TAKEN, 0, NULL, 0);
	if (r >= 0) /* comes without a body: the counters stay where they are */
		r = vly_wire_recv(handover, VLY_HANDOVER_GONE);
	if (r < 0 && r != -EPIPE)
		return r;
	carry(server, &handover->counters);
	return 0;
}

int volley_server_import_commit(struct volley_server *server, int fd, uint32_t timeout_us)
{
	struct vly_handover *handover;
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	if (server->import == NULL) {
		vly_listeners_unlock(server);
		return -ENOTCONN;
	}
	handover = vly_wire_new(server->shared.config.allocator, fd, timeout_us);
	r = handover != NULL ? converse(server, handover) : -ENOMEM;
	if (r >= 0) {
		configure(server);
		vly_import_fini(server);
	}
	vly_wire_free(handover);
	vly_listeners_unlock(server);
	return r;
}
