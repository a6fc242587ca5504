/* SPDX-License-Identifier: MIT */
#ifndef QUIC_IDS_H
#define QUIC_IDS_H

/*
 * QUIC packets to the worker that has the connection, by the connection id and not by the address,
 * for a client may move (RFC 9000, section 9). A server chooses the ids under which it is spoken
 * to, so its workers let the first byte of theirs be their index:
 *
 *	id[0] = (uint8_t)volley_worker_get_index(worker);
 *
 *	volley_server_listen(server, "[::]:443",
 *			     VOLLEY_LISTEN(.on_batch = serve, .steer = VOLLEY_STEER_PROGRAM,
 *					   .steer_program = quic_ids,
 *					   .n_steer_program = N_QUIC_IDS), NULL);
 *
 * The id lies at byte 1 of short headers, and at byte 6 of long ones, behind the version (1 to 4)
 * and its own length (5). The first packets of a client carry an id that it drew itself: that is
 * one of any worker, always the same, and where it is that of none the kernel chooses by the
 * addresses. The worker that gets them replies with an id of its own. That byte is for everybody to
 * see; encrypt ids where it matters (RFC 9000, section 5.1).
 */

#include <linux/filter.h>
#include <stdint.h>

#define QUIC_NO_SOCKET UINT32_MAX

static const struct sock_filter quic_ids[] = {
	/* Shorter ones are no QUIC: the shortest packet has 21 bytes (RFC 9000, section 10.3). */
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 7, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, QUIC_NO_SOCKET),
	/* The first bit: a long header. */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 2, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
	BPF_STMT(BPF_RET | BPF_A, 0),
	/* An id of no bytes is nobody's. */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 5),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, QUIC_NO_SOCKET),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
	BPF_STMT(BPF_RET | BPF_A, 0),
};

enum { N_QUIC_IDS = sizeof quic_ids / sizeof quic_ids[0] };

#endif
