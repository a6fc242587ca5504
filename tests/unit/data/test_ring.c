/* SPDX-License-Identifier: MIT */

/* What one thread can see; tests/race/race_ring.c is about two. */

#include <criterion/criterion.h>
#include <errno.h>

#include "base/compiler.h"
#include "data/ring.h"
#include "lib/fault.h"

Test(ring, init_refuses_bad_sizes)
{
	static const uint32_t bad[] = {
		0, 1, 3, 6, 100, (UINT32_C(1) << 30) + 1, UINT32_C(1) << 31, UINT32_MAX
	};
	struct vly_ring ring;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(bad); i++)
		cr_assert_eq(vly_ring_init(&ring, NULL, bad[i], 0), -EINVAL);
}

Test(ring, init_without_memory)
{
	struct vly_ring ring;

	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(vly_ring_init(&ring, NULL, 8, 0), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
}

Test(ring, ends_are_on_lines_of_their_own)
{
	size_t tail = offsetof(struct vly_ring, tail), head = offsetof(struct vly_ring, head);
	size_t mask = offsetof(struct vly_ring, mask);

	cr_assert_geq(head - tail, VLY_CACHE_LINE);
	cr_assert_geq(mask - head, VLY_CACHE_LINE);
}

Test(ring, fills_to_the_last_entry_and_no_further)
{
	struct vly_ring ring;
	uint32_t in[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[9] = { 0 };

	cr_assert_eq(vly_ring_init(&ring, NULL, 8, 0), 0);
	cr_assert_eq(vly_ring_pop(&ring, out, 9), 0, "empty");
	cr_assert_eq(vly_ring_push(&ring, in, 0), 0);
	cr_assert_eq(vly_ring_push(&ring, in, 9), 8, "a full ring is a short count");
	cr_assert_eq(vly_ring_push(&ring, in, 1), 0);
	cr_assert_eq(vly_ring_count(&ring), 8);
	cr_assert_eq(vly_ring_pop(&ring, out, 3), 3);
	cr_assert_eq(vly_ring_count(&ring), 5);
	cr_assert_eq(vly_ring_push(&ring, in + 8, 1), 1);
	cr_assert_eq(vly_ring_pop(&ring, out + 3, 9), 6);
	cr_assert_eq(vly_ring_count(&ring), 0);
	for (uint32_t i = 0; i < 9; i++)
		cr_assert_eq(out[i], i + 1);
	vly_ring_fini(&ring);
	vly_ring_fini(&ring);
}

/* Every size, every batch length, over the wrap of the positions. */
Test(ring, keeps_order_over_the_wrap)
{
	for (uint32_t size = 2; size <= 64; size *= 2)
		for (uint32_t batch = 1; batch <= size; batch++) {
			struct vly_ring ring;
			uint32_t next_in = 0, next_out = 0, values[64];

			cr_assert_eq(vly_ring_init(&ring, NULL, size, UINT32_MAX - size), 0);
			while (next_out < 8 * size) {
				uint32_t n;

				for (uint32_t i = 0; i < batch; i++)
					values[i] = next_in + i;
				next_in += vly_ring_push(&ring, values, batch);
				cr_assert_eq(vly_ring_count(&ring), next_in - next_out);
				n = vly_ring_pop(&ring, values, 1 + batch / 2);
				for (uint32_t i = 0; i < n; i++)
					cr_assert_eq(values[i], next_out + i);
				next_out += n;
			}
			vly_ring_fini(&ring);
		}
}

/* A third thread may load the two ends at different times: never more than there is room for. */
Test(ring, count_is_never_above_the_size)
{
	struct vly_ring ring;

	cr_assert_eq(vly_ring_init(&ring, NULL, 4, 0), 0);
	atomic_store(&ring.tail, 100);
	cr_assert_eq(vly_ring_count(&ring), 4);
	vly_ring_fini(&ring);
}
