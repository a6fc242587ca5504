/* SPDX-License-Identifier: MIT */

/*
 * A listener's sockets. Those that are opened here are one for each worker, in one SO_REUSEPORT
 * group, all bound before any is served, so that the kernel spreads clients over all of them from
 * the first datagram on. Those that are adopted are as many as there were.
 *
 * Sockets are left blocking: every call of the data path says MSG_DONTWAIT itself, and the `block`
 * strategy's one waiting call must be able to sleep.
 */

#include "server/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/mem.h"
#include "path/socks.h"
#include "server/config.h"
#include "server/needs.h"
#include "server/options.h"
#include "server/state.h"
#include "server/steer.h"
#include "sys/addr.h"
#include "sys/cast.h"
#include "sys/cmsg.h"
#include "sys/errqueue.h"
#include "sys/socket.h"

static uint32_t choose_cmsgs(const struct vly_listener *listener)
{
	uint32_t flags = listener->config.flags;
	uint32_t want = 0;

	if (listener->has_locals || (flags & VOLLEY_LISTEN_WANT_INTERFACE))
		want |= VLY_CMSG_LOCAL;
	if (flags & VOLLEY_LISTEN_WANT_TTL)
		want |= VLY_CMSG_TTL;
	if (flags & VOLLEY_LISTEN_WANT_TOS)
		want |= VLY_CMSG_TOS;
	if (flags & VOLLEY_LISTEN_WANT_TIMESTAMP)
		want |= VLY_CMSG_TIMESTAMP;
	if (flags & VOLLEY_LISTEN_TRANSPARENT)
		want |= VLY_CMSG_ORIGIN;
	if (listener->coalesces_in)
		want |= VLY_CMSG_SEGMENT;
	return want;
}

/*
 * Receiving in coalesced messages wants slots for the largest one, and a buffer that holds many: a
 * message that does not fit is dropped whole. The kernel doubles what it is asked for, for its own
 * book-keeping, and 4 MiB hold about 60.
 */
enum { MIN_GRO_BUFFER_BYTES = 2 << 20 };

/* Whether the listener coalesces if it has the buffer for it. */
static bool wants_coalescing(const struct vly_listener *listener)
{
	const struct volley_server *server = listener->server;

	return !(listener->config.flags & VOLLEY_LISTEN_NO_COALESCE) &&
	       server->probe.errors[VLY_PROBE_GRO] >= 0 &&
	       server->shared.config.max_datagram_bytes == VLY_CONFIG_MAX_DATAGRAM_BYTES;
}

static void choose_coalescing(struct vly_listener *listener, uint32_t rcvbuf_bytes)
{
	const struct volley_server *server = listener->server;
	bool wanted = !(listener->config.flags & VOLLEY_LISTEN_NO_COALESCE);

	listener->rcvbuf_bytes = rcvbuf_bytes;
	listener->coalesces_in = wants_coalescing(listener) && rcvbuf_bytes >= MIN_GRO_BUFFER_BYTES;
	listener->limits.n_segments = wanted && server->probe.n_segments > 1
					      ? (uint32_t)server->probe.n_segments
					      : 1;
	listener->limits.segment_bytes = VLY_CONFIG_MAX_DATAGRAM_BYTES;
	listener->limits.by_size = listener->config.flags & VOLLEY_LISTEN_GROUP_BY_SIZE;
	listener->want = choose_cmsgs(listener);
	listener->room = listener->want;
}

struct vly_bound vly_listener_get_bound(const struct vly_listener *listener)
{
	return (struct vly_bound){
		.addr = listener->addr,
		.v6only = listener->config.flags & VOLLEY_LISTEN_V6ONLY,
		.device_index = listener->device_index,
	};
}

uint32_t vly_listener_pick_device(const struct volley_addr *addr, uint32_t device_index)
{
	bool is_scope = addr->sa.sa_family == AF_INET6 && addr->in6.sin6_scope_id == device_index;

	return is_scope ? 0 : device_index;
}

/*
 * A socket bound to an address of ours knows where its replies leave from; a wildcard, a group's or
 * a broadcast address must ask, and so must one to which others' are diverted. One that is bound to
 * a link-local address must ask by which of its links they leave; an IPv6 one need not, for it is
 * bound to the link as well.
 */
