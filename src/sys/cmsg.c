/* SPDX-License-Identifier: MIT */

/*
 * Control messages, read and written without trust: every payload is copied out after its length
 * was checked against both its own header and the end of the buffer.
 *
 * A peer of IPv4 on an AF_INET6 socket comes with both an IPV6_PKTINFO (the mapped destination as
 * it stood in the header, broadcast and multicast included) and an IP_PKTINFO (whose ipi_spec_dst
 * is an address we may send from), in this order; tests/kernel/kernel_pktinfo.c pins it. The latter
 * wins whatever the order. Its reply is written as an IPV6_PKTINFO with a mapped address, which
 * Linux takes for IPv4 (net/ipv4/ip_sockglue.c, ip_cmsg_send).
 */

#include "sys/cmsg.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "sys/addr.h"
#include "sys/socket.h"

/* One line for each thing to ask for, on each kind of socket that can give it. */
static const struct option {
	uint32_t bit;
	int family; /* of the socket; AF_UNSPEC: any */
	int level;
	int name;
} options[] = {
	{ VLY_CMSG_LOCAL, AF_UNSPEC, IPPROTO_IP, IP_PKTINFO },
	{ VLY_CMSG_LOCAL, AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO },
	{ VLY_CMSG_TTL, AF_UNSPEC, IPPROTO_IP, IP_RECVTTL },
	{ VLY_CMSG_TTL, AF_INET6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ VLY_CMSG_TOS, AF_UNSPEC, IPPROTO_IP, IP_RECVTOS },
	{ VLY_CMSG_TOS, AF_INET6, IPPROTO_IPV6, IPV6_RECVTCLASS },
	{ VLY_CMSG_TIMESTAMP, AF_UNSPEC, SOL_SOCKET, SO_TIMESTAMPNS },
	{ VLY_CMSG_SEGMENT, AF_UNSPEC, IPPROTO_UDP, UDP_GRO },
	{ VLY_CMSG_ORIGIN, AF_UNSPEC, IPPROTO_IP, IP_RECVORIGDSTADDR },
	{ VLY_CMSG_ORIGIN, AF_INET6, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR },
};

static bool suits(const struct option *option, int family)
{
	return option->family == AF_UNSPEC || option->family == family;
}

static int set(int fd, int family, uint32_t bits, int value)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(options); i++) {
		const struct option *option = &options[i];
		int r;

		if ((bits & option->bit) == 0 || !suits(option, family))
			continue;
		r = vly_socket_set_int(fd, option->level, option->name, value);
		if (r < 0)
			return r;
	}
	return 0;
}

int vly_cmsg_enable(int fd, int family, uint32_t want)
{
	return set(fd, family, want, 1);
}

int vly_cmsg_disable(int fd, int family, uint32_t bits)
{
	return set(fd, family, bits, 0);
}

uint32_t vly_cmsg_get_enabled(int fd, int family)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(options); i++) {
		const struct option *option = &options[i];
		int value = 0;

		if (suits(option, family) &&
		    vly_socket_get_int(fd, option->level, option->name, &value) >= 0 && value != 0)
			bits |= option->bit;
	}
	return bits;
}

uint32_t vly_cmsg_get_room(int family, uint32_t want)
{
	uint32_t n = 0;

	if (want & VLY_CMSG_LOCAL)
		n += CMSG_SPACE(sizeof(struct in_pktinfo));
	if ((want & VLY_CMSG_LOCAL) && family == AF_INET6)
		n += CMSG_SPACE(sizeof(struct in6_pktinfo));
	/* A datagram has one of TTL and hop limit, and one of TOS (a byte) and class (an int). */
	if (want & VLY_CMSG_TTL)
		n += CMSG_SPACE(sizeof(int));
	if (want & VLY_CMSG_TOS)
		n += CMSG_SPACE(sizeof(int));
	if (want & VLY_CMSG_TIMESTAMP)
		n += CMSG_SPACE(sizeof(struct timespec));
	if (want & VLY_CMSG_ORIGIN) /* one of the two */
		n += family == AF_INET6 ? CMSG_SPACE(sizeof(struct sockaddr_in6))
					: CMSG_SPACE(sizeof(struct sockaddr_in));
	if (want & VLY_CMSG_SEGMENT)
		n += CMSG_SPACE(sizeof(int));
	return n;
}

