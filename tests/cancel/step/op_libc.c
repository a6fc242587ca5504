/* SPDX-License-Identifier: MIT */

/* The C library's own cancellation points, for comparison: pthread_cancel(), deferred. */

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "step.h"

static struct mmsghdr msgs[N_BATCH];
static struct iovec iovs[N_BATCH];
static uint32_t numbers[N_BATCH];
static pthread_t self;

static void attach(void)
{
	int old;

	self = pthread_self();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
}

static void before(const struct op *op)
{
	int old;

	/* Once without anything to do, so that the dynamic linker is not part of the call. */
	recvmmsg(wires.recv_in, msgs, 0, MSG_DONTWAIT, NULL);
	sendmmsg(wires.send_in, msgs, 0, MSG_DONTWAIT);
	recvmsg(-1, &msgs[0].msg_hdr, 0);
	sendmsg(-1, &msgs[0].msg_hdr, 0);
	(void)op;
	for (uint32_t i = 0; i < N_BATCH; i++) {
		numbers[i] = i;
		iovs[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
}

static void after(const struct op *op)
{
	(void)op;
}

static int request(void)
{
	return -pthread_cancel(self);
}

/* Only what the call returned counts as reported: a thread that was unwound told nobody. */
static int64_t report(int n)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	for (int i = 0; i < n; i++)
		shared->reported[i] = numbers[i];
	shared->n_reported = n > 0 ? n : 0;
	return n;
}

static int64_t call_recvmmsg(void)
{
	return report(recvmmsg(wires.recv_in, msgs, N_BATCH, MSG_WAITFORONE, NULL));
}

static int64_t call_sendmmsg(void)
{
	return report(sendmmsg(wires.send_in, msgs, N_BATCH, 0));
}

static int64_t call_recvmsg(void)
{
	return report(recvmsg(wires.recv_in, &msgs[0].msg_hdr, 0) >= 0 ? 1 : -1);
}

static int64_t call_sendmsg(void)
{
	return report(sendmsg(wires.send_in, &msgs[0].msg_hdr, 0) >= 0 ? 1 : -1);
}

static const struct op ops[] = {
	{ "recvmmsg", RECEIVES, call_recvmmsg, EVENT_NONE, true },
	{ "sendmmsg", SENDS, call_sendmmsg, EVENT_NONE, true },
	{ "recvmsg", RECEIVES, call_recvmsg, EVENT_NONE, false },
	{ "sendmsg", SENDS, call_sendmsg, EVENT_NONE, false },
};

const struct library c_library = {
	.name = "libc",
	.ops = ops,
	.n_ops = sizeof ops / sizeof ops[0],
	.attach = attach,
	.before = before,
	.after = after,
	.request = request,
	.single_use = true,
};
