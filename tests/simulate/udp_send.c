/* SPDX-License-Identifier: MIT */

/* Sending by UDP sockets: where to, as whom, GSO, and what the kernel refuses. */

#include "udp_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "storm.h"
#include "sys/addr.h"

enum { MAX_PAYLOAD4 = 65507, MAX_PAYLOAD6 = 65527 };

struct sending {
	struct volley_addr to;
	struct volley_addr from;
	uint32_t ifindex; /* 0: by the route */
	uint32_t segment_bytes;
	uint8_t tos, tclass; /* one of them counts, by where it goes to */
	bool has_from;
};

static void read_source(const struct cmsghdr *cmsg, struct sending *sending)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(cmsg), sizeof info);
	sending->ifindex = (uint32_t)info.ipi_ifindex;
	sending->has_from = info.ipi_spec_dst.s_addr != 0;
	sending->from = (struct volley_addr){ .len = sizeof sending->from.in };
	sending->from.in.sin_family = AF_INET;
	sending->from.in.sin_addr = info.ipi_spec_dst;
}

static void read_source6(const struct cmsghdr *cmsg, struct sending *sending)
{
	struct volley_addr from = { .len = sizeof from.in6 };
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(cmsg), sizeof info);
	sending->ifindex = info.ipi6_ifindex;
	from.in6.sin6_family = AF_INET6;
	from.in6.sin6_addr = info.ipi6_addr;
	sending->from = net_unmap(&from);
	sending->has_from = !vly_addr_is_wildcard(&from) && !vly_addr_is_wildcard(&sending->from);
}

/* Those of the other family are passed over. */
static bool read_header(const struct cmsghdr *cmsg, struct sending *sending)
{
	bool is_ipv4 = cmsg->cmsg_level == IPPROTO_IP;
	int value;

	if (cmsg->cmsg_level != IPPROTO_IP && cmsg->cmsg_level != IPPROTO_IPV6)
		return false;
	memcpy(&value, CMSG_DATA(cmsg), sizeof value);
	if (cmsg->cmsg_type == (is_ipv4 ? IP_TOS : IPV6_TCLASS))
		*(is_ipv4 ? &sending->tos : &sending->tclass) = (uint8_t)value;
	return cmsg->cmsg_type == (is_ipv4 ? IP_TOS : IPV6_TCLASS) ||
	       cmsg->cmsg_type == (is_ipv4 ? IP_TTL : IPV6_HOPLIMIT);
}

static int read_control(const struct cmsghdr *cmsg, struct sending *sending)
{
	if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_SEGMENT) {
		uint16_t n;

		memcpy(&n, CMSG_DATA(cmsg), sizeof n);
		sending->segment_bytes = n;
	} else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		read_source(cmsg, sending);
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
		read_source6(cmsg, sending);
	} else if (!read_header(cmsg, sending)) {
		return -EINVAL;
	}
	return 0;
}

static int read_destination(const struct udp *udp, const struct msghdr *msg,
			    struct sending *sending)
{
	struct volley_addr addr;

	if (msg->msg_name == NULL && !udp->is_connected)
		return -EDESTADDRREQ;
	addr = msg->msg_name != NULL ? udp_read_addr(msg->msg_name, msg->msg_namelen) : udp->peer;
	if (addr.sa.sa_family != udp->family)
		return udp->family == AF_INET6 && addr.sa.sa_family == AF_INET ? -ENETUNREACH
									       : -EAFNOSUPPORT;
	if (addr.in.sin_port == 0)
		return -EINVAL;
	sending->to = net_unmap(&addr);
	return 0;
}

/* What names no link leaves by that of its source, or not at all. */
static int find_link(struct sending *sending)
{
	struct volley_addr from;
	uint32_t link = sending->ifindex;

	if (link == 0 && sending->to.sa.sa_family == AF_INET6)
		link = sending->to.in6.sin6_scope_id;
	if (link == 0 && sending->has_from)
		link = net_find_interface(&sending->from);
	if (link == 0 || !net_get_source(link, sending->to.sa.sa_family, &from))
		return -ENETUNREACH;
	sending->ifindex = link;
	if (!sending->has_from)
		sending->from = from;
	return 0;
}

