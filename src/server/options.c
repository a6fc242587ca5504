/* SPDX-License-Identifier: MIT */

/*
 * The options of a listener's sockets, whether they are opened here or adopted. What a refusal of
 * each means stands in the table of needs.c.
 */

#include "server/options.h"

#include <errno.h>
#include <netinet/in.h>

#include <volley/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "server/needs.h"
#include "server/state.h"
#include "sys/cast.h"
#include "sys/cmsg.h"
#include "sys/errqueue.h"
#include "sys/socket.h"

bool vly_options_is_many(const struct volley_server *server)
{
	return server->n_in_set >= VLY_OPTIONS_N_LARGE;
}

static void tell_many(struct volley_server *server)
{
	if (server->told_many)
		return;
	server->told_many = true;
	vly_log_write(&server->shared.config, VOLLEY_LOG_INFO,
		      "from the %uth listener on receive buffers are the system's "
		      "(net.core.rmem_default): rcvbuf_bytes asks for other ones",
		      VLY_OPTIONS_N_LARGE + 1);
}

/*
 * Warned about once a server, because every socket of it gets the same result from the kernel; and
 * not at all when nobody asked (n_bytes is 0).
 */
static void set_buffer(struct volley_server *server, int fd, enum vly_socket_buffer which,
		       uint32_t n_bytes, bool grows, uint32_t *ret_n_bytes)
{
	bool receive = which == VLY_SOCKET_RCVBUF;
	uint32_t want = n_bytes != 0 ? n_bytes : VLY_OPTIONS_BUFFER_BYTES;
	uint32_t got = 0; /* unknown: what the system gives */
	int r;

	if (receive && n_bytes == 0 && vly_options_is_many(server)) {
		want = 0;
		tell_many(server);
	}
	r = n_bytes != 0 && !grows ? vly_socket_set_buffer(fd, which, want, &got)
				   : vly_socket_grow_buffer(fd, which, want, &got);

	*ret_n_bytes = got;
	if (r < 0) {
		vly_needs_check(server, receive ? VLY_NEED_RCVBUF : VLY_NEED_SNDBUF, r, false);
		return;
	}
	if (got < n_bytes && !server->warned_buffer[receive]) {
		server->warned_buffer[receive] = true;
		vly_log_write(
			&server->shared.config, VOLLEY_LOG_WARNING,
			"%s buffer is %u bytes instead of %u: bursts may be lost; raise it with "
			"`sysctl -w net.core.%s=%u` or give the process CAP_NET_ADMIN",
			receive ? "receive" : "send", got, n_bytes,
			receive ? "rmem_max" : "wmem_max", n_bytes);
	}
}

int vly_options_run_hook(struct vly_listener *listener, int fd, uint32_t k)
{
	const struct volley_listen_config *config = &listener->config;
	char text[VOLLEY_ADDR_TEXT_BYTES] = "?";
	int r;

	if (config->on_socket == NULL)
		return 0;
	r = config->on_socket(fd, k, config->arg);
	if (r >= 0)
		return 0;
	listener->hook_failed = true;
	volley_addr_format(&listener->addr, text, sizeof text);
	vly_log_write(&listener->server->shared.config, VOLLEY_LOG_ERROR,
		      "cannot listen on %s: on_socket returned %d (%s) for socket %u", text, r,
		      volley_error_name(r), k);
	return r;
}

/*
 * An IPv6 socket sends IPv4 too, to mapped peers, so it has one of each. They are not the same for
 * VOLLEY_MTU_OMIT: routers fragment IPv4, but not IPv6, so over a narrower path an IPv6 socket that
 * ignores them reaches nobody.
 */
static const struct {
	int v4, v6;
} mtu_values[] = {
	[VOLLEY_MTU_OMIT] = { IP_PMTUDISC_OMIT, IPV6_PMTUDISC_WANT },
	[VOLLEY_MTU_DO] = { IP_PMTUDISC_DO, IPV6_PMTUDISC_DO },
	[VOLLEY_MTU_PROBE] = { IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE },
};

/* What this system gives a socket by itself; an adopted one may have lost it. */
static int get_system_mtu(int family, int *ret_v4, int *ret_v6)
{
	int fd = vly_socket_open(family, true);
	int r = fd;

	if (r >= 0)
		r = vly_socket_get_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, ret_v4);
	if (r >= 0 && family == AF_INET6)
		r = vly_socket_get_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, ret_v6);
	if (fd >= 0)
		vly_socket_close(fd);
	return r;
}

int vly_options_set_mtu(const struct vly_listener *listener, int fd)
{
	int family = listener->addr.sa.sa_family;
	uint32_t how = listener->config.mtu_discover;
	int v4 = mtu_values[how].v4;
	int v6 = mtu_values[how].v6;
	int r = 0;

	if (how == VOLLEY_MTU_KERNEL && !listener->adopted)
		return 0;
	if (how == VOLLEY_MTU_KERNEL)
		r = get_system_mtu(family, &v4, &v6);
	if (r >= 0 && family == AF_INET6)
		r = vly_socket_set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, v6);
	if (r >= 0)
		r = vly_socket_set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, v4);
	return vly_needs_check(listener->server, VLY_NEED_MTU, r,
			       how == VOLLEY_MTU_DO || how == VOLLEY_MTU_PROBE);
}

int vly_options_find_device(const struct volley_server *server,
			    const struct volley_listen_config *config, uint32_t *ret_index)
{
	const char *name = config->bind_device;
	int r;

	*ret_index = 0;
	if (name == NULL || name[0] == '\0')
		return 0;
	r = vly_socket_find_interface(name, ret_index);
	if (r < 0)
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "listen: bind_device \"%s\" (%s): %s", name, volley_error_name(r),
			      vly_needs_get_interface_text(r));
	return r;
}

