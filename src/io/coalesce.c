/* SPDX-License-Identifier: MIT */

/*
 * GSO: many datagrams to one peer walk the network stack as one message, and are cut apart at its
 * end. The kernel wants them equally long, but for the last, which may be shorter (UDP_SEGMENT,
 * Linux 4.18).
 *
 * Within one flush, entries are grouped by peer, wherever they stand: A B A B becomes two messages
 * as A A B B does. A small hash table finds the message that is open for a peer. An entry joins it
 * if it fits and leaves the same way (local address, link, TOS and TTL), else it opens the next
 * one. A message that got a shorter entry is closed, since that one must be the last; the next
 * entry of its peer opens a new message, behind it in order. So the order per peer is that in which
 * the replies were given, whatever options they have; between peers it may change, as it may on any
 * network.
 *
 * Where order does not matter, the flush is sorted by length beforehand, longest first, and then
 * grouped by the same rules: all equally long entries of a peer become one message, with one
 * shorter entry at its end, if they leave the same way.
 *
 * The table is sized for the flush at hand and cleared by its size, so a volley of one pays for
 * one.
 */

#include "io/coalesce.h"

#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "sys/addr.h"

/*
 * UDP payload of an IPv4 packet; IPv6 would take 20 bytes more, which is not worth a second number.
 */
enum { MAX_MESSAGE_BYTES = 65507 };

/* An open message, by its first entry. */
struct message {
	uint32_t n_bytes;
	uint16_t tail; /* its last entry */
	bool closed;
};

struct vly_coalesce {
	struct message *messages; /* by entry */
	uint16_t *table;          /* 1 + first entry of the peer's latest message; 0: free */
	uint16_t *heads;          /* the result: the first entry of each message */
	uint16_t *numbers;        /* 0, 1, 2 ...: the result where every entry is a message */
	uint16_t *order;          /* entries, longest first */
	uint16_t *order_half;     /* sorted by the lower half of the length */
};

struct vly_coalesce *vly_coalesce_new(const struct volley_allocator *allocator, uint32_t n_tx)
{
	struct vly_coalesce *coalesce = vly_mem_new(allocator, 1, sizeof *coalesce);

	if (coalesce == NULL)
		return NULL;
	coalesce->messages = vly_mem_new(allocator, n_tx, sizeof *coalesce->messages);
	coalesce->table = vly_mem_new(allocator, (size_t)n_tx * 4, sizeof *coalesce->table);
	coalesce->heads = vly_mem_new(allocator, n_tx, sizeof *coalesce->heads);
	coalesce->numbers = vly_mem_new(allocator, n_tx, sizeof *coalesce->numbers);
	coalesce->order = vly_mem_new(allocator, n_tx, sizeof *coalesce->order);
	coalesce->order_half = vly_mem_new(allocator, n_tx, sizeof *coalesce->order_half);
	if (coalesce->messages == NULL || coalesce->table == NULL || coalesce->heads == NULL ||
	    coalesce->numbers == NULL || coalesce->order == NULL || coalesce->order_half == NULL) {
		vly_coalesce_free(coalesce);
		return NULL;
	}
	for (uint32_t i = 0; i < n_tx; i++)
		coalesce->numbers[i] = (uint16_t)i;
	return coalesce;
}

void vly_coalesce_free(struct vly_coalesce *coalesce)
{
	if (coalesce == NULL)
		return;
	vly_mem_free(coalesce->messages);
	vly_mem_free(coalesce->table);
	vly_mem_free(coalesce->heads);
	vly_mem_free(coalesce->numbers);
	vly_mem_free(coalesce->order);
	vly_mem_free(coalesce->order_half);
	vly_mem_free(coalesce);
}

static bool is_same(const struct volley_addr *a, const struct volley_addr *b)
{
	return a == b || vly_addr_is_equal(a, b);
}

/* Two links may have a peer of the same address each. */
static bool is_same_way(const struct vly_tx *a, const struct vly_tx *b)
{
	if (a->header != b->header)
		return false;
	return !(a->header & VLY_CMSG_HEADER_LOCAL) ||
	       (is_same(a->local, b->local) && a->ifindex == b->ifindex);
}

/* The table's place for an entry's peer: where its latest message is, or a free one. */
static uint16_t *find(struct vly_coalesce *coalesce, const struct vly_tx *tx,
		      const struct vly_tx *entry, uint32_t n_bits)
{
	uint32_t mask = (1u << n_bits) - 1;
	uint32_t i = (uint32_t)(vly_addr_hash(entry->peer) >> (64 - n_bits));

	for (;; i = (i + 1) & mask) {
		uint16_t *place = &coalesce->table[i];

		if (*place == 0 || is_same(tx[*place - 1].peer, entry->peer))
			return place;
	}
}

