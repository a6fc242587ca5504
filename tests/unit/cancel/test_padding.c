/* SPDX-License-Identifier: MIT */

/*
 * Message headers whose padding is full of garbage, as a C library may have them that follows
 * POSIX's narrower fields (musl): every call must send and receive them all the same, control
 * messages included. A plain program, because Criterion is not there for musl.
 */

#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "lib/check.h"

static int pair[2];
static char buf[4];
static struct iovec iov = { buf, sizeof buf };
static alignas(size_t) unsigned char control[CMSG_SPACE(sizeof(int))];

static void prepare(struct msghdr *msg)
{
	memset(msg, 0xff, sizeof *msg);
	msg->msg_name = NULL;
	msg->msg_namelen = 0;
	msg->msg_iov = &iov;
	msg->msg_iovlen = 1;
	msg->msg_control = control;
	msg->msg_controllen = sizeof control;
	msg->msg_flags = 0;
}

/* A descriptor is sent along, so that something can be seen to have arrived. */
static void prepare_control(struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	memset(control, 0xff, sizeof control);
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(cmsg), &pair[0], sizeof(int));
}

static void check_control(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd = -1;

	REQUIRE(cmsg != NULL);
	CHECK_EQ(cmsg->cmsg_len, CMSG_LEN(sizeof(int)));
	CHECK_EQ(cmsg->cmsg_type, SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
	CHECK_EQ(close(fd), 0);
}

int main(void)
{
	struct mmsghdr msgs[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
	REQUIRE(volley_cancel_attach(NULL) == 0);

	prepare(&msgs[0].msg_hdr);
	prepare_control(&msgs[0].msg_hdr);
	CHECK_EQ(volley_sendmsg(pair[0], &msgs[0].msg_hdr, 0), sizeof buf);
	prepare(&msgs[0].msg_hdr);
	CHECK_EQ(volley_recvmsg(pair[1], &msgs[0].msg_hdr, MSG_DONTWAIT), sizeof buf);
	check_control(&msgs[0].msg_hdr);

	prepare(&msgs[0].msg_hdr);
	prepare(&msgs[1].msg_hdr);
	prepare_control(&msgs[0].msg_hdr);
	CHECK_EQ(volley_sendmmsg(pair[0], msgs, 2, 0), 2);
	prepare(&msgs[0].msg_hdr);
	prepare(&msgs[1].msg_hdr);
	CHECK_EQ(volley_recvmmsg(pair[1], msgs, 1, 0), 1);
	check_control(&msgs[0].msg_hdr);
	CHECK_EQ(volley_recvmmsg(pair[1], &msgs[1], 1, 0), 1);
	check_control(&msgs[1].msg_hdr);
	return check_done();
}
