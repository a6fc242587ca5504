/* SPDX-License-Identifier: MIT */

/*
 * Backend "msg": loops over recvmsg and sendmsg, for systems without the batch calls and to compare
 * with.
 *
 * The loops keep the batch calls' contract: an error after the first message ends the loop with the
 * count. It is not lost: a receive error that belongs to the socket was already consumed by the
 * call that reported it (an asynchronous ICMP error, which the data path ignores anyway), and a
 * send error returns by itself when the outbox sends the same message again.
 */

#include <volley/mmsg.h>

#include "io/msgs.h"
#include "sys/raw.h"

static int recv_more(int fd, struct mmsghdr *msgs, unsigned int i, unsigned int n)
{
	for (; i < n; i++) {
		int r = vly_raw_recvmsg(fd, &msgs[i].msg_hdr);

		if (r < 0)
			return i > 0 ? (int)i : r;
		msgs[i].msg_len = (unsigned int)r;
	}
	return (int)n;
}

static int recv_now(int fd, struct mmsghdr *msgs, unsigned int n)
{
	return recv_more(fd, msgs, 0, n);
}

static int recv_wait(int fd, struct mmsghdr *msgs, unsigned int n)
{
	long r = volley_recvmsg(fd, &msgs[0].msg_hdr, MSG_TRUNC);

	if (r < 0)
		return (int)r;
	msgs[0].msg_len = (unsigned int)r;
	return recv_more(fd, msgs, 1, n);
}

static int send_now(int fd, struct mmsghdr *msgs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		int r = vly_raw_sendmsg(fd, &msgs[i].msg_hdr);

		if (r < 0)
			return i > 0 ? (int)i : r;
	}
	return (int)n;
}

static const struct vly_msgs_calls calls = {
	.recv = recv_now,
	.send = send_now,
	.recv_wait = recv_wait,
};

static int io_msg_open(struct vly_slots *slots, struct vly_io **ret_io)
{
	return vly_msgs_open(slots, &calls, ret_io);
}

const struct vly_io_ops vly_io_msg_ops = {
	.name = "msg",
	.needs = 1u << VLY_PROBE_RECVMSG | 1u << VLY_PROBE_SENDMSG,
	.open = io_msg_open,
	.attach = vly_msgs_attach,
	.detach = vly_msgs_detach,
	.recv = vly_msgs_recv,
	.send = vly_msgs_send,
	.close = vly_msgs_close,
};
