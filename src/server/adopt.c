/* SPDX-License-Identifier: MIT */

/*
 * Adopting sockets: a service manager's, or those of the process before us.
 *
 * Sockets of one address make one listener. Worker i of N gets sockets i, i + N and so on; when
 * there are fewer than workers, the last ones get none and the log says so.
 *
 * A socket is ours from the moment in which all of a call's are; until then they are the caller's,
 * and a failure leaves them so.
 */

#include "server/adopt.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/worker.h"
#include "server/listener.h"
#include "server/listeners.h"
#include "sys/addr.h"
#include "sys/socket.h"

static int refuse(const struct volley_server *server, int fd, int error, const char *why)
{
	vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR, "adopt: descriptor %d %s", fd, why);
	return error;
}

static bool is_option(int fd, int name, int value)
{
	int is = -1;

	return vly_socket_get_int(fd, SOL_SOCKET, name, &is) >= 0 && is == value;
}

int vly_adopt_check(struct volley_server *server, int fd, struct vly_candidate *ret_candidate)
{
	struct vly_candidate candidate = { .fd = fd };
	int device = 0; /* of old kernels too, that do not say */
	int type;
	int r = vly_socket_get_int(fd, SOL_SOCKET, SO_TYPE, &type);

	if (r < 0)
		return refuse(server, fd, r, r == -EBADF ? "is not open" : "is not a socket");
	if (type != SOCK_DGRAM || !is_option(fd, SO_PROTOCOL, IPPROTO_UDP))
		return refuse(server, fd, -EPROTOTYPE, "is not a UDP socket");
	r = vly_socket_get_name(fd, &candidate.addr);
	if (r >= 0)
		r = vly_socket_get_cookie(fd, &candidate.cookie);
	if (r < 0)
		return refuse(server, fd, r, "has no address that could be read");
	vly_socket_get_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device);
	candidate.device_index = vly_listener_pick_device(&candidate.addr, (uint32_t)device);
	if (volley_addr_get_port(&candidate.addr) == 0)
		return refuse(server, fd, -EINVAL, "is not bound to a port: bind it first");
	if (vly_socket_is_shut(fd))
		return refuse(server, fd, -EINVAL,
			      "was shut down for reading (shutdown(2)), and nobody could sleep "
			      "there any more: open and bind a new one");
	*ret_candidate = candidate;
	return 0;
}

int vly_adopt_fill_cookies(struct volley_server *server, struct vly_set *cookies)
{
	int r = 0;

	for (uint32_t i = 0; i < server->n_listeners; i++) {
		const struct vly_listener *listener = vly_listeners_get(server, i);

		for (uint32_t k = 0; r >= 0 && listener != NULL && k < listener->n_fds; k++) {
			uint64_t cookie;

			if (vly_socket_get_cookie(listener->fds[k], &cookie) >= 0)
				r = vly_set_add(cookies, server->shared.config.allocator, cookie);
		}
	}
	return r;
}

/* Twice the same socket would be two workers on one queue, and one of them would close it first. */
int vly_adopt_check_cookie(struct volley_server *server, struct vly_set *cookies,
			   const struct vly_candidate *candidates, uint32_t n)
{
	const struct vly_candidate *last = &candidates[n - 1];

	if (!vly_set_has(cookies, last->cookie))
		return vly_set_add(cookies, server->shared.config.allocator, last->cookie);
	for (uint32_t i = 0; i < n - 1; i++) {
		if (candidates[i].cookie == last->cookie) {
			vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
				      "adopt: descriptors %d and %d are the same socket",
				      candidates[i].fd, last->fd);
			return -EINVAL;
		}
	}
	return refuse(server, last->fd, -EINVAL, "is a socket of this server already");
}

static void warn_if_few(const struct volley_server *server, const struct vly_listener *listener)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";
	uint32_t n = listener->n_fds;

	if (n >= server->shared.config.n_workers ||
	    (listener->config.flags & VOLLEY_LISTEN_ONE_SOCKET))
		return;
	volley_addr_format(&listener->addr, text, sizeof text);
	vly_log_write(&server->shared.config, VOLLEY_LOG_WARNING,
		      "adopt: %s has sockets for %u of %u workers, the others get none of it: hand "
		      "over one for each worker, all with SO_REUSEPORT, or use fewer workers",
		      text, n, server->shared.config.n_workers);
}