/* A control message that lies wholly inside the buffer. */
struct item {
	int level;
	int type;
	const uint8_t *data;
	size_t n_data;
};

/* The item at *offset, which moves on behind it. False at the end, and at the first bad length. */
static bool next_item(const struct msghdr *msg, size_t *offset, struct item *ret_item)
{
	const uint8_t *at = (const uint8_t *)msg->msg_control + *offset;
	struct cmsghdr head;
	size_t n_left, n_data;

	if (*offset >= msg->msg_controllen)
		return false;
	n_left = msg->msg_controllen - *offset;
	if (n_left < CMSG_LEN(0))
		return false;
	memcpy(&head, at, sizeof head);
	if (head.cmsg_len < CMSG_LEN(0) || head.cmsg_len > n_left)
		return false;
	n_data = head.cmsg_len - CMSG_LEN(0);
	*ret_item = (struct item){
		.level = head.cmsg_level,
		.type = head.cmsg_type,
		.data = at + CMSG_LEN(0),
		.n_data = n_data,
	};
	*offset += CMSG_SPACE(n_data);
	return true;
}

static bool copy_out(const struct item *item, void *dst, size_t n)
{
	if (item->n_data < n)
		return false;
	memcpy(dst, item->data, n);
	return true;
}

/* Linux sends a TOS as one byte and everything else as an int. */
static bool copy_number(const struct item *item, int *ret_number)
{
	if (item->n_data == 1) {
		*ret_number = item->data[0];
		return true;
	}
	return copy_out(item, ret_number, sizeof *ret_number);
}

static void set_mapped(struct in_addr addr, struct volley_addr *ret_addr)
{
	uint8_t *bytes = ret_addr->in6.sin6_addr.s6_addr;

	*ret_addr = (struct volley_addr){ .len = sizeof ret_addr->in6 };
	ret_addr->in6.sin6_family = AF_INET6;
	bytes[10] = 0xff;
	bytes[11] = 0xff;
	memcpy(bytes + 12, &addr, sizeof addr);
}

static bool is_on_in6_socket(const struct msghdr *msg)
{
	sa_family_t family;

	if (msg->msg_name == NULL || msg->msg_namelen < sizeof family)
		return false;
	memcpy(&family, msg->msg_name, sizeof family);
	return family == AF_INET6;
}

static void set_in(struct in_addr addr, bool mapped, struct volley_addr *ret_addr)
{
	if (mapped) {
		set_mapped(addr, ret_addr);
		return;
	}
	*ret_addr = (struct volley_addr){ .len = sizeof ret_addr->in };
	ret_addr->in.sin_family = AF_INET;
	ret_addr->in.sin_addr = addr;
}

/*
 * The two addresses differ for what was not sent to one alone, and no address to reply from means
 * that the link has none.
 */
static void parse_cast(const struct in_pktinfo *pktinfo, bool mapped, struct vly_cmsg_info *info)
{
	if (IN_MULTICAST(ntohl(pktinfo->ipi_addr.s_addr)))
		info->cast = VLY_CMSG_MULTICAST;
	else if (pktinfo->ipi_spec_dst.s_addr != htonl(INADDR_ANY) ||
		 pktinfo->ipi_addr.s_addr == htonl(INADDR_BROADCAST))
		info->cast = VLY_CMSG_BROADCAST;
	else
		return;
	if (!(info->found & VLY_CMSG_ORIGIN))
		set_in(pktinfo->ipi_addr, mapped, &info->destination);
}

static void parse_pktinfo(const struct item *item, bool mapped, struct vly_cmsg_info *info)
{
	struct in_pktinfo pktinfo;

	if (!copy_out(item, &pktinfo, sizeof pktinfo))
		return;
	set_in(pktinfo.ipi_spec_dst, mapped, &info->local);
	if (VLY_UNLIKELY(pktinfo.ipi_addr.s_addr != pktinfo.ipi_spec_dst.s_addr))
		parse_cast(&pktinfo, mapped, info);
	info->ifindex = (uint32_t)pktinfo.ipi_ifindex;
	if (vly_addr_is_link_local(&info->local))
		info->reply_ifindex = info->ifindex;
	info->found |= VLY_CMSG_LOCAL;
}