static int find_way(struct udp *udp, struct sending *sending)
{
	enum cast cast = net_get_cast(&sending->to);
	struct volley_addr from;

	if (cast != CAST_NONE && net_get_link(&sending->to) == 0) {
		int r = find_link(sending);

		if (r < 0)
			return r;
	} else if (!net_route(&sending->to, &from)) {
		return -ENETUNREACH;
	} else {
		sending->ifindex = net_get_link(&sending->to);
		if (!sending->has_from)
			sending->from = from;
	}
	if (cast == CAST_BROADCAST && !udp_get(udp, SOL_SOCKET, SO_BROADCAST))
		return -EACCES;
	return 0;
}

/* As an address that has gone one can speak IPv6 only, and only if the socket is bound to it. */
static int find_source(struct udp *udp, struct sending *sending)
{
	struct volley_addr local = net_unmap(&udp->local);

	if (sending->has_from && (sending->from.sa.sa_family != sending->to.sa.sa_family ||
				  net_find_interface(&sending->from) == 0))
		return -EINVAL;
	if (sending->has_from || vly_addr_is_wildcard(&udp->local) ||
	    net_get_cast(&local) != CAST_NONE || local.sa.sa_family != sending->to.sa.sa_family)
		return 0;
	sending->from = local;
	sending->has_from = true;
	return local.sa.sa_family == AF_INET && net_find_interface(&local) == 0 ? -EINVAL : 0;
}

static int read_sending(struct udp *udp, const struct msghdr *msg, struct sending *sending)
{
	int r = read_destination(udp, msg, sending);
	struct msghdr copy = *msg;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&copy); r >= 0 && cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&copy, cmsg))
		r = read_control(cmsg, sending);
	if (r >= 0)
		r = find_source(udp, sending);
	if (r >= 0)
		r = find_way(udp, sending);
	sending->from.in.sin_port = udp->local.in.sin_port;
	return r;
}

static int get_discovery(const struct udp *udp, const struct sending *sending)
{
	if (sending->to.sa.sa_family == AF_INET)
		return udp_get(udp, IPPROTO_IP, IP_MTU_DISCOVER);
	return udp_get(udp, IPPROTO_IPV6, IPV6_MTU_DISCOVER);
}

/* Those who ignore what ICMP has told know their own link. The numbers are those of IPv6 too. */
static uint32_t get_mtu(const struct udp *udp, const struct sending *sending)
{
	int how = get_discovery(udp, sending);
	bool ignores = how == IP_PMTUDISC_PROBE || how == IP_PMTUDISC_OMIT;

	return ignores ? net_get_mtu(&sending->to) : net_get_path_mtu(&sending->to);
}

static int check_length(const struct udp *udp, const struct sending *sending, uint32_t len)
{
	bool is6 = sending->to.sa.sa_family == AF_INET6;
	uint32_t mtu = get_mtu(udp, sending) - (is6 ? 48 : 28);
	int how = get_discovery(udp, sending);

	if (len > (is6 ? MAX_PAYLOAD6 : MAX_PAYLOAD4))
		return -EMSGSIZE;
	if (sending->segment_bytes == 0 || len <= sending->segment_bytes)
		return len > mtu && (how == IP_PMTUDISC_DO || how == IP_PMTUDISC_PROBE) ? -EMSGSIZE
											: 0;
	if (sending->segment_bytes > mtu)
		return -EMSGSIZE;
	if (len > sending->segment_bytes * (uint32_t)MAX_SEGMENTS)
		return -EINVAL;
	return -storm.segments;
}

/* Whether it may not be cut up: not where we cut up ourselves what is longer than we know. */
static bool is_whole(const struct udp *udp, const struct sending *sending, uint32_t n)
{
	bool is6 = sending->to.sa.sa_family == AF_INET6;
	int how = get_discovery(udp, sending);

	if (is6)
		return n + 48 <= get_mtu(udp, sending);
	return (how == IP_PMTUDISC_DO || how == IP_PMTUDISC_PROBE || how == IP_PMTUDISC_WANT) &&
	       n + 28 <= get_mtu(udp, sending);
}

static void give_back(struct moment *moment);

/* What a datagram takes of the send buffer until the card has sent it. */
struct sent {
	struct moment moment;
	struct udp *udp;
	uint32_t n;
};

static void give_back(struct moment *moment)
{
	struct sent *sent = (struct sent *)(void *)moment;
	bool had_room = udp_has_room(sent->udp);

	sent->udp->wmem -= sent->n;
	if (!had_room && udp_has_room(sent->udp))
		world_wake(&sent->udp->file.waits);
	file_drop(&sent->udp->file);
	__real_free(sent);
}

