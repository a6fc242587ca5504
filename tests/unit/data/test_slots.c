/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "data/slots.h"
#include "lib/fault.h"

Test(slots, stride_is_an_odd_number_of_lines_that_fits)
{
	for (uint32_t n = 1; n <= 65535; n++) {
		uint32_t stride = vly_slots_get_stride(n);

		cr_assert_geq(stride, n);
		cr_assert_lt(stride - n, 2 * VLY_CACHE_LINE);
		cr_assert_eq(stride % (2 * VLY_CACHE_LINE), VLY_CACHE_LINE);
	}
}

Test(slots, init_lays_out_slots_that_do_not_overlap)
{
	struct vly_slots slots;

	cr_assert_eq(vly_slots_init(&slots, NULL, 5, 2048), 0);
	cr_assert_eq(slots.n_slots, 5);
	cr_assert_eq(slots.stride_bytes, vly_slots_get_stride(2048));
	cr_assert_eq(slots.n_payload_bytes, 5 * slots.stride_bytes);
	for (uint32_t i = 0; i < 5; i++) {
		struct vly_slot *slot = &slots.slots[i];

		cr_assert_eq((uintptr_t)slot % VLY_CACHE_LINE, 0);
		cr_assert_eq(slot->capacity, 2048);
		cr_assert_eq(slot->data, slots.payload + i * slots.stride_bytes);
		cr_assert_eq(slot->len, 0);
		cr_assert_eq(slots.infos[i].found, 0);
		memset(slot->data, (int)i + 1, slot->capacity);
	}
	for (uint32_t i = 0; i < 5; i++)
		for (uint32_t j = 0; j < 2048; j++)
			cr_assert_eq(slots.slots[i].data[j], i + 1);
	vly_slots_fini(&slots);
}

Test(slots, the_largest)
{
	struct vly_slots slots;

	cr_assert_eq(vly_slots_init(&slots, NULL, 1024, 65535), 0);
	slots.slots[1023].data[65534] = 1;
	vly_slots_fini(&slots);
}

Test(slots, fini_leaves_nothing_and_can_be_repeated)
{
	struct vly_slots slots, zero = { 0 };

	cr_assert_eq(vly_slots_init(&slots, NULL, 1, 1), 0);
	vly_slots_fini(&slots);
	cr_assert_eq(memcmp(&slots, &zero, sizeof slots), 0);
	vly_slots_fini(&slots);
}

Test(slots, init_without_memory)
{
	unsigned int nth = 0;

	for (;;) {
		struct vly_slots slots;
		int r;

		fault_arm(FAULT_ANY, ++nth, ENOMEM);
		r = vly_slots_init(&slots, NULL, 4, 100);
		if (fault_disarm() == 0) {
			cr_assert_eq(r, 0);
			vly_slots_fini(&slots);
			break;
		}
		cr_assert_eq(r, -ENOMEM);
		cr_assert_null(slots.slots);
		cr_assert_null(slots.payload);
	}
	cr_assert_eq(nth, 4, "two arrays and a mapping can fail");
}

Test(slots, they_grow_and_never_shrink)
{
	struct vly_slots slots;
	uint8_t *data;

	cr_assert_eq(vly_slots_init(&slots, NULL, 3, 100), 0);
	cr_assert_eq(vly_slots_grow(&slots, 65535), 0);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(slots.slots[i].capacity, 65535);
		memset(slots.slots[i].data, (int)i, 65535);
	}
	cr_assert_eq(slots.slots[1].data[65534], 1, "they do not overlap");
	data = slots.payload;
	cr_assert_eq(vly_slots_grow(&slots, 200), 0);
	cr_assert_eq(slots.payload, data);
	cr_assert_eq(slots.slots[0].capacity, 65535);
	vly_slots_fini(&slots);
}

Test(slots, a_growth_without_memory_changes_nothing)
{
	struct vly_slots slots;
	struct vly_slots before;

	cr_assert_eq(vly_slots_init(&slots, NULL, 3, 100), 0);
	before = slots;
	fault_arm(FAULT_ANY, 1, ENOMEM);
	cr_assert_eq(vly_slots_grow(&slots, 65535), -ENOMEM);
	fault_disarm();
	cr_assert_eq(memcmp(&slots, &before, sizeof slots), 0);
	cr_assert_eq(slots.slots[2].capacity, 100);
	vly_slots_fini(&slots);
}
