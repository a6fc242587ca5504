/* SPDX-License-Identifier: MIT */

/*
 * The words of a hand-over: packets with a head, sent and waited for up to a deadline. Whoever is
 * served by the server meanwhile notices nothing; all of this happens on the caller's thread.
 */

#include "server/handover/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/opts.h"
#include "sys/clock.h"
#include "sys/lease.h"
#include "sys/pidfd.h"
#include "sys/poll.h"
#include "sys/socket.h"

/* "VLY" and the version of what is said. */
enum { MAGIC = 0x564c5905 };

/*
 * How often a wait looks whether the server is told to drain or close: either is late by so much at
 * most. Where the old process waits for what is on its way, quiesce() in export.c looks more often.
 */
enum { LOOK_MS = 20 };

struct vly_handover *vly_wire_new(const struct volley_allocator *allocator, int fd,
				  uint32_t timeout_us)
{
	struct vly_handover *handover = vly_mem_new(allocator, 1, sizeof *handover);

	if (handover == NULL)
		return NULL;
	handover->fd = fd;
	handover->peer_pidfd = -1;
	vly_wire_set_timeout(handover, timeout_us);
	return handover;
}

void vly_wire_close_fds(struct vly_handover *handover)
{
	while (handover->n_fds > 0)
		vly_socket_close(handover->fds[--handover->n_fds]);
}

void vly_wire_free(struct vly_handover *handover)
{
	if (handover == NULL)
		return;
	vly_wire_close_fds(handover);
	if (handover->peer_pidfd >= 0)
		vly_socket_close(handover->peer_pidfd);
	vly_mem_free(handover);
}

void vly_wire_set_timeout(struct vly_handover *handover, uint32_t timeout_us)
{
	handover->end_ns = vly_clock_get_ns() + vly_clock_convert_us(timeout_us);
}

bool vly_wire_is_aborted(const struct vly_handover *handover)
{
	return handover->abort != NULL &&
	       atomic_load_explicit(handover->abort, memory_order_relaxed);
}

/*
 * Until the conversation can be used, or it is time to give up. A dead process's end of it may stay
 * open, in a child that it has forked.
 */
static int wait(const struct vly_handover *handover, short events)
{
	struct pollfd fds[] = { { .fd = handover->fd, .events = events },
				{ .fd = handover->peer_pidfd, .events = POLLIN } };

	/* What is there counts, however late: this process may have slept all the time. */
	while (!vly_wire_is_aborted(handover)) {
		bool late = vly_clock_get_ns() >= handover->end_ns;
		int r = vly_poll_wait(fds, 2, late ? 0 : LOOK_MS);

		if (r > 0 && fds[0].revents == 0) /* dead; it may have spoken between the looks */
			return vly_poll_wait(fds, 1, 0) > 0 ? 0 : -EPIPE;
		if (r > 0)
			return 0;
		if (late)
			return -ETIMEDOUT;
	}
	return -ECANCELED;
}

static_assert(sizeof(struct vly_handover_counters) <= VLY_HANDOVER_N_BATCH * sizeof(uint32_t),
	      "all that comes has room in the body");

static int send_packet(struct vly_handover *handover, const struct vly_handover_head *head,
		       const void *body, const int *fds, uint32_t n_fds)
{
	uint8_t packet[sizeof *head + sizeof handover->body];
	int r;

	memcpy(packet, head, sizeof *head);
	if (head->n_bytes > 0)
		memcpy(packet + sizeof *head, body, head->n_bytes);
	for (;;) {
		r = vly_unix_send(handover->fd, packet, sizeof *head + head->n_bytes, fds, n_fds);
		if (r != -EAGAIN)
			return r == -ECONNRESET ? -EPIPE : r;
		if (vly_clock_get_ns() >= handover->end_ns) /* polled for nothing, for so long */
			return -ETIMEDOUT;
		r = wait(handover, POLLOUT);
		if (r < 0)
			return r;
	}
}

int vly_wire_send(struct vly_handover *handover, enum vly_handover_type type, uint32_t n,
		  const void *body, uint32_t n_bytes)
{
	const struct vly_handover_head head = {
		.magic = MAGIC, .type = type, .n = n, .n_bytes = n_bytes
	};

	return send_packet(handover, &head, body, NULL, 0);
}

int vly_wire_send_fds(struct vly_handover *handover, enum vly_handover_type type, const int *fds,
		      const uint8_t *bytes, uint32_t n)
{
	const struct vly_handover_head head = {
		.magic = MAGIC, .type = type, .n = n, .n_bytes = bytes != NULL ? n : 0
	};

	assert(n <= VLY_UNIX_N_FDS);
	return send_packet(handover, &head, bytes, fds, n);
}

int vly_wire_send_self(struct vly_handover *handover, int watch_fd)
{
	int fds[] = { watch_fd, vly_pidfd_open() };
	int r = vly_wire_send_fds(handover, VLY_HANDOVER_HELLO, fds, NULL, fds[1] >= 0 ? 2 : 1);

	if (fds[1] >= 0)
		vly_socket_close(fds[1]);
	return r;
}

