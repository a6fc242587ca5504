/* SPDX-License-Identifier: MIT */

/*
 * A server's listeners: how they come and go. Each has an index, which is also that of its port in
 * every worker.
 *
 * `listening` is held from the beginning of a change to its end, and by whoever starts workers or
 * closes their sockets. A worker's ports are its own while it runs, so a change is carried to it
 * (call.c) and happens between two volleys.
 *
 * A listener that goes takes the way of a whole server: its sockets refuse what is new, are served
 * until they are empty, leave the kernel's lookup, are read once more, and only then are the
 * kernel's counters read and the sockets closed. What they counted stays with the worker and its
 * port. The index is free again.
 */

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/backlog.h"
#include "path/held.h"
#include "path/listener.h"
#include "path/pipeline.h"
#include "path/worker.h"
#include "server/call.h"
#include "server/config.h"
#include "server/handover/import.h"
#include "server/listeners.h"
#include "server/server.h"
#include "sys/clock.h"
#include "sys/socket.h"
#include "worker/loop.h"

/* The set -------------------------------------------------------------------------------------- */

int vly_listeners_lock(struct volley_server *server)
{
	int r = 0;

	if (vly_worker_test_self(server))
		return -EDEADLK;
	vly_lock_take(&server->listening);
	vly_lock_take(&server->lock);
	if (server->state == VLY_SERVER_CLOSED)
		r = -ESHUTDOWN;
	else if (server->exporting)
		r = -EBUSY;
	vly_lock_give(&server->lock);
	if (r < 0)
		vly_lock_give(&server->listening);
	return r;
}

void vly_listeners_lock_to_end(struct volley_server *server)
{
	for (;;) {
		bool alone;

		vly_lock_take(&server->listening);
		vly_lock_take(&server->lock);
		alone = !server->exporting;
		server->export_abort = !alone;
		vly_lock_give(&server->lock);
		if (alone)
			return;
		vly_lock_give(&server->listening);
		vly_lock_take(&server->lock);
		while (server->exporting)
			vly_cond_wait(&server->changed, &server->lock);
		vly_lock_give(&server->lock);
	}
}

void vly_listeners_unlock(struct volley_server *server)
{
	vly_lock_give(&server->listening);
}

uint32_t vly_listeners_count(const struct volley_server *server)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < server->n_listeners; i++)
		n += server->listeners[i] != NULL;
	return n;
}

/* With the server's lock too, for those who read statistics. */
static void set_listener(struct volley_server *server, uint32_t i, struct volley_listener *listener)
{
	vly_lock_take(&server->lock);
	server->listeners[i] = listener;
	if (i >= server->n_listeners)
		server->n_listeners = i + 1;
	if (listener != NULL && listener->coalesces_in)
		server->coalesces = true;
	vly_lock_give(&server->lock);
}

int vly_listeners_new(struct volley_server *server, const struct volley_listen_config *config,
		      struct volley_listener **ret_listener)
{
	struct volley_listener *listener;
	uint32_t index = 0;
	int r;

	while (index < server->n_listeners && server->listeners[index] != NULL)
		index++;
	if (index == VLY_IO_N_PORTS)
		return -ENOSPC;
	if (server->config.wait == VOLLEY_WAIT_BLOCK && vly_listeners_count(server) > 0 &&
	    vly_call_test_running(server)) {
		vly_log_write(&server->config, VOLLEY_LOG_ERROR,
			      "listen: the wait strategy `block` has one socket to sleep in: use "
			      "`event` for several listeners");
		return -EINVAL;
	}
	listener = vly_mem_new(server->config.allocator, 1, sizeof *listener);
	if (listener == NULL)
		return -ENOMEM;
	listener->server = server;
	listener->index = index;
	r = vly_config_read_listen(&server->config, config, &listener->config);
	if (r < 0) {
		vly_mem_free(listener);
		return r;
	}
	*ret_listener = listener;
	return 0;
}

struct volley_listener *volley_server_get_listener(struct volley_server *server,
						   uint32_t n_listener)
{
	struct volley_listener *listener = NULL;

	vly_lock_take(&server->lock);
	if (n_listener < server->n_listeners)
		listener = server->listeners[n_listener];
	vly_lock_give(&server->lock);
	return listener;
}

/* What every worker does ----------------------------------------------------------------------- */

struct attachment {
	struct volley_listener *listener;
	const int *fds; /* by worker */
};

static int detach(struct volley_worker *worker, void *arg)
{
	const struct volley_listener *listener = arg;
	struct vly_port *port = &worker->ports[listener->index];

	port->reads = false;
	port->ready = false;
	vly_lock_take(&worker->server->lock);
	if (port->fd >= 0)
		vly_stats_read_kernel(port); /* for the last time */
	port->fd = -1;
	port->listener = NULL;
	vly_lock_give(&worker->server->lock);
	vly_loop_update(worker, listener->index);
	vly_io_detach(worker->io, listener->index);
	return 0;
}