static void choose_locals(struct vly_listener *listener, const struct volley_addr *addr)
{
	listener->addr = *addr;
	listener->device_index = vly_listener_pick_device(addr, listener->device_index);
	listener->wildcard = vly_addr_is_wildcard(addr);
	listener->by_arrival = (listener->config.flags & VOLLEY_LISTEN_ARRIVAL_INTERFACE) ||
			       (vly_addr_is_link_local(addr) &&
				(addr->sa.sa_family == AF_INET || addr->in6.sin6_scope_id == 0));
	listener->is_cast = volley_addr_is_multicast(addr) || vly_cast_is_broadcast(addr);
	listener->has_locals = listener->wildcard || listener->is_cast || listener->by_arrival ||
			       (listener->config.flags & VOLLEY_LISTEN_TRANSPARENT);
}

static const char *get_advice(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another socket has this port: stop its owner or choose another port "
		       "(`ss -ulpn` shows it); programs of your own share it when both listen "
		       "with VOLLEY_LISTEN_SHARE_PORT";
	case EADDRNOTAVAIL:
		return "this machine has no such address (`ip address` lists them)";
	case EACCES:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case EMFILE:
		return "too many open files: raise `ulimit -n` or use fewer workers";
	case EAFNOSUPPORT:
		return "this system has no IPv6: write 0.0.0.0:PORT, or :PORT for whatever there "
		       "is";
	default:
		return strerror(-error);
	}
}

static bool is_bound(int fd)
{
	struct volley_addr addr;

	return vly_socket_get_name(fd, &addr) >= 0 && volley_addr_get_port(&addr) != 0;
}

/*
 * What bind says itself is told by tell_failure(). A first socket that has the port needs no group
 * yet: whether the others can join it is seen when they try.
 */
static int bind_one(struct vly_listener *listener, int fd, bool first, bool share)
{
	bool alone = first && !share;
	uint16_t port = volley_addr_get_port(&listener->addr);
	bool is_low = port > 0 && port < 1024;
	int r = vly_socket_bind(fd, &listener->addr, first, share);

	if (r >= 0 || r == -EADDRINUSE || r == -EADDRNOTAVAIL || (r == -EACCES && is_low))
		return r;
	if (alone && is_bound(fd))
		return 0;
	return vly_needs_check(listener->server, VLY_NEED_SHARE, r, true);
}

/* The first of n. */
static int bind_first(struct vly_listener *listener, int fd, bool share, uint32_t n)
{
	int r = share ? 0 : vly_steer_begin(listener, fd, n, false);

	if (r >= 0)
		r = bind_one(listener, fd, true, share);
	if (r >= 0 && share)
		r = vly_steer_begin(listener, fd, n, true);
	return r;
}

/* Which of the listener's sockets it is. */
static uint32_t find_fd(const struct vly_listener *listener, int fd)
{
	uint32_t k = 0;

	while (listener->fds[k] != fd)
		k++;
	return k;
}

static int set_v6only(const struct vly_listener *listener, int fd)
{
	bool v6only = listener->config.flags & VOLLEY_LISTEN_V6ONLY;
	int r = 0;

	if (listener->addr.sa.sa_family == AF_INET6)
		r = vly_socket_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	return vly_needs_check(listener->server, VLY_NEED_V6ONLY, r, true);
}

