/* SPDX-License-Identifier: MIT */

/*
 * io_uring with liburing: one multishot recvmsg over a ring of provided buffers, each datagram
 * replied to by a sendmsg out of the buffer it came in, which goes back to the ring when the send
 * has completed. All sends of a round are submitted by one system call. The multishot request ends
 * on a zero-length datagram and when the buffers run out, and is armed again.
 *
 * The ring is made by the thread that runs it (IORING_SETUP_SINGLE_ISSUER), hence on the first run.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <liburing.h>

#include "peers.h"

#define N_BUFFERS 256 /* a power of two; more than a round takes, so that sends never starve it */
#define N_ENTRIES 512
#define N_HEAD    (sizeof(struct io_uring_recvmsg_out) + sizeof(struct sockaddr_in6))
#define STRIDE    ((size_t)1027 * 64) /* odd number of cache lines, 65,507 bytes and the head */
#define RECV_TAG  N_BUFFERS

struct io_uring_state {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	size_t n_mapped;
	char *slots;
	struct msghdr recv_msg;
	struct msghdr msgs[N_BUFFERS];
	struct iovec iovs[N_BUFFERS];
	int must_arm;
	int is_ready;
};

static void give_buffer(struct io_uring_state *s, unsigned int i)
{
	io_uring_buf_ring_add(s->buffers, s->slots + i * STRIDE, STRIDE, (unsigned short)i,
			      N_BUFFERS - 1, 0);
	io_uring_buf_ring_advance(s->buffers, 1);
}

static int set_up(struct bench_loop *loop)
{
	struct io_uring_state *s = loop->state;
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
					  .cq_entries = 4 * N_ENTRIES };
	struct io_uring_buf_reg reg = { .ring_entries = N_BUFFERS };
	int r = io_uring_queue_init_params(N_ENTRIES, &s->ring, &params);

	if (r == -EINVAL) { /* before Linux 6.1 */
		params = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE,
						   .cq_entries = 4 * N_ENTRIES };
		r = io_uring_queue_init_params(N_ENTRIES, &s->ring, &params);
	}
	if (r < 0)
		return r;
	s->n_mapped = N_BUFFERS * sizeof(struct io_uring_buf);
	s->buffers = mmap(NULL, s->n_mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	if (s->buffers == MAP_FAILED)
		return -ENOMEM;
	reg.ring_addr = (uint64_t)(uintptr_t)s->buffers;
	r = io_uring_register_buf_ring(&s->ring, &reg, 0);
	if (r < 0)
		return r;
	io_uring_buf_ring_init(s->buffers);
	for (unsigned int i = 0; i < N_BUFFERS; i++)
		give_buffer(s, i);
	s->recv_msg.msg_namelen = sizeof(struct sockaddr_in6);
	s->must_arm = 1;
	s->is_ready = 1;
	return 0;
}

static void arm(struct bench_loop *loop)
{
	struct io_uring_state *s = loop->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	if (sqe == NULL)
		return;
	io_uring_prep_recvmsg_multishot(sqe, loop->fd, &s->recv_msg, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	sqe->user_data = RECV_TAG;
	s->must_arm = 0;
}

/* Queue the reply out of the buffer that the datagram came in. */
static void queue_reply(struct bench_loop *loop, const struct io_uring_cqe *cqe)
{
	struct io_uring_state *s = loop->state;
	unsigned int i = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(s->slots + i * STRIDE,
								     cqe->res, &s->recv_msg);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	if (sqe == NULL) {
		io_uring_submit(&s->ring);
		sqe = io_uring_get_sqe(&s->ring);
	}
	if (out == NULL || sqe == NULL) {
		loop->counters->n_failed++;
		give_buffer(s, i);
		return;
	}
	s->iovs[i].iov_base = io_uring_recvmsg_payload(out, &s->recv_msg);
	s->iovs[i].iov_len = io_uring_recvmsg_payload_length(out, cqe->res, &s->recv_msg);
	s->msgs[i] = (struct msghdr){ .msg_name = io_uring_recvmsg_name(out),
				      .msg_namelen = out->namelen,
				      .msg_iov = &s->iovs[i],
				      .msg_iovlen = 1 };
	io_uring_prep_sendmsg(sqe, loop->fd, &s->msgs[i], 0);
	sqe->user_data = i;
}

/* Returns how many replies have left. */
static unsigned int handle(struct bench_loop *loop, const struct io_uring_cqe *cqe)
{
	struct io_uring_state *s = loop->state;

	if (cqe->user_data != RECV_TAG) {
		if (cqe->res < 0)
			loop->counters->n_failed++;
		give_buffer(s, (unsigned int)cqe->user_data);
		return 1;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		s->must_arm = 1;
	if (cqe->res >= 0 && (cqe->flags & IORING_CQE_F_BUFFER))
		queue_reply(loop, cqe);
	return 0;
}

static int io_uring_run(struct bench_loop *loop, uint64_t n)
{
	struct io_uring_state *s = loop->state;

	if (!s->is_ready) {
		int r = set_up(loop);

		if (r < 0)
			return r;
	}
	while (n > 0) {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0, n_sent = 0;

		if (s->must_arm)
			arm(loop);
		loop->counters->n_recv_calls++;
		io_uring_submit_and_wait(&s->ring, 1);
		io_uring_for_each_cqe(&s->ring, head, cqe)
		{
			n_sent += handle(loop, cqe);
			seen++;
		}
		io_uring_cq_advance(&s->ring, seen);
		if (n_sent)
			bench_counters_add(loop->counters, n_sent);
		n -= n < n_sent ? n : n_sent;
	}
	return 0;
}

static int io_uring_open(struct bench_loop *loop)
{
	struct io_uring_state *s = calloc(1, sizeof *s);

	loop->state = s;
	if (s == NULL)
		return -ENOMEM;
	s->slots = calloc(N_BUFFERS, STRIDE);
	return s->slots != NULL ? 0 : -ENOMEM;
}

static void io_uring_close(struct bench_loop *loop)
{
	struct io_uring_state *s = loop->state;

	if (s == NULL)
		return;
	if (s->is_ready)
		io_uring_queue_exit(&s->ring);
	if (s->n_mapped)
		munmap(s->buffers, s->n_mapped);
	free(s->slots);
	free(s);
}

static const char *io_uring_version(void)
{
	return "liburing " BENCH_LIBURING_VERSION;
}

const struct bench_peer bench_peer_io_uring = {
	.name = "io_uring",
	.about = "io_uring, multishot recvmsg, provided buffers",
	.version = io_uring_version,
	.open = io_uring_open,
	.run = io_uring_run,
	.close = io_uring_close,
};
