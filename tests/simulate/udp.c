/* SPDX-License-Identifier: MIT */

/* UDP sockets: opening, binding in groups, names. */

#include "udp_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "sys/addr.h"

enum { N_PORTS = 1 << 16 };
enum { EPHEMERAL_FIRST = 32768, N_EPHEMERAL = 28000 };

static struct udp *ports[N_PORTS];
static uint64_t next_cookie = 1;
static uint32_t next_port = EPHEMERAL_FIRST;

int udp_open(int family, struct file **ret_file)
{
	struct udp *udp;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	udp = __real_malloc(sizeof *udp);
	*udp = (struct udp){ .family = family,
			     .cookie = next_cookie++,
			     .rcvbuf = UDP_RMEM_DEFAULT,
			     .sndbuf = UDP_RMEM_DEFAULT,
			     .process = kernel_process() };
	file_init(&udp->file, FILE_UDP);
	udp->local.sa.sa_family = (sa_family_t)family;
	udp->local.len = family == AF_INET ? sizeof udp->local.in : sizeof udp->local.in6;
	*ret_file = &udp->file;
	return 0;
}

struct udp *udp_get_first(uint16_t port)
{
	return ports[port];
}

static void unlink_port(struct udp *udp)
{
	struct udp **link = &ports[ntohs(udp->local.in.sin_port)];

	if (!udp->is_bound)
		return;
	while (*link != udp)
		link = &(*link)->next;
	*link = udp->next;
	udp->is_bound = false;
}

void udp_take_first(struct udp *udp)
{
	struct packet *packet = udp->first;

	udp->first = packet->next;
	if (udp->first == NULL)
		udp->last = NULL;
	udp->rmem -= packet->truesize;
	packet_free(packet);
}

void udp_close(struct file *file)
{
	struct udp *udp = udp_of(file);

	unlink_port(udp);
	for (; udp->first != NULL; udp_take_first(udp))
		udp->process->n_discarded++;
	while (udp->reports != NULL) {
		struct report *report = udp->reports;

		udp->reports = report->next;
		__real_free(report);
	}
	__real_free(udp->filter);
	udp->filter = NULL;
	__real_free(udp->steering);
	udp->steering = NULL;
}

uint32_t udp_count_queued(const struct process *process)
{
	uint32_t n = 0;

	for (uint32_t fd = 0; fd < N_FDS; fd++) {
		struct file *file = process->fds[fd];

		if (file == NULL || file->kind != FILE_UDP)
			continue;
		for (const struct packet *at = udp_of(file)->first; at != NULL; at = at->next)
			n++;
	}
	return n;
}

uint32_t udp_count_refusing(const struct process *process)
{
	uint32_t n = 0;

	for (uint32_t fd = 0; fd < N_FDS; fd++) {
		struct file *file = process->fds[fd];

		n += file != NULL && file->kind == FILE_UDP &&
		     !udp_filter_passes(udp_of(file), NULL, 0);
	}
	return n;
}

bool udp_has_room(const struct udp *udp)
{
	return udp->wmem * 2 <= udp->sndbuf;
}

short udp_poll(struct file *file)
{
	struct udp *udp = udp_of(file);
	int events = 0;

	if (udp->first != NULL || udp->is_shut)
		events |= POLLIN;
	if (udp->is_shut)
		events |= POLLRDHUP;
	if (udp->reports != NULL || udp->error != 0)
		events |= POLLERR;
	if (udp_has_room(udp))
		events |= POLLOUT;
	return (short)events;
}

/* Names */

static bool overlaps(const struct udp *a, const struct volley_addr *b, bool b_only6)
{
	const struct volley_addr *own = &a->local;
	bool only6 = a->family == AF_INET6 && udp_get(a, IPPROTO_IPV6, IPV6_V6ONLY);

	if (own->sa.sa_family == b->sa.sa_family)
		return vly_addr_is_wildcard(own) || vly_addr_is_wildcard(b) ||
		       vly_addr_is_same_host(own, b);
	if (own->sa.sa_family == AF_INET6)
		return vly_addr_is_wildcard(own) && !only6;
	return vly_addr_is_wildcard(b) && !b_only6;
}