/* A link's own address means something only with the link. */
static void set_in6(const struct in6_pktinfo *pktinfo, struct volley_addr *ret_addr)
{
	const struct in6_addr *addr = &pktinfo->ipi6_addr;

	*ret_addr = (struct volley_addr){ .len = sizeof ret_addr->in6 };
	ret_addr->in6.sin6_family = AF_INET6;
	ret_addr->in6.sin6_addr = *addr;
	if (IN6_IS_ADDR_LINKLOCAL(addr) || IN6_IS_ADDR_MC_LINKLOCAL(addr) ||
	    IN6_IS_ADDR_MC_NODELOCAL(addr))
		ret_addr->in6.sin6_scope_id = pktinfo->ipi6_ifindex;
}

static void parse_pktinfo6(const struct item *item, struct vly_cmsg_info *info)
{
	struct in6_pktinfo pktinfo;

	/* After an IP_PKTINFO there is nothing to learn: the peer is a mapped one. */
	if ((info->found & VLY_CMSG_LOCAL) || !copy_out(item, &pktinfo, sizeof pktinfo))
		return;
	info->ifindex = pktinfo.ipi6_ifindex;
	info->found |= VLY_CMSG_LOCAL;
	if (VLY_UNLIKELY(IN6_IS_ADDR_MULTICAST(&pktinfo.ipi6_addr))) {
		info->cast = VLY_CMSG_MULTICAST;
		if (!(info->found & VLY_CMSG_ORIGIN))
			set_in6(&pktinfo, &info->destination);
		return;
	}
	set_in6(&pktinfo, &info->local);
	if (vly_addr_is_link_local(&info->local))
		info->reply_ifindex = info->ifindex;
}

static void parse_origin(const struct item *item, bool mapped, struct vly_cmsg_info *info)
{
	struct sockaddr_in in;

	if (!copy_out(item, &in, sizeof in))
		return;
	set_in(in.sin_addr, mapped, &info->destination);
	info->destination.in.sin_port = in.sin_port; /* at the same place in both families */
	info->found |= VLY_CMSG_ORIGIN;
}

static void parse_origin6(const struct item *item, struct vly_cmsg_info *info)
{
	struct sockaddr_in6 in6;

	if ((info->found & VLY_CMSG_ORIGIN) || !copy_out(item, &in6, sizeof in6))
		return;
	info->destination = (struct volley_addr){ .len = sizeof in6, .in6 = in6 };
	info->found |= VLY_CMSG_ORIGIN;
}

static void parse_timestamp(const struct item *item, struct vly_cmsg_info *info)
{
	struct timespec ts;

	if (!copy_out(item, &ts, sizeof ts))
		return;
	/* Unsigned, for no kernel's clock but any bytes could overflow it. */
	info->timestamp_ns = (int64_t)((uint64_t)ts.tv_sec * UINT64_C(1000000000) +
				       (uint64_t)ts.tv_nsec);
	info->found |= VLY_CMSG_TIMESTAMP;
}

static void parse_number(const struct item *item, uint32_t bit, struct vly_cmsg_info *info)
{
	int number;

	if (!copy_number(item, &number))
		return;
	if (bit == VLY_CMSG_TTL)
		info->ttl = (int16_t)number;
	else if (bit == VLY_CMSG_TOS)
		info->tos = (int16_t)number;
	else
		info->segment_bytes = (uint32_t)number;
	info->found |= bit;
}