static void charge(struct udp *udp, uint32_t n)
{
	struct sent *sent = __real_malloc(sizeof *sent);

	*sent = (struct sent){ .moment = { .happen = give_back }, .udp = udp, .n = n };
	file_hold(&udp->file);
	udp->wmem += n;
	if (storm.slow_until_ns > world_now())
		world_plan(&sent->moment, storm.slow_until_ns);
	else
		world_plan(&sent->moment, world_now() + net_weather.least_ns);
}

static bool is_heard(const struct udp *udp, const struct sending *sending)
{
	bool is4 = sending->to.sa.sa_family == AF_INET;

	return net_get_cast(&sending->to) == CAST_BROADCAST ||
	       udp_get(udp, is4 ? IPPROTO_IP : IPPROTO_IPV6,
		       is4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP);
}

static void set_out(struct udp *udp, const struct sending *sending, const uint8_t *data,
		    uint32_t len)
{
	uint32_t segment_bytes = sending->segment_bytes != 0 ? sending->segment_bytes : len;
	uint32_t at = 0;

	do {
		uint32_t n = len - at < segment_bytes ? len - at : segment_bytes;
		struct packet *packet = packet_new(&sending->from, &sending->to, data + at, n);

		packet->tos = sending->to.sa.sa_family == AF_INET ? sending->tos : sending->tclass;
		packet->ifindex = sending->ifindex;
		packet->loops = is_heard(udp, sending);
		packet->is_whole = is_whole(udp, sending, n);
		kernel_process()->n_sent++;
		if (storm.is_full)
			packet_free(packet);
		else
			net_send(packet);
		at += n;
	} while (at < len);
}

/* Others are told that all is well. */
static bool hears_errors(const struct udp *udp, const struct sending *sending)
{
	return sending->to.sa.sa_family == AF_INET ? udp_get(udp, IPPROTO_IP, IP_RECVERR)
						   : udp_get(udp, IPPROTO_IPV6, IPV6_RECVERR);
}

/* Not what is segmented, of which each is tried by itself again. */
static bool is_single(const struct msghdr *msg)
{
	struct msghdr copy = *msg;
	size_t len = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&copy); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&copy, cmsg)) {
		uint16_t n;

		memcpy(&n, CMSG_DATA(cmsg), sizeof n);
		if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_SEGMENT && n < len)
			return false;
	}
	return true;
}

int udp_refuse(const struct msghdr *msg, int error)
{
	if (is_single(msg))
		kernel_process()->n_refused[error]++;
	return -error;
}

int udp_take_error(struct file *file)
{
	int error = udp_of(file)->error;

	udp_of(file)->error = 0;
	return error;
}

void udp_put_error(struct file *file, int error)
{
	if (error != 0)
		udp_of(file)->error = error;
}

static int send_out(struct udp *udp, const struct msghdr *msg)
{
	struct sending sending = { 0 };
	static uint8_t data[1 << 16];
	size_t len = 0;
	int r = read_sending(udp, msg, &sending);

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (len + msg->msg_iov[i].iov_len > sizeof data)
			return -EMSGSIZE;
		memcpy(data + len, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		len += msg->msg_iov[i].iov_len;
	}
	if (r >= 0)
		r = check_length(udp, &sending, (uint32_t)len);
	if (r < 0)
		return r;
	if (!udp_has_room(udp))
		return -EAGAIN;
	if (storm.is_full && hears_errors(udp, &sending))
		return -ENOBUFS;
	if (!udp->is_bound) {
		struct volley_addr any = { .len = udp->local.len };

		any.sa.sa_family = (sa_family_t)udp->family;
		udp_bind_to(udp, &any);
		sending.from.in.sin_port = udp->local.in.sin_port;
	}
	if (udp_get(udp, IPPROTO_UDP, UDP_CORK)) /* it waits for the rest of one datagram */
		return (int)len;
	charge(udp, (uint32_t)len + 512);
	set_out(udp, &sending, data, (uint32_t)len);
	return (int)len;
}

/* An error that is pending is an earlier one's, whatever this one's fate would be. */
int udp_sendmsg(struct file *file, const struct msghdr *msg, bool is_told)
{
	int error = udp_take_error(file);
	int r;

	if (error != 0)
		return -error;
	r = send_out(udp_of(file), msg);
	return r < 0 && is_told ? udp_refuse(msg, -r) : r;
}
