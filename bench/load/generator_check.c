/* SPDX-License-Identifier: MIT */

/*
 * The generator's receiving half: every reply is matched with what was sent by its sequence number.
 * Only the stamp is copied out of the kernel (MSG_TRUNC tells the true length), so a check costs a
 * few nanoseconds whatever the payload. A bit per sequence number tells a first reply from a
 * duplicate; the highest number per client tells an overtaken one. Lost is what stays missing: sent
 * minus unique, which the caller compares with the kernel's drop counts.
 */

#include "generator_check.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

/*
 * A fixed cycle in which each size has its weight, scattered by a multiplier that is prime to most
 * cycle lengths: the same for every server measured.
 */
uint32_t bench_gen_pick_size(const struct bench_gen *gen, uint64_t burst_index)
{
	const struct bench_sizes *sizes = &gen->load.sizes;
	uint32_t at;

	if (sizes->n == 1)
		return sizes->bytes[0];
	at = (uint32_t)((burst_index * 7919) % gen->n_weights);
	for (uint32_t i = 0; i < sizes->n; i++) {
		if (at < sizes->weight[i])
			return sizes->bytes[i];
		at -= sizes->weight[i];
	}
	return sizes->bytes[0];
}

static void forget_outstanding(struct bench_gen *gen)
{
	if (gen->outstanding > 0)
		gen->outstanding--;
}

/* The length was chosen by the burst's number, which the sequence number tells. */
static bool has_right_length(const struct bench_gen *gen, const struct gen_stamp *stamp,
			     uint32_t len)
{
	if (gen->load.sizes.n == 1)
		return len == gen->load.sizes.bytes[0];
	return len == bench_gen_pick_size(gen, stamp->seq / gen->load.n_burst);
}

static void check_reply(struct bench_gen *gen, const uint8_t *data, uint32_t len, uint64_t now)
{
	struct gen_stamp stamp;
	uint64_t bit;

	gen->counts.received++;
	if (len < sizeof stamp) {
		gen->counts.unstamped++;
		forget_outstanding(gen);
		return;
	}
	memcpy(&stamp, data, sizeof stamp);
	if (stamp.magic != gen->magic || stamp.client >= gen->load.n_clients ||
	    stamp.seq >= gen->next_seq || gen->next_seq - stamp.seq > GEN_SEEN_BITS ||
	    !has_right_length(gen, &stamp, len)) {
		gen->counts.foreign++;
		return;
	}
	bit = UINT64_C(1) << (stamp.seq % 64);
	if (gen->seen[(stamp.seq % GEN_SEEN_BITS) / 64] & bit) {
		gen->counts.duplicates++;
		return;
	}
	gen->seen[(stamp.seq % GEN_SEEN_BITS) / 64] |= bit;
	gen->counts.unique++;
	forget_outstanding(gen);
	if (stamp.seq + 1 < gen->newest[stamp.client])
		gen->counts.reordered++;
	else
		gen->newest[stamp.client] = stamp.seq + 1;
	if (gen->load.n_window == 0)
		bench_histogram_add(&gen->latency, now > stamp.due_ns ? now - stamp.due_ns : 0);
}

static uint32_t get_segment(struct msghdr *hdr, uint32_t len)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		int segment;

		if (cmsg->cmsg_level != SOL_UDP || cmsg->cmsg_type != UDP_GRO)
			continue;
		memcpy(&segment, CMSG_DATA(cmsg), sizeof segment);
		return segment > 0 ? (uint32_t)segment : len;
	}
	return len;
}

static uint32_t check_message(struct bench_gen *gen, uint32_t i, uint64_t now)
{
	struct mmsghdr *msg = &gen->rx.msgs[i];
	const uint8_t *at = gen->rx.iovs[i].iov_base;
	uint32_t left = msg->msg_len;
	uint32_t segment = left;
	uint32_t n = 0;

	if (gen->load.use_gro) {
		segment = get_segment(&msg->msg_hdr, left);
		msg->msg_hdr.msg_controllen = sizeof gen->rx.control[i];
	}
	do {
		uint32_t len = left < segment ? left : segment;

		check_reply(gen, at, len, now);
		at += len;
		left -= len;
		n++;
	} while (left > 0);
	return n;
}

uint32_t bench_gen_recv(struct bench_gen *gen)
{
	int flags = MSG_DONTWAIT | (gen->load.use_gro ? 0 : MSG_TRUNC);
	uint32_t n = 0;
	uint64_t now;

	for (uint32_t s = 0; s < gen->load.n_sockets; s++) {
		int got = recvmmsg(gen->fds[s], gen->rx.msgs, gen->rx.n_msgs, flags, NULL);

		if (got <= 0)
			continue;
		now = bench_now_ns();
		gen->last_reply_ns = now;
		for (int i = 0; i < got; i++)
			n += check_message(gen, (uint32_t)i, now);
	}
	return n;
}
