/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "data/buffers.h"
#include "lib/fault.h"

Test(buffers, classes_grow_and_the_last_takes_any_datagram)
{
	cr_assert_lt(vly_buffers_class_bytes[0], vly_buffers_class_bytes[1]);
	cr_assert_lt(vly_buffers_class_bytes[1], vly_buffers_class_bytes[2]);
	cr_assert_geq(vly_buffers_class_bytes[2], 65535);
}

Test(buffers, get_prefers_the_smallest_class_that_fits)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 2, 2, 2 });
	static const struct {
		uint32_t n_bytes;
		int class_index;
	} cases[] = { { 0, 0 }, { 256, 0 }, { 257, 1 }, { 2048, 1 }, { 2049, 2 }, { 65536, 2 } };

	cr_assert_not_null(buffers);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(cases); i++) {
		struct vly_buffer *buffer = vly_buffers_take(buffers, cases[i].n_bytes);

		cr_assert_not_null(buffer);
		cr_assert_eq(buffer->class_index, cases[i].class_index);
		cr_assert_null(buffer->node.next);
	}
	cr_assert_eq(vly_buffers_count_used(buffers), 6);
	vly_buffers_free(buffers);
}

Test(buffers, get_takes_a_larger_class_when_the_right_one_is_used_up)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 1, 0, 2 });

	cr_assert_eq(vly_buffers_take(buffers, 10)->class_index, 0);
	cr_assert_eq(vly_buffers_take(buffers, 10)->class_index, 2);
	cr_assert_eq(vly_buffers_take(buffers, 10)->class_index, 2);
	cr_assert_null(vly_buffers_take(buffers, 10));
	cr_assert_eq(vly_buffers_count_used(buffers), 3);
	vly_buffers_free(buffers);
}

Test(buffers, get_never_takes_a_smaller_class)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 4, 4, 0 });

	cr_assert_null(vly_buffers_take(buffers, 2049));
	cr_assert_null(vly_buffers_take(buffers, 65537));
	cr_assert_eq(vly_buffers_count_used(buffers), 0);
	vly_buffers_free(buffers);
}

Test(buffers, nothing_at_all_is_a_pool_too)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 0, 0, 0 });

	cr_assert_not_null(buffers);
	cr_assert_null(vly_buffers_take(buffers, 1));
	vly_buffers_free(buffers);
}

Test(buffers, payloads_do_not_overlap_and_indices_lead_back)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 7, 5, 3 });
	struct vly_buffer *taken[15];

	for (uint32_t i = 0; i < 15; i++) {
		uint32_t n_bytes = i < 7 ? 256 : i < 12 ? 2048 : 65536;

		taken[i] = vly_buffers_take(buffers, n_bytes);
		cr_assert_not_null(taken[i]);
		cr_assert_eq(taken[i]->index, i, "the lowest first");
		cr_assert_eq(vly_buffers_get(buffers, i), taken[i]);
		cr_assert_eq((uintptr_t)taken[i]->data % VLY_CACHE_LINE, 0);
		memset(taken[i]->data, (int)i + 1, n_bytes);
	}
	for (uint32_t i = 0; i < 15; i++)
		for (uint32_t j = 0; j < vly_buffers_class_bytes[taken[i]->class_index]; j++)
			cr_assert_eq(taken[i]->data[j], i + 1);
	vly_buffers_free(buffers);
}

Test(buffers, put_makes_it_the_next_one_taken)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 3, 1, 0 });
	struct vly_buffer *a = vly_buffers_take(buffers, 1);
	struct vly_buffer *b = vly_buffers_take(buffers, 1);
	struct vly_buffer *c = vly_buffers_take(buffers, 1);
	struct vly_buffer *large = vly_buffers_take(buffers, 1);

	cr_assert_eq(large->class_index, 1);
	vly_buffers_put(buffers, b);
	vly_buffers_put(buffers, large);
	cr_assert_eq(vly_buffers_count_used(buffers), 2);
	cr_assert_eq(vly_buffers_take(buffers, 1), b);
	cr_assert_eq(vly_buffers_take(buffers, 1000), large, "it went back to its own class");
	vly_buffers_put(buffers, a);
	vly_buffers_put(buffers, b);
	vly_buffers_put(buffers, c);
	vly_buffers_put(buffers, large);
	cr_assert_eq(vly_buffers_count_used(buffers), 0);
	vly_buffers_free(buffers);
}

Test(buffers, too_many_for_an_index)
{
	cr_assert_null(vly_buffers_new(NULL, (uint32_t[]){ UINT32_MAX, 1, 0 }));
}

Test(buffers, new_without_memory)
{
	unsigned int nth = 0;

	for (;;) {
		struct vly_buffers *buffers;

		fault_arm(FAULT_ANY, ++nth, ENOMEM);
		buffers = vly_buffers_new(NULL, (uint32_t[]){ 1, 1, 1 });
		if (fault_disarm() == 0) {
			cr_assert_not_null(buffers);
			vly_buffers_free(buffers);
			break;
		}
		cr_assert_null(buffers);
	}
	cr_assert_eq(nth, 4, "the pool, its headers and its payload can fail");
}

Test(buffers, free_of_null_is_fine)
{
	vly_buffers_free(NULL);
}

Test(buffers, find_takes_any_number_and_knows_what_was_never_taken)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 2, 1, 1 });
	struct vly_buffer *small = vly_buffers_take(buffers, 1);
	struct vly_buffer *large = vly_buffers_take(buffers, 65536);

	cr_assert_eq(vly_buffers_find(buffers, 0), small);
	cr_assert_null(vly_buffers_find(buffers, 1));
	cr_assert_null(vly_buffers_find(buffers, 2));
	cr_assert_eq(vly_buffers_find(buffers, 3), large);
	cr_assert_null(vly_buffers_find(buffers, 4));
	cr_assert_null(vly_buffers_find(buffers, UINT32_MAX));
	small->generation = 7;
	vly_buffers_put(buffers, small);
	cr_assert_eq(vly_buffers_find(buffers, 0), small, "a free one can be looked at");
	cr_assert_eq(vly_buffers_take(buffers, 1)->generation, 7, "kept while free");
	vly_buffers_free(buffers);
}

Test(buffers, the_bytes_of_all_are_counted_taken_or_not)
{
	struct vly_buffers *buffers = vly_buffers_new(NULL, (uint32_t[]){ 7, 5, 3 });
	struct vly_buffers *none = vly_buffers_new(NULL, (uint32_t[]){ 0, 0, 0 });
	struct vly_buffers *middle = vly_buffers_new(NULL, (uint32_t[]){ 0, 2, 0 });

	cr_assert_eq(vly_buffers_count_bytes(NULL), 0);
	cr_assert_eq(vly_buffers_count_bytes(none), 0);
	cr_assert_eq(vly_buffers_count_bytes(middle), 2 * 2048);
	cr_assert_eq(vly_buffers_count_bytes(buffers), 7 * 256 + 5 * 2048 + 3 * 65536);
	vly_buffers_take(buffers, 1);
	cr_assert_eq(vly_buffers_count_bytes(buffers), 7 * 256 + 5 * 2048 + 3 * 65536);
	vly_buffers_free(buffers);
	vly_buffers_free(none);
	vly_buffers_free(middle);
}