/* One more, up to n. */
static int open_one(struct vly_listener *listener, bool beside, uint32_t n, int *ret_fd)
{
	int family = listener->addr.sa.sa_family;
	uint32_t flags = listener->config.flags;
	bool share = beside || (flags & VOLLEY_LISTEN_SHARE_PORT);
	bool first = listener->n_fds == 0;
	int fd = vly_socket_open(family, false);
	uint32_t rcvbuf_bytes = 0;
	int r;

	if (fd < 0)
		return fd;
	r = vly_options_run_hook(listener, fd, listener->n_fds); /* first, so ours win */
	if (r >= 0)
		r = vly_options_set_reach(listener, fd);
	if (r >= 0)
		r = set_v6only(listener, fd);
	if (r >= 0)
		r = vly_options_set_mtu(listener, fd);
	vly_options_set_buffers(listener, fd, &rcvbuf_bytes);
	if (first)
		choose_coalescing(listener, rcvbuf_bytes);
	if (r >= 0 && (flags & VOLLEY_LISTEN_REPORT_ERRORS))
		r = vly_options_set_errors(listener, fd);
	if (r >= 0)
		r = vly_options_set_cmsgs(listener, fd);
	if (r >= 0)
		r = vly_options_set_casts(listener, fd, listener->n_fds);
	if (r >= 0)
		r = first ? bind_first(listener, fd, share, n)
			  : bind_one(listener, fd, false, share);
	if (r >= 0 && first)
		r = vly_needs_check(listener->server, VLY_NEED_NAME,
				    vly_socket_get_name(fd, &listener->addr), true);
	if (r < 0) {
		vly_socket_close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int new_fds(struct vly_listener *listener, uint32_t n)
{
	listener->fds = &listener->one_fd;
	if (n > 1)
		listener->fds = vly_mem_new(listener->server->shared.config.allocator, n,
					    sizeof *listener->fds);
	return listener->fds != NULL ? 0 : -ENOMEM;
}

static int new_filters(struct vly_listener *listener, uint32_t n)
{
	listener->filters = vly_mem_new(listener->server->shared.config.allocator, n,
					sizeof *listener->filters);
	if (listener->filters == NULL)
		return -ENOMEM;
	listener->n_filters = n;
	return 0;
}

void vly_listener_free(struct vly_listener *listener)
{
	if (listener == NULL)
		return;
	for (uint32_t i = 0; i < listener->n_filters; i++)
		vly_socket_free_filter(&listener->filters[i]);
	vly_socks_free_gone(listener);
	vly_mem_free(listener->filters);
	vly_mem_free(listener->steering);
	if (listener->fds != &listener->one_fd)
		vly_mem_free(listener->fds);
	vly_indexes_put(&listener->server->indexes, listener->index);
	vly_mem_free(listener);
}

static void tell_filter(struct vly_listener *listener, int error)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";

	if (listener->told_filter)
		return;
	listener->told_filter = true;
	volley_addr_format(&listener->addr, text, sizeof text);
	vly_log_write(&listener->server->shared.config, VOLLEY_LOG_WARNING,
		      "%s: SO_ATTACH_FILTER is refused (%s), as where a socket's own filter cannot "
		      "be replaced: a drain there serves what still arrives, until it finds "
		      "nothing or drain_us is over",
		      text, volley_error_name(error));
}

/* Sockets that were opened here have no filter of their own. */
static int refuse(const struct vly_listener *listener, uint32_t i)
{
	struct vly_socket_filter *filter;
	int fd = listener->fds[i];
	int r;

	if (listener->filters == NULL)
		return vly_socket_set_drop_all(fd, true);
	filter = &listener->filters[i];
	if (filter->program != NULL)
		return 0; /* since an earlier drain */
	r = vly_socket_take_filter(fd, listener->server->shared.config.allocator, filter);
	if (r < 0)
		return r;
	r = vly_socket_set_drop_all(fd, true);
	if (r < 0)
		vly_socket_free_filter(filter);
	return r;
}

static int take_new(const struct vly_listener *listener, uint32_t i)
{
	if (listener->filters != NULL && listener->filters[i].program != NULL)
		return vly_socket_give_filter(listener->fds[i], &listener->filters[i]);
	return vly_socket_set_drop_all(listener->fds[i], false);
}

void vly_listener_set_drop_all(struct vly_listener *listener, bool drop)
{
	for (uint32_t i = 0; i < listener->n_fds; i++) {
		int r = drop ? refuse(listener, i) : take_new(listener, i);

		if (r < 0)
			tell_filter(listener, r);
	}
}

void vly_listener_close_fds(struct vly_listener *listener)
{
	while (listener->n_fds > 0)
		vly_socket_close(listener->fds[--listener->n_fds]);
}

/*
 * What the default got, where it could be more; each size once. It is no warning: all is served.
 */
static void tell_coalescing(const struct vly_listener *listener)
{
	struct volley_server *server = listener->server;
	uint32_t n_kib = listener->rcvbuf_bytes >> 10;
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";
	bool is_chosen = listener->config.rcvbuf_bytes > 0 &&
			 listener->config.rcvbuf_bytes <= listener->rcvbuf_bytes;

	if (listener->coalesces_in || !wants_coalescing(listener) ||
	    (!is_chosen && vly_options_is_many(server)) || /* which is told once */
	    server->told_rcvbuf == listener->rcvbuf_bytes)
		return;
	server->told_rcvbuf = listener->rcvbuf_bytes;
	volley_addr_format(&listener->addr, text, sizeof text);
	if (is_chosen)
		vly_log_write(&server->shared.config, VOLLEY_LOG_INFO,
			      "%s: receive buffer %u KiB, coalescing in off: it needs %u KiB "
			      "(rcvbuf_bytes)",
			      text, n_kib, MIN_GRO_BUFFER_BYTES >> 10);
	else
		vly_log_write(&server->shared.config, VOLLEY_LOG_INFO,
			      "%s: receive buffer %u KiB, coalescing in off: `sysctl -w "
			      "net.core.rmem_max=%u` gives both their room",
			      text, n_kib, VLY_OPTIONS_BUFFER_BYTES);
}

static void tell_failure(const struct vly_listener *listener, int error)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";

	volley_addr_format(&listener->addr, text, sizeof text);
	vly_log_write(&listener->server->shared.config, VOLLEY_LOG_ERROR,
		      "cannot listen on %s (%s): %s", text, volley_error_name(error),
		      get_advice(error));
}

