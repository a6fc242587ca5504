/* SPDX-License-Identifier: MIT */

/*
 * A listener on one address has that address and its port. A wildcard has its port on every address
 * of the machine: 127.0.0.0/8, ::1, and those of the interfaces, which the kernel lists and of
 * whose changes it tells (sys/netlink.h). No thread waits for that. Whoever meets a peer with a
 * wildcard's port looks, at most once in 10 ms, so a loop by an address that is new ends after so
 * long. Where the kernel does not tell, the list is read once a second.
 *
 * Addresses are kept as hashes of 64 bits. That a stranger has the hash of an own address by chance
 * is as good as impossible, and one who makes it so on purpose gets no reply.
 */

#include "path/own.h"

#include <errno.h>
#include <string.h>

#include <volley/config.h>
#include <volley/error.h>

#include "base/log.h"
#include "sys/addr.h"
#include "sys/clock.h"
#include "sys/netlink.h"

/* 10 ms: 100 system calls a second at most, and a loop by a new address that nobody notices. */
#define HEAR_NS UINT64_C(10000000)
#define READ_NS UINT64_C(1000000000)

/* After each change of `numbers`. */
static void make_filter(struct vly_own *own)
{
	uint64_t filter = 0;

	for (uint32_t i = 0; i < VLY_OWN_N_WORDS; i++)
		if (atomic_load_explicit(&own->numbers[i], memory_order_relaxed) != 0)
			filter |= UINT64_C(1) << vly_own_get_filter_bit(i * 64);
	atomic_store_explicit(&own->filter, filter, memory_order_relaxed);
}

void vly_own_init(struct vly_own *own, const struct volley_config *config)
{
	vly_lock_init(&own->lock);
	own->config = config;
	own->fd = -1;
	atomic_store_explicit(&own->numbers[0], 1, memory_order_relaxed); /* port 0: see packet.h */
	make_filter(own);
}

void vly_own_fini(struct vly_own *own)
{
	if (own->fd >= 0)
		vly_netlink_close(own->fd);
	vly_bounds_fini(&own->bounds);
	vly_set_fini(&own->bound);
	vly_set_fini(&own->addrs);
	vly_lock_fini(&own->lock);
}

static void set_bit(_Atomic uint64_t *words, in_port_t port, bool value)
{
	_Atomic uint64_t *word = &words[port / 64];
	uint64_t bit = UINT64_C(1) << port % 64;
	uint64_t is = atomic_load_explicit(word, memory_order_relaxed);

	atomic_store_explicit(word, value ? is | bit : is & ~bit, memory_order_relaxed);
}

static bool get_bit(const _Atomic uint64_t *words, in_port_t port)
{
	return atomic_load_explicit(&words[port / 64], memory_order_relaxed) >> port % 64 & 1;
}

/* The machine's addresses ---------------------------------------------------------------------- */

/* To its end, whatever happens: nothing of it shall be in the way of the next one. */
static int read_list(int fd, struct vly_set *set, const struct volley_allocator *allocator,
		     bool *ret_is_old)
{
	struct vly_netlink_part part = { .n = 0 };
	int r = vly_netlink_request(fd);
	int error = 0;

	*ret_is_old = false;
	while (r >= 0 && !part.is_last) {
		r = vly_netlink_recv(fd, &part);
		for (uint32_t i = 0; error >= 0 && i < part.n; i++)
			error = vly_set_add(set, allocator, vly_bounds_get_key(&part.addrs[i], 0));
		*ret_is_old = *ret_is_old || part.is_old;
	}
	return error < 0 ? error : r;
}

static int read_addrs(struct vly_own *own) VLY_REQUIRES(own->lock)
{
	const struct volley_allocator *allocator = own->config->allocator;
	struct vly_set set = { .n = 0 };
	bool is_old;
	int r = read_list(own->fd, &set, allocator, &is_old);

	if (r >= 0)
		r = vly_set_fill(&own->addrs, allocator, &set);
	vly_set_fini(&set);
	own->is_stale = r < 0 || is_old;
	return r;
}

static void set_next(struct vly_own *own) VLY_REQUIRES(own->lock)
{
	bool soon = own->hears && !own->is_stale;

	atomic_store_explicit(&own->next_ns, vly_clock_get_ns() + (soon ? HEAR_NS : READ_NS),
			      memory_order_relaxed);
}

