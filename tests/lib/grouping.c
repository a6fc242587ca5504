/* SPDX-License-Identifier: MIT */

/*
 * The rules of io/coalesce.h, one by one and by comparing everything with everything. For each
 * peer, the messages in the order of their heads must be its entries in order (by size: sorted,
 * longest first), every message must be one that the kernel can cut apart again and whose datagrams
 * leave the same way, and none may end before it has to.
 */

#include "lib/grouping.h"

#include <string.h>

/* The UDP payload of the largest IPv4 packet: 65,535 less 20 and 8 bytes of headers. */
enum { MAX_BYTES = 65535 - 20 - 8 };

struct message {
	uint32_t n;
	uint32_t n_bytes;
	uint32_t last; /* entry */
};

static bool is_same_addr(const struct volley_addr *a, const struct volley_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

bool grouping_is_same(const struct vly_tx *a, const struct vly_tx *b)
{
	if (!is_same_addr(a->peer, b->peer) || a->header != b->header)
		return false;
	return !(a->header & VLY_CMSG_HEADER_LOCAL) ||
	       (is_same_addr(a->local, b->local) && a->ifindex == b->ifindex);
}

/* Whether entry a has to come before entry b, when both go to one peer. */
static bool is_before(const struct vly_tx *tx, uint32_t a, uint32_t b, bool by_size)
{
	if (by_size && tx[a].len != tx[b].len)
		return tx[a].len > tx[b].len;
	return a < b;
}

/* Walk one message, whose entries are below `end`; each is noted as seen. */
static const char *walk(const struct vly_tx *tx, uint32_t head, uint32_t end, bool by_size,
			bool *seen, struct message *ret_message)
{
	struct message message = { .n = tx[head].n_segments };
	uint32_t entry = head;

	if (message.n == 0)
		return "a message without datagrams";
	for (uint32_t k = 0; k < message.n; k++) {
		if (k > 0) {
			if (tx[entry].next >= end || !is_before(tx, entry, tx[entry].next, by_size))
				return "a message goes back, or out of the flush";
			if (tx[entry].len != tx[head].len)
				return "a shorter datagram is not the last of its message";
			entry = tx[entry].next;
			if (!grouping_is_same(&tx[entry], &tx[head]))
				return "two ways in one message";
			if (tx[entry].len > tx[head].len)
				return "a datagram is longer than its message's first";
		}
		if (seen[entry])
			return "a datagram is in two messages";
		seen[entry] = true;
		message.n_bytes += tx[entry].len;
	}
	message.last = entry;
	*ret_message = message;
	return NULL;
}

static const char *judge_segmented(const struct vly_tx *tx, uint32_t head,
				   const struct message *message,
				   const struct vly_coalesce_limits *limits)
{
	if (message->n == 1)
		return NULL;
	if (message->n > limits->n_segments)
		return "more segments than the limit";
	if (tx[head].len > limits->segment_bytes)
		return "segments longer than the limit";
	if (message->n_bytes > MAX_BYTES)
		return "more than 65,507 bytes in a message";
	if (tx[message->last].len == 0)
		return "an empty datagram cannot be a segment";
	return NULL;
}

/* Whether entry `next` could have been the message's next one. */
static bool could_join(const struct vly_tx *tx, uint32_t head, const struct message *message,
		       uint32_t next, const struct vly_coalesce_limits *limits)
{
	return grouping_is_same(&tx[head], &tx[next]) && message->n < limits->n_segments &&
	       tx[head].len <= limits->segment_bytes && tx[message->last].len == tx[head].len &&
	       tx[next].len > 0 && tx[next].len <= tx[head].len &&
	       message->n_bytes + tx[next].len <= MAX_BYTES;
}

const char *grouping_find_fault(const struct vly_tx *tx, uint32_t first, uint32_t n,
				const struct vly_coalesce_limits *limits, const uint16_t *heads,
				uint32_t n_heads)
{
	static _Thread_local struct message messages[GROUPING_N];
	bool seen[GROUPING_N] = { false };
	bool by_size = limits->by_size && limits->n_segments > 1; /* alone, they need no sorting */
	const char *fault;

	for (uint32_t i = 0; i < n_heads; i++) {
		if (heads[i] < first || heads[i] >= first + n)
			return "a head out of the flush";
		fault = walk(tx, heads[i], first + n, by_size, seen, &messages[i]);
		if (fault == NULL)
			fault = judge_segmented(tx, heads[i], &messages[i], limits);
		if (fault != NULL)
			return fault;
		for (uint32_t k = i; k-- > 0;) {
			if (!is_same_addr(tx[heads[k]].peer, tx[heads[i]].peer))
				continue;
			if (is_before(tx, heads[i], messages[k].last, by_size))
				return "the order of a peer's datagrams changed";
			if (could_join(tx, heads[k], &messages[k], heads[i], limits))
				return "a message ended although the next datagram fitted";
			break;
		}
	}
	for (uint32_t i = first; i < first + n; i++)
		if (!seen[i])
			return "a datagram is in no message";
	return NULL;
}
