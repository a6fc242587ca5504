/* SPDX-License-Identifier: MIT */

/*
 * Adopting sockets: a service manager's, or those of the process before us.
 *
 * Sockets of one address make one listener, with one of them for each worker. When there are more
 * than workers they make as many listeners as it takes, so that none is left unread; when there
 * are fewer, the last workers get none and the log says so.
 *
 * A socket is ours from the moment in which all of a call's are; until then they are the caller's,
 * and a failure leaves them so.
 */

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <volley/error.h>

#include "base/log.h"
#include "base/mem.h"
#include "path/listener.h"
#include "path/worker.h"
#include "server/adopt.h"
#include "server/listeners.h"
#include "server/server.h"
#include "sys/socket.h"

static int refuse(const struct volley_server *server, int fd, int error, const char *why)
{
	vly_log_write(&server->config, VOLLEY_LOG_ERROR, "adopt: descriptor %d %s", fd, why);
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
	if (volley_addr_get_port(&candidate.addr) == 0)
		return refuse(server, fd, -EINVAL, "is not bound to a port: bind it first");
	*ret_candidate = candidate;
	return 0;
}

/* Twice the same socket would be two workers on one queue, and one of them would close it first. */
static int check_cookie(struct volley_server *server, const struct vly_candidate *candidates,
			uint32_t n)
{
	const struct vly_candidate *last = &candidates[n - 1];
	uint64_t cookie;

	for (uint32_t i = 0; i < n - 1; i++) {
		if (candidates[i].cookie == last->cookie) {
			vly_log_write(&server->config, VOLLEY_LOG_ERROR,
				      "adopt: descriptors %d and %d are the same socket",
				      candidates[i].fd, last->fd);
			return -EINVAL;
		}
	}
	for (uint32_t i = 0; i < server->config.n_workers; i++)
		for (uint32_t k = 0; k < server->n_listeners; k++)
			if (server->workers[i].ports[k].fd >= 0 &&
			    vly_socket_get_cookie(server->workers[i].ports[k].fd, &cookie) >= 0 &&
			    cookie == last->cookie)
				return refuse(server, last->fd, -EINVAL,
					      "is a socket of this server already");
	return 0;
}

bool vly_adopt_test_same(const struct volley_addr *a, const struct volley_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family ||
	    volley_addr_get_port(a) != volley_addr_get_port(b))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0 &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

/* One listener, with the first n of fds. */
static int add(struct volley_server *server, const int *fds, uint32_t n,
	       const struct volley_addr *addr, const struct volley_listen_config *config,
	       bool alone)
{
	struct volley_listener *listener;
	int r = vly_listeners_new(server, config, &listener);

	if (r < 0)
		return r;
	r = vly_listener_adopt(listener, addr, fds, n);
	listener->borrowed = !alone;
	for (uint32_t i = 0; alone && r >= 0 && i < n; i++)
		r = vly_listener_configure(listener, fds[i]);
	if (r >= 0)
		r = vly_listeners_add(server, listener, fds);
	if (r < 0) {
		vly_mem_free(listener);
		return r;
	}
	return (int)listener->index;
}

static void warn_if_few(const struct volley_server *server, const struct volley_addr *addr,
			uint32_t n)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";

	if (n >= server->config.n_workers)
		return;
	volley_addr_format(addr, text, sizeof text);
	vly_log_write(&server->config, VOLLEY_LOG_WARNING,
		      "adopt: %s has sockets for %u of %u workers, the others get none of it: hand "
		      "over one for each worker, all with SO_REUSEPORT, or use fewer workers",
		      text, n, server->config.n_workers);
}

/* The next n_workers candidates of this address, from *at on, into fds. Returns how many. */
static uint32_t gather(const struct vly_candidate *candidates, uint32_t n,
		       const struct volley_addr *addr, uint32_t *at, int *fds, uint32_t n_workers)
{
	uint32_t n_fds = 0;

	for (uint32_t i = 0; i < n_workers; i++)
		fds[i] = -1;
	for (; *at < n && n_fds < n_workers; (*at)++)
		if (!candidates[*at].taken && vly_adopt_test_same(&candidates[*at].addr, addr))
			fds[n_fds++] = candidates[*at].fd;
	return n_fds;
}

static void undo(struct volley_server *server, uint64_t added)
{
	for (uint32_t i = 0; i < VLY_IO_N_PORTS; i++) {
		struct volley_listener *listener = server->listeners[i];

		if (!(added & (UINT64_C(1) << i)))
			continue;
		vly_listeners_remove(server, listener);
		vly_mem_free(listener);
	}
}

static_assert(VLY_IO_N_PORTS <= 64, "a set of listeners is a mask");

int vly_adopt_address(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		      const struct volley_addr *addr, const struct volley_listen_config *config,
		      bool alone)
{
	uint32_t n_workers = server->config.n_workers;
	int *fds = vly_mem_new(server->config.allocator, n_workers, sizeof *fds);
	uint64_t added = 0;
	uint32_t total = 0;
	uint32_t at = 0;
	uint32_t n_fds;
	int first = -1;
	int r = fds != NULL ? 0 : -ENOMEM;

	while (r >= 0 && (n_fds = gather(candidates, n, addr, &at, fds, n_workers)) > 0) {
		r = add(server, fds, n_fds, addr, config, alone);
		if (r < 0)
			break;
		added |= UINT64_C(1) << r;
		total += n_fds;
		if (first < 0)
			first = r;
	}
	vly_mem_free(fds);
	if (r < 0) {
		undo(server, added);
		return r;
	}
	warn_if_few(server, addr, total);
	for (uint32_t i = 0; i < n; i++) {
		if (candidates[i].taken || !vly_adopt_test_same(&candidates[i].addr, addr))
			continue;
		candidates[i].taken = true;
		vly_socket_set_cloexec(candidates[i].fd);
	}
	return first;
}

static int adopt_all(struct volley_server *server, struct vly_candidate *candidates, uint32_t n,
		     const struct volley_listen_config *config)
{
	uint64_t before = 0;
	uint64_t after = 0;
	int first = -1;
	int r = 0;

	for (uint32_t i = 0; i < server->n_listeners; i++)
		before |= (uint64_t)(server->listeners[i] != NULL) << i;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		if (candidates[i].taken)
			continue;
		r = vly_adopt_address(server, candidates, n, &candidates[i].addr, config, true);
		if (first < 0)
			first = r;
	}
	if (r >= 0)
		return first;
	for (uint32_t i = 0; i < server->n_listeners; i++)
		after |= (uint64_t)(server->listeners[i] != NULL) << i;
	undo(server, after & ~before);
	return r;
}

int volley_server_adopt(struct volley_server *server, const int *fds, uint32_t n_fds,
			const struct volley_listen_config *config)
{
	struct vly_candidate *candidates;
	int r = vly_listeners_lock(server);

	if (r < 0)
		return r;
	candidates = vly_mem_new(server->config.allocator, n_fds, sizeof *candidates);
	if (candidates == NULL)
		r = -ENOMEM;
	else if (n_fds == 0)
		r = -EINVAL;
	for (uint32_t i = 0; r >= 0 && i < n_fds; i++) {
		r = vly_adopt_check(server, fds[i], &candidates[i]);
		if (r >= 0)
			r = check_cookie(server, candidates, i + 1);
	}
	if (r >= 0)
		r = adopt_all(server, candidates, n_fds, config);
	vly_mem_free(candidates);
	vly_listeners_unlock(server);
	return r;
}
