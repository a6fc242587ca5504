/* SPDX-License-Identifier: MIT */

/* Receiving from UDP sockets: control messages, the error queue. */

#include "udp_inner.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

struct control {
	struct msghdr *msg;
	size_t used;
};

static void add_control(struct control *control, int level, int type, const void *data, size_t n)
{
	struct msghdr *msg = control->msg;
	struct cmsghdr *cmsg;

	if (control->used + CMSG_SPACE(n) > msg->msg_controllen) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	cmsg = (struct cmsghdr *)(void *)((char *)msg->msg_control + control->used);
	memset(cmsg, 0, CMSG_SPACE(n));
	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(cmsg), data, n);
	control->used += CMSG_SPACE(n);
}

static bool is_ip4(const struct packet *packet)
{
	return packet->to.sa.sa_family == AF_INET;
}

static struct in_addr get_specific(const struct packet *packet)
{
	return net_get_cast(&packet->to) == CAST_NONE ? packet->to.in.sin_addr : packet->specific;
}

static void add_controls(const struct udp *udp, const struct packet *packet, struct msghdr *msg)
{
	struct control control = { .msg = msg };
	int number;

	if (udp_get(udp, SOL_SOCKET, SO_TIMESTAMPNS)) {
		struct timespec at = { .tv_sec = (time_t)(packet->at_ns / 1000000000),
				       .tv_nsec = (long)(packet->at_ns % 1000000000) };

		add_control(&control, SOL_SOCKET, SO_TIMESTAMPNS, &at, sizeof at);
	}
	if (packet->segment_bytes != 0) {
		number = (int)packet->segment_bytes;
		add_control(&control, SOL_UDP, UDP_GRO, &number, sizeof number);
	}
	if (is_ip4(packet) && udp_get(udp, IPPROTO_IP, IP_PKTINFO)) {
		struct in_pktinfo info = { .ipi_ifindex = (int)packet->ifindex,
					   .ipi_spec_dst = get_specific(packet),
					   .ipi_addr = packet->to.in.sin_addr };

		add_control(&control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	}
	number = packet->ttl;
	if (is_ip4(packet) && udp_get(udp, IPPROTO_IP, IP_RECVTTL))
		add_control(&control, IPPROTO_IP, IP_TTL, &number, sizeof number);
	if (is_ip4(packet) && udp_get(udp, IPPROTO_IP, IP_RECVTOS))
		add_control(&control, IPPROTO_IP, IP_TOS, &packet->tos, 1);
	if (udp->family == AF_INET6 && udp_get(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO)) {
		struct in6_pktinfo info = { .ipi6_ifindex = packet->ifindex };

		if (is_ip4(packet)) {
			info.ipi6_addr.s6_addr[10] = info.ipi6_addr.s6_addr[11] = 0xff;
			memcpy(&info.ipi6_addr.s6_addr[12], &packet->to.in.sin_addr, 4);
		} else {
			info.ipi6_addr = packet->to.in6.sin6_addr;
		}
		add_control(&control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
	}
	if (!is_ip4(packet) && udp_get(udp, IPPROTO_IPV6, IPV6_RECVHOPLIMIT))
		add_control(&control, IPPROTO_IPV6, IPV6_HOPLIMIT, &number, sizeof number);
	number = packet->tos;
	if (!is_ip4(packet) && udp_get(udp, IPPROTO_IPV6, IPV6_RECVTCLASS))
		add_control(&control, IPPROTO_IPV6, IPV6_TCLASS, &number, sizeof number);
	if (!is_ip4(packet) && udp_get(udp, IPPROTO_IPV6, IPV6_2292PKTINFO)) {
		struct in6_pktinfo info = { .ipi6_addr = packet->to.in6.sin6_addr,
					    .ipi6_ifindex = packet->ifindex };

		add_control(&control, IPPROTO_IPV6, IPV6_2292PKTINFO, &info, sizeof info);
	}
	msg->msg_controllen = control.used;
}

/* As a socket of that family sees it. */
static struct volley_addr see(const struct udp *udp, const struct volley_addr *addr)
{
	struct volley_addr seen = { .len = sizeof seen.in6 };

	if (udp->family == AF_INET || addr->sa.sa_family == AF_INET6)
		return *addr;
	seen.in6.sin6_family = AF_INET6;
	seen.in6.sin6_port = addr->in.sin_port;
	seen.in6.sin6_addr.s6_addr[10] = seen.in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&seen.in6.sin6_addr.s6_addr[12], &addr->in.sin_addr, 4);
	return seen;
}

static void put_name(struct msghdr *msg, const struct volley_addr *addr)
{
	if (msg->msg_name == NULL)
		return;
	memcpy(msg->msg_name, &addr->sa,
	       msg->msg_namelen < addr->len ? msg->msg_namelen : addr->len);
	msg->msg_namelen = addr->len;
}

static uint32_t put_data(struct msghdr *msg, const uint8_t *data, uint32_t len)
{
	uint32_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen && n < len; i++) {
		size_t part = msg->msg_iov[i].iov_len;

		if (part > len - n)
			part = len - n;
		memcpy(msg->msg_iov[i].iov_base, data + n, part);
		n += (uint32_t)part;
	}
	return n;
}

static int recv_report(struct udp *udp, struct msghdr *msg)
{
	struct report *report = udp->reports;
	struct {
		struct sock_extended_err error;
		struct sockaddr_in6 offender;
	} data = { .error = { .ee_origin = SO_EE_ORIGIN_ICMP } };
	struct control control = { .msg = msg };
	struct volley_addr peer;
	bool is6;

	kernel_process()->hears_errors = true; /* so it tries again what is refused */
	if (report == NULL)
		return -EAGAIN;
	peer = see(udp, &report->peer);
	is6 = report->peer.sa.sa_family == AF_INET6;
	data.error.ee_errno = (uint32_t)report->error;
	data.error.ee_origin = is6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
	msg->msg_flags = MSG_ERRQUEUE;
	put_name(msg, &peer);
	add_control(&control, is6 ? IPPROTO_IPV6 : IPPROTO_IP, is6 ? IPV6_RECVERR : IP_RECVERR,
		    &data, sizeof data);
	msg->msg_controllen = control.used;
	udp->reports = report->next;
	udp->rmem -= REPORT_BYTES;
	udp->error = udp->reports != NULL ? udp->reports->error : 0;
	__real_free(report);
	return 0;
}

/* Never waits. */
int udp_recvmsg(struct file *file, struct msghdr *msg, int flags)
{
	struct udp *udp = udp_of(file);
	struct packet *packet = udp->first;
	struct volley_addr from;
	uint32_t len, n;
	int error;

	if (flags & MSG_ERRQUEUE)
		return recv_report(udp, msg);
	error = udp_take_error(file);
	if (error != 0)
		return -error;
	if (packet == NULL)
		return udp->is_shut ? 0 : -EAGAIN;
	msg->msg_flags = 0;
	len = packet->len;
	n = put_data(msg, packet->data, len);
	if (n < len)
		msg->msg_flags |= MSG_TRUNC;
	from = see(udp, &packet->from);
	put_name(msg, &from);
	if (msg->msg_control != NULL)
		add_controls(udp, packet, msg);
	kernel_process()->n_taken++;
	if (net_get_cast(&packet->to) != CAST_NONE)
		kernel_process()->n_copies_taken += udp_count(packet);
	if (packet->copies != NULL)
		packet->copies->n_taken++;
	udp_take_first(udp);
	return (int)(flags & MSG_TRUNC ? len : n);
}
