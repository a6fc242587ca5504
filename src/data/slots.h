/* SPDX-License-Identifier: MIT */
#ifndef VLY_DATA_SLOTS_H
#define VLY_DATA_SLOTS_H

/*
 * Receive slots: where one worker's volley lands. Owned by the worker's thread. A slot's content
 * lives until the volley's replies are flushed and never longer; what must outlive it is copied
 * into a packet buffer.
 *
 * The payload stride is an odd multiple of 64 bytes: a power of two would put the same offset of
 * every slot into the same few cache sets. Payload is mapped, so a 64 KiB slot that only ever held
 * 64 bytes costs one page.
 */

#include <stdint.h>

#include <volley/addr.h>

#include "base/compiler.h"
#include "sys/cmsg.h"

/* vly_slot.flags */
enum vly_slot_flag {
	VLY_SLOT_TRUNCATED = 1, /* MSG_TRUNC, or its datagrams are longer than they may be */
	VLY_SLOT_MULTICAST = VLY_CMSG_MULTICAST,
	VLY_SLOT_BROADCAST = VLY_CMSG_BROADCAST,
	VLY_SLOT_CTRUNC = 8, /* MSG_CTRUNC */
};

/* One received message. data and capacity are set before; a receive writes the rest. */
struct vly_slot {
	VLY_ALIGNED uint8_t *data;
	uint32_t capacity;
	uint32_t len;
	uint32_t flags;         /* enum vly_slot_flag */
	uint32_t segment_bytes; /* 0: one datagram */
	struct volley_addr peer;
	uint32_t full_bytes; /* only with VLY_SLOT_TRUNCATED: how long it was */
};

struct volley_allocator;

struct vly_slots {
	struct vly_slot *slots;      /* n_slots, 64 bytes each */
	struct vly_cmsg_info *infos; /* n_slots; written only where control messages are on */
	uint8_t *payload;
	uint64_t n_payload_bytes;
	uint32_t n_slots;
	uint32_t stride_bytes;
	const struct volley_allocator *allocator; /* of the above, and of whoever works on them */
};

/* The stride for datagrams of up to n_bytes. */
uint32_t vly_slots_get_stride(uint32_t n_bytes);

/* n_slots 1 to 1,024, capacity each 1 to 65,535. 0 or -ENOMEM. fini takes a zeroed object too. */
int vly_slots_init(struct vly_slots *slots, const struct volley_allocator *allocator,
		   uint32_t n_slots, uint32_t capacity);
void vly_slots_fini(struct vly_slots *slots);

/*
 * Larger ones, while nothing is in them; smaller ones stay as they are. 0, or -ENOMEM and then
 * nothing has changed. Whoever knows where they lie must look again.
 */
int vly_slots_grow(struct vly_slots *slots, uint32_t capacity);

#endif