static int attach(struct volley_worker *worker, void *arg)
{
	const struct attachment *attachment = arg;
	struct volley_listener *listener = attachment->listener;
	struct vly_port *port = &worker->ports[listener->index];
	struct vly_io_port config = { .fd = attachment->fds[worker->index],
				      .family = listener->addr.sa.sa_family,
				      .want = listener->room };
	struct vly_socket_meminfo info = { .drops = 0 };
	int r = config.fd >= 0 ? vly_io_attach(worker->io, listener->index, &config) : 0;

	if (r < 0)
		return r;
	if (listener->adopted && config.fd >= 0)
		vly_socket_get_meminfo(config.fd, &info); /* what others have lost is theirs */
	vly_lock_take(&worker->server->lock);
	*port = (struct vly_port){ .listener = listener,
				   .fd = config.fd,
				   .reads = config.fd >= 0,
				   .limits = listener->limits,
				   .kernel_drops = port->kernel_drops,
				   .keeps = vly_listener_keeps(listener) || listener->borrowed,
				   .drops_seen = info.drops,
				   .drops_first = info.drops };
	vly_lock_give(&worker->server->lock);
	if (worker->n_ports <= listener->index)
		worker->n_ports = listener->index + 1;
	return vly_loop_update(worker, listener->index);
}

/* One turn of the way out. -EAGAIN: there is more to serve or to send. */
static int serve(struct volley_worker *worker, void *arg)
{
	const struct volley_listener *listener = arg;
	struct vly_port *port = &worker->ports[listener->index];

	if (port->fd < 0 || !worker->present)
		return 0;
	if (port->keeps) {
		port->reads = false; /* the queue is somebody else's from here on */
		vly_loop_update(worker, listener->index);
	}
	port->ready = port->reads;
	vly_pipeline_run_port(worker, port, worker->server->config.n_budget);
	return port->ready || port->n_backlog > 0 || port->n_handled > 0 ||
			       vly_held_test_port(worker, listener->index)
		       ? -EAGAIN
		       : 0;
}

/* Time is over: what handlers have not begun comes back without a callback. -EAGAIN: not yet. */
static int give_up(struct volley_worker *worker, void *arg)
{
	const struct volley_listener *listener = arg;
	struct vly_port *port = &worker->ports[listener->index];

	atomic_store_explicit(&port->given_up, true, memory_order_relaxed);
	return port->n_handled > 0 ? -EAGAIN : 0;
}

/* The worker's own doing, as is whatever else its loop does with the socket. */
static int leave_lookup(struct volley_worker *worker, void *arg)
{
	const struct volley_listener *listener = arg;
	struct vly_port *port = &worker->ports[listener->index];

	if (port->fd >= 0 && !port->keeps)
		vly_socket_leave(port->fd);
	return 0;
}

/* Count what is left, and close. */
static int finish(struct volley_worker *worker, void *arg)
{
	struct volley_listener *listener = arg;
	struct vly_port *port = &worker->ports[listener->index];
	int fd = port->fd;

	if (fd < 0)
		return 0;
	vly_held_abandon_port(worker, listener->index);
	vly_backlog_drop_port(worker, port, VOLLEY_TX_STOPPED);
	if (!port->keeps)
		vly_pipeline_discard(worker, listener->index);
	vly_pipeline_publish(worker);
	detach(worker, listener);
	vly_socket_close(fd);
	return 0;
}

/* Adding --------------------------------------------------------------------------------------- */

int vly_listeners_add(struct volley_server *server, struct volley_listener *listener,
		      const int *fds)
{
	struct attachment attachment = { .listener = listener, .fds = fds };
	int r;

	set_listener(server, listener->index, listener);
	r = vly_call_run(server, attach, &attachment);
	if (r < 0)
		vly_listeners_remove(server, listener);
	return r;
}

void vly_listeners_remove(struct volley_server *server, struct volley_listener *listener)
{
	vly_call_run(server, detach, listener);
	set_listener(server, listener->index, NULL);
}

void vly_listeners_forget(struct volley_server *server, uint32_t i)
{
	struct volley_listener *listener = server->listeners[i];

	set_listener(server, i, NULL);
	vly_mem_free(listener);
}

/* [::] next to 0.0.0.0 on one port must leave IPv4 to the other. */
static bool needs_v6only(const struct volley_server *server, const struct volley_addr *addr)
{
	if (addr->sa.sa_family != AF_INET6 || volley_addr_get_port(addr) == 0)
		return false;
	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct volley_listener *other = server->listeners[i];

		if (other != NULL && other->wildcard && other->addr.sa.sa_family == AF_INET &&
		    other->addr.in.sin_port == addr->in6.sin6_port)
			return true;
	}
	return false;
}

static int open_and_add(struct volley_server *server, struct volley_listener *listener,
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
		r = vly_listeners_add(server, listener, fds);
		for (uint32_t i = 0; r < 0 && i < n_workers; i++)
			vly_socket_close(fds[i]);
	}
	vly_mem_free(fds);
	return r;
}

