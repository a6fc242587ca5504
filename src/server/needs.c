/* SPDX-License-Identifier: MIT */

/*
 * One table of what a server can be refused, by an old kernel, a sandbox that imitates Linux, or a
 * filter of system calls, which may say any errno. docs/kernel.md has it for users, with the calls
 * that are told where they are made because nothing works without them.
 */

#include "server/needs.h"

#include <errno.h>

#include <volley/error.h>

#include "base/log.h"
#include "io/io.h"
#include "server/state.h"

static const struct {
	const char *name;
	bool is_needed;
	const char *then; /* what is lost, or the way out */
} needs[] = {
	[VLY_NEED_BATCH] = { "recvmmsg or sendmmsg", false,
			     "one system call for each datagram, which is slower" },
	[VLY_NEED_MEMINFO] = { "SO_MEMINFO", false,
			       "what the kernel drops is not seen, and kernel_drops stays 0; "
			       "RcvbufErrors of /proc/net/snmp counts it" },
	[VLY_NEED_GSO] = { "UDP_SEGMENT", false, "each reply is a message of its own" },
	[VLY_NEED_GRO] = { "UDP_GRO", false, "each datagram is a message of its own" },
	[VLY_NEED_V6ONLY] = { "IPV6_V6ONLY", true, "listen on an IPv4 address instead" },
	[VLY_NEED_MTU] = { "IP_MTU_DISCOVER or IPV6_MTU_DISCOVER", false,
			   "path MTU discovery is what the system has: mtu_discover "
			   "VOLLEY_MTU_KERNEL asks for no more" },
	[VLY_NEED_RCVBUF] = { "SO_RCVBUF", false,
			      "the receive buffer is the system's and bursts may be lost; "
			      "net.core.rmem_default sets it" },
	[VLY_NEED_SNDBUF] = { "SO_SNDBUF", false,
			      "the send buffer is the system's; net.core.wmem_default sets it" },
	[VLY_NEED_RECVERR] = { "IP_RECVERR or IPV6_RECVERR", true,
			       "listen without VOLLEY_LISTEN_REPORT_ERRORS" },
	[VLY_NEED_LOCAL] = { "IP_PKTINFO or IPV6_RECVPKTINFO", true,
			     "a reply could leave from the wrong address: listen on each address "
			     "by itself and not on a wildcard, without "
			     "VOLLEY_LISTEN_WANT_INTERFACE" },
	[VLY_NEED_TTL] = { "IP_RECVTTL or IPV6_RECVHOPLIMIT", true,
			   "listen without VOLLEY_LISTEN_WANT_TTL" },
	[VLY_NEED_TOS] = { "IP_RECVTOS or IPV6_RECVTCLASS", true,
			   "listen without VOLLEY_LISTEN_WANT_TOS" },
	[VLY_NEED_TIMESTAMP] = { "SO_TIMESTAMPNS", true,
				 "listen without VOLLEY_LISTEN_WANT_TIMESTAMP" },
	[VLY_NEED_UNSET] = { "SO_RXQ_OVFL, IP_RECVERR or another option to be unset", false,
			     "whoever bound the socket should not have set it" },
	[VLY_NEED_SHARE] = { "SO_REUSEPORT or bind", true,
			     "with n_workers = 1 and without VOLLEY_LISTEN_SHARE_PORT a socket "
			     "needs no SO_REUSEPORT" },
	[VLY_NEED_LATE_SHARE] = { "SO_REUSEPORT behind bind", false,
				  "ports are shared from the beginning: a process of this user "
				  "that does the same would get a part of their datagrams" },
	[VLY_NEED_NAME] = { "getsockname", true,
			    "have the filter of system calls or the sandbox allow it" },
	[VLY_NEED_SETTLE] = { "membarrier", false,
			      "a datagram or two that arrive with the end of a drain may count "
			      "as discarded_at_close, or not at all" },
	[VLY_NEED_GROUPS] = { "IP_MULTICAST_ALL or IPV6_MULTICAST_ALL", false,
			      "each worker gets a copy of what is sent to a group and drops it, "
			      "as rx_dropped.copy" },
	[VLY_NEED_BROADCAST] = { "SO_BROADCAST", true, "listen without VOLLEY_LISTEN_BROADCAST" },
	[VLY_NEED_LOOP] = { "IP_MULTICAST_LOOP or IPV6_MULTICAST_LOOP", false,
			    "a listener that is bound to a group hears what it sends there" },
	[VLY_NEED_JOIN] = { "MCAST_JOIN_GROUP or another option for groups", true,
			    "without it a listener hears the groups that its links have by "
			    "themselves, such as 224.0.0.1 and ff02::1" },
	[VLY_NEED_STEER] = { "SO_ATTACH_REUSEPORT_CBPF", true,
			     "listen with VOLLEY_STEER_FLOW, and the kernel chooses by a hash; "
			     "adopted sockets take it when each had SO_REUSEPORT at its bind" },
	[VLY_NEED_DEVICE] = { "SO_BINDTOIFINDEX (bind_device)", true,
			      "before Linux 5.7 give the process CAP_NET_RAW, and before 5.0 set "
			      "SO_BINDTODEVICE in on_socket, or listen without bind_device" },
	[VLY_NEED_TRANSPARENT] = { "IP_TRANSPARENT or IPV6_TRANSPARENT, or to be told of the "
				   "destination",
				   true,
				   "give the process CAP_NET_ADMIN or CAP_NET_RAW, or listen "
				   "without VOLLEY_LISTEN_TRANSPARENT" },
};

