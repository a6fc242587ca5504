/* SPDX-License-Identifier: MIT */

/*
 * Backend "mmsg": recvmmsg and sendmmsg, one system call for a volley. The default on Linux.
 */

#include <volley/mmsg.h>

#include "io/msgs.h"
#include "sys/raw.h"

static int recv_wait(int fd, struct mmsghdr *msgs, unsigned int n)
{
	return volley_recvmmsg(fd, msgs, n, MSG_TRUNC);
}

static const struct vly_msgs_calls calls = {
	.batched = true,
	.recv = vly_raw_recvmmsg,
	.send = vly_raw_sendmmsg,
	.recv_wait = recv_wait,
};

static int io_mmsg_open(struct vly_slots *slots, struct vly_io **ret_io)
{
	return vly_msgs_open(slots, &calls, ret_io);
}

const struct vly_io_ops vly_io_mmsg_ops = {
	.name = "mmsg",
	.needs = 1u << VLY_PROBE_RECVMMSG | 1u << VLY_PROBE_SENDMMSG,
	.open = io_mmsg_open,
	.attach = vly_msgs_attach,
	.detach = vly_msgs_detach,
	.recv = vly_msgs_recv,
	.send = vly_msgs_send,
	.close = vly_msgs_close,
};