static int listen_locked(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config)
{
	struct volley_listener *listener;
	struct volley_addr addr;
	int r = volley_addr_parse(address, &addr);

	if (r < 0) {
		vly_log_write(
			&server->config, VOLLEY_LOG_ERROR,
			"\"%s\" is not an address to listen on: write 127.0.0.1:7777, [::1]:7777, "
			"0.0.0.0:7777, or [::]:7777 for IPv4 and IPv6",
			address);
		return r;
	}
	r = vly_import_listen(server, &addr, config);
	if (r != -ENOENT)
		return r;
	r = vly_listeners_new(server, config, &listener);
	if (r < 0)
		return r;
	if (listener->config.flags & VOLLEY_LISTEN_KEEP_SOCKETS) {
		vly_log_write(&server->config, VOLLEY_LOG_ERROR,
			      "listen: VOLLEY_LISTEN_KEEP_SOCKETS is for adopted sockets; those "
			      "that are opened here are nobody else's");
		r = -EINVAL;
	}
	if (r >= 0)
		r = open_and_add(server, listener, &addr);
	if (r < 0)
		vly_mem_free(listener);
	return r < 0 ? r : (int)listener->index;
}

int volley_server_listen(struct volley_server *server, const char *address,
			 const struct volley_listen_config *config)
{
	int r = vly_listeners_lock(server);

	if (r < 0)
		return r;
	r = listen_locked(server, address, config);
	vly_listeners_unlock(server);
	return r;
}

/* Closing -------------------------------------------------------------------------------------- */

/* Every socket of a listener. */
typedef void (*socket_fn)(int fd);

static void for_each_socket(struct volley_server *server, uint32_t k, socket_fn fn)
{
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		if (server->workers[i].ports[k].fd >= 0 && !server->workers[i].ports[k].keeps)
			fn(server->workers[i].ports[k].fd);
}

static void refuse(int fd)
{
	vly_socket_set_drop_all(fd, true);
}

static void accept_again(int fd)
{
	vly_socket_set_drop_all(fd, false);
}

static void leave(int fd)
{
	vly_socket_leave(fd);
}

void vly_listeners_set_drop_all(struct volley_server *server, bool drop)
{
	for (uint32_t k = 0; k < server->n_listeners; k++)
		for_each_socket(server, k, drop ? refuse : accept_again);
}

/*
 * Serve a listener's sockets to the last datagram, and send the last answer, in turns with the
 * others. Once a millisecond, for its workers serve it by themselves; this is to hear how far they
 * are.
 */
static int drain(struct volley_server *server, struct volley_listener *listener)
{
	uint64_t end_ns = vly_clock_now_ns() + server->config.drain_us * UINT64_C(1000);

	int r = 0;

	while (vly_call_run(server, serve, listener) < 0) {
		if (vly_clock_now_ns() >= end_ns) {
			r = -ETIME;
			break;
		}
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* ends by time; nothing is waited for */
	}
	while (r < 0 && vly_call_run(server, give_up, listener) < 0)
		vly_clock_sleep_ns(VLY_CLOCK_LOOK_NS); /* for callbacks that handlers have begun */
	return r;
}

/*
 * Refuse, leave, settle, count, close: in this order nothing can slip in between. A sender that had
 * found a socket before it left may still be on its way to drop a datagram there, hence the third.
 * A socket that could not leave (its address is gone) loses at most the count of what came between
 * reading and closing.
 */
static int close_listener(struct volley_server *server, struct volley_listener *listener)
{
	int r;

	for_each_socket(server, listener->index, refuse);
	vly_socket_settle();
	r = drain(server, listener);
	vly_call_run(server, leave_lookup, listener);
	vly_socket_settle();
	vly_call_run(server, finish, listener);
	vly_listeners_forget(server, listener->index);
	return r;
}

int volley_listener_close(struct volley_server *server, uint32_t n_listener)
{
	int r = vly_listeners_lock(server);

	if (r < 0)
		return r;
	if (n_listener < server->n_listeners && server->listeners[n_listener] != NULL)
		r = close_listener(server, server->listeners[n_listener]);
	else
		r = -ENOENT;
	vly_listeners_unlock(server);
	return r;
}

void vly_listeners_close(struct volley_server *server)
{
	vly_import_fini(server);
	vly_listeners_set_drop_all(server, true);
	for (uint32_t k = 0; k < server->n_listeners; k++)
		for_each_socket(server, k, leave);
	vly_socket_settle();
	for (uint32_t k = 0; k < server->n_listeners; k++)
		if (server->listeners[k] != NULL)
			vly_call_run(server, finish, server->listeners[k]);
	vly_lock_take(&server->lock);
	server->state = VLY_SERVER_CLOSED;
	vly_lock_give(&server->lock);
}

void vly_listeners_fini(struct volley_server *server)
{
	for (uint32_t i = 0; i < server->n_listeners; i++)
		vly_mem_free(server->listeners[i]);
}