static_assert(sizeof needs / sizeof needs[0] == VLY_NEED_N, "one for each");
static_assert(VLY_NEED_N <= 32, "bits of server->refused");

int vly_needs_check(struct volley_server *server, enum vly_need need, int error, bool is_asked)
{
	bool is_needed = needs[need].is_needed || is_asked;
	uint32_t bit = UINT32_C(1) << need;
	uint32_t old;

	if (error >= 0)
		return 0;
	/* relaxed: it is only about saying it once */
	old = atomic_fetch_or_explicit(&server->refused, bit, memory_order_relaxed);
	if (is_needed || !(old & bit))
		vly_log_write(&server->shared.config,
			      is_needed ? VOLLEY_LOG_ERROR : VOLLEY_LOG_WARNING,
			      "%s is refused (%s): %s", needs[need].name, volley_error_name(error),
			      needs[need].then);
	return is_needed ? error : 0;
}

const char *vly_needs_get_interface_text(int error)
{
	return error == -ENODEV
		       ? "there is no such interface (`ip link`)"
		       : "no socket is left to ask for its interface with: raise `ulimit -n`";
}

/* Another backend than the first only when nobody asked for one. */
static int choose_io(struct volley_server *server)
{
	struct volley_config *config = &server->shared.config;
	const struct vly_probe *probe = &server->probe;
	enum vly_probe_call refused;
	const char *name = vly_io_pick(config->io, probe, &refused);

	if (name == NULL) {
		vly_log_write_refused(config, vly_probe_get_name(refused), probe->errors[refused]);
		return probe->errors[refused];
	}
	config->io = name;
	return refused == VLY_PROBE_N
		       ? 0
		       : vly_needs_check(server, VLY_NEED_BATCH, probe->errors[refused], false);
}

int vly_needs_run(struct volley_server *server)
{
	const struct volley_config *config = &server->shared.config;
	const int *errors = server->probe.errors;
	int r = vly_probe_run(&server->probe);

	if (r < 0) {
		vly_log_write_refused(config, "socket", r);
		return r;
	}
	if (errors[VLY_PROBE_POLL] < 0) {
		vly_log_write_refused(config, vly_probe_get_name(VLY_PROBE_POLL),
				      errors[VLY_PROBE_POLL]);
		return errors[VLY_PROBE_POLL];
	}
	vly_needs_check(server, VLY_NEED_MEMINFO, errors[VLY_PROBE_MEMINFO], false);
	vly_needs_check(server, VLY_NEED_GSO, errors[VLY_PROBE_GSO], false);
	vly_needs_check(server, VLY_NEED_GRO, errors[VLY_PROBE_GRO], false);
	return choose_io(server);
}
