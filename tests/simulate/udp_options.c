/* SPDX-License-Identifier: MIT */

/* Options of UDP sockets, filters, buffers. */

#include "udp_inner.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

uint32_t udp_rmem_max = UDP_RMEM_DEFAULT;

int udp_get(const struct udp *udp, int level, int name)
{
	for (uint32_t i = 0; i < udp->n_options; i++)
		if (udp->options[i].level == level && udp->options[i].name == name)
			return udp->options[i].value;
	if (level == IPPROTO_IP && name == IP_MULTICAST_ALL)
		return udp->family == AF_INET;
	if (level == IPPROTO_IP && (name == IP_MULTICAST_LOOP || name == IP_MTU_DISCOVER))
		return 1; /* IP_PMTUDISC_WANT */
	if (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER)
		return 1;
	if (level == IPPROTO_IPV6 && (name == IPV6_MULTICAST_ALL || name == IPV6_MULTICAST_LOOP))
		return 1;
	return 0;
}

static void set(struct udp *udp, int level, int name, int value)
{
	for (uint32_t i = 0; i < udp->n_options; i++) {
		if (udp->options[i].level != level || udp->options[i].name != name)
			continue;
		udp->options[i].value = value;
		return;
	}
	if (udp->n_options == N_OPTIONS)
		abort();
	udp->options[udp->n_options++] = (struct option){ level, name, value };
}

static int set_filter(struct udp *udp, const struct sock_fprog *program)
{
	__real_free(udp->filter);
	udp->filter = NULL;
	udp->n_filter = 0;
	if (program == NULL)
		return 0;
	udp->filter = __real_malloc(program->len * sizeof *udp->filter);
	memcpy(udp->filter, program->filter, program->len * sizeof *udp->filter);
	udp->n_filter = program->len;
	return 0;
}

/* A byte of what a filter sees: the UDP header, which no program here looks at, and the payload. */
static uint32_t load(const uint8_t *data, uint32_t len, uint32_t at, bool *ret_is_there)
{
	*ret_is_there = at >= 8 && at - 8 < len;
	return *ret_is_there ? data[at - 8] : 0;
}

bool udp_filter_passes(const struct udp *udp, const uint8_t *data, uint32_t len)
{
	uint32_t a = 0;

	for (uint32_t i = 0; i < udp->n_filter; i++) {
		const struct sock_filter *step = &udp->filter[i];
		bool is_there = true;

		if (step->code == (BPF_RET | BPF_K))
			return step->k != 0;
		if (step->code == (BPF_LD | BPF_B | BPF_ABS))
			a = load(data, len, step->k, &is_there);
		else if (step->code == (BPF_JMP | BPF_JEQ | BPF_K))
			i += a == step->k ? step->jt : step->jf;
		else
			abort();
		if (!is_there)
			return false; /* as if it had returned 0 */
	}
	return true;
}

static int set_buffer(struct udp *udp, int name, int value)
{
	bool force = name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE;
	uint32_t most = name == SO_RCVBUF ? udp_rmem_max : UDP_RMEM_DEFAULT;
	uint32_t n = (uint32_t)value < most ? (uint32_t)value * 2 : most * 2;

	if (force)
		return -EPERM;
	if (name == SO_RCVBUF)
		udp->rcvbuf = n < 2304 ? 2304 : n;
	else
		udp->sndbuf = n < 4608 ? 4608 : n;
	return 0;
}

int udp_set_option(struct file *file, int level, int name, const void *value, socklen_t n)
{
	struct udp *udp = udp_of(file);
	int number;

	if (level == SOL_SOCKET && name == SO_ATTACH_FILTER)
		return set_filter(udp, value);
	if (level == SOL_SOCKET && name == SO_DETACH_FILTER) {
		if (udp->n_filter == 0)
			return -ENOENT;
		return set_filter(udp, NULL);
	}
	if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF)
		return udp_attach_steering(udp, value);
	if (level == SOL_SOCKET && name == SO_DETACH_REUSEPORT_BPF)
		return udp_detach_steering(udp);
	if (udp_is_group_option(level, name))
		return udp_set_group(udp, name, value, n);
	if (n < sizeof number)
		return -EINVAL;
	memcpy(&number, value, sizeof number);
	if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF ||
				    name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE))
		return set_buffer(udp, name, number);
	if (level == IPPROTO_IPV6 && udp->family == AF_INET)
		return -ENOPROTOOPT;
	set(udp, level, name, number);
	if (number != 0 && ((level == IPPROTO_IP && name == IP_RECVERR) ||
			    (level == IPPROTO_IPV6 && name == IPV6_RECVERR)))
		kernel_process()->hears_errors = true;
	return 0;
}

static int get_filter(const struct udp *udp, void *value, socklen_t *n)
{
	if (value == NULL || *n == 0) {
		*n = udp->n_filter;
		return 0;
	}
	if (*n < udp->n_filter)
		return -EINVAL;
	memcpy(value, udp->filter, udp->n_filter * sizeof *udp->filter);
	*n = udp->n_filter;
	return 0;
}

static int get_number(struct udp *udp, int level, int name)
{
	int error;

	if (level != SOL_SOCKET)
		return udp_get(udp, level, name);
	switch (name) {
	case SO_DOMAIN:
		return udp->family;
	case SO_TYPE:
		return SOCK_DGRAM;
	case SO_PROTOCOL:
		return IPPROTO_UDP;
	case SO_RCVBUF:
		return (int)udp->rcvbuf;
	case SO_SNDBUF:
		return (int)udp->sndbuf;
	case SO_ERROR:
		error = udp->error;
		udp->error = 0;
		return error;
	default:
		return udp_get(udp, level, name);
	}
}

int udp_get_option(struct file *file, int level, int name, void *value, socklen_t *n)
{
	struct udp *udp = udp_of(file);
	int number;

	if (level == SOL_SOCKET && name == SO_GET_FILTER)
		return get_filter(udp, value, n);
	if (level == SOL_SOCKET && name == SO_COOKIE) {
		memcpy(value, &udp->cookie, sizeof udp->cookie);
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_MEMINFO) {
		uint32_t vars[SK_MEMINFO_VARS] = { 0 };

		vars[SK_MEMINFO_DROPS] = udp->drops;
		vars[SK_MEMINFO_RMEM_ALLOC] = udp->rmem;
		if (*n > sizeof vars)
			*n = sizeof vars;
		memcpy(value, vars, *n);
		return 0;
	}
	if (level == IPPROTO_IPV6 && udp->family == AF_INET)
		return -ENOPROTOOPT;
	number = get_number(udp, level, name);
	if (*n > sizeof number)
		*n = sizeof number;
	memcpy(value, &number, *n);
	return 0;
}