/* Until n sockets are open, or one fails. */
static int open_all(struct vly_listener *listener, bool beside, uint32_t n)
{
	while (listener->n_fds < n) {
		int r = open_one(listener, beside, n, &listener->fds[listener->n_fds]);

		if (r < 0)
			return r;
		listener->n_fds++;
	}
	return 0;
}

/*
 * The first socket was given the port alone, so if the second is refused it, the system does not
 * take SO_REUSEPORT after a bind (gVisor). Then all of them have it before.
 */
int vly_listener_open(struct vly_listener *listener, const struct volley_addr *addr, bool beside,
		      uint32_t n)
{
	bool share = beside || (listener->config.flags & VOLLEY_LISTEN_SHARE_PORT);
	int r = new_fds(listener, n);

	choose_locals(listener, addr);
	if (r >= 0)
		r = open_all(listener, beside, n);
	if (r == -EADDRINUSE && listener->n_fds == 1 && !share && !listener->hook_failed) {
		vly_needs_check(listener->server, VLY_NEED_LATE_SHARE, r, false);
		vly_listener_close_fds(listener);
		r = open_all(listener, true, n);
	}
	if (r >= 0) {
		tell_coalescing(listener);
		return 0;
	}
	vly_listener_close_fds(listener);
	if (!listener->hook_failed)
		tell_failure(listener, r);
	return r;
}

/*
 * Coalesced messages that queue already stay coalesced, and their segment size is told only while
 * UDP_GRO is on. So a socket that had it keeps it, and the slots must be large enough, whatever the
 * config wants of new ones.
 */
int vly_listener_adopt(struct vly_listener *listener, const struct volley_addr *addr,
		       const int *fds, uint32_t n)
{
	uint32_t rcvbuf_bytes = 0;
	uint32_t enabled = 0;
	int v6only = 0;
	int r = new_fds(listener, n);

	if (r >= 0)
		r = new_filters(listener, n);
	choose_locals(listener, addr);
	listener->adopted = true;
	if (addr->sa.sa_family == AF_INET6 &&
	    vly_socket_get_int(fds[0], IPPROTO_IPV6, IPV6_V6ONLY, &v6only) >= 0 && v6only != 0)
		listener->config.flags |= VOLLEY_LISTEN_V6ONLY;
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		vly_options_grow_buffers(listener, fds[i], &rcvbuf_bytes);
		enabled |= vly_cmsg_get_enabled(fds[i], addr->sa.sa_family);
	}
	if (r < 0)
		return r;
	memcpy(listener->fds, fds, n * sizeof *fds);
	listener->n_fds = n;
	choose_coalescing(listener, rcvbuf_bytes);
	if (enabled & VLY_CMSG_SEGMENT) {
		listener->coalesces_in = true;
		listener->want |= VLY_CMSG_SEGMENT;
		listener->slot_bytes = VLY_CONFIG_MAX_DATAGRAM_BYTES;
	}
	listener->room = listener->want | enabled;
	tell_coalescing(listener);
	return 0;
}

int vly_listener_configure(struct vly_listener *listener, int fd)
{
	int family = listener->addr.sa.sa_family;
	bool reports = listener->config.flags & VOLLEY_LISTEN_REPORT_ERRORS;
	const char *name = NULL;
	uint32_t rcvbuf_bytes;
	int r = vly_socket_reset(fd, &name);

	if (name != NULL)
		vly_log_write(&listener->server->shared.config, VOLLEY_LOG_ERROR,
			      "descriptor %d cannot be served: %s is on there and cannot be "
			      "switched off: do so before you hand it over",
			      fd, name);
	vly_options_set_buffers(listener, fd, &rcvbuf_bytes);
	if (r >= 0 && fd == listener->fds[0])
		r = vly_steer_configure(listener);
	if (r >= 0)
		r = vly_options_set_reach(listener, fd);
	if (r >= 0)
		r = vly_options_set_casts(listener, fd, find_fd(listener, fd));
	if (r >= 0)
		r = vly_options_set_mtu(listener, fd);
	if (r >= 0 && reports)
		r = vly_options_set_errors(listener, fd);
	if (r < 0)
		return r;
	if (!reports) {
		vly_options_clear(listener, vly_errqueue_disable(fd, family));
		vly_errqueue_clear(fd); /* it would wake a worker for nothing, for ever */
	}
	vly_options_clear(listener, vly_cmsg_disable(fd, family,
						     (listener->room | VLY_CMSG_TIMESTAMP) &
							     ~listener->want));
	return vly_options_set_cmsgs(listener, fd);
}
