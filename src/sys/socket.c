/* SPDX-License-Identifier: MIT */

/*
 * UDP sockets: opening, binding as a group, buffers, and the two kernel facilities the ledger rests
 * on (SO_MEMINFO and the drop-all filter). Each call is one step; what to do when a step fails is
 * the caller's decision.
 */

#include "sys/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "sys/raw.h"

int vly_socket_open(int family, bool nonblocking)
{
	int type = SOCK_DGRAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
	int fd = socket(family, type, 0);

	return fd < 0 ? -errno : fd;
}

void vly_socket_close(int fd)
{
	vly_raw_close(fd);
}

/* glibc's errno is that of the last family it tried, ENOENT as a rule. So it is asked for again. */
int vly_socket_find_interface(const char *name, uint32_t *ret_ifindex)
{
	uint32_t ifindex = if_nametoindex(name);
	int fd;

	if (ifindex != 0) {
		*ret_ifindex = ifindex;
		return 0;
	}
	if (errno == ENODEV)
		return -ENODEV;
	fd = vly_socket_open(AF_INET, false);
	if (fd < 0)
		return fd;
	vly_socket_close(fd);
	return -ENODEV;
}

int vly_socket_set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

int vly_socket_get_int(int fd, int level, int name, int *ret_value)
{
	int value = 0;
	socklen_t n = sizeof value;

	if (getsockopt(fd, level, name, &value, &n) < 0)
		return -errno;
	*ret_value = value;
	return 0;
}

int vly_socket_reset(int fd, const char **ret_name)
{
	static const struct {
		int level;
		int option;
		const char *name;
	} options[] = {
		{ IPPROTO_UDP, UDP_CORK, "UDP_CORK" },
		{ IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT" },
		{ IPPROTO_IPV6, IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU" },
		{ SOL_SOCKET, SO_TIMESTAMPING, "SO_TIMESTAMPING" },
		{ SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL" },
	};

	for (size_t i = 0; i < VLY_ARRAY_SIZE(options); i++) {
		int value = 0;

		vly_socket_set_int(fd, options[i].level, options[i].option, 0);
		if (vly_socket_get_int(fd, options[i].level, options[i].option, &value) >= 0 &&
		    value != 0) {
			*ret_name = options[i].name;
			return -EBUSY;
		}
	}
	return 0;
}

int vly_socket_bind(int fd, const struct volley_addr *addr, bool first, bool share)
{
	bool reuse_early = !first || share;
	int r = 0;

	if (reuse_early)
		r = vly_socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r >= 0 && bind(fd, &addr->sa, addr->len) < 0)
		r = -errno;
	if (r >= 0 && !reuse_early)
		r = vly_socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return r;
}

int vly_socket_get_name(int fd, struct volley_addr *ret_addr)
{
	struct volley_addr addr = { .len = 0 };
	socklen_t n = sizeof addr.in6;

	if (getsockname(fd, &addr.sa, &n) < 0)
		return -errno;
	/* What does not fit is no IP socket: an adopted descriptor can be anything. */
	if (addr.sa.sa_family != AF_INET && addr.sa.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	addr.len = n;
	*ret_addr = addr;
	return 0;
}

int vly_socket_get_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t n = sizeof *ret_cookie;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &n) < 0 ? -errno : 0;
}

bool vly_socket_is_shut(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLRDHUP };

	return vly_raw_poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLRDHUP);
}

int vly_socket_set_cloexec(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int vly_socket_set_buffer(int fd, enum vly_socket_buffer which, uint32_t n_bytes,
			  uint32_t *ret_n_bytes)
{
	int name = which == VLY_SOCKET_RCVBUF ? SO_RCVBUF : SO_SNDBUF;
	int force = which == VLY_SOCKET_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;
	/* The kernel doubles it, for its own overhead, in an int. */
	int want = n_bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)n_bytes;
	int have = 0;
	int r;

	/* By force needs CAP_NET_ADMIN; without it the kernel clamps in silence. */
	r = vly_socket_set_int(fd, SOL_SOCKET, force, want);
	if (r < 0)
		r = vly_socket_set_int(fd, SOL_SOCKET, name, want);
	if (r >= 0)
		r = vly_socket_get_int(fd, SOL_SOCKET, name, &have);
	if (r < 0)
		return r;
	*ret_n_bytes = (uint32_t)have / 2;
	return 0;
}

int vly_socket_grow_buffer(int fd, enum vly_socket_buffer which, uint32_t n_bytes,
			   uint32_t *ret_n_bytes)
{
	int have = 0;
	int r = vly_socket_get_int(fd, SOL_SOCKET,
				   which == VLY_SOCKET_RCVBUF ? SO_RCVBUF : SO_SNDBUF, &have);

	if (r < 0)
		return r;
	if ((uint32_t)have / 2 < n_bytes)
		return vly_socket_set_buffer(fd, which, n_bytes, ret_n_bytes);
	*ret_n_bytes = (uint32_t)have / 2;
	return 0;
}

