/* SPDX-License-Identifier: MIT */

/*
 * TX grouping: any flush, judged by its rules (lib/grouping.c). The input is the limits, and three
 * bytes for each entry: the destination, the size's class, and the size.
 */

#include "fuzz/fuzz.h"
#include "lib/grouping.h"
#include "lib/loopback.h"

enum { N_PEERS = 64 };

static struct volley_addr peers[N_PEERS];
static struct volley_addr locals[2];

static struct vly_coalesce *prepare(void)
{
	for (uint32_t i = 0; i < N_PEERS; i++) {
		peers[i] = loopback_addr(i % 2 ? "[fe80::1]:0" : "127.0.0.1:0");
		peers[i].in.sin_port = (in_port_t)(i / 4 * 0x0101);
		if (i % 4 == 3)
			peers[i].in6.sin6_scope_id = 2;
	}
	locals[0] = loopback_addr("127.0.0.1:7");
	locals[1] = loopback_addr("127.0.0.2:7");
	return vly_coalesce_new(NULL, GROUPING_N);
}

static uint32_t take_size(struct fuzz_input *input)
{
	static const uint32_t bases[] = { 0, 1, 64, 1200, 8190, 32750, 65500, 65527 };
	uint32_t base = bases[fuzz_take(input, 1) % 8];
	uint32_t size = base + fuzz_take(input, 1) % 32;

	return size > 65527 ? 65527 : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vly_coalesce *coalesce;
	static struct vly_tx tx[GROUPING_N];
	struct fuzz_input input = { data, size };
	struct vly_coalesce_limits limits;
	uint32_t how = fuzz_take(&input, 1);
	uint32_t first = how % 8;
	uint32_t n = first;
	const uint16_t *heads;
	const char *fault;
	uint32_t n_heads;

	if (coalesce == NULL)
		coalesce = prepare();
	FUZZ_CHECK(coalesce != NULL);
	limits.n_segments = 1 + fuzz_take(&input, 1) % 128;
	limits.segment_bytes = fuzz_take(&input, 2);
	limits.by_size = how & 128;
	for (; n < GROUPING_N && input.size > 0; n++) {
		uint32_t where = fuzz_take(&input, 1);

		tx[n] = (struct vly_tx){ .peer = &peers[where % N_PEERS],
					 .local = &locals[where < 192],
					 .header = (where < 128 ? 0 : VLY_CMSG_HEADER_LOCAL) |
						   (where % 3 ? 0 : VLY_CMSG_HEADER_TOS | 1),
					 .len = take_size(&input),
					 .next = (uint16_t)where,
					 .n_segments = (uint16_t)where };
	}
	n_heads = vly_coalesce_run(coalesce, tx, first, n - first, &limits, &heads);
	fault = grouping_find_fault(tx, first, n - first, &limits, heads, n_heads);
	if (fault != NULL)
		fprintf(stderr, "%s\n", fault);
	FUZZ_CHECK(fault == NULL);
	return 0;
}
