/* SPDX-License-Identifier: MIT */

/*
 * Receive slots: three parallel arrays, set up once (payload a second time, where somebody else's
 * sockets turn out to hold longer messages). Descriptors and control information are small and
 * touched for every datagram; payload is large, mapped, and resident as far as it was written to.
 * Nothing here is called on the data path: backends write through slot->data.
 */

#include "data/slots.h"

#include <assert.h>
#include <errno.h>

#include "base/compiler.h"
#include "base/mem.h"

static_assert(sizeof(struct vly_slot) == VLY_CACHE_LINE, "one slot, one cache line");

uint32_t vly_slots_get_stride(uint32_t n_bytes)
{
	uint32_t n_lines = (n_bytes + VLY_CACHE_LINE - 1) / VLY_CACHE_LINE;

	return (n_lines | 1) * VLY_CACHE_LINE;
}

static void lay_out(struct vly_slots *slots, uint32_t capacity)
{
	for (uint32_t i = 0; i < slots->n_slots; i++) {
		slots->slots[i].data = slots->payload + (size_t)i * slots->stride_bytes;
		slots->slots[i].capacity = capacity;
	}
}

int vly_slots_init(struct vly_slots *slots, const struct volley_allocator *allocator,
		   uint32_t n_slots, uint32_t capacity)
{
	assert(n_slots >= 1 && n_slots <= 1024 && capacity >= 1 && capacity <= 65535);

	*slots = (struct vly_slots){
		.n_slots = n_slots,
		.stride_bytes = vly_slots_get_stride(capacity),
		.allocator = allocator,
	};
	slots->n_payload_bytes = (uint64_t)slots->stride_bytes * n_slots;
	slots->slots = vly_mem_new(allocator, n_slots, sizeof *slots->slots);
	slots->infos = vly_mem_new(allocator, n_slots, sizeof *slots->infos);
	slots->payload = vly_mem_map(allocator, slots->n_payload_bytes);
	if (slots->slots == NULL || slots->infos == NULL || slots->payload == NULL) {
		vly_slots_fini(slots);
		return -ENOMEM;
	}
	lay_out(slots, capacity);
	return 0;
}

int vly_slots_grow(struct vly_slots *slots, uint32_t capacity)
{
	struct vly_slots old = *slots;

	assert(capacity >= 1 && capacity <= 65535);
	if (capacity <= slots->slots[0].capacity)
		return 0;
	slots->stride_bytes = vly_slots_get_stride(capacity);
	slots->n_payload_bytes = (uint64_t)slots->stride_bytes * slots->n_slots;
	slots->payload = vly_mem_map(slots->allocator, slots->n_payload_bytes);
	if (slots->payload == NULL) {
		*slots = old;
		return -ENOMEM;
	}
	vly_mem_unmap(old.allocator, old.payload, old.n_payload_bytes);
	lay_out(slots, capacity);
	return 0;
}

void vly_slots_fini(struct vly_slots *slots)
{
	vly_mem_free(slots->slots);
	vly_mem_free(slots->infos);
	vly_mem_unmap(slots->allocator, slots->payload, slots->n_payload_bytes);
	*slots = (struct vly_slots){ 0 };
}
