/* SPDX-License-Identifier: MIT */

/*
 * A server's listeners: how they come and go. Each has an index, which is also that of its port in
 * every worker.
 */

#include <errno.h>

#include "base/mem.h"
#include "engine/config.h"
#include "engine/listener.h"
#include "engine/listeners.h"
#include "engine/log.h"
#include "engine/pipeline.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "sys/socket.h"

/* [::] next to 0.0.0.0 on one port must leave IPv4 to the other. */
static bool needs_v6only(const struct volley_server *server, const struct volley_addr *addr)
{
	if (addr->sa.sa_family != AF_INET6 || volley_addr_get_port(addr) == 0)
		return false;
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct volley_listener *other = server->listeners[i];

		if (other->wildcard && other->addr.sa.sa_family == AF_INET &&
		    other->addr.in.sin_port == addr->in6.sin6_port)
			return true;
	}
	return false;
}

/* Give each worker its socket. On failure nothing was taken. */
static int attach(struct volley_server *server, struct volley_listener *listener, const int *fds)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < server->config.n_workers; i++) {
		struct volley_worker *worker = &server->workers[i];
		struct vly_io_port port = { .fd = fds[i],
					    .family = listener->addr.sa.sa_family,
					    .want = listener->want };

		r = vly_io_attach(worker->io, listener->index, &port);
		if (r < 0)
			break;
		worker->ports[listener->index] = (struct vly_port){ .listener = listener,
								    .fd = fds[i],
								    .limits = listener->limits };
	}
	if (r >= 0)
		return 0;
	while (i-- > 0) {
		vly_io_detach(server->workers[i].io, listener->index);
		server->workers[i].ports[listener->index].fd = -1;
	}
	return r;
}

static int add_listener(struct volley_server *server, struct volley_listener *listener,
			const struct volley_addr *addr)
{
	uint32_t n_workers = server->config.n_workers;
	bool v6only = (listener->config.flags & VOLLEY_LISTEN_V6ONLY) || needs_v6only(server, addr);
	int *fds = vly_mem_new(server->config.allocator, n_workers, sizeof *fds);
	int r;

	if (fds == NULL)
		return -ENOMEM;
	r = vly_listener_open(listener, addr, v6only, fds, n_workers);
	if (r >= 0) {
		pthread_mutex_lock(&server->lock);
		r = attach(server, listener, fds);
		if (r >= 0)
			server->listeners[server->n_listeners++] = listener;
		pthread_mutex_unlock(&server->lock);
		for (uint32_t i = 0; r < 0 && i < n_workers; i++)
			vly_socket_close(fds[i]);
	}
	vly_mem_free(fds);
	return r < 0 ? r : (int)listener->index;
}

static int listen_locked(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config)
{
	struct volley_listener *listener;
	struct volley_addr addr;
	int r;

	if (server->state != VLY_SERVER_STOPPED || server->n_listeners == VLY_IO_N_PORTS)
		return server->state == VLY_SERVER_STOPPED ? -ENOSPC : -EBUSY;
	r = volley_addr_parse(address, &addr);
	if (r < 0) {
		vly_log_write(
			&server->config, VOLLEY_LOG_ERROR,
			"\"%s\" is not an address to listen on: write 127.0.0.1:7777, [::1]:7777, "
			"0.0.0.0:7777, or [::]:7777 for IPv4 and IPv6",
			address);
		return r;
	}
	listener = vly_mem_new(server->config.allocator, 1, sizeof *listener);
	if (listener == NULL)
		return -ENOMEM;
	listener->server = server;
	listener->index = server->n_listeners;
	r = vly_config_read_listen(&server->config, config, &listener->config);
	if (r >= 0)
		r = add_listener(server, listener, &addr);
	if (r < 0)
		vly_mem_free(listener);
	return r;
}

int volley_server_listen(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config)
{
	int r;

	if (vly_server_test_inside(server))
		return -EBUSY;
	if (atomic_load_explicit(&server->run, memory_order_seq_cst) != VLY_RUN_NOBODY)
		return -EBUSY;
	pthread_mutex_lock(&server->control);
	r = listen_locked(server, address, config);
	pthread_mutex_unlock(&server->control);
	return r;
}

void vly_listeners_set_drop_all(struct volley_server *server, bool drop)
{
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		for (uint32_t k = 0; k < server->n_listeners; k++)
			vly_socket_set_drop_all(server->workers[i].ports[k].fd, drop);
}

/*
 * Refuse, leave, settle, count, close: in this order nothing can slip in between. A sender that had
 * found a socket before it left may still be on its way to drop a datagram there, hence the third.
 * A socket that could not leave (its address is gone) loses at most the count of what came between
 * reading and closing.
 */
void vly_listeners_close(struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	vly_listeners_set_drop_all(server, true);
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		for (uint32_t k = 0; k < server->n_listeners; k++)
			vly_socket_leave(server->workers[i].ports[k].fd);
	vly_socket_settle();
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		for (uint32_t k = 0; k < server->n_listeners; k++)
			vly_pipeline_discard(&server->workers[i], k);
	volley_server_get_stats(server, &stats); /* the last reading of the kernel's counters */
	pthread_mutex_lock(&server->lock);
	for (uint32_t i = 0; i < server->config.n_workers; i++) {
		for (uint32_t k = 0; k < server->n_listeners; k++) {
			vly_io_detach(server->workers[i].io, k);
			vly_socket_close(server->workers[i].ports[k].fd);
			server->workers[i].ports[k].fd = -1;
		}
	}
	server->state = VLY_SERVER_CLOSED;
	pthread_mutex_unlock(&server->lock);
}

void vly_listeners_fini(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->n_listeners; i++)
		vly_mem_free(server->listeners[i]);
}

struct volley_listener *volley_server_get_listener(struct volley_server *server,
						   uint32_t n_listener)
{
	return n_listener < server->n_listeners ? server->listeners[n_listener] : NULL;
}
