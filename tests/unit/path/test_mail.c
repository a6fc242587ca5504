/* SPDX-License-Identifier: MIT */

/*
 * A worker's mail: who is woken by what, in each place where a worker sleeps. That no wake is
 * missed between threads is tests/race/race_inbox.c's.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include "lib/fault.h"
#include "path/mail.h"

static struct vly_mail mail;

static void open_mail(enum vly_mail_sleep sleep)
{
	cr_assert_eq(vly_mail_init(&mail, sleep), 0);
	cr_assert_geq(vly_mail_get_fd(&mail), 0);
}

/* How many wakes the descriptor has; takes them. */
static uint64_t take_wakes(void)
{
	uint64_t n = 0;

	return read(vly_mail_get_fd(&mail), &n, sizeof n) > 0 ? n : 0;
}

/* Attach, and give everything back. */
static void attach(void)
{
	cr_assert_eq(vly_mail_attach(&mail), 0);
}

static void detach(void)
{
	struct volley_cancel *handle = vly_mail_detach(&mail);

	cr_assert_not_null(handle);
	cr_assert_null(vly_mail_detach(&mail), "it is the caller's now");
	volley_cancel_clear();
	cr_assert_eq(volley_cancel_detach(), 0);
	volley_cancel_unref(handle);
}

Test(mail, it_comes_in_order_and_says_what_it_is)
{
	static const enum vly_mail_kind kinds[] = { VLY_MAIL_SEND, VLY_MAIL_POST, VLY_MAIL_HANDLER,
						    VLY_MAIL_ERRAND };
	struct vly_inbox_node nodes[4], *node;

	open_mail(VLY_MAIL_IN_LOOP);
	cr_assert_null(vly_mail_take(&mail));
	for (int i = 0; i < 4; i++)
		vly_mail_push(&mail, &nodes[i], kinds[i]);
	node = vly_mail_take(&mail);
	for (int i = 0; i < 4; i++, node = node->next) {
		cr_assert_eq(node, &nodes[i]);
		cr_assert_eq(node->kind, kinds[i]);
	}
	cr_assert_null(node);
	vly_mail_fini(&mail);
}

Test(mail, a_sleeping_worker_is_woken_once)
{
	struct vly_inbox_node nodes[3];

	open_mail(VLY_MAIL_IN_LOOP);
	vly_mail_push(&mail, &nodes[0], VLY_MAIL_POST);
	cr_assert_eq(take_wakes(), 0, "it was awake");
	cr_assert_not(vly_mail_sleep(&mail), "and must look first");
	cr_assert_not(vly_mail_awake(&mail));
	vly_mail_take(&mail);
	cr_assert(vly_mail_sleep(&mail));
	vly_mail_push(&mail, &nodes[1], VLY_MAIL_POST);
	vly_mail_push(&mail, &nodes[2], VLY_MAIL_POST);
	cr_assert_eq(take_wakes(), 1);
	cr_assert(vly_mail_awake(&mail), "somebody woke it");
	cr_assert_eq(vly_mail_take(&mail), &nodes[1]);
	vly_mail_wake(&mail);
	vly_mail_clear(&mail);
	cr_assert_eq(take_wakes(), 0);
	vly_mail_fini(&mail);
}

Test(mail, a_worker_in_a_call_is_cancelled)
{
	struct vly_inbox_node nodes[2];

	open_mail(VLY_MAIL_IN_CALL);
	attach();
	vly_mail_push(&mail, &nodes[0], VLY_MAIL_POST);
	cr_assert_eq(volley_cancel_pending(), 0, "it was awake");
	vly_mail_take(&mail);
	cr_assert(vly_mail_sleep(&mail));
	vly_mail_push(&mail, &nodes[1], VLY_MAIL_POST);
	cr_assert_eq(volley_cancel_pending(), 1);
	detach();
	vly_mail_fini(&mail);
}

/* So that a request ends a wait in epoll as well as in a call. */
Test(mail, a_cancellation_wakes_the_descriptor_too)
{
	open_mail(VLY_MAIL_IN_LOOP);
	attach();
	vly_mail_cancel(&mail);
	cr_assert_eq(volley_cancel_pending(), 1);
	cr_assert_gt(take_wakes(), 0);
	detach();
	vly_mail_fini(&mail);
}

Test(mail, without_a_thread_only_a_callers_loop_is_woken)
{
	open_mail(VLY_MAIL_IN_LOOP);
	vly_mail_cancel(&mail);
	cr_assert_eq(take_wakes(), 0, "there is nobody");
	vly_mail_fini(&mail);
	open_mail(VLY_MAIL_IN_CALLERS);
	vly_mail_cancel(&mail);
	cr_assert_eq(take_wakes(), 1);
	vly_mail_fini(&mail);
}

Test(mail, without_a_descriptor_there_is_none)
{
	vly_mail_reset(&mail);
	fault_arm(FAULT_EVENTFD, 1, EMFILE);
	cr_assert_eq(vly_mail_init(&mail, VLY_MAIL_IN_LOOP), -EMFILE);
	cr_assert_eq(fault_disarm(), 1);
	vly_mail_fini(&mail);
	cr_assert_eq(vly_mail_get_fd(&mail), -1);
	vly_mail_fini(&mail);
}