static void tell(struct vly_own *own, int error) VLY_REQUIRES(own->lock)
{
	if (own->has_warned)
		return;
	own->has_warned = true;
	vly_log_write(own->config, VOLLEY_LOG_WARNING,
		      "the addresses of this machine cannot be read (%s): whoever forges one of "
		      "them and our port as a source makes this server reply to itself; allow "
		      "AF_NETLINK sockets, or listen on single addresses",
		      volley_error_name(error));
}

/* 0 or -ENOMEM. What else is not to be had is done without: loopback is known all the same. */
static int learn(struct vly_own *own) VLY_REQUIRES(own->lock)
{
	int r = own->fd >= 0 ? 0 : vly_netlink_open(&own->fd, &own->hears);

	if (r >= 0)
		r = read_addrs(own);
	set_next(own);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		tell(own, r);
	return 0;
}

/* One thread at a time, and the others go on with what is known. */
static void look(struct vly_own *own)
{
	uint64_t next_ns = atomic_load_explicit(&own->next_ns, memory_order_relaxed);
	uint64_t now_ns = vly_clock_get_ns();

	if (now_ns < next_ns ||
	    !atomic_compare_exchange_strong_explicit(&own->next_ns, &next_ns, now_ns + READ_NS,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	vly_lock_take(&own->lock);
	if (own->fd >= 0 && (vly_netlink_has_changed(own->fd) || own->is_stale || !own->hears))
		read_addrs(own);
	set_next(own);
	vly_lock_give(&own->lock);
}

/* Listeners and peers -------------------------------------------------------------------------- */

/* What the counts say of a port and nothing else, whatever has come or gone. */
static void set_bits(struct vly_own *own, in_port_t port) VLY_REQUIRES(own->lock)
{
	set_bit(own->any4, port, vly_bounds_has_any4(&own->bounds, port));
	set_bit(own->any6, port, vly_bounds_has_any6(&own->bounds, port));
	set_bit(own->numbers, port, port == 0 || vly_bounds_has_number(&own->bounds, port));
	make_filter(own);
}

int vly_own_add(struct vly_own *own, const struct vly_bound *bound)
{
	const struct volley_allocator *allocator = own->config->allocator;
	const struct volley_addr *addr = &bound->addr;
	in_port_t port = addr->in.sin_port;
	int r;

	vly_lock_take(&own->lock);
	r = vly_bounds_add(&own->bounds, allocator, bound);
	if (r >= 0) {
		if (!vly_addr_is_wildcard(addr))
			r = vly_set_add(&own->bound, allocator, vly_bounds_get_key(addr, port));
		else if (own->fd < 0 || own->is_stale)
			r = learn(own);
		if (r < 0)
			vly_bounds_remove(&own->bounds, bound);
	}
	set_bits(own, port);
	vly_lock_give(&own->lock);
	return r;
}

void vly_own_remove(struct vly_own *own, const struct vly_bound *bound)
{
	const struct volley_addr *addr = &bound->addr;
	in_port_t port = addr->in.sin_port;

	vly_lock_take(&own->lock);
	vly_bounds_remove(&own->bounds, bound);
	if (!vly_bounds_has_addr(&own->bounds, addr))
		vly_set_remove(&own->bound, vly_bounds_get_key(addr, port));
	set_bits(own, port);
	vly_lock_give(&own->lock);
}

const struct vly_bounds *vly_own_get_bounds(const struct vly_own *own)
{
	return &own->bounds;
}

static bool is_loopback(const struct volley_addr *addr)
{
	const struct in6_addr *in6 = &addr->in6.sin6_addr;

	if (addr->sa.sa_family == AF_INET)
		return ntohl(addr->in.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

bool vly_own_has(struct vly_own *own, const struct volley_addr *peer)
{
	in_port_t port = peer->in.sin_port;

	if (!vly_own_has_number(own, port))
		return false;
	if (vly_addr_is_wildcard(peer)) /* the kernel sends it to this machine */
		return true;
	if (vly_set_has(&own->bound, vly_bounds_get_key(peer, port)))
		return true;
	if (!get_bit(vly_addr_is_ipv4(peer) ? own->any4 : own->any6, port))
		return false;
	if (is_loopback(peer))
		return true;
	look(own);
	return vly_set_has(&own->addrs, vly_bounds_get_key(peer, 0));
}
