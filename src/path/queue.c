/* SPDX-License-Identifier: MIT */

/*
 * One line of replies. The two errors that put a reply here wait differently. EAGAIN is the
 * socket's own buffer: POLLOUT reports room. ENOBUFS comes from the device's queue below it, about
 * which POLLOUT knows nothing (it is set at once, and waiting for it would spin). So that one is
 * retried by the clock: after 500 us, doubling to 8 ms.
 */

#include "path/queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "sys/clock.h"

/* A device queue of 1,000 packets at 1 Gbit/s drains in 0.5 to 12 ms. */
enum { FIRST_RETRY_US = 500, LAST_RETRY_US = 8000 };

void vly_queue_set_retry(struct vly_queue *queue, int error, uint64_t now_ns)
{
	uint32_t us = queue->retry_us * 2;

	if (error != -ENOBUFS) {
		queue->retry_us = 0;
		return;
	}
	if (us < FIRST_RETRY_US)
		us = FIRST_RETRY_US;
	if (us > LAST_RETRY_US)
		us = LAST_RETRY_US;
	queue->retry_us = us;
	queue->retry_ns = now_ns + vly_clock_convert_us(us);
}

bool vly_queue_push(struct vly_queue *queue, struct vly_buffers *pool, const struct vly_tx *tx,
		    int error, uint64_t now_ns)
{
	struct vly_buffer *buffer = vly_buffers_take(pool, tx->len);

	if (buffer == NULL)
		return false;
	memcpy(buffer->data, tx->data, tx->len);
	buffer->len = tx->len;
	buffer->peer = *tx->peer;
	vly_buffer_set_way(buffer, tx->header, tx->local, tx->ifindex);
	buffer->node.next = NULL;
	if (queue->n == 0) {
		queue->first = buffer;
		vly_queue_set_retry(queue, error, now_ns);
	} else {
		queue->last->node.next = &buffer->node;
	}
	queue->last = buffer;
	queue->n++;
	return true;
}

void vly_queue_set_deadline(struct vly_queue *queue, uint64_t deadline_ns)
{
	assert(queue->n > 0);

	queue->last->deadline_ns = deadline_ns;
}

uint32_t vly_queue_fill(const struct vly_queue *queue, struct vly_tx *tx, uint32_t n)
{
	const struct vly_buffer *buffer = queue->n > 0 ? queue->first : NULL;
	uint32_t i = 0;

	for (; buffer != NULL && i < n; buffer = vly_buffer_get_next(buffer))
		tx[i++] = (struct vly_tx){
			.data = buffer->data,
			.len = buffer->len,
			.peer = &buffer->peer,
			.local = vly_buffer_get_local(buffer),
			.ifindex = buffer->info.reply_ifindex,
			.header = buffer->header,
		};
	return i;
}

static void take_out(struct vly_queue *queue, struct vly_buffer *previous,
		     struct vly_buffer *buffer)
{
	if (previous != NULL)
		previous->node.next = buffer->node.next;
	else
		queue->first = vly_buffer_get_next(buffer);
	if (queue->last == buffer)
		queue->last = previous;
	queue->n--;
	if (queue->n == 0)
		queue->retry_us = 0; /* the next line begins with the first pause */
}

void vly_queue_pop(struct vly_queue *queue, struct vly_buffers *pool)
{
	struct vly_buffer *first = queue->first;

	assert(queue->n > 0);

	take_out(queue, NULL, first);
	vly_buffers_put(pool, first);
}

/* What leaves in company may have stood anywhere among the first n. */
void vly_queue_settle(struct vly_queue *queue, struct vly_buffers *pool, const bool *stays,
		      uint32_t n)
{
	struct vly_buffer *previous = NULL;
	struct vly_buffer *next = queue->first;

	assert(n <= queue->n);
	for (uint32_t i = 0; i < n; i++) {
		struct vly_buffer *buffer = next;

		next = vly_buffer_get_next(buffer);
		if (stays[i]) {
			previous = buffer;
			continue;
		}
		take_out(queue, previous, buffer);
		vly_buffers_put(pool, buffer);
	}
}

bool vly_queue_is_due(const struct vly_queue *queue, uint64_t now_ns)
{
	return queue->retry_us == 0 || queue->retry_ns <= now_ns;
}

bool vly_queue_is_late(const struct vly_queue *queue, uint64_t now_ns)
{
	return queue->n > 0 && queue->first->deadline_ns <= now_ns;
}

uint64_t vly_queue_get_time(const struct vly_queue *queue)
{
	uint64_t deadline_ns = queue->first->deadline_ns;

	assert(queue->n > 0);
	return queue->retry_us > 0 && queue->retry_ns < deadline_ns ? queue->retry_ns : deadline_ns;
}