static void parse_item(const struct item *item, bool mapped, struct vly_cmsg_info *info)
{
	if (item->level == IPPROTO_IP && item->type == IP_PKTINFO)
		parse_pktinfo(item, mapped, info);
	else if (item->level == IPPROTO_IPV6 && item->type == IPV6_PKTINFO)
		parse_pktinfo6(item, info);
	else if (item->level == IPPROTO_IP && item->type == IP_TTL)
		parse_number(item, VLY_CMSG_TTL, info);
	else if (item->level == IPPROTO_IPV6 && item->type == IPV6_HOPLIMIT)
		parse_number(item, VLY_CMSG_TTL, info);
	else if (item->level == IPPROTO_IP && item->type == IP_TOS)
		parse_number(item, VLY_CMSG_TOS, info);
	else if (item->level == IPPROTO_IPV6 && item->type == IPV6_TCLASS)
		parse_number(item, VLY_CMSG_TOS, info);
	else if (item->level == SOL_SOCKET && item->type == SCM_TIMESTAMPNS)
		parse_timestamp(item, info);
	else if (item->level == IPPROTO_UDP && item->type == UDP_GRO)
		parse_number(item, VLY_CMSG_SEGMENT, info);
	else if (item->level == IPPROTO_IP && item->type == IP_ORIGDSTADDR)
		parse_origin(item, mapped, info);
	else if (item->level == IPPROTO_IPV6 && item->type == IPV6_ORIGDSTADDR)
		parse_origin6(item, info);
	else if (item->level == IPPROTO_IP || item->level == IPPROTO_IPV6)
		info->found |= VLY_CMSG_OTHER;
}

void vly_cmsg_parse(const struct msghdr *msg, struct vly_cmsg_info *ret_info)
{
	bool mapped = is_on_in6_socket(msg);
	struct item item;
	size_t offset = 0;

	memset(ret_info, 0, offsetof(struct vly_cmsg_info, destination));
	while (next_item(msg, &offset, &item))
		parse_item(&item, mapped, ret_info);
}

bool vly_cmsg_is_complete(const struct vly_cmsg_info *info, uint32_t want)
{
	const uint32_t behind = VLY_CMSG_LOCAL | VLY_CMSG_TTL | VLY_CMSG_TOS | VLY_CMSG_OTHER |
				VLY_CMSG_ORIGIN;
	uint32_t missing = want & ~info->found;

	return missing == 0 || (missing == VLY_CMSG_SEGMENT && (info->found & behind) != 0);
}

/* Put one control message down; the room was checked. Returns its bytes with padding. */
static uint32_t put(void *control, int level, int type, const void *data, size_t n_data)
{
	struct cmsghdr head = {
		.cmsg_len = CMSG_LEN(n_data),
		.cmsg_level = level,
		.cmsg_type = type,
	};

	memset(control, 0, CMSG_SPACE(n_data));
	memcpy(control, &head, sizeof head);
	memcpy((uint8_t *)control + CMSG_LEN(0), data, n_data);
	return CMSG_SPACE(n_data);
}

uint32_t vly_cmsg_put_source(void *control, uint32_t n_room, const struct volley_addr *local,
			     uint32_t ifindex)
{
	struct in_pktinfo info = { 0 };
	struct in6_pktinfo info6 = { 0 };

	static_assert(CMSG_SPACE(sizeof info6) == VLY_CMSG_SOURCE_BYTES, "the larger of the two");
	assert(n_room >= VLY_CMSG_SOURCE_BYTES);
	(void)n_room; /* without assertions */
	if (local->len == 0)
		return 0;
	if (local->sa.sa_family == AF_INET) {
		info.ipi_spec_dst = local->in.sin_addr;
		info.ipi_ifindex = (int)ifindex;
		return put(control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	}
	info6.ipi6_addr = local->in6.sin6_addr;
	info6.ipi6_ifindex = ifindex;
	return put(control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
}

uint32_t vly_cmsg_put_header(void *control, uint32_t n_room, const struct volley_addr *peer,
			     uint32_t header)
{
	bool is_ipv4 = vly_addr_is_ipv4(peer);
	int level = is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
	int tos = (int)(header & 0xff);
	int ttl = (int)(header >> VLY_CMSG_HEADER_TTL_SHIFT & 0xff);
	uint32_t used = 0;

	static_assert(2 * CMSG_SPACE(sizeof tos) == VLY_CMSG_HEADER_BYTES, "both");
	assert(n_room >= VLY_CMSG_HEADER_BYTES);
	(void)n_room; /* without assertions */
	if (header & VLY_CMSG_HEADER_TOS)
		used = put(control, level, is_ipv4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
	if (header & VLY_CMSG_HEADER_TTL)
		used += put((uint8_t *)control + used, level, is_ipv4 ? IP_TTL : IPV6_HOPLIMIT,
			    &ttl, sizeof ttl);
	return used;
}