int vly_socket_get_meminfo(int fd, struct vly_socket_meminfo *ret_info)
{
	uint32_t vars[SK_MEMINFO_VARS];
	socklen_t n = sizeof vars;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, vars, &n) < 0)
		return -errno;
	if (n < (SK_MEMINFO_DROPS + 1) * sizeof vars[0])
		return -ENOPROTOOPT;
	*ret_info = (struct vly_socket_meminfo){
		.drops = vars[SK_MEMINFO_DROPS],
		.rmem_bytes = vars[SK_MEMINFO_RMEM_ALLOC],
	};
	return 0;
}

/*
 * A connected socket takes datagrams from its peer alone. The loopback is one that nobody beyond
 * this machine can say to be, as they can forge the socket's own address, and sockets on broadcast
 * addresses and groups can be connected to it, which to themselves is EACCES or ENETUNREACH. Only
 * one that is bound to a link cannot: that is connected to itself.
 */
int vly_socket_leave(int fd)
{
	struct volley_addr self = { .len = 0 };
	struct volley_addr loopback;
	int r = vly_socket_get_name(fd, &self);

	if (r < 0)
		return r;
	loopback = self;
	if (self.sa.sa_family == AF_INET) {
		loopback.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		loopback.in6.sin6_addr = in6addr_loopback;
		loopback.in6.sin6_scope_id = 0;
	}
	r = vly_raw_connect(fd, &loopback.sa, loopback.len);
	return r < 0 ? vly_raw_connect(fd, &self.sa, self.len) : r;
}

static const struct sock_filter drop_all = { .code = BPF_RET | BPF_K, .k = 0 };

static int attach(int fd, int name, const struct sock_filter *program, uint16_t n)
{
	struct sock_fprog fprog;

	memset(&fprog, 0, sizeof fprog); /* it has a hole */
	fprog.len = n;
	fprog.filter = (struct sock_filter *)(uintptr_t)program;
	return setsockopt(fd, SOL_SOCKET, name, &fprog, sizeof fprog) < 0 ? -errno : 0;
}

/* The kernel reads an int for every option, these too. */
static int detach(int fd, int name)
{
	return vly_socket_set_int(fd, SOL_SOCKET, name, 0);
}

/* The filter's instructions: how many, at most n of them copied; 0: there is none; -errno. */
static int read_filter(int fd, struct sock_filter *program, uint16_t n)
{
	socklen_t len = n;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, program, &len) < 0 ? -errno : (int)len;
}

static bool is_drop_all(int fd)
{
	struct sock_filter one = { .code = 0 };

	return read_filter(fd, &one, 1) == 1 && one.code == drop_all.code && one.k == drop_all.k;
}

int vly_socket_take_filter(int fd, const struct volley_allocator *allocator,
			   struct vly_socket_filter *ret_filter)
{
	struct vly_socket_filter filter = { .n = 0 };
	int r = read_filter(fd, NULL, 0);

	if (r < 0)
		return r;
	if (r > 0 && !is_drop_all(fd)) {
		filter.n = (uint16_t)r;
		filter.program = vly_mem_new(allocator, filter.n, sizeof *filter.program);
		if (filter.program == NULL)
			return -ENOMEM;
		r = read_filter(fd, filter.program, filter.n);
	}
	if (r < 0)
		vly_socket_free_filter(&filter);
	else
		*ret_filter = filter;
	return r < 0 ? r : 0;
}

int vly_socket_give_filter(int fd, struct vly_socket_filter *filter)
{
	int r = attach(fd, SO_ATTACH_FILTER, filter->program, filter->n);

	vly_socket_free_filter(filter);
	return r;
}

void vly_socket_free_filter(struct vly_socket_filter *filter)
{
	vly_mem_free(filter->program);
	*filter = (struct vly_socket_filter){ .n = 0 };
}

int vly_socket_set_drop_all(int fd, bool drop)
{
	int n;

	if (drop)
		return attach(fd, SO_ATTACH_FILTER, &drop_all, 1);
	n = read_filter(fd, NULL, 0);
	if (n == 0 || n == -EACCES || (n > 0 && !is_drop_all(fd)))
		return 0; /* what was asked for is already so */
	return detach(fd, SO_DETACH_FILTER);
}

int vly_socket_set_steering(int fd, const struct sock_filter *program, uint16_t n)
{
	int r;

	if (n > 0)
		return attach(fd, SO_ATTACH_REUSEPORT_CBPF, program, n);
	r = detach(fd, SO_DETACH_REUSEPORT_BPF);
	return r == -ENOENT || r == -EINVAL ? 0 : r; /* EINVAL: it is in no group */
}

int vly_socket_settle(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}