int vly_wire_take(struct vly_handover *handover)
{
	uint8_t packet[sizeof handover->head + sizeof handover->body];
	int r;

	vly_wire_close_fds(handover); /* of a packet before, which nobody took */
	handover->head.type = 0;
	r = vly_unix_recv(handover->fd, packet, sizeof packet, handover->fds, &handover->n_fds);
	if (r <= 0)
		return r == 0 ? -EPIPE : r == -EMSGSIZE ? -EPROTO : r;
	if ((size_t)r < sizeof handover->head)
		return -EPROTO;
	memcpy(&handover->head, packet, sizeof handover->head);
	if (handover->head.magic != MAGIC ||
	    handover->head.n_bytes != (size_t)r - sizeof handover->head)
		r = -EPROTO;
	if (handover->head.type == VLY_HANDOVER_BOOKS &&
	    handover->head.n_bytes != sizeof handover->counters) /* old ones would stand there */
		r = -EPROTO;
	if (r < 0) {
		handover->head.type = 0;
		return r;
	}
	memcpy(handover->body, packet + sizeof handover->head, handover->head.n_bytes);
	return 0;
}

/* Nothing that changes it comes after these. */
static bool is_last(enum vly_handover_type type)
{
	return type == VLY_HANDOVER_RESUMED || type == VLY_HANDOVER_QUIT ||
	       type == VLY_HANDOVER_BOOKS;
}

int vly_wire_take_last(struct vly_handover *handover, int error)
{
	struct vly_handover_head last = handover->head;

	while (!is_last(last.type) && vly_wire_take(handover) >= 0)
		last = handover->head;
	handover->head = last;
	vly_wire_close_fds(handover);
	return error;
}

/*
 * Fields that this process does not know, or the other does not, are zero or left out. A drop that
 * the other has no name for is zero. One that this process has no name for would be lost.
 */
int vly_wire_read_stats(const struct vly_handover_counters *counters,
			struct volley_stats *ret_stats)
{
	struct volley_stats stats = { .size = sizeof stats };

	if (counters->n_rx_drops > VOLLEY_RX_N_DROPS || counters->n_tx_drops > VOLLEY_TX_N_DROPS ||
	    vly_opts_read(&stats, sizeof stats, sizeof(size_t), &counters->stats) < 0)
		return -EPROTO;
	*ret_stats = stats;
	return 0;
}

static bool has_fds(enum vly_handover_type type)
{
	return type == VLY_HANDOVER_SOCKETS || type == VLY_HANDOVER_HELLO ||
	       type == VLY_HANDOVER_OTHERS || type == VLY_HANDOVER_FURTHER;
}

/* Descriptors come where they are said to come, and nowhere else. */
static bool is_expected(const struct vly_handover *handover, enum vly_handover_type type)
{
	return handover->head.type == type &&
	       handover->n_fds == (has_fds(type) ? handover->head.n : 0);
}

int vly_wire_recv(struct vly_handover *handover, enum vly_handover_type type)
{
	int r;

	vly_wire_close_fds(handover);
	handover->head.type = 0;
	do {
		r = wait(handover, POLLIN);
		if (r >= 0)
			r = vly_wire_take(handover);
	} while (r == -EAGAIN && vly_clock_get_ns() < handover->end_ns); /* polled for nothing */
	if (r == -EAGAIN)
		r = -ETIMEDOUT;
	if (r >= 0 && handover->head.type == VLY_HANDOVER_RESUMED)
		r = handover->head.n != 0 ? -EPIPE : -ECANCELED;
	else if (r >= 0 && handover->head.type != type &&
		 (handover->head.type == VLY_HANDOVER_QUIT ||
		  handover->head.type == VLY_HANDOVER_BOOKS))
		r = -EPIPE;
	else if (r >= 0 && !is_expected(handover, type))
		r = -EPROTO;
	if (r < 0)
		vly_wire_close_fds(handover);
	return r;
}

/* What is no process passes for a dead one, or one that never dies: in doubt both serve. */
int vly_wire_recv_peer(struct vly_handover *handover, int *ret_watch_fd)
{
	int r = vly_wire_recv(handover, VLY_HANDOVER_HELLO);

	if (r >= 0 &&
	    (handover->n_fds < 1 || handover->n_fds > 2 || !vly_lease_is_watch(handover->fds[0])))
		r = -EPROTO;
	if (r >= 0 && vly_lease_is_over(handover->fds[0])) /* it is gone already */
		r = -EPIPE;
	if (r < 0) {
		vly_wire_close_fds(handover);
		return r;
	}
	*ret_watch_fd = handover->fds[0];
	handover->peer_pidfd = handover->n_fds > 1 ? handover->fds[1] : -1;
	handover->n_fds = 0;
	return 0;
}

bool vly_wire_is_peer_dead(const struct vly_handover *handover)
{
	return handover->peer_pidfd >= 0 && vly_pidfd_is_dead(handover->peer_pidfd);
}