/* The listener of these sockets, which are bound as one of them is: its index. */
static int add(struct volley_server *server, const int *fds, uint32_t n,
	       const struct vly_candidate *like, const struct volley_listen_config *config,
	       bool alone) VLY_REQUIRES(server->listening)
{
	struct vly_listener *listener;
	int r = vly_listeners_new(server, config, &listener);

	if (r < 0)
		return r;
	if (listener->device_index == 0)
		listener->device_index = like->device_index;
	r = vly_listener_adopt(listener, &like->addr, fds, n);
	listener->others = listener->foreign = !alone;
	for (uint32_t i = 0; alone && r >= 0 && i < n; i++)
		r = vly_listener_configure(listener, fds[i]);
	if (r >= 0)
		r = vly_listeners_add(server, listener);
	if (r < 0) {
		vly_listener_free(listener);
		return r;
	}
	return (int)listener->index;
}

static bool is_wanted(const struct vly_candidate *candidate, const struct vly_candidate *like)
{
	return !candidate->taken && candidate->device_index == like->device_index &&
	       vly_addr_is_equal(&candidate->addr, &like->addr);
}

int vly_adopt_take(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		   uint32_t first_index, const struct volley_listen_config *config, bool alone)
{
	const struct vly_candidate like = candidates[first_index];
	struct vly_listener *listener;
	int *fds = vly_mem_new(server->shared.config.allocator, n, sizeof *fds);
	uint32_t n_fds = 0;
	int r;

	if (fds == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (is_wanted(&candidates[i], &like))
			fds[n_fds++] = candidates[i].fd;
	r = add(server, fds, n_fds, &like, config, alone);
	vly_mem_free(fds);
	if (r < 0)
		return r;
	listener = vly_listeners_get(server, (uint32_t)r);
	warn_if_few(server, listener);
	for (uint32_t i = 0; i < n; i++) {
		if (!is_wanted(&candidates[i], &like))
			continue;
		candidates[i].taken = true;
		candidates[i].listener_index = (uint32_t)r;
		vly_socket_set_cloexec(candidates[i].fd);
		listener->lent |= candidates[i].has_others;
		if (candidates[i].is_kept)
			vly_listeners_set_kept(server, (uint32_t)r);
	}
	return r;
}

/* A later address failed: none is taken. */
static void undo(struct volley_server *server, const struct vly_candidate *candidates, uint32_t n)
	VLY_REQUIRES(server->listening)
{
	for (uint32_t i = 0; i < n; i++) {
		struct vly_listener *listener;

		if (!candidates[i].taken)
			continue;
		listener = vly_listeners_get(server, candidates[i].listener_index);
		if (listener == NULL)
			continue; /* went with another of its sockets */
		vly_listeners_remove(server, listener);
		vly_listener_free(listener);
	}
}

/* How many listeners it makes. */
static int adopt_all(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		     const struct volley_listen_config *config) VLY_REQUIRES(server->listening)
{
	int n_listeners = 0;

	for (uint32_t i = 0; i < n; i++) {
		int r;

		if (candidates[i].taken)
			continue;
		r = vly_adopt_take(server, candidates, n, i, config, true);
		if (r < 0) {
			undo(server, candidates, n);
			return r;
		}
		candidates[i].is_first = true;
		n_listeners++;
	}
	return n_listeners;
}

static void write_listeners(const struct volley_server *server,
			    const struct vly_candidate *candidates, uint32_t n,
			    struct volley_listener *ret_listeners)
{
	for (uint32_t i = 0; i < n; i++)
		if (candidates[i].is_first)
			(ret_listeners++)
				->id = vly_listeners_get(server, candidates[i].listener_index)->id;
}

int volley_server_adopt(struct volley_server *server, const int *fds, uint32_t n_fds,
			const struct volley_listen_config *config,
			struct volley_listener *ret_listeners)
{
	struct vly_candidate *candidates;
	struct vly_set cookies = { .n = 0 };
	int r;

	if (!vly_listeners_lock(server, &r))
		return r;
	if (fds == NULL || n_fds == 0) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "adopt: there are no descriptors: pass an array of one or more");
		vly_listeners_unlock(server);
		return -EINVAL;
	}
	candidates = vly_mem_new(server->shared.config.allocator, n_fds, sizeof *candidates);
	r = candidates != NULL ? vly_adopt_fill_cookies(server, &cookies) : -ENOMEM;
	for (uint32_t i = 0; r >= 0 && i < n_fds; i++) {
		r = vly_adopt_check(server, fds[i], &candidates[i]);
		if (r >= 0)
			r = vly_adopt_check_cookie(server, &cookies, candidates, i + 1);
	}
	if (r >= 0)
		r = adopt_all(server, candidates, n_fds, config);
	if (r >= 0 && ret_listeners != NULL)
		write_listeners(server, candidates, n_fds, ret_listeners);
	vly_set_fini(&cookies);
	vly_mem_free(candidates);
	vly_log_write_memory(&server->shared.config, "adopt", r);
	vly_listeners_unlock(server);
	return r;
}
