/* SPDX-License-Identifier: MIT */

/*
 * Multicast groups that a program joins with a listener. The memberships are the first socket's:
 * the others are told to hear of groups only what they have joined themselves, which is nothing, so
 * each datagram is served once. The kernel keeps the memberships, and nothing of them is remembered
 * here.
 *
 * The second socket hears IPv4 groups beside the first, and drops what it hears: see set_groups()
 * of options.c. A source that the first one does not want it must not want either, for what it
 * alone hears any of them may get. So memberships by source are its own as well
 * (tests/unit/server/test_groups.c shows it).
 *
 * Joining can last in the kernel, for it waits there for whoever changes links or routes. So it is
 * done with `grouping`, which no worker's path needs, and not with the shared lock. Who closes the
 * sockets takes `grouping` before (vly_listeners_end()).
 */

#include <errno.h>

#include <volley/listener.h>

#include "base/log.h"
#include "base/opts.h"
#include "path/listener.h"
#include "server/inside.h"
#include "server/listeners.h"
#include "server/needs.h"
#include "sys/addr.h"
#include "sys/cast.h"
#include "sys/socket.h"

/* The size of the struct in the first release. */
enum { MIN_GROUP_SIZE = sizeof(size_t) };

/* One call, as the kernel will see it: IPv4 is not mapped there, and has no port. */
struct request {
	const char *what; /* the call */
	struct volley_group own;
	struct volley_addr group;
	struct volley_addr source;
	uint32_t ifindex; /* 0: the system's choice */
	int fd;
	int second_fd; /* or -1 */
};

static int blame(const struct volley_server *server, const struct request *request, int error,
		 const char *problem)
{
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";

	volley_addr_format(&request->own.group, text, sizeof text);
	vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR, "%s: group %s: %s", request->what,
		      text, problem);
	return error;
}

static bool has_source(const struct request *request)
{
	return request->own.source.len != 0;
}

static int read_interface(const struct volley_server *server, struct request *request)
{
	const char *name = request->own.interface;
	uint32_t scope = 0;
	int r = 0;

	if (request->group.sa.sa_family == AF_INET6)
		scope = request->group.in6.sin6_scope_id;
	if (name == NULL || name[0] == '\0') {
		request->ifindex = scope;
		return 0;
	}
	r = vly_socket_find_interface(name, &request->ifindex);
	if (r < 0)
		return blame(server, request, r, vly_needs_get_interface_text(r));
	if (scope != 0 && scope != request->ifindex)
		return blame(server, request, -EINVAL, "its scope is another interface");
	return 0;
}

/* All that can be said without a look at the listener. */
static int read_group(const struct volley_server *server, const struct volley_group *group,
		      struct request *request)
{
	int r = vly_opts_read(&request->own, sizeof request->own, MIN_GROUP_SIZE, group);

	if (r < 0)
		return r;
	if (volley_addr_unmap(&request->own.group, &request->group) < 0 ||
	    !volley_addr_is_multicast(&request->group))
		return blame(server, request, -EINVAL, "this is no multicast group");
	if (has_source(request) &&
	    (volley_addr_unmap(&request->own.source, &request->source) < 0 ||
	     request->source.sa.sa_family != request->group.sa.sa_family ||
	     volley_addr_is_multicast(&request->source) || vly_addr_is_wildcard(&request->source)))
		return blame(server, request, -EINVAL,
			     "its source must be the address of a host, of the same family");
	return read_interface(server, request);
}

/* A socket hears the groups that its own address includes. */
static bool is_heard(const struct vly_listener *listener, const struct volley_addr *group)
{
	struct volley_addr addr;

	if (volley_addr_unmap(&listener->addr, &addr) < 0)
		return false;
	if (addr.sa.sa_family == group->sa.sa_family)
		return vly_addr_is_wildcard(&addr) || vly_addr_is_same_host(&addr, group);
	return addr.sa.sa_family == AF_INET6 && vly_addr_is_wildcard(&addr) &&
	       !(listener->config.flags & VOLLEY_LISTEN_V6ONLY);
}

/* One that is bound to a link means that link. 0 or -errno. */
static int find_fds(struct volley_server *server, struct volley_listener listener,
		    struct request *request) VLY_REQUIRES(server->grouping)
{
	bool is4 = request->group.sa.sa_family == AF_INET;
	const struct vly_listener *found;
	int r = 0;

