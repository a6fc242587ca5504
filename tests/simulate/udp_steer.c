/* SPDX-License-Identifier: MIT */

/*
 * SO_REUSEPORT groups and the programs that choose in them. Each member has a copy of its group's
 * program; tests/kernel/kernel_steering.c has what the kernel does.
 */

#include "udp_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sys/addr.h"
#include "world.h"

enum { N_CPUS = 4 };

bool udp_is_of_group(const struct udp *udp, const struct udp *one)
{
	return udp->family == one->family && !udp->is_connected &&
	       udp_get(udp, SOL_SOCKET, SO_REUSEPORT) && udp_get(one, SOL_SOCKET, SO_REUSEPORT) &&
	       vly_addr_is_equal(&udp->local, &one->local);
}

static void set(struct udp *udp, const struct sock_filter *program, uint16_t n)
{
	struct sock_filter *own = NULL;

	if (n > 0) {
		own = __real_malloc(n * sizeof *own);
		memcpy(own, program, n * sizeof *own);
	}
	__real_free(udp->steering);
	udp->steering = own;
	udp->n_steering = n;
}

static void set_all(struct udp *one, const struct sock_filter *program, uint16_t n)
{
	set(one, program, n);
	if (!one->is_bound)
		return;
	for (struct udp *udp = udp_get_first(ntohs(one->local.in.sin_port)); udp != NULL;
	     udp = udp->next)
		if (udp != one && udp_is_of_group(udp, one))
			set(udp, program, n);
}

void udp_join(struct udp *udp)
{
	if (!udp_get(udp, SOL_SOCKET, SO_REUSEPORT))
		return;
	udp->is_in_group = true;
	for (struct udp *other = udp_get_first(ntohs(udp->local.in.sin_port)); other != NULL;
	     other = other->next) {
		if (other == udp || !udp_is_of_group(other, udp))
			continue;
		other->is_in_group = true;
		set(udp, other->steering, other->n_steering);
		return;
	}
}

int udp_attach_steering(struct udp *udp, const struct sock_fprog *program)
{
	if (!udp->is_bound && udp_get(udp, SOL_SOCKET, SO_REUSEPORT))
		udp->is_in_group = true;
	if (!udp->is_in_group || program->len == 0)
		return -EINVAL;
	set_all(udp, program->filter, program->len);
	return 0;
}

int udp_detach_steering(struct udp *udp)
{
	if (!udp->is_in_group && !udp_get(udp, SOL_SOCKET, SO_REUSEPORT))
		return -EINVAL;
	if (udp->n_steering == 0)
		return -ENOENT;
	set_all(udp, NULL, 0);
	return 0;
}

/* Another result than an index below n: the hash chooses. */
static uint32_t run(const struct udp *udp, const struct packet *packet)
{
	uint32_t a = 0;

	for (uint32_t i = 0; i < udp->n_steering; i++) {
		const struct sock_filter *step = &udp->steering[i];

		if (step->code == (BPF_LD | BPF_W | BPF_LEN))
			a = packet->len;
		else if (step->code == (BPF_LD | BPF_W | BPF_ABS) &&
			 step->k == (uint32_t)(SKF_AD_OFF + SKF_AD_CPU))
			a = world_pick(N_CPUS);
		else if (step->code == (BPF_LD | BPF_B | BPF_ABS) && step->k < packet->len)
			a = packet->data[step->k];
		else if (step->code == (BPF_LD | BPF_B | BPF_ABS))
			return 0;
		else if (step->code == (BPF_JMP | BPF_JGT | BPF_K))
			i += a > step->k ? step->jt : step->jf;
		else if (step->code == (BPF_JMP | BPF_JGE | BPF_K))
			i += a >= step->k ? step->jt : step->jf;
		else if (step->code == (BPF_ALU | BPF_SUB | BPF_K))
			a -= step->k;
		else if (step->code == (BPF_RET | BPF_A))
			return a;
		else if (step->code == (BPF_RET | BPF_K))
			return step->k;
		else
			abort();
	}
	abort();
}

struct udp *udp_choose(struct udp *const *group, uint32_t n, const struct packet *packet,
		       const struct volley_addr *from)
{
	bool is_steered = packet != NULL && group[0]->n_steering > 0;
	uint32_t index = is_steered ? run(group[0], packet) : n;

	return group[index < n ? index : (uint32_t)(vly_addr_hash(from) >> 20) % n];
}
