/* SPDX-License-Identifier: MIT */

/*
 * How to compose cancellable calls. Only the receive may sleep cancellably; once it has taken
 * messages the function is committed: it finishes in bounded time and says what became of each.
 *
 *	enter ---- recvmmsg ---- commit ---- transform, sendmmsg ---- leave
 *	   -ECANCELED, nothing taken |  never cancelled, all counted
 *
 * A request that comes after the commit is not lost: the next call of relay_once() fails with it.
 */

#include "relay.h"

#include <errno.h>
#include <poll.h>

/* A full output may hold up a committed relay, and so its cancellation, for that long. */
#define MAX_FULL_MS 50

void relay_init(struct relay *relay, int in, int out, relay_transform_fn transform, void *arg)
{
	*relay = (struct relay){ .in = in, .out = out, .transform = transform, .arg = arg };
	for (int i = 0; i < RELAY_BATCH; i++) {
		relay->msgs[i].msg_hdr.msg_iov = &relay->iovs[i];
		relay->msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static void prepare_receive(struct relay *relay)
{
	for (int i = 0; i < RELAY_BATCH; i++)
		relay->iovs[i] = (struct iovec){ relay->data[i], sizeof relay->data[i] };
}

static void transform(struct relay *relay, int n)
{
	for (int i = 0; i < n; i++) {
		relay->iovs[i].iov_len = relay->msgs[i].msg_len;
		if (relay->transform != NULL)
			relay->transform(relay->data[i], relay->msgs[i].msg_len, relay->arg);
	}
}

/* A short count is not an error: the next call starts at the message that stopped this one. */
static void send_all(struct relay *relay, int n, struct relay_counts *counts)
{
	const struct timespec full = { .tv_nsec = MAX_FULL_MS * 1000000L };
	struct pollfd room = { .fd = relay->out, .events = POLLOUT };

	for (int i = 0; i < n;) {
		int r = volley_sendmmsg(relay->out, &relay->msgs[i], (unsigned int)(n - i),
					MSG_DONTWAIT);

		if (r > 0) {
			counts->n_sent += (uint64_t)r;
			i += r;
		} else if (r != -EAGAIN || volley_ppoll(&room, 1, &full, NULL) <= 0) {
			counts->n_failed++;
			i++;
		}
	}
}

int relay_once(struct relay *relay, struct relay_counts *counts)
{
	int n = volley_cancel_enter();

	if (n < 0)
		return n;
	prepare_receive(relay);
	n = volley_recvmmsg(relay->in, relay->msgs, RELAY_BATCH, 0);
	if (n > 0) {
		volley_cancel_commit();
		counts->n_received += (uint64_t)n;
		transform(relay, n);
		send_all(relay, n, counts);
	}
	volley_cancel_leave();
	return n;
}