	vly_lock_take(&server->shared.lock);
	found = vly_listeners_find(server, listener);
	if (found == NULL || found->ends || found->n_fds == 0) {
		r = -ESTALE;
	} else if (!is_heard(found, &request->group)) {
		r = -EINVAL;
	} else {
		request->fd = found->fds[0];
		request->second_fd = is4 && found->n_fds > 1 ? found->fds[1] : -1;
		if (!is4 && request->ifindex == 0)
			request->ifindex = found->addr.in6.sin6_scope_id;
	}
	vly_lock_give(&server->shared.lock);
	return r;
}

/* Beside limits of its own each membership takes of the memory for a socket's options. */
static const char *get_limit(const struct request *request)
{
	if (request->group.sa.sa_family == AF_INET6)
		return has_source(request) ? "too many sources or groups: raise "
					     "`sysctl net.ipv6.mld_max_msf` or "
					     "`net.core.optmem_max`"
					   : "too many groups: raise `sysctl net.core.optmem_max`";
	return has_source(request) ? "too many sources or groups: raise "
				     "`sysctl net.ipv4.igmp_max_msf`, "
				     "`net.ipv4.igmp_max_memberships` or `net.core.optmem_max`"
				   : "too many groups: raise "
				     "`sysctl net.ipv4.igmp_max_memberships` or "
				     "`net.core.optmem_max`";
}

/* What the system said. What may well be so at any time is no matter for the log. */
static int tell(struct volley_server *server, const struct request *request, int error)
{
	switch (-error) {
	case 0:
	case ESTALE:
	case EADDRINUSE:
	case EADDRNOTAVAIL:
		return error;
	case ENODEV:
		return blame(server, request, error,
			     request->ifindex != 0 ? vly_needs_get_interface_text(error)
						   : "no route says by which interface: name one");
	case ENOBUFS:
		return blame(server, request, error, get_limit(request));
	case EINVAL:
		return blame(server, request, error,
			     "some of its sources are blocked, or its interface has no IPv6");
	default:
		return vly_needs_check(server, VLY_NEED_JOIN, error, true);
	}
}

/* The second before the first, of which more than this source may have been joined. */
static int join(const struct request *request)
{
	const struct volley_addr *source = has_source(request) ? &request->source : NULL;
	int second = -EADDRINUSE;
	int r;

	if (source != NULL && request->second_fd >= 0)
		second = vly_cast_join(request->second_fd, &request->group, source,
				       request->ifindex);
	if (second < 0 && second != -EADDRINUSE)
		return second;
	r = vly_cast_join(request->fd, &request->group, source, request->ifindex);
	if (r < 0 && second >= 0)
		vly_cast_leave(request->second_fd, &request->group, source, request->ifindex);
	return r;
}

static int leave(const struct request *request)
{
	const struct volley_addr *source = has_source(request) ? &request->source : NULL;

	if (request->second_fd >= 0) /* which has it or not */
		vly_cast_leave(request->second_fd, &request->group, source, request->ifindex);
	return vly_cast_leave(request->fd, &request->group, source, request->ifindex);
}

static int run(struct volley_server *server, struct volley_listener listener,
	       struct request *request, bool joins)
{
	bool is_deaf;
	int r;

	vly_lock_take(&server->grouping);
	r = find_fds(server, listener, request);
	is_deaf = r == -EINVAL;
	if (r >= 0)
		r = joins ? join(request) : leave(request);
	vly_lock_give(&server->grouping);
	if (is_deaf)
		return blame(server, request, r,
			     "the listener's address does not include it: listen on a wildcard "
			     "address or on the group's own");
	return tell(server, request, r);
}

int volley_listener_join(struct volley_server *server, struct volley_listener listener,
			 const struct volley_group *group)
{
	struct request request = { .what = "join" };
	int r = vly_inside_check_home(server, request.what);

	if (r >= 0)
		r = read_group(server, group, &request);
	return r < 0 ? r : run(server, listener, &request, true);
}

int volley_listener_leave(struct volley_server *server, struct volley_listener listener,
			  const struct volley_group *group)
{
	struct request request = { .what = "leave" };
	int r = vly_inside_check_home(server, request.what);

	if (r >= 0)
		r = read_group(server, group, &request);
	return r < 0 ? r : run(server, listener, &request, false);
}