static bool is_taken(const struct udp *udp, const struct volley_addr *addr)
{
	bool only6 = udp->family == AF_INET6 && udp_get(udp, IPPROTO_IPV6, IPV6_V6ONLY);
	const struct udp *other = ports[ntohs(addr->in.sin_port)];

	for (; other != NULL; other = other->next)
		if (overlaps(other, addr, only6) &&
		    (udp->is_in_group || !(udp_get(udp, SOL_SOCKET, SO_REUSEPORT) &&
					   udp_get(other, SOL_SOCKET, SO_REUSEPORT))))
			return true;
	return false;
}

static void link_port(struct udp *udp)
{
	struct udp **link = &ports[ntohs(udp->local.in.sin_port)];

	while (*link != NULL)
		link = &(*link)->next;
	udp->next = NULL;
	*link = udp;
	udp->is_bound = true;
}

int udp_bind_to(struct udp *udp, struct volley_addr *addr)
{
	if (addr->in.sin_port != 0) {
		if (is_taken(udp, addr))
			return -EADDRINUSE;
	} else {
		do
			addr->in.sin_port = htons(
				(uint16_t)(EPHEMERAL_FIRST + next_port++ % N_EPHEMERAL));
		while (ports[ntohs(addr->in.sin_port)] != NULL);
	}
	udp->local = *addr;
	link_port(udp);
	udp_join(udp);
	return 0;
}

struct volley_addr udp_read_addr(const struct sockaddr *from, socklen_t len)
{
	struct volley_addr addr = { .len = len };

	memcpy(&addr.sa, from, len < sizeof addr.in6 ? len : sizeof addr.in6);
	return addr;
}

int udp_bind(struct file *file, const struct sockaddr *from, socklen_t len)
{
	struct udp *udp = udp_of(file);
	struct volley_addr addr = udp_read_addr(from, len);

	if (udp->is_bound)
		return -EINVAL;
	if (addr.sa.sa_family != udp->family)
		return -EAFNOSUPPORT;
	if (!vly_addr_is_wildcard(&addr) && net_get_cast(&addr) == CAST_NONE &&
	    net_find_interface(&addr) == 0)
		return -EADDRNOTAVAIL;
	return udp_bind_to(udp, &addr);
}

static bool has_hidden_casts;

bool udp_has_hidden_casts(void)
{
	return has_hidden_casts;
}

void udp_hide_cast(const struct sockaddr *to, socklen_t len)
{
	struct volley_addr addr = udp_read_addr(to, len);

	has_hidden_casts |= addr.sa.sa_family == AF_INET && net_get_cast(&addr) == CAST_BROADCAST;
}

void udp_hide_casts(void)
{
	has_hidden_casts = true;
}

int udp_connect(struct file *file, const struct sockaddr *to, socklen_t len)
{
	struct udp *udp = udp_of(file);
	struct volley_addr addr = udp_read_addr(to, len);
	struct volley_addr from;

	if (addr.sa.sa_family == AF_UNSPEC) {
		udp->is_connected = false;
		return 0;
	}
	if (vly_addr_is_wildcard(&addr)) /* the kernel takes it for the loopback */
		from = addr;
	else if (udp->family == AF_INET6 && addr.in6.sin6_scope_id != 0 &&
		 net_get_cast(&addr) == CAST_GROUP) /* it names its link */
		from = addr;
	else if (!net_route(&addr, &from))
		return -ENETUNREACH;
	if (net_get_cast(&addr) == CAST_BROADCAST && !udp_get(udp, SOL_SOCKET, SO_BROADCAST))
		return -EACCES;
	if (udp->family == AF_INET6 && udp->local.in6.sin6_scope_id != 0 &&
	    net_get_link(&addr) == 1)
		return -ENETUNREACH;
	if (udp->family == AF_INET && !vly_addr_is_wildcard(&udp->local) &&
	    net_get_cast(&udp->local) == CAST_NONE && net_find_interface(&udp->local) == 0)
		return -EINVAL;
	udp->peer = addr;
	udp->is_connected = true;
	return 0;
}

int udp_get_name(struct file *file, struct sockaddr *ret_addr, socklen_t *len)
{
	struct udp *udp = udp_of(file);

	memcpy(ret_addr, &udp->local.sa, *len < udp->local.len ? *len : udp->local.len);
	*len = udp->local.len;
	return 0;
}
