/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/raw.h"

#define N 8

struct fixture {
	struct volley_addr addr; /* of fd, which talks to itself */
	struct mmsghdr msgs[N];
	struct iovec iovs[N];
	uint8_t payload[N][64];
	int fd;
};

static void open_fixture(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	f->fd = loopback_open("127.0.0.1:0", &f->addr);
	for (int i = 0; i < N; i++) {
		f->iovs[i].iov_base = f->payload[i];
		f->iovs[i].iov_len = sizeof f->payload[i];
		f->msgs[i].msg_hdr.msg_iov = &f->iovs[i];
		f->msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static void aim(struct fixture *f)
{
	for (int i = 0; i < N; i++) {
		f->payload[i][0] = (uint8_t)(i + 1);
		f->iovs[i].iov_len = (size_t)
			i; /* the first is empty, and a datagram all the same */
		f->msgs[i].msg_hdr.msg_name = &f->addr.sa;
		f->msgs[i].msg_hdr.msg_namelen = f->addr.len;
	}
}

Test(raw, a_batch_goes_and_comes)
{
	struct fixture out, in;
	int n = 0;

	open_fixture(&out);
	open_fixture(&in);
	aim(&out);
	for (int i = 0; i < N; i++)
		out.msgs[i].msg_hdr.msg_name = &in.addr.sa;
	cr_assert_eq(vly_raw_sendmmsg(out.fd, out.msgs, N), N);
	while (n < N && loopback_wait(in.fd)) {
		int r = vly_raw_recvmmsg(in.fd, in.msgs + n, N - (unsigned int)n);

		cr_assert_gt(r, 0);
		n += r;
	}
	for (int i = 0; i < N; i++) {
		cr_assert_eq(in.msgs[i].msg_len, (unsigned int)i);
		cr_assert_eq(in.payload[i][0], i == 0 ? 0 : i + 1);
	}
	cr_assert_eq(vly_raw_recvmmsg(in.fd, in.msgs, N), -EAGAIN, "a blocking socket, and yet");
	close(out.fd);
	close(in.fd);
}

Test(raw, single_messages_go_and_come)
{
	struct fixture f;

	open_fixture(&f);
	cr_assert_eq(vly_raw_recvmsg(f.fd, &f.msgs[0].msg_hdr), -EAGAIN);
	aim(&f);
	cr_assert_eq(vly_raw_sendmsg(f.fd, &f.msgs[5].msg_hdr), 5);
	cr_assert(loopback_wait(f.fd));
	f.iovs[0].iov_len = 64;
	f.msgs[0].msg_hdr.msg_name = NULL;
	cr_assert_eq(vly_raw_recvmsg(f.fd, &f.msgs[0].msg_hdr), 5);
	cr_assert_eq(f.payload[0][0], 6);
	close(f.fd);
}

Test(raw, a_bad_message_is_reported_by_its_own_call)
{
	struct volley_addr port_0;
	struct fixture f;

	open_fixture(&f);
	aim(&f);
	port_0 = f.addr;
	port_0.in.sin_port = 0;
	f.msgs[3].msg_hdr.msg_name = &port_0.sa;
	cr_assert_eq(vly_raw_sendmmsg(f.fd, f.msgs, N), 3);
	cr_assert_eq(vly_raw_sendmmsg(f.fd, f.msgs + 3, N - 3), -EINVAL);
	cr_assert_eq(vly_raw_sendmmsg(f.fd, f.msgs + 4, N - 4), N - 4);
	cr_assert_eq(vly_raw_sendmsg(f.fd, &f.msgs[3].msg_hdr), -EINVAL);
	close(f.fd);
}

Test(raw, errors_are_negative_errno)
{
	struct fixture f;

	open_fixture(&f);
	fault_arm_from(FAULT_SYSCALL, 1, ENOBUFS);
	cr_assert_eq(vly_raw_recvmmsg(f.fd, f.msgs, N), -ENOBUFS);
	cr_assert_eq(vly_raw_sendmmsg(f.fd, f.msgs, N), -ENOBUFS);
	cr_assert_eq(vly_raw_recvmsg(f.fd, &f.msgs[0].msg_hdr), -ENOBUFS);
	cr_assert_eq(vly_raw_sendmsg(f.fd, &f.msgs[0].msg_hdr), -ENOBUFS);
	cr_assert_eq(fault_disarm(), 4);
	close(f.fd);
	cr_assert_eq(vly_raw_recvmmsg(f.fd, f.msgs, N), -EBADF);
}

Test(raw, nothing_to_do_is_zero)
{
	struct fixture f;

	open_fixture(&f);
	cr_assert_eq(vly_raw_sendmmsg(f.fd, f.msgs, 0), 0);
	cr_assert_eq(vly_raw_recvmmsg(f.fd, f.msgs, 0), 0);
	close(f.fd);
}
