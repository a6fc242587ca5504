/* SPDX-License-Identifier: MIT */

/*
 * Mail. A push wakes the worker at most once for each of its sleeps; the inbox knows whether it
 * must. The handle is how a thread is cancelled; its waker is the same eventfd, so that a
 * cancellation request ends a wait in epoll as well.
 */

#include "path/mail.h"

#include <stddef.h>

#include "sys/wake.h"

void vly_mail_reset(struct vly_mail *mail)
{
	mail->event_fd = -1;
}

int vly_mail_init(struct vly_mail *mail, enum vly_mail_sleep sleep)
{
	vly_inbox_init(&mail->inbox);
	mail->sleep = sleep;
	mail->event_fd = vly_wake_open();
	return mail->event_fd < 0 ? mail->event_fd : 0;
}

void vly_mail_fini(struct vly_mail *mail)
{
	vly_wake_close(mail->event_fd);
	vly_mail_reset(mail);
}

int vly_mail_attach(struct vly_mail *mail)
{
	struct volley_cancel *handle;
	int r = volley_cancel_attach(&handle);

	assert(mail->sleep != VLY_MAIL_IN_CALLERS);
	if (r < 0)
		return r;
	r = volley_cancel_set_waker(mail->event_fd);
	if (r < 0) {
		volley_cancel_detach();
		volley_cancel_unref(handle);
		return r;
	}
	/* seq_cst: publishes the attached thread to volley_server_request_stop() */
	atomic_store_explicit(&mail->handle, handle, memory_order_seq_cst);
	return 0;
}

struct volley_cancel *vly_mail_detach(struct vly_mail *mail)
{
	return atomic_exchange_explicit(&mail->handle, NULL, memory_order_seq_cst);
}

/* -ESRCH: the thread has left already. In a loop it would have been woken by the eventfd. */
static void request(struct vly_mail *mail, struct volley_cancel *handle)
{
	if (volley_cancel_request(handle) > 0 && mail->sleep == VLY_MAIL_IN_CALL)
		atomic_store_explicit(&mail->was_deaf, true, memory_order_relaxed);
}

bool vly_mail_take_deaf(struct vly_mail *mail)
{
	return atomic_exchange_explicit(&mail->was_deaf, false, memory_order_relaxed);
}

void vly_mail_cancel(struct vly_mail *mail)
{
	struct volley_cancel *handle = atomic_load_explicit(&mail->handle, memory_order_seq_cst);

	if (handle != NULL)
		request(mail, handle);
	else if (mail->sleep == VLY_MAIL_IN_CALLERS)
		vly_wake_post(mail->event_fd);
}

void vly_mail_wake(struct vly_mail *mail)
{
	vly_wake_post(mail->event_fd);
}

void vly_mail_push(struct vly_mail *mail, struct vly_inbox_node *node, enum vly_mail_kind kind)
{
	node->kind = kind;
	if (!vly_inbox_push(&mail->inbox, node))
		return;
	if (mail->sleep == VLY_MAIL_IN_CALL)
		request(mail, atomic_load_explicit(&mail->handle, memory_order_seq_cst));
	else
		vly_wake_post(mail->event_fd);
}

struct vly_inbox_node *vly_mail_take(struct vly_mail *mail)
{
	return vly_inbox_take(&mail->inbox);
}

bool vly_mail_sleep(struct vly_mail *mail)
{
	return vly_inbox_sleep(&mail->inbox);
}

bool vly_mail_awake(struct vly_mail *mail)
{
	return vly_inbox_awake(&mail->inbox);
}

void vly_mail_clear(struct vly_mail *mail)
{
	vly_wake_take(mail->event_fd);
}

int vly_mail_get_fd(const struct vly_mail *mail)
{
	return mail->event_fd;
}