/* What it has is left alone: the process that set it may have been allowed more than we are. */
static int set_once(int fd, int level, int name, uint32_t value)
{
	int is = 0;

	if (vly_socket_get_int(fd, level, name, &is) >= 0 && is == (int)value)
		return 0;
	return vly_socket_set_int(fd, level, name, (int)value);
}

int vly_options_set_reach(const struct vly_listener *listener, int fd)
{
	bool is6 = listener->addr.sa.sa_family == AF_INET6;
	int r = 0;

	if (listener->device_index != 0)
		r = vly_needs_check(
			listener->server, VLY_NEED_DEVICE,
			set_once(fd, SOL_SOCKET, SO_BINDTOIFINDEX, listener->device_index), true);
	if (r >= 0 && (listener->config.flags & VOLLEY_LISTEN_TRANSPARENT))
		r = vly_needs_check(listener->server, VLY_NEED_TRANSPARENT,
				    set_once(fd, is6 ? IPPROTO_IPV6 : IPPROTO_IP,
					     is6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1),
				    true);
	return r;
}

void vly_options_set_buffers(struct vly_listener *listener, int fd, uint32_t *ret_rcvbuf_bytes)
{
	const struct volley_listen_config *config = &listener->config;
	uint32_t sndbuf_bytes;

	set_buffer(listener->server, fd, VLY_SOCKET_RCVBUF, config->rcvbuf_bytes, false,
		   ret_rcvbuf_bytes);
	set_buffer(listener->server, fd, VLY_SOCKET_SNDBUF, config->sndbuf_bytes, false,
		   &sndbuf_bytes);
}

void vly_options_grow_buffers(struct vly_listener *listener, int fd, uint32_t *ret_rcvbuf_bytes)
{
	const struct volley_listen_config *config = &listener->config;
	uint32_t n_bytes;

	set_buffer(listener->server, fd, VLY_SOCKET_SNDBUF, config->sndbuf_bytes, true, &n_bytes);
	set_buffer(listener->server, fd, VLY_SOCKET_RCVBUF, config->rcvbuf_bytes, true, &n_bytes);
	if (config->rcvbuf_bytes != 0 && config->rcvbuf_bytes < n_bytes)
		n_bytes = config->rcvbuf_bytes;
	*ret_rcvbuf_bytes = n_bytes;
}

/* Each by itself, so that the one that is refused has a name. */
int vly_options_set_cmsgs(struct vly_listener *listener, int fd)
{
	static const struct {
		uint32_t bit;
		enum vly_need need;
	} cmsgs[] = { { VLY_CMSG_LOCAL, VLY_NEED_LOCAL },
		      { VLY_CMSG_TTL, VLY_NEED_TTL },
		      { VLY_CMSG_TOS, VLY_NEED_TOS },
		      { VLY_CMSG_TIMESTAMP, VLY_NEED_TIMESTAMP },
		      { VLY_CMSG_ORIGIN, VLY_NEED_TRANSPARENT },
		      { VLY_CMSG_SEGMENT, VLY_NEED_GRO } };
	int family = listener->addr.sa.sa_family;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < VLY_ARRAY_SIZE(cmsgs); i++)
		r = vly_needs_check(listener->server, cmsgs[i].need,
				    vly_cmsg_enable(fd, family, listener->want & cmsgs[i].bit),
				    false);
	return r;
}

int vly_options_set_errors(struct vly_listener *listener, int fd)
{
	return vly_needs_check(listener->server, VLY_NEED_RECVERR,
			       vly_errqueue_enable(fd, listener->addr.sa.sa_family), true);
}

void vly_options_clear(struct vly_listener *listener, int error)
{
	vly_needs_check(listener->server, VLY_NEED_UNSET, error, false);
}

/*
 * A datagram to a group would reach each socket of the listener. The kernel can stop that for those
 * that have not joined the group themselves, so only the first gets what others have joined. With
 * IPv4 the second does too: where a single socket of a SO_REUSEPORT group is left, the kernel takes
 * it for found early and gives the datagram to any member (inet_steal_sock(), Linux 6.6; 3.1.c of
 * tests/promises shows it). What is not stopped, or not by this kernel, find_fault() of pipeline.c
 * drops as a copy.
 */
static void set_groups(const struct vly_listener *listener, int fd, uint32_t k)
{
	int r = vly_cast_set_all(fd, listener->addr.sa.sa_family, k < 2, k == 0);

	vly_needs_check(listener->server, VLY_NEED_GROUPS, r, false);
}

/* Where nothing is asked for, a socket that has other uses keeps what it has. */
int vly_options_set_casts(const struct vly_listener *listener, int fd, uint32_t k)
{
	struct volley_server *server = listener->server;
	bool loops = listener->config.flags & VOLLEY_LISTEN_MULTICAST_LOOP;
	int r = 0;

	set_groups(listener, fd, k);
	if (listener->config.flags & VOLLEY_LISTEN_BROADCAST)
		r = vly_needs_check(server, VLY_NEED_BROADCAST,
				    vly_socket_set_int(fd, SOL_SOCKET, SO_BROADCAST, 1), true);
	if (r >= 0 && (loops || listener->is_cast))
		r = vly_needs_check(server, VLY_NEED_LOOP,
				    vly_cast_set_loop(fd, listener->addr.sa.sa_family, loops),
				    loops);
	return r;
}