/* Put an entry behind the message that starts at `head`; false when it has to leave by itself. */
static bool join(struct vly_coalesce *coalesce, struct vly_tx *tx, uint16_t head, uint16_t i,
		 const struct vly_coalesce_limits *limits)
{
	struct message *message = &coalesce->messages[head];

	if (message->closed || !is_same_way(&tx[head], &tx[i]) || tx[i].len > tx[head].len ||
	    tx[i].len == 0 || tx[head].n_segments >= limits->n_segments ||
	    message->n_bytes + tx[i].len > MAX_MESSAGE_BYTES)
		return false;
	tx[message->tail].next = i;
	tx[head].n_segments++;
	message->tail = i;
	message->n_bytes += tx[i].len;
	message->closed = tx[i].len < tx[head].len;
	return true;
}

/* No segmentation: every entry is a message. */
static uint32_t list(const struct vly_coalesce *coalesce, struct vly_tx *tx, uint32_t first,
		     uint32_t n, const uint16_t **ret_heads)
{
	for (uint32_t i = first; i < first + n; i++)
		tx[i].n_segments = 1;
	*ret_heads = &coalesce->numbers[first];
	return n;
}

/*
 * One pass of a radix sort by a byte of the length, largest first. It keeps the order of what has
 * the same byte, so the lower byte's pass and then the upper's sort by both.
 */
static void sort_by_byte(const struct vly_tx *tx, uint32_t shift, const uint16_t *from,
			 uint16_t *to, uint32_t n)
{
	uint16_t n_of[256] = { 0 };
	uint32_t at = 0;

	for (uint32_t i = 0; i < n; i++)
		n_of[tx[from[i]].len >> shift & 0xff]++;
	for (uint32_t byte = 256; byte-- > 0;) {
		uint32_t n_byte = n_of[byte];

		n_of[byte] = (uint16_t)at; /* from here on: where its next one goes */
		at += n_byte;
	}
	for (uint32_t i = 0; i < n; i++)
		to[n_of[tx[from[i]].len >> shift & 0xff]++] = from[i];
}

/* Entries first to first + n - 1, longest first, equally long ones in their order. */
static const uint16_t *sort(struct vly_coalesce *coalesce, const struct vly_tx *tx, uint32_t first,
			    uint32_t n)
{
	assert(n <= 1024);
	sort_by_byte(tx, 0, &coalesce->numbers[first], coalesce->order_half, n);
	sort_by_byte(tx, 8, coalesce->order_half, coalesce->order, n);
	return coalesce->order;
}

uint32_t vly_coalesce_run(struct vly_coalesce *coalesce, struct vly_tx *tx, uint32_t first,
			  uint32_t n, const struct vly_coalesce_limits *limits,
			  const uint16_t **ret_heads)
{
	const uint16_t *order = NULL;
	uint16_t *place = NULL;
	uint32_t last = 0;
	uint32_t n_heads = 0;
	uint32_t n_bits = 2;

	if (n <= 1 || limits->n_segments <= 1)
		return list(coalesce, tx, first, n, ret_heads);
	while (1u << n_bits < 2 * n) /* at most half full: probing ends after one or two places */
		n_bits++;
	memset(coalesce->table, 0, sizeof *coalesce->table << n_bits);
	if (limits->by_size)
		order = sort(coalesce, tx, first, n);
	for (uint32_t k = 0; k < n; k++) {
		uint16_t i = order != NULL ? order[k] : (uint16_t)(first + k);
		struct message *message = &coalesce->messages[i];

		tx[i].n_segments = 1;
		/* The views of one super-packet share their peer: no need to look again. */
		if (place == NULL || tx[i].peer != tx[last].peer)
			place = find(coalesce, tx, &tx[i], n_bits);
		last = i;
		if (*place != 0 && join(coalesce, tx, (uint16_t)(*place - 1), i, limits))
			continue;
		*place = (uint16_t)(i + 1);
		message->n_bytes = tx[i].len;
		message->tail = i;
		message->closed = tx[i].len == 0 || tx[i].len > limits->segment_bytes;
		coalesce->heads[n_heads++] = i;
	}
	*ret_heads = coalesce->heads;
	return n_heads;
}
